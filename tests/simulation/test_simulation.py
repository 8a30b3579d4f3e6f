"""The part of the simulation that runs with every test: a few seeds, that a seed is one history, and planted bugs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.planted import PLANTED, Planted, find
from tests.simulation.seeds import play

ROOT = Path(__file__).parents[2]
FAULTS = 60
_TELL_DIGEST = "from tests.simulation.seeds import play; print(play((7, 40, 60)).digest)"


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_goes_wrong_the_books_are_right(seed: int) -> None:
    outcome = play((seed, 120, FAULTS))
    assert outcome.violation == ""
    assert outcome.resolutions >= 120
    assert sum(outcome.faults.values()) > 50


def test_a_seed_is_one_history_whatever_the_order_of_pythons_sets() -> None:
    command = [sys.executable, "-c", _TELL_DIGEST]
    playing = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE)  # noqa: S603  # our own command
        for seed in ("1", "2")
    ]
    digests = {process.communicate()[0].decode().strip() for process in playing}
    assert len(digests) == 1
    assert len(digests.pop()) == 64


@pytest.mark.parametrize("planted", [it for it in PLANTED if it.in_ci], ids=lambda it: it.name)
def test_a_planted_bug_is_found(planted: Planted) -> None:
    """Those that are found soonest; `make simulate-planted` plays all of them."""
    assert find(planted) != ""
