"""Formats that are made from an export: other programs accept them, and every amount is that of the ledger."""

import csv
import json
import re
from collections import defaultdict
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from events.facts import format_instant
from infra.exports import export_ledger, open_export
from infra.formats import FORMATS, FormatRefused, write_format
from infra.formats.imports import NETSUITE_COLUMNS, QUICKBOOKS_COLUMNS, QUICKBOOKS_LINES
from infra.formats.plain_text import hledger_account
from ledger.accounts import BANK_CASH, COST_BAD_DEBT, STRIPE_BALANCE, Account, client_receivable, kind_of
from ledger.books import append
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, evidence, postings
from ledger.money import Currency, minor_unit_exponent
from ledger.posting_rules import Reason
from settlement.ports import Changes
from tests.bean_counting import bean_balances, in_beancount, major_balances
from tests.simulated_month import Month, simulated_month
from tests.world import World, at


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    return simulated_month(tmp_path_factory.mktemp("simulated") / "export")


def written(export: Path, name: str, folder: Path) -> list[Path]:
    with closing(open_export(export)) as connection:
        return write_format(connection, name, folder)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def a_ledger(folder: Path, id_: str = "manual:1", code: str = "USD") -> Path:
    """The export of one manual entry with an awkward id."""
    world = World()
    lines = postings(((client_receivable("a_b"), 1_00), (client_receivable("a-b"), 2_00), (BANK_CASH, -3_00)), code)
    entry = Entry(EntryId(id_), PLATFORM_BOOK, Reason.MANUAL, lines, date(2026, 3, 5), evidence({"why": "=1+1"}))
    head = world.store.head(entry.book)
    sealed, after = append(head, [entry], at("2026-04-02T10:00:00"))
    world.store.commit(Changes(entries=sealed, heads=((head, after),)))
    export_ledger(world.store, folder)
    return folder


AWKWARD = 'note "50%", \\ of; a|b\nsecond line'


@pytest.mark.parametrize("name", FORMATS)
def test_same_export_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    export = a_ledger(tmp_path / "export")

    first, again = (written(export, name, tmp_path / folder) for folder in ("first", "again"))

    assert first
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


# -- plain-text accounting ---------------------------------------------------------------------------------------------


def test_beancount_accepts_the_month_and_comes_to_the_same_balances(month: Month, tmp_path: Path) -> None:
    ledger, *_ = written(month.folder, "beancount", tmp_path)

    assert bean_balances(ledger) == in_beancount(month.entries)


def test_beancount_notices_an_amount_that_was_changed_on_both_sides(tmp_path: Path) -> None:
    ledger, entries = written(a_ledger(tmp_path / "export"), "beancount", tmp_path)
    text = entries.read_text(encoding="utf-8")

    entries.write_text(text.replace("  1.00 USD", "  1.01 USD").replace("-3.00", "-3.01"), encoding="utf-8")

    with pytest.raises(AssertionError, match="Balance failed"):
        bean_balances(ledger)


def test_ids_that_a_journal_could_misread_stay_one_entry(tmp_path: Path) -> None:
    export = a_ledger(tmp_path / "export", AWKWARD)

    ledger, *_ = written(export, "beancount", tmp_path / "beancount")
    _, entries = written(export, "hledger", tmp_path / "hledger")

    assert bean_balances(ledger) == {
        ("Assets:Client:A-U-b:Receivable", "USD"): 1,
        ("Assets:Client:A-b:Receivable", "USD"): 2,
        ("Assets:Bank:Cash", "USD"): -3,
    }
    assert entries.read_text(encoding="utf-8").splitlines()[0] == (
        '2026-03-05 * manual  ; id:note "50%25"%2C \\ of; a|b%0Asecond line, book:platform, seq:1'
    )


