"""Books: a gap-free, hash-chained sequence of entries with one head."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from ledger.entries import Book, Entry, RecordedEntry, utc
from ledger.errors import BookBroken
from ledger.records import dataclass

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a book: the last sequence number (0 for an empty book) and its chain hash."""

    book: Book
    seq: int = 0
    chain_hash: str = GENESIS


def append(head: Head, entries: Sequence[Entry], recorded_at: datetime) -> tuple[tuple[RecordedEntry, ...], Head]:
    """The entries sealed behind `head`, in order, and the new head. Raises BookBroken for an entry of another book."""
    recorded_at = utc(recorded_at)
    sealed = []
    for entry in entries:
        if entry.book != head.book:
            raise BookBroken(f"{entry.id} belongs to book {entry.book}, not to {head.book}")
        seq = head.seq + 1
        chain_hash = _chain_hash(entry.content_hash, seq, recorded_at, head.chain_hash)
        sealed.append(RecordedEntry(entry, seq, recorded_at, chain_hash))
        head = Head(head.book, seq, chain_hash)
    return tuple(sealed), head


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
        wanted = _chain_hash(item.entry.content_hash, item.seq, item.recorded_at, previous.chain_hash)
        if wanted != item.chain_hash:
            yield BookBroken(f"{book}: entry {item.seq} ({item.entry.id}) does not carry the hash of its content")
        previous = Head(book, item.seq, item.chain_hash)
    if head is not None and head != previous:
        yield BookBroken(f"{book}: the head is at {head.seq}, the entries end at {previous.seq}")


def _chain_hash(content_hash: str, seq: int, recorded_at: datetime, previous: str) -> str:
    text = f"{content_hash}\n{seq}\n{recorded_at.isoformat()}\n{previous}"
    return hashlib.sha256(text.encode()).hexdigest()
