"""The main use case: facts and ended windows become charges and earnings, one transaction per client and group."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, timedelta

from billing.alerts import UsageAlert, cross_alerts
from billing.periods import Period, PeriodState, PeriodStatus, next_period, period_of
from events.decode import Delivery
from events.facts import CaseId, Completed
from ledger.books import Head, append
from ledger.entries import Entry, RecordedEntry, client_book
from ledger.errors import LedgerError
from ledger.records import dataclass, replace
from payouts.incentives import WeekCount
from settlement.activity import LastReview, add_up, has_new_reviews, reviews_in, week_changes, with_answers
from settlement.announcements import Announcement, told_of_reversal
from settlement.assess import Due, Unsolved, Wait, timing
from settlement.cases import (
    FACTS_PER_CASE,
    Case,
    Cycle,
    CycleState,
    CycleStatus,
    FactConflict,
    is_past_acceptance,
    known,
    split_cycles,
    with_fact,
)
from settlement.decide import Terms, decide_cycle, is_open
from settlement.parking import (
    CannotDecide,
    Parked,
    ParkReason,
    case_parking_id,
    parked_case,
    parked_fact,
)
from settlement.ports import Changes, Contention, HoldChange, Registry, ReviewGiven, SettlementStore
from settlement.snapshot import Snapshot, Work, read_snapshot

# A case takes two items of a transaction's 100, a park or a second cycle one more; what does not fit is halved.
CASES_PER_TRANSACTION = 40
ITEMS_PER_TRANSACTION = 100
ATTEMPTS = 12

_Steps = tuple[Unsolved | Wait | Due | None, ...]
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Settled:
    """What became of a batch: counts, and why cases failed, whose facts are to be delivered again."""

    facts: int = 0
    duplicates: int = 0
    parked: int = 0
    entries: int = 0
    failed: dict[tuple[str, CaseId], str] = field(default_factory=dict)

    def add(self, other: "Settled") -> None:
        """Take in the counts of another batch."""
        self.facts += other.facts
        self.duplicates += other.duplicates
        self.parked += other.parked
        self.entries += other.entries
        self.failed |= other.failed


def work_from(deliveries: Iterable[Delivery]) -> dict[str, list[Work]]:
    """Deliveries grouped by client and case; a case is looked at as of its newest delivery."""
    grouped: dict[str, dict[CaseId, list[Delivery]]] = {}
    for delivery in deliveries:
        grouped.setdefault(delivery.client, {}).setdefault(delivery.case_id, []).append(delivery)
    return {
        client: [
            Work(case_id, tuple(delivered), max(delivery.received_at for delivery in delivered))
            for case_id, delivered in cases.items()
        ]
        for client, cases in grouped.items()
    }


def settle(store: SettlementStore, registry: Registry, work: Mapping[str, Sequence[Work]]) -> Settled:
    """Record the facts of cases, by client, and post what follows from them, in transactions of one client each.

    Each case is looked at once, however often its facts are delivered; what the registry has no answer for is parked.
    A case that breaks, or whose every attempt rivals overtook, is left out and named in `failed`.
    """
    result = Settled()
    snapshot: Snapshot | None = read_snapshot(store, registry, work)
    for client, items in work.items():
        for start in range(0, len(items), CASES_PER_TRANSACTION):
            group = items[start : start + CASES_PER_TRANSACTION]
            try:
                result.add(_settle_group(store, registry, client, group, snapshot if start == 0 else None))
            except Contention as overtaken:
                result.failed |= {(client, item.case_id): str(overtaken) for item in group}
    return result


def _settle_group(
    store: SettlementStore, registry: Registry, client: str, work: Sequence[Work], snapshot: Snapshot | None
) -> Settled:
    """Settle one transaction's worth: from `snapshot` if it is fresh, else from one of its own."""
    for attempt in range(1, ATTEMPTS + 1):
        changes, result = _decide_group(store, snapshot or read_snapshot(store, registry, {client: work}), client, work)
        if changes.count() > ITEMS_PER_TRANSACTION and len(work) > 1:
            half = len(work) // 2
            first = _settle_group(store, registry, client, work[:half], None)
            first.add(_settle_group(store, registry, client, work[half:], None))
            return first
        try:
            if changes != Changes():
                store.commit(changes)
        except Contention:
            snapshot = None
            store.pause(attempt)
        else:
            return result
    raise Contention(f"{client}: {ATTEMPTS} attempts were overtaken; the facts are delivered again later")


