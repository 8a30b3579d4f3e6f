"""Payouts: one transfer whatever crashes, fails or comes twice."""

import json

import pytest

from payouts.payouts import Payout, PayoutStatus, PayoutStuck, moved
from payouts.policy import PayoutPolicy, PayoutsStopped
from settlement.ports import Changes
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.stripe_port import NotEnoughFunds, StripeBusy, StripeRefused, StripeUnclear
from tests.fake_stripe import FakeStripe
from tests.paying import USD
from tests.world import World, a_plan, an_expert, at

MONDAY, LATER = at("2026-03-16"), at("2026-03-18")


def a_world_with_earnings() -> World:
    """Maya has 5.90 that matured, and a Stripe account."""
    world = World(plan=a_plan(minimum_payout="1.00"))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(10)))
    return world


def planned(world: World) -> Payout:
    """Maya's payout of the week, planned now or before."""
    world.plan_payouts("2026-03-16")
    payout = world.store.payout("payout:maya:USD:2026-W12")
    assert payout is not None
    return payout


def test_a_run_planned_twice_plans_each_payout_once() -> None:
    world = a_world_with_earnings()
    assert planned(world).gross == 590
    assert world.plan_payouts("2026-03-16") == []
    assert world.balance("expert/maya/payable") == "0.00"
    assert world.balance("expert/maya/in_transit") == "-5.90"
    world.check()


def test_earnings_still_held_are_not_paid() -> None:
    world = a_world_with_earnings()
    world.send(world.completed("D1", "2026-03-15"))
    assert planned(world).amount == 590
    assert world.balance("expert/maya/payable") == "-0.59"


def test_a_sent_payout_leaves_the_stripe_balance_and_sending_it_again_does_nothing() -> None:
    world, stripe = a_world_with_earnings(), FakeStripe()
    payout = planned(world)
    for _ in range(2):
        assert send_payout(world.store, world.registry, stripe, payout.id, MONDAY).status == PayoutStatus.SENT
    assert len(stripe.transfers) == 1
    assert world.balance("expert/maya/in_transit") == "0.00"
    assert world.balance("stripe/balance") == "-5.90"
    assert reconcile(world.store, stripe, LATER).is_clean


@pytest.mark.parametrize("is_made", [False, True])
def test_an_unclear_answer_keeps_the_reservation_and_the_next_try_finds_or_repeats_it(*, is_made: bool) -> None:
    world, stripe = a_world_with_earnings(), FakeStripe(fail=[(StripeUnclear("timed out"), is_made)])
    payout = planned(world)
    with pytest.raises(StripeUnclear):
        send_payout(world.store, world.registry, stripe, payout.id, MONDAY)
    assert world.store.payout(payout.id).status == PayoutStatus.UNKNOWN  # type: ignore[union-attr]
    assert world.balance("expert/maya/in_transit") == "-5.90"
    done = send_payout(world.store, world.registry, stripe, payout.id, LATER)
    assert (done.status, done.attempt, len(stripe.transfers)) == (PayoutStatus.SENT, 1, 1)


def test_a_stored_error_ends_the_attempt_and_a_new_key_is_used() -> None:
    replayed = StripeUnclear("500", replayed=True)
    world, stripe = a_world_with_earnings(), FakeStripe(fail=[(replayed, False)])
    payout = planned(world)
    with pytest.raises(StripeUnclear):
        send_payout(world.store, world.registry, stripe, payout.id, MONDAY)
    done = send_payout(world.store, world.registry, stripe, payout.id, LATER)
    assert (done.status, done.attempt, len(stripe.transfers)) == (PayoutStatus.SENT, 2, 1)


def test_a_stored_error_after_the_transfer_was_made_is_no_second_transfer() -> None:
    world, stripe = a_world_with_earnings(), FakeStripe(fail=[(StripeUnclear("500", replayed=True), True)])
    done = send_payout(world.store, world.registry, stripe, planned(world).id, MONDAY)
    assert (done.status, done.attempt, len(stripe.transfers)) == (PayoutStatus.SENT, 1, 1)


def test_missing_funds_wait_and_are_sent_once_they_are_there() -> None:
    short = NotEnoughFunds("balance_insufficient", "too little")
    world, stripe = a_world_with_earnings(), FakeStripe(fail=[(short, False)])
    payout = planned(world)
    waiting = send_payout(world.store, world.registry, stripe, payout.id, MONDAY)
    assert (waiting.status, waiting.why) == (PayoutStatus.APPROVED, "balance_insufficient")
    assert world.balance("expert/maya/in_transit") == "-5.90"
    done = send_payout(world.store, world.registry, stripe, payout.id, LATER)
    assert (done.status, done.attempt, len(stripe.transfers)) == (PayoutStatus.SENT, 2, 1)


