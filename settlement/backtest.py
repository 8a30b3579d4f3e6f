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

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import itemgetter
from zoneinfo import ZoneInfo

from billing.contracts import Contract, Rate
from billing.invoices import LineKind, close_period
from billing.periods import Period, PeriodState, RateCounter, next_period, period_end, period_of, period_start
from billing.pricing import accrual, list_price_of
from events.facts import Completed, Fact, Reopened
from ledger.money import Currency
from payouts.plans import FixedBase, PayPlan, ShareBase
from settlement.assess import Due, Unsolved, Wait, judge, timing
from settlement.backtest_figures import Comparison, PeriodFigures, RateFigures, SideFigures, Undecided
from settlement.cases import CycleState, split_cycles
from settlement.decide import Terms, decide_state
from settlement.parking import CannotDecide, ParkReason
from settlement.recorded_facts import PastCase
from settlement.tried_terms import Months, time_alike


def backtest(cases: Iterable[PastCase], old: Terms | None, new: Terms, months: Months, as_of: datetime) -> Comparison:
    """What the cases come to under the old and the new terms, as things stand at `as_of`, from one pass over them."""
    mine = _Side(new, months, as_of)
    theirs = None if old is None else _Side(old, months, as_of)
    alike = old is not None and time_alike(old.contracts, new.contracts)
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


_Times = Sequence[tuple[int, Unsolved | Wait | Due]]
_Late = Mapping[tuple[str, datetime], datetime]
_NOTHING_COUNTED = RateCounter()


def _late_settlements(case: PastCase, times: _Times) -> _Late:
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


_start = itemgetter(0)


@dataclass(slots=True)
class _Calendar:
    """Finds periods as `period_of` does. A month that was seen is found by its first instant and the one after it."""

    zone: ZoneInfo
    seen: list[tuple[datetime, datetime, Period]] = field(default_factory=list)

    def period_at(self, instant: datetime) -> Period:
        place = bisect_right(self.seen, instant, key=_start)
        if place:
            _, end, period = self.seen[place - 1]
            if instant < end:
                return period
        period = period_of(instant, self.zone)
        self.seen.insert(place, (period_start(period, self.zone), period_end(period, self.zone), period))
        return period