def _decide_group(
    store: SettlementStore, snapshot: Snapshot, client: str, work: Sequence[Work]
) -> tuple[Changes, Settled]:
    contracts = snapshot.terms.contracts.get(client)
    if contracts is None:
        return _park_all(work, f"there is no contract for {client}; apply one")
    terms = Terms(client, contracts, snapshot.terms.experts, snapshot.terms.plans)
    recorded_at = max(item.as_of for item in work)
    group = _Group(terms, recorded_at, snapshot.usable_prepaid(client, recorded_at), snapshot.periods_of(client))
    taken = [(snapshot.stored.cases[client, item.case_id], item) for item in work]
    heard = group.hear([(before, group.take_in(before, item), item.as_of) for before, item in taken], store.last_review)
    group.read_periods(store, heard)
    for case in heard:
        group.decide(case)
    return group.changes(snapshot.stored.heads[client_book(client)]), group.result


def _park_all(work: Sequence[Work], detail: str) -> tuple[Changes, Settled]:
    parked = [parked_fact(one, ParkReason.UNKNOWN_CLIENT, detail) for item in work for one in item.deliveries]
    return Changes(parked=tuple({one.id: one for one in parked}.values())), Settled(parked=len(parked))


@dataclass(frozen=True, slots=True)
class _Heard:
    """A case with its new facts, and what each of its cycles goes through; nothing if nothing is to be decided."""

    before: Case
    case: Case
    as_of: datetime
    timings: tuple[tuple[CycleState, _Steps], ...]
    reviews: tuple[ReviewGiven, ...] = ()


