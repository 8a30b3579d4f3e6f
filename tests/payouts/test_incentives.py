"""Incentives, decided purely: what each kind asks for, at its boundaries, and what it says where it is not granted."""

import random
from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ledger.money import Currency
from payouts.awards import (
    Award,
    Finding,
    Ranking,
    award_before,
    explain_referral,
    explain_training,
    explain_weeks,
    rank,
)
from payouts.incentives import Top, Week, WeekCount, first_day, last_day, week_before, week_of
from payouts.plans import PayPlan, PlanHistory
from tests.world import a_plan

WEEK = Week("2026-W10")  # 2 to 8 March
QUEST = {"kind": "quest", "id": "fifty", "resolutions": 50, "average_percent": "87.5", "amount": "25.00"}
STREAK = {"kind": "streak", "id": "three", "weeks": 3, "resolutions": 10, "amount": "30.00"}
TOP = {"kind": "top", "id": "best", "places": 3, "budget": "100.00"}
REFERRAL = {"kind": "referral", "id": "friend", "resolutions": 20, "amount": "50.00"}
TRAINING = {"kind": "training", "id": "school", "amount": "15.00"}


def history(*incentives: Mapping[str, object], later: PayPlan | None = None) -> PlanHistory:
    first = a_plan(incentives=incentives)
    return PlanHistory("standard", (first, later) if later else (first,))


def count(resolutions: int, *ratings: int, expert: str = "maya", week: Week = WEEK) -> WeekCount:
    return WeekCount(expert, "standard", week, resolutions, len(ratings), sum(ratings))


def no_ranking(_: Week, __: Top) -> Ranking:
    raise AssertionError("nobody asked for a ranking")


def of_week(plan: PlanHistory, *counts: WeekCount) -> Finding:
    """What the one incentive of the plan comes to in the last of the weeks."""
    [finding] = explain_weeks(plan, {it.week: it for it in counts}, [counts[-1].week], no_ranking)
    return finding


def first_weeks(number: int) -> list[Week]:
    """So many weeks from WEEK on."""
    return [week_of(first_day(WEEK) + timedelta(weeks=place)) for place in range(number)]


# -- quests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counted", "amount", "why"),
    [
        (count(50, 8750, 8750), 2500, "50 resolutions, at least 50; rated 87.50% on average, at least 87.5%"),
        (count(51, 8750, 8749), 0, "rated 87.49% on average, below 87.5%"),
        (count(49, 10_000), 0, "49 of 50 resolutions"),
        (count(50), 0, "none was rated, and an average of 87.5% is asked for"),
        (count(0), 0, "0 of 50 resolutions"),
    ],
)
def test_a_quest_needs_both_its_number_and_its_average_and_includes_them(
    counted: WeekCount, amount: int, why: str
) -> None:
    finding = of_week(history(QUEST), counted)
    assert (finding.amount, finding.why) == (amount, why)


def test_a_quest_without_an_average_asks_nobody_for_ratings() -> None:
    quest = {"kind": "quest", "id": "ten", "resolutions": 10, "amount": "5.00"}
    assert of_week(history(quest), count(10)).amount == 500


def test_the_average_is_exact_however_many_ratings_it_is_of() -> None:
    thirds = [6666, 6666, 6667]  # 66.6633...%
    assert of_week(history(QUEST | {"average_percent": "66.663", "resolutions": 3}), count(3, *thirds)).amount == 2500
    assert of_week(history(QUEST | {"average_percent": "66.664", "resolutions": 3}), count(3, *thirds)).amount == 0


def test_a_finding_says_what_it_was_decided_by() -> None:
    assert of_week(history(QUEST), count(50, 8800)).proof == {
        "plan": "standard@2026-01-01",
        "incentive": "fifty",
        "kind": "quest",
        "week": "2026-W10",
        "resolutions": 50,
        "rated": 1,
        "average": "88.00%",
        "why": "50 resolutions, at least 50; rated 88.00% on average, at least 87.5%",
    }


