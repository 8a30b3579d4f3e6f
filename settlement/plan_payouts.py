"""Planning payouts: what is available becomes a reserved payout, or a list of what is missing. One per run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import islice

from ledger.accounts import expert_in_transit, expert_payable
from ledger.entries import Entry, EntryId, evidence, expert_book, postings
from ledger.money import Currency, minor_unit_exponent, round_half_away
from ledger.posting_rules import Reason
from ledger.records import dataclass
from ledger.terms import exact_percent
from payouts.payouts import Instant, Payout, PayoutStatus, payout_id
from payouts.plans import PayPlan, PlanHistory, PlanNotInForce, Schedule
from payouts.policy import PayoutPolicy
from settlement.announcements import Announcement
from settlement.expert_status import ExpertStatus, held_back
from settlement.ports import Available, Balances, Changes, HoldChange, PayoutRun, PayoutStore, Registry, Spent
from settlement.registry import Expert
from settlement.writing import sealed, until_written

# With the payout, its entry, the head, `available` and two limits this stays below a transaction's 100 items.
HOLDS_PER_TRANSACTION = 90
ANNOUNCEMENTS_PER_TRANSACTION = 90
# So many experts are read together; after each such group the run remembers how far it came.
EXPERTS_PER_READ = 100
BY_POLICY = "policy"


class HeldBack(StrEnum):
    """Why a payout is not made, besides what `settlement.expert_status.held_back` names."""

    BELOW_MINIMUM = "below_minimum"
    NO_PAY_PLAN = "no_pay_plan"
    ABOVE_RUN_LIMIT = "above_run_limit"
    ABOVE_DAY_LIMIT = "above_day_limit"
    NO_INSTANT_PAYOUTS = "no_instant_payouts"
    NO_BANK_ACCOUNT = "no_bank_account"
    CHANGED = "gross_withheld_and_fee_changed"
    NOTHING_LEFT = "nothing_left_after_withholding_and_fee"


@dataclass(frozen=True, slots=True)
class NotPaid:
    """An expert whom a run did not pay: what was available, in minor units, and everything that is missing."""

    expert: str
    currency: Currency
    minor_units: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Payee:
    """An expert with what is known about them and the pay plans that they work by."""

    expert: Expert
    status: ExpertStatus
    plans: tuple[PlanHistory, ...]

    def plans_on(self, day: date) -> Iterator[PayPlan]:
        """The versions in force on a day."""
        for history in self.plans:
            try:
                yield history.in_force(day)
            except PlanNotInForce:
                continue


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: the payouts of a run, or one that an expert wants at once.

    The latter is made only with the gross amount, withholding and fee that the expert `agreed` to.
    """

    run: str
    as_of: datetime
    planned_by: str = "schedule"
    is_instant: bool = False
    agreed: tuple[int, int, int] | None = None

    @property
    def day(self) -> date:
        """The day of the trigger, in UTC."""
        return self.as_of.astimezone(UTC).date()

    def limits(self, code: Currency) -> tuple[str, str]:
        """The names under which the run and the day count what they reserved."""
        return run_limit(self.run, code), f"day/{self.day}/{code}"


def run_limit(run: str, code: Currency) -> str:
    """The name under which a run counts what it reserved."""
    return f"run/{run}/{code}"


def run_of(schedule: Schedule, as_of: datetime) -> str:
    """The run that an instant belongs to: 2026-10-05, 2026-W41 (ISO 8601 week) or 2026-10, all in UTC."""
    day = as_of.astimezone(UTC)
    match schedule:
        case Schedule.DAILY:
            return day.date().isoformat()
        case Schedule.WEEKLY:
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02d}"
        case Schedule.MONTHLY:
            return f"{day:%Y-%m}"


def due_schedules(as_of: datetime) -> tuple[Schedule, ...]:
    """The schedules that have a run on that day (UTC): daily ones, on a Monday weekly ones, on a first monthly ones."""
    day = as_of.astimezone(UTC)
    due = {Schedule.DAILY: True, Schedule.WEEKLY: day.isoweekday() == 1, Schedule.MONTHLY: day.day == 1}
    return tuple(schedule for schedule, is_due in due.items() if is_due)


