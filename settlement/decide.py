"""Decide one cycle: what should stand posted for it, and the difference to what does. Pure.

Everything that can happen to a cycle - settled, rated late, reopened, solved by another, disputed, replayed - is the
same step: work out the desired charge and earning from all its facts, and post desired minus posted.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from billing.charges import NOTHING, Charge, FrozenPrice, charge_at, count_change, credit_after_close, issue_price
from billing.contracts import Contract, ContractHistory, ContractNotInForce, Rate
from billing.periods import Period, PeriodState, PeriodStatus, day_within, next_period, period_of
from billing.pricing import list_price_of, matching_rate
from events.facts import Completed, format_instant
from ledger.accounts import (
    COST_BASE,
    COST_BONUS,
    REVENUE_CREDITS,
    REVENUE_RESOLUTIONS,
    Account,
    client_unbilled,
    expert_payable,
)
from ledger.entries import Entry, EntryId, Posting, client_book, evidence
from ledger.money import Currency, Money
from ledger.posting_rules import Reason
from ledger.records import dataclass, replace
from payouts.earnings import Basis, Standing, earn
from payouts.incentives import week_of
from payouts.plans import PayPlan, PlanHistory, PlanNotInForce, ShareBase, ShareOf
from settlement.assess import Due, Unsolved, Wait, judge
from settlement.cases import SUPERSEDED, Counted, CycleState, CycleStatus, Earned, fact_key
from settlement.earning_basis import basis_of, calendars_of
from settlement.parking import CannotDecide, ParkReason
from settlement.ports import HoldChange
from settlement.registry import Expert


@dataclass(frozen=True, slots=True)
class Terms:
    """What the registry says about one client and the experts and plans that its cases name."""

    client: str
    contracts: ContractHistory
    experts: Mapping[str, Expert]
    plans: Mapping[str, PlanHistory]

    def contract_at(self, instant: datetime) -> Contract:
        """The contract of the period in which an instant falls; raises CannotDecide."""
        return self.contract_of(period_of(instant, self.contracts.time_zone))

    def contract_of(self, period: Period) -> Contract:
        """The contract that prices a period; raises CannotDecide."""
        try:
            return self.contracts.in_force(period)
        except ContractNotInForce as missing:
            raise CannotDecide(ParkReason.CONTRACT_NOT_IN_FORCE, str(missing)) from None

    def rate_for(self, contract: Contract, completed: Completed) -> Rate:
        """The rate of a completion; raises CannotDecide."""
        rate = matching_rate(contract, completed)
        if rate is None:
            seen = {name: getattr(completed, name) for name in ("channel", "language", "skill", "priority", "route")}
            detail = f"no rate of {contract.client} {contract.version} matches {seen} by {completed.resolver}"
            raise CannotDecide(ParkReason.NO_MATCHING_RATE, detail)
        return rate

    def plan_for(self, expert_id: str, day: date, agreed: str | None = None) -> PayPlan:
        """The pay plan by which an expert works for the client, or else the one `agreed`, on a day.

        Raises CannotDecide.
        """
        expert = self.experts.get(expert_id)
        if expert is None:
            raise CannotDecide(ParkReason.UNKNOWN_EXPERT, f"there is no expert {expert_id}; apply one")
        plan_id = agreed or expert.assignments.get(self.client)
        if plan_id is None:
            detail = f"expert {expert_id} has no assignment to {self.client}; add one"
            raise CannotDecide(ParkReason.EXPERT_NOT_ASSIGNED, detail)
        try:
            return self.plans[plan_id].in_force(day)
        except (KeyError, PlanNotInForce):
            detail = f"pay plan {plan_id} has no version in force on {day}; apply one"
            raise CannotDecide(ParkReason.PLAN_NOT_IN_FORCE, detail) from None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one cycle comes to: its new state, the entry to post (None if nothing changes), holds and periods."""

    state: CycleState
    entry: Entry | None
    holds: tuple[HoldChange, ...]
    periods: Mapping[Period, PeriodState]


def is_open(periods: Mapping[Period, PeriodState], period: Period) -> bool:
    """Whether a period that was read is open."""
    return periods[period].status is PeriodStatus.OPEN


def open_from(periods: Mapping[Period, PeriodState], period: Period) -> Period:
    """The first open period at or after one; all periods in between must have been read."""
    while not is_open(periods, period):
        period = next_period(period)
    return period