def test_the_version_of_a_weeks_monday_decides_that_week_whole() -> None:
    wednesday, monday = date(2026, 3, 4), date(2026, 3, 9)
    for starts_on, amounts in ((wednesday, [2500, 9900]), (monday, [2500, 9900])):
        later = a_plan(starts_on=starts_on, incentives=[QUEST | {"amount": "99.00"}])
        plan = history(QUEST, later=later)
        counts = [count(50, 9000), count(50, 9000, week=Week("2026-W11"))]
        assert [of_week(plan, it).amount for it in counts] == amounts


# -- streaks -----------------------------------------------------------------------------------------------------------


def test_a_streak_pays_with_every_third_week_of_an_unbroken_row() -> None:
    weeks = first_weeks(8)
    done = [10, 12, 10, 10, 9, 11, 10, 10]
    counts = [count(number, week=week) for number, week in zip(done, weeks, strict=True)]
    amounts = [of_week(history(STREAK), *counts[: place + 1]).amount for place in range(len(counts))]
    assert amounts == [0, 0, 3000, 0, 0, 0, 0, 3000]


def test_a_streak_that_goes_on_pays_again_and_says_how_far_it_is() -> None:
    counts = [count(10, week=week) for week in first_weeks(6)]
    findings = [of_week(history(STREAK), *counts[: place + 1]) for place in range(6)]
    assert [it.amount for it in findings] == [0, 0, 3000, 0, 0, 3000]
    assert [it.proof["row"] for it in findings] == [1, 2, 3, 4, 5, 6]
    assert findings[3].why == "week 4 in a row, and every 3 in a row pay; 10 resolutions, at least 10"


def test_a_week_without_any_resolution_breaks_a_streak() -> None:
    first, _, third, fourth = first_weeks(4)
    counts = [count(10, week=week) for week in (first, third, fourth)]
    assert of_week(history(STREAK), *counts).proof["row"] == 2


def test_each_week_of_a_streak_is_judged_by_its_own_version() -> None:
    stricter = a_plan(starts_on="2026-03-16", incentives=[STREAK | {"resolutions": 20}])
    counts = [count(number, week=week) for number, week in zip([10, 10, 20], first_weeks(3), strict=True)]
    assert of_week(history(STREAK, later=stricter), *counts).amount == 3000


def test_a_streak_goes_on_over_the_end_of_a_year_with_53_weeks() -> None:
    weeks = [Week("2026-W52"), Week("2026-W53"), Week("2027-W01")]
    assert of_week(history(STREAK), *(count(10, week=week) for week in weeks)).amount == 3000


# -- the best of a week ------------------------------------------------------------------------------------------------


def places(counts: list[WeekCount], **fields: object) -> dict[str, int]:
    """What each expert gets by the ranking of all."""
    plan = history(TOP | fields)
    rankings = rank(counts, lambda _: [it for it in plan.versions[0].incentives if isinstance(it, Top)])
    found = {}
    for it in counts:
        [finding] = explain_weeks(plan, {it.week: it}, [it.week], lambda _, top: rankings["standard", top.id])
        found[it.expert] = finding.amount
    return found


def test_the_budget_is_shared_in_equal_parts_and_its_rest_goes_to_the_first_places() -> None:
    counts = [count(30, expert="ann"), count(20, expert="bob"), count(10, expert="cid"), count(5, expert="dan")]
    assert places(counts) == {"ann": 3334, "bob": 3333, "cid": 3333, "dan": 0}
    assert places(counts, budget="0.05") == {"ann": 2, "bob": 2, "cid": 1, "dan": 0}


def test_ties_go_to_the_higher_average_then_to_the_first_id_and_the_unrated_come_last() -> None:
    counts = [
        count(10, expert="zoe"),
        count(10, 9000, expert="yan"),
        count(10, 9000, 9001, expert="xav"),
        count(10, 9000, expert="bob"),
        count(10, 0, expert="ann"),
    ]
    assert places(counts, places=5, budget="0.15") == {"xav": 3, "bob": 3, "yan": 3, "ann": 3, "zoe": 3}
    assert [name for name, amount in places(counts, places=2).items() if amount] == ["xav", "bob"]
    assert [name for name, amount in places(counts, places=4).items() if not amount] == ["zoe"]


