"""Backtests: what recorded facts would have come to under other terms. Nothing is written.

Every case goes through the functions that settle it - `split_cycles`, `timing`, the decision on a cycle, the close of a
period - once for each side, and leaves only counters behind, so that memory does not grow with the cases. Decisions
that are alike in all that they look at are made once and remembered.

What the figures are
- **All facts are in before the close.** A cycle counts as all its facts now have it, in the period in which it settles.
  What the engine credited in a later period, because a fact came after the close, is here taken out of its own period.
- **The client's side is exact**: usage is f(N), discounts are per resolution, and cap, commitment and minimum are those
  of `close_period`; tax, credits and what was carried from other periods are left out.
- **The expert's side is exact for each resolution, given its ordinal.** Cases are taken in the order in which they are
  given, not in that of settlement, which would need all of them in memory. Which resolution falls into which tier of a
  graduated or volume price, is an included unit, or comes beyond a cap, therefore differs from the ledger; so does what
  a plan pays for it. Nothing differs for fixed pay, or a share of a price without tiers, where there are neither
  included units nor a cap.
- A case that was solved again within its period keeps the price of its first solution, as if each fact had been
  delivered when it happened. The engine gives no such price where it learned of solution and reopening at once.
- Bonuses of single resolutions are costs; weekly incentives and Stripe's fees are not in the figures.
- A recorded settlement is kept where the terms of a side time it as the old ones do: a rating that was delivered after
  its window moves no charge into another period. What came after the acceptance limit has no effect on either side.
- What the registry has no answer for is counted by reason, as it would be parked.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Protocol
from zoneinfo import ZoneInfo

from billing.charges import count_change
from billing.contracts import Contract, ContractHistory, Rate
from billing.invoices import LineKind, close_period
from billing.periods import Period, PeriodState, RateCounter, next_period, period_end, period_of, period_start
from billing.pricing import accrual, list_price_of
from events.decode import Delivery, decode
from events.facts import CaseId, Completed, Fact, Reopened, in_order
from ledger.money import Currency
from payouts.plans import FixedBase, PayPlan, PlanHistory, ShareBase
from settlement.assess import Due, Unsolved, Wait, judge, timing
from settlement.cases import Case, CycleState, known, split_cycles, with_fact
from settlement.decide import Terms, _Draft
from settlement.parking import CannotDecide, Parked, ParkReason

# Before any fact: where a contract or plan begins that is to be in force for all of them.
_BEGINNING = date(1970, 1, 1)
# What a parked fact waits for, if other terms may give it; the rest is wrong in itself.
_MENDED_BY_TERMS = frozenset(
    {
        ParkReason.UNKNOWN_CLIENT,
        ParkReason.UNKNOWN_EXPERT,
        ParkReason.EXPERT_NOT_ASSIGNED,
        ParkReason.CONTRACT_NOT_IN_FORCE,
        ParkReason.PLAN_NOT_IN_FORCE,
        ParkReason.NO_MATCHING_RATE,
        ParkReason.CURRENCY_MISMATCH,
    }
)


class BacktestRefused(ValueError):
    """Terms that cannot be compared with the client's own; the message says which field and why."""


@dataclass(frozen=True, slots=True)
class Months:
    """The periods that are asked for, both inclusive; None: from the first, or to the last, that there is."""

    first: Period | None = None
    last: Period | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise BacktestRefused(f"{self.first} is after {self.last}")

    def __contains__(self, period: Period) -> bool:
        return (self.first is None or self.first <= period) and (self.last is None or period <= self.last)


# -- the terms of the new side -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _PutInPlace(ContractHistory):
    """A history in which one contract prices the months that are asked for, whenever its file says that it starts."""

    months: Months
    contract: Contract

    def in_force(self, period: Period) -> Contract:
        """The contract that is tried, or what the history has; raises ContractNotInForce."""
        return self.contract if period in self.months else ContractHistory.in_force(self, period)


