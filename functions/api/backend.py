"""What the API acts on: the stack's tables, queues, bus and Stripe, or their doubles in a test."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer

from billing.contracts import ContractHistory
from billing.invoices import Invoice
from ledger.entries import Book, RecordedEntry
from payouts.payouts import Payout
from payouts.plans import PlanHistory
from payouts.policy import PayoutsStopped
from settlement.announcements import Announcement
from settlement.book_sums import SumsStore
from settlement.findings import Reconciliation
from settlement.invoice_evidence import EvidenceStore
from settlement.invoice_preview import PreviewStore
from settlement.parking import Parked
from settlement.ports import PayoutStore, WritableRegistry
from settlement.registry import Client, Expert
from settlement.release import ReleaseRegistry, ReleaseStore
from settlement.statements import StatementStore
from settlement.stripe_port import Stripe
from settlement.webhooks import Delivery, Endpoint, Webhook


class ApiStore(
    StatementStore, EvidenceStore, PreviewStore, PayoutStore, ReleaseStore, SumsStore, Protocol
):  # every use case that a route calls
    """What the API reads and writes."""

    def entries_at(self, book: Book, seqs: Sequence[int]) -> Sequence[RecordedEntry]:
        """The entries of a book with these numbers, in their order."""

    def invoices_of(self, client: str) -> Iterator[Invoice]:
        """A client's invoices, newest first."""

    def parked_after(self, parked_id: str, most: int) -> tuple[Sequence[Parked], str]:
        """So many parked things behind that one, or the first ones behind "", and the last one read; "" at the end."""

    def payouts(self) -> Iterator[Payout]:
        """Every payout, in no order."""

    def posted(self, entry_ids: Collection[str]) -> frozenset[str]:
        """Those of the marks that were put once."""

    def last_reconciliation(self) -> Reconciliation | None:
        """The one that was kept last; None before the first."""


class ApiRegistry(WritableRegistry, ReleaseRegistry, Protocol):
    """The registry with its pages, endpoints of webhooks and the kill switch."""

    def endpoints(self, ids: Collection[str] | None = None) -> Mapping[str, Endpoint]:
        """Those of the endpoints of webhooks that exist; all of them for None."""

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Keep an endpoint; raises Contention if there is one of its id."""

    def remove_endpoint(self, endpoint: str) -> None:
        """Forget an endpoint; one that is not there is forgotten already."""

    def clients_after(self, client: str, most: int) -> Iterator[Client]:
        """So many clients whose id comes after this one, in order of their ids."""

    def experts_after(self, expert: str, most: int | None = None) -> Iterator[Expert]:
        """Experts whose id comes after this one, in order of their ids: so many, or every one."""

    def contracts_after(self, client: str, most: int) -> Iterator[ContractHistory]:
        """The contracts of so many clients whose id comes after this one, in order of their ids."""

    def plans_after(self, plan: str, most: int) -> Iterator[PlanHistory]:
        """So many pay plans whose id comes after this one, in order of their ids."""

    def stop_payouts(self, stopped: PayoutsStopped) -> None:
        """Turn the kill switch on."""

    def resume_payouts(self) -> None:
        """Turn the kill switch off."""


class Webhooks(Protocol):
    """The secrets of webhooks, what became of them, and what can be told again."""

    def secrets(self, endpoint: str) -> tuple[str, ...]:
        """What webhooks to an endpoint are signed with, the newest first."""

    def make_secret(self, endpoint: str, request: str) -> None:
        """Sign with a new secret from now on, and with the one before, too. A request makes one, however often."""

    def secret_made_by(self, endpoint: str, request: str) -> str | None:
        """The secret that a request made, for a day at least; None if it made none, or the endpoint is gone."""

    def keep_newest_secret(self, endpoint: str) -> None:
        """Sign with the newest secret only."""

    def forget_secrets(self, endpoint: str) -> None:
        """Sign nothing more for an endpoint."""

    def undelivered_after(self, endpoint: str, webhook: str, most: int) -> tuple[Sequence[Delivery], str]:
        """So many webhooks that were given up or wait, behind that one, by id; and the last one read, "" at the end."""

    def announcements(self, client: str) -> Iterator[Announcement]:
        """Everything that was announced about a client in the last 40 days, in no order."""

    def queue(self, webhooks: Iterable[Webhook], mark: str) -> None:
        """Queue webhooks again; the same ones with the same mark count once for five minutes."""


@dataclass(frozen=True, slots=True)
class Backend:
    """`count_call` counts a call of a tenant in the minute of an instant, and says how many there were in it.

    `repetitions` remembers the answers to POSTs by their Idempotency-Key.
    """

    store: ApiStore
    registry: ApiRegistry
    stripe: Callable[[], Stripe]
    webhooks: Webhooks
    put_facts: Callable[[Sequence[Mapping[str, object]]], None]
    ask_to_send: Callable[[Iterable[str], datetime], None]
    repetitions: BasePersistenceLayer
    count_call: Callable[[str, datetime], int]
    calls_per_minute: int