def decide_cycle(
    case_id: str,
    state: CycleState,
    outcome: Unsolved | Wait | Due | None,
    terms: Terms,
    periods: Mapping[Period, PeriodState],
    as_of: datetime,
) -> Decision:
    """The decision on one cycle, given its timing (None: a late fact put another solution in its place).

    Raises CannotDecide if the registry has no answer; then nothing about the cycle may change.
    """
    draft = _Draft(case_id, state, terms, dict(periods), as_of)
    desired, posting_period = draft.move(outcome)
    draft.move_earning(desired)
    if not any(draft.amounts.values()):
        return Decision(desired, None, (), draft.periods)
    desired = replace(desired, entries=state.entries + 1)
    holds = tuple(HoldChange(*key, minor) for key, minor in draft.holds.items() if minor)
    return Decision(desired, draft.entry(desired, posting_period), holds, draft.periods)


def decide_state(
    case_id: str,
    state: CycleState,
    outcome: Unsolved | Wait | Due | None,
    terms: Terms,
    periods: Mapping[Period, PeriodState],
    as_of: datetime,
) -> tuple[CycleState, Mapping[Period, PeriodState]]:
    """The state that `decide_cycle` comes to, and the periods with its charge counted; no entry is made of it."""
    draft = _Draft(case_id, state, terms, dict(periods), as_of)
    desired, _ = draft.move(outcome)
    return desired, draft.periods