def test_journal_for_hledger_is_as_it_was_when_hledger_accepted_it(tmp_path: Path) -> None:
    """`make journals` runs hledger itself over it, and over a whole month."""
    main, entries = written(a_ledger(tmp_path / "export"), "hledger", tmp_path)

    assert (
        main.read_text(encoding="utf-8")
        == """\
commodity 1000.00 USD

account assets:bank:cash  ; type:A
account assets:client:a-b:receivable  ; type:A
account assets:client:a_b:receivable  ; type:A

include 2026-03.journal

2026-03-05 * balances at the end
    assets:bank:cash  0 USD = -3.00 USD
    assets:client:a-b:receivable  0 USD = 2.00 USD
    assets:client:a_b:receivable  0 USD = 1.00 USD
"""
    )
    assert (
        entries.read_text(encoding="utf-8")
        == """\
2026-03-05 * manual  ; id:manual:1, book:platform, seq:1
    assets:client:a_b:receivable  1.00 USD
    assets:client:a-b:receivable  2.00 USD
    assets:bank:cash  -3.00 USD

"""
    )


def test_journal_for_hledger_holds_every_posting_of_the_month(month: Month, tmp_path: Path) -> None:
    _, *files = written(month.folder, "hledger", tmp_path)

    found: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("    "):
                account, amount, code = line.split()
                found[account, code] += Decimal(amount)
    assert {key: amount for key, amount in found.items() if amount} == {
        (hledger_account(Account(account), kind_of(Account(account))), code): amount
        for (account, code), amount in major_balances(month.entries).items()
    }


# -- tables ------------------------------------------------------------------------------------------------------------


def test_csv_has_every_posting_with_the_decimals_of_its_currency(month: Month, tmp_path: Path) -> None:
    rows = [row for path in written(month.folder, "csv", tmp_path) if "postings" in path.name for row in table(path)]

    found: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row["account"], row["currency"]] += Decimal(row["amount"])
        assert Decimal(row["debit"]) - Decimal(row["credit"]) == Decimal(row["amount"])
        assert len(row["amount"].partition(".")[2]) == minor_unit_exponent(Currency(row["currency"]))
    assert {key: amount for key, amount in found.items() if amount} == major_balances(month.entries)
    assert len(rows) == sum(len(entry.postings) for entry in month.entries)


def test_csv_has_every_entry_with_its_evidence_and_hash(month: Month, tmp_path: Path) -> None:
    rows = [row for path in written(month.folder, "csv", tmp_path) if "entries" in path.name for row in table(path)]

    found = {row["entry_id"]: (json.loads(row["evidence"]), row["content_hash"], row["effective_on"]) for row in rows}
    assert found == {it.id: (json.loads(it.evidence), it.content_hash, str(it.effective_on)) for it in month.entries}
    assert all(datetime.fromisoformat(row["recorded_at"]).utcoffset() == timedelta(0) for row in rows)
    assert all(row["recorded_at"] == format_instant(datetime.fromisoformat(row["recorded_at"])) for row in rows)


def test_no_cell_of_the_csv_runs_in_a_spreadsheet(tmp_path: Path) -> None:
    files = written(a_ledger(tmp_path / "export", "=cmd()"), "csv", tmp_path)

    assert {row["entry_id"] for path in files for row in table(path)} == {"'=cmd()"}
    (amounts,) = {tuple(row["amount"] for row in table(path)) for path in files if "postings" in path.name}
    assert amounts == ("1.00", "2.00", "-3.00")


def test_json_lines_hold_entries_with_postings_and_evidence(month: Month, tmp_path: Path) -> None:
    files = written(month.folder, "jsonl", tmp_path)

    found = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]

    def of_entry(entry: Entry) -> tuple[object, ...]:
        lines = [(it.account, it.amount.currency, it.amount.minor_units) for it in entry.postings]
        return entry.book, entry.effective_on.isoformat(), json.loads(entry.evidence), lines, entry.content_hash

    def of_line(told: dict[str, Any]) -> tuple[object, ...]:
        lines = [
            (
                it["account"],
                it["currency"],
                int(Decimal(it["amount"]).scaleb(minor_unit_exponent(Currency(it["currency"])))),
            )
            for it in told["postings"]
        ]
        return told["book"], told["effective_on"], told["evidence"], lines, told["content_hash"]

    assert {it["entry_id"]: of_line(it) for it in found} == {entry.id: of_entry(entry) for entry in month.entries}


# -- imports -----------------------------------------------------------------------------------------------------------

