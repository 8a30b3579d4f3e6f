"""What the use cases need from outside, as protocols, and the one thing they write: Changes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from billing.contracts import ContractHistory
from billing.invoices import Invoice
from billing.periods import Period, PeriodState
from billing.prepaid import Prepaid
from events.facts import CaseId
from ledger.books import Head
from ledger.entries import Book, RecordedEntry
from ledger.money import Currency
from payouts.payouts import Payout
from payouts.plans import PlanHistory
from settlement.cases import Case
from settlement.parking import Parked
from settlement.registry import Client, Expert

# Client and case, client and period.
CaseKey = tuple[str, CaseId]
PeriodKey = tuple[str, Period]


class Contention(RuntimeError):
    """Somebody else wrote first, or the database asked for patience: read again, decide again. Retrying helps."""


@dataclass(frozen=True, slots=True)
class HoldChange:
    """Minor units (signed) added to what an expert is held until a day; once that day was released, to `available`."""

    expert: str
    currency: Currency
    release_on: date
    minor_units: int


@dataclass(frozen=True, slots=True)
class Available:
    """What an expert can be paid in a currency: minor units, below zero after a clawback."""

    expert: str
    currency: Currency
    minor_units: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Balances:
    """What is owed to one expert: `held` until a day, and `available`; together the ledger's payable."""

    held: tuple[HoldChange, ...]
    available: tuple[Available, ...]


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something to tell the outside, once the transaction that holds it is written: an event on the bus.

    The id is derived; receivers may get it more than once, and know it by that.
    """

    id: str
    type: str
    client: str
    at: datetime
    data: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Changes:
    """One transaction: all of it is written, or nothing.

    Versioned things (cases, periods, invoices, prepaids, payouts, availables) carry the revision they shall have: each
    is written only over the revision before. `heads` pairs each book's head as read with its head after `entries`.
    `once` names entries that no versioned thing guards: an id that is there already refuses the whole.
    """

    cases: tuple[Case, ...] = ()
    entries: tuple[RecordedEntry, ...] = ()
    heads: tuple[tuple[Head, Head], ...] = ()
    periods: tuple[PeriodState, ...] = ()
    holds: tuple[HoldChange, ...] = ()
    released: tuple[HoldChange, ...] = ()
    availables: tuple[Available, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    prepaids: tuple[Prepaid, ...] = ()
    payouts: tuple[Payout, ...] = ()
    parked: tuple[Parked, ...] = ()
    unparked: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    announcements: tuple[Announcement, ...] = ()

    def count(self) -> int:
        """How many items the transaction touches; DynamoDB takes at most 100."""
        hold_days = {(hold.expert, hold.currency, hold.release_on) for hold in self.holds}
        lists: Iterable[Sequence[object]] = (
            self.cases,
            self.entries,
            self.heads,
            self.periods,
            self.released,
            self.availables,
            self.invoices,
            self.prepaids,
            self.payouts,
            self.parked,
            self.unparked,
            self.once,
            self.announcements,
        )
        return len(hold_days) + sum(len(items) for items in lists)


class Writer(Protocol):
    """Writes Changes."""

    def commit(self, changes: Changes) -> None:
        """Write all or nothing; raises Contention if anything changed since it was read."""

    def pause(self, attempt: int) -> None:
        """Wait a little before attempt + 1, longer each time and never as long as a rival does."""


class Registry(Protocol):
    """What finance and operators have set up."""

    def parties(
        self, clients: Collection[str], experts: Collection[str]
    ) -> tuple[Mapping[str, ContractHistory], Mapping[str, Expert]]:
        """The contract histories and experts of those that exist, in one read."""

    def contracts(self, clients: Collection[str]) -> Mapping[str, ContractHistory]:
        """The contract histories of those clients that have one."""

    def clients(self, ids: Collection[str] | None = None) -> Mapping[str, Client]:
        """Those of the clients that exist; all of them for None."""

    def experts(self, ids: Collection[str] | None = None) -> Mapping[str, Expert]:
        """Those of the experts that exist; all of them for None."""

    def plans(self, ids: Collection[str]) -> Mapping[str, PlanHistory]:
        """Those of the pay plans that exist."""


class WritableRegistry(Registry, Protocol):
    """The registry where Stripe's ids are put in."""

    def set_stripe_customer(self, client: str, customer: str) -> None:
        """Keep the id of a client's customer."""

    def set_stripe_account(self, expert: str, account: str) -> None:
        """Keep the id of an expert's connected account."""


class Books(Protocol):
    """Reads of the journal."""

    def head(self, book: Book) -> Head:
        """The head of a book; an empty one if nothing was posted to it."""

    def heads_of(self, books: Collection[Book]) -> Mapping[Book, Head]:
        """The heads of these books, in one read; empty ones where nothing was posted."""

    def heads(self) -> Iterator[Head]:
        """The heads of all books."""

    def entries(self, book: Book, after: int = 0) -> Iterator[RecordedEntry]:
        """A book's entries behind sequence number `after`, in order."""


class SettlementStore(Writer, Books, Protocol):
    """What settling reads and writes."""

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        """Every asked case; an empty one where nothing is known yet."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""

    def prepaids(self, clients: Collection[str]) -> Mapping[str, Prepaid]:
        """The prepaid credits of these clients, in one read; none where nothing was bought."""

    def due(self, as_of: datetime) -> Iterator[CaseKey]:
        """Client and id of each case with a window that ended at or before `as_of`, oldest first per shard."""


class BillingStore(Writer, Books, Protocol):
    """What closing and invoicing read and write."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""

    def prepaids(self, clients: Collection[str]) -> Mapping[str, Prepaid]:
        """The prepaid credits of these clients, in one read; none where nothing was bought."""

    def invoice(self, client: str, period: Period) -> Invoice | None:
        """The invoice of a period, if it was closed."""

    def unfinished_invoices(self) -> Iterator[tuple[str, Period]]:
        """Client and period of each invoice that is neither paid nor carried nor given up."""


class PayoutStore(Writer, Books, Protocol):
    """What paying out reads and writes."""

    def balances(self, expert: str) -> Balances:
        """What an expert is held by day, released days left out, and can be paid, in every currency."""

    def payout(self, payout_id: str) -> Payout | None:
        """A payout by id."""

    def unfinished_payouts(self) -> Iterator[str]:
        """The ids of payouts that are neither sent nor failed."""