@dataclass(slots=True)
class _Draft:
    """One cycle while it is being decided. `state` is what stands; `desire` makes the state that should."""

    case_id: str
    state: CycleState
    terms: Terms
    periods: dict[Period, PeriodState]
    as_of: datetime
    amounts: dict[tuple[Account, Currency], int] = field(default_factory=dict)
    holds: dict[tuple[str, Currency, date], int] = field(default_factory=dict)
    proof: dict[str, object] = field(default_factory=dict)
    credited: int | None = None

    @property
    def _zone(self) -> ZoneInfo:
        return self.terms.contracts.time_zone

    def move(self, outcome: Unsolved | Wait | Due | None) -> tuple[CycleState, Period]:
        """What should stand, with the client's side of the difference posted, and the period that takes it."""
        desired = self.desire(outcome)
        taking = self.move_charge(desired)
        if desired.price is not None and desired.price == self.state.price:
            credited = self.state.credited if self.credited is None else self.credited
            desired = replace(desired, credited=credited)
        return desired, taking

    def desire(self, outcome: Unsolved | Wait | Due | None) -> CycleState:
        """What should stand, with `entries` as they are."""
        if isinstance(outcome, Due):
            return self._desire_due(outcome)
        status, why = CycleStatus.REVERSED, SUPERSEDED
        if isinstance(outcome, Unsolved):
            why, self.proof["reopened_at"] = "reopened", format_instant(outcome.reopened_at)
        elif isinstance(outcome, Wait):
            status, why = CycleStatus.PENDING, "waiting"
        price = self.state.price
        kept = price if price is not None and is_open(self.periods, price.period) else None
        return CycleState(self.state.number, status, why, entries=self.state.entries, price=kept)

    def _desire_due(self, due: Due) -> CycleState:
        same = self.state.solution == due.solution.key
        settled_at = self.state.settled_at if same and self.state.settled_at else due.settled_at
        settled_in = period_of(settled_at, self._zone)
        price = self._standing_price(settled_at, same_solution=same)
        verdict = judge(due, self.terms.contract_of(settled_in))
        home = price.period if price else open_from(self.periods, settled_in) if verdict.charged else settled_in
        contract = self.terms.contract_of(home)
        rate = contract.rate(price.rate) if price else self.terms.rate_for(contract, due.solution.completed)
        if price is None and verdict.charged:
            price, self.periods[home] = issue_price(contract, rate, self.periods[home])
        list_price = price.exact_list_price if price else self._list_price(contract, rate, home, same_solution=same)
        charge = self._charge(price, verdict.discount_basis_points, contract) if price and verdict.charged else None
        self.proof |= {
            "contract": contract.version,
            "rate": rate.id,
            "list_price": str(list_price),
            "ordinal": price.ordinal if price else None,
            "facts": [fact_key(fact) for fact in due.solution.deciding],
            "rating": due.rating_basis_points,
            "skill": due.solution.completed.skill,
        } | _taken_off(charge)
        if price and not is_open(self.periods, price.period):
            price, charge = self._frozen_by_close(price, charge)
        standing = Standing.NOT_CHARGED if _is_free(rate, price, charge) else verdict.standing
        basis = basis_of(due, standing, list_price, charge)
        earned = self._earned(basis, due, settled_at, contract) if basis.expert else None
        if earned is not None and price is None:
            earned = replace(earned, list_price=str(list_price))
        return CycleState(
            number=self.state.number,
            status=CycleStatus.CHARGED if charge is not None else CycleStatus.WAIVED,
            why=verdict.why,
            solution=due.solution.key,
            settled_at=settled_at,
            entries=self.state.entries,
            price=price,
            charge=charge,
            earned=earned,
            counted=self._counted(due, verdict.standing, settled_at, earned),
        )

    def _counted(self, due: Due, standing: Standing, settled_at: datetime, earned: Earned | None) -> Counted | None:
        """In which week the resolution counts for incentives, by the plan that it was once paid or counted by."""
        expert = due.solution.completed.expert
        if expert is None or standing is Standing.FORFEITED:
            return None
        plan_id = (earned.plan if earned else None) or self._agreed_plan(due)
        history = self.terms.plans.get(plan_id or self.terms.experts[expert].assignments.get(self.terms.client, ""))
        week = week_of(settled_at.astimezone(UTC).date())
        plan = history.for_week(week) if history else None
        return Counted(expert, plan.id, week, due.rating_basis_points) if plan and plan.counts_weeks else None

    def _agreed_plan(self, due: Due) -> str | None:
        """The plan that the solution was once paid or counted by, if it was."""
        return next(iter(self.state.plans), None) if self.state.solution == due.solution.key else None

    def _standing_price(self, settled_at: datetime, *, same_solution: bool) -> FrozenPrice | None:
        """The frozen price, if it still holds.

        It does for what is charged at it, and within its open period also for another solution or a charge that was
        taken back.
        """
        price = self.state.price
        if price is None or (same_solution and self.state.charge is not None):
            return price
        within = same_solution or price.period == period_of(settled_at, self._zone)
        return price if within and is_open(self.periods, price.period) else None

    def _charge(self, price: FrozenPrice, discount_basis_points: int, contract: Contract) -> Charge:
        """The charge at a price, limited by what the cap leaves; what the cap once took from a charge it keeps."""
        most = contract.waives_beyond
        if most is None:
            return charge_at(price, discount_basis_points)
        old = (self.state.charge if self.state.price == price else None) or NOTHING
        left = 0 if old.capped else max(0, most - self.periods[price.period].charged)
        return charge_at(price, discount_basis_points, old.net + left)

    def _list_price(self, contract: Contract, rate: Rate, home: Period, *, same_solution: bool) -> Fraction:
        """The list price that a resolution which is not charged once had, or would have had when first asked for."""
        earned, once = self.state.earned, self.state.price
        if same_solution and once is not None:
            return once.exact_list_price
        if same_solution and earned is not None and earned.list_price is not None:
            return Fraction(earned.list_price)
        return list_price_of(rate, self.periods[home].counter(rate.id).issued + 1, contract.currency)

    def _frozen_by_close(self, price: FrozenPrice, charge: Charge | None) -> tuple[FrozenPrice | None, Charge | None]:
        """A closed period is never charged more: a correction there only gives back, and all of it ends the price."""
        if charge is None:
            return None, None
        old = self.state.charge or NOTHING
        return price, charge if charge.net < old.net else old

    def _earned(self, basis: Basis, due: Due, settled_at: datetime, contract: Contract) -> Earned | None:
        """What the expert earns, by the plan that the solution was once paid by, if it was."""
        settled_on = settled_at.astimezone(UTC).date()
        old = self.state.earned if self.state.solution == due.solution.key else None
        plan = self.terms.plan_for(basis.expert, settled_on, self._agreed_plan(due))
        if isinstance(plan.base, ShareBase) and plan.currency != contract.currency:
            detail = f"pay plan {plan.id} shares {plan.currency}, but {contract.client} pays {contract.currency}"
            raise CannotDecide(ParkReason.CURRENCY_MISMATCH, detail)
        if plan.surge:
            calendars = calendars_of(contract, due.solution.completed.time, {it.calendar for it in plan.surge})
            basis = replace(basis, calendars=calendars)
        earning = earn(plan, basis)
        self.proof |= {"plan": f"{plan.id}@{plan.starts_on}", "trace": earning.trace} | _shared(plan, basis)
        if not earning.total:
            return None
        release_on = old.release_on if old else settled_on + timedelta(days=plan.hold_days)
        return Earned(basis.expert, plan.currency, earning.base, earning.bonus, release_on, plan.id)

    def move_charge(self, desired: CycleState) -> Period:
        """Post the client's side of the difference; the period that takes it."""
        old, new = self.state.charge, desired.charge
        old_price, new_price = self.state.price, desired.price
        taking = open_from(self.periods, period_of(self._anchor(desired), self._zone))
        if old is not None and old_price is not None and old_price != new_price:
            taking = self._take_back(old_price, old, old.net)
            old = None
        if new_price is None or old == new:
            return taking
        if not is_open(self.periods, new_price.period):
            return self._take_back(new_price, old or NOTHING, (old or NOTHING).net - (new or NOTHING).net)
        self.periods[new_price.period] = count_change(self.periods[new_price.period], new_price.rate, old, new)
        self._post_charge((new or NOTHING).net - (old or NOTHING).net, REVENUE_RESOLUTIONS)
        return new_price.period

    def _take_back(self, price: FrozenPrice, charge: Charge, minor_units: int) -> Period:
        """Give a charge back: out of its period while that is open, else as a credit in the next open one."""
        self.proof = {"contract": price.version, "rate": price.rate, "ordinal": price.ordinal} | self.proof
        if is_open(self.periods, price.period):
            self.periods[price.period] = count_change(self.periods[price.period], price.rate, charge, None)
            self._post_charge(-minor_units, REVENUE_RESOLUTIONS)
            return price.period
        taking = open_from(self.periods, next_period(price.period))
        credit, self.periods[price.period] = credit_after_close(
            self.periods[price.period], price.rate, minor_units, self.state.credited, charge.discount
        )
        self.credited = (self.state.credited or 0) + credit
        self.periods[taking] = self.periods[taking].with_credit(price.period, credit)
        self._post_charge(-credit, REVENUE_CREDITS)
        return taking

    def _post_charge(self, minor_units: int, revenue: Account) -> None:
        code = self.terms.contracts.currency
        self._add(client_unbilled(self.terms.client), code, minor_units)
        self._add(revenue, code, -minor_units)

    def move_earning(self, desired: CycleState) -> None:
        """Post the expert's side of the difference, and what it does to holds."""
        for earned, sign in ((self.state.earned, -1), (desired.earned, 1)):
            if earned is None:
                continue
            code, whole = Currency(earned.currency), sign * (earned.base + earned.bonus)
            self._add(COST_BASE, code, sign * earned.base)
            self._add(COST_BONUS, code, sign * earned.bonus)
            self._add(expert_payable(earned.expert), code, -whole)
            key = (earned.expert, code, earned.release_on)
            self.holds[key] = self.holds.get(key, 0) + whole
            self.proof["release_on"] = earned.release_on.isoformat()

    def _add(self, account: Account, code: Currency, minor_units: int) -> None:
        self.amounts[account, code] = self.amounts.get((account, code), 0) + minor_units

    def _anchor(self, desired: CycleState) -> datetime:
        """When the entry happened: when a solution settled, or when the correction of one came in."""
        settles_now = desired.settled_at is not None and desired.settled_at != self.state.settled_at
        return desired.settled_at if settles_now and desired.settled_at else self.as_of

    def entry(self, desired: CycleState, period: Period) -> Entry:
        """The entry that posts the difference.

        Its accounting date is in the contract's time zone and moved into `period`, so that the entries of a period and
        its counters say the same.
        """
        day = self._anchor(desired).astimezone(self._zone).date()
        facts = {"case": self.case_id, "cycle": self.state.number, "why": desired.why} | self.proof
        return Entry(
            id=EntryId(f"charge:{self.terms.client}/{self.case_id}/{self.state.number}:{self.state.entries + 1}"),
            book=client_book(self.terms.client),
            reason=self._reason(desired),
            postings=tuple(
                Posting(account, Money(minor, code)) for (account, code), minor in sorted(self.amounts.items()) if minor
            ),
            effective_on=day_within(period, day),
            evidence=evidence({name: value for name, value in facts.items() if value is not None}),
        )

    def _reason(self, desired: CycleState) -> Reason:
        if self.state.charge is None and self.state.earned is None:
            return Reason.SETTLED
        if desired.charge is not None or desired.earned is not None:
            return Reason.CORRECTED
        credited = any(account == REVENUE_CREDITS for account, _ in self.amounts)
        return Reason.CREDITED if credited else Reason.REVERSED


def _taken_off(charge: Charge | None) -> dict[str, object]:
    """What discount and cap took off a charge, where they did."""
    return {"discount": charge.discount or None, "capped": charge.capped or None} if charge else {}


def _is_free(rate: Rate, price: FrozenPrice | None, charge: Charge | None) -> bool:
    """Whether a charge comes to nothing, its unit included or beyond the cap; what that earns is the plan's to say."""
    if price is None or charge is None:
        return False
    return price.ordinal <= rate.included or (charge.capped > 0 and charge.net == 0)


def _shared(plan: PayPlan, basis: Basis) -> dict[str, object]:
    """What an expert with a share may know of the client's price: what it is taken of; the charge, if it is of that."""
    if not isinstance(plan.base, ShareBase):
        return {}
    charged = {"charged": basis.charged} if plan.base.of is ShareOf.CHARGED else {}
    return {"share_of": plan.base.of, **charged}