def next_run_day(schedule: Schedule, day: date) -> date:
    """The first day after `day` (UTC) on which a schedule has a run."""
    while True:
        day += timedelta(days=1)
        if schedule in due_schedules(datetime(day.year, day.month, day.day, tzinfo=UTC)):
            return day


# -- deciding ----------------------------------------------------------------------------------------------------------


def decide_payout(
    payee: Payee,
    owed: Balances,
    code: Currency,
    request: Request,
    policy: PayoutPolicy | None,
    spent: Mapping[str, int],
) -> Payout | NotPaid | None:
    """What a request comes to for one expert and currency; None if there is nothing to pay.

    Holds that end on or before the day count as available. `spent` is what the run and the day reserved so far. Without
    a policy nothing is limited, and nothing waits for a second person.
    """
    policy = policy or PayoutPolicy(id=code)
    whole = _available(owed, payee.expert.id, code).minor_units
    whole += sum(hold.minor_units for hold in _matured(owed, code, request.day))
    if whole <= 0:
        return None
    most = policy.minor(policy.per_expert)
    gross = whole if most is None else min(whole, most)
    missing = [*held_back(payee.expert, payee.status, request.day, policy.cooling_off_days)]
    missing += _too_little(payee, code, whole, request.day)
    missing += _too_much(policy, gross, spent, request.limits(code))
    gross, withheld, fee = _amounts(gross, payee, code, policy if request.is_instant else None)
    if fee is None:
        missing.append(HeldBack.NO_INSTANT_PAYOUTS)
    elif gross - withheld - fee <= 0:
        missing.append(HeldBack.NOTHING_LEFT)
    if request.is_instant and payee.status.bank is None:
        missing.append(HeldBack.NO_BANK_ACCOUNT)
    if request.agreed not in {None, (gross, withheld, fee)}:
        missing.append(f"{HeldBack.CHANGED}: from {request.agreed} to {(gross, withheld, fee)} minor units")
    if fee is None or missing:
        return NotPaid(payee.expert.id, code, whole, tuple(missing))
    return _payout(payee, code, (gross, withheld, fee), request, policy)


def _amounts(most: int, payee: Payee, code: Currency, instant: PayoutPolicy | None) -> tuple[int, int, int | None]:
    """Gross, withheld and fee of the largest payout up to `most`; no fee where instant payouts are not offered.

    In currencies with three decimals Stripe transfers multiples of ten only (https://docs.stripe.com/currencies): what
    is beyond stays available.
    """
    step = 10 if minor_unit_exponent(code) == 3 else 1
    while True:
        withheld = round_half_away(most * exact_percent(payee.expert.withholding_percent))
        fee = instant.instant_fee(most - withheld) if instant else 0
        if fee is None or (most - withheld - fee) % step == 0:
            return most, withheld, fee
        most -= 1


def _payout(
    payee: Payee, code: Currency, amounts: tuple[int, int, int], request: Request, policy: PayoutPolicy
) -> Payout:
    gross, withheld, fee = amounts
    threshold = policy.minor(policy.approve_above)
    waits = threshold is not None and (not request.is_instant or gross > threshold)
    return Payout(
        id=payout_id(payee.expert.id, code, request.run),
        expert=payee.expert.id,
        currency=code,
        amount=gross - withheld - fee,
        withheld=withheld,
        fee=fee,
        run=request.run,
        planned_at=request.as_of,
        planned_by=request.planned_by,
        stripe_account=payee.expert.stripe_account or "",
        status=PayoutStatus.PLANNED if waits else PayoutStatus.APPROVED,
        approved_by=None if waits else BY_POLICY,
        instant=Instant.WANTED if request.is_instant else Instant.NO,
        revision=1,
    )


def _too_little(payee: Payee, code: Currency, whole: int, day: date) -> Iterator[str]:
    """The highest minimum of the plans in that currency counts."""
    minimums = [plan.minimum_payout_minor for plan in payee.plans_on(day) if plan.currency == code]
    if not minimums:
        yield HeldBack.NO_PAY_PLAN
    elif whole < max(minimums):
        yield HeldBack.BELOW_MINIMUM


