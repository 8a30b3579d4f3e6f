"""What the tests of every store share: its promises, and entries to post."""

from collections.abc import Iterator
from datetime import date
from typing import Protocol

from functions.api.backend import ApiStore
from infra.exports.slices import Journal
from ledger.accounts import BANK_CASH, STRIPE_BALANCE
from ledger.books import append
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, evidence, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from ledger.sealed import SealedEntry
from settlement.findings import Reconciliation
from settlement.manual_entries import ManualStore
from settlement.month_steps import CloseStore
from settlement.ports import Changes, IncentiveStore
from settlement.recorded_facts import RecordedFacts
from tests.world import at

USD = Currency("USD")
MONDAY = date(2026, 3, 9)


class AnyStore(ApiStore, RecordedFacts, IncentiveStore, CloseStore, ManualStore, Journal, Protocol):
    """Whatever a use case may need."""

    def keep_reconciliation(self, found: Reconciliation) -> None: ...
    def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]: ...


def a_top_up(number: int, minor_units: int = 100) -> Entry:
    return Entry(
        id=EntryId(f"top_up:{number}"),
        book=PLATFORM_BOOK,
        reason=Reason.TOP_UP,
        postings=postings(((STRIPE_BALANCE, minor_units), (BANK_CASH, -minor_units)), "USD"),
        effective_on=MONDAY,
        evidence=evidence({"source": f"tu_{number}"}),
    )


def posting(store: AnyStore, *entries: Entry) -> Changes:
    head = store.head(PLATFORM_BOOK)
    sealed, after = append(head, entries, at("2026-03-09"))
    return Changes(entries=sealed, heads=((head, after),))
