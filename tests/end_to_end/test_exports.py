"""The ledger leaves the embedded stack as files: handed out, written by rivals, signed, and proved elsewhere."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from cli.finance_app import finance_app
from infra.aws.export_bucket import LEDGER, WORK, BucketFolder, exports_bucket, signing_key
from infra.aws.store import DynamoStore
from infra.aws.tables import bind
from infra.exports import mirror, open_export
from infra.exports.proof import verify_export
from infra.exports.runs import Runs
from infra.local.player import Player
from infra.local.stack import LocalStack, local_stack
from ledger.accounts import BANK_CASH, STRIPE_BALANCE
from ledger.books import append
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, client_book, evidence, expert_book, postings
from ledger.posting_rules import Reason
from settlement.ports import Changes

NOW = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
BOOKS = (client_book("acme"), expert_book("maya"), PLATFORM_BOOK)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    with patch.dict(os.environ), local_stack(tmp_path / "run", NOW) as running:
        running.address.enter()
        yield running


def post(store: DynamoStore, book: Book, numbers: range) -> None:
    for number in numbers:
        told = postings([(STRIPE_BALANCE, number), (BANK_CASH, -number)], "USD")
        id_, on = EntryId(f"manual:{book}:{number}"), date(2026, 9 + number % 2, 30)
        entry = Entry(id_, book, Reason.MANUAL, told, on, evidence({"by": "dana"}))
        head = store.head(book)
        sealed, after = append(head, [entry], NOW)
        store.commit(Changes(entries=sealed, heads=((head, after),)))


def wait_for(runs: Runs, run: int) -> None:
    ends = time.monotonic() + 60
    while (last := runs.last()) is None or last.run < run:
        assert time.monotonic() < ends, f"run {run} has no manifest after a minute"
        time.sleep(0.2)


def command(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(finance_app, list(words))
    return result.exit_code, result.output


def test_ledger_is_exported_in_slices_by_rivals_and_proves_itself_elsewhere(stack: LocalStack, tmp_path: Path) -> None:
    name = stack.address.stack_name
    store, player, key = DynamoStore(bind(name)), Player(stack), signing_key(name)
    bucket = exports_bucket(name)
    runs = Runs(BucketFolder(bucket, LEDGER), BucketFolder(bucket, WORK))
    for book in BOOKS:
        post(store, book, range(1, 5))

    # A run that was planned and left lying goes on with the next event, and events that come twice do no harm.
    planned = runs.begin(store, entries_per_slice=4)
    assert planned is not None
    assert len(planned.slices) == 3
    assert player.trigger("export-ledger", NOW) == {"run": 1, "slices": 3}
    player.trigger("export-ledger", NOW)
    wait_for(runs, 1)
    player.rest("exports")
    assert player.trigger("export-ledger", NOW) == {"run": None, "slices": 0}

    post(store, BOOKS[0], range(5, 7))
    assert player.trigger("export-ledger", NOW) == {"run": 2, "slices": 1}
    wait_for(runs, 2)

    copy = tmp_path / "copy"
    added = mirror(runs.folder, copy)
    assert [(it.run, it.entries) for it in added] == [(1, 12), (2, 2)]
    assert mirror(runs.folder, copy) == []
    assert verify_export(copy, key.public_key(), expect_run=2) == []
    assert command("verify", str(copy), "--of-bucket", "--stack", name)[0] == 0
    with open_export(copy) as views:
        found = views.sql("SELECT book, max(seq), count(*) FROM entries GROUP BY book ORDER BY book").fetchall()
        [(debit,)] = views.sql("SELECT sum(debit) FROM postings").fetchall()
    assert found == [("client/acme", 6, 6), ("expert/maya", 4, 4), ("platform", 4, 4)]
    assert debit * 100 == 3 * sum(range(1, 5)) + 5 + 6
    assert not any(player.given_up().values())


def test_commands_export_prove_and_print_the_key(stack: LocalStack, tmp_path: Path) -> None:
    name, folder, pem = stack.address.stack_name, str(tmp_path / "books"), tmp_path / "solvent.pem"
    post(DynamoStore(bind(name)), PLATFORM_BOOK, range(1, 4))

    code, said = command("export", "--to", folder, "--stack", name)
    assert (code, "3 entries of 1 books" in said) == (0, True)
    assert "up to date" in command("export", "--to", folder, "--stack", name)[1]
    pem.write_text(command("key", "--stack", name)[1])

    assert command("verify", folder, "--key", str(pem), "--expect-run", "1")[0] == 0
    assert command("verify", folder, "--stack", name)[0] == 0
    code, said = command("verify", folder, "--key", str(pem), "--expect-run", "2")
    assert (code, "the last run is 1, but there were 2" in said) == (1, True)
