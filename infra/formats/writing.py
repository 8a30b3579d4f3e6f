"""Which formats there are, and how each is written to a folder."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path

import duckdb

from infra.formats.imports import (
    NETSUITE_COLUMNS,
    NETSUITE_LINES,
    QUICKBOOKS_COLUMNS,
    QUICKBOOKS_LINES,
    netsuite_rows,
    quickbooks_rows,
    refuse_small_units,
)
from infra.formats.journal import AccountInUse, JournalEntry, accounts_in_use, entries_of, last_day, months, spooling
from infra.formats.plain_text import beancount_entry, beancount_head, hledger_entry, hledger_head
from infra.formats.tables import write_csv, write_jsonl
from infra.spreadsheets import guarded


def write_format(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> list[Path]:
    """Write an export in one of FORMATS to a folder; the files that were written. Others in it stay as they are.

    The same export gives the same bytes. Raises FormatRefused if the format cannot hold it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with spooling(connection):
        return list(FORMATS[name](connection, folder))


@dataclass(frozen=True, slots=True)
class _PlainText:
    """A journal: a main file that has everything but the entries, and a file of those for each month."""

    suffix: str
    head: Callable[[Iterable[AccountInUse], Iterable[str], date | None], Iterator[str]]
    entry: Callable[[JournalEntry], str]

    def __call__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[Path]:
        found, main = months(connection), folder / f"ledger.{self.suffix}"
        with main.open("w", encoding="utf-8") as file:
            file.writelines(self.head(accounts_in_use(connection), found, last_day(connection)))
        yield main
        for month in found:
            path = folder / f"{month}.{self.suffix}"
            with path.open("w", encoding="utf-8") as file:
                file.writelines(map(self.entry, entries_of(connection, month)))
            yield path


@dataclass(frozen=True, slots=True)
class _Import:
    """CSV for an accounting system: files of at most `lines` lines, unless one entry has more; none is cut in two."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[JournalEntry], Iterator[list[tuple[str, ...]]]]
    lines: int

    def __call__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[Path]:
        refuse_small_units(it.currency for it in accounts_in_use(connection))
        for month in months(connection):
            for number, rows in enumerate(self._cut(entries_of(connection, month)), 1):
                path = folder / f"{self.name}-{month}-{number:03d}.csv"
                with path.open("w", encoding="utf-8", newline="") as file:
                    writer = csv.writer(file)
                    writer.writerow(self.columns)
                    writer.writerows(map(guarded, row) for row in rows)
                yield path

    def _cut(self, entries: Iterable[JournalEntry]) -> Iterator[list[tuple[str, ...]]]:
        """The rows of as many entries as fit into a file."""
        rows: list[tuple[str, ...]] = []
        for more in chain.from_iterable(map(self.rows, entries)):
            if rows and len(rows) + len(more) > self.lines:
                yield rows
                rows = []
            rows += more
        yield rows


FORMATS: Mapping[str, Callable[[duckdb.DuckDBPyConnection, Path], Iterator[Path]]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "beancount": _PlainText("beancount", beancount_head, beancount_entry),
    "hledger": _PlainText("journal", hledger_head, hledger_entry),
    "quickbooks": _Import("quickbooks", QUICKBOOKS_COLUMNS, quickbooks_rows, QUICKBOOKS_LINES),
    "netsuite": _Import("netsuite", NETSUITE_COLUMNS, netsuite_rows, NETSUITE_LINES),
}
