"""Pay plans: what a version may say, which version is in force, and which may join a history."""

from datetime import date

import pytest
from pydantic import ValidationError

from payouts.plans import PayPlan, PlanHistory, PlanNotInForce, PlanRefused, add_version
from tests.world import a_plan


def refusal(**fields: object) -> str:
    with pytest.raises(ValidationError) as refused:
        a_plan(**fields)
    [error] = refused.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


def test_what_a_plan_does_not_say_is_the_plainest() -> None:
    plan = a_plan()

    assert (plan.surge, plan.csat_bonus, plan.response_bonus, plan.peer_review_bonus) == ((), (), (), None)
    assert (plan.language_bonus, plan.bonus_cap, plan.stacking) == (None, None, "all")


def test_a_plan_survives_the_registry_as_it_was() -> None:
    plan = a_plan(
        surge=[{"calendar": "night", "multiplier": "1.5"}],
        response_bonus=[{"within_seconds": 60, "amount": "0.05"}],
        language_bonus={"languages": ["es"], "amount": "0.08"},
        peer_review_bonus={"at_least_percent": "75", "amount": "0.10"},
        stacking="highest",
        bonus_cap="0.20",
    )

    assert PayPlan.model_validate_json(plan.model_dump_json(exclude_none=True)) == plan
    assert plan.peer_review_bonus is not None
    assert plan.peer_review_bonus.not_mutual_within_days == 30


@pytest.mark.parametrize("multiplier", ["0", "-1", "10.1", "150"])
def test_a_multiplier_is_above_zero_and_no_percentage(multiplier: str) -> None:
    said = refusal(surge=[{"calendar": "night", "multiplier": multiplier}])

    assert said == f"{multiplier} is no multiplier: it is above 0 and at most 10, such as '1.5' for half as much again"


def test_a_calendar_has_one_multiplier_and_a_response_time_one_amount() -> None:
    surge = [{"calendar": name, "multiplier": "2"} for name in ("night", "sunday", "night")]
    tiers = [{"within_seconds": 60, "amount": amount} for amount in ("0.05", "0.04")]

    assert refusal(surge=surge) == "surge[2].calendar: night stands in surge[0] already"
    assert refusal(response_bonus=tiers) == "response_bonus[1].within_seconds: 60 stands in response_bonus[0] already"


@pytest.mark.parametrize(
    "fields",
    [
        {"response_bonus": [{"within_seconds": 0, "amount": "0.05"}]},
        {"language_bonus": {"languages": [], "amount": "0.05"}},
        {"peer_review_bonus": {"at_least_percent": "75", "amount": "-0.10"}},
        {"peer_review_bonus": {"at_least_percent": "75", "amount": "0.10", "not_mutual_within_days": -1}},
        {"stacking": "some"},
        {"bonus_cap": "-0.01"},
        {"not_charged": "percent"},
        {"not_charged_percent": "50"},
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    assert refusal(**fields)


# -- histories ---------------------------------------------------------------------------------------------------------


def test_the_version_in_force_is_the_last_that_has_begun() -> None:
    history = PlanHistory("standard", (a_plan(), a_plan(starts_on="2026-03-01", hold_days=3)))

    assert history.in_force(date(2026, 2, 28)).hold_days == 7
    assert history.in_force(date(2026, 3, 1)).hold_days == 3
    with pytest.raises(PlanNotInForce, match="standard has no version in force on 2025-12-31; apply one"):
        history.in_force(date(2025, 12, 31))


def test_a_version_replaces_the_one_that_starts_with_it_and_joins_behind_all_others() -> None:
    first, later = a_plan(), a_plan(starts_on="2026-03-01")
    better = a_plan(starts_on="2026-03-01", hold_days=3)

    assert add_version((first, later), better) == (first, better)
    assert add_version((first,), later) == (first, later)
    with pytest.raises(PlanRefused, match="starts_on: 2026-02-01 is before the version of 2026-03-01"):
        add_version((first, later), a_plan(starts_on="2026-02-01"))


def test_a_plan_keeps_its_currency_for_life() -> None:
    with pytest.raises(PlanRefused, match="currency: a plan keeps USD for life; make a new plan instead"):
        add_version((a_plan(),), a_plan(currency="EUR", starts_on="2026-03-01"))
