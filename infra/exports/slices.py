"""A slice of a run, from entries to Parquet: Python proves each entry, DuckDB makes rows of what was proven.

Python writes a line of what it has hashed for each entry, and everything in the files is taken from these lines. A line
is the canonical heading, postings and evidence, three JSON texts, and four more cells, with a control character (US)
between them: JSON as the ledger writes it has none of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol

import duckdb

from infra.exports.manifests import ControlTotal, ExportedBook, Slice, Span
from infra.exports.rows import ENTRIES, POSTINGS, control_totals, lines_of, make_rows, quoted
from ledger.books import GENESIS, Head
from ledger.entries import Book
from ledger.errors import BookBroken
from ledger.sealed import SealedEntry, proven_heading

# Files are as small with level 1, and with dictionaries for columns of few values only, and take a third less time.
# Small row groups make them a twentieth larger, and keep memory low where evidence is long.
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000, ROW_GROUP_SIZE 20480"

_ENTRIES_PER_WRITE = 100  # what fits into a cache of the processor is written a tenth faster
_MONTHS = """
    SELECT strftime(first, '%Y-%m')
    FROM (SELECT DISTINCT date_trunc('month', effective_on) AS first FROM entry_rows)
    ORDER BY first
"""


class Journal(Protocol):
    """What is exported."""

    def heads(self) -> Iterator[Head]:
        """The heads of all books."""

    def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]:
        """The entries of a book behind number `after`, up to number `last`, in order, as they are stored."""


@dataclass(frozen=True, slots=True)
class SliceFile:
    """A Parquet file of a slice: `kind` is `entries` or `postings`, `month` such as 2026-10."""

    kind: str
    month: str
    rows: int
    path: Path


@dataclass(frozen=True, slots=True)
class MadeSlice:
    """A slice, made and not yet in its place."""

    files: tuple[SliceFile, ...]
    books: tuple[ExportedBook, ...]
    totals: tuple[ControlTotal, ...]


def make_slice(
    journal: Journal, spans: Slice, scratch: Path, progress: Callable[[int], None] = lambda _: None
) -> MadeSlice:
    """Make the files of a slice in the folder `scratch`; `progress` is told how many more entries were read.

    Raises BookBroken for an entry that does not prove itself. Memory grows with the slice.
    """
    lines = scratch / "lines"
    with lines.open("wb") as file:
        books = tuple(_write_lines(journal, span, file, progress) for span in spans)
    with connection(scratch) as made:
        rows = _rows(made, lines)
        lines.unlink()
        files = tuple(_write_files(made, rows, scratch))
        _expect_rows(files, books)
        totals = control_totals(made, [file.path for file in files if file.kind == POSTINGS])
    return MadeSlice(files, books, totals)


def connection(scratch: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB in memory, with one thread, which keeps any order by itself: it writes the same bytes every time.

    A slice takes 200 MB of the memory. Evidence of 8 KB on average is written and proved; what has no room is spilled.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "preserve_insertion_order": False,
        "memory_limit": "1GB",
        "temp_directory": str(scratch / "spilled"),
    }
    return duckdb.connect(config=settings)


# -- Python: proof -----------------------------------------------------------------------------------------------------


def _write_lines(journal: Journal, span: Span, file: BinaryIO, progress: Callable[[int], None]) -> ExportedBook:
    """Prove the entries of a span and write a line for each; runs for every entry of the ledger."""
    book, seq = span.book, span.first_seq - 1
    stored = journal.sealed(book, max(seq - 1, 0), span.last_seq)
    before = chain = _chain_before(book, seq, stored)
    if span.chain_before not in {"", before}:
        raise BookBroken(f"{book}: entry {seq} is not the one that the run before exported; the ledger was changed")
    while read := list(islice(stored, _ENTRIES_PER_WRITE)):
        lines = []
        for entry in read:
            heading = proven_heading(book, entry, seq, chain)
            seq, _, _, postings, _, recorded_at, evidence, content_hash, chain = entry
            sealed = f"{seq}\x1f{recorded_at}\x1f{content_hash}\x1f{chain}"
            lines.append(f"{heading}\x1f{postings}\x1f{evidence}\x1f{sealed}\n")
        file.write("".join(lines).encode())
        progress(len(read))
    if seq != span.last_seq:
        raise BookBroken(f"{book}: the head is at {span.last_seq}, the entries end at {seq}")
    return ExportedBook(book, span.first_seq, seq, seq - span.first_seq + 1, before, chain)


def _chain_before(book: Book, seq: int, stored: Iterator[SealedEntry]) -> str:
    """The chain hash of the entry with this number, which is the first that is stored; manifests link what it seals."""
    if seq == 0:
        return GENESIS
    entry = next(stored, None)
    if entry is None or entry.seq != seq:
        raise BookBroken(f"{book}: entry {seq} is missing from the ledger")
    return entry.chain_hash


# -- DuckDB: files -----------------------------------------------------------------------------------------------------


def _rows(made: duckdb.DuckDBPyConnection, lines: Path) -> Mapping[str, str]:
    try:
        return make_rows(made, lines_of(lines))
    except (duckdb.DataError, duckdb.ProgrammingError) as unreadable:
        why = str(unreadable).splitlines()[0]
        raise BookBroken(f"an entry is not the JSON, dates and amounts that the ledger writes: {why}") from unreadable


def _write_files(made: duckdb.DuckDBPyConnection, rows: Mapping[str, str], scratch: Path) -> Iterator[SliceFile]:
    for (month,) in made.execute(_MONTHS).fetchall():
        of_month = f"effective_on >= DATE '{month}-01' AND effective_on < DATE '{month}-01' + INTERVAL 1 MONTH"
        for kind, query in rows.items():
            path = scratch / f"{kind}-{month}.parquet"
            copy = f"COPY (FROM ({query}) WHERE {of_month}) TO {quoted(path)} ({PARQUET})"
            [(count,)] = made.execute(copy).fetchall()
            yield SliceFile(kind, month, count, path)


def _expect_rows(files: Iterable[SliceFile], books: Iterable[ExportedBook]) -> None:
    """As many rows as entries; a line break in evidence, which JSON would not have, could add one."""
    written, proven = sum(file.rows for file in files if file.kind == ENTRIES), sum(book.entries for book in books)
    if written != proven:
        raise BookBroken(f"{proven} entries came to {written} rows: an entry's evidence is not the JSON of the ledger")
