"""Paying experts: plan a run from what is available, then send each payout exactly once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum

from ledger.accounts import STRIPE_BALANCE, Account, expert_in_transit, expert_payable
from ledger.books import Head, append
from ledger.entries import Entry, EntryId, RecordedEntry, evidence, expert_book, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from payouts.payouts import Payout, PayoutStatus, moved, payout_id
from payouts.plans import PlanHistory, PlanNotInForce
from settlement.ports import Available, Balances, Changes, Contention, HoldChange, PayoutStore, Registry
from settlement.registry import Expert
from settlement.settle import ATTEMPTS
from settlement.stripe_port import NotEnoughFunds, Stripe, StripeRefused, StripeUnclear

# With the payout, its entry, the head and `available` this stays below a transaction's 100 items.
HOLDS_PER_TRANSACTION = 90


class HeldBack(StrEnum):
    """Why an expert with something available is not paid in a run. Gates are named by themselves."""

    BELOW_MINIMUM = "below_minimum"
    NO_STRIPE_ACCOUNT = "no_stripe_account"
    NO_PAY_PLAN = "no_pay_plan"


@dataclass(frozen=True, slots=True)
class NotPaid:
    """An expert whom a run did not pay: what was available, in minor units, and everything that is missing."""

    expert: str
    currency: Currency
    minor_units: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """What a run planned: payouts (those of an earlier try of the same run included) and whom it did not pay."""

    run: str
    payouts: tuple[Payout, ...]
    not_paid: tuple[NotPaid, ...]


def run_of(as_of: datetime) -> str:
    """The id of the weekly run that an instant belongs to, such as 2026-W41 (ISO 8601 weeks in UTC)."""
    year, week, _ = as_of.astimezone(UTC).isocalendar()
    return f"{year}-W{week:02d}"


def plan_run(store: PayoutStore, registry: Registry, as_of: datetime) -> PlannedRun:
    """Reserve a payout for every expert with enough available; one per expert, currency and run, however often it runs.

    Holds that end on or before the day of `as_of` (UTC) count as available.
    """
    payouts: list[Payout] = []
    not_paid: list[NotPaid] = []
    for expert in registry.experts().values():
        plans = registry.plans(set(expert.assignments.values()))
        for outcome in _plan_expert(store, expert, plans, as_of):
            if isinstance(outcome, Payout):
                payouts.append(outcome)
            else:
                not_paid.append(outcome)
    return PlannedRun(run_of(as_of), tuple(payouts), tuple(not_paid))


def _plan_expert(
    store: PayoutStore, expert: Expert, plans: Mapping[str, PlanHistory], as_of: datetime
) -> list[Payout | NotPaid]:
    today = as_of.astimezone(UTC).date()
    owed = store.balances(expert.id)
    codes = sorted({hold.currency for hold in owed.held} | {available.currency for available in owed.available})
    outcomes: list[Payout | NotPaid] = []
    for code in codes:
        made = store.payout(payout_id(expert.id, code, run_of(as_of)))
        if made is not None:
            outcomes.append(made)
            continue
        for attempt in range(1, ATTEMPTS + 1):
            try:
                outcome = _plan_payout(store, expert, code, _minimum(plans, code, today), as_of)
            except Contention:
                store.pause(attempt)
            else:
                outcomes += [outcome] if outcome else []
                break
        else:
            raise Contention(f"{expert.id} in {code}: overtaken {ATTEMPTS} times; the run is tried again later")
    return outcomes


def _minimum(plans: Mapping[str, PlanHistory], code: Currency, today: date) -> int | None:
    """The highest minimum payout of the expert's plans in a currency, in minor units; None if no plan is in force."""
    minimums = []
    for history in plans.values():
        try:
            plan = history.in_force(today)
        except PlanNotInForce:
            continue
        if plan.currency == code:
            minimums.append(plan.minimum_payout_minor)
    return max(minimums, default=None)


def _plan_payout(
    store: PayoutStore, expert: Expert, code: Currency, minimum: int | None, as_of: datetime
) -> Payout | NotPaid | None:
    today = as_of.astimezone(UTC).date()
    owed = _release_oldest(store, expert.id, code, today)
    matured = tuple(hold for hold in owed.held if hold.currency == code and hold.release_on <= today)
    available = _available(owed, expert.id, code)
    amount = available.minor_units + sum(hold.minor_units for hold in matured)
    missing = [str(gate) for gate in expert.missing_gates(today)]
    missing += [HeldBack.NO_STRIPE_ACCOUNT] if expert.stripe_account is None else []
    missing += [HeldBack.NO_PAY_PLAN] if minimum is None else []
    missing += [HeldBack.BELOW_MINIMUM] if minimum is not None and amount < minimum else []
    if amount <= 0:
        return None
    if missing or expert.stripe_account is None:
        return NotPaid(expert.id, code, amount, tuple(missing))
    run = run_of(as_of)
    payout = Payout(
        id=payout_id(expert.id, code, run),
        expert=expert.id,
        currency=code,
        amount=amount,
        run=run,
        planned_at=as_of,
        stripe_account=expert.stripe_account,
        revision=1,
    )
    reserved = _entry(payout, Reason.PAYOUT_RESERVED, today)
    sealed, heads = _sealed(store, reserved, as_of)
    left = replace(available, minor_units=0, revision=available.revision + 1)
    store.commit(Changes(released=matured, availables=(left,), payouts=(payout,), entries=sealed, heads=heads))
    return payout


def _available(owed: Balances, expert: str, code: Currency) -> Available:
    return next((it for it in owed.available if it.currency == code), Available(expert, code))


