"""What the items of cases, entries, invoices, payouts, parked things and announcements stand for, and their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pydantic_core import to_json

from events.facts import FACTS, format_instant
from infra.aws.case_documents import documents, texts
from infra.aws.documents import invoice_codec, payout_codec
from infra.aws.tables import EntryItem, ParkedItem, sortable
from infra.aws.wire import Attributes
from ledger.accounts import Account
from ledger.books import Head
from ledger.entries import Book, Entry, EntryId, Evidence, Posting, RecordedEntry
from ledger.errors import BookBroken
from ledger.money import Currency, Money
from ledger.posting_rules import Reason
from settlement.announcements import Announcement
from settlement.cases import CYCLES, MUTUAL_REVIEWS, Case
from settlement.parking import Parked, ParkReason
from settlement.ports import HoldChange

if TYPE_CHECKING:  # see infra/aws/documents.py
    from billing.invoices import Invoice
    from payouts.payouts import Payout

CASE_SHARDS = 16
BOOK_SHARDS = 8
AVAILABLE = "available"
UNFINISHED = "yes"
REMEMBER_EVENTS = timedelta(days=40)  # longer than Stripe repeats events


def client_shard(client: str, case_id: str) -> str:
    """The partition of a case: a client's cases are spread over 16."""
    return numbered_shard(client, crc32(case_id.encode()) % CASE_SHARDS)


def numbered_shard(client: str, shard: int) -> str:
    """One of a client's partitions of cases, by its number from 0."""
    return f"{client}#{shard:02d}"


def book_shard(book: Book, seq: int) -> str:
    """The partition of an entry: a book's entries are spread over 8, in turn."""
    return f"{book}#{seq % BOOK_SHARDS}"


def hold_key(hold: HoldChange) -> dict[str, str]:
    """The key of what is held until a day."""
    return {"expert": hold.expert, "kind": f"{hold.currency}#hold#{hold.release_on.isoformat()}"}


def available_key(expert: str, code: Currency) -> dict[str, str]:
    """The key of what can be paid."""
    return {"expert": expert, "kind": f"{code}#{AVAILABLE}"}


def read_head(item: Mapping[str, Any]) -> Head:
    """The head of a book."""
    return Head(item["book"], item["seq"], item["chain_hash"].hex(), item.get("locked_through", ""))


def case_item(case: Case) -> Attributes:
    """A case; what is empty of it is left out."""
    facts, cycles = FACTS.dump_json(case.facts, exclude_none=True), CYCLES.dump_json(case.cycles, exclude_none=True)
    return {
        "client_shard": client_shard(case.client, case.case_id),
        "case_id": case.case_id,
        **documents(facts, cycles),
        "evidence_only": json.dumps(case.evidence_only) if case.evidence_only else None,
        "mutual_reviews": MUTUAL_REVIEWS.dump_json(case.mutual_reviews).decode() if case.mutual_reviews else None,
        "due_at": sortable(case.due_at) if case.due_at else None,
    }


def read_case(item: Mapping[str, Any]) -> Case:
    """The case of an item."""
    facts, cycles = texts(item)
    return Case(
        client=item["client_shard"].partition("#")[0],
        case_id=item["case_id"],
        facts=FACTS.validate_json(facts),
        evidence_only=tuple(json.loads(item["evidence_only"])) if "evidence_only" in item else (),
        mutual_reviews=MUTUAL_REVIEWS.validate_json(item["mutual_reviews"]) if "mutual_reviews" in item else (),
        cycles=CYCLES.validate_json(cycles),
        due_at=datetime.fromisoformat(item["due_at"]) if "due_at" in item else None,
        revision=item["revision"],
    )


def entry_item(recorded: RecordedEntry) -> Attributes:
    """An entry of the journal; what finds it by expert, if it touches one."""
    entry = recorded.entry
    owners = [posting.account.split("/")[1] for posting in entry.postings if posting.account.startswith("expert/")]
    lines = [[posting.account, posting.amount.currency, posting.amount.minor_units] for posting in entry.postings]
    day = entry.effective_on.isoformat()
    return {
        "book_shard": book_shard(entry.book, recorded.seq),
        "seq": recorded.seq,
        "id": entry.id,
        "reason": entry.reason.value,
        "postings": to_json(lines).decode(),
        "effective_on": day,
        "recorded_at": format_instant(recorded.recorded_at),
        "evidence": entry.evidence,
        "content_hash": bytes.fromhex(entry.content_hash),
        "chain_hash": bytes.fromhex(recorded.chain_hash),
        "expert": owners[0] if owners else None,
        "effective_seq": f"{day}#{entry.book}#{recorded.seq:012d}" if owners else None,
    }


def read_entry(book: Book, item: EntryItem) -> RecordedEntry:
    """The entry of an item; raises BookBroken if it is not what its hash was made of."""
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


def invoice_item(invoice: Invoice) -> Attributes:
    """An invoice, marked as unfinished as long as it is."""
    return {
        "client": invoice.client,
        "period": invoice.period,
        "invoice_id": invoice.id,
        "document": invoice_codec().dump_json(invoice).decode(),
        "unfinished": None if invoice.is_finished else UNFINISHED,
    }


def payout_item(payout: Payout) -> Attributes:
    """A payout, marked as unfinished as long as it is."""
    return {
        "payout_id": payout.id,
        "document": payout_codec().dump_json(payout).decode(),
        "unfinished": None if payout.is_finished else UNFINISHED,
    }


def parked_item(parked: Parked) -> Attributes:
    """Something parked."""
    return {
        "parked_id": parked.id,
        "client": parked.client or None,
        "reason": parked.reason.value,
        "detail": parked.detail,
        "parked_at": format_instant(parked.parked_at),
        "message": parked.message,
    }


def announcement_item(told: Announcement) -> Attributes:
    """An announcement, to be removed when nobody can ask for it again."""
    return {
        "subject": told.subject,
        "announcement_id": told.id,
        "type": told.type,
        "client": told.client,
        "at": format_instant(told.at),
        "data": json.dumps(told.data, sort_keys=True),
        "expires_at": int((told.at + REMEMBER_EVENTS).timestamp()),
    }


def read_parked(item: ParkedItem) -> Parked:
    """The parked thing of an item."""
    reason, parked_at = ParkReason(item.reason), datetime.fromisoformat(item.parked_at)
    return Parked(item.parked_id, item.client or "", reason, item.detail, parked_at, item.message)
