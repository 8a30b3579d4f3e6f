"""Planning, approving and corrections at the same time, every interleaving: nothing is reserved or given back twice."""

from datetime import datetime

from payouts.payouts import PayoutStatus
from payouts.plans import Schedule
from settlement.approve_payouts import ApprovalRefused, approve_run, approve_small_runs, reject_run, waiting_runs
from settlement.pay_on_demand import OnDemandRefused, pay_on_demand, quote
from settlement.plan_payouts import plan_run, run_of
from settlement.ports import Contention
from settlement.settle import settle, work_from
from settlement.stripe_port import StripeRefused
from tests.exploring import explored, sending
from tests.fake_stripe import FakeStripe
from tests.faults import crashes, failures
from tests.interleaving import Outside, Worker
from tests.paying import LATER, MONDAY, RUN, USD, a_paying_world, id_of, with_policy
from tests.world import World, at

S = PayoutStatus
LATER_WEEK = at("2026-03-23")


def planning_at(as_of: datetime) -> Worker:
    """One trigger of the week's run: plan it, and approve what needs nobody."""

    def work(now: Outside) -> None:
        list(plan_run(now.store, now.registry, Schedule.WEEKLY, as_of, lambda: True))
        approve_small_runs(now.store, now.registry, run_of(Schedule.WEEKLY, as_of), as_of)

    return work


planning = planning_at(MONDAY)


def approving(world: World, by: str = "bob") -> Worker:
    """Somebody approves what waits by now."""
    [waiting] = waiting_runs(world.store)

    def work(now: Outside) -> None:
        try:
            approve_run(now.store, RUN, waiting.hash, by)
        except ApprovalRefused:
            return

    return work


def rejecting(now: Outside) -> None:
    try:
        reject_run(now.store, RUN, "carol", "the wrong week", MONDAY)
    except ApprovalRefused:
        return


def asking(world: World, key: str) -> Worker:
    """Maya agrees to an instant payout as it is shown by now."""
    shown = quote(world.store, world.registry, "maya", USD, MONDAY)

    def work(now: Outside) -> None:
        try:
            pay_on_demand(now.store, now.registry, shown, key, "maya", MONDAY)
        except OnDemandRefused:
            return

    return work


def reopening(world: World) -> Worker:
    """A client says that the first of Maya's cases was not solved."""
    work = work_from([world.reopened("maya-0", "2026-03-08")])

    def deliver(now: Outside) -> None:
        failed = settle(now.store, now.registry, work).failed
        if failed:
            raise Contention(str(failed))

    return deliver


def statuses(world: World) -> list[PayoutStatus]:
    return [payout.status for payout in sorted(world.store.payouts(), key=lambda it: it.id)]


def test_two_triggers_of_one_run_reserve_each_payout_once_whoever_dies() -> None:
    world = with_policy(a_paying_world("maya", "noah", cases=1), per_run="1000.00", per_day="1000.00")
    found, ends = explored(world, [planning] * 2, crashes, 1)
    assert found.schedules > 10**9
    for after, stripe in ends:
        assert statuses(after) == [S.SENT, S.SENT]
        assert len(stripe.transfers) == 2
        assert {it.id: it.minor_units for it in after.store.stored_spent.values()} == {
            f"run/{RUN}/USD": 10_000,
            "day/2026-03-16/USD": 10_000,
        }


def test_whatever_fails_while_a_run_is_planned_it_is_planned_whole() -> None:
    world = with_policy(a_paying_world("maya", "noah", cases=1), approve_above="100.00")
    found, ends = explored(world, [planning], failures, 3)
    assert found.schedules > 10**4
    assert {(*statuses(after), len(stripe.transfers)) for after, stripe in ends} == {(S.SENT, S.SENT, 2)}


def test_no_schedule_lets_two_triggers_reserve_more_than_the_limit() -> None:
    world = with_policy(a_paying_world("maya", "noah", "zoe", cases=1), per_run="100.00")
    _, ends = explored(world, [planning] * 2)
    for after, _ in ends:
        assert after.store.stored_spent[f"run/{RUN}/USD"].minor_units == 10_000
        assert statuses(after) == [S.SENT, S.SENT]


def test_a_correction_at_whatever_moment_is_in_the_payout_or_netted_later() -> None:
    world = a_paying_world()
    found, ends = explored(world, [planning, reopening(world)], crashes, 1)
    assert found.schedules > 10**5
    paid = {(after.balance("stripe/balance"), after.balance("expert/maya/payable")) for after, _ in ends}
    assert paid == {("-100.00", "50.00"), ("-50.00", "0.00")}