def put_contract(history: ContractHistory | None, contract: Contract, months: Months) -> ContractHistory:
    """The history with `contract` in place of what prices the months; without a history it is in force always.

    Raises BacktestRefused for another client, currency or time zone.
    """
    if history is None:
        always = contract.model_copy(update={"starts_on": _BEGINNING, "ends_on": None})
        return ContractHistory(contract.client, (always,))
    for name in ("client", "currency", "time_zone"):
        kept, wanted = getattr(history.versions[0], name), getattr(contract, name)
        if kept != wanted:
            raise BacktestRefused(f"{name}: {wanted} cannot be compared with {kept}, which {history.client} has")
    return _PutInPlace(history.client, history.versions, months, contract)


def put_plan(terms: Terms, plan: PayPlan) -> Terms:
    """The terms with `plan` in place of all versions of the plan of that id, whenever its file says that it starts.

    Raises BacktestRefused if nobody works for the client by that plan.
    """
    used = sorted({it.assignments[terms.client] for it in terms.experts.values() if terms.client in it.assignments})
    if plan.id not in used:
        raise BacktestRefused(f"id: no expert works for {terms.client} by the plan {plan.id}, but by {', '.join(used)}")
    always = PlanHistory(plan.id, (plan.model_copy(update={"starts_on": _BEGINNING}),))
    return replace(terms, plans={**terms.plans, plan.id: always})


# -- the facts ---------------------------------------------------------------------------------------------------------


class RecordedFacts(Protocol):
    """What a backtest reads of a stack besides its registry."""

    def client_cases(self, client: str) -> Iterator[Case]:
        """Every case of a client."""

    def parked(self) -> Iterator[Parked]:
        """Everything parked."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The cases of a client with the facts that other terms may take, and what of its facts is wrong in itself."""

    cases: Iterator[Case]
    left_out: Mapping[ParkReason, int]


def recorded_facts(store: RecordedFacts, client: str) -> Recorded:
    """The cases of a client, and the facts that wait for terms, put into their cases. Only those are kept in memory."""
    waiting: dict[CaseId, list[Fact]] = {}
    left_out: Counter[ParkReason] = Counter()
    for parked in store.parked():
        if parked.client != client or parked.id.startswith("case:"):
            continue
        if parked.message is None or parked.reason not in _MENDED_BY_TERMS:
            left_out[parked.reason] += 1
            continue
        delivery = decode(json.loads(parked.message))
        waiting.setdefault(delivery.case_id, []).append(delivery.fact)
    return Recorded(_with_waiting(store.client_cases(client), client, waiting), left_out)


def _with_waiting(cases: Iterator[Case], client: str, waiting: dict[CaseId, list[Fact]]) -> Iterator[Case]:
    for case in cases:
        yield _with_facts(case, waiting.pop(case.case_id)) if case.case_id in waiting else case
    for case_id, facts in waiting.items():
        yield _with_facts(Case(client, case_id), facts)


def _with_facts(case: Case, facts: Iterable[Fact]) -> Case:
    for fact in facts:
        case = case if known(case, fact) else with_fact(case, fact, evidence_only=False)
    return case


def cases_from(deliveries: Iterable[Delivery]) -> list[Case]:
    """The cases that facts which were never recorded make up, in order of their first fact; all are in memory."""
    facts: dict[tuple[str, CaseId], list[Fact]] = {}
    for delivery in deliveries:
        facts.setdefault((delivery.client, delivery.case_id), []).append(delivery.fact)
    return [Case(*key, facts=tuple(sorted(own, key=in_order))) for key, own in facts.items()]