def test_a_place_that_nobody_takes_stays_unpaid() -> None:
    counts = [count(30, expert="ann"), count(4, expert="bob"), count(0, expert="cid")]
    assert places(counts) == {"ann": 3334, "bob": 3333, "cid": 0}
    assert places(counts, least_resolutions=5) == {"ann": 3334, "bob": 0, "cid": 0}


def test_who_takes_no_place_is_told_why() -> None:
    top = history(TOP | {"places": 1, "least_resolutions": 5})
    ranking = [count(30, expert="ann")]
    for counted, why in (
        (count(29), "not among the first 1, the last of whom has 30 resolutions"),
        (count(4), "4 resolutions, and a place takes 5"),
    ):
        [finding] = explain_weeks(top, {WEEK: counted}, [WEEK], lambda _, __: ranking)
        assert (finding.amount, finding.why) == (0, why)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(0, 10_000), max_size=2)), max_size=12),
    st.integers(1, 6),
    st.integers(6, 10_000),
    st.randoms(use_true_random=False),
)
def test_a_ranking_never_pays_more_than_its_budget_and_is_the_same_in_any_order(
    done: list[tuple[int, list[int]]], number: int, budget: int, rng: random.Random
) -> None:
    counts = [count(many, *ratings, expert=f"e{place}") for place, (many, ratings) in enumerate(done)]
    fields = {"places": number, "budget": f"{budget // 100}.{budget % 100:02d}"}
    paid = places(counts, **fields)
    taken = sum(1 for it in counts if it.resolutions)
    assert sum(paid.values()) <= budget
    assert sum(paid.values()) == budget or taken < number
    assert sum(1 for amount in paid.values() if amount) == min(taken, number)
    assert places(rng.sample(counts, len(counts)), **fields) == paid


# -- referrals and training --------------------------------------------------------------------------------------------


def referred(plan: PlanHistory, as_of: str, *counts: WeekCount) -> Finding:
    [finding] = explain_referral(plan, {it.week: it for it in counts}, "noah", date.fromisoformat(as_of))
    return finding


def test_a_referral_pays_the_referrer_once_the_week_that_completes_the_number_is_final() -> None:
    counts = [count(12), count(8, week=Week("2026-W11")), count(30, week=Week("2026-W12"))]
    waiting = referred(history(REFERRAL), "2026-04-14", *counts)
    assert waiting.amount == 0
    assert waiting.why == "maya has 20 of 20 resolutions with 2026-W11, final on 2026-04-15"
    paid = referred(history(REFERRAL), "2026-04-15", *counts)
    assert (paid.expert, paid.scope, paid.amount, paid.earned_on) == ("noah", "maya", 5000, date(2026, 3, 15))


def test_a_referral_with_too_few_resolutions_says_how_many_there_are() -> None:
    finding = referred(history(REFERRAL), "2026-12-01", count(12), count(7, week=Week("2026-W11")))
    assert (finding.amount, finding.why) == (0, "maya has 19 of 20 resolutions with 2026-W11")


def test_a_referral_is_earned_by_the_version_of_the_week_that_completes_it_and_stays_so() -> None:
    later = a_plan(starts_on="2026-03-16", incentives=[REFERRAL | {"amount": "99.00", "resolutions": 21}])
    counts = [count(20), count(1, week=Week("2026-W12"))]
    assert referred(history(REFERRAL, later=later), "2026-12-01", *counts).amount == 5000


