"""A crash before, during and after every call of the payout and webhook workflows, and then recovery.

Which calls there are is found by running a workflow, never listed: a new call is covered because it is made. At each
one the worker dies before it, or after it took effect and before the answer came; or the answer is an error, with the
call done or not. Then it is delivered again; or it never is, and a rival comes, later and by another way.
"""

from contextlib import suppress
from datetime import datetime

import pytest

from payouts.payouts import Instant, PayoutStatus
from payouts.plans import Schedule
from settlement.approve_payouts import ApprovalRefused, approve_run, approve_small_runs, reject_run
from settlement.onboard import onboard
from settlement.pay_on_demand import pay_on_demand, quote
from settlement.plan_payouts import plan_run
from settlement.send_payouts import send_payout
from tests.exploring import explored
from tests.fake_stripe import FakeStripe
from tests.faults import crashes, disappearances, failures
from tests.interleaving import Outside, Worker, calls_of
from tests.paying import LATER, MONDAY, RUN, USD, a_paying_world, with_policy
from tests.world import World

INSTANT = {"instant_fee_percent": "1", "instant_fee_minimum": "0.50"}


def planning(now: Outside, as_of: datetime) -> None:
    for _ in plan_run(now.store, now.registry, Schedule.WEEKLY, as_of, lambda: True):
        pass


def sending_all(now: Outside, as_of: datetime) -> None:
    for id_ in sorted(now.store.unfinished_payouts()):
        send_payout(now.store, now.registry, now.stripe, id_, as_of)


def paying_a_run(as_of: datetime = MONDAY) -> Worker:
    """A run from its trigger to the last transfer, with a second person."""

    def work(now: Outside) -> None:
        planning(now, as_of)
        waiting = approve_small_runs(now.store, now.registry, RUN, as_of)
        with suppress(ApprovalRefused):  # there is nothing that waits, or no more
            approve_run(now.store, RUN, waiting.hash, "bob")
        sending_all(now, as_of)

    return work


def rejecting_a_run(as_of: datetime = MONDAY) -> Worker:
    def work(now: Outside) -> None:
        planning(now, as_of)
        with suppress(ApprovalRefused):
            reject_run(now.store, RUN, "bob", "the wrong week", as_of)

    return work


def paying_on_demand(as_of: datetime = MONDAY) -> Worker:
    """Maya agrees to what is shown to her before anything happens."""
    world = an_instant_offer()
    shown = quote(world.store, world.registry, "maya", USD, MONDAY)

    def work(now: Outside) -> None:
        made = pay_on_demand(now.store, now.registry, shown, "k1", "maya", as_of)
        send_payout(now.store, now.registry, now.stripe, made.id, as_of)

    return work


def onboarding_and_paying(as_of: datetime = MONDAY) -> Worker:
    def work(now: Outside) -> None:
        for _ in onboard(now.store, now.registry, now.stripe, as_of):
            pass
        paying_a_run(as_of)(now)

    return work


def a_large_run() -> World:
    """Two experts, of whom one's pay is withheld in part; every limit counts, and a second person is needed."""
    world = a_paying_world("maya", "noah", cases=1, withholding_percent="24")
    return with_policy(world, per_expert="40.00", per_run="500.00", per_day="500.00", approve_above="60.00")


def one_payout() -> World:
    return with_policy(a_paying_world(cases=1), approve_above="10.00")


def a_small_run() -> World:
    return with_policy(a_paying_world("maya", "noah", cases=1), approve_above="100.00")


def an_instant_offer() -> World:
    return with_policy(a_paying_world(withholding_percent="24"), **INSTANT)


WORKFLOWS = {
    "large_run": (a_large_run, paying_a_run, 45),
    "one_payout": (one_payout, paying_a_run, 25),
    "small_run": (a_small_run, paying_a_run, 40),
    "rejected_run": (a_large_run, rejecting_a_run, 20),
    "instant_payout": (an_instant_offer, paying_on_demand, 19),
    "onboarding": (lambda: a_paying_world(stripe_account=None), onboarding_and_paying, 25),
}


def books(world: World) -> dict[tuple[str, str], int]:
    """What is not zero in the ledger."""
    return {key: minor for key, minor in world.trial_balance().balances.items() if minor}


def ends_of_all_crashes(world: World, workflow: Worker, rival: Worker) -> tuple[int, list[World]]:
    """Fail at every call in every way, one at a time, and recover: how many calls there are, and every end."""
    calls, ends = calls_of(Outside(world.store, world.registry, FakeStripe()), workflow), []
    for faults, then in ((failures, []), (disappearances, [rival])):
        found, worlds = explored(world, [workflow], faults, 1, then=then)
        assert found.schedules == 1 + sum(len(faults(call)) for call in calls), "every point is tried once"
        ends += [after for after, _ in worlds]
    return len(calls), ends


def refused(world: World) -> bool:
    """Whether Stripe said no for good to some of it: a transfer, or the way to the bank at once."""
    return any(
        (it.status is PayoutStatus.FAILED and it.why == "account_closed") or it.instant is Instant.REFUSED
        for it in world.store.payouts()
    )


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_crash_at_any_point_of_a_payout_workflow_is_recovered_from(name: str) -> None:
    a_world, workflow, least = WORKFLOWS[name]
    _, [(usual, _)] = explored(a_world(), [workflow(MONDAY)])
    calls, ends = ends_of_all_crashes(a_world(), workflow(MONDAY), workflow(LATER))
    assert calls >= least
    for world in ends:
        assert refused(world) or books(world) == books(usual)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_crash_while_a_crash_is_recovered_from_is_recovered_from(name: str) -> None:
    a_world, workflow, least = WORKFLOWS[name]
    _, [(usual, _)] = explored(a_world(), [workflow(MONDAY)])
    found, ends = explored(a_world(), [workflow(MONDAY)], crashes, 2)
    assert found.schedules > least**2
    assert all(books(world) == books(usual) for world, _ in ends)


@pytest.mark.parametrize(("name", "deaths"), [("one_payout", 0), ("onboarding", 0), ("instant_payout", 1)])
def test_a_rival_at_any_moment_and_a_death_at_any_other_change_nothing(name: str, deaths: int) -> None:
    a_world, workflow, _ = WORKFLOWS[name]
    _, [(usual, _)] = explored(a_world(), [workflow(MONDAY)])
    found, ends = explored(a_world(), [workflow(MONDAY), workflow(LATER)], crashes, deaths)
    assert found.schedules > 10**12
    assert all(books(world) == books(usual) for world, _ in ends)
