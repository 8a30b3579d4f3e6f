"""The close of a period: from its counters to the lines of one invoice. Nothing here reads an entry."""

from dataclasses import replace
from datetime import date
from enum import StrEnum

from billing.contracts import Contract
from billing.periods import Period, PeriodState, PeriodStatus, RateCounter
from billing.pricing import total
from ledger.money import (
    Currency,
    minor_unit_exponent,
    parse_decimal,
    round_half_away,
    split_by_weight,
    to_minor_units,
)
from ledger.records import dataclass
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
    CAP = "cap"
    COMMITMENT = "commitment"
    SHORTFALL = "shortfall"
    CREDITS = "credits"
    CARRIED = "carried"
    TAX = "tax"
    PREPAID = "prepaid"


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
class PaymentFailure:
    """The last try to pay that failed, with Stripe's code for the reason, such as card_declined."""

    code: str
    failed_on: date


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit on an invoice that is not paid, in minor units > 0: `net`, and the share of the invoice's tax with it.

    It counts as soon as the ledger holds it; `stripe_note` is known once Stripe has it. A withdrawn one never got there
    and does not count.
    """

    id: str
    net: int
    tax: int
    stripe_note: str | None = None
    is_withdrawn: bool = False

    @property
    def amount(self) -> int:
        """What the client need not pay."""
        return self.net + self.tax

    @property
    def is_waiting(self) -> bool:
        """Whether Stripe has still to be told."""
        return self.stripe_note is None and not self.is_withdrawn


@dataclass(frozen=True, slots=True)
class Invoice:
    """One client's invoice of one period; `total` is the sum of its lines, in minor units.

    `payments`, `credit_notes`, and what was `paid_outside` Stripe, `written_off` or `voided` (minor units) are what the
    ledger holds. `returned` is what went back of payments by refunds and chargebacks, the last on `returned_on`, and is
    owed again: Stripe does not ask for it, and keeps the status. `attempt` counts issues of the period: one that was
    voided may be issued again, and `earlier` are Stripe's ids of those before. `due_on` and `last_failure` are as
    Stripe has them.
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
    credit_notes: tuple[CreditNote, ...] = ()
    paid_outside: int = 0
    written_off: int = 0
    voided: int = 0
    returned: int = 0
    returned_on: date | None = None
    attempt: int = 1
    earlier: tuple[str, ...] = ()
    due_on: date | None = None
    last_failure: PaymentFailure | None = None
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

    @property
    def attempt_id(self) -> str:
        """The id of this attempt; of the first it is the invoice's own."""
        return self.id if self.attempt == 1 else f"{self.id}:{self.attempt}"

    @property
    def credited(self) -> int:
        """What credit notes took off, in minor units."""
        return sum(note.amount for note in self.credit_notes if not note.is_withdrawn)

    @property
    def paid(self) -> int:
        """What was paid, in minor units."""
        return sum(payment.amount for payment in self.payments) + self.paid_outside

    @property
    def owed(self) -> int:
        """What the client owes by the ledger, in minor units; below 0 if more was paid."""
        return self.asked + self.returned

    @property
    def asked(self) -> int:
        """What of that Stripe asks the client for: all but what went back after it was paid."""
        if self.status is InvoiceStatus.CARRIED:
            return 0
        return self.total - self.credited - self.paid - self.written_off - self.voided

    def is_overdue(self, day: date) -> bool:
        """Whether it is open on a day after the one on which it was due."""
        return self.status is InvoiceStatus.OPEN and self.due_on is not None and self.due_on < day


def invoice_id(client: str, period: Period) -> str:
    """The id of the one invoice of a client's period."""
    return f"invoice:{client}:{period}"


def invoice_key(id_: str) -> tuple[str, Period] | None:
    """The client and period of the id of an invoice, or of an attempt of it; None for any other text."""
    match id_.split(":"):
        case ["invoice", client, period] | ["invoice", client, period, _]:
            return client, Period(period)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Close:
    """What closing a period comes to: the amounts to post (minor units) and the invoice they lead to.

    `true_up` (signed) brings what stands accrued to what the usage costs, cap included; `shortfall` is what is missing
    from the commitment and the minimum; `prepaid` is what is paid from credits.
    """

    period: PeriodState
    invoice: Invoice
    true_up: int
    shortfall: int
    tax: int
    prepaid: int


