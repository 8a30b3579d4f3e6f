"""The ports of settlement, billing and payouts over DynamoDB: reads by key, and one transaction per Changes."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, TransactWriteError
from pynamodb.models import Model
from pynamodb.pagination import ResultIterator

from billing.periods import Period, PeriodState
from billing.prepaid import Prepaid
from infra.aws.activity import ActivityReads, activity_puts, week_update
from infra.aws.book_sums import KeptSums
from infra.aws.closes import Closes, close_puts
from infra.aws.documents import (
    invoice_codec,
    payout_codec,
    payout_run_codec,
    period_codec,
    prepaid_codec,
    spent_codec,
)
from infra.aws.due import DueBuckets, due_item
from infra.aws.items import (
    AVAILABLE,
    BOOK_SHARDS,
    CASE_SHARDS,
    REMEMBER_EVENTS,
    UNFINISHED,
    announcement_item,
    available_key,
    book_shard,
    case_item,
    client_shard,
    entry_item,
    hold_key,
    invoice_item,
    numbered_shard,
    parked_item,
    payout_item,
    read_case,
    read_entry,
    read_head,
    read_parked,
)
from infra.aws.locks import Locks, head_puts, lock_checks, with_new_books
from infra.aws.reconciliations import KeptReconciliation
from infra.aws.sealed_entries import SEALED, sealed_entry
from infra.aws.tables import (
    AnnouncementItem,
    BookItem,
    CaseItem,
    DueItem,
    EntryItem,
    HoldItem,
    InvoiceItem,
    ParkedItem,
    PayoutItem,
    PeriodItem,
    StripeEventItem,
    sortable,
)
from infra.aws.wire import (
    KEYS_PER_READ,
    Place,
    Write,
    delete,
    put,
    put_revision,
    read_together,
    scan,
    update,
)
from ledger.books import Head
from ledger.entries import Book, RecordedEntry
from ledger.errors import BookBroken
from ledger.money import Currency, currency
from ledger.records import dataclass
from ledger.sealed import SealedEntry
from settlement.cases import Case
from settlement.due_buckets import due_buckets
from settlement.parking import Parked
from settlement.ports import (
    Available,
    Balances,
    CaseKey,
    Changes,
    Contention,
    HoldChange,
    PayoutRun,
    PeriodKey,
    Spent,
    Stored,
)

if TYPE_CHECKING:  # see infra/aws/documents.py
    from billing.invoices import Invoice
    from payouts.payouts import Payout
    from settlement.recorded_facts import PastCase

_PREPAID_KEY = "prepaid"  # stands in the place of a period
_MARK_KEY = "entry/"
# What the payouts table holds, by the beginning of its key; limits are kept beside the payouts that use them up.
_PAYOUT_KEY, _RUN_KEY, _SPENT_KEY = "payout:", "run/", "spent/"
# What DynamoDB says when a rival was faster or patience is asked for; anything else is an error of ours.
_CONTENDED = {"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_CONTENDED_CALLS = {
    "TransactionInProgressException",
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}

_ItemT = TypeVar("_ItemT", bound=Model)


@dataclass(frozen=True, slots=True)
class DynamoStore(ActivityReads, Closes, DueBuckets, KeptReconciliation, KeptSums, Locks):
    """All reads are consistent, but for the indexes `unfinished` and `expert`; what they find is read by key."""

    connection: Connection

    # -- writing ---------------------------------------------------------------------------------------------------

    def commit(self, changes: Changes) -> None:
        """Write all or nothing; raises Contention if anything changed since it was read.

        A hold whose day was released in the meantime goes to `available` instead.
        """
        released: frozenset[int] = frozenset()
        for _ in range(2):
            try:
                self.connection.transact_write_items(
                    return_consumed_capacity="NONE",
                    condition_check_items=list(lock_checks(changes)),
                    delete_items=list(_deletes(changes)),
                    put_items=list(_puts(changes)),
                    update_items=list(_updates(changes, released)),
                )
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

    # -- what is read together --------------------------------------------------------------------------------------

    def read(
        self,
        cases: Collection[CaseKey] = (),
        periods: Collection[PeriodKey] = (),
        books: Collection[Book] = (),
        prepaids: Collection[str] = (),
    ) -> Stored:
        """These cases, periods, heads of books and prepaid credits of clients, in one read."""
        places: dict[type[Model], list[Place]] = {
            CaseItem: [(client_shard(client, case_id), case_id) for client, case_id in cases],
            PeriodItem: [*periods, *((client, _PREPAID_KEY) for client in prepaids)],
            BookItem: [(book,) for book in books],
        }
        found = read_together(places)
        months = [it["document"] for it in found[PeriodItem] if it["period"] != _PREPAID_KEY]
        credits_ = [it["document"] for it in found[PeriodItem] if it["period"] == _PREPAID_KEY]
        return Stored(
            cases={key: Case(*key) for key in cases}
            | {(it.client, it.case_id): it for it in map(read_case, found[CaseItem])},
            periods={key: PeriodState(*key) for key in periods}
            | {(it.client, it.period): it for it in (period_codec().validate_json(it) for it in months)},
            heads=with_new_books(books, {it.book: it for it in map(read_head, found[BookItem])}),
            prepaids={it: Prepaid(it) for it in prepaids}
            | {it.client: it for it in (prepaid_codec().validate_json(it) for it in credits_)},
        )

    # -- cases -----------------------------------------------------------------------------------------------------

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        """Every asked case; an empty one where nothing is known yet."""
        return self.read(cases=keys).cases

    def all_cases(self) -> Iterator[Case]:
        """Every case of every client, in no order. For reports and tests: it reads the whole table."""
        yield from map(read_case, scan(CaseItem))

    def past_cases(self, client: str) -> Iterator[PastCase]:
        """What a backtest reads of every case of a client, shard by shard and by id within one, a page at a time."""
        from infra.aws.past_cases import PAST_CASE, past_case  # noqa: PLC0415  # only the command backtests

        for shard in range(CASE_SHARDS):
            place = (CaseItem.Meta.table_name, numbered_shard(client, shard))
            asked = {"attributes_to_get": list(PAST_CASE), "consistent_read": True}
            yield from ResultIterator(self.connection.query, place, asked, map_fn=past_case)

    def still_due(self, keys: Collection[CaseKey], as_of: datetime) -> frozenset[CaseKey]:
        """Those of the cases that wait for a window that ended at or before `as_of`."""
        places = {(client_shard(client, case_id), case_id): (client, case_id) for client, case_id in keys}
        found = read_together({CaseItem: list(places)})[CaseItem]
        ended = [it for it in found if "due_at" in it and it["due_at"] <= sortable(as_of)]
        return frozenset(places[it["client_shard"], it["case_id"]] for it in ended)

    # -- journal ---------------------------------------------------------------------------------------------------

    def head(self, book: Book) -> Head:
        """The head of a book; an empty one if nothing was posted to it."""
        return self.heads_of([book])[book]

    def heads_of(self, books: Collection[Book]) -> Mapping[Book, Head]:
        """The heads of these books, in one read; empty ones where nothing was posted."""
        return self.read(books=books).heads

    def heads(self) -> Iterator[Head]:
        """The heads of all books, in no order."""
        yield from map(read_head, scan(BookItem, BookItem.seq > 0))

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
            yield read_entry(book, item)

    def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]:
        """A book's entries behind number `after`, up to number `last`, in order and as stored; ends before a gap."""
        asked = {
            "range_key_condition": EntryItem.seq.between(after + 1, last),
            "attributes_to_get": list(SEALED),
            "consistent_read": True,
        }
        places = ((EntryItem.Meta.table_name, book_shard(book, shard)) for shard in range(BOOK_SHARDS))
        shards: list[ResultIterator[SealedEntry]] = [
            ResultIterator(self.connection.query, place, asked, map_fn=sealed_entry) for place in places
        ]
        for seq in range(after + 1, last + 1):
            entry = next(shards[seq % BOOK_SHARDS], None)
            if entry is None:
                return
            yield entry

    def entries_at(self, book: Book, seqs: Sequence[int]) -> Sequence[RecordedEntry]:
        """The entries of a book with these numbers, in their order; raises BookBroken for one that is not there."""
        keys = [(book_shard(book, seq), seq) for seq in seqs]
        found = {int(it.seq): it for it in EntryItem.batch_get(keys, consistent_read=True)}
        if missing := [seq for seq in seqs if seq not in found]:
            raise BookBroken(f"{book}: entry {missing[0]} is missing from the ledger table")
        return [read_entry(book, found[seq]) for seq in seqs]

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
                yield read_entry(book, items[shard, seq])

    def posted(self, entry_ids: Collection[str]) -> frozenset[str]:
        """Those of these entries that may be posted only once and were."""
        marks = BookItem.batch_get([f"{_MARK_KEY}{id_}" for id_ in entry_ids], consistent_read=True)
        return frozenset(mark.book.removeprefix(_MARK_KEY) for mark in marks)

    # -- periods and invoices --------------------------------------------------------------------------------------

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""
        return self.read(periods=keys).periods

    def prepaids(self, clients: Collection[str]) -> Mapping[str, Prepaid]:
        """The prepaid credits of these clients, in one read; none where nothing was bought."""
        return self.read(prepaids=clients).prepaids

    def invoice(self, client: str, period: Period) -> Invoice | None:
        """The invoice of a period, if it was closed."""
        item = _get(InvoiceItem, client, period)
        return invoice_codec().validate_json(item.document) if item else None

    def invoices(self) -> Iterator[Invoice]:
        """Every invoice, in no order."""
        for item in InvoiceItem.scan(consistent_read=True):
            yield invoice_codec().validate_json(item.document)

    def invoices_of(self, client: str) -> Iterator[Invoice]:
        """A client's invoices, newest first, a page at a time."""
        for item in InvoiceItem.query(client, scan_index_forward=False, consistent_read=True):
            yield invoice_codec().validate_json(item.document)

    def unfinished_invoices(self) -> Iterator[tuple[str, Period]]:
        """Client and period of each invoice that is neither paid and cleared, nor carried, nor given up."""
        for item in InvoiceItem.by_unfinished.query(UNFINISHED):
            yield item.client, Period(item.period)

    # -- holds and payouts -----------------------------------------------------------------------------------------

    def balances(self, expert: str) -> Balances:
        """What an expert is held by day, released days left out, and can be paid, in every currency."""
        held, available = [], []
        for item in HoldItem.query(expert, consistent_read=True):
            code, kind, *day = item.kind.split("#")
            if kind == AVAILABLE:
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
        return payout_codec().validate_json(item.document) if item else None

    def payouts(self) -> Iterator[Payout]:
        """Every payout, in no order."""
        for item in PayoutItem.scan(PayoutItem.payout_id.startswith(_PAYOUT_KEY), consistent_read=True):
            yield payout_codec().validate_json(item.document)

    def unfinished_payouts(self) -> Iterator[str]:
        """The ids of payouts that are neither sent nor failed."""
        for item in PayoutItem.by_unfinished.query(UNFINISHED):
            yield item.payout_id

    def payout_run(self, run: str) -> PayoutRun | None:
        """How far the planning of a run came; None if it was not begun."""
        item = _get(PayoutItem, f"{_RUN_KEY}{run}")
        return payout_run_codec().validate_json(item.document) if item else None

    def spent(self, ids: Collection[str]) -> tuple[Spent, ...]:
        """What was reserved under these limits, in their order."""
        found = {id_: Spent(id_) for id_ in ids}
        for item in PayoutItem.batch_get([f"{_SPENT_KEY}{id_}" for id_ in ids], consistent_read=True):
            known = spent_codec().validate_json(item.document)
            found[known.id] = known
        return tuple(found.values())

    # -- parked ----------------------------------------------------------------------------------------------------

    def parked(self) -> Iterator[Parked]:
        """Everything parked, in no order."""
        for item in ParkedItem.scan(consistent_read=True):
            yield read_parked(item)

    def parked_after(self, parked_id: str, most: int) -> tuple[Sequence[Parked], str]:
        """So many parked things behind that one, or the first ones behind "", and the last one read; "" at the end.

        They have an order of the table's own, which stays the same while others come and go.
        """
        start = {"parked_id": {"S": parked_id}} if parked_id else None
        pages = ParkedItem.scan(consistent_read=True, limit=most, last_evaluated_key=start)
        found = [read_parked(item) for item in pages]
        return found, pages.last_evaluated_key["parked_id"]["S"] if pages.last_evaluated_key else ""

    def find_parked(self, parked_id: str) -> Parked | None:
        """One parked thing by id."""
        item = _get(ParkedItem, parked_id)
        return read_parked(item) if item else None

    # -- webhook events --------------------------------------------------------------------------------------------

    def event_is_done(self, event_id: str) -> bool:
        """Whether a webhook event was dealt with."""
        return _get(StripeEventItem, event_id) is not None

    def mark_event_done(self, event_id: str, as_of: datetime) -> None:
        """Remember for REMEMBER_EVENTS that this one was dealt with."""
        StripeEventItem(event_id=event_id, expires_at=int((as_of + REMEMBER_EVENTS).timestamp())).save()


