"""Entries: immutable and balanced per currency, or they cannot be built.

A positive amount is a debit, a negative one a credit (docs/decisions/sign_convention.md).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from json import JSONEncoder
from typing import NewType

from pydantic_core import to_json

from ledger.accounts import Account, role_of
from ledger.errors import LedgerError, PostingRuleBroken, UnbalancedEntry
from ledger.money import Money
from ledger.posting_rules import POSTING_RULES, Reason
from ledger.records import dataclass

EntryId = NewType("EntryId", str)
Book = NewType("Book", str)
Evidence = NewType("Evidence", str)

PLATFORM_BOOK = Book("platform")

# Sorted keys, no blanks: equal content is equal text.
_CANONICAL = JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def client_book(client: str) -> Book:
    """The book of a client: its cycles' entries, invoices and payments."""
    return Book(f"client/{client}")


def expert_book(expert: str) -> Book:
    """The book of an expert: incentives and payouts."""
    return Book(f"expert/{expert}")


def evidence(facts: Mapping[str, object]) -> Evidence:
    """What decided an entry, as canonical JSON: sorted keys, no blanks, so that equal facts hash equally."""
    return Evidence(_CANONICAL.encode(facts))


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry: a debit if `amount` is positive, a credit if negative; never zero."""

    account: Account
    amount: Money

    def __post_init__(self) -> None:
        if self.amount.minor_units == 0:
            raise LedgerError(f"a posting of zero to {self.account} says nothing; leave it out")


@dataclass(frozen=True, slots=True)
class Entry:
    """Postings that balance in every currency and obey the rule of their reason.

    `effective_on` is the accounting date: of a client's entries in its contract's time zone, of others in UTC.
    `content_hash` covers everything: the same id with another hash is an error, with the same it is recorded already.
    Raises LedgerError for anything that may not be posted.
    """

    id: EntryId
    book: Book
    reason: Reason
    postings: tuple[Posting, ...]
    effective_on: date
    evidence: Evidence
    content_hash: str = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.effective_on, datetime):
            raise LedgerError(f"{self.id}: effective_on is a date, not an instant")
        _check_postings(self)
        object.__setattr__(self, "content_hash", _content_hash(self))


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """An entry at its place in a book: `seq` counts from 1 without gaps; `chain_hash` seals all before it."""

    entry: Entry
    seq: int
    recorded_at: datetime
    chain_hash: str


def _check_postings(entry: Entry) -> None:
    sums: dict[tuple[int, str], int] = {}
    seen = set()
    for posting in entry.postings:
        line = (posting.account, posting.amount.currency)
        if line in seen:
            raise LedgerError(f"{entry.id}: {posting.account} appears twice in {posting.amount.currency}; add them up")
        seen.add(line)
        _check_owner(entry, posting.account)
        place = _flow_of(entry, posting)
        key = (place, posting.amount.currency)
        sums[key] = sums.get(key, 0) + posting.amount.minor_units
    if not entry.postings or any(sums.values()):
        off = {f"flow {place + 1} in {code}": total for (place, code), total in sums.items() if total}
        raise UnbalancedEntry(f"{entry.id}: debits and credits of {entry.reason} differ by {off or 'having no lines'}")


def _flow_of(entry: Entry, posting: Posting) -> int:
    is_debit = posting.amount.minor_units > 0
    place = place_of(entry.reason, role_of(posting.account), is_debit)
    if place is None:
        side = "debit" if is_debit else "credit"
        raise PostingRuleBroken(f"{entry.id}: {entry.reason} may not {side} {posting.account} (ledger/README.md)")
    return place


@cache
def place_of(reason: Reason, role: str, is_debit: bool) -> int | None:  # noqa: FBT001  # keys of a cache
    """The first flow of a reason's rule that a posting may belong to, None if there is none."""
    for place, flow in enumerate(POSTING_RULES[reason]):
        if role in (flow.debit if is_debit else flow.credit):
            return place
        if flow.either_sign and role in (flow.credit if is_debit else flow.debit):
            return place
    return None


def _check_owner(entry: Entry, account: Account) -> None:
    if is_foreign(entry.book, account):
        raise PostingRuleBroken(f"{entry.id}: an entry in book {entry.book} may not touch {account}")


def is_foreign(book: Book, account: Account) -> bool:
    """Whether an account belongs to another client than a client's book, or to another expert than an expert's."""
    owner = account.rpartition("/")[0]
    return owner.partition("/")[0] == book.partition("/")[0] and owner != book


def _content_hash(entry: Entry) -> str:
    heading = canonical_heading(entry.id, entry.book, entry.reason, entry.effective_on.isoformat())
    return hash_of_content(heading, canonical_postings(entry.postings), entry.evidence)


def canonical_heading(id_: str, book: str, reason: str, effective_on: str) -> str:
    """What an entry is called, as it is hashed: a JSON list of id, book, reason and accounting date, without blanks."""
    return to_json((id_, book, reason, effective_on)).decode()


def canonical_postings(lines: Iterable[Posting]) -> str:
    """Postings as they are stored and hashed: a JSON list of [account, currency, minor units], without blanks."""
    return to_json([[line.account, line.amount.currency, line.amount.minor_units] for line in lines]).decode()


def hash_of_content(heading: str, lines: str, proof: str) -> str:
    """The SHA-256 of a JSON list, in UTF-8, of what the heading lists, postings and evidence; 64 hex digits.

    Heading and postings end where their JSON does, so no other entry gives the same text.
    """
    return hashlib.sha256(f"{heading[:-1]},{lines},{to_json(proof).decode()}]".encode()).hexdigest()


def postings(amounts: Iterable[tuple[Account, int]], currency_code: str) -> tuple[Posting, ...]:
    """Postings in one currency from signed minor units; zeros are left out."""
    return tuple(Posting(account, _money(minor, currency_code)) for account, minor in amounts if minor)


@lru_cache(maxsize=4096)
def _money(minor_units: int, code: str) -> Money:
    return Money(minor_units, code)  # type: ignore[arg-type]  # Money refuses an unknown code itself


def utc(instant: datetime) -> datetime:
    """The instant in UTC; a naive one is refused, for nobody knows what it means."""
    if instant.tzinfo is None:
        raise LedgerError(f"{instant.isoformat()} has no time zone; give an aware time, such as 2026-10-01T00:00:00Z")
    return instant.astimezone(UTC)