def test_a_correction_of_what_was_released_before_is_not_lost_whatever_else_moves_it() -> None:
    world = with_policy(a_paying_world(), per_expert="60.00")
    world.plan_payouts("2026-03-16")
    refused = FakeStripe(fail=[(StripeRefused("account_closed", "closed"), False)])
    workers = [planning_at(LATER_WEEK), reopening(world), sending()]
    _, ends = explored(world, workers, stripe=refused)
    paid = {(after.balance("stripe/balance"), after.balance("expert/maya/payable")) for after, _ in ends}
    assert paid == {("-60.00", "10.00"), ("-50.00", "0.00"), ("-40.00", "-10.00"), ("0.00", "-50.00")}
    assert {after.balance("cost/base") for after, _ in ends} == {"50.00"}


def test_an_instant_payout_and_the_run_share_what_is_available_and_nothing_is_paid_twice() -> None:
    world = with_policy(a_paying_world(), instant_fee_percent="1", per_day="1000.00")
    found, ends = explored(world, [planning, asking(world, "k1"), asking(world, "k2")])
    assert found.schedules > 10**6
    outcomes = {(len(stripe.transfers), after.balance("expert/maya/payable")) for after, stripe in ends}
    assert outcomes == {(1, "0.00")}
    assert {payout.run for after, _ in ends for payout in after.store.payouts()} == {
        RUN,
        "on-demand-k1",
        "on-demand-k2",
    }


def test_a_request_that_comes_three_times_at_once_is_never_refused_for_having_been_granted() -> None:
    world = with_policy(a_paying_world(), instant_fee_percent="1", per_day="1000.00")
    shown = quote(world.store, world.registry, "maya", USD, MONDAY)

    def ask(now: Outside) -> None:
        assert pay_on_demand(now.store, now.registry, shown, "k1", "maya", MONDAY).gross == 10_000

    found, ends = explored(world, [ask] * 3, crashes, 1)
    assert found.schedules > 10**9
    assert {tuple(it.gross for it in after.store.payouts()) for after, _ in ends} == {(10_000,)}


def test_an_instant_payout_is_what_was_agreed_or_is_not_made() -> None:
    world = with_policy(a_paying_world(), instant_fee_percent="1")
    _, ends = explored(world, [asking(world, "k1"), asking(world, "k1"), reopening(world)], crashes, 1)
    assert {tuple(it.gross for it in after.store.payouts()) for after, _ in ends} == {(10_000,), ()}


def a_waiting_world(*names: str) -> World:
    world = with_policy(a_paying_world(*names, cases=1), approve_above="10.00")
    planning(Outside(world.store, world.registry, None))
    assert set(statuses(world)) == {S.PLANNED}
    return world


def test_two_people_who_approve_the_same_run_at_once_approve_each_payout_once() -> None:
    world = a_waiting_world("maya", "noah")
    found, ends = explored(world, [approving(world), approving(world, "carol")], failures, 2)
    assert found.schedules > 10**6
    for after, stripe in ends:
        assert len(stripe.transfers) == 2
        assert all(payout.approved_by in {"bob", "carol"} for payout in after.store.payouts())


def test_what_one_approves_and_another_rejects_is_sent_or_given_back_and_never_both() -> None:
    world = a_waiting_world("maya", "noah")
    found, ends = explored(world, [approving(world), rejecting], failures, 2)
    assert found.schedules > 10**6
    for after, stripe in ends:
        sent = [it.id for it in after.store.payouts() if it.status is S.SENT]
        assert sorted(it.id for it in stripe.transfers.values()) == sorted(sent)
        assert set(statuses(after)) <= {S.SENT, S.FAILED}


def test_what_is_rejected_is_never_approved_by_policy_for_being_small_by_then() -> None:
    world = with_policy(a_paying_world("maya", "noah", cases=1), approve_above="60.00")
    planning(Outside(world.store, world.registry, None))
    _, ends = explored(world, [rejecting, planning], crashes, 1)
    assert {(*statuses(after), len(stripe.transfers)) for after, stripe in ends} == {(S.FAILED, S.FAILED, 0)}


def test_a_payout_is_sent_only_once_it_is_approved() -> None:
    world = a_waiting_world("maya")
    _, ends = explored(world, [approving(world), rejecting, sending(id_of(), LATER)], crashes, 1)
    assert {(*statuses(after), len(stripe.transfers)) for after, stripe in ends} == {(S.SENT, 1), (S.FAILED, 0)}