IMPORTS = {
    "quickbooks": (QUICKBOOKS_COLUMNS, "Journal No.", "Debits", "Credits", "Journal Date"),
    "netsuite": (NETSUITE_COLUMNS, "External ID", "Debit", "Credit", "Date"),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_every_journal_entry_of_an_import_balances_in_one_currency(tmp_path: Path, name: str) -> None:
    world = World()
    world.solve(450)
    export_ledger(world.store, tmp_path / "export")
    columns, number, debit, credit, day = IMPORTS[name]

    files = written(tmp_path / "export", name, tmp_path)

    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for path in files:
        rows = table(path)
        assert tuple(rows[0]) == columns
        assert len(rows) <= QUICKBOOKS_LINES or name == "netsuite"
        for row in rows:
            assert bool(row[debit]) != bool(row[credit])
            assert re.fullmatch(r"03/0\d/2026", row[day])
            sums[row[number]] += Decimal(row[debit] or 0) - Decimal(row[credit] or 0)
    assert len(sums) == 450
    assert not any(sums.values())
    assert len(files) == (2 if name == "quickbooks" else 1)


@pytest.mark.parametrize("name", IMPORTS)
def test_a_line_names_the_owner_of_its_account_else_the_client_that_caused_it(tmp_path: Path, name: str) -> None:
    world = World()
    world.solve(1)
    export_ledger(world.store, tmp_path / "export")

    rows = [row for path in written(tmp_path / "export", name, tmp_path) for row in table(path)]

    named = {row.get("Account") or row["Account Name"]: row["Name"] for row in rows}
    assert {account.replace(" ", ""): owner for account, owner in named.items()} == {
        "Client:Unbilled": "acme",
        "Revenue:Resolutions": "acme",
        "Cost:Base": "acme",
        "Expert:Payable": "maya",
    }


def test_entry_in_two_currencies_becomes_two_journal_entries(tmp_path: Path) -> None:
    export = two_currencies(tmp_path / "export")

    (quickbooks,), (netsuite,) = (written(export, name, tmp_path) for name in IMPORTS)

    assert [tuple(row.values()) for row in table(netsuite)] == [
        ("manual:1-EUR", "03/05/2026", "EUR", "manual", "Client : Receivable", "1.00", "", "platform 1", "acme"),
        ("manual:1-EUR", "03/05/2026", "EUR", "manual", "Bank : Cash", "", "1.00", "platform 1", "acme"),
        ("manual:1-JPY", "03/05/2026", "JPY", "manual", "Cost : Bad debt", "70", "", "platform 1", "acme"),
        ("manual:1-JPY", "03/05/2026", "JPY", "manual", "Stripe : Balance", "", "70", "platform 1", "acme"),
    ]
    assert [(row["Journal No."][14:], row["Account Name"], row["Name"]) for row in table(quickbooks)] == [
        ("-EUR", "Client:Receivable", "acme"),
        ("-EUR", "Bank:Cash", "acme"),
        ("-JPY", "Cost:Bad debt", "acme"),
        ("-JPY", "Stripe:Balance", "acme"),
    ]
    assert all(len(row["Journal No."]) <= 21 for row in table(quickbooks))


def two_currencies(folder: Path) -> Path:
    world = World()
    lines = (
        *postings(((client_receivable("acme"), 1_00), (BANK_CASH, -1_00)), "EUR"),
        *postings(((COST_BAD_DEBT, 70), (STRIPE_BALANCE, -70)), "JPY"),
    )
    entry = Entry(EntryId("manual:1"), PLATFORM_BOOK, Reason.MANUAL, lines, date(2026, 3, 5), evidence({}))
    head = world.store.head(entry.book)
    sealed, after = append(head, [entry], at("2026-04-02T10:00:00"))
    world.store.commit(Changes(entries=sealed, heads=((head, after),)))
    export_ledger(world.store, folder)
    return folder


@pytest.mark.parametrize("name", IMPORTS)
def test_currency_with_three_decimals_is_refused_by_imports(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatRefused, match="BHD has 3 decimals and this format two; take csv"):
        written(a_ledger(tmp_path / "export", code="BHD"), name, tmp_path / name)
    assert list((tmp_path / name).iterdir()) == []