# -- the figures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RateFigures:
    """What one rate comes to in a period. Amounts are minor units >= 0; those of experts by the currency they are in.

    `resolutions` is N, `usage` f(N). `discounts` and `capped` are taken off it; the cap is shared out by usage.
    `waived` counts resolutions that are not in N, by reason.
    """

    rate: str
    resolutions: int
    usage: int
    discounts: int
    capped: int
    waived: Mapping[str, int]
    base: Mapping[Currency, int]
    bonus: Mapping[Currency, int]

    @property
    def revenue(self) -> int:
        """What the client is charged for the rate's resolutions."""
        return self.usage - self.discounts - self.capped

    @property
    def cost(self) -> Mapping[Currency, int]:
        """Base and bonus of experts."""
        return Counter(self.base) + Counter(self.bonus)


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """What one period comes to, in minor units. `shortfall` is what commitment and minimum add.

    `is_over` is false for a period that still runs: what it lacks to its minimum may yet come.
    """

    period: Period
    rates: tuple[RateFigures, ...]
    shortfall: int
    is_over: bool

    @property
    def revenue(self) -> int:
        """What the client is charged, before tax, credits and what is carried from other periods."""
        return sum(rate.revenue for rate in self.rates) + self.shortfall

    @property
    def cost(self) -> Mapping[Currency, int]:
        """Base and bonus of experts."""
        return sum((Counter(rate.cost) for rate in self.rates), Counter[Currency]())


@dataclass(slots=True)
class Undecided:
    """How many facts or cycles the registry has no answer for, and the first of them in words."""

    number: int
    first: str


@dataclass(frozen=True, slots=True)
class SideFigures:
    """What the cases come to on one side.

    Cycles that are in no period: `waiting` will settle in one that is asked for, `unsolved` were reopened and not
    solved again, `undecided` would be parked. `elsewhere` counts cycles that settle in other periods.
    """

    currency: Currency
    periods: tuple[PeriodFigures, ...]
    waiting: int
    unsolved: int
    elsewhere: int
    undecided: Mapping[ParkReason, Undecided]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, from one reading of the cases; `old` is None where there are no terms to compare with."""

    cases: int
    old: SideFigures | None
    new: SideFigures


# -- the replay --------------------------------------------------------------------------------------------------------


def backtest(cases: Iterable[Case], old: Terms | None, new: Terms, months: Months, as_of: datetime) -> Comparison:
    """What the cases come to under the old and the new terms, as things stand at `as_of`, from one pass over them."""
    mine = _Side(new, months, as_of)
    theirs = None if old is None else _Side(old, months, as_of)
    alike = old is not None and _time_alike(old.contracts, new.contracts)
    number = 0
    for case in cases:
        number += 1
        facts = mine.accept(case)
        if theirs is None:
            mine.take(case, facts, mine.time(case, facts), {})
            continue
        old_facts = theirs.accept(case)
        old_times = theirs.time(case, old_facts)
        times = old_times if alike and facts is old_facts else mine.time(case, facts)
        late = _late_settlements(case, old_times)
        theirs.take(case, old_facts, old_times, late)
        mine.take(case, facts, times, late)
    return Comparison(number, None if theirs is None else theirs.figures(), mine.figures())


def _time_alike(old: ContractHistory, new: ContractHistory) -> bool:
    """Whether all versions of both time cycles by the same windows."""
    versions = [*old.versions, *new.versions, *([new.contract] if isinstance(new, _PutInPlace) else ())]
    windows = {
        (it.reopen_window_hours, it.confirmation_hours, it.rating.window_hours if it.rating else None)
        for it in versions
    }
    return len(windows) == 1


_Times = Sequence[tuple[int, Unsolved | Wait | Due]]
_Late = Mapping[tuple[str, datetime], datetime]


def _late_settlements(case: Case, times: _Times) -> _Late:
    """Where the record settled a solution at another instant than its facts alone would: what it was, by what it is."""
    recorded = {state.solution: state.settled_at for state in case.cycles}
    late = {}
    for _, due in times:
        if isinstance(due, Due):
            kept = recorded.get(due.solution.key)
            if kept is not None and kept != due.settled_at:
                late[due.solution.key, due.settled_at] = kept
    return late


@dataclass(slots=True)
class _Tally:
    """What is counted of a rate in a period besides the period's own counters."""

    waived: Counter[str] = field(default_factory=Counter)
    base: Counter[Currency] = field(default_factory=Counter)
    bonus: Counter[Currency] = field(default_factory=Counter)


