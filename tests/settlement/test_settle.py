"""Settlement: one end for any order, repetition and interleaving of the same facts; nothing is lost."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.contracts import Contract, ContractHistory
from billing.periods import Period
from events.adapters.doors import Agents, unknown_expert
from events.adapters.systems import System
from events.decode import Delivery
from events.facts import CaseId
from ledger.balances import TrialBalance
from settlement.cases import CycleState, CycleStatus
from settlement.parking import ParkReason
from settlement.ports import Changes
from settlement.release import release
from tests.ticketing import a_door
from tests.world import RATING, World, a_contract, a_plan, an_expert, at, per_unit

CHEAP = [{"id": "all", "price": {"model": "per_unit", "unit": "0.10"}}]
BONUS = [{"at_least_percent": "75", "amount": "0.10"}]


def a_rated_world() -> World:
    return World(contract=a_contract(rating=RATING), plan=a_plan(csat_bonus=BONUS))


def status(world: World, case: str, number: int = 1) -> tuple[CycleStatus, str]:
    state = world.cycle(case, number)
    assert isinstance(state, CycleState)
    return state.status, state.why


@st.composite
def histories(draw: st.DrawFn) -> tuple[World, list[Delivery]]:
    """A few cases with everything that may happen to them, within one month."""
    world = a_rated_world()
    facts: list[Delivery] = []
    for case in ("C1", "C2", "C3"):
        day = 2
        for _ in range(draw(st.integers(1, 3))):
            expert = draw(st.sampled_from(["maya", "noah"]))
            facts.append(world.completed(case, f"2026-03-{day:02d}T10:00:00", expert=expert))
            if draw(st.booleans()):
                hour = draw(st.integers(11, 23))
                facts.append(world.rated(case, f"2026-03-{day:02d}T{hour}:00:00", draw(st.integers(1, 5))))
            if draw(st.booleans()):
                passed = draw(st.booleans())
                facts.append(world.fact("resolution.qa_reviewed", case, f"2026-03-{day:02d}T12:30:00", passed=passed))
            day += draw(st.integers(1, 9))
            facts.append(world.reopened(case, f"2026-03-{day:02d}T09:00:00"))
            day += 0
        if draw(st.booleans()):
            facts.pop()
    return world, [replace(fact, received_at=at("2026-03-31T12:00:00")) for fact in facts]


def played(template: World, facts: list[Delivery], batch: int) -> World:
    """The facts sent in batches to a world of their own, and all windows swept."""
    world = World(contract=template.contract, plan=template.plan)
    for start in range(0, len(facts), batch):
        world.send(*facts[start : start + batch])
        world.check()
    world.sweep("2026-04-01T00:00:00")
    world.check()
    return world


def ends(world: World) -> tuple[TrialBalance, list[tuple[CycleStatus, str]]]:
    states = [
        (state.status, state.why)
        for key in sorted(world.store.stored_cases)
        for state in world.store.stored_cases[key].cycles
        if state.why != "superseded"
    ]
    return world.trial_balance(), states


@given(histories(), st.integers(1, 7), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_order_repetition_and_batching_of_the_same_facts_ends_in_the_same_books(
    history: tuple[World, list[Delivery]], batch: int, rng: random.Random
) -> None:
    template, facts = history
    shuffled = facts + rng.sample(facts, len(facts) // 2)
    rng.shuffle(shuffled)
    assert ends(played(template, facts, batch=1)) == ends(played(template, shuffled, batch=batch))


@given(histories())
@settings(max_examples=50, deadline=None)
def test_playing_everything_again_posts_nothing(history: tuple[World, list[Delivery]]) -> None:
    template, facts = history
    world = played(template, facts, batch=3)
    before = world.entries()
    world.send(*facts)
    world.sweep("2026-04-02T00:00:00")
    assert world.entries() == before


def test_a_reversal_negates_what_was_posted_line_by_line() -> None:
    world = a_rated_world()
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01:00:00", 5))
    world.send(world.reopened("C1", "2026-03-03"))
    settled, reversal = world.entries()
    negated = {(line.account, -line.amount.minor_units) for line in settled.postings}
    assert {(line.account, line.amount.minor_units) for line in reversal.postings} == negated


def test_a_rating_delivered_before_its_completion_is_kept_and_counts() -> None:
    world = a_rated_world()
    world.send(world.rated("C1", "2026-03-02T01:00:00", 2, received="2026-03-02T01:00:00"))
    world.send(world.completed("C1", "2026-03-02", received="2026-03-03"))
    assert status(world, "C1") == (CycleStatus.WAIVED, "rated_below_threshold")


def test_a_timely_rating_that_is_delivered_after_the_charge_takes_it_back() -> None:
    world = a_rated_world()
    world.send(world.completed("C1", "2026-03-02"))
    world.sweep("2026-03-05")
    assert world.balance("client/acme/unbilled") == "0.99"
    world.send(world.rated("C1", "2026-03-03", 1, received="2026-03-20"))
    assert world.balance("client/acme/unbilled") == "0.00"
    world.check()


def test_a_timely_rating_that_is_delivered_after_the_acceptance_limit_is_evidence_only() -> None:
    world = a_rated_world()
    world.send(world.completed("C1", "2026-03-02"))
    world.sweep("2026-03-05")
    world.send(world.rated("C1", "2026-03-03", 1, received="2026-04-05"))
    assert world.balance("client/acme/unbilled") == "0.99"
    case = next(iter(world.store.stored_cases.values()))
    assert len(case.facts) == 2
    assert len(case.evidence_only) == 1


def test_a_late_reopening_merges_two_cycles_and_reverses_the_later_one() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-11"), world.completed("C1", "2026-03-12", expert="noah"))
    assert world.balance("client/acme/unbilled") == "1.98"
    world.send(world.reopened("C1", "2026-03-05", received="2026-03-14"))
    assert world.balance("client/acme/unbilled") == "0.99"
    assert status(world, "C1", 2) == (CycleStatus.REVERSED, "superseded")
    world.check()


def test_a_second_completion_without_a_reopening_is_the_same_solution() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"), world.completed("C1", "2026-03-03", expert="noah"))
    assert world.balance("client/acme/unbilled") == "0.99"
    assert world.balance("expert/noah/payable") == "0.00"


def test_a_failed_quality_review_waives_the_charge_and_forfeits_the_earning() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.fact("resolution.qa_reviewed", "C1", "2026-03-04", passed=False))
    assert status(world, "C1") == (CycleStatus.WAIVED, "qa_failed")
    assert world.trial_balance().balances == {}


def test_a_dispute_counts_only_once_it_is_upheld_and_in_either_order_of_delivery() -> None:
    for order in (slice(None), slice(None, None, -1)):
        world = World()
        world.send(world.completed("C1", "2026-03-02"))
        said = [
            world.fact("resolution.disputed", "C1", "2026-03-04", dispute="D1", received="2026-03-06"),
            world.fact("dispute.decided", "C1", "2026-03-05", dispute="D1", upheld=True, received="2026-03-06"),
        ][order]
        world.send(said[0])
        assert world.balance("client/acme/unbilled") == "0.99"
        world.send(said[1])
        assert status(world, "C1") == (CycleStatus.WAIVED, "dispute_upheld")
        assert len(json.loads(world.entries()[-1].evidence)["facts"]) == 3
        assert world.balance("expert/maya/payable") == "0.00"


def test_an_unknown_expert_is_parked_and_settles_once_it_is_applied_and_released() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02", expert="zoe"))
    [parked] = world.store.stored_parked.values()
    assert parked.reason == ParkReason.UNKNOWN_EXPERT
    assert release(world.store, world.registry, parked.id, at("2026-03-03")).parked == 1
    assert list(world.store.stored_parked) == [parked.id]
    world.registry.all_experts["zoe"] = an_expert("zoe")
    release(world.store, world.registry, parked.id, at("2026-03-03"))
    assert world.balance("expert/zoe/payable") == "-0.59"
    assert world.store.stored_parked == {}


def test_an_agent_whom_no_door_listed_is_released_as_the_expert_whom_it_names_since() -> None:
    world, door = World(), a_door(System.ZENDESK)
    stranger = unknown_expert(door.system, "900777")
    world.send(world.completed("C1", "2026-03-02", expert=stranger, source="zendesk/acme"))
    [parked] = world.store.stored_parked.values()
    world.registry.all_doors = {"acme-zendesk": door}
    assert release(world.store, world.registry, parked.id, at("2026-03-03")).parked == 1
    listed = {"agents": Agents(experts={"900777": "maya"})}
    world.registry.all_doors = {"globex-zendesk": door.model_copy(update=listed | {"client": "globex"})}
    assert release(world.store, world.registry, parked.id, at("2026-03-03")).parked == 1
    world.registry.all_doors |= {"acme-zendesk": door.model_copy(update=listed)}
    release(world.store, world.registry, parked.id, at("2026-03-03"))
    assert world.balance("expert/maya/payable") == "-0.59"
    assert world.store.stored_parked == {}


def test_an_unpriced_resolution_is_parked_and_not_charged_nothing() -> None:
    rates = [{"id": "chat", "match": {"channel": ["chat"]}, "price": {"model": "per_unit", "unit": "0.99"}}]
    world = World(contract=a_contract(rates=rates))
    world.send(
        world.completed("C1", "2026-03-02", channel="phone"), world.completed("C2", "2026-03-02", channel="chat")
    )
    [parked] = world.store.stored_parked.values()
    assert parked.reason == ParkReason.NO_MATCHING_RATE
    assert "phone" in parked.detail
    assert world.balance("client/acme/unbilled") == "0.99"


def test_a_fact_under_a_known_id_with_other_content_is_parked() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02", id="F1"))
    result = world.send(world.completed("C1", "2026-03-03", id="F1"))
    assert result.parked == 1
    assert [it.reason for it in world.store.stored_parked.values()] == [ParkReason.FACT_CONFLICT]


def test_a_rival_that_writes_first_is_noticed_and_nothing_is_charged_twice() -> None:
    world = World()
    delivery = world.completed("C1", "2026-03-02")
    rivals = [delivery, world.completed("C2", "2026-03-02")]

    def rival(_: Changes) -> None:
        if rivals:
            world.send(rivals.pop())

    world.store.before_commit = rival
    world.send(delivery)
    assert world.balance("client/acme/unbilled") == "1.98"
    world.check()


@pytest.mark.parametrize(
    ("unrated", "balance", "state"),
    [
        ("charge", "0.99", CycleStatus.CHARGED),
        ("discount", "0.49", CycleStatus.CHARGED),
        ("waive", "0.00", CycleStatus.WAIVED),
    ],
)
def test_what_nobody_rated_is_decided_by_its_policy_when_the_window_ends(
    unrated: str, balance: str, state: CycleStatus
) -> None:
    off = "50" if unrated == "discount" else None
    world = World(contract=a_contract(rating=RATING | {"unrated": unrated, "discount_percent": off}))
    world.send(world.completed("C1", "2026-03-02"))
    world.sweep("2026-03-05")
    assert world.balance("client/acme/unbilled") == balance
    assert status(world, "C1") == (state, "unrated")


def test_a_confirmation_time_puts_the_charge_off_and_a_reopening_within_it_means_none() -> None:
    world = World(contract=a_contract(confirmation_hours=72))
    world.send(world.completed("C1", "2026-03-02"), world.completed("C2", "2026-03-02"))
    world.send(world.reopened("C2", "2026-03-04"))
    world.sweep("2026-03-04T23:59:59")
    assert world.entries() == []
    world.sweep("2026-03-05")
    assert world.balance("client/acme/unbilled") == "0.99"
    assert status(world, "C2") == (CycleStatus.REVERSED, "reopened")


def test_a_correction_of_a_closed_period_waits_for_the_next_open_one_however_late_it_is_heard() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-10"))
    world.send(world.fact("resolution.disputed", "C1", "2026-03-20", dispute="D1"))
    world.close("2026-04-02")
    world.close("2026-05-02")
    world.send(world.fact("dispute.decided", "C1", "2026-04-20", dispute="D1", upheld=True, received="2026-04-20"))
    assert world.store.stored_periods["acme", Period("2026-05")].given_back == 99
    assert status(world, "C1") == (CycleStatus.WAIVED, "dispute_upheld")
    world.check()


def of_two_versions(march: Contract, april: Contract, **plan: object) -> World:
    world = World(contract=march, plan=a_plan(**plan))
    world.registry.contract_histories["acme"] = ContractHistory("acme", (march, april))
    return world


@pytest.mark.parametrize(
    "ratings",
    [{"threshold_percent": "40"}, {"unrated": "charge", "below": "charge"}],
)
def test_what_was_waived_is_not_charged_by_later_terms_when_a_review_comes_after_the_close(
    ratings: dict[str, str],
) -> None:
    april = a_contract(starts_on="2026-04-01", rating=RATING | ratings)
    world = of_two_versions(a_contract(rating=RATING), april)
    world.send(world.completed("C1", "2026-03-20"), world.rated("C1", "2026-03-21", 3))
    world.close("2026-04-02")

    world.send(world.peer_reviewed("C1", "2026-04-05", "noah", 5))

    assert status(world, "C1") == (CycleStatus.WAIVED, "rated_below_threshold")
    assert world.entries() == []


def test_a_review_of_what_was_waived_is_taken_in_also_where_the_contract_has_ended() -> None:
    world = World(contract=a_contract(rating=RATING, ends_on="2026-04-01"))
    world.send(world.completed("C1", "2026-03-20"), world.rated("C1", "2026-03-21", 3))
    world.close("2026-04-02")

    assert world.send(world.peer_reviewed("C1", "2026-04-05", "noah", 5)).parked == 0
    assert status(world, "C1") == (CycleStatus.WAIVED, "rated_below_threshold")


def test_what_settled_in_a_closed_period_is_judged_by_its_terms_and_priced_by_those_of_the_open_one() -> None:
    april = a_contract(per_unit("0.49"), starts_on="2026-04-01", rating=RATING | {"threshold_percent": "90"})
    world = of_two_versions(a_contract(rating=RATING), april)
    world.close("2026-04-02")
    late = "2026-04-03"
    world.send(world.completed("C1", "2026-03-20", received=late), world.rated("C1", "2026-03-21", 4, received=late))
    assert world.balance("client/acme/unbilled") == "0.49"

    world.send(world.peer_reviewed("C1", "2026-04-05", "noah", 5))

    assert world.balance("client/acme/unbilled") == "0.49"
    world.check()


def test_an_earning_keeps_the_list_price_of_a_charge_that_was_waived_before_the_close() -> None:
    april = a_contract(per_unit("0.49"), starts_on="2026-04-01", rating=RATING)
    world = of_two_versions(a_contract(rating=RATING), april, not_charged="base")
    world.send(world.completed("C1", "2026-03-20"), world.rated("C1", "2026-03-21", 5))
    world.send(world.rated("C1", "2026-03-22", 1))
    assert world.balance("expert/maya/payable") == "-0.59"
    world.close("2026-04-02")

    for day in ("2026-04-05", "2026-04-06"):
        world.send(world.peer_reviewed("C1", day, "noah", 5))

    assert world.balance("expert/maya/payable") == "-0.59"
    assert status(world, "C1") == (CycleStatus.WAIVED, "rated_below_threshold")
    world.check()


def test_credits_of_all_resolutions_are_together_at_most_the_invoice_also_with_discounts() -> None:
    volume = {"model": "volume", "tiers": [{"up_to": 5, "unit": "1.20"}, {"unit": "0.80"}]}
    rating = RATING | {"below": "discount", "discount_percent": "50"}
    world = World(contract=a_contract(volume, rating=rating))
    cases = [f"C{number}" for number in range(10)]
    world.send(*(world.completed(case, "2026-03-20") for case in cases))
    world.send(*(world.rated(case, "2026-03-21", 1 if case < "C5" else 5) for case in cases))
    assert world.close("2026-04-02").total == 500

    world.send(*(world.reopened(case, "2026-03-25", received="2026-04-03") for case in cases))

    assert world.balance("revenue/credits") == "5.00"
    world.check()


def test_credits_of_one_resolution_in_two_steps_are_together_at_most_its_share_of_the_invoice() -> None:
    tiers = [{"up_to": 1, "unit": "10.00"}, {"unit": "1.00"}]
    rating = RATING | {"below": "discount", "discount_percent": "50"}
    world = World(contract=a_contract({"model": "volume", "tiers": tiers}, starts_on="2026-03-01", rating=rating))
    world.send(world.completed("C1", "2026-03-20"), world.completed("C2", "2026-03-20"))
    world.sweep("2026-03-29")
    assert world.close("2026-04-02").total == 200
    for case in ("C1", "C2"):
        world.send(world.rated(case, "2026-03-21", 1, received="2026-04-03"))
        world.send(world.reopened(case, "2026-03-22", received="2026-04-04"))
    assert world.balance("revenue/credits") == "2.00"
    world.check()


def test_a_discount_never_exceeds_what_the_usage_costs() -> None:
    tiers = [{"up_to": 1, "unit": "10.00"}, {"unit": "1.00"}]
    rating = RATING | {"below": "discount", "discount_percent": "50"}
    world = World(contract=a_contract({"model": "volume", "tiers": tiers}, starts_on="2026-03-01", rating=rating))
    for case in ("C1", "C2"):
        world.send(world.completed(case, "2026-03-20"), world.rated(case, "2026-03-21", 1))
    invoice = world.close("2026-04-02")
    assert [(str(line.kind), line.amount) for line in invoice.lines][:2] == [("usage", 200), ("discount", -200)]
    assert world.balance("client/acme/unbilled") == "0.00"


def test_what_was_carried_waits_over_months_without_a_contract() -> None:
    world = World(contract=a_contract(starts_on="2026-03-01", ends_on="2026-04-01", rates=CHEAP))
    later = a_contract(starts_on="2026-05-01", rates=CHEAP)
    world.registry.contract_histories["acme"] = ContractHistory("acme", (world.contract, later))
    world.send(world.completed("C1", "2026-03-10"))
    assert world.close("2026-04-02").status == "carried"
    for number in range(5):
        world.send(world.completed(f"D{number}", "2026-05-10"))
    assert world.close("2026-06-02").total == 60


def test_facts_of_a_client_without_a_contract_are_parked_once_each_with_what_to_do() -> None:
    world = World()
    world.registry.contract_histories.clear()
    one, two = world.completed("C1", "2026-03-02"), world.completed("C2", "2026-03-02")

    settled = world.send(one, two, one)

    assert (settled.parked, settled.facts, settled.failed) == (3, 0, {})  # as often as delivered
    assert [(it.reason, it.detail) for it in world.store.parked()] == [
        (ParkReason.UNKNOWN_CLIENT, "there is no contract for acme; apply one")
    ] * 2
    assert world.entries() == []


def test_a_case_that_is_put_aside_keeps_what_had_settled_and_waits_for_nothing() -> None:
    world = World(contract=a_contract(rating=RATING))
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01:00:00", 5))
    world.send(world.completed("C2", "2026-03-02"))
    world.registry.contract_histories["acme"] = ContractHistory("acme", (a_contract(starts_on="2027-01-01"),))
    world.send(world.rated("C1", "2026-03-03", 4), world.rated("C2", "2026-03-03", 4))

    settled, waiting = (world.store.stored_cases["acme", CaseId(name)] for name in ("C1", "C2"))
    assert [state.status for state in settled.cycles] == [CycleStatus.CHARGED]
    assert [(state.number, state.status, state.why) for state in waiting.cycles] == [
        (1, CycleStatus.PARKED, ParkReason.CONTRACT_NOT_IN_FORCE)
    ]
    assert (settled.due_at, waiting.due_at) == (None, None)
