"""What finance does with an export: write it, query it, prove it."""

import csv
import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import duckdb
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from infra.exports import (
    CSV_FOLDER,
    MANIFEST,
    PARQUET_FOLDER,
    ControlTotal,
    ExportedBook,
    ExportedFile,
    Manifest,
    csv_path,
    export_ledger,
    parquet_path,
    read_entries,
    read_manifest,
    sha256_of,
    typed_rows,
)
from ledger.accounts import Account, Kind
from ledger.books import Head, check_book
from ledger.entries import RecordedEntry
from ledger.errors import BookBroken
from ledger.money import Currency, format_minor_units, minor_unit_exponent
from settlement.ports import Books

SHOWN_PROBLEMS = 20

_PARQUET_FILES = f"{PARQUET_FOLDER}/*/postings.parquet"

_TRIAL_BALANCE = """
    SELECT account, account_kind, currency, sum(minor_units), greatest(sum(amount), 0), greatest(-sum(amount), 0)
    FROM read_parquet(?)
    GROUP BY account, account_kind, currency
    HAVING sum(minor_units) <> 0
    ORDER BY currency, account
"""

_CONTROL_TOTALS = """
    SELECT
        currency,
        sum(greatest(minor_units, 0)),
        sum(greatest(-minor_units, 0)),
        count(DISTINCT (book, seq)),
        count(*)
    FROM read_parquet(?)
    GROUP BY currency
    ORDER BY currency
"""

_ROWS_COMPARED = """
    SELECT
        count(parquet_rows.seq),
        count(csv_rows.seq),
        count(*) FILTER (parquet_rows IS DISTINCT FROM csv_rows),
        first(coalesce(parquet_rows.entry_id, csv_rows.entry_id)) FILTER (parquet_rows IS DISTINCT FROM csv_rows)
    FROM parquet_rows POSITIONAL JOIN csv_rows
"""


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """The balance of an account: `minor_units` is positive for a debit balance; one of `debit` and `credit` is zero."""

    account: Account
    kind: Kind
    currency: Currency
    minor_units: int
    debit: Decimal
    credit: Decimal


def trial_balance_rows(folder: Path) -> list[TrialBalanceRow]:
    """The trial balance of an export, by currency and account; accounts that came back to zero are left out."""
    files = sorted(str(path) for path in folder.glob(_PARQUET_FILES))
    if not files:
        return []
    with duckdb.connect() as connection:
        found = connection.execute(_TRIAL_BALANCE, [files]).fetchall()
    return [
        TrialBalanceRow(Account(account), Kind(kind), Currency(code), minor_units, debit, credit)
        for account, kind, code, minor_units, debit, credit in found
    ]


def print_trial_balance(folder: Path, console: Console) -> None:
    """Show the trial balance of an export with the totals of each currency."""
    table = Table("Account", "Kind", "Currency", title="Trial balance")
    table.add_column("Debit", justify="right")
    table.add_column("Credit", justify="right")
    for code, group in groupby(trial_balance_rows(folder), key=lambda row: row.currency):
        rows = list(group)
        for row in rows:
            table.add_row(row.account, row.kind, code, _shown(row.debit, code), _shown(row.credit, code))
        table.add_section()
        debit, credit = sum((row.debit for row in rows), Decimal()), sum((row.credit for row in rows), Decimal())
        table.add_row("Total", "", code, _shown(debit, code), _shown(credit, code), style="bold")
        table.add_section()
    console.print(table)


def _shown(amount: Decimal, code: Currency) -> str:
    return f"{amount:,.{minor_unit_exponent(code)}f}" if amount else ""


# -- proof -------------------------------------------------------------------------------------------------------------


def verify_export(folder: Path) -> list[str]:
    """What is wrong with an export, found from its files alone; nothing if it proves itself.

    Files must be those of the manifest, to the byte. The CSV must give every book from its first entry to its head,
    each entry balanced, allowed by its posting rule and sealed by its chain hash. The Parquet must say the same as the
    CSV, and sum to the control totals. Whoever can rewrite the manifest too can leave out the end of a book.
    """
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        return [f"{MANIFEST} is missing"]
    except ValueError as unreadable:
        return [f"{MANIFEST} cannot be read: {unreadable}"]
    months = sorted({_month_of(file) for file in manifest.files})
    problems = list(_changed_files(folder, months, manifest))
    paths = [place(folder, month) for month in months for place in (csv_path, parquet_path)]
    if all(path.exists() for path in paths):
        problems += _broken_books(folder, months, manifest)
        problems += _untrue_parquet(folder, months, manifest)
    return problems


def _month_of(file: ExportedFile) -> str:
    """The month in the name of a file of either kind."""
    csv_month = Path(file.path).stem.removeprefix("postings-")
    return csv_month if file.path.startswith(f"{CSV_FOLDER}/") else Path(file.path).parent.name.removeprefix("month=")


def _changed_files(folder: Path, months: list[str], manifest: Manifest) -> Iterator[str]:
    named = {file.path for file in manifest.files}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    of_months = {
        place(folder, month).relative_to(folder).as_posix() for month in months for place in (csv_path, parquet_path)
    }
    yield from (f"{path} is missing" for path in sorted((named | of_months) - found))
    yield from (f"{path} is not in the manifest" for path in sorted(found - named - {MANIFEST}))
    for file in manifest.files:
        if file.path in found:
            size = (folder / file.path).stat().st_size
            if size != file.bytes:
                yield f"{file.path} has {size} bytes, the manifest says {file.bytes}"
            elif sha256_of(folder / file.path) != file.sha256:
                yield f"{file.path} was changed: its SHA-256 is not the manifest's"


