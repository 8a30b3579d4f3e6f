"""Peer reviews: who reviewed whom is kept with the facts, and a review that answers another pays no bonus."""

from collections.abc import Iterator
from datetime import datetime
from itertools import permutations

import pytest

from billing.contracts import ContractHistory
from events.decode import Delivery
from events.facts import CaseId
from settlement.ports import Changes
from settlement.release import release
from tests.world import RATING, World, a_contract, a_plan, at

BONUS = {"at_least_percent": "75", "amount": "0.10", "not_mutual_within_days": 30}


def a_world() -> World:
    """C1 was solved by maya and C2 by noah; nothing is paid but for reviews."""
    world = World(plan=a_plan(base={"kind": "fixed", "amount": "0"}, peer_review_bonus=BONUS))
    world.send(world.completed("C1", "2026-03-02"), world.completed("C2", "2026-03-02", expert="noah"))
    return world


def reviews(world: World) -> set[tuple[str, str, str]]:
    return {(it.reviewer, it.reviewed, it.fact) for it in world.store.stored_reviews}


def mutual(world: World, case: str) -> list[datetime]:
    return [at for _, at in world.store.stored_cases["acme", CaseId(case)].mutual_reviews]


def paid(world: World) -> dict[str, str]:
    return {name: world.balance(f"expert/{name}/payable") for name in ("maya", "noah")}


def test_a_review_that_answers_another_pays_nothing_and_the_one_that_it_answers_does() -> None:
    world = a_world()
    world.send(world.peer_reviewed("C2", "2026-03-03", "maya", 5))
    world.send(world.peer_reviewed("C1", "2026-03-04", "noah", 5))
    assert reviews(world) == {("maya", "noah", "acme/C2/helpdesk#3"), ("noah", "maya", "acme/C1/helpdesk#4")}
    assert (mutual(world, "C2"), mutual(world, "C1")) == ([], [at("2026-03-03")])
    assert paid(world) == {"maya": "0.00", "noah": "-0.10"}
    world.check()


@pytest.mark.parametrize(
    ("first", "second", "bonus"),
    [
        ("2026-02-25T12:00:00", "2026-03-27T12:00:00", "0.00"),  # 30 days, inclusive
        ("2026-02-25T12:00:00", "2026-03-27T12:00:00.000001", "-0.10"),
        ("2026-03-04T00:00:00", "2026-03-04T00:00:00", "0.00"),  # at the same time: neither pays
    ],
)
def test_the_days_between_two_reviews_are_counted_to_the_instant(first: str, second: str, bonus: str) -> None:
    world = a_world()
    world.send(world.completed("C3", "2026-02-24", expert="noah"))
    world.send(world.peer_reviewed("C3", first, "maya", 5), world.peer_reviewed("C1", second, "noah", 5))
    assert paid(world)["maya"] == bonus


def test_the_last_earlier_review_counts_and_later_ones_do_not() -> None:
    world = a_world()
    for day in ("03", "05", "09"):
        world.send(world.peer_reviewed("C2", f"2026-03-{day}", "maya", 5))
    world.send(world.peer_reviewed("C1", "2026-03-08", "noah", 5))
    assert mutual(world, "C1") == [at("2026-03-05")]


def test_reviews_that_come_in_one_batch_answer_each_other_in_any_order() -> None:
    for order in permutations(range(4)):
        world = World(plan=a_plan(base={"kind": "fixed", "amount": "0"}, peer_review_bonus=BONUS))
        facts: list[Delivery] = [
            world.completed("C1", "2026-03-02"),
            world.completed("C2", "2026-03-02", expert="noah"),
            world.peer_reviewed("C2", "2026-03-03", "maya", 5),
            world.peer_reviewed("C1", "2026-03-04", "noah", 5),
        ]
        world.send(*(facts[place] for place in order))
        assert paid(world) == {"maya": "0.00", "noah": "-0.10"}, order


