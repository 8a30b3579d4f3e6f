"""What one period's usage would cost under other terms: the same counters, closed twice. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from billing.contracts import Contract
from billing.invoices import InvoiceLine, LineKind, close_period
from billing.periods import Period, PeriodState
from billing.pricing import total
from ledger.money import Currency
from ledger.records import dataclass


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """One line of the two invoices, in minor units; None where the card has no rate of that id."""

    kind: LineKind
    text: str
    quantity: int
    was: int | None
    now: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A closed period under old and new terms.

    Credits for earlier periods, sums carried from them and prepaid credits are left out: they are no terms.
    `rematched` says that rates, their order or what they match differ: the N are still those of the old matches.
    `discounted` says that the discounts (and what the ratings waived) are those that were given.
    """

    period: Period
    currency: Currency
    lines: tuple[ComparedLine, ...]
    was: int
    now: int
    rematched: bool
    discounted: bool

    @property
    def unpriced(self) -> tuple[ComparedLine, ...]:
        """Usage that one of the cards has no rate for; that invoice leaves it out."""
        return tuple(line for line in self.lines if line.quantity and (line.was is None or line.now is None))


def compare(old: Contract, new: Contract, closed: PeriodState) -> Comparison:
    """What a closed period's counters come to under both contracts, by the rule of `close_period`."""
    before, after = _invoice_lines(old, closed), _invoice_lines(new, closed)
    used = [(rate, counter.net) for rate, counter in closed.rates if counter.net]
    usage = [ComparedLine(LineKind.USAGE, rate, n, _cost(old, rate, n), _cost(new, rate, n)) for rate, n in used]
    rest = {line.kind: line for line in (*before, *after) if line.kind is not LineKind.USAGE}
    others = [ComparedLine(kind, it.text, 0, _sum(before, kind), _sum(after, kind)) for kind, it in rest.items()]
    return Comparison(
        period=closed.period,
        currency=old.currency,
        lines=(*usage, *others),
        was=sum(line.amount for line in before),
        now=sum(line.amount for line in after),
        rematched=_matching(old) != _matching(new),
        discounted=any(counter.discount for _, counter in closed.rates),
    )


def _invoice_lines(contract: Contract, closed: PeriodState) -> tuple[InvoiceLine, ...]:
    """The period closed anew under a contract, without the rates that it does not have."""
    known = {rate.id for rate in contract.rates}
    rates = tuple((rate, counter) for rate, counter in closed.rates if rate in known)
    state = replace(closed, rates=rates, credits=())
    return close_period(contract, state, 0).invoice.lines


def _cost(contract: Contract, rate_id: str, count: int) -> int | None:
    rate = next((rate for rate in contract.rates if rate.id == rate_id), None)
    return None if rate is None else total(rate, count, contract.currency)


def _sum(lines: Iterable[InvoiceLine], kind: LineKind) -> int:
    return sum(line.amount for line in lines if line.kind is kind)


def _matching(contract: Contract) -> tuple[object, ...]:
    return (contract.calendars, contract.time_zone, *((rate.id, rate.match) for rate in contract.rates))
