"""The part of the crash points that runs with every test, and that none is forgotten; `make simulate` tries all.

Of each function: the death of its worker at every call of every scene of at most 30 calls, or else of the shortest; in
the longest of these also everything that leaves the worker alive.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.aws.store import DynamoStore
from settlement.ports import Changes
from tests.simulation.crash_points import TrialStage, try_scene
from tests.simulation.crashes_of_files import WRITERS, Writer, try_files
from tests.simulation.door_calls import DOOR_CALLS
from tests.simulation.scenes import Scene, rehearsed
from tests.world import World

FUNCTIONS = Path(__file__).parents[2] / "functions"
HANDLERS = sorted(path.stem for path in FUNCTIONS.glob("*.py") if "\ndef handler(" in path.read_text())
# Not in any scene, and why. A new function comes to the others, unless somebody says here why not.
ELSEWHERE = {
    "export_ledger": "it writes no entries; its runs are killed at each call in tests/infra/test_export_runs.py",
    "serve_api": "its POSTs are tried in test_api_crash_points.py, each with its Idempotency-Key",
    **{function: "it is tried in test_door_crash_points.py" for function, _ in DOOR_CALLS},
}
MOST_CALLS = 30


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return sorted(rehearsed(), key=lambda scene: scene.calls)


def test_every_handler_is_called_in_a_scene(scenes: list[Scene]) -> None:
    assert {scene.function for scene in scenes} >= {*HANDLERS} - {*ELSEWHERE}, "let the history call it, or scenes.py"


def test_scenes_reach_all_that_moves_money(scenes: list[Scene]) -> None:
    shown = {word for scene in scenes for pair in scene.shows for word in pair}
    calls = {"invoices", "invoiceitems", "credit_notes", "transfers"}
    assert {f"stripe.post /v1/{name}" for name in calls} <= shown
    assert {"settled", "reversed", "invoiced", "credit_note", "incentive", "payout_sent", "top_up"} <= shown


@pytest.mark.parametrize("function", [name for name in HANDLERS if name not in ELSEWHERE])
def test_whatever_call_goes_wrong_all_is_as_if_nothing_had(function: str, scenes: list[Scene]) -> None:
    of_it = [scene for scene in scenes if scene.function == function]
    taken = [scene for scene in of_it if scene.calls <= MOST_CALLS] or of_it[:1]
    tried = [try_scene(scene, only_deaths=scene is not taken[-1]) for scene in taken]
    assert [failed for it in tried for failed in it.failed] == []
    for it in tried:
        assert it.points > 4 * it.calls, "each call has two deaths, each is recovered from in two ways"


@pytest.mark.parametrize("name", WRITERS)
def test_whenever_a_writer_is_killed_the_next_leaves_whole_files_and_no_others(name: str) -> None:
    tried = try_files(name)
    assert tried.failed == []
    assert tried.points == 2 * tried.calls > 10


# -- that the trials see what is wrong ---------------------------------------------------------------------------------


def test_a_dead_worker_leaves_the_world_that_was_kept_for_its_death(scenes: list[Scene]) -> None:
    """A death is not played at each call: the world at its moment is taken from an undisturbed run."""
    scene = next(scene for scene in scenes if scene.function == "send_payouts")
    stage = TrialStage(0, 1, 0)
    with stage.installed():
        passed = stage.pass_through(scene)
        for number, moments in enumerate(passed.moments):
            for kind, place in zip(("crash_before", "crash_after"), moments, strict=True):
                stage.begin(scene, number, kind)
                assert stage.play(scene.function, scene.event) is None
                died = stage.mark()
                stage.set_up(passed.worlds[place], scene.now)
                assert died == stage.mark()


def test_a_write_in_two_parts_is_found(scenes: list[Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    commit = DynamoStore.commit

    def in_parts(store: DynamoStore, changes: Changes) -> None:
        if changes.weeks:
            commit(store, Changes(weeks=changes.weeks))
        commit(store, replace(changes, weeks=()))

    monkeypatch.setattr(DynamoStore, "commit", in_parts)
    metered = (scene for scene in scenes if scene.function == "meter_resolutions")
    assert any(try_scene(scene, only_deaths=True).failed for scene in metered)


def test_a_file_written_where_it_stands_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(root: Path, world: World) -> None:
        with (root / "entries.csv").open("w") as file:
            for entry in world.entries():
                file.write(f"{entry.id}\n")
            (root / "log").touch()

    monkeypatch.setitem(WRITERS, "careless", Writer("entries.csv", write))
    assert any("half one, half the other" in failed for failed in try_files("careless").failed)
