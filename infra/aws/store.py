"""The ports of settlement, billing and payouts over DynamoDB: reads by key, and one transaction per Changes."""

import json
import random
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar
from zlib import crc32

from pydantic import TypeAdapter
from pynamodb.connection import Connection
from pynamodb.constants import STRING
from pynamodb.exceptions import DoesNotExist, TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.pagination import ResultIterator
from pynamodb.transactions import TransactWrite

from billing.invoices import Invoice
from billing.periods import Period, PeriodState
from billing.prepaid import Prepaid
from events.facts import FACTS, CaseId, format_instant
from infra.aws.activity import ActivityReads, activity_puts, week_update
from infra.aws.book_sums import KeptSums
from infra.aws.tables import (
    AnnouncementItem,
    BookItem,
    CaseItem,
    EntryItem,
    HoldItem,
    InvoiceItem,
    ParkedItem,
    PayoutItem,
    PeriodItem,
    StripeEventItem,
    sortable,
)
from ledger.accounts import Account
from ledger.books import Head
from ledger.entries import Book, Entry, EntryId, Evidence, Posting, RecordedEntry
from ledger.errors import BookBroken
from ledger.money import Currency, Money, currency
from ledger.posting_rules import Reason
from payouts.payouts import Payout
from settlement.cases import CYCLES, MUTUAL_REVIEWS, Case
from settlement.parking import Parked, ParkReason
from settlement.ports import (
    Announcement,
    Available,
    Balances,
    CaseKey,
    Changes,
    Contention,
    HoldChange,
    PayoutRun,
    PeriodKey,
    Spent,
)
from settlement.recorded_facts import SETTLED_CYCLES, PastCase

CASE_SHARDS = 16
DUE_SHARDS = 8
BOOK_SHARDS = 8
KEYS_PER_READ = 100
# What a backtest reads of a CaseItem.
PAST_CASE = ("case_id", "facts", "evidence_only", "mutual_reviews", "cycles")
_AVAILABLE = "available"
_PREPAID_KEY = "prepaid"  # stands in the place of a period
_UNFINISHED = "yes"
_MARK_KEY = "entry/"
# What the payouts table holds, by the beginning of its key; limits are kept beside the payouts that use them up.
_PAYOUT_KEY, _RUN_KEY, _SPENT_KEY = "payout:", "run/", "spent/"
_REMEMBER_EVENTS = timedelta(days=40)
# What DynamoDB says when a rival was faster or patience is asked for; anything else is an error of ours.
_CONTENDED = {"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_CONTENDED_CALLS = {
    "TransactionInProgressException",
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}

_PERIOD: TypeAdapter[PeriodState] = TypeAdapter(PeriodState)
_PREPAID: TypeAdapter[Prepaid] = TypeAdapter(Prepaid)
_INVOICE: TypeAdapter[Invoice] = TypeAdapter(Invoice)
_PAYOUT: TypeAdapter[Payout] = TypeAdapter(Payout)
_RUN: TypeAdapter[PayoutRun] = TypeAdapter(PayoutRun)
_SPENT: TypeAdapter[Spent] = TypeAdapter(Spent)
_ItemT = TypeVar("_ItemT", bound=Model)


def client_shard(client: str, case_id: str) -> str:
    """The partition of a case: a client's cases are spread over 16."""
    return _client_shard(client, crc32(case_id.encode()) % CASE_SHARDS)


def _client_shard(client: str, shard: int) -> str:
    return f"{client}#{shard:02d}"


def book_shard(book: Book, seq: int) -> str:
    """The partition of an entry: a book's entries are spread over 8, in turn."""
    return f"{book}#{seq % BOOK_SHARDS}"