@dataclass(slots=True)
class _Group:
    """The cases of one transaction while they are decided one after the other."""

    terms: Terms
    recorded_at: datetime
    prepaid: int
    read: dict[Period, PeriodState] = field(default_factory=dict)
    periods: dict[Period, PeriodState] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    holds: dict[tuple[str, str, date], HoldChange] = field(default_factory=dict)
    weeks: list[WeekCount] = field(default_factory=list)
    reviews: list[ReviewGiven] = field(default_factory=list)
    parked: dict[str, Parked] = field(default_factory=dict)
    unparked: list[str] = field(default_factory=list)
    told: list[Announcement] = field(default_factory=list)
    result: Settled = field(default_factory=Settled)

    def take_in(self, before: Case, work: Work) -> Case:
        """The case with its new facts; those that cannot be taken in are parked."""
        case = before
        for delivery in work.deliveries:
            try:
                case = self._with_delivery(case, delivery)
            except FactConflict as conflict:
                self._park(parked_fact(delivery, ParkReason.FACT_CONFLICT, str(conflict)))
            except CannotDecide as cannot:
                self._park(parked_fact(delivery, cannot.reason, cannot.detail))
        return case

    def hear(self, taken: Sequence[tuple[Case, Case, datetime]], last_review: LastReview) -> list[_Heard]:
        """Each case before and with its new facts: what its reviews are an answer to, and when its cycles are due."""
        own = [self._new_reviews(before, case) for before, case, _ in taken]
        together = [review for reviews in own for review in reviews.values()]
        heard = []
        for (before, case, as_of), reviews in zip(taken, own, strict=True):
            answered = with_answers(case, reviews, together, last_review) if reviews else case
            heard.append(self._time(before, answered, as_of, tuple(reviews.values())))
        return heard

    def _new_reviews(self, before: Case, case: Case) -> Mapping[str, ReviewGiven]:
        """All reviews of a case, if there are new ones or it was put aside; none while the registry has no answer."""
        try:
            again = has_new_reviews(before, case) or _is_parked(before)
            return reviews_in(case, self._reopen_window) if again else {}
        except CannotDecide:
            return {}

    def _time(self, before: Case, case: Case, as_of: datetime, reviews: tuple[ReviewGiven, ...]) -> _Heard:
        is_due = before.due_at is not None and before.due_at <= as_of
        if case is before and not is_due:
            return _Heard(before, case, as_of, (), reviews)
        try:
            return _Heard(before, case, as_of, self._timings(case, as_of), reviews)
        except CannotDecide as cannot:
            self._park_case(case, cannot, as_of)
            return _Heard(before, _put_aside(case, cannot.reason), as_of, (), reviews)

    def _with_delivery(self, case: Case, delivery: Delivery) -> Case:
        fact = delivery.fact
        if known(case.facts, fact):
            self.result.duplicates += 1
            return case
        if len(case.facts) >= FACTS_PER_CASE:
            raise CannotDecide(ParkReason.TOO_MANY_FACTS, f"{case.case_id} has {FACTS_PER_CASE} facts already")
        if isinstance(fact, Completed):
            self.terms.rate_for(self.terms.contract_at(fact.time), fact)
            if fact.expert:
                self.terms.plan_for(fact.expert, fact.time.date())
        late = is_past_acceptance(case, fact, delivery.received_at, self._acceptance)
        self.result.facts += 1
        return with_fact(case, fact, evidence_only=late)

    def _timings(self, case: Case, as_of: datetime) -> tuple[tuple[CycleState, _Steps], ...]:
        cycles = split_cycles(case.facts, self._reopen_window, case.evidence_only, case.mutual_reviews)
        states = [case.state_of(cycle.number) for cycle in cycles]
        found = [(state, self._steps(state, cycle, as_of)) for state, cycle in zip(states, cycles, strict=True)]
        return (*found, *((state, (None,)) for state in case.cycles[len(cycles) :]))

    def _steps(self, state: CycleState, cycle: Cycle, as_of: datetime) -> _Steps:
        """A cycle's timing; before it, what stands for another solution is taken back by an entry of its own."""
        same = cycle.solution is not None and state.solution == cycle.solution.key
        now = timing(cycle, self.terms.contract_at, _END_OF_TIME if same else as_of)
        if same or cycle.solution is None or (state.charge is None and state.earned is None):
            return (now,)
        return (Unsolved(cycle.reopened_at) if cycle.reopened_at else None, now)

    def _reopen_window(self, resolved_at: datetime) -> timedelta:
        return timedelta(hours=self.terms.contract_at(resolved_at).reopen_window_hours)

    def _acceptance(self, settled_at: datetime) -> timedelta:
        return timedelta(days=self.terms.contract_at(settled_at).acceptance_days)

    def read_periods(self, store: SettlementStore, heard: Iterable[_Heard]) -> None:
        """Read every period that a decision may touch; behind a closed one, the next, up to an open one."""
        zone = self.terms.contracts.time_zone
        wanted = set[Period]()
        for case in heard:
            if case.timings:
                wanted.add(period_of(case.as_of, zone))
            for state, steps in case.timings:
                instants = (state.settled_at, steps[-1].settled_at if isinstance(steps[-1], Due) else None)
                wanted |= {period_of(instant, zone) for instant in instants if instant is not None}
                wanted |= {state.price.period} if state.price else set()
        while True:
            if missing := wanted - self.read.keys():
                found = store.periods([(self.terms.client, period) for period in missing])
                self.read |= {period: state for (_, period), state in found.items()}
            behind = {next_period(period) for period in wanted if not is_open(self.read, period)}
            if behind <= wanted:
                break
            wanted |= behind
        self.periods = dict(self.read)

    def decide(self, heard: _Heard) -> None:
        """Decide each cycle of a case; a case that breaks is left out whole."""
        periods, cycles, entries, holds = dict(self.periods), list[CycleState](), list[Entry](), list[HoldChange]()
        told = list[Announcement]()
        try:
            for before, steps in heard.timings:
                state = before
                for outcome in steps:
                    try:
                        decision = decide_cycle(heard.case.case_id, state, outcome, self.terms, periods, heard.as_of)
                    except CannotDecide as cannot:
                        state = replace(state, status=CycleStatus.PARKED, why=cannot.reason)
                        self._park_case(heard.case, cannot, heard.as_of)
                        continue
                    state, periods = decision.state, dict(decision.periods)
                    holds += decision.holds
                    if decision.entry:
                        entries.append(decision.entry)
                        told += self._reversal(heard.case.case_id, state, decision.entry)
                cycles.append(state)
        except LedgerError as broken:
            self.result.failed[self.terms.client, heard.case.case_id] = str(broken)
            return
        self.periods = periods
        self.entries += entries
        self.told += told
        for hold in holds:
            self._hold(hold)
        for (before, _), after in zip(heard.timings, cycles, strict=True):
            self.weeks += week_changes(before.counted, after.counted)
        self._write_case(heard, tuple(cycles))

    def _write_case(self, heard: _Heard, cycles: tuple[CycleState, ...]) -> None:
        case = heard.case
        if heard.timings:
            waits = [steps[-1].until for _, steps in heard.timings if isinstance(steps[-1], Wait)]
            case = replace(case, cycles=cycles, due_at=min(waits, default=None))
        if case == heard.before:
            return
        self.cases.append(replace(case, revision=case.revision + 1))
        self.reviews += heard.reviews
        if _is_parked(heard.before) and not _is_parked(case):
            self.unparked.append(case_parking_id(case.client, case.case_id))

    def _hold(self, change: HoldChange) -> None:
        key = (change.expert, change.currency, change.release_on)
        earlier = self.holds.get(key)
        self.holds[key] = replace(change, minor_units=change.minor_units + earlier.minor_units) if earlier else change

    def _park(self, parked: Parked) -> None:
        self.parked[parked.id] = parked
        self.result.parked += 1

    def _park_case(self, case: Case, cannot: CannotDecide, as_of: datetime) -> None:
        self._park(parked_case(case.client, case.case_id, cannot.reason, cannot.detail, as_of))

    def changes(self, head: Head) -> Changes:
        """The one transaction that writes all decisions, behind the client's head."""
        heads: tuple[tuple[Head, Head], ...] = ()
        sealed: tuple[RecordedEntry, ...] = ()
        if self.entries:
            sealed, after = append(head, self.entries, self.recorded_at)
            heads = ((head, after),)
        self.result.entries = len(self.entries)
        periods, alerts = self._changed_periods()
        return Changes(
            cases=tuple(self.cases),
            entries=sealed,
            heads=heads,
            periods=periods,
            holds=tuple(hold for hold in self.holds.values() if hold.minor_units),
            weeks=add_up(self.weeks),
            reviews=tuple(self.reviews),
            parked=tuple(self.parked.values()),
            unparked=tuple(self.unparked),
            announcements=(*self.told, *alerts),
        )

    def _reversal(self, case_id: CaseId, after: CycleState, entry: Entry) -> list[Announcement]:
        told = told_of_reversal(self.terms.client, case_id, after, entry, self.recorded_at)
        return [told] if told else []

    def _changed_periods(self) -> tuple[tuple[PeriodState, ...], tuple[Announcement, ...]]:
        """The periods to write, and the usage alerts that the charges of open ones now reach."""
        changed: list[PeriodState] = []
        told: list[Announcement] = []
        for period, state in self.periods.items():
            if state == self.read[period]:
                continue
            is_used = state.rates and state.status is PeriodStatus.OPEN
            after, alerts = (
                cross_alerts(self.terms.contract_of(period), state, self.prepaid) if is_used else (state, ())
            )
            changed.append(replace(after, revision=state.revision + 1))
            told += [self._usage_alert(period, alert) for alert in alerts]
        return tuple(changed), tuple(told)

    def _usage_alert(self, period: Period, alert: UsageAlert) -> Announcement:
        client, code = self.terms.client, self.terms.contracts.currency
        data: dict[str, int | str] = {"period": period, "percent": alert.percent, "currency": code}
        data |= {"charged_minor": alert.charged, f"{alert.kind}_minor": alert.limit}
        id_ = f"usage:{client}:{period}:{alert.kind}:{alert.percent}"
        subject = f"usage:{client}:{period}"
        return Announcement(id_, f"usage.{alert.kind}_alert", client, self.recorded_at, data, subject)


def _put_aside(case: Case, reason: ParkReason) -> Case:
    """The case with every cycle parked that has not settled."""
    cycles = tuple(
        replace(state, status=CycleStatus.PARKED, why=reason) if state.settled_at is None else state
        for state in case.cycles or (CycleState(1),)
    )
    return replace(case, cycles=cycles, due_at=None)


def _is_parked(case: Case) -> bool:
    return any(state.status is CycleStatus.PARKED for state in case.cycles)
