"""Planning: what is available becomes a payout per expert, currency and run, within limits, or says what is missing."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from payouts.payouts import Payout, PayoutStatus
from payouts.plans import PlanHistory, Schedule
from settlement.expert_status import GatePassed
from settlement.plan_payouts import (
    HOLDS_PER_TRANSACTION,
    NotPaid,
    due_schedules,
    next_run_day,
    plan_run,
    preview,
    run_of,
    schedules_to_plan,
)
from settlement.registry import Gate
from settlement.stripe_port import TransfersCapability
from tests.fake_stripe import FakeStripe
from tests.paying import MONDAY, RUN, USD, a_paying_world, check_end, id_of, send_all, with_policy
from tests.world import World, a_plan, an_expert, at


def amounts(outcomes: list[Payout | NotPaid]) -> dict[str, int | tuple[str, ...]]:
    """What each expert is paid in minor units, or what is missing."""
    return {it.expert: it.gross if isinstance(it, Payout) else it.missing for it in outcomes}


# -- limits ------------------------------------------------------------------------------------------------------------


def test_more_than_an_experts_limit_is_paid_over_several_runs() -> None:
    world = with_policy(a_paying_world(), per_expert="60.00")
    assert amounts(world.plan_payouts("2026-03-16")) == {"maya": 6_000}
    assert world.balance("expert/maya/payable") == "-40.00"
    assert amounts(world.plan_payouts("2026-03-23")) == {"maya": 4_000}
    stripe = FakeStripe()
    send_all(world, stripe)
    assert [it.amount for it in stripe.transfers.values()] == [6_000, 4_000]
    check_end(world, stripe)


@pytest.mark.parametrize(("limit", "missing"), [("per_run", ("above_run_limit",)), ("per_day", ("above_day_limit",))])
def test_a_limit_is_reached_and_not_passed_and_the_rest_waits_for_the_next_run(
    limit: str, missing: tuple[str, ...]
) -> None:
    world = with_policy(a_paying_world("maya", "noah", "zoe"), **{limit: "200.00"})
    assert amounts(world.plan_payouts("2026-03-16")) == {"maya": 10_000, "noah": 10_000, "zoe": missing}
    assert amounts(world.plan_payouts("2026-03-23")) == {"zoe": 10_000}


@pytest.mark.parametrize(("withheld", "taken"), [("0", 1_230), ("24", 1_224)])
def test_of_a_currency_with_three_decimals_multiples_of_ten_are_transferred(withheld: str, taken: int) -> None:
    base = {"kind": "fixed", "amount": "1.234"}
    plan: dict[str, object] = {"currency": "BHD", "base": base, "minimum_payout": "0"}
    [payout] = a_paying_world(cases=1, plan=plan, withholding_percent=withheld).plan_payouts()
    assert isinstance(payout, Payout)
    assert payout.amount % 10 == 0
    assert (payout.gross, payout.withheld) == (taken, round(taken * int(withheld) / 100))


def test_a_payout_that_does_not_fit_lets_a_smaller_one_through() -> None:
    world = a_paying_world("maya", "noah", "zoe")
    world.send(*(world.completed(f"more-{i}", "2026-03-02", "noah") for i in range(3)))
    with_policy(world, per_run="210.00")
    assert amounts(world.plan_payouts()) == {"maya": 10_000, "noah": ("above_run_limit",), "zoe": 10_000}


def test_a_day_counts_what_all_its_runs_reserve() -> None:
    world = with_policy(a_paying_world("maya", "noah"), per_day="150.00")
    world.registry.plan_histories["daily"] = PlanHistory("daily", (a_plan(id="daily", payout_schedule="daily"),))
    assignments = {"acme": "daily"}
    world.registry.all_experts["noah"] = an_expert("noah", stripe_account="acct_noah", assignments=assignments)
    assert amounts(world.plan_payouts(schedule=Schedule.DAILY)) == {"noah": 10_000}
    assert amounts(world.plan_payouts(schedule=Schedule.WEEKLY)) == {"maya": ("above_day_limit",)}
    assert amounts(world.plan_payouts("2026-03-17", Schedule.WEEKLY)) == {}
    assert amounts(world.plan_payouts("2026-03-23", Schedule.WEEKLY)) == {"maya": 10_000}


def test_without_a_policy_nothing_is_limited_and_nothing_counted() -> None:
    world = a_paying_world("maya", "noah")
    assert amounts(world.plan_payouts()) == {"maya": 10_000, "noah": 10_000}
    assert world.store.stored_spent == {}
    assert {it.status for it in world.store.payouts()} == {PayoutStatus.APPROVED}


# -- what is missing ---------------------------------------------------------------------------------------------------


def test_a_lost_capability_is_named_with_what_stripe_asks_for() -> None:
    world = a_paying_world()
    status = world.registry.known_statuses["maya"]
    asked = ("individual.verification.document", "tos_acceptance")
    world.registry.known_statuses["maya"] = replace(
        status, transfers=TransfersCapability.RESTRICTED, requirements=asked
    )
    named = "stripe_transfers_restricted: Stripe asks for individual.verification.document, tos_acceptance"
    assert amounts(world.plan_payouts()) == {"maya": (named,)}
    assert world.balance("expert/maya/payable") == "-100.00"


def test_an_account_that_stripe_was_never_asked_about_is_unknown() -> None:
    world = a_paying_world()
    world.registry.known_statuses = {}
    assert amounts(world.plan_payouts()) == {"maya": ("stripe_transfers_unknown",)}


def test_a_gate_holds_to_the_end_of_its_last_day_and_is_missing_behind_it() -> None:
    world = a_paying_world(plan={"payout_schedule": "daily"})
    training = GatePassed(Gate.TRAINING, date(2026, 1, 5), "academy", expires_on=date(2026, 3, 16))
    world.registry.known_statuses["maya"] = replace(world.registry.known_statuses["maya"], gates=(training,))
    late = a_paying_world(plan={"payout_schedule": "daily"})
    late.registry.known_statuses = world.registry.known_statuses
    assert amounts(world.plan_payouts("2026-03-16", Schedule.DAILY)) == {"maya": 10_000}
    assert amounts(late.plan_payouts("2026-03-17", Schedule.DAILY)) == {"maya": ("training",)}


def test_everything_that_is_missing_is_named_at_once() -> None:
    world = with_policy(a_paying_world(cases=1, plan={"minimum_payout": "75.00"}, gates={}), per_run="10.00")
    world.registry.all_experts["maya"] = world.registry.all_experts["maya"].model_copy(update={"stripe_account": None})
    gates = ("contract_signed", "background_check", "training", "tax_form")
    missing = (*gates, "no_stripe_account", "below_minimum", "above_run_limit")
    assert world.plan_payouts() == [NotPaid("maya", USD, 5_000, missing)]


@pytest.mark.parametrize(("minimum", "is_paid"), [("100.00", True), ("100.01", False)])
def test_the_minimum_is_inclusive(minimum: str, *, is_paid: bool) -> None:
    world = a_paying_world(plan={"minimum_payout": minimum})
    assert amounts(world.plan_payouts()) == {"maya": 10_000 if is_paid else ("below_minimum",)}


def test_of_several_plans_the_highest_minimum_counts() -> None:
    world = a_paying_world()
    world.registry.plan_histories["gold"] = PlanHistory("gold", (a_plan(id="gold", minimum_payout="250.00"),))
    assignments = {"acme": "standard", "globex": "gold"}
    world.registry.all_experts["maya"] = an_expert(stripe_account="acct_maya", assignments=assignments)
    assert amounts(world.plan_payouts()) == {"maya": ("below_minimum",)}


def test_who_works_by_no_plan_any_more_is_named_and_keeps_what_is_owed() -> None:
    world = a_paying_world()
    world.registry.all_experts["maya"] = an_expert(stripe_account="acct_maya", assignments={})
    assert amounts(world.plan_payouts()) == {"maya": ("no_pay_plan",)}


def test_a_debt_is_no_payout_and_is_not_named() -> None:
    world = a_paying_world()
    world.plan_payouts()
    world.send(world.reopened("maya-0", "2026-03-08"))
    assert world.balance("expert/maya/payable") == "50.00"
    assert world.plan_payouts("2026-03-23") == []


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "due"),
    [
        ("2026-03-16T06:00:00", {Schedule.DAILY: "2026-03-16", Schedule.WEEKLY: "2026-W12"}),
        ("2026-03-17T00:00:00", {Schedule.DAILY: "2026-03-17"}),
        ("2026-04-01T23:59:59", {Schedule.DAILY: "2026-04-01", Schedule.MONTHLY: "2026-04"}),
        (
            "2026-06-01T06:00:00",
            {Schedule.DAILY: "2026-06-01", Schedule.WEEKLY: "2026-W23", Schedule.MONTHLY: "2026-06"},
        ),
        ("2024-12-30T06:00:00", {Schedule.DAILY: "2024-12-30", Schedule.WEEKLY: "2025-W01"}),
    ],
)
def test_each_schedule_has_its_run_on_its_day(as_of: str, due: dict[Schedule, str]) -> None:
    assert {schedule: run_of(schedule, at(as_of)) for schedule in due_schedules(at(as_of))} == due


def test_the_day_of_a_run_is_in_utc_whatever_the_triggers_zone() -> None:
    tokyo = at("2026-03-16T01:00:00").astimezone(ZoneInfo("Asia/Tokyo"))
    auckland = at("2026-03-15T20:00:00").astimezone(ZoneInfo("Pacific/Auckland"))
    assert run_of(Schedule.DAILY, tokyo) == "2026-03-16"
    assert Schedule.WEEKLY not in due_schedules(auckland)


@pytest.mark.parametrize(
    ("schedule", "after", "day"),
    [
        (Schedule.DAILY, "2026-12-31", "2027-01-01"),
        (Schedule.WEEKLY, "2026-03-08", "2026-03-09"),
        (Schedule.WEEKLY, "2026-03-09", "2026-03-16"),
        (Schedule.MONTHLY, "2026-03-01", "2026-04-01"),
        (Schedule.MONTHLY, "2026-12-31", "2027-01-01"),
    ],
)
def test_the_next_run_is_on_a_later_day(schedule: Schedule, after: str, day: str) -> None:
    assert next_run_day(schedule, date.fromisoformat(after)) == date.fromisoformat(day)


@pytest.mark.parametrize("schedule", list(Schedule))
def test_an_expert_is_paid_by_the_most_frequent_schedule_of_their_plans(schedule: Schedule) -> None:
    world = a_paying_world(plan={"payout_schedule": "monthly"})
    other = a_plan(id="other", payout_schedule=schedule)
    world.registry.plan_histories["other"] = PlanHistory("other", (other,))
    assignments = {"acme": "standard", "globex": "other"}
    world.registry.all_experts["maya"] = an_expert(stripe_account="acct_maya", assignments=assignments)
    paid = {it: amounts(world.plan_payouts("2026-03-16", it)) for it in Schedule}
    assert paid == {it: {"maya": 10_000} if it is schedule else {} for it in Schedule}


def test_a_run_that_had_no_time_goes_on_where_it_was_and_plans_nobody_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.plan_payouts.EXPERTS_PER_READ", 1)
    world = a_paying_world("maya", "noah", "zoe", cases=1)
    for time_for, planned in ((0, []), (1, ["maya"]), (1, ["noah"]), (9, ["zoe"]), (9, [])):
        has_time = iter([True] * time_for + [False]).__next__
        outcomes = list(plan_run(world.store, world.registry, Schedule.WEEKLY, MONDAY, has_time))
        assert [it.expert for it in outcomes] == planned
    state = world.store.payout_run(RUN)
    assert state is not None
    assert state.is_finished


def test_a_run_that_its_day_was_too_short_for_goes_on_the_next_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.plan_payouts.EXPERTS_PER_READ", 1)
    world = a_paying_world("maya", "noah", cases=1)
    tuesday = at("2026-03-17")
    assert schedules_to_plan(world.store, tuesday) == (Schedule.DAILY,)
    has_time = iter([True, False]).__next__
    assert len(list(plan_run(world.store, world.registry, Schedule.WEEKLY, MONDAY, has_time))) == 1
    assert schedules_to_plan(world.store, tuesday) == (Schedule.DAILY, Schedule.WEEKLY)
    assert amounts(world.plan_payouts("2026-03-17")) == {"noah": 5_000}
    assert schedules_to_plan(world.store, tuesday) == (Schedule.DAILY,)
    assert schedules_to_plan(world.store, MONDAY) == (Schedule.DAILY, Schedule.WEEKLY)


def test_an_expert_who_earned_only_after_the_run_was_finished_is_in_the_next_one() -> None:
    world = a_paying_world("maya", "noah", cases=1)
    world.plan_payouts()
    world.send(world.completed("late", "2026-03-03", "maya"))
    assert world.plan_payouts() == []
    assert amounts(world.plan_payouts("2026-03-23")) == {"maya": 5_000}


def test_more_holds_than_fit_into_a_transaction_are_all_paid_at_once() -> None:
    world = World(plan=a_plan(base={"kind": "fixed", "amount": "1.00"}))
    world.registry.all_experts["maya"] = an_expert(stripe_account="acct_maya")
    days = 2 * HOLDS_PER_TRANSACTION + 5
    first = at("2026-01-01")
    times = ((first + timedelta(days=day)).isoformat()[:19] for day in range(days))
    world.send(*(world.completed(f"C{day}", time) for day, time in enumerate(times)))
    assert amounts(world.plan_payouts("2026-08-03")) == {"maya": days * 100}
    assert world.balance("expert/maya/payable") == "0.00"
    world.check()


def test_a_preview_says_what_a_run_would_do_and_writes_nothing() -> None:
    world = with_policy(a_paying_world("maya", "noah"), per_expert="60.00", approve_above="10.00")
    world.registry.all_experts["noah"] = an_expert("noah", stripe_account="acct_noah", gates={})
    before = world.entries()
    shown = list(preview(world.store, world.registry, MONDAY))
    assert amounts(shown) == amounts(world.plan_payouts())
    assert world.entries()[: len(before)] == before
    assert [it.id for it in world.store.payouts()] == [id_of()]


@pytest.mark.parametrize(
    ("as_of", "due"),
    [
        ("2026-03-16T00:30:00+14:00", [Schedule.DAILY]),  # still Sunday in UTC
        ("2026-03-15T23:30:00-02:00", [Schedule.DAILY, Schedule.WEEKLY]),  # Monday in UTC
        ("2026-03-31T23:30:00-02:00", [Schedule.DAILY, Schedule.MONTHLY]),
        ("2026-06-01T12:00:00+00:00", list(Schedule)),
        ("2026-03-17T12:00:00+00:00", [Schedule.DAILY]),
    ],
)
def test_schedules_are_due_by_the_day_in_utc(as_of: str, due: list[Schedule]) -> None:
    assert list(due_schedules(datetime.fromisoformat(as_of))) == due
