"""The close of a period: from its counters to the lines of one invoice. Nothing here reads an entry."""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from billing.contracts import Contract
from billing.periods import Period, PeriodState, PeriodStatus
from billing.pricing import total
from ledger.money import Currency, minor_unit_exponent, parse_decimal, round_half_away, to_minor_units
from ledger.terms import exact_percent

# The least that Stripe charges, in minor units (https://docs.stripe.com/currencies, read 2026-11).
STRIPE_MINIMUM_CHARGE = dict.fromkeys(("USD", "EUR", "AUD", "CAD", "CHF", "NZD", "SGD", "BRL"), 50) | {
    "GBP": 30,
    "JPY": 50,
    "DKK": 250,
    "NOK": 300,
    "SEK": 300,
    "AED": 200,
    "PLN": 200,
    "CZK": 1500,
    "HUF": 17500,
    "HKD": 400,
    "MXN": 1000,
    "MYR": 200,
    "RON": 200,
    "THB": 1000,
}


class LineKind(StrEnum):
    """What a line of an invoice is for. The codes are stored for ever."""

    USAGE = "usage"
    DISCOUNT = "discount"
    SHORTFALL = "shortfall"
    CREDITS = "credits"
    CARRIED = "carried"
    TAX = "tax"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line: minor units, negative in the client's favour; `quantity` is N for usage and 1 otherwise."""

    kind: LineKind
    text: str
    quantity: int
    amount: int


class InvoiceStatus(StrEnum):
    """Where an invoice stands: planned in the ledger, then what Stripe says of it; a carried one never gets there."""

    PLANNED = "planned"
    CARRIED = "carried"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of an invoice, in minor units: `fee` is Stripe's. It is cleared once it is in the available balance."""

    id: str
    amount: int
    fee: int
    paid_on: date
    available_on: date
    is_available: bool


@dataclass(frozen=True, slots=True)
class Invoice:
    """One client's invoice of one period; `total` is the sum of its lines, in minor units.

    `payments` are those that the ledger holds, as it holds them.
    """

    client: str
    period: Period
    currency: Currency
    lines: tuple[InvoiceLine, ...]
    total: int
    net_days: int
    status: InvoiceStatus = InvoiceStatus.PLANNED
    stripe_invoice: str | None = None
    payments: tuple[Payment, ...] = ()
    revision: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is expected: carried or given up, or paid with every payment available."""
        if self.status in {InvoiceStatus.PLANNED, InvoiceStatus.OPEN}:
            return False
        return all(payment.is_available for payment in self.payments)

    @property
    def id(self) -> str:
        """Derived: a period has one invoice."""
        return invoice_id(self.client, self.period)


def invoice_id(client: str, period: Period) -> str:
    """The id of the one invoice of a client's period."""
    return f"invoice:{client}:{period}"


def invoice_key(id_: str) -> tuple[str, Period] | None:
    """The client and period of an invoice id; None for any other text."""
    match id_.split(":"):
        case ["invoice", client, period]:
            return client, Period(period)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Close:
    """What closing a period comes to: the amounts to post (minor units) and the invoice they lead to."""

    period: PeriodState
    invoice: Invoice
    true_ups: tuple[tuple[str, int], ...]
    shortfall: int
    tax: int


def close_period(contract: Contract, state: PeriodState, carried_in: int) -> Close:
    """Close an open period: N is fixed, accruals are trued up to f(N), and the invoice is totalled.

    The order is that of the contract: usage - discounts, raised to the minimum; less credits for earlier periods and
    what earlier closes carried; plus tax, rounded half away from zero on that sum. A sum below Stripe's minimum charge,
    a negative one included, is carried to the next invoice before tax. In a currency with three decimals the last digit
    is carried, since Stripe takes only multiples of ten.
    """
    code = contract.currency
    usage = {rate_id: _usage(contract, rate_id, counter.net) for rate_id, counter in state.rates}
    discounts = sum(counter.discount for _, counter in state.rates)
    minimum = round_half_away(to_minor_units(parse_decimal(contract.minimum), code))
    shortfall = max(0, minimum - (sum(usage.values()) - discounts))
    lines = [
        *(
            InvoiceLine(LineKind.USAGE, rate_id, state.counter(rate_id).net, amount)
            for rate_id, amount in usage.items()
            if state.counter(rate_id).net
        ),
        InvoiceLine(LineKind.DISCOUNT, "rated below the threshold, or not rated", 1, -discounts),
        InvoiceLine(LineKind.SHORTFALL, "up to the agreed minimum", 1, shortfall),
        InvoiceLine(LineKind.CREDITS, "resolutions of earlier periods taken back", 1, -state.credits),
        InvoiceLine(LineKind.CARRIED, "from earlier periods", 1, carried_in),
    ]
    before_tax = sum(line.amount for line in lines)
    carry_all = before_tax < max(1, STRIPE_MINIMUM_CHARGE.get(code, 1))
    tax = 0 if carry_all else round_half_away(before_tax * exact_percent(contract.tax_percent))
    left = before_tax if carry_all else (before_tax + tax) % _stripe_step(code)
    lines += [
        InvoiceLine(LineKind.TAX, f"{contract.tax_percent}%", 1, tax),
        InvoiceLine(LineKind.CARRIED, "to the next invoice", 1, -left),
    ]
    invoice = Invoice(
        client=state.client,
        period=state.period,
        currency=code,
        lines=tuple(line for line in lines if line.amount or line.kind is LineKind.USAGE),
        total=before_tax + tax - left,
        net_days=contract.net_days,
        status=InvoiceStatus.CARRIED if carry_all else InvoiceStatus.PLANNED,
    )
    rates = tuple((rate_id, replace(counter, billed=usage[rate_id])) for rate_id, counter in state.rates)
    closed = replace(state, status=PeriodStatus.CLOSED, carried=left, rates=rates)
    true_ups = tuple((rate_id, usage[rate_id] - counter.accrued) for rate_id, counter in state.rates)
    return Close(closed, invoice, true_ups, shortfall, tax)


def _usage(contract: Contract, rate_id: str, net: int) -> int:
    return total(contract.rate(rate_id), net, contract.currency)


def _stripe_step(code: Currency) -> int:
    return 10 if minor_unit_exponent(code) == 3 else 1