def close_period(contract: Contract, state: PeriodState, carried_in: int, prepaid: int = 0) -> Close:
    """Close an open period: N is fixed, accruals are trued up to f(N), and the invoice is totalled.

    The order is that of the contract: usage - discounts; at most the cap, where it waives; plus what is missing from
    the commitment; raised to the minimum; less credits for earlier periods and what earlier closes carried; plus tax,
    rounded half away from zero on that sum; less prepaid credits, of which `prepaid` are usable. A sum below Stripe's
    minimum charge, a negative one included, that credits do not pay whole, is carried to the next invoice before tax;
    and credits never leave less than that minimum to pay. In a currency with three decimals the last digit is carried,
    and credits are used in tens, since Stripe takes only multiples of ten.
    """
    code = contract.currency
    usage = _usage(contract, state)
    missing = _missing_units(contract, state)
    before_minimum = usage.net + missing
    shortfall = max(0, _minor(contract, contract.minimum) - before_minimum)
    before_tax = before_minimum + shortfall - state.given_back + carried_in
    least = max(1, STRIPE_MINIMUM_CHARGE.get(code, 1))
    tax = round_half_away(max(0, before_tax) * exact_percent(contract.tax_percent))
    carry_all = before_tax <= 0 or (before_tax < least and before_tax + tax > prepaid)
    tax = 0 if carry_all else tax
    step = _stripe_step(code)
    left = before_tax if carry_all else (before_tax + tax) % step
    due = before_tax + tax - left
    applied = due if due <= prepaid else max(0, min(prepaid, due - least)) // step * step
    lines = (
        *usage.lines(state),
        InvoiceLine(LineKind.COMMITMENT, "resolutions missing from the commitment", 1, missing),
        InvoiceLine(LineKind.SHORTFALL, "up to the agreed minimum", 1, shortfall),
        InvoiceLine(LineKind.CREDITS, "resolutions of earlier periods taken back", 1, -state.given_back),
        InvoiceLine(LineKind.CARRIED, "from earlier periods", 1, carried_in),
        InvoiceLine(LineKind.TAX, f"{contract.tax_percent}%", 1, tax),
        InvoiceLine(LineKind.PREPAID, "paid from credits", 1, -applied),
        InvoiceLine(LineKind.CARRIED, "to the next invoice", 1, -left),
    )
    invoice = Invoice(
        client=state.client,
        period=state.period,
        currency=code,
        lines=tuple(line for line in lines if line.amount or line.kind is LineKind.USAGE),
        total=due - applied,
        net_days=contract.net_days,
        status=InvoiceStatus.CARRIED if carry_all else InvoiceStatus.PLANNED if due > applied else InvoiceStatus.PAID,
    )
    closed = replace(state, status=PeriodStatus.CLOSED, carried=left, rates=usage.billed(state))
    return Close(closed, invoice, usage.net - state.charged, missing + shortfall, tax, applied)


@dataclass(frozen=True, slots=True)
class _Usage:
    """A period's usage per rate, its discounts and what the cap takes, in minor units >= 0."""

    by_rate: dict[str, int]
    discounts: int
    capped: int

    @property
    def net(self) -> int:
        return sum(self.by_rate.values()) - self.discounts - self.capped

    def lines(self, state: PeriodState) -> tuple[InvoiceLine, ...]:
        used = [(rate, state.counter(rate).net, amount) for rate, amount in self.by_rate.items()]
        return (
            *(InvoiceLine(LineKind.USAGE, rate, count, amount) for rate, count, amount in used if count),
            InvoiceLine(LineKind.DISCOUNT, "rated below the threshold, or not rated", 1, -self.discounts),
            InvoiceLine(LineKind.CAP, "beyond the agreed cap", 1, -self.capped),
        )

    def billed(self, state: PeriodState) -> tuple[tuple[str, RateCounter], ...]:
        """The counters with what each rate is billed; what the cap takes is shared out by usage."""
        shares = split_by_weight(self.capped, list(self.by_rate.values()))
        return tuple(
            (rate, replace(state.counter(rate), billed=amount - share))
            for (rate, amount), share in zip(self.by_rate.items(), shares, strict=True)
        )


def _usage(contract: Contract, state: PeriodState) -> _Usage:
    by_rate = {rate: total(contract.rate(rate), counter.net, contract.currency) for rate, counter in state.rates}
    # Discounts were taken off list prices; where the total comes out lower, no more is discounted than it costs.
    discounts = sum(min(counter.discount, by_rate[rate]) for rate, counter in state.rates)
    most = contract.waives_beyond
    capped = 0 if most is None else max(0, sum(by_rate.values()) - discounts - most)
    return _Usage(by_rate, discounts, capped)


def _missing_units(contract: Contract, state: PeriodState) -> int:
    """What the resolutions missing from the commitment cost, rounded once, half away from zero."""
    if contract.commitment is None:
        return 0
    missing = max(0, contract.commitment.units - sum(counter.net for _, counter in state.rates))
    return round_half_away(missing * to_minor_units(parse_decimal(contract.commitment.unit), contract.currency))


def _minor(contract: Contract, amount: str) -> int:
    return round_half_away(to_minor_units(parse_decimal(amount), contract.currency))


def _stripe_step(code: Currency) -> int:
    return 10 if minor_unit_exponent(code) == 3 else 1
