"""What moves the Stripe balance by itself: booked once, whatever crashes, comes twice or is undone."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from billing.invoices import Invoice, InvoiceStatus
from ledger.money import Currency
from ledger.posting_rules import Reason
from settlement.bank_leg import follow_reversals
from settlement.invoicing import follow_unfinished, issue_or_follow
from settlement.movements import BOOKED_HERE, record_movements
from settlement.ports import Changes
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.stripe_port import Movement, MovementKind
from tests.fake_stripe import FakeStripe, a_movement
from tests.faults import crashes
from tests.interleaving import Outside, calls_of, explore
from tests.paying import forked
from tests.world import World, a_contract, a_plan, an_expert, at, per_unit

NOW = at("2026-04-02T12:00:00")
CHARGE = "ch_in_acme_2026-03_1"
TOP_UP = a_movement(MovementKind.TOP_UP, "tu_1", 500_00)
REFUND = a_movement(MovementKind.REFUND, "re_1", -40_00, origin=CHARGE)
CHARGEBACK = a_movement(MovementKind.DISPUTE, "dp_1", -100_00, fee=15_00, origin=CHARGE)


def a_paid_world(*moved: Movement) -> tuple[World, FakeStripe]:
    """Acme paid its invoice of 100.00; 99.70 of it are available. `moved` happened too, and is not booked."""
    world, stripe = World(contract=a_contract(per_unit("10.00"), starts_on="2026-03-01")), FakeStripe()
    world.send(*(world.completed(f"C{i}", f"2026-03-31T0{i}:00:00", expert=None) for i in range(10)))
    world.close("2026-04-02")
    assert follow_unfinished(world.store, world.registry, stripe, NOW)[1] == {}
    stripe.pay("in_acme_2026-03", 100_00)
    assert follow_unfinished(world.store, world.registry, stripe, NOW)[1] == {}
    stripe.moved += moved
    return world, stripe


def invoice_of(world: World) -> Invoice:
    [invoice] = world.store.stored_invoices.values()
    return invoice


def record(world: World, stripe: FakeStripe) -> int:
    return record_movements(world.store, stripe, NOW)


def check(world: World, stripe: FakeStripe) -> None:
    world.check()
    assert reconcile(world.store, stripe, NOW).differences == ()


def shown(world: World) -> dict[str, str]:
    """What is not zero of the accounts that movements touch."""
    names = ("client/acme/receivable", "stripe/balance", "cost/fees", "bank/cash")
    return {name: amount for name in names if (amount := world.balance(name)) != "0.00"}


@pytest.mark.parametrize(
    ("movement", "reason", "balances"),
    [
        (TOP_UP, Reason.TOP_UP, {"stripe/balance": "599.70", "bank/cash": "-500.00"}),
        (
            a_movement(MovementKind.PLATFORM_PAYOUT, "po_1", -50_00, fee=50),
            Reason.PLATFORM_PAYOUT,
            {"stripe/balance": "49.20", "cost/fees": "0.80", "bank/cash": "50.00"},
        ),
        (
            a_movement(MovementKind.FEE, "txn_fee", -2_00),
            Reason.STRIPE_FEE,
            {"stripe/balance": "97.70", "cost/fees": "2.30"},
        ),
        (REFUND, Reason.INVOICE_REFUNDED, {"client/acme/receivable": "40.00", "stripe/balance": "59.70"}),
        (
            CHARGEBACK,
            Reason.INVOICE_CHARGED_BACK,
            {"client/acme/receivable": "100.00", "stripe/balance": "-15.30", "cost/fees": "15.30"},
        ),
    ],
)
def test_each_kind_is_booked_once_and_what_stripe_undoes_leaves_only_its_fee(
    movement: Movement, reason: Reason, balances: dict[str, str]
) -> None:
    world, stripe = a_paid_world(movement)
    assert [record(world, stripe), record(world, stripe)] == [1, 0]
    assert shown(world) == {"cost/fees": "0.30"} | balances
    [entry] = [it for it in world.entries() if it.id == f"movement:{movement.id}"]
    assert (entry.reason, entry.effective_on) == (reason, movement.available_on)
    assert json.loads(entry.evidence)["movement"] == movement.id
    check(world, stripe)

    stripe.moved.append(replace(movement, id="txn_back", gross=-movement.gross, fee=0))
    assert [record(world, stripe), record(world, stripe)] == [1, 0]
    fees = 30 + movement.fee
    assert shown(world) == {"stripe/balance": f"{(100_00 - fees) / 100:.2f}", "cost/fees": f"{fees / 100:.2f}"}
    check(world, stripe)


def test_every_kind_that_is_booked_here_is_tested_here() -> None:
    tested = {it.kind for it in (TOP_UP, REFUND, CHARGEBACK)} | {MovementKind.PLATFORM_PAYOUT, MovementKind.FEE}
    assert tested == BOOKED_HERE


def test_a_refund_leaves_the_invoice_paid_and_what_went_back_owed() -> None:
    world, stripe = a_paid_world(REFUND)
    record(world, stripe)
    invoice = invoice_of(world)
    assert (invoice.status, invoice.paid, invoice.asked) == (InvoiceStatus.PAID, 100_00, 0)
    assert (invoice.returned, invoice.owed, invoice.returned_on) == (40_00, 40_00, REFUND.created_on)
    assert issue_or_follow(world.store, world.registry, stripe, ("acme", invoice.period), NOW) == invoice
    assert world.balance("bank/cash") == "0.00"


def test_a_credit_on_a_partly_paid_invoice_is_measured_against_what_stripe_asks_for() -> None:
    world, stripe = World(contract=a_contract(per_unit("10.00"), starts_on="2026-03-01")), FakeStripe()
    world.send(*(world.completed(f"C{i}", f"2026-03-31T0{i}:00:00", expert=None) for i in range(10)))
    world.close("2026-04-02")
    follow_unfinished(world.store, world.registry, stripe, NOW)
    stripe.pay("in_acme_2026-03", 95_00)
    follow_unfinished(world.store, world.registry, stripe, NOW)
    stripe.moved.append(REFUND)
    record(world, stripe)
    world.send(world.reopened("C1", "2026-04-02T10:00:00"))

    assert follow_unfinished(world.store, world.registry, stripe, NOW)[1] == {}

    assert (invoice_of(world).asked, invoice_of(world).owed, stripe.credit_notes) == (5_00, 45_00, {})
    check(world, stripe)


def test_what_is_pending_is_booked_only_when_it_is_available() -> None:
    world, stripe = a_paid_world(replace(CHARGEBACK, is_available=False, available_on=date(2026, 4, 3)))
    assert record(world, stripe) == 0
    assert shown(world) == {"stripe/balance": "99.70", "cost/fees": "0.30"}
    [waiting] = reconcile(world.store, stripe, NOW).findings
    assert waiting.open_until == date(2026, 4, 5)

    stripe.moved[0] = replace(CHARGEBACK, available_on=date(2026, 4, 3))
    assert record(world, stripe) == 1
    assert world.entries()[-1].effective_on == date(2026, 4, 3)
    check(world, stripe)


@pytest.mark.parametrize("origin", ["ch_unknown", None])
def test_a_refund_of_a_payment_that_no_invoice_has_is_left_and_named(origin: str | None) -> None:
    stray = replace(REFUND, origin=origin)
    world, stripe = a_paid_world(stray, TOP_UP)
    assert record(world, stripe) == 1
    [difference] = reconcile(world.store, stripe, NOW).differences
    assert difference.about == stray.id


def test_a_refund_in_another_currency_than_the_invoice_is_left_and_named() -> None:
    other = replace(REFUND, currency=Currency("EUR"))
    world, stripe = a_paid_world(other)
    assert record(world, stripe) == 0
    assert [it.about for it in reconcile(world.store, stripe, NOW).differences] == [other.id]


def test_a_refund_that_overtakes_its_payment_is_booked_the_next_time() -> None:
    world, stripe = a_paid_world(replace(REFUND, origin="ch_in_acme_2026-03_2"))
    assert record(world, stripe) == 0
    before = invoice_of(world)
    stripe.pay("in_acme_2026-03", 40_00)
    paid = replace(before, total=140_00, revision=before.revision + 1)
    world.store.commit(Changes(invoices=(replace(paid, payments=stripe.payments["in_acme_2026-03"]),)))
    assert record(world, stripe) == 1


def test_a_webhook_looks_only_at_the_last_month() -> None:
    old = replace(TOP_UP, created_on=NOW.date() - timedelta(days=31))
    world, stripe = a_paid_world(old)
    assert record_movements(world.store, stripe, NOW, recent=True) == 0
    assert record_movements(world.store, stripe, NOW) == 1


def test_a_rival_that_books_first_is_no_second_booking() -> None:
    world, stripe = a_paid_world(TOP_UP, REFUND)
    entered: list[int] = []

    def rival(changes: Changes) -> None:
        if changes.once and not entered:
            entered.append(1)
            entered.append(record(world, stripe))

    world.store.before_commit = rival
    assert (record(world, stripe), entered) == (0, [1, 2])
    assert shown(world)["client/acme/receivable"] == "40.00"
    check(world, stripe)


def test_two_crashes_at_any_calls_and_another_try_book_everything_once() -> None:
    world, stripe = a_paid_world(TOP_UP, REFUND, CHARGEBACK, a_movement(MovementKind.FEE, "txn_fee", -2_00))
    start = Outside(world.store, world.registry, stripe)

    def book(now: Outside) -> object:
        return record_movements(now.store, now.stripe, NOW)

    calls = [call.name for call in calls_of(start, book)]
    assert calls.count("commit") == 4
    found = explore(start, [book], lambda _: None, crashes, 2)
    assert found.schedules > len(calls) ** 2
    for end in found.ends:
        after, its_stripe = forked(world, end)
        posted = [it.id for it in after.entries() if it.id.startswith("movement:")]
        assert (len(posted), len(set(posted))) == (4, 4)
        assert invoice_of(after).returned == 140_00
        check(after, its_stripe)


def test_a_reversal_whose_webhook_was_lost_is_booked_by_the_daily_run() -> None:
    world, stripe = World(plan=a_plan(minimum_payout="1.00")), FakeStripe()
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(10)))
    world.plan_payouts("2026-03-16")
    [id_] = world.store.stored_payouts
    sent = at("2026-03-16")
    assert follow_reversals(world.store, world.registry, stripe, sent) == ()

    transfer = send_payout(world.store, world.registry, stripe, id_, sent).stripe_transfer
    stripe.reverse(str(transfer), 200)
    assert not reconcile(world.store, stripe, at("2026-03-18")).is_clean
    for _ in range(2):
        assert follow_reversals(world.store, world.registry, stripe, sent) == (id_,)
    assert world.balance("stripe/balance") == "-3.90"
    assert reconcile(world.store, stripe, at("2026-03-18")).is_clean
    world.check()