class _Periods(dict[Period, PeriodState]):
    """Periods that are all open, and empty until something is counted in them."""

    def __init__(self, client: str, known: Mapping[Period, PeriodState]) -> None:
        super().__init__(known)
        self.client = client

    def __missing__(self, period: Period) -> PeriodState:
        state = self[period] = PeriodState(self.client, period)
        return state


# What `_Side._remember` knows the meaning of. Terms that say more, or count more, are decided one by one.
_KNOWN_PARTS: Mapping[type, frozenset[str]] = {
    Contract: frozenset({"client", "starts_on", "ends_on", "currency", "time_zone"})
    | {"reopen_window_hours", "confirmation_hours", "acceptance_days", "close_delay_hours", "rating", "rates"}
    | {"calendars", "minimum", "cap", "commitment", "prepaid", "tax_percent", "net_days"},
    Rate: frozenset({"id", "match", "included", "price"}),
    PayPlan: frozenset({"id", "starts_on", "currency", "base", "not_charged", "not_charged_percent"})
    | {"csat_bonus", "hold_days", "minimum_payout"},
    FixedBase: frozenset({"kind", "amount"}),
    ShareBase: frozenset({"kind", "percent", "of"}),
    # The last two stay zero: nothing is closed before all is counted.
    RateCounter: frozenset({"issued", "net", "accrued", "discount", "capped", "billed", "credited"}),
}


def _is_plain(terms: Contract | PayPlan) -> bool:
    """Whether its decisions can be remembered: nothing is said in it that is not known here."""
    parts = terms.rates if isinstance(terms, Contract) else (terms.base,)
    return frozenset(it.name for it in fields(RateCounter)) == _KNOWN_PARTS[RateCounter] and all(
        name in _KNOWN_PARTS.get(type(part), ()) or getattr(part, name) == about.get_default(call_default_factory=True)
        for part in (terms, *parts)
        for name, about in type(part).model_fields.items()
    )


