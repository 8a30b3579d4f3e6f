"""The earning examples of the signed-off sheet; those of payouts and incentives stand beside it."""

import json
from fractions import Fraction

import pytest

from payouts.earnings import Basis, Earning, Standing, earn
from payouts.plans import PlanHistory
from settlement.plan_payouts import NotPaid
from tests.world import PACKAGE, RATING, World, a_contract, a_plan, an_expert

CSAT = [{"at_least_percent": "100", "amount": "0.15"}]


def earned(plan: object, rating: int | None = None, standing: Standing = Standing.CHARGED) -> Earning:
    return earn(plan, Basis(standing, Fraction(99), 99, rating))  # type: ignore[arg-type]


def a_paying_world(**fields: object) -> World:
    """Maya earns a fixed amount and can be paid; every resolution is charged when it is solved."""
    world = World(plan=a_plan(**({"minimum_payout": "10.00", "hold_days": 7} | fields)))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    return world


def traced(world: World, case: str = "C1") -> dict[str, tuple[int, str]]:
    """What the last entry of a case says of each component of the earning."""
    last = next(it for it in reversed(world.entries()) if f"/{case}/" in it.id)
    return {name: (amount, why) for name, amount, why in json.loads(last.evidence)["trace"]}


def test_e1_a_share_of_the_list_price_is_rounded_once() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    assert world.balance("expert/maya/payable") == "-0.59"
    assert traced(world) == {"base": (59, "60% of the list price")}
    world.check()


EVENING = {
    "id": "evening",
    "kind": "weekly",
    "windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "18:00", "to": "22:00"}],
}


@pytest.mark.parametrize(
    ("resolved_at", "base", "surge"),
    [
        ("2026-03-02T22:59:59", 59, (0, "resolved outside evening")),
        ("2026-03-02T23:00:00", 89, (30, "base times 1.5, resolved in evening")),
        ("2026-03-03T02:59:59", 89, (30, "base times 1.5, resolved in evening")),
        ("2026-03-03T03:00:00", 59, (0, "resolved outside evening")),
    ],
)
def test_e2_a_surge_multiplies_the_base_of_what_is_resolved_in_its_calendar_in_the_clients_time_zone(
    resolved_at: str, base: int, surge: tuple[int, str]
) -> None:
    plan = a_plan(surge=[{"calendar": "evening", "multiplier": "1.5"}])
    world = World(contract=a_contract(time_zone="America/New_York", calendars=[EVENING]), plan=plan)
    world.send(world.completed("C1", resolved_at))
    assert world.balance("cost/base") == f"0.{base}"
    assert world.balance("expert/maya/payable") == f"-0.{base}"
    assert traced(world) == {"base": (59, "60% of the list price"), "surge": surge}
    world.check()


@pytest.mark.parametrize(
    ("answered_at", "earned_in_all", "said"),
    [
        ("2026-03-02T09:01:00", "0.79", (5, "first answered after 60 s, within 60 s")),
        ("2026-03-02T09:01:00.000001", "0.74", (0, "first answered after 61 s, not within 60 s")),
        (None, "0.74", (0, "when it was opened or first answered is not known")),
    ],
)
def test_e3_a_top_rating_and_a_fast_first_response_add_their_bonuses(
    answered_at: str | None, earned_in_all: str, said: tuple[int, str]
) -> None:
    plan = a_plan(csat_bonus=CSAT, response_bonus=[{"within_seconds": 60, "amount": "0.05"}])
    world = World(contract=a_contract(rating=RATING), plan=plan)
    times = {"opened_at": "2026-03-02T09:00:00Z"} | ({"first_response_at": f"{answered_at}Z"} if answered_at else {})
    world.send(world.completed("C1", "2026-03-02T10", **times), world.rated("C1", "2026-03-02T11", 5))
    assert world.balance("expert/maya/payable") == f"-{earned_in_all}"
    assert world.balance("cost/base") == "0.59"
    assert traced(world)["csat_bonus"] == (15, "rated 100.00%, at least 100%")
    assert traced(world)["response_bonus"] == said
    world.check()


REVIEWED = {"peer_review_bonus": {"at_least_percent": "75", "amount": "0.10"}}


def reviewed_before_it_settles(reviewer: str, mutual: str | None = None) -> World:
    """Maya solved C1 on 2 March; `reviewer` gave it 5 of 5 on 3 March, whose work maya had reviewed on `mutual`."""
    world = World(contract=a_contract(rating=RATING), plan=a_plan(**REVIEWED))
    if mutual is not None:
        earlier = world.completed("D1", "2026-01-20", expert=reviewer)
        world.send(earlier, world.peer_reviewed("D1", mutual, "maya", 2))
    world.send(world.completed("C1", "2026-03-02"), world.peer_reviewed("C1", "2026-03-03", reviewer, 5))
    world.send(world.rated("C1", "2026-03-04", 5))
    return world


@pytest.mark.parametrize(
    ("reviewer", "mutual", "said"),
    [
        ("noah", None, (10, "noah reviewed it with 100.00%, at least 75%")),
        ("maya", None, (0, "maya reviewed their own work")),
        ("noah", "2026-02-01", (0, "noah and maya reviewed each other within 30 days, maya on 2026-02-01")),
        ("noah", "2026-01-31T23:59:59", (10, "noah reviewed it with 100.00%, at least 75%")),
    ],
)
def test_e4_no_review_of_ones_own_work_or_given_back_within_the_days_earns_a_bonus(
    reviewer: str, mutual: str | None, said: tuple[int, str]
) -> None:
    world = reviewed_before_it_settles(reviewer, mutual)
    assert traced(world)["peer_review_bonus"] == said
    assert world.balance("expert/maya/payable") == ("-0.69" if said[0] else "-0.59")
    world.check()


