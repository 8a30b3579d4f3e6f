"""The explorer itself: it counts every schedule, and finds what only some of them show."""

from dataclasses import dataclass, field
from math import comb

import pytest

from tests.interleaving import Call, Died, Explored, Fault, Outside, Place, Worker, answered, explore


@dataclass
class Counters:
    values: dict[str, int] = field(default_factory=dict)

    def read(self, name: str) -> int:
        return self.values.get(name, 0)

    def write(self, name: str, value: int) -> None:
        self.values[name] = value

    def write_over(self, name: str, before: int, value: int) -> None:
        if self.values.get(name, 0) != before:
            raise ValueError(name)
        self.values[name] = value


def a_world() -> Outside:
    return Outside(Counters(), Counters(), Counters())


def steps(number: int, name: str) -> Worker:
    """A worker of so many steps that touches nothing of the others'."""

    def work(outside: Outside) -> None:
        for value in range(number):
            outside.store.write(name, value)

    return work


def add_carelessly(outside: Outside) -> None:
    outside.store.write("total", outside.store.read("total") + 1)


def add_carefully(outside: Outside) -> None:
    while True:
        before = outside.store.read("total")
        try:
            outside.store.write_over("total", before, before + 1)
        except ValueError:
            continue
        return


def totals(explored: Explored) -> set[int]:
    return {end.store.read("total") for end in explored.ends}


def never_fails(_: Outside) -> None:
    """Nothing to check on the way."""


@pytest.mark.parametrize(("one", "other"), [(1, 1), (3, 5), (10, 10)])
def test_two_workers_have_as_many_schedules_as_their_steps_can_be_mixed(one: int, other: int) -> None:
    explored = explore(a_world(), [steps(one, "a"), steps(other, "b")], never_fails)
    assert explored.schedules == comb(one + other, one)


def test_three_workers_of_six_steps_have_17_million_schedules() -> None:
    explored = explore(a_world(), [steps(6, name) for name in "abc"], never_fails)
    assert explored.schedules == comb(18, 6) * comb(12, 6)
    assert explored.states == 7**3


def test_a_lost_update_is_found() -> None:
    assert totals(explore(a_world(), [add_carelessly] * 2, never_fails)) == {1, 2}


def test_careful_workers_lose_nothing_in_any_schedule() -> None:
    assert totals(explore(a_world(), [add_carefully] * 3, never_fails)) == {3}


def test_following_equal_states_once_counts_the_same_as_playing_every_schedule_on_its_own() -> None:
    workers = [add_carefully, add_carelessly, steps(2, "b")]
    assert explore(a_world(), workers, never_fails).schedules == counted_one_by_one(workers)


def counted_one_by_one(workers: list[Worker]) -> int:
    """The same by running every schedule on its own, from the beginning."""

    def play(schedule: list[int]) -> list[bool]:
        """Whether each worker has something left to do after a schedule."""
        store, given = Counters(), [list[object]() for _ in workers]
        for number in schedule:
            call = Place(workers[number], (), tuple(given[number])).call
            assert call is not None
            given[number].append(answered(call, store))
        return [Place(worker, (), tuple(got)).call is not None for worker, got in zip(workers, given, strict=True)]

    def count(schedule: list[int]) -> int:
        left = [number for number, is_left in enumerate(play(schedule)) if is_left]
        return sum(count([*schedule, number]) for number in left) if left else 1

    return count([])


def test_a_check_sees_every_world_on_the_way() -> None:
    def never_both(outside: Outside) -> None:
        assert len(outside.store.values) < 2

    with pytest.raises(AssertionError):
        explore(a_world(), [steps(1, "a"), steps(1, "b")], never_both)


def test_a_fault_is_tried_at_every_step_done_and_not_done() -> None:
    def dies(call: Call) -> list[Fault]:
        def before(_: Counters) -> None:
            raise Died

        def after(counters: Counters) -> None:
            call(counters)
            raise Died

        return [before, after]

    assert totals(explore(a_world(), [add_carelessly], never_fails)) == {1}
    with_faults = explore(a_world(), [add_carelessly], never_fails, dies, most_faults=1)
    assert totals(with_faults) == {1, 2}
    assert with_faults.schedules == 1 + 2 * 2
