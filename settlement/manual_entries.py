"""Entries made by hand: one person proposes, another approves exactly that, and only then it is posted.

What is proposed waits under the hash of all that it says. It is posted to the platform's book under the rule `manual`,
once, and never edited: what was wrong is reversed by another entry, which names it and needs two people as well.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Protocol

from events.facts import Instant
from ledger.accounts import Account, role_of
from ledger.books import is_locked
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, Posting, RecordedEntry, evidence
from ledger.errors import LedgerError
from ledger.money import Currency, Money
from ledger.posting_rules import Reason
from ledger.records import dataclass
from settlement.identity import is_same_person
from settlement.ports import Books, Changes, Writer
from settlement.writing import sealed, until_written

# 64 bits of a SHA-256, as for price changes: nobody finds a second content.
_HASH_DIGITS = 16
_LONGEST_TEXT = 200
# Accounts that sum to what is kept elsewhere: an entry alone would put them at odds.
_KEPT_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "client/receivable": "sums to what invoices are owed; `solvent invoice` voids, reissues and settles them",
        "client/prepaid": "sums to the client's credits; `solvent credits` buys and refunds them",
        "expert/payable": "sums to holds and what is available; what an expert earns follows from facts and disputes",
        "expert/in_transit": "sums to payouts under way; `solvent payouts` rejects them",
        "stripe/clearing": "sums to payments of invoices that are not available yet; they are followed by themselves",
    }
)


class ManualEntryRefused(ValueError):
    """What cannot be proposed, approved, withdrawn or reversed; the message says why, and what to do."""

    def __init__(self, what: str, field: tuple[str | int, ...] = ()) -> None:
        super().__init__(what)
        self.field = field


class ManualStatus(StrEnum):
    """Where a proposal stands. The codes are stored for ever."""

    WAITING = "waiting"
    POSTED = "posted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ManualLine:
    """Signed minor units in an account, a debit positive."""

    account: Account
    currency: Currency
    minor_units: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What an entry is to say.

    `reference` names the document that proves it, and `movement` the balance transaction at Stripe that it books;
    `reverses` is the entry that it takes back.
    """

    reason: str
    reference: str
    effective_on: date
    lines: tuple[ManualLine, ...]
    movement: str | None = None
    reverses: EntryId | None = None


@dataclass(frozen=True, slots=True)
class ManualEntry:
    """A draft that was proposed, under the hash of all that it says; who proposed it, and who decided on it.

    `seq` is its number in the platform's book once it is posted. `revision` counts writes.
    """

    id: str
    draft: Draft
    proposed_by: str
    proposed_at: Instant
    status: ManualStatus = ManualStatus.WAITING
    decided_by: str = ""
    decided_at: Instant | None = None
    seq: int = 0
    revision: int = 0

    @property
    def entry_id(self) -> EntryId:
        """The id of its entry."""
        return EntryId(f"manual:{self.id}")


class ManualStore(Writer, Books, Protocol):
    """What manual entries read and write."""

    def manual_entry(self, id_: str) -> ManualEntry | None:
        """What was proposed under that hash, whatever became of it."""

    def manual_entries(self) -> Iterator[ManualEntry]:
        """Everything that was ever proposed, in no order."""

    def posted(self, entry_ids: Collection[str]) -> frozenset[str]:
        """Those of these marks and entries that may be written only once and were."""

    def entries_at(self, book: Book, seqs: Sequence[int]) -> Sequence[RecordedEntry]:
        """The entries of a book with these numbers, in their order."""


def content_hash(draft: Draft) -> str:
    """The hash of all that a draft says."""
    lines = [[line.account, line.currency, line.minor_units] for line in draft.lines]
    content = [draft.reason, draft.reference, draft.effective_on.isoformat(), lines, draft.movement, draft.reverses]
    return sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:_HASH_DIGITS]


# -- proposing ---------------------------------------------------------------------------------------------------------