def _too_much(policy: PayoutPolicy, gross: int, spent: Mapping[str, int], limits: tuple[str, str]) -> Iterator[str]:
    mosts = policy.minor(policy.per_run), policy.minor(policy.per_day)
    names = HeldBack.ABOVE_RUN_LIMIT, HeldBack.ABOVE_DAY_LIMIT
    for key, most, name in zip(limits, mosts, names, strict=True):
        if most is not None and spent.get(key, 0) + gross > most:
            yield name


def schedule_of(payee: Payee, code: Currency, day: date) -> Schedule:
    """How often an expert is paid in a currency: the most frequent schedule of their plans, weekly without any."""
    wanted = {plan.payout_schedule for plan in payee.plans_on(day) if plan.currency == code}
    return next((it for it in Schedule if it in wanted), Schedule.WEEKLY)


def _matured(owed: Balances, code: Currency, day: date) -> tuple[HoldChange, ...]:
    return tuple(hold for hold in owed.held if hold.currency == code and hold.release_on <= day)


def _available(owed: Balances, expert: str, code: Currency) -> Available:
    return next((it for it in owed.available if it.currency == code), Available(expert, code))


# -- a run -------------------------------------------------------------------------------------------------------------


def schedules_to_plan(store: PayoutStore, as_of: datetime) -> tuple[Schedule, ...]:
    """The schedules that have a run on that day, and those whose run of this week or month was begun and not finished.

    So a run that its day was too short for goes on the next day; a new daily run has everybody of the one before.
    """
    due = due_schedules(as_of)
    begun = {schedule: store.payout_run(run_of(schedule, as_of)) for schedule in Schedule if schedule not in due}
    late = [schedule for schedule, run in begun.items() if run is not None and not run.is_finished]
    return tuple(schedule for schedule in Schedule if schedule in due or schedule in late)


def plan_run(
    store: PayoutStore, registry: Registry, schedule: Schedule, as_of: datetime, has_time: Callable[[], bool]
) -> Iterator[Payout | NotPaid]:
    """Reserve a payout for every expert on that schedule with enough available; what became of each, one by one.

    The run remembers how far it came, so that one that was interrupted goes on there; a finished run plans nothing
    more. An expert has one payout per currency and run, however often it is planned. Who is held back is announced
    before the run goes on to the next experts.
    """
    id_ = run_of(schedule, as_of)
    run = store.payout_run(id_) or PayoutRun(id_, as_of)
    request = Request(id_, as_of)
    experts = registry.experts_after(run.after)
    while not run.is_finished and has_time():
        group, policies = list(islice(experts, EXPERTS_PER_READ)), registry.policies()
        held: list[Announcement] = []
        for payee in payees(registry, group):
            for outcome in _plan_payee(store, policies, payee, schedule, request):
                held += _told_held(outcome, request)
                yield outcome
        for start in range(0, len(held), ANNOUNCEMENTS_PER_TRANSACTION):
            store.commit(Changes(announcements=tuple(held[start : start + ANNOUNCEMENTS_PER_TRANSACTION])))
        after = group[-1].id if group else run.after
        run = replace(run, after=after, is_finished=not group, revision=run.revision + 1)
        store.commit(Changes(payout_runs=(run,)))


def _told_held(outcome: Payout | NotPaid, request: Request) -> list[Announcement]:
    """That a run held a payout back, and the codes of what is missing. Having earned too little yet is no news."""
    if isinstance(outcome, Payout) or outcome.missing == (HeldBack.BELOW_MINIMUM,):
        return []
    payout = payout_id(outcome.expert, outcome.currency, request.run)
    data: dict[str, int | str] = {
        "payout": payout,
        "expert": outcome.expert,
        "currency": outcome.currency,
        "available_minor": outcome.minor_units,
        "missing": " ".join(what.partition(":")[0] for what in outcome.missing),
    }
    return [Announcement(f"payout.held:{payout}", "payout.held", "", request.as_of, data, payout)]


def preview(store: PayoutStore, registry: Registry, as_of: datetime) -> Iterator[Payout | NotPaid]:
    """What every expert would be paid if all were planned now, or what is missing; nothing is written."""
    request, policies, experts = Request("preview", as_of), registry.policies(), registry.experts_after("")
    while group := list(islice(experts, EXPERTS_PER_READ)):
        for payee in payees(registry, group):
            owed = store.balances(payee.expert.id)
            for code in _currencies(owed):
                outcome = decide_payout(payee, owed, code, request, policies.get(code), {})
                yield from [outcome] if outcome else []


