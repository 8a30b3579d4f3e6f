"""Time and balances: money that is pending, then available, then at the bank, and sometimes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import stripe

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox
    from tests.sandbox.conftest import InvoiceMaker


def parts(balance: stripe.Balance) -> tuple[int, int]:
    """Available and pending."""
    return sum(part.amount for part in balance.available), sum(part.amount for part in balance.pending)


def event_types(client: stripe.StripeClient, account: str | None = None) -> list[str]:
    options: stripe.RequestOptions = {"stripe_account": account} if account else {}
    return [str(event.type) for event in client.v1.events.list({"limit": 100}, options)][::-1]


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
    assert event_types(client, paid_expert) == ["payout.created", "payout.paid"]
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
    assert event_types(client, paid_expert) == ["payout.created", "payout.paid", "account.updated", "payout.failed"]
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


def test_an_instant_payout_of_the_expert_arrives_within_the_hour_and_costs_a_fee(
    sandbox: StripeSandbox, client: stripe.StripeClient, paid_expert: str
) -> None:
    as_expert: stripe.RequestOptions = {"stripe_account": paid_expert}
    payout = client.v1.payouts.create({"amount": 900, "currency": "usd", "method": "instant"}, as_expert)

    sandbox.control("clock", {"now": "2026-03-02T10:00:00Z"})

    assert client.v1.payouts.retrieve(payout.id, options=as_expert).status == "paid"
    transaction = client.v1.balance_transactions.list({"type": "payout"}, as_expert).data[0]
    assert (transaction.amount, transaction.fee, transaction.net) == (-900, 50, -950)


def test_the_clock_never_goes_back_and_refuses_a_time_without_an_offset(sandbox: StripeSandbox) -> None:
    with pytest.raises(ValueError, match="can't go back"):
        sandbox.control("clock", {"now": "2026-03-02T08:00:00Z"})
    with pytest.raises(ValueError, match="offset"):
        sandbox.control("clock", {"now": "2026-03-03T08:00:00"})

    assert sandbox.control("health", method="GET") == {"status": "ok", "now": "2026-03-02T09:00:00Z"}