def _get(model: type[_ItemT], hash_key: str, range_key: str | None = None) -> _ItemT | None:
    try:
        return model.get(hash_key, range_key, consistent_read=True)
    except DoesNotExist:
        return None


# -- what a transaction holds: deletes, then puts, then updates --------------------------------------------------------


def _deletes(changes: Changes) -> Iterator[Write]:
    for parked_id in changes.unparked:
        yield delete(ParkedItem, {"parked_id": parked_id})


def _puts(changes: Changes) -> Iterator[Write]:
    yield from _journal_puts(changes)
    yield from _versioned_puts(changes)
    yield from activity_puts(changes)
    yield from close_puts(changes)
    for bucket in due_buckets(changes.cases):
        yield put(DueItem, due_item(bucket))
    for parked in changes.parked:
        yield put(ParkedItem, parked_item(parked))
    for told in changes.announcements:
        yield put(AnnouncementItem, announcement_item(told))


def _journal_puts(changes: Changes) -> Iterator[Write]:
    for recorded in changes.entries:
        yield put(EntryItem, entry_item(recorded), "attribute_not_exists(seq)")
    yield from head_puts(changes)
    for entry_id in changes.once:
        yield put(BookItem, {"book": f"{_MARK_KEY}{entry_id}", "seq": 0}, "attribute_not_exists(seq)")


