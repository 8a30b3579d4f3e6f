"""What the use cases need from outside, as protocols, and the one thing they write: Changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from billing.periods import Period
from events.facts import CaseId
from ledger.records import dataclass
from settlement.due_buckets import due_buckets

if TYPE_CHECKING:  # whoever calls a port has these; a function starts sooner without what it does not use
    from billing.contracts import ContractHistory
    from billing.invoices import Invoice
    from billing.periods import PeriodState
    from billing.prepaid import Prepaid
    from ledger.books import Head
    from ledger.entries import Book, RecordedEntry
    from ledger.money import Currency
    from payouts.awards import Award, AwardKey
    from payouts.incentives import Week, WeekCount
    from payouts.payouts import Payout
    from payouts.plans import PlanHistory
    from payouts.policy import PayoutPolicy, PayoutsStopped
    from settlement.announcements import Announcement
    from settlement.cases import Case
    from settlement.due_buckets import DueBucket
    from settlement.expert_status import ExpertStatus
    from settlement.manual_entries import ManualEntry
    from settlement.month_close import MonthClose
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
class PayoutRun:
    """A run while it is planned: everyone up to the expert `after` was looked at, in order of their ids."""

    id: str
    started_at: datetime
    after: str = ""
    is_finished: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """What was reserved so far under a limit of a run or a day, in minor units; kept where a policy limits it."""

    id: str
    minor_units: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class AwardRun:
    """The awarding of a day (UTC): everyone up to the expert `after` was looked at, in order of their ids."""

    day: date
    after: str = ""
    is_finished: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ReviewGiven:
    """An expert reviewed the work of another; `fact` names the fact that says so: client, case and its key."""

    reviewer: str
    reviewed: str
    at: datetime
    fact: str


@dataclass(frozen=True, slots=True)
class Changes:
    """One transaction: all of it is written, or nothing.

    Versioned things (cases, periods, invoices, prepaids, payouts, availables, entries by hand, closes of months) carry
    the revision they shall have: each is written only over the revision before. `heads` pairs each book's head as read
    with its head after `entries`. `once` names entries that no versioned thing guards: an id that is there already
    refuses the whole. `weeks` are added to what is counted, one of each expert, plan and week.
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
    payout_runs: tuple[PayoutRun, ...] = ()
    spent: tuple[Spent, ...] = ()
    weeks: tuple[WeekCount, ...] = ()
    awards: tuple[Award, ...] = ()
    award_runs: tuple[AwardRun, ...] = ()
    reviews: tuple[ReviewGiven, ...] = ()
    parked: tuple[Parked, ...] = ()
    unparked: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    manual_entries: tuple[ManualEntry, ...] = ()
    month_closes: tuple[MonthClose, ...] = ()

    def count(self) -> int:
        """How many items the transaction touches; DynamoDB takes at most 100."""
        hold_days = {(hold.expert, hold.currency, hold.release_on) for hold in self.holds}
        lock_is_checked = any(not before.seq for before, _ in self.heads)
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
            self.payout_runs,
            self.spent,
            self.weeks,
            self.awards,
            self.award_runs,
            self.reviews,
            self.parked,
            self.unparked,
            self.once,
            self.announcements,
            self.manual_entries,
            self.month_closes,
        )
        return len(hold_days) + len(due_buckets(self.cases)) + lock_is_checked + sum(len(items) for items in lists)


class Writer(Protocol):
    """Writes Changes."""

    def commit(self, changes: Changes) -> None:
        """Write all or nothing; raises Contention if anything changed since it was read."""

    def pause(self, attempt: int) -> None:
        """Wait a little before attempt + 1, longer each time and never as long as a rival does."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Contracts, experts and pay plans, by id; what is not registered is left out."""

    contracts: Mapping[str, ContractHistory]
    experts: Mapping[str, Expert]
    plans: Mapping[str, PlanHistory]


