"""The ports kept in memory: same promises as the tables, held to the same contract suite (tests/infra)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TypeVar

from billing.contracts import ContractHistory
from billing.invoices import Invoice
from billing.periods import Period, PeriodState
from billing.prepaid import Prepaid
from events.adapters.doors import Door
from events.facts import CaseId
from ledger.books import Head
from ledger.entries import Book, RecordedEntry
from ledger.errors import BookBroken
from ledger.money import Currency
from ledger.sealed import SealedEntry, sealed
from payouts.awards import Award, AwardKey
from payouts.incentives import Week, WeekCount
from payouts.payouts import Payout
from payouts.plans import PlanHistory
from payouts.policy import PayoutPolicy, PayoutsStopped
from settlement.announcements import Announcement
from settlement.book_sums import BookSums
from settlement.cases import Case
from settlement.due_buckets import DueBucket, due_buckets
from settlement.expert_status import ExpertStatus
from settlement.findings import Reconciliation
from settlement.manual_entries import ManualEntry
from settlement.month_close import MonthClose
from settlement.parking import Parked
from settlement.ports import (
    Available,
    AwardRun,
    Balances,
    CaseKey,
    Changes,
    Contention,
    HoldChange,
    PayoutRun,
    PeriodKey,
    Registered,
    ReviewGiven,
    Spent,
    Stored,
)
from settlement.recorded_facts import PastCase, SettledCycle
from settlement.registry import Client, Expert
from settlement.webhooks import Endpoint

_T = TypeVar("_T")


@dataclass
class MemoryRegistry:
    contract_histories: dict[str, ContractHistory] = field(default_factory=dict)
    plan_histories: dict[str, PlanHistory] = field(default_factory=dict)
    all_clients: dict[str, Client] = field(default_factory=dict)
    all_experts: dict[str, Expert] = field(default_factory=dict)
    all_doors: dict[str, Door] = field(default_factory=dict)
    all_endpoints: dict[str, Endpoint] = field(default_factory=dict)
    known_statuses: dict[str, ExpertStatus] = field(default_factory=dict)
    known_policies: dict[Currency, PayoutPolicy] = field(default_factory=dict)
    stopped: PayoutsStopped | None = None

    def registered(self, clients: Collection[str], experts: Collection[str], plans: Collection[str]) -> Registered:
        found = self.experts(experts)
        assigned = {it.assignments[client] for it in found.values() for client in clients if client in it.assignments}
        return Registered(self.contracts(clients), found, self.plans({*plans, *assigned}))

    def contracts(self, clients: Collection[str]) -> Mapping[str, ContractHistory]:
        return {id_: self.contract_histories[id_] for id_ in clients if id_ in self.contract_histories}

    def clients(self, ids: Collection[str] | None = None) -> Mapping[str, Client]:
        return {id_: it for id_, it in self.all_clients.items() if ids is None or id_ in ids}

    def experts(self, ids: Collection[str] | None = None) -> Mapping[str, Expert]:
        return {id_: it for id_, it in self.all_experts.items() if ids is None or id_ in ids}

    def doors(self, ids: Collection[str] | None = None) -> Mapping[str, Door]:
        return {id_: it for id_, it in self.all_doors.items() if ids is None or id_ in ids}

    def endpoints(self, ids: Collection[str] | None = None) -> Mapping[str, Endpoint]:
        return {id_: it for id_, it in self.all_endpoints.items() if ids is None or id_ in ids}

    def add_endpoint(self, endpoint: Endpoint) -> None:
        if endpoint.id in self.all_endpoints:
            raise Contention("there is one of that id")
        self.all_endpoints[endpoint.id] = endpoint

    def remove_endpoint(self, endpoint: str) -> None:
        self.all_endpoints.pop(endpoint, None)

    def plans(self, ids: Collection[str]) -> Mapping[str, PlanHistory]:
        return {id_: self.plan_histories[id_] for id_ in ids if id_ in self.plan_histories}

    def experts_after(self, expert: str, most: int | None = None) -> Iterator[Expert]:
        return iter(_after(self.all_experts, expert, most))

    def clients_after(self, client: str, most: int) -> Iterator[Client]:
        return iter(_after(self.all_clients, client, most))

    def contracts_after(self, client: str, most: int) -> Iterator[ContractHistory]:
        return iter(_after(self.contract_histories, client, most))

    def plans_after(self, plan: str, most: int) -> Iterator[PlanHistory]:
        return iter(_after(self.plan_histories, plan, most))

    def statuses(self, experts: Collection[str]) -> Mapping[str, ExpertStatus]:
        return {expert: self.known_statuses.get(expert) or ExpertStatus(expert) for expert in experts}

    def policies(self) -> Mapping[Currency, PayoutPolicy]:
        return self.known_policies

    def payouts_stopped(self) -> PayoutsStopped | None:
        return self.stopped

    def stop_payouts(self, stopped: PayoutsStopped) -> None:
        self.stopped = stopped

    def resume_payouts(self) -> None:
        self.stopped = None

    def set_status(self, status: ExpertStatus) -> None:
        if status.revision != self.statuses([status.expert])[status.expert].revision + 1:
            raise Contention("somebody wrote first")
        self.known_statuses[status.expert] = status

    def set_stripe_customer(self, client: str, customer: str) -> None:
        self.all_clients[client] = self.all_clients[client].model_copy(update={"stripe_customer": customer})

    def set_stripe_account(self, expert: str, account: str) -> None:
        self.all_experts[expert] = self.all_experts[expert].model_copy(update={"stripe_account": account})


def _after(things: Mapping[str, _T], id_: str, most: int | None) -> list[_T]:
    return [things[it] for it in sorted(things) if it > id_][:most]


@dataclass
class MemoryStore:
    """`before_commit` is called with the changes first, so that a test can be the rival that writes earlier."""

    before_commit: Callable[[Changes], None] = lambda _: None
    stored_cases: dict[tuple[str, CaseId], Case] = field(default_factory=dict)
    stored_due: dict[tuple[datetime, str], DueBucket] = field(default_factory=dict)
    stored_periods: dict[tuple[str, Period], PeriodState] = field(default_factory=dict)
    stored_heads: dict[Book, Head] = field(default_factory=dict)
    journal: dict[Book, list[RecordedEntry]] = field(default_factory=dict)
    hold_amounts: dict[tuple[str, str, date], int] = field(default_factory=dict)
    released_holds: set[tuple[str, str, date]] = field(default_factory=set)
    stored_availables: dict[tuple[str, str], Available] = field(default_factory=dict)
    stored_invoices: dict[tuple[str, Period], Invoice] = field(default_factory=dict)
    stored_prepaids: dict[str, Prepaid] = field(default_factory=dict)
    stored_payouts: dict[str, Payout] = field(default_factory=dict)
    stored_runs: dict[str, PayoutRun] = field(default_factory=dict)
    stored_spent: dict[str, Spent] = field(default_factory=dict)
    stored_weeks: dict[tuple[str, str, str], WeekCount] = field(default_factory=dict)
    stored_awards: dict[AwardKey, Award] = field(default_factory=dict)
    stored_award_runs: dict[date, AwardRun] = field(default_factory=dict)
    stored_reviews: set[ReviewGiven] = field(default_factory=set)
    stored_parked: dict[str, Parked] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    stored_sums: dict[Book, BookSums] = field(default_factory=dict)
    announced: dict[str, Announcement] = field(default_factory=dict)
    reconciled: Reconciliation | None = None
    stored_manual_entries: dict[str, ManualEntry] = field(default_factory=dict)
    stored_closes: dict[Period, MonthClose] = field(default_factory=dict)
    locked: str = ""

    def commit(self, changes: Changes) -> None:
        self.before_commit(changes)
        self._check(changes)
        self.stored_cases |= {(case.client, case.case_id): case for case in changes.cases}
        self.stored_due |= {(bucket.due_at, bucket.id): bucket for bucket in due_buckets(changes.cases)}
        self.stored_periods |= {(state.client, state.period): state for state in changes.periods}
        self.stored_invoices |= {(invoice.client, invoice.period): invoice for invoice in changes.invoices}
        self.stored_prepaids |= {prepaid.client: prepaid for prepaid in changes.prepaids}
        self.stored_payouts |= {payout.id: payout for payout in changes.payouts}
        self.stored_runs |= {run.id: run for run in changes.payout_runs}
        self.stored_spent |= {spent.id: spent for spent in changes.spent}
        self.stored_availables |= {(it.expert, it.currency): it for it in changes.availables}
        self.stored_awards |= {award.key: award for award in changes.awards}
        self.stored_award_runs |= {run.day: run for run in changes.award_runs}
        self.stored_reviews |= set(changes.reviews)
        for week in changes.weeks:
            key = (week.expert, week.plan, week.week)
            self.stored_weeks[key] = self.stored_weeks.get(key, WeekCount(*key)).plus(week)
        self.stored_parked |= {parked.id: parked for parked in changes.parked}
        for parked_id in changes.unparked:
            self.stored_parked.pop(parked_id, None)
        self.marks |= set(changes.once)
        self.announced |= {told.id: told for told in changes.announcements}
        self.stored_manual_entries |= {it.id: it for it in changes.manual_entries}
        self.stored_closes |= {it.month: it for it in changes.month_closes}
        for recorded in changes.entries:
            self.journal.setdefault(recorded.entry.book, []).append(recorded)
        self.stored_heads |= {after.book: after for _, after in changes.heads}
        self.released_holds |= {(hold.expert, hold.currency, hold.release_on) for hold in changes.released}
        for hold in changes.holds:
            self._hold(hold)

    def _check(self, changes: Changes) -> None:
        stored = [
            *((case.revision, self.stored_cases.get((case.client, case.case_id))) for case in changes.cases),
            *((it.revision, self.stored_periods.get((it.client, it.period))) for it in changes.periods),
            *((it.revision, self.stored_invoices.get((it.client, it.period))) for it in changes.invoices),
            *((it.revision, self.stored_prepaids.get(it.client)) for it in changes.prepaids),
            *((it.revision, self.stored_payouts.get(it.id)) for it in changes.payouts),
            *((it.revision, self.stored_runs.get(it.id)) for it in changes.payout_runs),
            *((it.revision, self.stored_spent.get(it.id)) for it in changes.spent),
            *((it.revision, self.stored_awards.get(it.key)) for it in changes.awards),
            *((it.revision, self.stored_award_runs.get(it.day)) for it in changes.award_runs),
            *((it.revision, self.stored_availables.get((it.expert, it.currency))) for it in changes.availables),
            *((it.revision, self.stored_manual_entries.get(it.id)) for it in changes.manual_entries),
            *((it.revision, self.stored_closes.get(it.month)) for it in changes.month_closes),
        ]
        if any(revision != (item.revision if item else 0) + 1 for revision, item in stored):
            raise Contention("somebody wrote first")
        if any(before != self.head(before.book) for before, _ in changes.heads) or self.marks & set(changes.once):
            raise Contention("somebody posted first")
        if any(before.locked_through != self.locked for before, _ in changes.heads):
            raise Contention("somebody locked a month first")
        for hold in changes.released:
            key = (hold.expert, hold.currency, hold.release_on)
            if key in self.released_holds or self.hold_amounts.get(key, 0) != hold.minor_units:
                raise Contention("a hold changed")

    def _hold(self, hold: HoldChange) -> None:
        key = (hold.expert, hold.currency, hold.release_on)
        if key in self.released_holds:
            to = self.stored_availables.get(key[:2], Available(hold.expert, hold.currency))
            self.stored_availables[key[:2]] = replace(
                to, minor_units=to.minor_units + hold.minor_units, revision=to.revision + 1
            )
        else:
            self.hold_amounts[key] = self.hold_amounts.get(key, 0) + hold.minor_units

    def pause(self, attempt: int) -> None:
        """Nobody waits in memory."""

    def head(self, book: Book) -> Head:
        return replace(self.stored_heads.get(book, Head(book)), locked_through=self.locked)

    def locked_through(self) -> str:
        return self.locked

    def lock_through(self, month: str) -> None:
        self.locked = max(self.locked, month)

    def heads_of(self, books: Collection[Book]) -> Mapping[Book, Head]:
        return {book: self.head(book) for book in books}

    def heads(self) -> Iterator[Head]:
        return iter([self.head(book) for book in self.stored_heads])

    def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]:
        return (sealed(recorded) for recorded in self.entries(book, after) if recorded.seq <= last)

    def entries(self, book: Book, after: int = 0) -> Iterator[RecordedEntry]:
        return iter(self.journal.get(book, [])[after:])

    def expert_entries(self, expert: str) -> Iterator[RecordedEntry]:
        mine = [
            recorded
            for book in self.journal.values()
            for recorded in book
            if any(posting.account.startswith(f"expert/{expert}/") for posting in recorded.entry.postings)
        ]
        return iter(sorted(mine, key=lambda it: (it.entry.effective_on, it.entry.book, it.seq)))

    def manual_entry(self, id_: str) -> ManualEntry | None:
        return self.stored_manual_entries.get(id_)

    def manual_entries(self) -> Iterator[ManualEntry]:
        return iter(list(self.stored_manual_entries.values()))

    def month_close(self, month: Period) -> MonthClose:
        return self.stored_closes.get(month, MonthClose(month))

    def all_cases(self) -> Iterator[Case]:
        return iter(list(self.stored_cases.values()))

    def read(
        self,
        cases: Collection[CaseKey] = (),
        periods: Collection[PeriodKey] = (),
        books: Collection[Book] = (),
        prepaids: Collection[str] = (),
    ) -> Stored:
        return Stored(self.cases(cases), self.periods(periods), self.heads_of(books), self.prepaids(prepaids))

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        return {key: self.stored_cases.get(key, Case(*key)) for key in keys}

    def periods(self, keys: Collection[PeriodKey]) -> Mapping[PeriodKey, PeriodState]:
        return {key: self.stored_periods.get(key, PeriodState(*key)) for key in keys}

    def prepaids(self, clients: Collection[str]) -> Mapping[str, Prepaid]:
        return {client: self.stored_prepaids.get(client, Prepaid(client)) for client in clients}

    def due(self, as_of: datetime) -> Iterator[DueBucket]:
        ended = [bucket for bucket in self.stored_due.values() if bucket.due_at <= as_of]
        return iter(sorted(ended, key=lambda it: (it.due_at, it.id)))

    def still_due(self, keys: Collection[CaseKey], as_of: datetime) -> frozenset[CaseKey]:
        return frozenset(key for key, it in self.cases(keys).items() if it.due_at is not None and it.due_at <= as_of)

    def forget(self, buckets: Collection[DueBucket]) -> None:
        for bucket in buckets:
            self.stored_due.pop((bucket.due_at, bucket.id), None)

    def invoice(self, client: str, period: Period) -> Invoice | None:
        return self.stored_invoices.get((client, period))

    def unfinished_invoices(self) -> Iterator[tuple[str, Period]]:
        return iter([key for key, it in self.stored_invoices.items() if not it.is_finished])

    def balances(self, expert: str) -> Balances:
        held = tuple(
            HoldChange(key[0], Currency(key[1]), key[2], minor)
            for key, minor in sorted(self.hold_amounts.items())
            if key[0] == expert and key not in self.released_holds
        )
        return Balances(held, tuple(it for key, it in sorted(self.stored_availables.items()) if key[0] == expert))

    def payout(self, payout_id: str) -> Payout | None:
        return self.stored_payouts.get(payout_id)

    def unfinished_payouts(self) -> Iterator[str]:
        return iter([id_ for id_, it in self.stored_payouts.items() if not it.is_finished])

    def payout_run(self, run: str) -> PayoutRun | None:
        return self.stored_runs.get(run)

    def spent(self, ids: Collection[str]) -> tuple[Spent, ...]:
        return tuple(self.stored_spent.get(id_, Spent(id_)) for id_ in ids)

    def weeks_of(self, expert: str) -> Sequence[WeekCount]:
        return [count for count in self.stored_weeks.values() if count.expert == expert]

    def counts_in(self, week: Week) -> Iterator[WeekCount]:
        return iter([count for count in self.stored_weeks.values() if count.week == week])

    def awards(self, keys: Collection[AwardKey]) -> Mapping[AwardKey, Award]:
        return {key: self.stored_awards[key] for key in keys if key in self.stored_awards}

    def award_run(self, day: date) -> AwardRun:
        return self.stored_award_runs.get(day, AwardRun(day))

    def last_review(self, reviewer: str, reviewed: str, span: tuple[datetime, datetime]) -> datetime | None:
        first, last = span
        given = [it.at for it in self.stored_reviews if (it.reviewer, it.reviewed) == (reviewer, reviewed)]
        return max((at for at in given if first <= at <= last), default=None)

    def posted(self, entry_ids: Collection[str]) -> frozenset[str]:
        return frozenset(entry_ids) & self.marks

    def book_sums(self) -> Iterator[BookSums]:
        return iter(list(self.stored_sums.values()))

    def keep_book_sums(self, sums: BookSums) -> None:
        self.stored_sums[sums.book] = sums

    def past_cases(self, client: str) -> Iterator[PastCase]:
        for case in self.client_cases(client):
            cycles = tuple(SettledCycle(it.solution, it.settled_at) for it in case.cycles)
            yield PastCase(case.case_id, case.facts, case.evidence_only, cycles, case.mutual_reviews)

    def client_cases(self, client: str) -> list[Case]:
        return [case for (owner, _), case in self.stored_cases.items() if owner == client]

    def parked(self) -> Iterator[Parked]:
        return iter(list(self.stored_parked.values()))

    def parked_after(self, parked_id: str, most: int) -> tuple[Sequence[Parked], str]:
        behind = [self.stored_parked[id_] for id_ in sorted(self.stored_parked) if id_ > parked_id]
        return behind[:most], behind[most - 1].id if len(behind) > most else ""

    def keep_reconciliation(self, found: Reconciliation) -> None:
        self.reconciled = found.shortened()

    def last_reconciliation(self) -> Reconciliation | None:
        return self.reconciled

    def find_parked(self, parked_id: str) -> Parked | None:
        return self.stored_parked.get(parked_id)

    def entries_at(self, book: Book, seqs: Sequence[int]) -> Sequence[RecordedEntry]:
        found = {it.seq: it for it in self.journal.get(book, [])}
        if missing := [seq for seq in seqs if seq not in found]:
            raise BookBroken(f"{book}: entry {missing[0]} is missing")
        return [found[seq] for seq in seqs]

    def invoices_of(self, client: str) -> Iterator[Invoice]:
        mine = [it for (owner, _), it in self.stored_invoices.items() if owner == client]
        return iter(sorted(mine, key=lambda it: it.period, reverse=True))

    def payouts(self) -> Iterator[Payout]:
        return iter(list(self.stored_payouts.values()))

    def invoices(self) -> Iterator[Invoice]:
        return iter(list(self.stored_invoices.values()))

    def payable(self) -> Mapping[tuple[str, Currency], int]:
        sums: dict[tuple[str, Currency], int] = {}
        for expert, code, day in self.hold_amounts:
            if (expert, code, day) not in self.released_holds:
                key = (expert, Currency(code))
                sums[key] = sums.get(key, 0) + self.hold_amounts[expert, code, day]
        for (expert, code), available in self.stored_availables.items():
            key = (expert, Currency(code))
            sums[key] = sums.get(key, 0) + available.minor_units
        return sums

    def event_is_done(self, event_id: str) -> bool:
        return f"event/{event_id}" in self.marks

    def mark_event_done(self, event_id: str, as_of: datetime) -> None:  # noqa: ARG002  # memory forgets nothing
        self.marks.add(f"event/{event_id}")
