"""The figures of a mutation run, from what mutmut leaves behind."""

import json
from pathlib import Path

import pytest

from tests.mutation.results import Explained, Figures, Living, explained, figures_of, forget_the_living

MODULE = """
class Counter:
    def add(self, one: int) -> int:
        return self.count + one

    def xǁCounterǁadd__mutmut_orig(self, one: int) -> int:
        return self.count + one

    def xǁCounterǁadd__mutmut_1(self, one: int) -> int:
        return self.count - one


def x_is_last__mutmut_orig(place: int) -> bool:
    return place == 9


def x_is_last__mutmut_1(place: int) -> bool:
    return place != 9


def x_is_last__mutmut_2(place: int) -> bool:
    return place == 10
"""
ADD, IS_LAST = "ledger.counting.xǁCounterǁadd__mutmut_1", "ledger.counting.x_is_last__mutmut_"
LAST = Explained("ledger.counting.is_last", "return place == 10", "nobody counts so far")


def figures(tmp_path: Path, codes: dict[str, int | None], *reasons: Explained) -> Figures:
    (tmp_path / "ledger").mkdir(exist_ok=True)
    (tmp_path / "ledger/counting.py").write_text(MODULE)
    (tmp_path / "ledger/counting.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    return figures_of("ledger", tmp_path, reasons)


def test_a_living_mutant_is_told_as_its_line_before_and_after(tmp_path: Path) -> None:
    found = figures(tmp_path, {ADD: 33, f"{IS_LAST}1": 1, f"{IS_LAST}2": 0}, LAST)
    assert found.living == (
        Living("ledger.counting.Counter.add", "untested", "return self.count + one", "return self.count - one"),
        Living("ledger.counting.is_last", "survived", "return place == 9", "return place == 10", LAST.reason),
    )
    assert found.unexplained == found.living[:1]
    assert not found.is_good


def test_what_mypy_refuses_counts_neither_way_and_an_endless_loop_is_dead(tmp_path: Path) -> None:
    found = figures(tmp_path, {ADD: 37, f"{IS_LAST}1": 1, f"{IS_LAST}2": -24})
    assert (found.mutants, found.refused_by_types, found.killed, found.timed_out) == (3, 1, 1, 1)
    assert (found.share, found.is_good) == (1.0, True)


@pytest.mark.parametrize("code", [None, -11, 2])
def test_a_mutant_that_was_not_tried_to_the_end_is_not_dead(tmp_path: Path, code: int | None) -> None:
    found = figures(tmp_path, {ADD: code, f"{IS_LAST}1": 1, f"{IS_LAST}2": 1})
    assert (found.unclear, round(found.share, 2), found.is_good) == (1, 0.67, False)


def test_an_explanation_does_not_stand_in_for_a_test(tmp_path: Path) -> None:
    explained_ones = figures(tmp_path, {ADD: 1, f"{IS_LAST}1": 1, f"{IS_LAST}2": 0}, LAST)
    assert (explained_ones.unexplained, round(explained_ones.share, 2), explained_ones.is_good) == ((), 0.67, False)


def test_an_explanation_of_what_is_dead_or_gone_fails_the_run(tmp_path: Path) -> None:
    others = Explained("billing.pricing.total", "return 0", "of another package")
    found = figures(tmp_path, {ADD: 1, f"{IS_LAST}2": 1}, LAST, others)
    assert (found.idle, found.is_good) == ((LAST,), False)


def test_the_living_are_tried_again_and_the_dead_stay_dead(tmp_path: Path) -> None:
    figures(tmp_path, {ADD: 37, f"{IS_LAST}1": 1, f"{IS_LAST}2": 0, "gone": 24})
    forget_the_living(tmp_path)
    codes = json.loads((tmp_path / "ledger/counting.py.meta").read_text())["exit_code_by_key"]
    assert codes == {ADD: 37, f"{IS_LAST}1": 1, f"{IS_LAST}2": None, "gone": None}


def test_every_reason_on_file_is_about_one_change() -> None:
    reasons = explained()
    assert len({(it.function, it.now) for it in reasons}) == len(reasons)
    assert all(it.reason.endswith(".") for it in reasons)