def test_a_peer_review_after_the_settlement_corrects_by_difference_until_the_acceptance_limit() -> None:
    world = World(plan=a_plan(**REVIEWED))
    world.send(world.completed("C1", "2026-03-02"))
    assert traced(world)["peer_review_bonus"] == (0, "no other expert has reviewed it so far")
    world.send(world.peer_reviewed("C1", "2026-03-05", "noah", 4))
    assert (world.balance("cost/base"), world.balance("cost/bonus")) == ("0.59", "0.10")
    assert traced(world)["peer_review_bonus"] == (10, "noah reviewed it with 75.00%, at least 75%")
    world.send(world.peer_reviewed("C1", "2026-03-20", "lena", 1))
    assert world.balance("cost/bonus") == "0.00"
    world.send(world.peer_reviewed("C1", "2026-03-21", "noah", 5, received="2026-04-01T00:00:01"))
    assert world.balance("expert/maya/payable") == "-0.59"
    assert world.balance("client/acme/unbilled") == "0.99"
    assert [entry.reason for entry in world.entries()] == ["settled", "corrected", "corrected"]
    world.check()


def test_what_was_earned_is_corrected_by_the_plan_that_it_was_earned_by() -> None:
    world = World(plan=a_plan(**REVIEWED))
    world.send(world.completed("C1", "2026-03-02"))
    better = a_plan(id="better", base={"kind": "share", "percent": "90"})
    world.registry.plan_histories["better"] = PlanHistory("better", (better,))
    world.registry.all_experts["maya"] = an_expert("maya", assignments={"acme": "better"})
    world.send(world.peer_reviewed("C1", "2026-03-05", "noah", 5))
    assert world.balance("expert/maya/payable") == "-0.69"
    world.registry.all_experts["maya"] = an_expert("maya", assignments={})
    world.send(world.peer_reviewed("C1", "2026-03-06", "noah", 1))
    assert world.balance("expert/maya/payable") == "-0.59"
    world.check()


def test_what_a_plan_pays_for_an_uncharged_resolution_stays_by_the_list_price_of_its_settlement() -> None:
    tiers = {"model": "graduated", "tiers": [{"up_to": 2, "unit": "1.00"}, {"unit": "0.50"}]}
    world = World(contract=a_contract(tiers, rating=RATING), plan=a_plan(not_charged="base", **REVIEWED))
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01", 1))
    assert world.balance("cost/base") == "0.60"
    for case in ("C2", "C3", "C4"):
        world.send(world.completed(case, "2026-03-02"), world.rated(case, "2026-03-02T01", 5))
    world.send(world.peer_reviewed("C1", "2026-03-03", "noah", 5))
    assert len([entry for entry in world.entries() if "/C1/" in entry.id]) == 1
    assert world.balance("cost/base") == "2.10"
    world.check()


def test_a_bonus_that_is_not_granted_says_why() -> None:
    assert earned(a_plan(csat_bonus=CSAT), rating=7_500).trace[1] == ("csat_bonus", 0, "rated 75.00%, below 100%")
    assert earned(a_plan(csat_bonus=CSAT)).trace[1] == ("csat_bonus", 0, "nobody rated in time")


def test_e5_a_waived_resolution_pays_the_base_if_the_plan_says_so() -> None:
    plan = a_plan(base={"kind": "fixed", "amount": "0.60"}, not_charged="base", csat_bonus=CSAT)
    world = World(contract=a_contract(rating=RATING), plan=plan)
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01:00:00", 1))
    assert world.balance("expert/maya/payable") == "-0.60"
    assert world.balance("client/acme/unbilled") == "0.00"
    assert traced(world) == {
        "base": (60, "the client is not charged; the plan pays base"),
        "csat_bonus": (0, "the client is not charged"),
    }
    world.check()


def test_a_held_payout_names_every_gate_that_is_missing() -> None:
    world = a_paying_world()
    world.registry.all_experts["maya"] = an_expert("maya", gates={"contract_signed": "2026-01-01"})
    world.send(world.completed("C1", "2026-03-02"))
    [held] = world.plan_payouts("2026-03-09")
    assert isinstance(held, NotPaid)
    assert held.missing == ("background_check", "training", "tax_form", "no_stripe_account", "below_minimum")


def test_e10_only_experts_earn() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02", expert=None))
    assert world.balance("client/acme/unbilled") == "0.99"
    assert not [account for account, _ in world.trial_balance().balances if account.startswith(("expert", "cost"))]


def test_e11_a_share_of_a_package_is_of_its_price_per_unit() -> None:
    world = World(contract=a_contract(PACKAGE))
    world.send(world.completed("C1", "2026-03-02"))
    assert world.balance("expert/maya/payable") == "-0.45"


@pytest.mark.parametrize(("standing", "base"), [(Standing.FORFEITED, 0), (Standing.NOT_CHARGED, 30)])
def test_what_is_forfeited_earns_nothing_and_what_is_not_charged_earns_by_the_plan(
    standing: Standing, base: int
) -> None:
    plan = a_plan(base={"kind": "fixed", "amount": "0.60"}, not_charged="percent", not_charged_percent="50")
    earning = earned(plan, rating=10_000, standing=standing)
    assert (earning.base, earning.bonus) == (base, 0)
