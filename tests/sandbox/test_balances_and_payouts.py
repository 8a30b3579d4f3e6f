"""Time and balances: money that is pending, then available, then at the bank, and sometimes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import stripe

from tests.sandbox.conftest import RECIPIENT

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox
    from tests.sandbox.conftest import InvoiceMaker


def parts(balance: stripe.Balance) -> tuple[int, int]:
    """Available and pending."""
    return sum(part.amount for part in balance.available), sum(part.amount for part in balance.pending)


def event_types(client: stripe.StripeClient, account: str | None = None) -> list[str]:
    options: stripe.RequestOptions = {"stripe_account": account} if account else {}
    return [str(event.type) for event in client.v1.events.list({"limit": 100}, options)][::-1]


ONBOARDED = "account.external_account.created"
PAID_OUT = ["payout.created", "payout.reconciliation_completed", "payout.paid"]


@pytest.fixture
def paid_expert(client: stripe.StripeClient, expert: str, funded: None) -> str:
    """An expert with 10.00 usd in the Stripe balance."""
    assert funded is None
    client.v1.transfers.create({"amount": 1_000, "currency": "usd", "destination": expert})
    return expert


def test_a_charge_is_pending_until_two_days_later_and_then_available_to_send(
    sandbox: StripeSandbox, client: stripe.StripeClient, open_invoice: InvoiceMaker, expert: str
) -> None:
    client.v1.invoices.pay(open_invoice(10_000).id)
    assert parts(client.v1.balance.retrieve()) == (0, 9_680)

    sandbox.control("clock", {"now": "2026-03-04T08:59:59Z"})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.transfers.create({"amount": 1, "currency": "usd", "destination": expert})
    sandbox.control("clock", {"now": "2026-03-04T09:00:00Z"})

    assert parts(client.v1.balance.retrieve()) == (9_680, 0)
    assert client.v1.transfers.create({"amount": 9_680, "currency": "usd", "destination": expert}).amount == 9_680
    assert event_types(client).count("balance.available") == 1


def test_balances_equal_the_sums_of_their_transactions(
    sandbox: StripeSandbox, client: stripe.StripeClient, open_invoice: InvoiceMaker, paid_expert: str
) -> None:
    client.v1.invoices.pay(open_invoice(4_321).id)
    client.v1.payouts.create({"amount": 700, "currency": "usd"})
    sandbox.control("stripe_fee", {"amount": 25, "currency": "usd"})
    client.v1.transfers.reversals.create(client.v1.transfers.list().data[0].id, {"amount": 150})

    for account in (None, paid_expert):
        options: stripe.RequestOptions = {"stripe_account": account} if account else {}
        transactions = client.v1.balance_transactions.list({"limit": 100}, options).data
        nets = {
            status: sum(entry.net for entry in transactions if entry.status == status)
            for status in ("available", "pending")
        }
        assert parts(client.v1.balance.retrieve(options=options)) == (nets["available"], nets["pending"])
        assert all(entry.net == entry.amount - entry.fee for entry in transactions)


def test_balance_transactions_are_found_by_type_source_and_time(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    sandbox.control("clock", {"now": "2026-03-02T12:00:00Z"})
    later = client.v1.transfers.create({"amount": 5, "currency": "usd", "destination": paid_expert})

    (by_source,) = client.v1.balance_transactions.list({"source": later.id}).data
    since = client.v1.balance_transactions.list({"created": {"gte": later.created}}).data

    assert (by_source.amount, by_source.type, by_source.reporting_category) == (-5, "transfer", "transfer")
    assert [entry.id for entry in since] == [by_source.id]
    assert [entry.type for entry in client.v1.balance_transactions.list({"type": "topup"})] == ["topup"]


def test_an_experts_money_goes_to_the_bank_every_midnight(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    as_expert: stripe.RequestOptions = {"stripe_account": paid_expert}
    sandbox.control("clock", {"now": "2026-03-03T00:00:00Z"})
    (payout,) = client.v1.payouts.list({}, as_expert).data
    assert (payout.amount, payout.status, payout.automatic) == (1_000, "in_transit", True)
    assert parts(client.v1.balance.retrieve(options=as_expert)) == (0, 0)

    sandbox.control("clock", {"now": "2026-03-05T00:00:00Z"})

    assert client.v1.payouts.retrieve(payout.id, options=as_expert).status == "paid"
    assert event_types(client, paid_expert) == [ONBOARDED, *PAID_OUT]
    paid_out = client.v1.balance_transactions.list({"payout": payout.id, "type": "payment"}, as_expert).data
    assert [entry.amount for entry in paid_out] == [1_000]
    assert not client.v1.payouts.list().data


def test_a_payout_that_was_paid_can_fail_days_later_and_returns_the_money_to_the_expert(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    as_expert: stripe.RequestOptions = {"stripe_account": paid_expert}
    platform_before = parts(client.v1.balance.retrieve())
    sandbox.control("fail_payout", {"account": paid_expert, "after_days": 3})

    sandbox.control("clock", {"now": "2026-03-20T00:00:00Z"})

    (payout,) = client.v1.payouts.list({}, as_expert).data
    assert (payout.status, payout.failure_code) == ("failed", "account_closed")
    failed_later = ["account.external_account.updated", "account.updated", "payout.failed"]
    assert event_types(client, paid_expert) == [ONBOARDED, *PAID_OUT, *failed_later]
    failed = client.v1.events.list({"type": "payout.failed"}, as_expert).data[0]
    paid = client.v1.events.list({"type": "payout.paid"}, as_expert).data[0]
    assert failed.created - paid.created == 3 * 86_400
    assert parts(client.v1.balance.retrieve(options=as_expert)) == (1_000, 0)
    assert parts(client.v1.balance.retrieve()) == platform_before


def test_after_a_failed_payout_nothing_is_paid_out_until_the_bank_account_is_mended(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    as_expert: stripe.RequestOptions = {"stripe_account": paid_expert}
    sandbox.control("clock", {"now": "2026-03-03T00:00:00Z"})
    sandbox.control("fail_payout", {"payout": client.v1.payouts.list({}, as_expert).data[0].id})
    sandbox.control("clock", {"now": "2026-03-10T00:00:00Z"})
    assert len(client.v1.payouts.list({}, as_expert).data) == 1

    sandbox.control("resume_payouts", {"account": paid_expert})
    sandbox.control("clock", {"now": "2026-03-13T00:00:00Z"})

    assert [payout.status for payout in client.v1.payouts.list({}, as_expert)] == ["paid", "failed"]


def test_a_payout_can_no_longer_fail_more_than_five_days_after_it_arrived(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    sandbox.control("clock", {"now": "2026-03-11T00:00:00Z"})
    payout = client.v1.payouts.list({}, {"stripe_account": paid_expert}).data[0]

    with pytest.raises(ValueError, match="no longer fail"):
        sandbox.control("fail_payout", {"payout": payout.id})


def test_an_automatic_payout_lists_what_it_carries_once_stripe_has_reconciled_it(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    as_expert: stripe.RequestOptions = {"stripe_account": paid_expert}
    sandbox.control("clock", {"now": "2026-03-03T00:00:00Z"})
    payout = client.v1.payouts.list({}, as_expert).data[0]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.balance_transactions.list({"payout": payout.id}, as_expert)
    assert refused.value.code == "payout_reconciliation_not_ready"

    sandbox.control("clock", {"now": "2026-03-03T01:00:00Z"})

    assert client.v1.payouts.retrieve(payout.id, options=as_expert).reconciliation_status == "completed"
    listed = client.v1.balance_transactions.list({"payout": payout.id, "expand": ["data.source"]}, as_expert).data
    assert [(entry.type, entry.net) for entry in listed] == [("payout", -1_000), ("payment", 1_000)]
    source = listed[1].source
    assert isinstance(source, stripe.Charge)
    assert source.source_transfer == client.v1.transfers.list().data[0].id


def test_an_instant_payout_arrives_within_the_hour_and_the_account_pays_the_fee_unless_the_platform_does(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    as_expert: stripe.RequestOptions = {"stripe_account": paid_expert}
    payout = client.v1.payouts.create({"amount": 900, "currency": "usd", "method": "instant"}, as_expert)
    assert payout.status == "pending"

    sandbox.control("clock", {"now": "2026-03-02T10:00:00Z"})

    assert client.v1.payouts.retrieve(payout.id, options=as_expert).status == "paid"
    assert event_types(client, paid_expert) == [ONBOARDED, "payout.created", "payout.updated", "payout.paid"]
    transaction = client.v1.balance_transactions.list({"type": "payout"}, as_expert).data[0]
    assert (transaction.amount, transaction.fee, transaction.net) == (-900, 50, -950)
    assert client.v1.balance_transactions.list({"type": "stripe_fee"}).data == []


def test_stripe_bills_an_instant_payouts_fee_to_a_platform_that_collects_the_accounts_fees(
    client: stripe.StripeClient, funded: None
) -> None:
    assert funded is None
    responsibilities: Any = {"fees_collector": "application", "losses_collector": "application"}
    expert = client.v2.core.accounts.create({**RECIPIENT, "defaults": {"responsibilities": responsibilities}}).id
    client.v1.transfers.create({"amount": 9_000, "currency": "usd", "destination": expert})

    client.v1.payouts.create({"amount": 9_000, "currency": "usd", "method": "instant"}, {"stripe_account": expert})

    assert parts(client.v1.balance.retrieve(options={"stripe_account": expert})) == (0, 0)
    (fee,) = client.v1.balance_transactions.list({"type": "stripe_fee"}).data
    assert (fee.amount, fee.net, fee.reporting_category) == (-90, -90, "fee")
    assert parts(client.v1.balance.retrieve()) == (100_000 - 9_000 - 90, 0)


def test_a_manual_payout_is_taken_back_while_it_is_pending_only(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    as_expert: stripe.RequestOptions = {"stripe_account": paid_expert}
    first, second = (client.v1.payouts.create({"amount": 400, "currency": "usd"}, as_expert) for _ in range(2))

    assert client.v1.payouts.cancel(first.id, options=as_expert).status == "canceled"
    sandbox.control("fail_payout", {"payout": first.id})

    assert parts(client.v1.balance.retrieve(options=as_expert)) == (600, 0)
    sandbox.control("clock", {"now": "2026-03-02T09:10:00Z"})
    with pytest.raises(stripe.InvalidRequestError, match="while they are pending"):
        client.v1.payouts.cancel(second.id, options=as_expert)
    sandbox.control("clock", {"now": "2026-03-20T00:00:00Z"})
    statuses = {payout.id: payout.status for payout in client.v1.payouts.list({}, as_expert)}
    assert (statuses[first.id], statuses[second.id]) == ("canceled", "paid")
    assert event_types(client, paid_expert)[1:5] == [
        "payout.created",
        "payout.created",
        "payout.canceled",
        "payout.updated",
    ]
    with pytest.raises(stripe.InvalidRequestError, match="automatic payouts"):
        client.v1.balance_transactions.list({"payout": second.id}, as_expert)


def test_the_clock_never_goes_back_and_refuses_a_time_without_an_offset(sandbox: StripeSandbox) -> None:
    with pytest.raises(ValueError, match="can't go back"):
        sandbox.control("clock", {"now": "2026-03-02T08:00:00Z"})
    with pytest.raises(ValueError, match="offset"):
        sandbox.control("clock", {"now": "2026-03-03T08:00:00"})

    assert sandbox.control("health", method="GET") == {"status": "ok", "now": "2026-03-02T09:00:00Z"}
