"""`solvent finance explain` over a store in memory."""

import json
import re
from io import StringIO

from rich.console import Console
from typer.testing import CliRunner

from cli.explain import explain_case
from cli.main import app
from events.facts import CaseId
from functions import wiring
from settlement.explain import Story, explain
from tests.simulation.simulation import Simulation
from tests.world import World, at


def shown(world: World, case: str = "C1", client: str | None = None, *, as_json: bool = False, code: int = 0) -> str:
    out = StringIO()
    wanted = (case, client, at("2026-03-12"))
    assert explain_case(world.store, world.registry, wanted, Console(file=out, width=60), as_json=as_json) == code
    return out.getvalue()


def a_world() -> World:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    return world


def test_the_story_is_one_line_for_each_sentence_in_order_of_time() -> None:
    lines = shown(a_world()).splitlines()
    assert lines[0] == "Case C1 of acme, times in UTC"
    assert lines[2] == "2026-03-02 00:00:00  Expert maya solved the case."
    assert lines[5] == ("2026-03-02 00:00:00  Cycle 1 is settled: the resolution qualifies (charge:acme/C1/1:1).")
    assert lines[-1].strip() == "In all, acme pays 0.99 USD and maya earns 0.59 USD."


def test_json_is_for_programs() -> None:
    data = json.loads(shown(a_world(), as_json=True))
    assert data["billed"][0]["amount_minor"] == 99
    assert data["told"][0]["at"] == "2026-03-02T00:00:00Z"


def test_a_case_that_is_not_there_and_a_book_that_lacks_an_entry_are_said_with_their_exit_codes() -> None:
    world = a_world()
    assert "there is no case C9" in shown(world, "C9", code=2)
    del world.store.journal[world.entries()[0].book]
    assert "entry 1 is missing" in shown(world, code=1)
    assert world.store.stored_cases["acme", CaseId("C1")].revision


def test_every_case_of_a_simulated_month_has_a_story_that_sums_to_its_entries() -> None:
    told = list[Story]()

    def explain_all(_: Simulation, is_at_rest: bool) -> None:  # noqa: FBT001  # as the simulation calls it
        store, registry = wiring.store(), wiring.registry()
        for case in store.all_cases() if is_at_rest else ():
            told.append(explain(store, registry.contracts([case.client])[case.client], case, at("2027-03-01")))

    Simulation(5, 60, fault_rate=0, check=explain_all, check_every=10**9).run()
    assert len(told) > 50
    for story in told:
        postings = [it for one in story.told if one.recorded for it in one.recorded.entry.postings]
        for part, side in ((story.billed, "/unbilled"), (story.earned, "/payable")):
            posted = sum(it.amount.minor_units for it in postings if it.account.endswith(side))
            assert sum(it.amount.minor_units for it in part) == (posted if part is story.billed else -posted)
        assert not re.search(
            r"None|[{}]", "".join((*story.outcome(), *(it for one in story.told for it in one.sentences)))
        )


def test_help_has_an_example() -> None:
    assert "solvent finance explain" in CliRunner().invoke(app, ["finance", "explain", "--help"]).output
