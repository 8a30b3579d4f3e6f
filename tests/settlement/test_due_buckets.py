"""A case that waits is always found again once its window ended; nothing is looked at for longer than that."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.facts import CaseId
from ledger.errors import LedgerError
from settlement import settle
from settlement.cases import Case
from settlement.decide import decide_cycle
from settlement.due_buckets import DueBucket, due_buckets
from settlement.ports import Changes, Contention
from settlement.sweep import settle_due
from tests.memory_store import MemoryStore
from tests.world import RATING, World, a_contract, at

QUARTER = timedelta(minutes=15)
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001  # see timezones


def a_rated_world() -> World:
    return World(contract=a_contract(rating=RATING))


def buckets(world: World) -> list[tuple[str, ...]]:
    return [bucket.cases for bucket in world.store.due(at("2027-01-01"))]


@given(st.lists(st.tuples(st.sampled_from(["acme", "globex"]), INSTANTS | st.none()), max_size=40))
def test_each_waiting_case_is_in_one_bucket_that_ends_within_a_quarter_of_an_hour(
    waits: Sequence[tuple[str, datetime | None]],
) -> None:
    cases = [
        Case(client, CaseId(f"C{number}"), due_at=due_at, revision=number + 1)
        for number, (client, due_at) in enumerate(waits)
    ]
    found = due_buckets(cases)
    by_key = {(case.client, case.case_id): case.due_at for case in cases if case.due_at is not None}
    assert sorted(key for bucket in found for key in bucket.keys) == sorted(by_key)
    for bucket in found:
        ends = [by_key[key] for key in bucket.keys]
        assert bucket.due_at == max(ends)
        assert max(ends) - min(ends) < QUARTER
        assert min(ends).replace(minute=min(ends).minute // 15 * 15) + QUARTER > max(ends), "no quarter begins between"
    assert len({bucket.id for bucket in found}) == len(found)


def test_no_bucket_holds_windows_of_two_days_wherever_a_clock_shows_them() -> None:
    midnights = [datetime.fromisoformat(f"2026-03-02T00:00:00{zone}") for zone in ("+00:00", "+05:30", "+05:45")]
    for midnight in midnights:
        ends = (midnight - timedelta(microseconds=1), midnight)
        cases = [Case("acme", CaseId(f"C{number}"), due_at=end, revision=1) for number, end in enumerate(ends)]
        assert [bucket.cases for bucket in due_buckets(cases)] == [("C0",), ("C1",)]


def test_a_bucket_is_named_by_what_can_be_written_only_once() -> None:
    case = Case("acme", CaseId("C1"), due_at=at("2026-03-02"), revision=3)
    assert due_buckets([case]) == (DueBucket("acme", at("2026-03-02"), "acme/C1@3", (CaseId("C1"),)),)
    assert due_buckets([replace(case, revision=4)])[0].id == "acme/C1@4"


def test_a_case_that_was_decided_early_is_only_struck_off_the_list() -> None:
    world = a_rated_world()
    world.send(world.completed("C1", "2026-03-02"), world.completed("C2", "2026-03-02"))
    world.send(world.rated("C1", "2026-03-03", 5), world.rated("C2", "2026-03-03", 5))
    assert buckets(world) == [("C1", "C2")]
    revisions = [case.revision for case in world.store.client_cases("acme")]
    assert world.sweep("2026-03-05").entries == 0
    assert buckets(world) == []
    assert [case.revision for case in world.store.client_cases("acme")] == revisions


def test_a_case_that_waits_for_another_time_is_found_then_and_settled_once() -> None:
    world = World(contract=a_contract(rating=RATING | {"window_hours": 48}, confirmation_hours=24))
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.rated("C1", "2026-03-02T01:00", 5))
    assert buckets(world) == [("C1",), ("C1",)], "to the end of the rating window; and to that of the confirmation"
    assert world.sweep("2026-03-03").entries == 1
    assert world.sweep("2026-03-04").entries == 0
    assert buckets(world) == []


def test_a_reopened_and_solved_case_waits_anew() -> None:
    world = a_rated_world()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-03"))
    assert world.sweep("2026-03-05").entries == 0
    assert buckets(world) == []
    world.send(world.completed("C1", "2026-03-06"))
    assert world.sweep("2026-03-09").entries == 1
    assert buckets(world) == []


def test_a_case_listed_twice_is_settled_once() -> None:
    world = a_rated_world()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.fact("resolution.qa_reviewed", "C1", "2026-03-03", passed=True))
    assert buckets(world) == [("C1",), ("C1",)]
    swept = world.sweep("2026-03-05")
    assert (swept.entries, buckets(world)) == (1, [])


def test_a_bucket_stays_while_one_of_its_cases_fails_and_goes_once_that_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_rated_world()
    world.send(*(world.completed(f"C{number}", "2026-03-02") for number in range(3)))

    def broken(case_id: str, *rest: object) -> object:
        if case_id == "C1":
            raise LedgerError("simulated")
        return decide_cycle(case_id, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(settle, "decide_cycle", broken)
        for entries in (2, 0):
            swept = world.sweep("2026-03-05")
            assert (swept.entries, list(swept.failed)) == (entries, [("acme", "C1")])
            assert buckets(world) == [("C0", "C1", "C2")]
    assert world.sweep("2026-03-05").entries == 1
    assert buckets(world) == []


def test_without_time_the_oldest_are_settled_and_the_others_are_left_to_the_next_sweep() -> None:
    world = a_rated_world()
    for hour in (3, 1, 2):
        world.send(*(world.completed(f"C{hour}-{number}", f"2026-03-02T0{hour}:00") for number in range(40)))
    settled, is_done = settle_due(world.store, world.registry, at("2026-03-06"), lambda: False)
    assert (settled.entries, is_done) == (40, False)
    assert [cases[0] for cases in buckets(world)] == ["C2-0", "C3-0"]
    settled, is_done = settle_due(world.store, world.registry, at("2026-03-06"), lambda: True)
    assert (settled.entries, is_done, buckets(world)) == (80, True, [])


def test_windows_of_many_small_batches_are_settled_in_few_transactions() -> None:
    world = a_rated_world()
    for number in range(90):
        world.send(world.completed(f"C{number}", f"2026-03-02T00:00:{number % 60:02d}"))
    commits: list[Changes] = []
    world.store.before_commit = commits.append
    assert world.sweep("2026-03-05T01:00").entries == 90
    assert [len(changes.cases) for changes in commits] == [40, 40, 10]
    assert buckets(world) == []


def test_a_rival_that_lets_a_case_wait_while_it_is_struck_off_does_not_lose_it() -> None:
    """The case is read as decided; before its bucket goes, it is reopened and solved again in the same instant."""
    world = World(contract=a_contract(rating=RATING))

    class Overtaken(MemoryStore):
        def forget(self, found: Sequence[DueBucket]) -> None:  # type: ignore[override]
            if found and not rivals:
                rivals.append(True)
                case = self.stored_cases["acme", CaseId("C1")]
                self.commit(Changes(cases=(replace(case, due_at=at("2026-03-05"), revision=case.revision + 1),)))
            super().forget(found)

    rivals: list[bool] = []
    world.store = Overtaken()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.rated("C1", "2026-03-03", 5))
    world.sweep("2026-03-05")
    assert rivals == [True]
    assert buckets(world) == [("C1",)]
    world.check()


def test_overtaken_cases_stay_in_their_bucket() -> None:
    world = a_rated_world()
    world.send(world.completed("C1", "2026-03-02"))

    def overtake(changes: Changes) -> None:
        raise Contention(f"simulated, {changes.count()} items")

    world.store.before_commit = overtake
    assert list(world.sweep("2026-03-05").failed) == [("acme", "C1")]
    assert buckets(world) == [("C1",)]