def test_training_pays_once_for_the_first_day_that_a_version_pays_for() -> None:
    later = a_plan(starts_on="2026-03-02", incentives=[TRAINING])
    plan = PlanHistory("standard", (a_plan(), later))

    def stipends(*passed_on: str, as_of: str = "2026-12-01") -> list[tuple[int, date]]:
        days = [date.fromisoformat(day) for day in passed_on]
        found = explain_training(plan, "maya", days, date.fromisoformat(as_of))
        return [(it.amount, it.earned_on) for it in found]

    assert stipends("2026-03-01") == []
    assert stipends("2026-03-02") == [(1500, date(2026, 3, 2))]
    assert stipends("2026-02-01", "2026-09-01", "2026-05-01") == [(1500, date(2026, 5, 1))]
    assert stipends("2025-12-31") == []
    assert stipends("2026-06-02", as_of="2026-06-01") == []


# -- what a plan may say -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"incentives": [QUEST, STREAK | {"id": "fifty"}]}, r"incentives\[1\].id: there is another incentive fifty"),
        ({"incentives": [QUEST | {"amount": "0.005"}]}, r"incentives\[0\]: 0.005 is not a whole number of minor units"),
        ({"incentives": [QUEST | {"amount": "0.50"}], "currency": "JPY"}, "not a whole number of minor units of JPY"),
        ({"incentives": [TOP | {"budget": "0.02"}]}, "less than one minor unit for each place"),
        ({"incentives": [QUEST | {"amount": "0"}]}, "pays more than 0"),
        ({"incentives": [QUEST | {"average_percent": "100.5"}]}, "no average that can be reached"),
        ({"incentives": [QUEST | {"resolutions": 0}]}, "greater than 0"),
        ({"incentives": [STREAK | {"weeks": 1}]}, "greater than or equal to 2"),
        ({"incentives": [REFERRAL | {"final_after_days": 61}]}, "less than or equal to 60"),
        ({"incentives": [{"kind": "raffle", "id": "x"}]}, "does not match any of the expected tags"),
    ],
)
def test_an_incentive_that_cannot_be_paid_is_refused_with_the_reason(fields: dict[str, object], refused: str) -> None:
    with pytest.raises(ValidationError, match=refused):
        a_plan(**fields)


