"""The ledger as files: one row per posting, as CSV and Parquet by month, under a manifest that proves them.

    folder/manifest.json
    folder/csv/postings-2026-10.csv
    folder/postings/month=2026-10/postings.parquet

Parquet is made from the CSV and holds the same columns, typed, but for `month`: readers of such folders take it from
the folder's name. The same ledger gives the same bytes, with the same release of DuckDB.
"""

import csv
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple, Self, TextIO

import duckdb
from pydantic import TypeAdapter

from events.facts import format_instant
from infra.replacing import replacing
from ledger.accounts import Account, kind_of
from ledger.books import check_book
from ledger.entries import Book, Entry, EntryId, Evidence, Posting, RecordedEntry, utc
from ledger.money import Currency, Money, format_minor_units
from ledger.posting_rules import Reason
from settlement.ports import Books

MANIFEST = "manifest.json"
CSV_FOLDER = "csv"
PARQUET_FOLDER = "postings"

# Entries are one row per posting: `line` counts from 1, a positive amount is a debit, `recorded_at` is in UTC.
COLUMNS = {
    "entry_id": "VARCHAR",
    "book": "VARCHAR",
    "seq": "BIGINT",
    "reason": "VARCHAR",
    "line": "INTEGER",
    "account": "VARCHAR",
    "account_kind": "VARCHAR",
    "currency": "VARCHAR",
    "minor_units": "BIGINT",
    "amount": "DECIMAL(38,3)",
    "debit": "DECIMAL(38,3)",
    "credit": "DECIMAL(38,3)",
    "effective_on": "DATE",
    "month": "VARCHAR",
    "recorded_at": "TIMESTAMP",
    "client": "VARCHAR",
    "expert": "VARCHAR",
    "case_id": "VARCHAR",
    "cycle": "INTEGER",
    "evidence": "VARCHAR",
    "content_hash": "VARCHAR",
    "chain_hash": "VARCHAR",
}
_PLACE = {name: place for place, name in enumerate(COLUMNS)}
_FREE_TEXTS = ("entry_id", "book", "case_id", "evidence")

# A spreadsheet runs a cell that begins so (https://owasp.org/www-community/attacks/CSV_Injection). Free text that does
# gets an apostrophe in front, in CSV only; one that begins with an apostrophe does too, so that it can be taken off.
RUNS_IN_SPREADSHEETS = frozenset("=+-@\t\r\n'")
_ENTRY_OF_CYCLE = re.compile(r"charge:[^/]+/(.+)/([0-9]{1,9}):[0-9]+")

_ENTRIES_PER_PROGRESS = 1000
_OPEN_FILES = 32
_LONGEST_CELL = 2**20  # an entry is an item of at most 400 KB


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of the export; `path` is relative to its folder, `rows` leaves a header out."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ExportedBook:
    """The entries of a book from `first_seq` to `last_seq`, both included, and the chain hash of the last one."""

    book: Book
    first_seq: int
    last_seq: int
    entries: int
    chain_hash: str


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """What a currency sums to in all files: minor units, both positive; `entries` are those with a posting in it."""

    currency: Currency
    debit: int
    credit: int
    entries: int
    postings: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export holds: files by path, books by name, totals by currency."""

    files: tuple[ExportedFile, ...]
    books: tuple[ExportedBook, ...]
    totals: tuple[ControlTotal, ...]


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export; raises FileNotFoundError, or ValueError for one that cannot be read."""
    return _MANIFEST.validate_json((folder / MANIFEST).read_bytes())