def _versioned_puts(changes: Changes) -> Iterator[Write]:
    for case in changes.cases:
        yield put_revision(CaseItem, case_item(case), case.revision)
    for state in changes.periods:
        document = period_codec().dump_json(state).decode()
        period = {"client": state.client, "period": state.period, "document": document}
        yield put_revision(PeriodItem, period, state.revision)
    for prepaid in changes.prepaids:
        document = prepaid_codec().dump_json(prepaid).decode()
        lots = {"client": prepaid.client, "period": _PREPAID_KEY, "document": document}
        yield put_revision(PeriodItem, lots, prepaid.revision)
    for it in changes.availables:
        yield put_revision(HoldItem, {**available_key(it.expert, it.currency), "amount": it.minor_units}, it.revision)
    for invoice in changes.invoices:
        yield put_revision(InvoiceItem, invoice_item(invoice), invoice.revision)
    yield from _payout_puts(changes)


def _payout_puts(changes: Changes) -> Iterator[Write]:
    for payout in changes.payouts:
        yield put_revision(PayoutItem, payout_item(payout), payout.revision)
    for run in changes.payout_runs:
        begun = {"payout_id": f"{_RUN_KEY}{run.id}", "document": payout_run_codec().dump_json(run).decode()}
        yield put_revision(PayoutItem, begun, run.revision)
    for spent in changes.spent:
        reserved = {"payout_id": f"{_SPENT_KEY}{spent.id}", "document": spent_codec().dump_json(spent).decode()}
        yield put_revision(PayoutItem, reserved, spent.revision)


def _updates(changes: Changes, released: frozenset[int]) -> Iterator[Write]:
    """Those of holds come first, in their order; what the places in `released` hold goes to `available` instead."""
    available: dict[tuple[str, Currency], int] = {}  # added up: a transaction names an item once
    for place, hold in enumerate(changes.holds):
        if place in released:
            to = (hold.expert, hold.currency)
            available[to] = available.get(to, 0) + hold.minor_units
        else:
            is_held = "attribute_not_exists(released)"
            yield update(HoldItem, hold_key(hold), "ADD amount :added", is_held, added=hold.minor_units)
    for to, minor in available.items():
        yield update(HoldItem, available_key(*to), "ADD amount :added, revision :one", added=minor, one=1)
    for hold in changes.released:
        untouched = "attribute_not_exists(released) AND amount = :amount"
        yield update(HoldItem, hold_key(hold), "SET released = :yes", untouched, yes=True, amount=hold.minor_units)
    for count in changes.weeks:
        yield week_update(count)


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