class Registry(Protocol):
    """What finance and operators have set up."""

    def registered(self, clients: Collection[str], experts: Collection[str], plans: Collection[str]) -> Registered:
        """The contracts of these clients, these experts, these plans, and those by which the experts work for them."""

    def contracts(self, clients: Collection[str]) -> Mapping[str, ContractHistory]:
        """The contract histories of those clients that have one."""

    def clients(self, ids: Collection[str] | None = None) -> Mapping[str, Client]:
        """Those of the clients that exist; all of them for None."""

    def experts(self, ids: Collection[str] | None = None) -> Mapping[str, Expert]:
        """Those of the experts that exist; all of them for None."""

    def experts_after(self, expert: str) -> Iterator[Expert]:
        """Every expert whose id comes after this one, in order of their ids, read page by page."""

    def plans(self, ids: Collection[str]) -> Mapping[str, PlanHistory]:
        """Those of the pay plans that exist."""

    def statuses(self, experts: Collection[str]) -> Mapping[str, ExpertStatus]:
        """What outside systems said about these experts; an empty status where nothing is known."""

    def policies(self) -> Mapping[Currency, PayoutPolicy]:
        """The payout policies of all currencies that have one."""

    def payouts_stopped(self) -> PayoutsStopped | None:
        """Who stopped all sending, if it is stopped."""


class WritableRegistry(Registry, Protocol):
    """The registry where Stripe's ids are put in."""

    def set_stripe_customer(self, client: str, customer: str) -> None:
        """Keep the id of a client's customer."""

    def set_stripe_account(self, expert: str, account: str) -> None:
        """Keep the id of an expert's connected account."""

    def set_status(self, status: ExpertStatus) -> None:
        """Keep a status over the revision before its own; raises Contention if somebody else wrote."""


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


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found in one read; empty things stand for what is not there."""

    cases: Mapping[CaseKey, Case]
    periods: Mapping[PeriodKey, PeriodState]
    heads: Mapping[Book, Head]
    prepaids: Mapping[str, Prepaid]


class SettlementStore(Writer, Books, Protocol):
    """What settling reads and writes."""

    def read(
        self,
        cases: Collection[CaseKey] = (),
        periods: Collection[PeriodKey] = (),
        books: Collection[Book] = (),
        prepaids: Collection[str] = (),
    ) -> Stored:
        """These cases, periods, heads of books and prepaid credits of clients, in one read."""

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        """Every asked period; an open, empty one where nothing is known yet."""

    def due(self, as_of: datetime) -> Iterator[DueBucket]:
        """Each bucket whose last window ended at or before `as_of`, oldest first, until it is forgotten."""

    def still_due(self, keys: Collection[CaseKey], as_of: datetime) -> frozenset[CaseKey]:
        """Those of the cases that wait for a window that ended at or before `as_of`."""

    def forget(self, buckets: Collection[DueBucket]) -> None:
        """Remove buckets of which no case is due any more; one that stays is only looked at again."""

    def last_review(self, reviewer: str, reviewed: str, span: tuple[datetime, datetime]) -> datetime | None:
        """When one expert last reviewed the other's work within a span of time (both ends inclusive), if ever."""


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

    def payout_run(self, run: str) -> PayoutRun | None:
        """How far the planning of a run came; None if it was not begun."""

    def spent(self, ids: Collection[str]) -> tuple[Spent, ...]:
        """What was reserved under these limits, in their order."""


class IncentiveStore(Writer, Books, Protocol):
    """What awarding incentives reads and writes."""

    def weeks_of(self, expert: str) -> Sequence[WeekCount]:
        """All that is counted of an expert, in no order."""

    def counts_in(self, week: Week) -> Iterator[WeekCount]:
        """All that is counted in a week, of every expert, page by page; what was written just now may be missing."""

    def awards(self, keys: Collection[AwardKey]) -> Mapping[AwardKey, Award]:
        """Those of the awards that something was posted of, in one read."""

    def award_run(self, day: date) -> AwardRun:
        """How far the awarding of a day came."""