def test_a_review_that_comes_before_its_solution_is_heard_with_it() -> None:
    world = World(plan=a_plan(base={"kind": "fixed", "amount": "0"}, peer_review_bonus=BONUS))
    world.send(world.peer_reviewed("C2", "2026-03-03", "maya", 5))
    world.send(world.peer_reviewed("C1", "2026-03-04", "noah", 5))
    assert reviews(world) == set()
    world.send(world.completed("C2", "2026-03-02", expert="noah", received="2026-03-05"))
    world.send(world.completed("C1", "2026-03-02", received="2026-03-05"))
    assert len(reviews(world)) == 2
    assert paid(world) == {"maya": "0.00", "noah": "-0.10"}


def test_a_review_is_of_the_solution_that_stood_when_it_was_given() -> None:
    world = a_world()
    world.send(world.reopened("C1", "2026-03-04"), world.completed("C1", "2026-03-05", expert="lena"))
    world.send(
        world.peer_reviewed("C1", "2026-03-03", "noah", 5, received="2026-03-06"),
        world.peer_reviewed("C1", "2026-03-04T12:00:00", "noah", 5, received="2026-03-06"),
    )
    assert reviews(world) == {("noah", "maya", "acme/C1/helpdesk#5")}


def test_a_review_of_ones_own_work_and_of_what_no_expert_solved_is_kept_of_nobody() -> None:
    world = a_world()
    world.send(world.completed("C3", "2026-03-02", expert=None))
    world.send(world.peer_reviewed("C1", "2026-03-03", "maya", 5), world.peer_reviewed("C3", "2026-03-03", "noah", 5))
    assert reviews(world) == set()


def test_a_review_after_the_acceptance_limit_is_evidence_only() -> None:
    world = a_world()
    world.send(world.peer_reviewed("C1", "2026-03-03", "noah", 5, received="2026-04-02"))
    assert reviews(world) == set()


def test_nothing_is_read_of_reviews_unless_one_comes_in() -> None:
    world, asked = a_world(), list[tuple[str, str]]()
    original = world.store.last_review

    def spied(reviewer: str, reviewed: str, span: tuple[datetime, datetime]) -> datetime | None:
        asked.append((reviewer, reviewed))
        return original(reviewer, reviewed, span)

    world.store.last_review = spied  # type: ignore[method-assign]
    review = world.peer_reviewed("C1", "2026-03-03", "noah", 5)
    world.send(review, world.completed("C9", "2026-03-03"))
    assert asked == [("maya", "noah")]
    world.send(review, world.rated("C1", "2026-03-03", 4), world.completed("C8", "2026-03-03"))
    world.send(world.fact("resolution.qa_reviewed", "C1", "2026-03-04", passed=True))
    world.sweep("2026-03-20")
    assert asked == [("maya", "noah")]


def test_a_case_that_was_put_aside_hears_its_reviews_once_it_is_released() -> None:
    world = World(
        contract=a_contract(rating=RATING),
        plan=a_plan(base={"kind": "fixed", "amount": "0"}, peer_review_bonus=BONUS),
    )
    world.send(world.completed("C1", "2026-03-01"), world.reopened("C1", "2026-03-01T12:00:00"))
    world.send(world.completed("C1", "2026-03-02"))
    history = world.registry.contract_histories["acme"]
    world.registry.contract_histories["acme"] = ContractHistory("acme", (a_contract(starts_on="2026-04-01"),))
    world.send(world.peer_reviewed("C1", "2026-03-03", "noah", 5))
    assert list(world.store.stored_parked) == ["case:acme/C1"]
    assert reviews(world) == set()
    world.registry.contract_histories["acme"] = history
    release(world.store, world.registry, "case:acme/C1", at("2026-03-04"))
    assert reviews(world) == {("noah", "maya", "acme/C1/helpdesk#4")}
    world.sweep("2026-03-05")
    assert paid(world)["maya"] == "-0.10"


def test_a_review_is_written_with_its_case_or_not_at_all() -> None:
    world = a_world()
    rivals: Iterator[Delivery] = iter([world.rated("C1", "2026-03-03", 4)])

    def rival(changes: Changes) -> None:
        if changes.reviews and (fact := next(rivals, None)):
            world.send(fact)
            assert reviews(world) == set()

    world.store.before_commit = rival
    world.send(world.peer_reviewed("C1", "2026-03-03", "noah", 5))
    assert len(reviews(world)) == 1
    world.check()