def _release_oldest(store: PayoutStore, expert: str, code: Currency, today: date) -> Balances:
    """Roll matured holds into `available` until the rest fits into the payout's own transaction."""
    while True:
        owed = store.balances(expert)
        matured = [hold for hold in owed.held if hold.currency == code and hold.release_on <= today]
        if len(matured) <= HOLDS_PER_TRANSACTION:
            return owed
        store.commit(_released(matured[:HOLDS_PER_TRANSACTION], _available(owed, expert, code)))


def _released(holds: Sequence[HoldChange], available: Available) -> Changes:
    total = available.minor_units + sum(hold.minor_units for hold in holds)
    after = replace(available, minor_units=total, revision=available.revision + 1)
    return Changes(released=tuple(holds), availables=(after,))


def send_payout(store: PayoutStore, stripe: Stripe, id_: str, as_of: datetime) -> Payout:
    """Send a payout, or find out what became of it; the payout as it then stands.

    `sending` is stored before Stripe is called. Whoever finds a payout in `sending` or `unknown` looks for its transfer
    first, and repeats the call with the same key only if there is none. Raises StripeUnclear or StripeBusy for whoever
    delivers the request to come back later, and Contention if another worker was faster.
    """
    payout = store.payout(id_)
    if payout is None:
        raise LookupError(f"there is no payout {id_}")
    if payout.is_finished:
        return payout
    if payout.status is PayoutStatus.PLANNED:
        payout = moved(payout, PayoutStatus.SENDING, attempt=payout.attempt + 1, why="")
        store.commit(Changes(payouts=(payout,)))
    else:
        found = stripe.find_transfer(payout.id)
        if found is not None:
            return _sent(store, payout, found, as_of)
    try:
        transfer = stripe.transfer(payout)
    except NotEnoughFunds as short:
        waiting = moved(payout, PayoutStatus.PLANNED, why=short.code)
        store.commit(Changes(payouts=(waiting,)))
        return waiting
    except StripeRefused as refused:
        return _failed(store, payout, refused.code, as_of)
    except StripeUnclear as unclear:
        return _unclear(store, stripe, payout, unclear, as_of)
    return _sent(store, payout, transfer, as_of)


def _unclear(store: PayoutStore, stripe: Stripe, payout: Payout, unclear: StripeUnclear, as_of: datetime) -> Payout:
    """Nobody knows: keep the reservation, unless Stripe's stored answer ended the attempt and no transfer exists."""
    if unclear.replayed:
        found = stripe.find_transfer(payout.id)
        if found is not None:
            return _sent(store, payout, found, as_of)
        store.commit(Changes(payouts=(moved(payout, PayoutStatus.PLANNED, why="the attempt ended in an error"),)))
    elif payout.status is not PayoutStatus.UNKNOWN:
        store.commit(Changes(payouts=(moved(payout, PayoutStatus.UNKNOWN, why="no clear answer from Stripe"),)))
    raise unclear


def _sent(store: PayoutStore, payout: Payout, transfer: str, as_of: datetime) -> Payout:
    after = moved(payout, PayoutStatus.SENT, stripe_transfer=transfer, why="")
    sealed, heads = _sealed(store, _entry(after, Reason.PAYOUT_SENT, as_of.astimezone(UTC).date()), as_of)
    store.commit(Changes(payouts=(after,), entries=sealed, heads=heads))
    return after


def _failed(store: PayoutStore, payout: Payout, code: str, as_of: datetime) -> Payout:
    """Stripe refused for good: the reservation goes back to what the expert can be paid."""
    after = moved(payout, PayoutStatus.FAILED, why=code)
    sealed, heads = _sealed(store, _entry(after, Reason.PAYOUT_RELEASED, as_of.astimezone(UTC).date()), as_of)
    before = _available(store.balances(payout.expert), payout.expert, payout.currency)
    back = replace(before, minor_units=before.minor_units + payout.amount, revision=before.revision + 1)
    store.commit(Changes(payouts=(after,), availables=(back,), entries=sealed, heads=heads))
    return after


_FLOWS = {Reason.PAYOUT_RESERVED: "reserved", Reason.PAYOUT_SENT: "sent", Reason.PAYOUT_RELEASED: "released"}


def _entry(payout: Payout, reason: Reason, on: date) -> Entry:
    payable, in_transit = expert_payable(payout.expert), expert_in_transit(payout.expert)
    flows: dict[Reason, tuple[Account, Account]] = {
        Reason.PAYOUT_RESERVED: (payable, in_transit),
        Reason.PAYOUT_SENT: (in_transit, STRIPE_BALANCE),
        Reason.PAYOUT_RELEASED: (in_transit, payable),
    }
    debit, credit = flows[reason]
    facts = {"run": payout.run, "attempt": payout.attempt, "transfer": payout.stripe_transfer, "why": payout.why}
    return Entry(
        id=EntryId(f"{payout.id}:{_FLOWS[reason]}"),
        book=expert_book(payout.expert),
        reason=reason,
        postings=postings(((debit, payout.amount), (credit, -payout.amount)), payout.currency),
        effective_on=on,
        evidence=evidence({name: value for name, value in facts.items() if value}),
    )


def _sealed(
    store: PayoutStore, entry: Entry, as_of: datetime
) -> tuple[tuple[RecordedEntry, ...], tuple[tuple[Head, Head], ...]]:
    head = store.head(entry.book)
    sealed, after = append(head, (entry,), as_of)
    return sealed, ((head, after),)