@dataclass(slots=True)
class _Side:
    """One side while the cases go by: counters, and nothing of any case."""

    terms: Terms
    months: Months
    as_of: datetime
    zone: ZoneInfo = field(init=False)
    periods: _Periods = field(init=False)
    tallies: dict[tuple[Period, str], _Tally] = field(default_factory=dict)
    undecided: dict[ParkReason, Undecided] = field(default_factory=dict)
    waiting: int = 0
    unsolved: int = 0
    elsewhere: int = 0
    names: dict[tuple[int, int], Period] = field(default_factory=dict)
    contracts: dict[Period, Contract] = field(default_factory=dict)
    remembered: dict[tuple[object, ...], CycleState] = field(default_factory=dict)
    plain: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.zone = self.terms.contracts.time_zone
        self.periods = _Periods(self.terms.client, {})

    def _period_at(self, instant: datetime) -> Period:
        """As `period_of`, remembered by month."""
        local = instant.astimezone(self.zone)
        found = self.names.get((local.year, local.month))
        if found is None:
            found = self.names[local.year, local.month] = period_of(instant, self.zone)
        return found

    def _contract_at(self, instant: datetime) -> Contract:
        """As the terms have it, remembered by month; raises CannotDecide."""
        period = self._period_at(instant)
        found = self.contracts.get(period)
        if found is None:
            found = self.contracts[period] = self.terms.contract_of(period)
        return found

    def accept(self, case: Case) -> tuple[Fact, ...]:
        """The facts that the terms let in, as at the door: a completion without rate or plan stays outside."""
        refused = [fact for fact in case.facts if isinstance(fact, Completed) and not self._lets_in(case, fact)]
        return tuple(fact for fact in case.facts if fact not in refused) if refused else case.facts

    def _lets_in(self, case: Case, completed: Completed) -> bool:
        try:
            self.terms.rate_for(self._contract_at(completed.time), completed)
            if completed.expert:
                self.terms.plan_for(completed.expert, completed.time.date())
        except CannotDecide as cannot:
            self._cannot(case, cannot, completed.time)
            return False
        return True

    def _cannot(self, case: Case, cannot: CannotDecide, at: datetime) -> None:
        if self._period_at(at) not in self.months:
            self.elsewhere += 1
        elif cannot.reason in self.undecided:
            self.undecided[cannot.reason].number += 1
        else:
            self.undecided[cannot.reason] = Undecided(1, f"{case.case_id}: {cannot.detail}")

    def time(self, case: Case, facts: tuple[Fact, ...]) -> _Times:
        """The cycles that the facts make up, with their timing."""
        cycles = split_cycles(facts, self._reopen_window, case.evidence_only)
        return [(cycle.number, timing(cycle, self._contract_at, self.as_of)) for cycle in cycles]

    def _reopen_window(self, resolved_at: datetime) -> timedelta:
        return timedelta(hours=self._contract_at(resolved_at).reopen_window_hours)

    def take(self, case: Case, facts: tuple[Fact, ...], times: _Times, late: _Late) -> None:
        """Count each cycle of a case; `late` says which settle at another instant, by solution and instant."""
        for number, outcome in times:
            match outcome:
                case Due():
                    kept = late.get((outcome.solution.key, outcome.settled_at)) if late else None
                    due = replace(outcome, settled_at=kept) if kept else outcome
                    if self._period_at(due.settled_at) in self.months:
                        self._settle(case, facts, number, due)
                    else:
                        self.elsewhere += 1
                case Wait():
                    self.waiting += self._period_at(outcome.until) in self.months
                case Unsolved():
                    self.unsolved += self._period_at(outcome.reopened_at) in self.months

    def _settle(self, case: Case, facts: tuple[Fact, ...], number: int, due: Due) -> None:
        """Decide a cycle of which nothing is posted, and count what follows in its period."""
        was_reopened = any(isinstance(fact, Reopened) for fact in facts)
        try:
            state = None if was_reopened else self._remember(case, number, due)
            self._count(state or self._decide(case, facts, number, due), due)
        except CannotDecide as cannot:
            self._cannot(case, cannot, due.settled_at)

    def _remember(self, case: Case, number: int, due: Due) -> CycleState | None:
        """What was decided of a cycle that is like this one in all that a decision looks at; None if that is not known.

        Rate, verdict, plan, the price of the ordinal and what the cap leaves of it are asked for anew each time; what
        they lead to is remembered.
        """
        period, completed = self._period_at(due.settled_at), due.solution.completed
        contract = self._contract_at(due.settled_at)
        if not self._is_plain(contract):
            return None
        rate = self.terms.rate_for(contract, completed)
        plan = (
            self.terms.plan_for(completed.expert, due.settled_at.astimezone(UTC).date()) if completed.expert else None
        )
        if plan is not None and not self._is_plain(plan):
            return None
        before = self.periods[period]
        counter, verdict = before.counter(rate.id), judge(due, contract)
        place = counter.issued + 1
        listed = list_price_of(rate, place, contract.currency)
        accrued = accrual(rate, place, contract.currency) if verdict.charged else 0
        room = contract.waives_beyond
        left = None if room is None else max(0, min(room - before.charged, accrued))
        exact = (listed.numerator, listed.denominator, accrued, left, place <= rate.included)
        key = (period, rate.id, id(plan), verdict, due.rating_basis_points, exact)
        known = self.remembered.get(key)
        if known is None:
            draft = _Draft(case.case_id, CycleState(number), self.terms, dict(self.periods), due.settled_at)
            known = self.remembered[key] = draft.desire(due)
        if known.charge is not None:
            counted = RateCounter(
                issued=place,
                net=counter.net + 1,
                accrued=counter.accrued + known.charge.accrued,
                discount=counter.discount + known.charge.discount,
                capped=counter.capped + known.charge.capped,
            )
            self.periods[period] = before.with_counter(rate.id, counted)
        return known

    def _is_plain(self, terms: Contract | PayPlan) -> bool:
        found = self.plain.get(id(terms))
        if found is None:
            found = self.plain[id(terms)] = _is_plain(terms)
        return found

    def _decide(self, case: Case, facts: tuple[Fact, ...], number: int, due: Due) -> CycleState:
        """What the engine decides of a cycle, and of what it went through before; raises CannotDecide."""
        state, periods = CycleState(number), _Periods(self.terms.client, self.periods)
        for outcome in (*self._earlier(case, facts, number, due), due):
            draft = _Draft(case.case_id, state, self.terms, periods, due.settled_at)
            try:
                desired = draft.desire(outcome)
            except CannotDecide:
                if outcome is due:
                    raise
                continue  # nothing stood before the customer came back
            if state.price is not None:
                draft.move_charge(desired)
            elif desired.price is not None:
                home = desired.price.period
                periods[home] = count_change(periods[home], desired.price.rate, None, desired.charge)
            state = desired
        self.periods = periods
        return state

    def _earlier(self, case: Case, facts: tuple[Fact, ...], number: int, due: Due) -> Iterator[Due | Unsolved]:
        """What a cycle went through before its last solution: a price that was given then is kept within its period."""
        for place, fact in enumerate(facts):
            if isinstance(fact, Reopened) and fact.time <= due.solution.completed.time:
                cycles = split_cycles(facts[:place], self._reopen_window, case.evidence_only)
                for cycle in cycles[number - 1 : number]:
                    outcome = timing(cycle, self._contract_at, fact.time)
                    if isinstance(outcome, Due):
                        yield outcome
                        yield Unsolved(fact.time)

    def _count(self, state: CycleState, due: Due) -> None:
        period = self._period_at(due.settled_at)
        key = (period, state.price.rate if state.price else self._rate_of(period, due.solution.completed))
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = _Tally()
        if state.charge is None:
            tally.waived[state.why] += 1
        if state.earned is not None:
            code = Currency(state.earned.currency)
            tally.base[code] += state.earned.base
            tally.bonus[code] += state.earned.bonus

    def _rate_of(self, period: Period, completed: Completed) -> str:
        return self.terms.rate_for(self.terms.contract_of(period), completed).id

    def figures(self) -> SideFigures:
        """Every period that is asked for and has begun, closed."""
        return SideFigures(
            currency=self.terms.contracts.currency,
            periods=tuple(chain.from_iterable(map(self._period, self._periods_asked()))),
            waiting=self.waiting,
            unsolved=self.unsolved,
            elsewhere=self.elsewhere,
            undecided=self.undecided,
        )

    def _periods_asked(self) -> Iterator[Period]:
        """From the first to the last that is asked for or, where that is left open, that has a resolution."""
        seen = sorted({period for period, _ in self.tallies})
        first, last = self.months.first or min(seen, default=None), self.months.last or max(seen, default=None)
        period = first
        while period is not None and last is not None and period <= last:
            if period_start(period, self.zone) <= self.as_of:
                yield period
            period = next_period(period)

    def _period(self, period: Period) -> Iterator[PeriodFigures]:
        """The period's figures; none if no contract is in force in it."""
        try:
            contract = self.terms.contract_of(period)
        except CannotDecide:
            return
        closing = close_period(contract, self.periods[period], 0)
        usage = {line.text: line.amount for line in closing.invoice.lines if line.kind is LineKind.USAGE}
        rates = [
            self._rate(closing.period, rate.id, usage.get(rate.id, 0))
            for rate in contract.rates
            if (period, rate.id) in self.tallies
        ]
        is_over = period_end(period, self.zone) <= self.as_of
        yield PeriodFigures(period, tuple(rates), closing.shortfall, is_over)

    def _rate(self, closed: PeriodState, rate_id: str, usage: int) -> RateFigures:
        counter, tally = closed.counter(rate_id), self.tallies[closed.period, rate_id]
        return RateFigures(
            rate=rate_id,
            resolutions=counter.net,
            usage=usage,
            discounts=counter.discount,
            capped=usage - counter.billed,
            waived=tally.waived,
            base=tally.base,
            bonus=tally.bonus,
        )
