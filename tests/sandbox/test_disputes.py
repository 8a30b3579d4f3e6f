"""Refunds, disputes and fees over the real SDK: what Stripe does, and what of it ends in the ledger, each once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import stripe as sdk

from billing.invoices import InvoiceStatus
from infra.stripe.gateway import StripeGateway
from ledger.posting_rules import Reason
from settlement.findings import Reconciliation
from settlement.follow_stripe import StripeEvent, follow_stripe
from settlement.invoicing import follow_unfinished
from settlement.movements import record_movements
from settlement.reconcile import reconcile
from settlement.stripe_port import MovementKind
from tests.world import World, a_contract, at, per_unit

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox
    from tests.sandbox.conftest import InvoiceMaker


# -- the sandbox -------------------------------------------------------------------------------------------------------


@pytest.fixture
def charge(sandbox: StripeSandbox, client: sdk.StripeClient, open_invoice: InvoiceMaker) -> str:
    """A charge of 100.00 that is available."""
    client.v1.invoices.pay(open_invoice(10_000).id)
    sandbox.control("clock", {"now": "2026-03-05T00:00:00Z"})
    return client.v1.charges.list().data[0].id


def moves(client: sdk.StripeClient, source: str) -> list[tuple[str, str, int, int]]:
    """Type, category, amount and fee of what a source moved, oldest first."""
    found = client.v1.balance_transactions.list({"source": source}).data
    return [(it.type, it.reporting_category, it.amount, it.fee) for it in reversed(found)]


def events(client: sdk.StripeClient, *starts: str) -> list[str]:
    found = client.v1.events.list({"limit": 100}).data
    return [str(it.type) for it in reversed(found) if it.type.startswith(starts)]


def test_a_charge_is_refunded_in_parts_and_never_for_more_than_it_was(client: sdk.StripeClient, charge: str) -> None:
    first = client.v1.refunds.create({"charge": charge, "amount": 3_000})
    assert client.v1.charges.retrieve(charge).refunded is False
    with pytest.raises(sdk.InvalidRequestError, match="greater than unrefunded"):
        client.v1.refunds.create({"charge": charge, "amount": 7_001})
    rest = client.v1.refunds.create({"charge": charge})
    with pytest.raises(sdk.InvalidRequestError) as refused:
        client.v1.refunds.create({"charge": charge})

    assert (first.amount, rest.amount, refused.value.code) == (3_000, 7_000, "charge_already_refunded")
    assert moves(client, first.id) == [("refund", "refund", -3_000, 0)]
    assert events(client, "refund.", "charge.refund") == ["refund.created", "charge.refunded"] * 2


def test_a_refund_that_fails_comes_back(sandbox: StripeSandbox, client: sdk.StripeClient, charge: str) -> None:
    refund = client.v1.refunds.create({"charge": charge})
    sandbox.control("fail_refund", {"refund": refund.id})

    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    assert client.v1.charges.retrieve(charge).amount_refunded == 0
    assert moves(client, refund.id)[1] == ("refund_failure", "refund_failure", 10_000, 0)
    with pytest.raises(ValueError, match="is failed"):
        sandbox.control("fail_refund", {"refund": refund.id})


def test_a_refund_of_a_pending_charge_is_pending_with_it(
    sandbox: StripeSandbox, client: sdk.StripeClient, open_invoice: InvoiceMaker
) -> None:
    client.v1.invoices.pay(open_invoice(10_000).id)
    paid = client.v1.balance_transactions.list().data[0]
    client.v1.refunds.create({"charge": str(paid.source)})

    back = client.v1.balance_transactions.list().data[0]

    assert (back.type, back.status, back.available_on) == ("refund", "pending", paid.available_on)
    sandbox.control("clock", {"now": "2026-03-05T00:00:00Z"})
    assert client.v1.balance.retrieve().available[0].amount == -320


def test_a_dispute_takes_the_money_with_a_fee_and_a_won_one_brings_it_back(
    sandbox: StripeSandbox, client: sdk.StripeClient, charge: str
) -> None:
    opened = sandbox.control("dispute", {"charge": charge})
    with pytest.raises(sdk.InvalidRequestError) as refused:
        client.v1.refunds.create({"charge": charge})
    sandbox.control("close_dispute", {"dispute": opened["id"], "won": True})

    dispute = client.v1.disputes.retrieve(opened["id"])
    assert (dispute.status, dispute.charge, refused.value.code) == ("won", charge, "charge_disputed")
    assert moves(client, dispute.id) == [
        ("adjustment", "dispute", -10_000, 1_500),
        ("adjustment", "dispute_reversal", 10_000, 0),
    ]
    assert [it.amount for it in dispute.balance_transactions] == [-10_000, 10_000]
    assert events(client, "charge.dispute") == [
        f"charge.dispute.{name}" for name in ("created", "funds_withdrawn", "funds_reinstated", "closed")
    ]
    with pytest.raises(ValueError, match="is decided"):
        sandbox.control("close_dispute", {"dispute": dispute.id, "won": False})


# -- the ledger --------------------------------------------------------------------------------------------------------


@dataclass
class Story:
    """A client of ours that paid its invoice of 100.00; the payment is available, less Stripe's fee of 3.20."""

    sandbox: StripeSandbox
    world: World = field(init=False)
    gateway: StripeGateway = field(init=False)
    now: str = "2026-04-02T12:00:00"

    def __post_init__(self) -> None:
        self.gateway = StripeGateway(self.sandbox.api_key, self.sandbox.url)
        self.world = World(contract=a_contract(per_unit("10.00"), starts_on="2026-03-01"))
        self.world.send(*(self.world.completed(f"C{i}", f"2026-03-31T0{i}:00:00", expert=None) for i in range(10)))
        self.world.close("2026-04-02")
        self.advance(self.now)
        self.day()
        [invoice] = self.world.store.stored_invoices.values()
        self.sandbox.control("pay_invoice", {"invoice": invoice.stripe_invoice})
        self.advance("2026-04-05T12:00:00")
        self.day()

    @property
    def charge(self) -> str:
        [invoice] = self.world.store.stored_invoices.values()
        return invoice.payments[0].id

    def advance(self, now: str) -> None:
        self.now = now
        self.sandbox.control("clock", {"now": f"{now}Z"})

    def day(self) -> Reconciliation:
        """What the daily run does, twice, and what it finds."""
        for _ in range(2):
            assert follow_unfinished(self.world.store, self.world.registry, self.gateway, at(self.now))[1] == {}
            record_movements(self.world.store, self.gateway, at(self.now))
        self.world.check()
        return reconcile(self.world.store, self.gateway, at(self.now))

    def balances(self) -> dict[str, str]:
        names = ("client/acme/receivable", "stripe/balance", "cost/fees", "bank/cash")
        found = {name: self.world.balance(name) for name in names}
        return {name: amount for name, amount in found.items() if amount != "0.00"}

    def reasons(self) -> list[Reason]:
        return [entry.reason for entry in self.world.entries() if entry.id.startswith("movement:")]