@dataclass(frozen=True, slots=True)
class DynamoStore(ActivityReads, KeptSums):
    """All reads are consistent, but for the indexes `due`, `unfinished` and `expert`; what they find is read by key."""

    connection: Connection

    # -- writing ---------------------------------------------------------------------------------------------------

    def commit(self, changes: Changes) -> None:
        """Write all or nothing; raises Contention if anything changed since it was read.

        A hold whose day was released in the meantime goes to `available` instead.
        """
        released: frozenset[int] = frozenset()
        for _ in range(2):
            try:
                with TransactWrite(connection=self.connection) as transaction:
                    _write(transaction, changes, released)
            except TransactWriteError as refused:
                newly = _released_holds(refused, changes)
                if released or not newly:
                    raise _explain(refused) from refused
                released = newly
            else:
                return

    def pause(self, attempt: int) -> None:
        """Wait up to 20 ms, 40 ms, ... 1 s, at random, so that rivals do not meet again."""
        time.sleep(random.uniform(0, min(1.0, 0.01 * 2**attempt)))  # noqa: S311  # no secret

    # -- cases -----------------------------------------------------------------------------------------------------

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        """Every asked case; an empty one where nothing is known yet."""
        found = {key: Case(*key) for key in keys}
        places = [(client_shard(client, case_id), case_id) for client, case_id in found]
        for item in CaseItem.batch_get(places, consistent_read=True):
            client = item.client_shard.partition("#")[0]
            found[client, CaseId(item.case_id)] = _case(client, item)
        return found

    def all_cases(self) -> Iterator[Case]:
        """Every case of every client, in no order. For reports and tests: it reads the whole table."""
        for item in CaseItem.scan(consistent_read=True):
            yield _case(item.client_shard.partition("#")[0], item)

    def past_cases(self, client: str) -> Iterator[PastCase]:
        """What a backtest reads of every case of a client, shard by shard and by id within one, a page at a time.

        Items are decoded as DynamoDB gives them: a model of each would take longer than its facts.
        """
        for shard in range(CASE_SHARDS):
            place = (CaseItem.Meta.table_name, _client_shard(client, shard))
            asked = {"attributes_to_get": list(PAST_CASE), "consistent_read": True}
            yield from ResultIterator(self.connection.query, place, asked, map_fn=_past_case)

    def due(self, as_of: datetime) -> Iterator[CaseKey]:
        """Client and id of each case with a window that ended at or before `as_of`, oldest first per shard."""
        for shard in range(DUE_SHARDS):
            for item in CaseItem.due.query(str(shard), CaseItem.due_at <= sortable(as_of)):
                yield item.client_shard.partition("#")[0], CaseId(item.case_id)

    # -- journal ---------------------------------------------------------------------------------------------------

    def head(self, book: Book) -> Head:
        """The head of a book; an empty one if nothing was posted to it."""
        return self.heads_of([book])[book]

    def heads_of(self, books: Collection[Book]) -> Mapping[Book, Head]:
        """The heads of these books, in one read; empty ones where nothing was posted."""
        found = {book: Head(book) for book in books}
        return found | {head.book: head for head in map(_head, BookItem.batch_get(list(found), consistent_read=True))}

    def heads(self) -> Iterator[Head]:
        """The heads of all books, in no order."""
        yield from map(_head, BookItem.scan(BookItem.seq > 0, consistent_read=True))

    def entries(self, book: Book, after: int = 0) -> Iterator[RecordedEntry]:
        """A book's entries behind sequence number `after`, in order; raises BookBroken at a gap."""
        shards = [
            EntryItem.query(book_shard(book, shard), EntryItem.seq > after, consistent_read=True)
            for shard in range(BOOK_SHARDS)
        ]
        last = self.head(book).seq
        for seq in range(after + 1, last + 1):
            item = next(shards[seq % BOOK_SHARDS], None)
            if item is None or int(item.seq) != seq:
                raise BookBroken(f"{book}: entry {seq} is missing from the ledger table")
            yield _recorded(book, item)

    def expert_entries(self, expert: str) -> Iterator[RecordedEntry]:
        """The entries of all books that touch an expert, by effective day, book and number, a page at a time.

        They are found by an index, which may miss what was posted a moment ago. Raises BookBroken for a changed entry.
        """
        found = EntryItem.by_expert.query(expert)
        while keys := [(it.book_shard, int(it.seq)) for it in islice(found, KEYS_PER_READ)]:
            items = {(it.book_shard, int(it.seq)): it for it in EntryItem.batch_get(keys, consistent_read=True)}
            for shard, seq in keys:
                book = Book(shard.rpartition("#")[0])
                if (shard, seq) not in items:
                    raise BookBroken(f"{book}: entry {seq} is missing from the ledger table")
                yield _recorded(book, items[shard, seq])

    def posted(self, entry_ids: Collection[str]) -> frozenset[str]:
        """Those of these entries that may be posted only once and were."""
        marks = BookItem.batch_get([f"{_MARK_KEY}{id_}" for id_ in entry_ids], consistent_read=True)
        return frozenset(mark.book.removeprefix(_MARK_KEY) for mark in marks)

    # -- periods and invoices --------------------------------------------------------------------------------------

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""
        found = {key: PeriodState(*key) for key in keys}
        for item in PeriodItem.batch_get(list(found), consistent_read=True):
            found[item.client, Period(item.period)] = _PERIOD.validate_json(item.document)
        return found

    def prepaids(self, clients: Collection[str]) -> Mapping[str, Prepaid]:
        """The prepaid credits of these clients, in one read; none where nothing was bought."""
        found = {client: Prepaid(client) for client in clients}
        for item in PeriodItem.batch_get([(client, _PREPAID_KEY) for client in clients], consistent_read=True):
            found[item.client] = _PREPAID.validate_json(item.document)
        return found

    def invoice(self, client: str, period: Period) -> Invoice | None:
        """The invoice of a period, if it was closed."""
        item = _get(InvoiceItem, client, period)
        return _INVOICE.validate_json(item.document) if item else None

    def invoices(self) -> Iterator[Invoice]:
        """Every invoice, in no order."""
        for item in InvoiceItem.scan(consistent_read=True):
            yield _INVOICE.validate_json(item.document)

    def unfinished_invoices(self) -> Iterator[tuple[str, Period]]:
        """Client and period of each invoice that is neither paid and cleared, nor carried, nor given up."""
        for item in InvoiceItem.by_unfinished.query(_UNFINISHED):
            yield item.client, Period(item.period)

    # -- holds and payouts -----------------------------------------------------------------------------------------

    def balances(self, expert: str) -> Balances:
        """What an expert is held by day, released days left out, and can be paid, in every currency."""
        held, available = [], []
        for item in HoldItem.query(expert, consistent_read=True):
            code, kind, *day = item.kind.split("#")
            if kind == _AVAILABLE:
                available.append(Available(expert, currency(code), item.amount, int(item.revision)))
            elif not item.released:
                held.append(HoldChange(expert, currency(code), date.fromisoformat(day[0]), item.amount))
        return Balances(tuple(held), tuple(available))

    def payable(self) -> Mapping[tuple[str, Currency], int]:
        """What holds and availables sum to, per expert and currency. For reconciliation: it reads the whole table."""
        sums: dict[tuple[str, Currency], int] = {}
        for item in HoldItem.scan(consistent_read=True):
            key = (item.expert, currency(item.kind.partition("#")[0]))
            sums[key] = sums.get(key, 0) + (0 if item.released else item.amount)
        return sums

    def payout(self, payout_id: str) -> Payout | None:
        """A payout by id."""
        item = _get(PayoutItem, payout_id)
        return _PAYOUT.validate_json(item.document) if item else None

    def payouts(self) -> Iterator[Payout]:
        """Every payout, in no order."""
        for item in PayoutItem.scan(PayoutItem.payout_id.startswith(_PAYOUT_KEY), consistent_read=True):
            yield _PAYOUT.validate_json(item.document)

    def unfinished_payouts(self) -> Iterator[str]:
        """The ids of payouts that are neither sent nor failed."""
        for item in PayoutItem.by_unfinished.query(_UNFINISHED):
            yield item.payout_id

    def payout_run(self, run: str) -> PayoutRun | None:
        """How far the planning of a run came; None if it was not begun."""
        item = _get(PayoutItem, f"{_RUN_KEY}{run}")
        return _RUN.validate_json(item.document) if item else None

    def spent(self, ids: Collection[str]) -> tuple[Spent, ...]:
        """What was reserved under these limits, in their order."""
        found = {id_: Spent(id_) for id_ in ids}
        for item in PayoutItem.batch_get([f"{_SPENT_KEY}{id_}" for id_ in ids], consistent_read=True):
            known = _SPENT.validate_json(item.document)
            found[known.id] = known
        return tuple(found.values())

    # -- parked ----------------------------------------------------------------------------------------------------

    def parked(self) -> Iterator[Parked]:
        """Everything parked, in no order."""
        for item in ParkedItem.scan(consistent_read=True):
            yield _parked(item)

    def find_parked(self, parked_id: str) -> Parked | None:
        """One parked thing by id."""
        item = _get(ParkedItem, parked_id)
        return _parked(item) if item else None

    # -- webhook events --------------------------------------------------------------------------------------------

    def event_is_done(self, event_id: str) -> bool:
        """Whether a webhook event was dealt with."""
        return _get(StripeEventItem, event_id) is not None

    def mark_event_done(self, event_id: str, as_of: datetime) -> None:
        """Remember for 40 days, longer than Stripe repeats events, that this one was dealt with."""
        StripeEventItem(event_id=event_id, expires_at=int((as_of + _REMEMBER_EVENTS).timestamp())).save()


