"""What the API acts on: the stack's tables, queues, bus and Stripe, or their doubles in a test."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer

from billing.invoices import Invoice
from ledger.entries import Book, RecordedEntry
from payouts.policy import PayoutsStopped
from settlement.invoice_evidence import EvidenceStore
from settlement.invoice_preview import PreviewStore
from settlement.parking import Parked
from settlement.ports import PayoutStore, WritableRegistry
from settlement.reconcile import ReconcileStore
from settlement.release import ReleaseRegistry, ReleaseStore
from settlement.statements import StatementStore
from settlement.stripe_port import Stripe


class ApiStore(
    StatementStore, EvidenceStore, PreviewStore, PayoutStore, ReleaseStore, ReconcileStore, Protocol
):  # every use case that a route calls
    """What the API reads and writes."""

    def entries_at(self, book: Book, seqs: Sequence[int]) -> Sequence[RecordedEntry]:
        """The entries of a book with these numbers, in their order."""

    def invoices_of(self, client: str) -> Iterator[Invoice]:
        """A client's invoices, newest first."""

    def parked(self) -> Iterator[Parked]:
        """Everything parked, in no order."""


class ApiRegistry(WritableRegistry, ReleaseRegistry, Protocol):
    """The registry with the kill switch."""

    def stop_payouts(self, stopped: PayoutsStopped) -> None:
        """Turn the kill switch on."""

    def resume_payouts(self) -> None:
        """Turn the kill switch off."""


@dataclass(frozen=True, slots=True)
class Backend:
    """`count_call` counts a call of a tenant in the minute of an instant, and says how many there were in it.

    `repetitions` remembers the answers to POSTs by their Idempotency-Key.
    """

    store: ApiStore
    registry: ApiRegistry
    stripe: Callable[[], Stripe]
    put_facts: Callable[[Sequence[Mapping[str, object]]], None]
    ask_to_send: Callable[[Iterable[str], datetime], None]
    repetitions: BasePersistenceLayer
    count_call: Callable[[str, datetime], int]
    calls_per_minute: int
