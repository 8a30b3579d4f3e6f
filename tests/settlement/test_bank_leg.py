"""After the transfer: reversals are owed again once; what the bank does changes a status and never what is owed."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from payouts.payouts import Payout, PayoutStatus
from settlement.bank_leg import follow_account, follow_bank_payout, follow_transfer
from settlement.plan_payouts import NotPaid
from settlement.send_payouts import send_payout
from settlement.stripe_port import BankPayoutStatus
from tests.fake_stripe import FakeStripe
from tests.paying import LATER, MONDAY, a_paying_world, check_end, id_of, with_policy
from tests.world import World, at

ACCOUNT = "acct_maya"
S, B = PayoutStatus, BankPayoutStatus


def a_sent_payout(**fields: object) -> tuple[World, FakeStripe]:
    world, stripe = a_paying_world(**fields), FakeStripe()  # type: ignore[arg-type]  # an expert's
    world.plan_payouts()
    send_payout(world.store, world.registry, stripe, id_of(), MONDAY)
    follow_account(world.store, world.registry, stripe, ACCOUNT, MONDAY)
    return world, stripe


def the_payout(world: World, run: str = "2026-W12") -> Payout:
    return world.store.stored_payouts[id_of(run=run)]


def told(world: World) -> list[str]:
    return [it.type for it in world.store.announced.values()]


def bank(
    world: World, stripe: FakeStripe, status: BankPayoutStatus, day: str = "2026-03-18", id_: str = "po_1"
) -> tuple[str, ...]:
    """A bank payout of Maya's money gets this far, and a webhook tells it."""
    if id_ not in stripe.bank_payouts:
        stripe.pay_out(id_, "tr_1", status=B.IN_TRANSIT, created_at=at(day))
    code = "account_closed" if status is B.FAILED else None
    stripe.end_bank_payout(id_, status, code)
    return follow_bank_payout(world.store, world.registry, stripe, ACCOUNT, id_, at(day))


# -- reversals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "status", "payable"),
    [((10_000,), S.REVERSED, "-100.00"), ((2_500,), S.SENT, "-25.00"), ((2_500, 7_500), S.REVERSED, "-100.00")],
)
def test_what_is_reversed_is_owed_again_once_however_often_it_is_told(
    steps: tuple[int, ...], status: PayoutStatus, payable: str
) -> None:
    world, stripe = a_sent_payout()
    for step in steps:
        stripe.reverse("tr_1", step)
        for _ in range(3):
            follow_transfer(world.store, world.registry, stripe, id_of(), LATER)
    assert (the_payout(world).status, the_payout(world).reversed) == (status, sum(steps))
    assert world.balance("expert/maya/payable") == payable
    assert told(world).count("payout.reversed") == len(steps)
    check_end(world, stripe)


def test_what_was_reversed_is_paid_by_the_next_run() -> None:
    world, stripe = a_sent_payout()
    stripe.reverse("tr_1", 10_000)
    follow_transfer(world.store, world.registry, stripe, id_of(), LATER)
    [again] = world.plan_payouts("2026-03-23")
    assert isinstance(again, Payout)
    assert (again.gross, again.run) == (10_000, "2026-W13")
    assert send_payout(world.store, world.registry, stripe, again.id, at("2026-03-23")).status is S.SENT
    assert len(stripe.transfers) == 2
    check_end(world, stripe)


def test_a_reversal_gives_back_what_was_transferred_and_not_what_was_withheld() -> None:
    world, stripe = a_sent_payout(withholding_percent="24")
    stripe.reverse("tr_1", 7_600)
    follow_transfer(world.store, world.registry, stripe, id_of(), LATER)
    assert (world.balance("expert/maya/payable"), world.balance("tax/withheld")) == ("-76.00", "-24.00")
    check_end(world, stripe)


def test_a_reversal_that_comes_before_its_transfer_is_known_is_booked_behind_it() -> None:
    world, stripe = a_paying_world(), FakeStripe()
    world.plan_payouts()
    stripe.transfer(replace(the_payout(world), attempt=1))
    stripe.reverse("tr_1", 10_000)
    world.store.stored_payouts[id_of()] = replace(the_payout(world), status=S.SENDING, attempt=1)
    follow_transfer(world.store, world.registry, stripe, id_of(), LATER)
    assert [entry.reason for entry in world.entries()[-2:]] == ["payout_sent", "payout_reversed"]
    assert the_payout(world).status is S.REVERSED
    check_end(world, stripe)


# -- the bank ----------------------------------------------------------------------------------------------------------


def test_a_bank_payout_that_arrives_makes_the_payout_paid_and_is_told_once() -> None:
    world, stripe = a_sent_payout()
    assert bank(world, stripe, B.IN_TRANSIT) == (id_of(),)
    assert (the_payout(world).status, the_payout(world).bank_payout) == (S.SENT, "po_1")
    for _ in range(3):
        bank(world, stripe, B.PAID)
    assert the_payout(world).status is S.PAID
    assert told(world).count("payout.paid") == 1
    check_end(world, stripe)


@pytest.mark.parametrize("status", [B.FAILED, B.CANCELED])
def test_a_bank_payout_that_comes_back_changes_a_status_and_not_what_is_owed(status: BankPayoutStatus) -> None:
    world, stripe = a_sent_payout()
    before = world.entries()
    bank(world, stripe, B.PAID)
    for _ in range(3):
        bank(world, stripe, status, "2026-03-23")
    payout = the_payout(world)
    assert (payout.status, payout.bank_failure) == (S.SENT, "account_closed" if status is B.FAILED else "canceled")
    assert told(world).count("payout.bank_failed") == 1
    assert world.entries() == before
    check_end(world, stripe)


