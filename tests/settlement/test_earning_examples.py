"""The earning examples of the signed-off sheet that this engine covers so far."""

from fractions import Fraction

import pytest

from payouts.earnings import Basis, Earning, Standing, earn
from payouts.payouts import PayoutStatus
from settlement.pay import plan_run, send_payout
from tests.fake_stripe import FakeStripe
from tests.world import PACKAGE, RATING, World, a_contract, a_plan, an_expert, at

CSAT = [{"at_least_percent": "100", "amount": "0.15"}]


def earned(plan: object, rating: int | None = None, standing: Standing = Standing.CHARGED) -> Earning:
    return earn(plan, Basis(standing, Fraction(99), 99, rating))  # type: ignore[arg-type]


def a_paying_world(**fields: object) -> World:
    """Maya earns a fixed amount and can be paid; every resolution is charged when it is solved."""
    world = World(plan=a_plan(**({"minimum_payout": "10.00", "hold_days": 7} | fields)))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    return world


def test_e1_a_share_of_the_list_price_is_rounded_once() -> None:
    assert earned(a_plan(base={"kind": "share", "percent": "60"})).base == 59


def test_e3_a_top_rating_adds_its_bonus_and_the_trace_says_why() -> None:
    earning = earned(a_plan(csat_bonus=CSAT), rating=10_000)
    assert (earning.base, earning.bonus) == (59, 15)
    assert earning.trace[1] == ("csat_bonus", 15, "rated 100.00%, at least 100%")


def test_a_bonus_that_is_not_granted_says_why() -> None:
    assert earned(a_plan(csat_bonus=CSAT), rating=7_500).trace[1] == ("csat_bonus", 0, "rated 75.00%, below 100%")
    assert earned(a_plan(csat_bonus=CSAT)).trace[1] == ("csat_bonus", 0, "nobody rated in time")


def test_only_the_highest_tier_reached_pays() -> None:
    tiers = [{"at_least_percent": "50", "amount": "0.05"}, {"at_least_percent": "75", "amount": "0.10"}]
    assert [earned(a_plan(csat_bonus=tiers), rating=r).bonus for r in (4_999, 5_000, 7_499, 7_500)] == [0, 5, 5, 10]


def test_e5_a_waived_resolution_pays_the_base_if_the_plan_says_so() -> None:
    plan = a_plan(base={"kind": "fixed", "amount": "0.60"}, not_charged="base", csat_bonus=CSAT)
    world = World(contract=a_contract(rating=RATING), plan=plan)
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01:00:00", 1))
    assert world.balance("expert/maya/payable") == "-0.60"
    assert world.balance("client/acme/unbilled") == "0.00"
    world.check()


def test_e7_a_clawback_after_payout_is_netted_against_what_comes_next() -> None:
    world = a_paying_world(base={"kind": "fixed", "amount": "0.74"})
    stripe = FakeStripe()
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(20)))
    [first] = plan_run(world.store, world.registry, at("2026-03-09")).payouts
    assert first.amount == 1480
    assert send_payout(world.store, stripe, first.id, at("2026-03-09")).status == PayoutStatus.SENT
    world.send(world.reopened("C1", "2026-03-09"))
    assert world.balance("expert/maya/payable") == "0.74"
    world.send(*(world.completed(f"D{i}", "2026-03-09") for i in range(17)))
    [second] = plan_run(world.store, world.registry, at("2026-03-16")).payouts
    assert second.amount == 17 * 74 - 74
    assert world.balance("expert/maya/payable") == "0.00"
    world.check()


def test_e9_less_than_the_minimum_is_carried_and_says_so() -> None:
    world = a_paying_world(base={"kind": "fixed", "amount": "9.99"})
    world.send(world.completed("C1", "2026-03-02"))
    run = plan_run(world.store, world.registry, at("2026-03-09"))
    assert run.payouts == ()
    assert [(it.minor_units, it.missing) for it in run.not_paid] == [(999, ("below_minimum",))]


def test_a_held_payout_names_every_gate_that_is_missing() -> None:
    world = a_paying_world()
    world.registry.all_experts["maya"] = an_expert("maya", gates={"contract_signed": "2026-01-01"})
    world.send(world.completed("C1", "2026-03-02"))
    [held] = plan_run(world.store, world.registry, at("2026-03-09")).not_paid
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
