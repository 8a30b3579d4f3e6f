"""A pytest plugin for mutation runs: the quickest tests first, none that is slow, no effort on small counterexamples.

The machine is in a zone that no test is in, for tests must not depend on it: a conversion that forgot its zone shows.

A mutant is dead at its first failing test. So the tests that mutmut picked for it run in the order of what they took
unmutated, and Hypothesis does not shrink: nobody reads the counterexample. A test that took longer than a unit test may
is left out: the few long histories and crash explorations would take most of the time, and only survivors reach them.
"""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import Phase, settings

UNIT_TEST_SECONDS = 0.5
_STATS = Path("mutmut-stats.json")

os.environ["TZ"] = "Pacific/Kiritimati"
time.tzset()
settings.register_profile(
    "quick_kill", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("quick_kill")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Once mutmut has timed the tests: leave out the slow ones, and sort the others by what they took."""
    if config.option.collectonly or not _STATS.exists():
        return
    took: dict[str, float] = json.loads(_STATS.read_text())["duration_by_test"]
    slow = [item for item in items if took.get(item.nodeid, 0) > UNIT_TEST_SECONDS]
    config.hook.pytest_deselected(items=slow)
    items[:] = sorted((item for item in items if item not in slow), key=lambda item: took.get(item.nodeid, 0))