def _get(model: type[_ItemT], hash_key: str, range_key: str | None = None) -> _ItemT | None:
    try:
        return model.get(hash_key, range_key, consistent_read=True)
    except DoesNotExist:
        return None


# -- what a transaction holds: PynamoDB sends deletes, then puts, then updates, whatever the order of the calls --------


def _write(transaction: TransactWrite, changes: Changes, released: frozenset[int]) -> None:
    for parked_id in changes.unparked:
        transaction.delete(ParkedItem(parked_id=parked_id))
    for item, condition in _puts(changes):
        transaction.save(item, condition=condition)
    available: dict[tuple[str, Currency], int] = {}  # added up: a transaction names an item once
    for place, hold in enumerate(changes.holds):
        if place in released:
            key = (hold.expert, hold.currency)
            available[key] = available.get(key, 0) + hold.minor_units
        else:
            added: list[Action] = [HoldItem.amount.add(hold.minor_units)]
            transaction.update(_hold_item(hold), actions=added, condition=HoldItem.released.does_not_exist())
    for (expert, code), minor in available.items():
        to = HoldItem(expert=expert, kind=f"{code}#{_AVAILABLE}")
        transaction.update(to, actions=[HoldItem.amount.add(minor), HoldItem.revision.add(1)])
    for hold in changes.released:
        untouched = HoldItem.released.does_not_exist() & (HoldItem.amount == hold.minor_units)
        transaction.update(_hold_item(hold), actions=[HoldItem.released.set(True)], condition=untouched)
    for count in changes.weeks:
        item, added = week_update(count)
        transaction.update(item, actions=added)


