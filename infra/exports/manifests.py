"""Manifests: what each run of an export wrote, where its books ended, and who signed for it."""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from pydantic import TypeAdapter

from infra.exports.folders import Folder
from ledger.books import GENESIS, Head
from ledger.entries import Book
from ledger.errors import BookBroken
from ledger.money import Currency

MANIFESTS = "manifests"
FIRST = "0" * 64  # stands for the manifest before the first

# From content to an ECDSA signature over it, as KMS makes it: P-256, SHA-256, DER.
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of the export; `path` is relative to its folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ExportedBook:
    """Entries of a book, from `first_seq` to `last_seq`, both included.

    `chain_before` is the chain hash of the entry before the first, `chain_hash` that of the last.
    """

    book: Book
    first_seq: int
    last_seq: int
    entries: int
    chain_before: str
    chain_hash: str


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """What a currency sums to: minor units, both positive; `entries` are those with a posting in it."""

    currency: Currency
    debit: int
    credit: int
    entries: int
    postings: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a book was exported: the number and the chain hash of its last entry."""

    book: Book
    seq: int = 0
    chain_hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Written:
    """What a slice of a run, or all of it, wrote."""

    files: tuple[ExportedFile, ...]
    books: tuple[ExportedBook, ...]
    totals: tuple[ControlTotal, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run wrote: files by path, books by name, totals by currency; and the cursors of all books after it.

    `run` counts from 1. `previous` is the SHA-256 of what was signed in the manifest before.
    """

    run: int
    previous: str
    files: tuple[ExportedFile, ...]
    books: tuple[ExportedBook, ...]
    totals: tuple[ControlTotal, ...]
    cursors: tuple[Cursor, ...]

    @property
    def entries(self) -> int:
        """How many entries the run wrote."""
        return sum(book.entries for book in self.books)

    def content(self) -> bytes:
        """What is signed."""
        return _MANIFEST.dump_json(self)

    def sha256(self) -> str:
        """What the next manifest calls `previous`."""
        return hashlib.sha256(self.content()).hexdigest()


_FILE = re.compile(r"(entries|postings)/month=\d{4}-\d{2}/\d{6}-\d{4,}\.parquet", re.ASCII)
_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest as it is stored; the signature is empty if nobody signed."""

    manifest: Manifest
    signature: bytes

    def text(self) -> bytes:
        """The file."""
        return b'{"manifest":%b,"signature":"%b"}\n' % (self.manifest.content(), b64encode(self.signature))


def manifest_path(run: int) -> str:
    """Where the manifest of a run is."""
    return f"{MANIFESTS}/{run:06d}.json"


def parse_manifest(text: bytes) -> SignedManifest:
    """The manifest in a file. Raises ValueError for one that no run writes so, even if only a blank is different.

    So no path that it names leads out of the export's folder.
    """
    told = json.loads(text)
    if not isinstance(told, dict) or told.keys() != {"manifest", "signature"}:
        raise ValueError("it is not an object of a manifest and its signature")
    manifest = _MANIFEST.validate_json(json.dumps(told["manifest"]))
    signed = SignedManifest(manifest, b64decode(str(told["signature"]), validate=True))
    if signed.text() != text:
        raise ValueError("it is not written as a run writes it; somebody edited it")
    for file in manifest.files:
        if not _FILE.fullmatch(file.path):
            raise ValueError(f"it names {file.path!r}, and no run writes a file there")
    return signed


def manifest_names(folder: Folder) -> list[str]:
    """The paths of all manifests, in the order of their runs."""
    return sorted(name for name in folder.names(f"{MANIFESTS}/") if name.endswith(".json"))


def read_manifests(folder: Folder) -> list[Manifest]:
    """The manifests of an export in the order of their runs; none where there is no export.

    Their signatures are not checked here. Raises ValueError, with the name of the file, for one that cannot be read.
    """
    return [read_manifest(folder, name) for name in manifest_names(folder)]


def read_manifest(folder: Folder, name: str) -> Manifest:
    """The manifest of this name. Raises ValueError, with the name, for one that cannot be read."""
    try:
        return parse_manifest(folder.read(name) or b"").manifest
    except ValueError as unreadable:
        raise ValueError(f"{name} cannot be read: {unreadable}") from unreadable


# -- what a run will write, and what it wrote --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """Entries of a book from `first_seq` to `last_seq`, both included.

    `chain_before` is the chain hash of what was exported before; empty where another slice of the run comes before.
    """

    book: Book
    first_seq: int
    last_seq: int
    chain_before: str = ""


Slice = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it is done: its slices, and the cursors of all books after it."""

    run: int
    previous: str
    slices: tuple[Slice, ...]
    cursors: tuple[Cursor, ...]

    @property
    def entries(self) -> int:
        """How many entries the run will write."""
        return sum(span.last_seq - span.first_seq + 1 for spans in self.slices for span in spans)


PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)
WRITTEN: TypeAdapter[Written] = TypeAdapter(Written)


def plan_run(last: Manifest | None, heads: Iterable[Head], entries_per_slice: int) -> Plan | None:
    """The run that follows `last`: every book up to its head; None if there is nothing that was not exported yet.

    The first run is never None, so that even an empty ledger has an export. Raises BookBroken for a book that is
    shorter than what was exported of it, or another one: the ledger lost entries, or the export is not its own.
    """
    before = {cursor.book: cursor for cursor in last.cursors} if last else {}
    after = {head.book: Cursor(head.book, head.seq, head.chain_hash) for head in heads if head.seq}
    for cursor in before.values():
        now = after.get(cursor.book, Cursor(cursor.book))
        if now.seq < cursor.seq or (now.seq == cursor.seq and now != cursor):
            raise BookBroken(
                f"{cursor.book}: the export ends at entry {cursor.seq}, the book at {now.seq} with another chain hash;"
                " the ledger was changed, or the export is another ledger's: export to another folder and compare"
            )
    starts = {book: before.get(book, Cursor(book)) for book in sorted(after)}
    spans = [
        Span(book, start.seq + 1, after[book].seq, start.chain_hash)
        for book, start in starts.items()
        if start.seq < after[book].seq
    ]
    if last and not spans:
        return None
    run, previous = (last.run + 1, last.sha256()) if last else (1, FIRST)
    return Plan(run, previous, _cut(spans, entries_per_slice), tuple(after[book] for book in sorted(after)))


def _cut(spans: Iterable[Span], most: int) -> tuple[Slice, ...]:
    """The spans in slices of so many entries each, but for the last."""
    slices: list[Slice] = []
    current: list[Span] = []
    room = most
    for span in spans:
        first = span.first_seq
        while first <= span.last_seq:
            last = min(span.last_seq, first + room - 1)
            current.append(Span(span.book, first, last, span.chain_before if first == span.first_seq else ""))
            room -= last - first + 1
            first = last + 1
            if not room:
                slices.append(tuple(current))
                current, room = [], most
    return (*slices, tuple(current)) if current else tuple(slices)


def manifest_of(plan: Plan, done: Sequence[Written]) -> Manifest:
    """The manifest of a run whose slices are all written, in their order. Raises BookBroken where they do not link."""
    files = tuple(sorted((file for part in done for file in part.files), key=lambda file: file.path))
    parts = sorted((book for part in done for book in part.books), key=lambda book: (book.book, book.first_seq))
    books = tuple(_joined(list(group)) for _, group in groupby(parts, key=lambda book: book.book))
    ends = {cursor.book: cursor for cursor in plan.cursors}
    for book in books:
        if (book.last_seq, book.chain_hash) != (ends[book.book].seq, ends[book.book].chain_hash):
            raise BookBroken(f"{book.book}: the head is at {ends[book.book].seq}, the entries end at {book.last_seq}")
    return Manifest(plan.run, plan.previous, files, books, add_up(part.totals for part in done), plan.cursors)


def _joined(parts: Sequence[ExportedBook]) -> ExportedBook:
    first, last = parts[0], parts[-1]
    for before, after in pairwise(parts):
        if (before.last_seq + 1, before.chain_hash) != (after.first_seq, after.chain_before):
            raise BookBroken(f"{first.book}: entry {after.first_seq} does not follow entry {before.last_seq}")
    entries = sum(part.entries for part in parts)
    return ExportedBook(first.book, first.first_seq, last.last_seq, entries, first.chain_before, last.chain_hash)


def add_up(parts: Iterable[Iterable[ControlTotal]]) -> tuple[ControlTotal, ...]:
    """The control totals of all parts together."""
    sums: dict[Currency, ControlTotal] = {}
    for it in (total for part in parts for total in part):
        so_far = sums.get(it.currency, ControlTotal(it.currency, 0, 0, 0, 0))
        sums[it.currency] = ControlTotal(
            it.currency,
            so_far.debit + it.debit,
            so_far.credit + it.credit,
            so_far.entries + it.entries,
            so_far.postings + it.postings,
        )
    return tuple(sums[code] for code in sorted(sums))


def by_path(manifests: Iterable[Manifest]) -> Mapping[str, ExportedFile]:
    """The files that the manifests name."""
    return {file.path: file for manifest in manifests for file in manifest.files}