def test_a_busy_stripe_changes_nothing() -> None:
    world, stripe = a_world_with_earnings(), FakeStripe(fail=[(StripeBusy("429"), False)])
    payout = planned(world)
    with pytest.raises(StripeBusy):
        send_payout(world.store, world.registry, stripe, payout.id, MONDAY)
    assert world.store.payout(payout.id).status == PayoutStatus.SENDING  # type: ignore[union-attr]
    assert send_payout(world.store, world.registry, stripe, payout.id, LATER).attempt == 1
    assert len(stripe.transfers) == 1


def test_a_definitive_refusal_gives_the_reservation_back() -> None:
    world, stripe = a_world_with_earnings(), FakeStripe(fail=[(StripeRefused("account_closed", "closed"), False)])
    failed = send_payout(world.store, world.registry, stripe, planned(world).id, MONDAY)
    assert (failed.status, failed.why) == (PayoutStatus.FAILED, "account_closed")
    assert world.balance("expert/maya/payable") == "-5.90"
    assert world.balance("expert/maya/in_transit") == "0.00"
    world.check()


def test_a_correction_that_lands_while_the_run_plans_is_not_lost() -> None:
    world = a_world_with_earnings()
    rivals = iter([lambda: world.send(world.reopened("C1", "2026-03-08"))])

    def rival(changes: Changes) -> None:
        if changes.payouts and (move := next(rivals, None)):
            move()

    world.store.before_commit = rival
    assert planned(world).amount == 531
    world.check()


# Several workers at once, and crashes: test_interleavings.py and test_crash_points.py.


STOPPED = PayoutsStopped("alice", MONDAY, "a wrong rate")


def test_the_kill_switch_stops_what_is_approved_and_says_who_and_why() -> None:
    world, stripe = a_world_with_earnings(), FakeStripe()
    payout = planned(world)
    world.registry.stop_payouts(STOPPED)
    waiting = send_payout(world.store, world.registry, stripe, payout.id, MONDAY)
    assert (waiting.status, waiting.why) == (PayoutStatus.APPROVED, "stopped: by alice because a wrong rate")
    assert send_payout(world.store, world.registry, stripe, payout.id, MONDAY) == waiting
    assert stripe.transfers == {}
    world.registry.resume_payouts()
    done = send_payout(world.store, world.registry, stripe, payout.id, LATER)
    assert (done.status, done.why) == (PayoutStatus.SENT, "")


@pytest.mark.parametrize("is_made", [False, True])
def test_the_kill_switch_lets_nobody_repeat_a_request_and_still_finds_what_was_transferred(*, is_made: bool) -> None:
    world, stripe = a_world_with_earnings(), FakeStripe(fail=[(StripeUnclear("timed out"), is_made)])
    payout = planned(world)
    with pytest.raises(StripeUnclear):
        send_payout(world.store, world.registry, stripe, payout.id, MONDAY)
    world.registry.stop_payouts(STOPPED)
    now = send_payout(world.store, world.registry, stripe, payout.id, LATER)
    assert (now.status, now.why) == (
        (PayoutStatus.SENT, "") if is_made else (PayoutStatus.UNKNOWN, "stopped: by alice because a wrong rate")
    )
    assert len(stripe.transfers) == is_made


def test_what_waits_for_a_second_person_is_not_sent() -> None:
    world, stripe = a_world_with_earnings(), FakeStripe()
    world.registry.known_policies = {USD: PayoutPolicy(id=USD, approve_above="0")}
    payout = planned(world)
    assert send_payout(world.store, world.registry, stripe, payout.id, MONDAY) == payout
    assert stripe.transfers == {}


def test_a_payout_that_does_not_exist_is_an_error_of_whoever_asks() -> None:
    world = a_world_with_earnings()
    with pytest.raises(LookupError, match="there is no payout payout:zoe:USD:2026-W12"):
        send_payout(world.store, world.registry, FakeStripe(), "payout:zoe:USD:2026-W12", MONDAY)


def test_a_step_that_is_not_allowed_names_the_payout_and_both_states() -> None:
    payout = planned(a_world_with_earnings())
    with pytest.raises(PayoutStuck, match=f"{payout.id} is approved and cannot become sent"):
        moved(payout, PayoutStatus.SENT)


def test_the_entries_of_a_payout_say_what_decided_them() -> None:
    world, stripe = a_world_with_earnings(), FakeStripe()
    send_payout(world.store, world.registry, stripe, planned(world).id, MONDAY)
    reserved, sent = [json.loads(entry.evidence) for entry in world.entries() if entry.book == "expert/maya"]
    assert reserved == {"run": "2026-W12", "planned_by": "schedule"}
    assert sent == {"run": "2026-W12", "attempt": 1, "transfer": "tr_1", "approved_by": "policy"}
