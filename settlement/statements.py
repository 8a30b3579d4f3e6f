"""Statements and tax reports: read what was posted for an expert, prove it against what is owed, put it together."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import chain, islice
from typing import Protocol

from ledger.entries import RecordedEntry, expert_book
from ledger.money import Currency, Money, total_by_currency
from ledger.records import dataclass
from payouts.payouts import Payout
from payouts.policy import PayoutPolicy
from payouts.statements import Section, Span, StatementDiffers, payouts_in, sections_of
from payouts.tax_reporting import PaidInYear, Regime, Verdict, paid_in, regime_of, verdict_on
from settlement.expert_status import held_back
from settlement.plan_payouts import (
    EXPERTS_PER_READ,
    NotPaid,
    Payee,
    Request,
    decide_payout,
    payees,
    run_of,
    schedule_of,
)
from settlement.ports import Available, Balances, Books, HoldChange, Registry
from settlement.registry import Expert

# The index lags behind by less than a second; the pauses between so many reads come to more.
READS = 8
_Read = tuple[Sequence[RecordedEntry], Balances, tuple[Section, ...]]


class UnknownExpert(LookupError):
    """There is no expert of that name."""

    def __init__(self, expert: str) -> None:
        super().__init__(f"there is no expert {expert}; apply one")


class StatementStore(Books, Protocol):
    """What statements are made from."""

    def expert_entries(self, expert: str) -> Iterator[RecordedEntry]:
        """The entries of all books that touch an expert, by effective day; the last moment's may be missing."""

    def balances(self, expert: str) -> Balances:
        """What an expert is held by day, released days left out, and can be paid, in every currency."""

    def payout(self, payout_id: str) -> Payout | None:
        """A payout by id."""

    def pause(self, attempt: int) -> None:
        """Wait a little before attempt + 1, longer each time."""


@dataclass(frozen=True, slots=True)
class OwedNow:
    """What an expert is owed in a currency when the statement is made, in minor units.

    `available` can be paid now, and is below zero after a clawback; `held` can be later. `missing` is what the next
    payout waits for, limits of runs and days left out; nothing if it would be made.
    """

    currency: Currency
    available: int
    held: tuple[HoldChange, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """An expert's statement. `paid` and `verdict` are of the year to date: that of the span's last day, up to it.

    `payouts` stand as they stand at `as_of`, and so does what is owed now.
    """

    expert: str
    country: str
    span: Span
    as_of: datetime
    sections: tuple[Section, ...]
    payouts: tuple[Payout, ...]
    owed_now: tuple[OwedNow, ...]
    paid: tuple[PaidInYear, ...]
    verdict: Verdict


def make_statement(store: StatementStore, registry: Registry, expert_id: str, span: Span, as_of: datetime) -> Statement:
    """The statement of an expert for a span of days.

    Raises UnknownExpert; and StatementDiffers if what was posted does not come to what is owed, however often it is
    read: then an entry or a hold is missing, and somebody has to look.
    """
    expert = registry.experts([expert_id]).get(expert_id)
    if expert is None:
        raise UnknownExpert(expert_id)
    recorded, owed, sections = _read(store, expert.id, span)
    found = (store.payout(id_) for id_ in payouts_in(expert.id, span, (it.entry for it in recorded)))
    year = span.last.year
    paid = tuple(paid_in(expert.id, year, recorded, span.last))
    return Statement(
        expert=expert.id,
        country=expert.country,
        span=span,
        as_of=as_of,
        sections=sections,
        payouts=tuple(payout for payout in found if payout is not None),
        owed_now=tuple(_owed_now(registry, expert, owed, as_of)),
        paid=paid,
        verdict=verdict_on(expert.country, year, paid),
    )


def _read(store: StatementStore, expert: str, span: Span) -> _Read:
    """Entries and what is owed, read until they agree: something may be posted between one read and the other."""
    for attempt in range(1, READS):
        try:
            return _read_once(store, expert, span)
        except StatementDiffers:
            store.pause(attempt)
    return _read_once(store, expert, span)


def _read_once(store: StatementStore, expert: str, span: Span) -> _Read:
    owed = store.balances(expert)
    recorded = list(store.expert_entries(expert))
    return recorded, owed, sections_of(expert, span, [it.entry for it in recorded], _sums(owed))


def _sums(owed: Balances) -> Mapping[Currency, int]:
    """What is owed in all, by currency; with a zero where nothing is any more."""
    return total_by_currency(
        Money(it.minor_units, it.currency) for it in chain[HoldChange | Available](owed.held, owed.available)
    )


def _owed_now(registry: Registry, expert: Expert, owed: Balances, as_of: datetime) -> Iterator[OwedNow]:
    today, policies = as_of.astimezone(UTC).date(), registry.policies()
    [payee] = payees(registry, [expert])
    for code in sorted(_sums(owed)):
        held = tuple(it for it in owed.held if it.currency == code and it.release_on > today and it.minor_units)
        available = _sums(owed)[code] - sum(it.minor_units for it in held)
        missing = _missing(payee, owed, code, as_of, policies.get(code) or PayoutPolicy(id=code))
        if available or held:
            yield OwedNow(code, available, held, missing)


def _missing(payee: Payee, owed: Balances, code: Currency, as_of: datetime, policy: PayoutPolicy) -> tuple[str, ...]:
    """What the next payout waits for, as the run that it belongs to would find it; the gates if nothing is payable."""
    request = Request(run_of(schedule_of(payee, code, as_of.astimezone(UTC).date()), as_of), as_of)
    outcome = decide_payout(payee, owed, code, request, policy, {})
    if isinstance(outcome, NotPaid):
        return outcome.missing
    if outcome is None:
        return held_back(payee.expert, payee.status, request.day, policy.cooling_off_days)
    return ()


# -- all experts of a year ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaxRow:
    """What an expert was paid in a year, and whether that is reported. `activities` are counted under DAC7 only."""

    expert: str
    country: str
    paid: tuple[PaidInYear, ...]
    verdict: Verdict


def report_year(store: StatementStore, registry: Registry, year: int) -> Iterator[TaxRow]:
    """A row for each expert who was paid in a year, by id. What was paid is read from the expert's own book."""
    experts = registry.experts_after("")
    while group := list(islice(experts, EXPERTS_PER_READ)):
        heads = store.heads_of([expert_book(expert.id) for expert in group])
        for expert in group:
            if heads[expert_book(expert.id)].seq == 0:
                continue
            paid = tuple(paid_in(expert.id, year, _recorded(store, expert), date(year, 12, 31)))
            if paid:
                yield TaxRow(expert.id, expert.country, paid, verdict_on(expert.country, year, paid))


def _recorded(store: StatementStore, expert: Expert) -> Sequence[RecordedEntry]:
    """The expert's own book; and where resolutions are counted, what was earned too, of which there is much more."""
    own = list(store.entries(expert_book(expert.id)))
    if regime_of(expert.country) is Regime.DAC7:
        own += (it for it in store.expert_entries(expert.id) if it.entry.book != expert_book(expert.id))
    return own