def _puts(changes: Changes) -> Iterator[tuple[Model, Condition | None]]:
    yield from _journal_puts(changes)
    yield from _versioned_puts(changes)
    yield from activity_puts(changes)
    for parked in changes.parked:
        yield _parked_item(parked), None
    for told in changes.announcements:
        yield _announcement_item(told), None


def _journal_puts(changes: Changes) -> Iterator[tuple[Model, Condition]]:
    for recorded in changes.entries:
        yield _entry_item(recorded), EntryItem.seq.does_not_exist()
    for before, after in changes.heads:
        item = BookItem(book=after.book, seq=after.seq, chain_hash=bytes.fromhex(after.chain_hash))
        yield item, (BookItem.seq == before.seq if before.seq else BookItem.seq.does_not_exist())
    for entry_id in changes.once:
        yield BookItem(book=f"{_MARK_KEY}{entry_id}", seq=0), BookItem.seq.does_not_exist()


def _versioned_puts(changes: Changes) -> Iterator[tuple[Model, Condition]]:
    for case in changes.cases:
        yield _case_item(case), _follows(CaseItem.revision, case.revision)
    for state in changes.periods:
        document = _PERIOD.dump_json(state).decode()
        period = PeriodItem(client=state.client, period=state.period, document=document, revision=state.revision)
        yield period, _follows(PeriodItem.revision, state.revision)
    for prepaid in changes.prepaids:
        document = _PREPAID.dump_json(prepaid).decode()
        item = PeriodItem(client=prepaid.client, period=_PREPAID_KEY, document=document, revision=prepaid.revision)
        yield item, _follows(PeriodItem.revision, prepaid.revision)
    for available in changes.availables:
        kind, amount = f"{available.currency}#{_AVAILABLE}", available.minor_units
        money = HoldItem(expert=available.expert, kind=kind, amount=amount, revision=available.revision)
        yield money, _follows(HoldItem.revision, available.revision)
    for invoice in changes.invoices:
        yield _invoice_item(invoice), _follows(InvoiceItem.revision, invoice.revision)
    yield from _payout_puts(changes)