@given(st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_a_week_holds_its_days_from_monday_to_sunday_and_follows_on_the_one_before(day: date) -> None:
    week = week_of(day)
    assert first_day(week) <= day <= last_day(week)
    assert (first_day(week).isoweekday(), last_day(week).isoweekday()) == (1, 7)
    assert last_day(week_before(week)) + timedelta(days=1) == first_day(week)


@pytest.mark.parametrize("percent", ["0.5", "1", "100"])
def test_an_average_may_be_anything_that_can_be_reached_and_missed(percent: str) -> None:
    plan = a_plan(incentives=[QUEST | {"average_percent": percent}])
    assert plan.incentives[0].model_dump()["average_percent"] == percent
    with pytest.raises(ValidationError, match="0 is no average that can be reached; it is above 0 and at most 100"):
        a_plan(incentives=[QUEST | {"average_percent": "0"}])


def test_the_week_before_is_the_last_one_that_ended() -> None:
    assert week_before(Week("2027-W01")) == "2026-W53"
    assert week_before(Week("2026-W11")) == WEEK


def test_what_is_counted_adds_up_and_may_be_taken_back() -> None:
    one = WeekCount("maya", "standard", WEEK, 5, 2, 15_000)
    other = WeekCount("maya", "standard", WEEK, -1, -1, -5_000)
    assert one.plus(other) == WeekCount("maya", "standard", WEEK, 4, 1, 10_000)
    assert one.average == 7_500
    assert WeekCount("maya", "standard", WEEK).average is None


def test_an_award_begins_at_nothing_and_its_hold_ends_the_plans_days_after_it_was_earned() -> None:
    finding = of_week(PlanHistory("standard", (a_plan(incentives=[QUEST], hold_days=5),)), count(50, 9000))
    award = Award("maya", "standard", "fifty", WEEK, Currency("USD"), 0, date(2026, 3, 13))
    assert award_before(finding) == award
    assert award.key == finding.key == ("maya", "standard", "fifty", WEEK)


def test_a_referral_says_what_it_was_decided_by_and_each_referral_is_one_of_its_own() -> None:
    more = REFERRAL | {"id": "more", "resolutions": 30, "amount": "70.00"}
    plan = history(REFERRAL, more)
    counts = [count(20), count(10, week=Week("2026-W11")), count(1, week=Week("2026-W12"))]

    first, second = explain_referral(plan, {it.week: it for it in counts}, "noah", date(2026, 12, 1))

    assert first.proof == {
        "plan": "standard@2026-01-01",
        "incentive": "friend",
        "kind": "referral",
        "referred": "maya",
        "week": "2026-W10",
        "resolutions": 20,
        "why": "maya has 20 of 20 resolutions with 2026-W10, final on 2026-04-08",
    }
    assert (first.earned_on, first.amount) == (date(2026, 3, 8), 5000)
    assert (second.incentive, second.earned_on, second.amount) == ("more", date(2026, 3, 15), 7000)
    assert not first.stays


def test_a_training_is_passed_on_the_day_itself_and_is_never_corrected() -> None:
    days = [date(2025, 6, 1), date(2026, 3, 2)]  # the first of them is before any version
    [finding] = explain_training(history(TRAINING), "maya", days, date(2026, 3, 2))
    assert finding.proof == {
        "plan": "standard@2026-01-01",
        "incentive": "school",
        "kind": "training",
        "passed_on": "2026-03-02",
        "why": "the training was passed on 2026-03-02",
    }
    assert (finding.scope, finding.amount, finding.stays) == ("once", 1500, True)


def test_a_week_that_does_not_qualify_ends_the_row_and_says_so() -> None:
    finding = of_week(history(STREAK), count(9))
    assert (finding.amount, finding.why) == (0, "9 of 10 resolutions")
    assert finding.proof["row"] == 0


def test_what_is_no_weekly_incentive_hides_none_that_is() -> None:
    plan = history(REFERRAL, TRAINING, QUEST)
    assert of_week(plan, count(50, 9000)).incentive == "fifty"


def test_a_place_is_named_in_the_proof_and_so_is_why_there_is_none() -> None:
    top = history(TOP | {"least_resolutions": 5})
    ranking = [count(30, expert="zoe"), count(5)]

    def found(counted: WeekCount, ranked: Ranking) -> Mapping[str, object]:
        [finding] = explain_weeks(top, {WEEK: counted}, [WEEK], lambda _, __: ranked)
        return {name: value for name, value in finding.proof.items() if name in {"place", "why"}}

    assert found(count(5), ranking) == {"place": 2, "why": "place 2 of 3"}
    assert found(count(5, expert="noah"), ranking) == {
        "why": "not among the first 3, the last of whom has 5 resolutions"
    }
    assert found(count(5), []) == {"why": "not among the first 3"}


def test_whoever_has_more_than_the_last_of_full_places_comes_in() -> None:
    tops = {"three": 3, "one": 1}
    wanted = [Top.model_validate(TOP | {"id": name, "places": places}) for name, places in tops.items()]
    counts = [count(many, expert=f"e{many}") for many in (30, 20, 10, 15, 9, 40)]

    found = rank(counts, lambda _: wanted)

    assert {key[1]: [it.resolutions for it in ranking] for key, ranking in found.items()} == {
        "three": [40, 30, 20],
        "one": [40],
    }
    earlier = rank(counts[:4], lambda _: wanted)
    assert [it.resolutions for it in earlier["standard", "three"]] == [30, 20, 15]


def test_a_budget_may_be_one_minor_unit_for_each_place() -> None:
    assert a_plan(incentives=[TOP | {"budget": "0.03"}]).incentives[0].id == "best"


def test_a_week_before_the_first_version_has_no_incentives() -> None:
    plan = history(QUEST)
    assert plan.for_week(Week("2025-W52")) is None
    assert list(explain_weeks(plan, {Week("2025-W52"): count(50)}, [Week("2025-W52")], no_ranking)) == []