@pytest.fixture
def story(sandbox: StripeSandbox) -> Story:
    return Story(sandbox)


def test_a_refund_is_owed_again_and_one_that_failed_is_not(story: Story, client: sdk.StripeClient) -> None:
    refund = client.v1.refunds.create({"charge": story.charge, "amount": 4_000})
    found = story.day()
    [invoice] = story.world.store.stored_invoices.values()
    assert (invoice.status, invoice.owed, invoice.asked) == (InvoiceStatus.PAID, 4_000, 0)
    assert story.balances() == {"client/acme/receivable": "40.00", "stripe/balance": "56.80", "cost/fees": "3.20"}
    assert found.is_clean
    assert [(it.about, it.amount) for it in found.open] == [(invoice.id, 4_000)]

    story.sandbox.control("fail_refund", {"refund": refund.id})
    found = story.day()
    assert story.balances() == {"stripe/balance": "96.80", "cost/fees": "3.20"}
    assert (found.findings, story.reasons()) == ((), [Reason.INVOICE_REFUNDED] * 2)


@pytest.mark.parametrize(("fee_returned", "fees"), [(False, "18.20"), (True, "3.20")])
def test_a_chargeback_is_booked_with_its_fee_when_it_is_available_and_back_when_it_is_won(
    story: Story, *, fee_returned: bool, fees: str
) -> None:
    dispute = story.sandbox.control("dispute", {"charge": story.charge})
    found = story.day()
    assert (story.reasons(), found.is_clean) == ([], True)
    [pending] = found.open
    assert (pending.about, pending.amount, pending.age_days(found.day)) == (dispute["id"], -10_000, 0)
    assert "expected 2026-04-06" in pending.next_step

    story.advance("2026-04-06T12:00:00")
    found = story.day()
    assert story.balances() == {"client/acme/receivable": "100.00", "stripe/balance": "-18.20", "cost/fees": "18.20"}
    assert found.is_clean

    decision = {"dispute": dispute["id"], "won": True, "fee_returned": fee_returned}
    story.sandbox.control("close_dispute", decision)
    story.advance("2026-04-07T12:00:00")
    found = story.day()
    assert story.balances() == {"stripe/balance": f"{100 - float(fees):.2f}", "cost/fees": fees}
    assert (found.findings, story.reasons()) == ((), [Reason.INVOICE_CHARGED_BACK] * 2)


