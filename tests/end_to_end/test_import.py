"""A real helpdesk's history on real tables: every resolved incident is settled once."""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cli.apply import apply_folder
from cli.import_facts import import_log
from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from infra.local.emulator import Emulator
from ledger.balances import trial_balance
from ledger.books import check_book
from settlement.cases import SUPERSEDED, CycleStatus
from tests.dynamo_tables import emulator_tables

ROOT = Path(__file__).parents[2]
LOG = ROOT.parent / "shared" / "samples" / "tickets" / "servicenow_incident_log.csv.gz"
EXAMPLE = ROOT / "docs" / "examples" / "helpdesk_import"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DynamoStore]:
    with Emulator(tmp_path / "aws") as emulator, emulator_tables("import", emulator) as connection:
        yield DynamoStore(connection)


def test_every_resolved_incident_of_a_real_log_is_settled_once(store: DynamoStore) -> None:
    assert LOG.exists(), f"the sample log is missing: {LOG}"
    with gzip.open(LOG, "rt") as lines:
        resolved = {row["number"] for row in csv.DictReader(lines) if row["incident_state"] == "Resolved"}
    out = StringIO()
    console, registry = Console(file=out, width=200), DynamoRegistry()
    assert apply_folder(EXAMPLE, registry, date(2026, 11, 1), console, check_only=False) == 0
    assert import_log(store, registry, LOG, "citydesk", "UTC", console) == 0
    states = {case.case_id: [it for it in case.cycles if it.why != SUPERSEDED] for case in store.all_cases()}
    assert set(states) == resolved
    assert Counter(it.status for found in states.values() for it in found) == {CycleStatus.CHARGED: len(resolved)}
    assert all(len(found) == 1 for found in states.values())
    [head] = store.heads()
    book = list(store.entries(head.book))
    assert list(check_book(head.book, book, head)) == []
    before = trial_balance(item.entry for item in book)
    assert import_log(store, registry, LOG, "citydesk", "UTC", console) == 0
    assert "912 known before, 0 entries posted, 0 parked" in out.getvalue()
    assert trial_balance(item.entry for item in store.entries(head.book)) == before


def test_rows_that_cannot_be_read_are_parked_by_line_and_stop_nothing(store: DynamoStore, tmp_path: Path) -> None:
    with gzip.open(LOG, "rt") as lines:
        rows = [next(lines) for _ in range(60)]
    broken = tmp_path / "log.csv"
    broken.write_text("".join([*rows[:2], "INC0000001,New\n", *rows[2:], rows[5].replace("2016", "20x6"), "\n"]))
    console, registry = Console(file=StringIO(), width=200), DynamoRegistry()
    assert apply_folder(EXAMPLE, registry, date(2026, 11, 1), console, check_only=False) == 0
    assert import_log(store, registry, broken, "citydesk", "UTC", console) == 0
    parked = sorted(item.detail for item in store.parked())
    assert [detail.split(":")[1] for detail in parked] == ["3", "62"]
    assert list(store.all_cases())