def _currencies(owed: Balances) -> list[Currency]:
    return sorted({hold.currency for hold in owed.held} | {it.currency for it in owed.available})


def payees(registry: Registry, experts: Sequence[Expert]) -> Iterator[Payee]:
    """The experts with all that planning looks at, in two reads."""
    statuses = registry.statuses([expert.id for expert in experts])
    plans = registry.plans({plan for expert in experts for plan in expert.assignments.values()})
    for expert in experts:
        own = tuple(plans[plan] for plan in sorted(set(expert.assignments.values())) if plan in plans)
        yield Payee(expert, statuses[expert.id], own)


def _plan_payee(
    store: PayoutStore, policies: Mapping[Currency, PayoutPolicy], payee: Payee, schedule: Schedule, request: Request
) -> Iterator[Payout | NotPaid]:
    owed = store.balances(payee.expert.id)
    for code in _currencies(owed):
        if schedule_of(payee, code, request.day) is schedule:
            outcome = plan_payout(store, payee, code, request, policies.get(code))
            yield from [outcome] if outcome else []


def plan_payout(
    store: PayoutStore, payee: Payee, code: Currency, request: Request, policy: PayoutPolicy | None
) -> Payout | NotPaid | None:
    """Reserve the one payout of an expert in a currency and run, or find it made already.

    Whether it was made is looked up behind the balances: nobody is told that nothing is left if it went into this one.
    """

    def attempt() -> Payout | NotPaid | None:
        limits = store.spent(request.limits(code)) if policy and policy.counts_totals else ()
        owed = _release_oldest(store, payee.expert.id, code, request.day)
        made = store.payout(payout_id(payee.expert.id, code, request.run))
        if made is not None:
            return made
        outcome = decide_payout(payee, owed, code, request, policy, {it.id: it.minor_units for it in limits})
        if isinstance(outcome, Payout):
            store.commit(_reserve(store, owed, outcome, limits, request))
        return outcome

    return until_written(store, f"{payee.expert.id} in {code}", attempt)


def _reserve(store: PayoutStore, owed: Balances, payout: Payout, limits: Sequence[Spent], request: Request) -> Changes:
    matured = _matured(owed, payout.currency, request.day)
    before = _available(owed, payout.expert, payout.currency)
    left = before.minor_units + sum(hold.minor_units for hold in matured) - payout.gross
    entries, heads = sealed(store, (_reserved(payout, request.day),), request.as_of)
    spent = (replace(it, minor_units=it.minor_units + payout.gross, revision=it.revision + 1) for it in limits)
    return Changes(
        released=matured,
        availables=(replace(before, minor_units=left, revision=before.revision + 1),),
        payouts=(payout,),
        entries=entries,
        heads=heads,
        spent=tuple(spent),
    )


def _reserved(payout: Payout, on: date) -> Entry:
    moves = (expert_payable(payout.expert), payout.gross), (expert_in_transit(payout.expert), -payout.gross)
    return Entry(
        id=EntryId(f"{payout.id}:reserved"),
        book=expert_book(payout.expert),
        reason=Reason.PAYOUT_RESERVED,
        postings=postings(moves, payout.currency),
        effective_on=on,
        evidence=evidence({"run": payout.run, "planned_by": payout.planned_by}),
    )


def _release_oldest(store: PayoutStore, expert: str, code: Currency, today: date) -> Balances:
    """Roll matured holds into `available` until the rest fits into the payout's own transaction."""
    while True:
        owed = store.balances(expert)
        matured = _matured(owed, code, today)
        if len(matured) <= HOLDS_PER_TRANSACTION:
            return owed
        first = matured[:HOLDS_PER_TRANSACTION]
        before = _available(owed, expert, code)
        total = before.minor_units + sum(hold.minor_units for hold in first)
        after = replace(before, minor_units=total, revision=before.revision + 1)
        store.commit(Changes(released=first, availables=(after,)))