def test_fees_top_ups_and_payouts_to_our_bank_are_booked_and_what_the_bank_returns_comes_back(
    story: Story, client: sdk.StripeClient
) -> None:
    story.sandbox.control("stripe_fee", {"amount": 125, "currency": "usd"})
    client.v1.topups.create({"amount": 5_000, "currency": "usd"})
    payout = client.v1.payouts.create({"amount": 9_000, "currency": "usd"})
    assert story.day().findings == ()
    assert story.balances() == {"stripe/balance": "55.55", "cost/fees": "4.45", "bank/cash": "40.00"}

    story.sandbox.control("fail_payout", {"payout": payout.id})
    assert story.day().findings == ()
    assert story.balances() == {"stripe/balance": "145.55", "cost/fees": "4.45", "bank/cash": "-50.00"}
    assert sorted(story.reasons()) == ["platform_payout", "platform_payout", "stripe_fee", "top_up"]


def test_before_they_are_booked_they_are_under_way_and_then_differences_that_say_what_to_do(
    story: Story, client: sdk.StripeClient
) -> None:
    refund = client.v1.refunds.create({"charge": story.charge, "amount": 4_000})
    story.sandbox.control("stripe_fee", {"amount": 125, "currency": "usd"})
    early = reconcile(story.world.store, story.gateway, at(story.now))
    late = reconcile(story.world.store, story.gateway, at("2026-04-09"))

    assert (early.is_clean, len(early.open)) == (True, 2)
    found = {it.detail.split("; ")[0].split(": ")[1]: it for it in late.differences}
    assert set(found) == {"a fee that is not booked", f"a refund that is not booked, of {story.charge}"}
    assert {it.age_days(late.day) for it in late.differences} == {4}
    assert sorted(it.amount for it in late.differences) == [-4_000, -125]
    assert all(it.next_step.startswith("the next daily run books it") for it in late.differences)
    assert refund.balance_transaction in {it.about for it in late.differences}


def test_movements_are_found_by_kind_and_day_and_name_what_they_take_back(
    story: Story, client: sdk.StripeClient
) -> None:
    refund = client.v1.refunds.create({"charge": story.charge})
    client.v1.topups.create({"amount": 5_000, "currency": "usd"})
    everything = list(story.gateway.movements())
    assert [it.kind for it in everything] == [MovementKind.TOP_UP, MovementKind.REFUND, MovementKind.PAYMENT]
    assert [it.kind for it in story.gateway.movements(since=at("2026-04-05").date())] == [
        MovementKind.TOP_UP,
        MovementKind.REFUND,
    ]
    [back] = story.gateway.movements({MovementKind.REFUND, MovementKind.DISPUTE})
    assert (back.source, back.origin, back.net) == (refund.id, story.charge, -10_000)


def test_the_webhooks_of_a_refund_book_it_once_however_often_they_come(story: Story, client: sdk.StripeClient) -> None:
    client.v1.refunds.create({"charge": story.charge, "amount": 4_000})
    created = at(story.now)
    said = [
        follow_stripe(
            story.world.store, story.world.registry, story.gateway, StripeEvent(id_, type_, created, "", refund)
        )
        for id_, type_, refund in (
            ("evt_1", "refund.created", "re_1"),
            ("evt_2", "charge.refunded", story.charge),
            ("evt_1", "refund.created", "re_1"),
        )
    ]
    assert said == ["1 movements booked", "0 movements booked", "repeated"]
    assert story.balances()["client/acme/receivable"] == "40.00"