def propose(store: ManualStore, draft: Draft, by: str, as_of: datetime) -> ManualEntry:
    """Let an entry wait for a second person; the proposal of whoever proposed the very same first.

    Raises ManualEntryRefused for one that could not be posted, with the field that is wrong; a date after the day of
    `as_of` (UTC), or in a locked month, is wrong.
    """
    _check(draft)
    if draft.effective_on > as_of.astimezone(UTC).date():
        raise ManualEntryRefused(f"{draft.effective_on} is yet to come; propose it on that day", ("effective_on",))

    def attempt() -> ManualEntry:
        id_ = content_hash(draft)
        known = store.manual_entry(id_)
        if known is not None and known.status is ManualStatus.WAITING:
            return known
        if known is not None and known.status is ManualStatus.POSTED:
            said = f"this very entry was posted as {known.entry_id}; another one has evidence of its own"
            raise ManualEntryRefused(said, ("evidence",))
        _refuse_locked(draft, store.head(PLATFORM_BOOK).locked_through)
        _check_reversal(store, draft)
        proposed = ManualEntry(id_, draft, by, as_of, revision=known.revision + 1 if known else 1)
        store.commit(Changes(manual_entries=(proposed,)))
        return proposed

    return until_written(store, "the proposal of an entry", attempt)


def _check(draft: Draft) -> None:
    """Refuse what could not be posted, field by field."""
    for name, text in (("reason", draft.reason), ("evidence", draft.reference)):
        if not text.strip() or len(text) > _LONGEST_TEXT or not text.isprintable():
            what = f"write one line of at most {_LONGEST_TEXT} characters"
            raise ManualEntryRefused(f"{what}, so that whoever reads the ledger knows why", (name,))
    for place, line in enumerate(draft.lines):
        where = ("postings", place, "account")
        try:
            role = role_of(line.account)
        except LedgerError as unknown:
            raise ManualEntryRefused(str(unknown), where) from None
        if why := _KEPT_ELSEWHERE.get(role):
            raise ManualEntryRefused(f"{line.account} {why}", where)
        if role == "stripe/balance" and not draft.movement:
            what = "name the balance transaction at Stripe (txn_...) that this books, or reconciliation misses it"
            raise ManualEntryRefused(f"{line.account}: {what}", ("movement",))
    try:
        entry_of(draft, "")
    except LedgerError as wrong:
        raise ManualEntryRefused(str(wrong), ("postings",)) from None


def _refuse_locked(draft: Draft, locked_through: str) -> None:
    if is_locked(draft.effective_on, locked_through):
        what = (
            f"{draft.effective_on} is in a locked month; withdraw it, and propose it with a day after {locked_through}"
        )
        raise ManualEntryRefused(what, ("effective_on",))


def _check_reversal(store: ManualStore, draft: Draft) -> None:
    if draft.reverses is not None and store.posted([_reversal_mark(draft.reverses)]):
        raise ManualEntryRefused(f"{draft.reverses} is reversed already; see `solvent finance entry list`")


def propose_reversal(store: ManualStore, entry_id: str, reason: str, by: str, as_of: datetime) -> ManualEntry:
    """Let the reversal of a manual entry wait for a second person: the same lines with their sides swapped.

    It is dated on the day of `as_of` (UTC). A reversal can be reversed. Raises ManualEntryRefused for any other entry:
    what facts, invoices and payouts posted is corrected by them, or it would be posted again.
    """
    id_ = entry_id.removeprefix("manual:")
    known = store.manual_entry(id_) if entry_id.startswith("manual:") else None
    if known is None:
        what = "only entries made by hand are reversed by hand: see `solvent finance entry list`"
        raise ManualEntryRefused(f"{entry_id}: {what}; others follow from facts, disputes, invoices and payouts")
    if known.status is not ManualStatus.POSTED:
        raise ManualEntryRefused(f"{entry_id} is {known.status}, so there is nothing to reverse")
    [recorded] = store.entries_at(PLATFORM_BOOK, [known.seq])
    lines = tuple(
        ManualLine(posting.account, posting.amount.currency, -posting.amount.minor_units)
        for posting in recorded.entry.postings
    )
    draft = Draft(
        reason=reason,
        reference=f"reversal of {recorded.entry.id}",
        effective_on=as_of.astimezone(UTC).date(),
        lines=lines,
        movement=known.draft.movement,
        reverses=recorded.entry.id,
    )
    return propose(store, draft, by, as_of)


