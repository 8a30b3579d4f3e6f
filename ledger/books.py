"""Books: a gap-free, hash-chained sequence of entries with one head."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from datetime import date, datetime

from ledger.entries import Book, Entry, RecordedEntry, evidence, utc
from ledger.errors import BookBroken
from ledger.records import dataclass, replace

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a book: the last sequence number (0 for an empty book) and its chain hash.

    `locked_through` is the last month in which nothing is dated any more, such as 2026-10, with all before it; "" if no
    month is locked. Heads are equal if they end at the same entry.
    """

    book: Book
    seq: int = 0
    chain_hash: str = GENESIS
    locked_through: str = field(default="", compare=False)


def append(head: Head, entries: Sequence[Entry], recorded_at: datetime) -> tuple[tuple[RecordedEntry, ...], Head]:
    """The entries sealed behind `head`, in order, and the new head.

    What is dated in a locked month takes the first day of the next one, and keeps its own as `late_for` in its
    evidence. Raises BookBroken for an entry of another book.
    """
    recorded_at = utc(recorded_at)
    sealed = []
    for asked in entries:
        entry = _in_open_month(asked, head.locked_through)
        if entry.book != head.book:
            raise BookBroken(f"{entry.id} belongs to book {entry.book}, not to {head.book}")
        seq = head.seq + 1
        chain_hash = chained_hash(entry.content_hash, seq, recorded_at.isoformat(), head.chain_hash)
        sealed.append(RecordedEntry(entry, seq, recorded_at, chain_hash))
        head = Head(head.book, seq, chain_hash, head.locked_through)
    return tuple(sealed), head


def is_locked(day: date, locked_through: str) -> bool:
    """Whether a day lies in a locked month."""
    return day.isoformat()[:7] <= locked_through


def _in_open_month(entry: Entry, locked_through: str) -> Entry:
    if not is_locked(entry.effective_on, locked_through):
        return entry
    year, month = int(locked_through[:4]), int(locked_through[5:])
    facts = json.loads(entry.evidence) | {"late_for": entry.effective_on.isoformat()}
    first_open = date(year + month // 12, month % 12 + 1, 1)
    return replace(entry, effective_on=first_open, evidence=evidence(facts))


def check_book(
    book: Book, recorded: Iterable[RecordedEntry], head: Head | None = None, after: Head | None = None
) -> Iterator[BookBroken]:
    """Every way in which a book, read from its first entry, does not prove itself; nothing if it does.

    With `head` it also finds entries missing at the end. With `after` the entries are those behind that head.
    """
    previous = after or Head(book)
    for item in recorded:
        if item.entry.book != book:
            yield BookBroken(f"{book}: entry {item.entry.id} belongs to {item.entry.book}")
        if item.seq != previous.seq + 1:
            yield BookBroken(f"{book}: sequence goes from {previous.seq} to {item.seq}")
        wanted = chained_hash(item.entry.content_hash, item.seq, item.recorded_at.isoformat(), previous.chain_hash)
        if wanted != item.chain_hash:
            yield BookBroken(f"{book}: entry {item.seq} ({item.entry.id}) does not carry the hash of its content")
        previous = Head(book, item.seq, item.chain_hash)
    if head is not None and head != previous:
        yield BookBroken(f"{book}: the head is at {head.seq}, the entries end at {previous.seq}")


def chained_hash(content_hash: str, seq: int, recorded_at: str, previous: str) -> str:
    """The hash that seals an entry to all before it; `recorded_at` as Python writes an instant in UTC, with +00:00."""
    return hashlib.sha256(f"{content_hash}\n{seq}\n{recorded_at}\n{previous}".encode()).hexdigest()
