"""`solvent finance entry` over a store in memory: what is printed, and which problems a file has."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner

from cli.connection import Connection, TimeNotTaken
from cli.entries import approve_entry, list_entries, propose_entry, read_entry, reverse_entry, withdraw_entry
from cli.main import app
from cli.printing import Form
from cli.yaml_documents import BrokenFiles
from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from ledger.money import Currency
from settlement.manual_entries import ManualLine
from settlement.ports import Changes, Contention
from tests.commands import printed
from tests.memory_store import MemoryStore
from tests.world import World, at

MONDAY = at("2026-03-16T09:00:00")
FEE = """\
reason: Fee of the bank, March
evidence: statement 3, line 14
effective_on: 2026-03-12
currency: USD
postings:
  - {account: cost/fees, debit: "12.50"}
  - account: bank/cash
    credit: "12.50"
"""


def written(folder: Path, text: str = FEE) -> Path:
    path = folder / "fee.yaml"
    path.write_text(text)
    return path


def told(command: Callable[..., int], *arguments: object, code: int = 0, **options: bool) -> list[str]:
    """What a command prints that ends with `code`, line by line."""
    return printed(command, *arguments, code=code, **options).splitlines()


def proposed(store: MemoryStore, folder: Path) -> str:
    lines = told(propose_entry, store, written(folder), "ann", MONDAY)
    return lines[0].split()[0]


def test_a_file_is_proposed_with_what_the_second_person_has_to_run(tmp_path: Path) -> None:
    lines = told(propose_entry, MemoryStore(), written(tmp_path), "ann", MONDAY)
    id_ = lines[0].split()[0]
    assert lines == [
        f"{id_} waits for a second person; proposed by ann:",
        "    2026-03-12, because: Fee of the bank, March (statement 3, line 14)",
        "    debit cost/fees 12.50 USD",
        "    credit bank/cash 12.50 USD",
        f"Another person runs: solvent finance entry approve {id_}",
    ]


def test_an_entry_goes_from_its_file_into_the_ledger_and_back(tmp_path: Path) -> None:
    world = World()
    id_ = proposed(world.store, tmp_path)
    assert told(approve_entry, world.store, id_, "ann", MONDAY, code=2) == [
        "ann proposed this; somebody else has to approve it"
    ]
    assert told(approve_entry, world.store, id_, "bob", MONDAY)[0] == (
        f"{id_} is posted as manual:{id_}, number 1 of the platform's book, by bob"
    )
    assert world.balance("cost/fees") == "12.50"
    [back] = [told(reverse_entry, world.store, f"manual:{id_}", "Paid by card", "bob", MONDAY)[0].split()[0]]
    told(approve_entry, world.store, back, "ann", MONDAY)
    assert world.balance("cost/fees") == "0.00"
    world.check()


def test_what_waits_is_listed_and_withdrawn(tmp_path: Path) -> None:
    store = MemoryStore()
    id_ = proposed(store, tmp_path)
    shown = told(list_entries, store, Form())
    assert [line.split()[0] for line in shown[2:]] == [id_, id_]
    assert told(withdraw_entry, store, id_, "ann", MONDAY)[0] == f"{id_} is withdrawn, by ann"
    columns = "id,status,effective_on,account,currency,debit,credit,reason,evidence"
    people = "proposed_by,proposed_at,decided_by,decided_at,entry,reverses"
    assert told(list_entries, store, Form(as_csv=True)) == [f"{columns},{people}"]
    first, second = json.loads("".join(told(list_entries, store, Form(as_json=True), everything=True)))
    assert (first["account"], first["debit"], first["credit"]) == ("cost/fees", "12.50", None)
    assert (second["account"], second["debit"], second["credit"]) == ("bank/cash", None, "12.50")
    assert (first["status"], first["decided_by"], first["entry"]) == ("withdrawn", "ann", None)


def test_nobody_acts_without_a_name(tmp_path: Path) -> None:
    store = MemoryStore()
    id_ = proposed(store, tmp_path)
    for command, argument in (
        (propose_entry, written(tmp_path)),
        (approve_entry, id_),
        (withdraw_entry, id_),
    ):
        assert "say who you are with --by" in told(command, store, argument, None, MONDAY, code=2)[0]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "what"),
    [
        ('debit: "12.50"', "debit: 12.50", 6, "postings[0].debit", "in quotes"),
        ('debit: "12.50"', 'debit: "12.505"', 6, "postings[0].debit", "not an amount of USD above zero"),
        ('debit: "12.50"', 'debit: "-12.50"', 6, "postings[0].debit", "above zero"),
        ('debit: "12.50"', 'debit: "12.51"', 5, "postings", "differ by"),
        (', debit: "12.50"', "", 6, "postings[0]", "one of debit, credit and minor_units, not none"),
        ("credit:", "currency: EUR\n    credit:", 5, "postings", "differ by"),
        ("currency: USD", "", 6, "postings[0].currency", "name the currency"),
        ("currency: USD", "currency: XXX", 4, "currency", "XXX"),
        ("bank/cash", "expert/maya/payable", 7, "postings[1].account", "sums to holds"),
        ("bank/cash", "stripe/balance", 1, "movement", "txn_"),
        ("2026-03-12", "2026-03-17", 3, "effective_on", "yet to come"),
        ("reason:", "because:", 1, "because", ""),
    ],
)
def test_a_problem_says_file_line_field_and_what_to_do(  # one parameter for each part
    tmp_path: Path, old: str, new: str, line: int, field: str, what: str
) -> None:
    store, path = MemoryStore(), written(tmp_path, FEE.replace(old, new))
    said = told(propose_entry, store, path, "ann", MONDAY, code=2)
    assert any(it.startswith(f"{path}:{line}: {field}: ") and what in it for it in said), said
    assert store.stored_manual_entries == {}


def test_minor_units_are_signed_and_an_amount_is_given_once(tmp_path: Path) -> None:
    text = FEE.replace('debit: "12.50"', "minor_units: 1250").replace('credit: "12.50"', "minor_units: -1250")
    _, draft = read_entry(written(tmp_path, text))
    usd = Currency("USD")
    assert draft.lines == (ManualLine("cost/fees", usd, 1250), ManualLine("bank/cash", usd, -1250))  # type: ignore[arg-type]  # accounts
    both = FEE.replace('debit: "12.50"', 'debit: "12.50", minor_units: 1250')
    with pytest.raises(BrokenFiles, match="not debit and minor_units"):
        read_entry(written(tmp_path, both))


def test_two_documents_in_a_file_and_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenFiles, match="holds 2 documents"):
        read_entry(written(tmp_path, f"{FEE}---\n{FEE}"))
    with pytest.raises(BrokenFiles, match="holds no document"):
        read_entry(written(tmp_path, ""))


def test_whoever_is_overtaken_all_the_time_is_told_and_exits_with_1(tmp_path: Path) -> None:
    def rival(_: Changes) -> None:
        raise Contention("overtaken")

    store = MemoryStore()
    id_ = proposed(store, tmp_path)
    store.before_commit = rival
    assert "tried again later" in told(approve_entry, store, id_, "bob", MONDAY, code=1)[0]


def test_every_command_has_help_with_an_example() -> None:
    for command in ("propose", "list", "approve", "withdraw", "reverse"):
        shown = CliRunner().invoke(app, ["finance", "entry", command, "--help"], env={"COLUMNS": "120"})
        assert f"For example: solvent finance entry {command}" in shown.output


def test_in_aws_nobody_says_when_something_was_decided() -> None:
    here = Connection("billing", cast("DynamoStore", None), cast("DynamoRegistry", None), is_embedded=False)
    with pytest.raises(TimeNotTaken, match="in AWS it is decided now"):
        here.decided_at(MONDAY)
    assert replace(here, is_embedded=True).decided_at(MONDAY) == MONDAY
    assert abs(here.decided_at(None) - datetime.now(UTC)) < timedelta(minutes=1)