def _payout_puts(changes: Changes) -> Iterator[tuple[Model, Condition]]:
    for payout in changes.payouts:
        yield _payout_item(payout), _follows(PayoutItem.revision, payout.revision)
    for run in changes.payout_runs:
        document = _RUN.dump_json(run).decode()
        item = PayoutItem(payout_id=f"{_RUN_KEY}{run.id}", document=document, revision=run.revision)
        yield item, _follows(PayoutItem.revision, run.revision)
    for spent in changes.spent:
        document = _SPENT.dump_json(spent).decode()
        item = PayoutItem(payout_id=f"{_SPENT_KEY}{spent.id}", document=document, revision=spent.revision)
        yield item, _follows(PayoutItem.revision, spent.revision)


def _follows(revision: Any, now: int) -> Condition:  # noqa: ANN401  # PynamoDB's attributes are untyped on classes
    condition: Condition = revision == now - 1 if now > 1 else revision.does_not_exist()
    return condition


def _hold_item(hold: HoldChange) -> HoldItem:
    return HoldItem(expert=hold.expert, kind=f"{hold.currency}#hold#{hold.release_on.isoformat()}")


def _released_holds(refused: TransactWriteError, changes: Changes) -> frozenset[int]:
    """The places in `changes.holds` that were refused because their day was released; holds are the first updates."""
    reasons = refused.cancellation_reasons
    updates = len(changes.holds) + len(changes.released) + len(changes.weeks)
    if len(reasons) < updates:
        return frozenset()  # the call itself was refused, by throttling say: that gives no reason for each item
    first = len(reasons) - updates
    codes = [reason.code if reason else None for reason in reasons]
    others = [code for place, code in enumerate(codes) if code and not first <= place < first + len(changes.holds)]
    places = frozenset(place - first for place in range(first, first + len(changes.holds)) if codes[place])
    mine = {codes[first + place] for place in places}
    return places if places and not others and mine == {"ConditionalCheckFailed"} else frozenset()


def _explain(refused: TransactWriteError) -> Exception:
    codes = {reason.code for reason in refused.cancellation_reasons if reason}
    answer = getattr(refused.cause, "response", None)  # none where the connection was lost; PynamoDB's own code breaks
    code = answer["Error"]["Code"] if answer else None
    if (codes and codes <= _CONTENDED) or code in _CONTENDED_CALLS:
        return Contention(f"overtaken: {', '.join(sorted(codes)) or code}")
    return refused


# -- items and what they stand for -------------------------------------------------------------------------------------


def _head(item: BookItem) -> Head:
    return Head(Book(item.book), int(item.seq), (item.chain_hash or b"").hex())


def _case_item(case: Case) -> CaseItem:
    due_shard = str(crc32(case.case_id.encode()) % DUE_SHARDS)
    return CaseItem(
        client_shard=client_shard(case.client, case.case_id),
        case_id=case.case_id,
        facts=FACTS.dump_json(case.facts, exclude_none=True).decode(),
        cycles=CYCLES.dump_json(case.cycles, exclude_none=True).decode(),
        evidence_only=json.dumps(case.evidence_only) if case.evidence_only else None,
        mutual_reviews=MUTUAL_REVIEWS.dump_json(case.mutual_reviews).decode() if case.mutual_reviews else None,
        revision=case.revision,
        due_shard=due_shard if case.due_at else None,
        due_at=sortable(case.due_at) if case.due_at else None,
    )


