"""`solvent credits` over a store in memory."""

from datetime import date
from io import StringIO

from rich.console import Console

from cli.credits import buy, refund, show
from tests.commands import Here
from tests.world import World, a_contract


def a_place() -> tuple[World, Here, StringIO, Console]:
    world, out = World(contract=a_contract(prepaid=True)), StringIO()
    return world, Here(world.store, world.registry), out, Console(file=out, width=120)


def test_credits_are_bought_once_shown_and_refunded() -> None:
    world, here, out, console = a_place()
    for _ in range(2):
        assert buy(here, "acme", "50.00", "wire-1", date(2030, 12, 31), console) == 0  # type: ignore[arg-type]
    assert world.balance("client/acme/prepaid") == "-50.00"
    assert show(here, "acme", console) == 0  # type: ignore[arg-type]
    assert "wire-1" in out.getvalue()
    assert "2030-12-31" in out.getvalue()
    assert refund(here, "acme", "wire-1", console) == 0  # type: ignore[arg-type]
    assert world.balance("client/acme/prepaid") == "0.00"
    world.check()


def test_what_does_not_fit_is_refused_with_a_sentence_and_changes_nothing() -> None:
    world, here, out, console = a_place()
    assert buy(here, "acme", "0.001", "wire-1", None, console) == 2  # type: ignore[arg-type]
    assert buy(here, "acme", "five", "wire-1", None, console) == 2  # type: ignore[arg-type]
    assert buy(here, "globex", "5", "wire-1", None, console) == 2  # type: ignore[arg-type]
    assert refund(here, "acme", "wire-9", console) == 2  # type: ignore[arg-type]
    assert world.entries() == []
    assert [text in out.getvalue() for text in ("0.001", "'five'", "no contract for globex", "wire-9")] == [True] * 4
