"""From the expert's account to the bank: which transfers a payout carries, and what becomes of it days later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from events.stripe_webhook import check_signature, read_event
from settlement.stripe_port import (
    BankPayout,
    BankPayoutStatus,
    NotEnoughFunds,
    StripeBusy,
    StripeRefused,
    StripeUnclear,
)
from tests.sandbox.conftest import STARTED_AT, a_payout

if TYPE_CHECKING:
    import stripe

    from infra.local.stripe_sandbox import StripeSandbox
    from infra.stripe.gateway import StripeGateway
    from tests.sandbox.conftest import Receiver

pytestmark = pytest.mark.usefixtures("funded")
PAYOUTS = {"method": "POST", "path_prefix": "/v1/payouts"}
Status = BankPayoutStatus


def go_to(sandbox: StripeSandbox, time: str) -> None:
    sandbox.control("clock", {"now": f"2026-03-{time}Z"})


def bank_payouts(client: stripe.StripeClient, gateway: StripeGateway, account: str) -> list[BankPayout]:
    """Those of the account, the first one first."""
    listed = client.v1.payouts.list({"limit": 100}, {"stripe_account": account}).data
    return [gateway.bank_payout(account, payout.id) for payout in listed][::-1]


def test_a_daily_payout_carries_the_transfers_since_the_last_one_and_arrives_two_days_later(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    bank = gateway.account_status(maya).bank
    first, second = (gateway.transfer(a_payout(maya, run=run)) for run in ("w10", "w11"))
    go_to(sandbox, "03T00:00:00")
    (fresh,) = bank_payouts(client, gateway, maya)
    assert (fresh.status, fresh.transfers) == (Status.IN_TRANSIT, ())  # Stripe has not worked it out yet
    third = gateway.transfer(a_payout(maya, run="w12"))

    go_to(sandbox, "06T00:00:00")

    carried, later = bank_payouts(client, gateway, maya)
    assert carried == BankPayout(
        id=fresh.id,
        account=maya,
        status=Status.PAID,
        currency=a_payout(maya).currency,
        amount=2_000,
        created_at=datetime(2026, 3, 3, tzinfo=UTC),
        arrives_on=date(2026, 3, 5),
        bank=bank,
        transfers=carried.transfers,
    )
    assert sorted(carried.transfers) == [first, second]
    assert (later.status, later.transfers) == (Status.PAID, (third,))


def test_more_transfers_than_fit_on_a_page_are_all_carried(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    sent = [gateway.transfer(a_payout(maya, 10, run=f"r{number}")) for number in range(101)]

    go_to(sandbox, "04T00:00:00")

    (payout,) = bank_payouts(client, gateway, maya)
    assert sorted(payout.transfers) == sorted(sent)


def test_a_paid_payout_that_fails_five_days_later_says_why_and_the_next_one_carries_its_money(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    bank = gateway.account_status(maya).bank
    transfer = gateway.transfer(a_payout(maya))
    sandbox.control("fail_payout", {"account": maya, "after_days": 5})
    go_to(sandbox, "09T23:59:59")
    (paid,) = bank_payouts(client, gateway, maya)
    assert (paid.status, paid.failure_code) == (Status.PAID, None)

    go_to(sandbox, "10T00:00:00")

    (failed,) = bank_payouts(client, gateway, maya)
    assert (failed.id, failed.status, failed.failure_code) == (paid.id, Status.FAILED, "account_closed")
    assert (failed.transfers, failed.bank) == ((transfer,), bank)
    sandbox.control("bank", {"account": maya})
    go_to(sandbox, "14T00:00:00")
    old, new = bank_payouts(client, gateway, maya)
    assert (new.status, new.transfers, new.bank) == (
        Status.PAID,
        (transfer,),
        gateway.account_status(maya).bank,
    )
    assert old.bank not in {bank, new.bank}  # the bank account was removed: only its id is left
    assert str(old.bank).startswith("ba_")


def test_a_payout_of_another_account_or_none_is_refused(
    client: stripe.StripeClient, gateway: StripeGateway, maya: str, expert: str
) -> None:
    gateway.transfer(a_payout(maya))
    made = gateway.pay_out_instantly(a_payout(maya))

    for account, payout in ((expert, made), (maya, "po_unknown")):
        with pytest.raises(StripeRefused, match="resource_missing"):
            gateway.bank_payout(account, payout)
    assert len(client.v1.payouts.list({}, {"stripe_account": maya}).data) == 1


def test_an_instant_payout_takes_the_whole_amount_to_the_bank_and_no_later_one_carries_it(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    transfer = gateway.transfer(a_payout(maya))
    instant = gateway.bank_payout(maya, gateway.pay_out_instantly(a_payout(maya)))
    assert (instant.status, instant.amount, instant.payout) == (Status.PENDING, 1_000, a_payout(maya).id)
    assert (instant.transfers, instant.created_at) == ((transfer,), STARTED_AT)
    next_one = gateway.transfer(a_payout(maya, run="w11"))

    go_to(sandbox, "06T00:00:00")

    paid, later = bank_payouts(client, gateway, maya)
    assert (paid.id, paid.status) == (instant.id, Status.PAID)
    assert (later.amount, later.transfers) == (1_000, (next_one,))


def test_an_instant_payout_that_the_bank_returns_is_carried_on_by_the_next_daily_one(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    transfer = gateway.transfer(a_payout(maya))
    instant = gateway.pay_out_instantly(a_payout(maya))
    sandbox.control("fail_payout", {"payout": instant})
    assert gateway.bank_payout(maya, instant).status is Status.FAILED
    sandbox.control("bank", {"account": maya})

    go_to(sandbox, "06T00:00:00")

    assert [it.transfers for it in bank_payouts(client, gateway, maya)] == [(transfer,), (transfer,)]


def test_an_instant_payout_is_made_once_even_after_its_key_is_forgotten(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    gateway.transfer(a_payout(maya, 2_000))
    made = {gateway.pay_out_instantly(a_payout(maya)) for _ in range(2)}
    for _ in range(100):  # so that it is no longer on the first page
        client.v1.payouts.create({"amount": 1, "currency": "usd"}, {"stripe_account": maya})
    go_to(sandbox, "05T09:00:00")
    made.add(gateway.pay_out_instantly(a_payout(maya)))

    assert len(made) == 1
    listed = client.v1.payouts.list({"limit": 100}, {"stripe_account": maya}).auto_paging_iter()
    assert [payout.amount for payout in listed if payout.method == "instant"] == [1_000]


def test_two_workers_at_once_make_one_instant_payout(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    gateway.transfer(a_payout(maya, 2_000))
    sandbox.control("faults", {"match": PAYOUTS, "fault": "delay_ms", "delay_ms": 400})

    def attempt(_number: int) -> str:
        try:
            return gateway.pay_out_instantly(a_payout(maya))
        except StripeBusy:
            return "the key is in use"

    with ThreadPoolExecutor(2) as threads:
        answers = set(threads.map(attempt, range(2)))

    (made,) = bank_payouts(client, gateway, maya)
    assert answers == {made.id, "the key is in use"}


@pytest.mark.parametrize("fault", ["drop_before", "drop_after_commit"])
def test_an_instant_payout_without_an_answer_is_unclear_and_then_found_or_made(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str, fault: str
) -> None:
    gateway.transfer(a_payout(maya))
    sandbox.control("faults", {"match": PAYOUTS, "fault": fault, "times": 3})
    with pytest.raises(StripeUnclear):
        gateway.pay_out_instantly(a_payout(maya))

    made = gateway.pay_out_instantly(a_payout(maya))

    assert [it.id for it in bank_payouts(client, gateway, maya)] == [made]


def test_an_instant_payout_made_in_spite_of_a_500_is_found_and_not_made_again(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, maya: str
) -> None:
    gateway.transfer(a_payout(maya))
    sandbox.control("faults", {"match": PAYOUTS, "fault": "status_500_after_commit", "should_retry": False})
    with pytest.raises(StripeUnclear):
        gateway.pay_out_instantly(a_payout(maya))

    assert [gateway.pay_out_instantly(a_payout(maya))] == [it.id for it in bank_payouts(client, gateway, maya)]


def test_stripe_refuses_instant_payouts_that_the_bank_or_the_balance_cannot_take(
    sandbox: StripeSandbox, gateway: StripeGateway, maya: str
) -> None:
    with pytest.raises(NotEnoughFunds):
        gateway.pay_out_instantly(a_payout(maya, run="before the transfer"))
    gateway.transfer(a_payout(maya))
    sandbox.control("bank", {"account": maya, "instant": False})
    with pytest.raises(StripeRefused) as refused:
        gateway.pay_out_instantly(a_payout(maya, run="w11"))
    assert refused.value.code == "instant_payouts_unsupported"
    sandbox.control("fail_payout", {"account": maya})
    go_to(sandbox, "06T00:00:00")

    with pytest.raises(StripeRefused) as refused:
        gateway.pay_out_instantly(a_payout(maya, run="w12"))

    assert refused.value.code == "bank_account_unusable"


def test_an_account_without_a_bank_account_proves_nothing(client: stripe.StripeClient, gateway: StripeGateway) -> None:
    nobody = client.v2.core.accounts.create({"configuration": {"recipient": {}}}).id

    with pytest.raises(StripeBusy, match="external accounts"):
        gateway.pay_out_instantly(a_payout(nobody))


def test_webhooks_that_come_twice_and_in_any_order_lead_to_the_same_last_word(
    sandbox: StripeSandbox, client: stripe.StripeClient, gateway: StripeGateway, receiver: Receiver, maya: str
) -> None:
    endpoint = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"], "connect": True})
    sandbox.control("webhooks", {"duplicate": 1, "shuffle": 7, "hold": True})
    gateway.transfer(a_payout(maya))
    sandbox.control("fail_payout", {"account": maya, "after_days": 5})
    go_to(sandbox, "10T00:00:00")
    sandbox.control("webhooks/flush")

    for payload, signature in receiver.received:
        check_signature(payload.encode(), signature, str(endpoint.secret), datetime.now(UTC))
    told = [read_event(payload.encode()) for payload, _signature in receiver.received]
    life = ["payout.created", "payout.reconciliation_completed", "payout.paid", "payout.failed"]
    about_payouts = [it for it in told if it["type"].startswith("payout.")]
    assert sorted(it["type"] for it in about_payouts) == sorted(life * 2)
    assert list(dict.fromkeys(it["type"] for it in about_payouts)) != life
    last_words = {gateway.bank_payout(it["account"], it["object"]).status for it in about_payouts}
    assert last_words == {Status.FAILED}