# What `_Side._remember` knows the meaning of. Terms that say more, or count more, are decided one by one.
_KNOWN_PARTS: Mapping[type, frozenset[str]] = {
    Contract: frozenset({"client", "starts_on", "ends_on", "currency", "time_zone"})
    | {"reopen_window_hours", "confirmation_hours", "acceptance_days", "close_delay_hours", "rating", "rates"}
    | {"calendars", "minimum", "cap", "commitment", "prepaid", "tax_percent", "net_days"},
    Rate: frozenset({"id", "match", "included", "price"}),
    PayPlan: frozenset({"id", "starts_on", "currency", "base", "not_charged", "not_charged_percent"})
    | {"csat_bonus", "stacking", "bonus_cap", "incentives", "hold_days", "minimum_payout", "payout_schedule"},
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
    calendar: _Calendar = field(init=False)
    counters: defaultdict[Period, dict[str, RateCounter]] = field(default_factory=lambda: defaultdict(dict))
    tallies: dict[tuple[Period, str], _Tally] = field(default_factory=dict)
    undecided: dict[ParkReason, Undecided] = field(default_factory=dict)
    waiting: int = 0
    unsolved: int = 0
    elsewhere: int = 0
    contracts: dict[Period, Contract] = field(default_factory=dict)
    remembered: dict[tuple[object, ...], CycleState] = field(default_factory=dict)
    plain: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.calendar = _Calendar(self.terms.contracts.time_zone)

    def _contract_at(self, instant: datetime) -> Contract:
        """Of the period in which an instant falls; raises CannotDecide."""
        return self._contract_of(self.calendar.period_at(instant))

    def _contract_of(self, period: Period) -> Contract:
        """As the terms have it, remembered; raises CannotDecide."""
        found = self.contracts.get(period)
        if found is None:
            found = self.contracts[period] = self.terms.contract_of(period)
        return found

    def accept(self, case: PastCase) -> tuple[Fact, ...]:
        """The facts that the terms let in, as at the door: a completion without rate or plan stays outside."""
        refused = [fact for fact in case.facts if isinstance(fact, Completed) and not self._lets_in(case, fact)]
        return tuple(fact for fact in case.facts if fact not in refused) if refused else case.facts

    def _lets_in(self, case: PastCase, completed: Completed) -> bool:
        try:
            self.terms.rate_for(self._contract_at(completed.time), completed)
            if completed.expert:
                self.terms.plan_for(completed.expert, completed.time.date())
        except CannotDecide as cannot:
            self._cannot(case, cannot, self.calendar.period_at(completed.time))
            return False
        return True

    def _cannot(self, case: PastCase, cannot: CannotDecide, period: Period) -> None:
        if period not in self.months:
            self.elsewhere += 1
        elif cannot.reason in self.undecided:
            self.undecided[cannot.reason].number += 1
        else:
            self.undecided[cannot.reason] = Undecided(1, f"{case.case_id}: {cannot.detail}")

    def time(self, case: PastCase, facts: tuple[Fact, ...]) -> _Times:
        """The cycles that the facts make up, with their timing."""
        cycles = split_cycles(facts, self._reopen_window, case.evidence_only, case.mutual_reviews)
        return [(cycle.number, timing(cycle, self._contract_at, self.as_of)) for cycle in cycles]

    def _reopen_window(self, resolved_at: datetime) -> timedelta:
        return timedelta(hours=self._contract_at(resolved_at).reopen_window_hours)

    def take(self, case: PastCase, facts: tuple[Fact, ...], times: _Times, late: _Late) -> None:
        """Count each cycle of a case; `late` says which settle at another instant, by solution and instant."""
        for number, outcome in times:
            match outcome:
                case Due():
                    kept = late.get((outcome.solution.key, outcome.settled_at)) if late else None
                    due = replace(outcome, settled_at=kept) if kept else outcome
                    self._settle(case, facts, number, due)
                case Wait():
                    self.waiting += self.calendar.period_at(outcome.until) in self.months
                case Unsolved():
                    self.unsolved += self.calendar.period_at(outcome.reopened_at) in self.months

    def _settle(self, case: PastCase, facts: tuple[Fact, ...], number: int, due: Due) -> None:
        """Decide a cycle of which nothing is posted, and count what follows in its period."""
        period = self.calendar.period_at(due.settled_at)
        if period not in self.months:
            self.elsewhere += 1
            return
        try:
            earlier = tuple(self._earlier(case, facts, number, due)) if Reopened in map(type, facts) else ()
            state = None if earlier else self._remember(case, number, due, period)
            self._count(state or self._decide(case, number, earlier, due), due, period)
        except CannotDecide as cannot:
            self._cannot(case, cannot, period)

    def _remember(self, case: PastCase, number: int, due: Due, period: Period) -> CycleState | None:
        """What was decided of a cycle that is like this one in all that a decision looks at; None if that is not known.

        Rate, verdict, plan, the price of the ordinal and what the cap leaves of it are asked for anew each time; what
        they lead to is remembered.
        """
        completed, contract = due.solution.completed, self._contract_of(period)
        if not self._is_plain(contract):
            return None
        rate = self.terms.rate_for(contract, completed)
        plan = (
            self.terms.plan_for(completed.expert, due.settled_at.astimezone(UTC).date()) if completed.expert else None
        )
        if plan is not None and not self._is_plain(plan):
            return None
        counter, verdict = self.counters[period].get(rate.id, _NOTHING_COUNTED), judge(due, contract)
        place = counter.issued + 1
        listed = list_price_of(rate, place, contract.currency)
        accrued = accrual(rate, place, contract.currency) if verdict.charged else 0
        room = contract.waives_beyond
        left = None if room is None else max(0, min(room - self._state_of(period).charged, accrued))
        exact = (listed.numerator, listed.denominator, accrued, left, place <= rate.included)
        key = (period, rate.id, id(plan), verdict, due.rating_basis_points, exact)
        known = self.remembered.get(key)
        if known is None:
            before = {period: self._state_of(period)}
            known, _ = decide_state(case.case_id, CycleState(number), due, self.terms, before, due.settled_at)
            self.remembered[key] = known
        if known.charge is not None:
            self.counters[period][rate.id] = RateCounter(
                issued=place,
                net=counter.net + 1,
                accrued=counter.accrued + known.charge.accrued,
                discount=counter.discount + known.charge.discount,
                capped=counter.capped + known.charge.capped,
            )
        return known

    def _state_of(self, period: Period) -> PeriodState:
        """The period as it is counted so far, open."""
        return PeriodState(self.terms.client, period, rates=tuple(sorted(self.counters[period].items())))

    def _is_plain(self, terms: Contract | PayPlan) -> bool:
        found = self.plain.get(id(terms))
        if found is None:
            found = self.plain[id(terms)] = _is_plain(terms)
        return found

    def _decide(self, case: PastCase, number: int, earlier: tuple[Due | Unsolved, ...], due: Due) -> CycleState:
        """What the engine decides of a cycle, and of what it went through before; raises CannotDecide."""
        outcomes = (*earlier, due)
        settled = {self.calendar.period_at(it.settled_at) for it in outcomes if isinstance(it, Due)}
        state = CycleState(number)
        periods: Mapping[Period, PeriodState] = {period: self._state_of(period) for period in settled}
        for outcome in outcomes:
            try:
                state, periods = decide_state(case.case_id, state, outcome, self.terms, periods, due.settled_at)
            except CannotDecide:
                if outcome is due:
                    raise  # else nothing stood before the customer came back
        for period, after in periods.items():
            self.counters[period] = dict(after.rates)
        return state

    def _earlier(self, case: PastCase, facts: tuple[Fact, ...], number: int, due: Due) -> Iterator[Due | Unsolved]:
        """What a cycle went through before its last solution: a price that was given then is kept within its period."""
        for place, fact in enumerate(facts):
            if isinstance(fact, Reopened) and fact.time <= due.solution.completed.time:
                cycles = split_cycles(facts[:place], self._reopen_window, case.evidence_only, case.mutual_reviews)
                for cycle in cycles[number - 1 : number]:
                    outcome = timing(cycle, self._contract_at, fact.time)
                    if isinstance(outcome, Due):
                        yield outcome
                        yield Unsolved(fact.time)

    def _count(self, state: CycleState, due: Due, period: Period) -> None:
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
        return self.terms.rate_for(self._contract_of(period), completed).id

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
            if period_start(period, self.calendar.zone) <= self.as_of:
                yield period
            period = next_period(period)

    def _period(self, period: Period) -> Iterator[PeriodFigures]:
        """The period's figures; none if no contract is in force in it."""
        try:
            contract = self.terms.contract_of(period)
        except CannotDecide:
            return
        closing = close_period(contract, self._state_of(period), 0)
        usage = {line.text: line.amount for line in closing.invoice.lines if line.kind is LineKind.USAGE}
        rates = [
            self._rate(closing.period, rate.id, usage.get(rate.id, 0))
            for rate in contract.rates
            if (period, rate.id) in self.tallies
        ]
        is_over = period_end(period, self.calendar.zone) <= self.as_of
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