def _broken_books(folder: Path, months: list[str], manifest: Manifest) -> list[str]:
    """Every way in which the entries of the CSV are not the books that the manifest names."""
    unreadable: list[str] = []
    problems: list[str] = []
    missing = {book.book: book for book in manifest.books}
    files = [_readable_entries(csv_path(folder, month), unreadable.append) for month in months]
    in_order = heapq.merge(*files, key=lambda recorded: (recorded.entry.book, recorded.seq))
    for name, entries in groupby(in_order, key=lambda recorded: recorded.entry.book):
        expected = missing.pop(name, None)
        if expected is None:
            problems.append(f"{name}: the manifest does not name this book, or its rows are not in order")
        else:
            problems += _broken_book(expected, entries)
    return [*unreadable, *problems, *(f"{name}: all entries are missing" for name in missing)]


def _broken_book(expected: ExportedBook, entries: Iterator[RecordedEntry]) -> Iterator[str]:
    if (expected.first_seq, expected.entries) != (1, expected.last_seq):
        yield f"{expected.book}: the manifest counts {expected.entries} entries up to number {expected.last_seq}"
    head = Head(expected.book, expected.last_seq, expected.chain_hash)
    yield from map(str, check_book(expected.book, entries, head))


def _readable_entries(path: Path, report: Callable[[str], None]) -> Iterator[RecordedEntry]:
    try:
        yield from read_entries(path, report)
    except (OSError, ValueError, csv.Error) as unreadable:
        report(f"{path.name} cannot be read: {unreadable}")


def _untrue_parquet(folder: Path, months: list[str], manifest: Manifest) -> Iterator[str]:
    """Every way in which the Parquet is not the CSV, with types, or does not sum to the control totals."""
    rows = {file.path: file.rows for file in manifest.files}
    try:
        with duckdb.connect() as connection:
            for month in months:
                yield from _differences(connection, folder, month, rows)
            files = [str(parquet_path(folder, month)) for month in months]
            found = connection.execute(_CONTROL_TOTALS, [files]).fetchall() if files else []
    except duckdb.Error as unreadable:
        yield f"the Parquet and the CSV cannot be compared: {unreadable}"
    else:
        sums = {code: ControlTotal(code, *rest) for code, *rest in found}
        wanted = {total.currency: total for total in manifest.totals}
        for code in sorted(sums.keys() | wanted.keys()):
            come_to, said = sums.get(code), wanted.get(code)
            if come_to != said:
                yield f"{code}: the postings come to {_told(come_to)}, the manifest says {_told(said)}"


def _told(total: ControlTotal | None) -> str:
    if total is None:
        return "nothing"
    amounts = (format_minor_units(minor_units, total.currency) for minor_units in (total.debit, total.credit))
    return f"{' debit and '.join(amounts)} credit in {total.entries} entries, {total.postings} postings"


def _differences(
    connection: duckdb.DuckDBPyConnection, folder: Path, month: str, rows: Mapping[str, int]
) -> Iterator[str]:
    in_parquet, in_csv = parquet_path(folder, month), csv_path(folder, month)
    connection.read_parquet(str(in_parquet), hive_partitioning=False).create_view("parquet_rows")
    typed_rows(connection, in_csv).create_view("csv_rows")
    (counts,) = connection.execute(_ROWS_COMPARED).fetchall()
    for path, count in ((in_parquet, counts[0]), (in_csv, counts[1])):
        name = path.relative_to(folder).as_posix()
        if count != rows.get(name):
            yield f"{name} has {count} rows, the manifest says {rows.get(name)}"
    if counts[2]:
        yield f"{counts[2]} rows of {month} differ between Parquet and CSV, first in entry {counts[3]}"


# -- commands: they print, and return the exit code --------------------------------------------------------------------


def export_command(books: Books, folder: Path, console: Console) -> int:
    """Export the ledger with a progress bar; 0 when it is written, 1 when a book is broken or the folder is taken."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        entries = sum(head.seq for head in books.heads())
        task = bar.add_task("Exporting entries", total=entries)

        def advance(done: int) -> None:
            bar.advance(task, done)
            if bar.tasks[0].finished:
                bar.update(task, description="Writing Parquet and sums")

        try:
            manifest = export_ledger(books, folder, advance)
        except (BookBroken, FileExistsError) as refused:
            bar.stop()
            console.print(f"Nothing was exported. {refused}", style="red", markup=False, soft_wrap=True)
            return 1
    _print_manifest(manifest, folder, console)
    return 0


def _print_manifest(manifest: Manifest, folder: Path, console: Console) -> None:
    table = Table("Currency", title="Control totals")
    for name in ("Entries", "Postings", "Debit", "Credit"):
        table.add_column(name, justify="right")
    for total in manifest.totals:
        amounts = (format_minor_units(minor_units, total.currency) for minor_units in (total.debit, total.credit))
        table.add_row(total.currency, f"{total.entries:,}", f"{total.postings:,}", *amounts)
    console.print(table)
    entries = sum(book.entries for book in manifest.books)
    written = f"{entries:,} entries of {len(manifest.books):,} books in {len(manifest.files):,} files: {folder}"
    console.print(written, markup=False, highlight=False, soft_wrap=True)


def verify_command(folder: Path, console: Console) -> int:
    """Say whether an export proves itself; 0 if it does, else 1 and what is wrong."""
    problems = verify_export(folder)
    if not problems:
        console.print(
            f"{folder} proves itself: files, books, balances and control totals.", markup=False, soft_wrap=True
        )
        return 0
    for problem in problems[:SHOWN_PROBLEMS]:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if len(problems) > SHOWN_PROBLEMS:
        console.print(f"and {len(problems) - SHOWN_PROBLEMS:,} more", style="red")
    return 1