def _case(client: str, item: CaseItem) -> Case:
    return Case(
        client=client,
        case_id=CaseId(item.case_id),
        facts=FACTS.validate_json(item.facts),
        evidence_only=tuple(json.loads(item.evidence_only)) if item.evidence_only else (),
        mutual_reviews=MUTUAL_REVIEWS.validate_json(item.mutual_reviews) if item.mutual_reviews else (),
        cycles=CYCLES.validate_json(item.cycles),
        due_at=datetime.fromisoformat(item.due_at) if item.due_at else None,
        revision=int(item.revision),
    )


def _past_case(item: Mapping[str, Mapping[str, str]]) -> PastCase:
    return PastCase(
        case_id=CaseId(item["case_id"][STRING]),
        facts=FACTS.validate_json(item["facts"][STRING]),
        evidence_only=tuple(json.loads(item["evidence_only"][STRING])) if "evidence_only" in item else (),
        cycles=SETTLED_CYCLES.validate_json(item["cycles"][STRING]),
        mutual_reviews=MUTUAL_REVIEWS.validate_json(item["mutual_reviews"][STRING]) if "mutual_reviews" in item else (),
    )


def _entry_item(recorded: RecordedEntry) -> EntryItem:
    entry = recorded.entry
    owners = [posting.account.split("/")[1] for posting in entry.postings if posting.account.startswith("expert/")]
    lines = [[posting.account, posting.amount.currency, posting.amount.minor_units] for posting in entry.postings]
    day = entry.effective_on.isoformat()
    return EntryItem(
        book_shard=book_shard(entry.book, recorded.seq),
        seq=recorded.seq,
        id=entry.id,
        reason=entry.reason.value,
        postings=json.dumps(lines, separators=(",", ":")),
        effective_on=day,
        recorded_at=format_instant(recorded.recorded_at),
        evidence=entry.evidence,
        content_hash=bytes.fromhex(entry.content_hash),
        chain_hash=bytes.fromhex(recorded.chain_hash),
        expert=owners[0] if owners else None,
        effective_seq=f"{day}#{entry.book}#{recorded.seq:012d}" if owners else None,
    )


def _recorded(book: Book, item: EntryItem) -> RecordedEntry:
    entry = Entry(
        id=EntryId(item.id),
        book=book,
        reason=Reason(item.reason),
        postings=tuple(
            Posting(Account(account), Money(minor, Currency(code)))
            for account, code, minor in json.loads(item.postings)
        ),
        effective_on=date.fromisoformat(item.effective_on),
        evidence=Evidence(item.evidence),
    )
    if entry.content_hash != item.content_hash.hex():
        raise BookBroken(f"{book}: entry {int(item.seq)} ({item.id}) was changed after it was recorded")
    return RecordedEntry(entry, int(item.seq), datetime.fromisoformat(item.recorded_at), item.chain_hash.hex())


def _invoice_item(invoice: Invoice) -> InvoiceItem:
    return InvoiceItem(
        client=invoice.client,
        period=invoice.period,
        invoice_id=invoice.id,
        document=_INVOICE.dump_json(invoice).decode(),
        revision=invoice.revision,
        unfinished=None if invoice.is_finished else _UNFINISHED,
    )


def _payout_item(payout: Payout) -> PayoutItem:
    return PayoutItem(
        payout_id=payout.id,
        document=_PAYOUT.dump_json(payout).decode(),
        revision=payout.revision,
        unfinished=None if payout.is_finished else _UNFINISHED,
    )


def _parked_item(parked: Parked) -> ParkedItem:
    return ParkedItem(
        parked_id=parked.id,
        client=parked.client or None,
        reason=parked.reason.value,
        detail=parked.detail,
        parked_at=format_instant(parked.parked_at),
        message=parked.message,
    )


def _announcement_item(told: Announcement) -> AnnouncementItem:
    return AnnouncementItem(
        announcement_id=told.id,
        type=told.type,
        client=told.client,
        at=format_instant(told.at),
        data=json.dumps(told.data, sort_keys=True),
        expires_at=int((told.at + _REMEMBER_EVENTS).timestamp()),
    )


def _parked(item: ParkedItem) -> Parked:
    reason, parked_at = ParkReason(item.reason), datetime.fromisoformat(item.parked_at)
    return Parked(item.parked_id, item.client or "", reason, item.detail, parked_at, item.message)