def export_ledger(books: Books, folder: Path, progress: Callable[[int], None] = lambda _: None) -> Manifest:
    """Write every book, up to the head that it has now, to `folder`; an earlier export there is replaced at the end.

    Books are checked while they are read: raises BookBroken for one that does not prove itself, and then leaves the
    folder as it was. `progress` is told how many more entries were read. Memory grows with the number of books, not of
    entries. Raises FileExistsError for a folder that holds anything but an export, or that another export is at.

    A process that is killed leaves the folder as it was, or as it was to be. Between the two there is a moment without
    a folder; the next export then brings the earlier one back first.
    """
    folder = folder.resolve()
    _refuse_other_folder(folder)
    with replacing(folder) as fresh:
        return _write_export(books, fresh, progress)


def _refuse_other_folder(folder: Path) -> None:
    if folder.exists():
        others = sorted({path.name for path in folder.iterdir()} - {MANIFEST, CSV_FOLDER, PARQUET_FOLDER})
        if others:
            raise FileExistsError(f"{folder} holds {others[0]}, which is no part of an export; name another folder")


def _write_export(books: Books, folder: Path, progress: Callable[[int], None]) -> Manifest:
    folder.mkdir()
    exported, described, totals = [], [], _Totals()
    with _MonthlyCsv(folder / CSV_FOLDER) as files:
        for head in sorted(books.heads(), key=lambda head: head.book):
            entries = islice(books.entries(head.book), head.seq)
            for broken in check_book(head.book, _write_entries(entries, files, totals, progress), head):
                raise broken
            exported.append(ExportedBook(head.book, 1, head.seq, head.seq, head.chain_hash))
    for month, count in sorted(files.rows.items()):
        source, target = csv_path(folder, month), parquet_path(folder, month)
        target.parent.mkdir(parents=True)
        with duckdb.connect(config={"threads": 1}) as connection:  # one thread writes the same bytes every time
            typed_rows(connection, source).write_parquet(str(target), compression="zstd")
        described += [_describe(folder, path, count) for path in (source, target)]
    files_by_path = tuple(sorted(described, key=lambda file: file.path))
    manifest = Manifest(files_by_path, tuple(exported), totals.control_totals())
    (folder / MANIFEST).write_bytes(_MANIFEST.dump_json(manifest, indent=2) + b"\n")
    return manifest


def csv_path(folder: Path, month: str) -> Path:
    """Where a month's CSV is."""
    return folder / CSV_FOLDER / f"postings-{month}.csv"


def parquet_path(folder: Path, month: str) -> Path:
    """Where a month's Parquet is."""
    return folder / PARQUET_FOLDER / f"month={month}" / "postings.parquet"