# -- deciding ----------------------------------------------------------------------------------------------------------


def approve(store: ManualStore, id_: str, by: str, as_of: datetime) -> ManualEntry:
    """Post exactly what somebody else proposed; as it then stands. Approving it again changes nothing.

    Raises ManualEntryRefused for the person who proposed it, and for what is unknown, altered, withdrawn, or dated in a
    month that was locked meanwhile.
    """

    def attempt() -> ManualEntry:
        found = _existing(store, id_)
        if found.status is ManualStatus.POSTED:
            return found
        if found.status is ManualStatus.WITHDRAWN:
            raise ManualEntryRefused(f"{id_} was withdrawn by {found.decided_by}; propose it again")
        if content_hash(found.draft) != found.id:
            raise ManualEntryRefused(f"what is stored under {id_} is not what was proposed; withdraw it")
        if is_same_person(found.proposed_by, by):
            raise ManualEntryRefused(f"{found.proposed_by} proposed this; somebody else has to approve it")
        _check_reversal(store, found.draft)
        return _post(store, found, by, as_of)

    return until_written(store, f"the approval of {id_}", attempt)


def _post(store: ManualStore, found: ManualEntry, by: str, as_of: datetime) -> ManualEntry:
    entry = entry_of(found.draft, found.proposed_by, by)
    entries, heads = sealed(store, (entry,), as_of)
    _refuse_locked(found.draft, heads[0][0].locked_through)  # of the very head that is written
    once = [entry.id, *([_reversal_mark(found.draft.reverses)] if found.draft.reverses else [])]
    posted = replace(
        found,
        status=ManualStatus.POSTED,
        decided_by=by,
        decided_at=as_of,
        seq=entries[0].seq,
        revision=found.revision + 1,
    )
    store.commit(Changes(entries=entries, heads=heads, once=tuple(once), manual_entries=(posted,)))
    return posted


def withdraw(store: ManualStore, id_: str, by: str, as_of: datetime) -> ManualEntry:
    """Let what was proposed be posted no more; as it then stands. Raises ManualEntryRefused for what is posted."""

    def attempt() -> ManualEntry:
        found = _existing(store, id_)
        if found.status is ManualStatus.POSTED:
            what = f"`solvent finance entry reverse {found.entry_id}` takes it back"
            raise ManualEntryRefused(f"{id_} is posted; {what}")
        if found.status is ManualStatus.WITHDRAWN:
            return found
        status, revision = ManualStatus.WITHDRAWN, found.revision + 1
        withdrawn = replace(found, status=status, decided_by=by, decided_at=as_of, revision=revision)
        store.commit(Changes(manual_entries=(withdrawn,)))
        return withdrawn

    return until_written(store, f"the withdrawal of {id_}", attempt)


def _existing(store: ManualStore, id_: str) -> ManualEntry:
    found = store.manual_entry(id_.removeprefix("manual:"))
    if found is None:
        raise ManualEntryRefused(f"nothing was proposed under {id_}; see `solvent finance entry list`")
    return found


def _reversal_mark(entry_id: EntryId) -> EntryId:
    return EntryId(f"{entry_id}:reversed")


def entry_of(draft: Draft, proposed_by: str, approved_by: str = "") -> Entry:
    """The entry that a draft becomes. Raises LedgerError for lines that do not balance in every currency, or none."""
    facts = {
        "because": draft.reason,
        "reference": draft.reference,
        "movement": draft.movement,
        "reverses": draft.reverses,
        "proposed_by": proposed_by,
        "approved_by": approved_by,
    }
    return Entry(
        id=EntryId(f"manual:{content_hash(draft)}"),
        book=PLATFORM_BOOK,
        reason=Reason.MANUAL,
        postings=tuple(Posting(line.account, Money(line.minor_units, line.currency)) for line in draft.lines),
        effective_on=draft.effective_on,
        evidence=evidence({name: value for name, value in facts.items() if value}),
    )
