"""What each book sums to, kept so that nobody reads the whole journal every day.

A book is append-only, so the sums of its first entries stay true for ever: whoever knows them up to a sequence number
reads only what came behind it. They are no second truth. The chain hash at that number is kept with them, and what
comes behind must continue it; sums that are lost are made again from the first entry.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import date
from itertools import islice
from typing import Protocol

from ledger.accounts import STRIPE_BALANCE, STRIPE_CLEARING, Account
from ledger.books import GENESIS, Head, check_book
from ledger.entries import Book, Entry, RecordedEntry
from ledger.errors import BookBroken
from ledger.money import Currency
from ledger.records import dataclass
from settlement.ports import Books

# These are matched source by source, the others as a whole.
_BY_SOURCE = frozenset({STRIPE_BALANCE, STRIPE_CLEARING})
# A book whose sums would be longer is read from its first entry: so many still fit into one item.
MOST_TOTALS = 4000
ENTRIES_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Total:
    """Signed minor units, a debit positive, in one account; of one `source` where it is matched source by source.

    `since` is the day of the first entry of a source; of a whole account, of the last.
    """

    account: Account
    source: str
    currency: Currency
    minor_units: int
    since: date


@dataclass(frozen=True, slots=True)
class BookSums:
    """What the entries of a book sum to, up to number `seq` with that chain hash; totals of zero are left out."""

    book: Book
    seq: int = 0
    chain_hash: str = GENESIS
    totals: tuple[Total, ...] = ()


class SumsStore(Books, Protocol):
    """Where sums are kept."""

    def book_sums(self) -> Iterator[BookSums]:
        """The sums that were kept, in no order."""

    def keep_book_sums(self, sums: BookSums) -> None:
        """Keep these in the place of earlier ones of the same book; whoever comes last, for any prefix is right."""


@dataclass(frozen=True, slots=True)
class LedgerSums:
    """The sums of all books, how many entries were read for them, and what is wrong with books that are broken."""

    books: Mapping[Book, BookSums] = field(default_factory=dict)
    entries_read: int = 0
    broken: tuple[tuple[Book, str], ...] = ()

    def totals(self) -> Iterator[Total]:
        """Every total of every book."""
        for sums in self.books.values():
            yield from sums.totals


def read_sums(store: SumsStore, *, afresh: bool = False) -> LedgerSums:
    """What the journal sums to now. With `afresh` it is read from the first entry, whatever was kept."""
    kept = {} if afresh else {sums.book: sums for sums in store.book_sums()}
    return brought_up_to_date(store, LedgerSums(kept))


def brought_up_to_date(store: Books, before: LedgerSums) -> LedgerSums:
    """The sums with what was posted meanwhile. Only books that grew are read, a page at a time.

    A broken book is named, and summed as far as it can be read.
    """
    books, read, broken = dict(before.books), 0, list(before.broken)
    lost = set(before.books)
    for head in store.heads():
        lost.discard(head.book)
        after, problems = _read_on(store, head, books.get(head.book, BookSums(head.book)))
        broken += [(head.book, str(problem)) for problem in problems]
        if after.seq:
            read += after.seq - (books[head.book].seq if head.book in books else 0)
            books[head.book] = after
    broken += [(book, f"{book}: its head is gone") for book in sorted(lost)]
    return LedgerSums(books, before.entries_read + read, tuple(dict.fromkeys(broken)))


def keep_sums(store: SumsStore) -> int:
    """Bring what is kept up to date; how many entries that took. The sums of a broken book are not kept.

    They are kept book by book, and within a long one on the way, so that whoever is interrupted goes on there.
    """
    kept = {sums.book: sums for sums in store.book_sums()}
    read = 0
    for head in store.heads():
        before = kept.get(head.book, BookSums(head.book))
        while before.seq < head.seq:
            after, problems = _read_on(store, head, before, ENTRIES_AT_ONCE)
            if problems or after.seq == before.seq or len(after.totals) > MOST_TOTALS:
                break
            store.keep_book_sums(after)
            before, read = after, read + after.seq - before.seq
    return read


def source_of(entry: Entry) -> str:
    """What moved the money of an entry: a balance transaction, transfer or charge of Stripe; else the entry itself."""
    facts = json.loads(entry.evidence)
    return str(facts.get("movement") or facts.get("transfer") or facts.get("payment") or entry.id)


def _read_on(store: Books, head: Head, before: BookSums, most: int | None = None) -> tuple[BookSums, list[BookBroken]]:
    """A book's sums with (at most so much of) what stands behind them, as far as it can be read, and what is wrong."""
    known, adding, problems = Head(head.book, before.seq, before.chain_hash), _Adding(before), list[BookBroken]()
    if head.seq > known.seq:
        entries = adding.all(islice(store.entries(head.book, after=known.seq), most))
        try:
            problems += check_book(head.book, entries, after=known)
        except BookBroken as broken:
            problems.append(broken)
        return adding.sums(), problems
    if head != known:
        said = f"{head.book}: entries that were read before, up to {known.seq}, are other ones or gone"
        problems.append(BookBroken(said))
    return before, problems


class _Adding:
    """Sums while entries are added to them."""

    def __init__(self, before: BookSums) -> None:
        self._book = before.book
        self._seq, self._chain_hash = before.seq, before.chain_hash
        self._sums = {(it.account, it.source, it.currency): (it.minor_units, it.since) for it in before.totals}

    def all(self, entries: Iterable[RecordedEntry]) -> Iterator[RecordedEntry]:
        """The same entries, added as they pass."""
        for recorded in entries:
            self._add(recorded.entry)
            self._seq, self._chain_hash = recorded.seq, recorded.chain_hash
            yield recorded

    def _add(self, entry: Entry) -> None:
        for posting in entry.postings:
            account, amount = posting.account, posting.amount
            by_source = account in _BY_SOURCE
            key = (account, source_of(entry) if by_source else "", amount.currency)
            minor_units, since = self._sums.get(key, (0, entry.effective_on))
            since = min(since, entry.effective_on) if by_source else max(since, entry.effective_on)
            self._sums[key] = (minor_units + amount.minor_units, since)
            if not self._sums[key][0]:
                del self._sums[key]

    def sums(self) -> BookSums:
        totals = tuple(Total(*key, *total) for key, total in self._sums.items())
        return BookSums(self._book, self._seq, self._chain_hash, totals)