def typed_rows(connection: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    """The rows of a month's CSV, in order and with the types of COLUMNS, as its Parquet holds them."""
    texts = connection.read_csv(
        str(path),
        header=True,
        auto_detect=False,
        columns=COLUMNS,
        delimiter=",",
        quotechar='"',
        escapechar='"',
        allow_quoted_nulls=False,
        max_line_size=2 * _LONGEST_CELL,
    )
    unmarked = "CASE WHEN starts_with({0}, '''') THEN {0}[2:] ELSE {0} END AS {0}"
    columns = (unmarked.format(name) if name in _FREE_TEXTS else name for name in COLUMNS if name != "month")
    return texts.select(", ".join(columns))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(folder: Path, path: Path, rows: int) -> ExportedFile:
    return ExportedFile(path.relative_to(folder).as_posix(), rows, path.stat().st_size, sha256_of(path))


# -- from entries to lines: runs for every entry of the ledger, where csv.writer takes seven times as long -------------


def _write_entries(
    entries: Iterable[RecordedEntry], files: "_MonthlyCsv", totals: "_Totals", progress: Callable[[int], None]
) -> Iterator[RecordedEntry]:
    """The entries, each one once it is written."""
    done = 0
    for done, recorded in enumerate(entries, 1):
        files.write(recorded)
        totals.add(recorded.entry)
        yield recorded
        if done % _ENTRIES_PER_PROGRESS == 0:
            progress(_ENTRIES_PER_PROGRESS)
    progress(done % _ENTRIES_PER_PROGRESS)


def csv_lines(recorded: RecordedEntry) -> str:
    """An entry as lines of CSV, one per posting, each with its line end. Amounts have their currency's decimals.

    `client` and `expert` are the owner of the line's account; where that has none, the only one that the entry's book
    and accounts name, if there is only one. `case_id` and `cycle` are those of an entry that a cycle posted.
    """
    entry = recorded.entry
    accounts = [_account_cells(posting.account) for posting in entry.postings]
    book_client, book_expert = _owners(entry.book)
    client = _only_one({book_client, *[it.client for it in accounts]})
    expert = _only_one({book_expert, *[it.expert for it in accounts]})
    cycle = _ENTRY_OF_CYCLE.fullmatch(entry.id)
    case_cells = f"{_quoted(cycle[1])},{cycle[2]}" if cycle else ","
    day = entry.effective_on.isoformat()
    before = f"{_quoted(entry.id)},{_quoted(entry.book)},{recorded.seq},{entry.reason.value}"
    when = f"{day},{day[:7]},{format_instant(recorded.recorded_at)}"
    after = f"{case_cells},{_quoted(entry.evidence)},{entry.content_hash},{recorded.chain_hash}\r\n"
    lines = []
    for line, (posting, account) in enumerate(zip(entry.postings, accounts, strict=True), 1):
        amounts = _amount_cells(posting.amount.minor_units, posting.amount.currency)
        owners = f"{account.client or client},{account.expert or expert}"
        lines.append(f"{before},{line},{account.text},{amounts},{when},{owners},{after}")
    return "".join(lines)


def _only_one(owners: set[str]) -> str:
    owners.discard("")
    return owners.pop() if len(owners) == 1 else ""


def _quoted(text: str) -> str:
    mark = "'" if text[:1] in RUNS_IN_SPREADSHEETS else ""
    escaped = text.replace('"', '""')
    return f'"{mark}{escaped}"'


class _AccountCells(NamedTuple):
    text: str
    client: str
    expert: str


@lru_cache(maxsize=65536)
def _account_cells(account: Account) -> _AccountCells:
    return _AccountCells(f"{account},{kind_of(account)}", *_owners(account))


@lru_cache(maxsize=1024)
def _owners(path: str) -> tuple[str, str]:
    """The client and the expert that an account or a book belongs to; one of them or both are empty."""
    match path.split("/"):
        case ["client", owner, *_]:
            return owner, ""
        case ["expert", owner, *_]:
            return "", owner
        case _:
            return "", ""


@lru_cache(maxsize=65536)
def _amount_cells(minor_units: int, code: Currency) -> str:
    amounts = (minor_units, max(minor_units, 0), max(-minor_units, 0))
    return f"{code},{minor_units},{','.join(format_minor_units(amount, code) for amount in amounts)}"


@dataclass(slots=True)
class _Sums:
    debit: int = 0
    credit: int = 0
    entries: int = 0
    postings: int = 0


class _Totals:
    """What each currency sums to, taken from the entries and not from what was written of them."""

    def __init__(self) -> None:
        self._by_currency: defaultdict[Currency, _Sums] = defaultdict(_Sums)

    def add(self, entry: Entry) -> None:
        seen = set()
        for posting in entry.postings:
            code, minor_units = posting.amount.currency, posting.amount.minor_units
            sums = self._by_currency[code]
            sums.postings += 1
            if minor_units > 0:
                sums.debit += minor_units
            else:
                sums.credit -= minor_units
            if code not in seen:
                seen.add(code)
                sums.entries += 1

    def control_totals(self) -> tuple[ControlTotal, ...]:
        found = sorted(self._by_currency.items())
        return tuple(ControlTotal(code, it.debit, it.credit, it.entries, it.postings) for code, it in found)


class _MonthlyCsv:
    """A CSV file for each month that entries fall in; at most 32 of them are open at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.rows: dict[str, int] = {}
        self._folder = folder
        self._open: dict[str, TextIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()

    def write(self, recorded: RecordedEntry) -> None:
        entry = recorded.entry
        month = entry.effective_on.isoformat()[:7]
        file = self._open.get(month) or self._opened(month)
        file.write(csv_lines(recorded))
        self.rows[month] += len(entry.postings)

    def _opened(self, month: str) -> TextIO:
        if len(self._open) >= _OPEN_FILES:
            self._open.pop(next(iter(self._open))).close()
        path = csv_path(self._folder.parent, month)
        file = path.open("a", encoding="utf-8", newline="")
        self._open[month] = file
        if month not in self.rows:
            self.rows[month] = 0
            file.write(",".join(COLUMNS) + "\r\n")
        return file


# -- and back ----------------------------------------------------------------------------------------------------------


def read_entries(path: Path, report: Callable[[str], None]) -> Iterator[RecordedEntry]:
    """The entries of a month's CSV in the order of its rows; `report` is told of any that contradicts itself.

    Raises ValueError, csv.Error or OSError for a file that is no CSV at all.
    """
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding="utf-8", newline="") as file:
        rows_and_texts = _rows_and_texts(file)
        if next(rows_and_texts, ([], ""))[0] != list(COLUMNS):
            raise ValueError("its first row does not name the columns of an export")
        for names, group in groupby(rows_and_texts, key=lambda row_and_text: row_and_text[0][:3]):
            rows, texts = zip(*group, strict=True)
            try:
                recorded = _entry_of(rows)
            except ValueError as impossible:
                report(f"{path.name}: entry {' '.join(names)}: {impossible}")
                continue
            month = recorded.entry.effective_on.isoformat()[:7]
            if path.name != f"postings-{month}.csv":
                report(f"{path.name}: entry {recorded.entry.id} belongs to {month}")
            ought = csv_lines(recorded)
            if ought != "".join(texts):
                for name, says, wanted in _contradictions(rows, ought):
                    report(f"{path.name}: entry {recorded.entry.id}: {name} says {says!r}, its postings {wanted!r}")
            yield recorded


def _rows_and_texts(file: TextIO) -> Iterator[tuple[list[str], str]]:
    """Each row of a CSV and the text that it was read from."""
    text: list[str] = []

    def lines() -> Iterator[str]:
        for line in file:
            text.append(line)
            yield line

    for row in csv.reader(lines()):
        yield row, "".join(text)
        text.clear()


def _entry_of(rows: Sequence[Sequence[str]]) -> RecordedEntry:
    if any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"a row has not {len(COLUMNS)} cells")
    first = dict(zip(COLUMNS, rows[0], strict=True))
    lines = [(row[_PLACE["account"]], row[_PLACE["minor_units"]], row[_PLACE["currency"]]) for row in rows]
    entry = Entry(
        id=EntryId(_unmarked(first["entry_id"])),
        book=Book(_unmarked(first["book"])),
        reason=Reason(first["reason"]),
        postings=tuple(Posting(Account(account), Money(int(minor), Currency(code))) for account, minor, code in lines),
        effective_on=date.fromisoformat(first["effective_on"]),
        evidence=Evidence(_unmarked(first["evidence"])),
    )
    recorded_at = utc(datetime.fromisoformat(first["recorded_at"]))
    return RecordedEntry(entry, int(first["seq"]), recorded_at, first["chain_hash"])


def _unmarked(text: str) -> str:
    return text.removeprefix("'")


def _contradictions(rows: Iterable[list[str]], ought: str) -> Iterator[tuple[str, str, str]]:
    """Column, text and what it ought to be, for each cell that differs from how the entry is written."""
    for row, wanted in zip(rows, csv.reader(io.StringIO(ought, newline="")), strict=True):
        cells = zip(COLUMNS, row, wanted, strict=True)
        yield from ((name, cell, want) for name, cell, want in cells if cell != want)