def test_the_next_try_that_arrives_ends_the_failure() -> None:
    world, stripe = a_sent_payout()
    bank(world, stripe, B.FAILED)
    bank(world, stripe, B.PAID, "2026-03-20", "po_2")
    payout = the_payout(world)
    assert (payout.status, payout.bank_payout, payout.bank_failure) == (S.PAID, "po_2", None)


def test_what_a_bank_payout_carries_may_be_known_only_later() -> None:
    world, stripe = a_sent_payout()
    stripe.pay_out("po_1", "tr_1")
    carried, stripe.bank_payouts["po_1"] = (
        stripe.bank_payouts["po_1"],
        replace(stripe.bank_payouts["po_1"], transfers=()),
    )
    assert follow_bank_payout(world.store, world.registry, stripe, ACCOUNT, "po_1", LATER) == ()
    assert the_payout(world).status is S.SENT
    stripe.bank_payouts["po_1"] = carried
    assert follow_bank_payout(world.store, world.registry, stripe, ACCOUNT, "po_1", LATER) == (id_of(),)
    assert the_payout(world).status is S.PAID


def test_a_transfer_made_by_hand_and_an_account_of_nobody_are_passed_over() -> None:
    world, stripe = a_sent_payout()
    stripe.pay_out("po_1", "tr_1")
    stripe.transfers["tr_1"] = replace(stripe.transfers["tr_1"], id=None)  # type: ignore[arg-type]  # nobody's
    stripe.change_account(ACCOUNT, expert=None)
    before = world.registry.known_statuses["maya"]
    assert follow_bank_payout(world.store, world.registry, stripe, ACCOUNT, "po_1", LATER) == ()
    assert follow_account(world.store, world.registry, stripe, ACCOUNT, LATER) is None
    assert world.registry.known_statuses["maya"] == before


# -- a bank account that does not work ---------------------------------------------------------------------------------


def fail(world: World, stripe: FakeStripe, number: int) -> None:
    """The bank returns its payouts 1 to `number`, one a day."""
    for place in range(1, number + 1):
        bank(world, stripe, B.FAILED, f"2026-03-{16 + place}", f"po_{place}")


def planned(world: World, day: str) -> Payout | NotPaid:
    """What becomes of 50.00 more by a run of that day."""
    world.send(world.completed(f"more-{day}", "2026-03-03"))
    [outcome] = world.plan_payouts(day)
    return outcome


@pytest.mark.parametrize(("failures", "is_held"), [(2, False), (3, True)])
def test_three_payouts_that_one_bank_account_returned_hold_what_comes_next(failures: int, *, is_held: bool) -> None:
    world, stripe = a_sent_payout()
    fail(world, stripe, failures)
    outcome = planned(world, "2026-03-23")
    assert isinstance(outcome, NotPaid) == is_held
    if isinstance(outcome, NotPaid):
        assert outcome.missing == ("bank_failing: it returned 3 payouts; change the bank account",)
        assert world.balance("expert/maya/payable") == "-50.00"


def test_a_payout_that_the_bank_takes_ends_the_row() -> None:
    world, stripe = a_sent_payout()
    fail(world, stripe, 2)
    bank(world, stripe, B.PAID, "2026-03-19", "po_3")
    bank(world, stripe, B.FAILED, "2026-03-20", "po_4")
    bank(world, stripe, B.FAILED, "2026-03-21", "po_5")
    assert isinstance(planned(world, "2026-03-23"), Payout)


def test_a_changed_bank_account_is_paid_again_once_it_cooled_off() -> None:
    world, stripe = a_sent_payout()
    with_policy(world, cooling_off_days=3)
    fail(world, stripe, 3)
    stripe.change_account(ACCOUNT, bank="bank_2")
    follow_account(world.store, world.registry, stripe, ACCOUNT, at("2026-03-21"))
    held = planned(world, "2026-03-23")
    assert isinstance(held, NotPaid)
    assert held.missing == ("bank_changed: the new bank account is paid from 2026-03-24",)
    assert isinstance(planned(world, "2026-03-30"), Payout)


def test_a_payout_planned_before_the_bank_account_was_changed_waits_until_it_cooled_off() -> None:
    world, stripe = with_policy(a_paying_world(), cooling_off_days=3), FakeStripe()
    world.plan_payouts()
    stripe.change_account(ACCOUNT, bank="bank_2")
    follow_account(world.store, world.registry, stripe, ACCOUNT, MONDAY)
    for days, status in ((0, S.APPROVED), (2, S.APPROVED), (3, S.SENT)):
        done = send_payout(world.store, world.registry, stripe, id_of(), MONDAY + timedelta(days=days))
        assert done.status is status
        waits = "bank_changed: the new bank account is paid from 2026-03-19"
        assert done.why == (waits if status is S.APPROVED else "")
    check_end(world, stripe)


def test_the_day_of_a_change_is_kept_however_often_the_account_is_looked_at() -> None:
    world, stripe = a_sent_payout()
    stripe.change_account(ACCOUNT, bank="bank_2")
    for day in ("2026-03-20", "2026-03-25"):
        follow_account(world.store, world.registry, stripe, ACCOUNT, at(day))
    assert world.registry.known_statuses["maya"].bank_changed_on == date(2026, 3, 20)
