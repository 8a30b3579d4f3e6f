"""The close of a period by hand-computed figures, and what an invoice says of itself."""

from dataclasses import replace
from datetime import date

import pytest

from billing.contracts import Contract
from billing.invoices import (
    CreditNote,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    LineKind,
    Payment,
    close_period,
    invoice_id,
    invoice_key,
)
from billing.periods import Period, PeriodState, PeriodStatus, RateCounter
from ledger.money import Currency
from tests.world import PACKAGE, a_contract, per_unit

MARCH, FEBRUARY = Period("2026-03"), Period("2026-02")
DAY = date(2026, 4, 9)


def a_period(count: int = 0, *, given_back: int = 0, **counter: int) -> PeriodState:
    """A period whose accruals are those of 0.99 each, unless told otherwise."""
    own = RateCounter(**({"issued": count, "net": count, "accrued": 99 * count} | counter))
    given = ((FEBRUARY, given_back),) if given_back else ()
    return PeriodState("acme", MARCH, rates=(("all", own),), credits=given)


def lines(contract: Contract, state: PeriodState, carried: int = 0, prepaid: int = 0) -> list[tuple[str, int]]:
    close = close_period(contract, state, carried, prepaid)
    assert sum(line.amount for line in close.invoice.lines) == close.invoice.total
    return [(line.kind, line.amount) for line in close.invoice.lines]


def test_a_plain_period_is_its_usage() -> None:
    close = close_period(a_contract(net_days=14), a_period(10), 0)

    assert close.invoice == Invoice(
        client="acme",
        period=MARCH,
        currency=Currency("USD"),
        lines=(InvoiceLine(LineKind.USAGE, "all", 10, 990),),
        total=990,
        net_days=14,
        status=InvoiceStatus.PLANNED,
    )
    assert close.period == replace(
        a_period(10), status=PeriodStatus.CLOSED, rates=(("all", RateCounter(10, 10, 990, billed=990)),)
    )
    assert (close.true_up, close.shortfall, close.tax, close.prepaid) == (0, 0, 0, 0)


def test_every_line_in_its_order_with_its_text() -> None:
    contract = a_contract(
        cap={"amount": "8.00"}, commitment={"units": 12, "unit": "0.25"}, minimum="10.00", tax_percent="19"
    )
    close = close_period(contract, a_period(10, discount=50, given_back=100), -30, prepaid=200)

    # 990 - 50 = 940, capped at 800; 2 missing at 25; raised to 1000; less 100 and 30; 19% of 870 is 165.3.
    assert [(line.kind, line.text, line.quantity, line.amount) for line in close.invoice.lines] == [
        (LineKind.USAGE, "all", 10, 990),
        (LineKind.DISCOUNT, "rated below the threshold, or not rated", 1, -50),
        (LineKind.CAP, "beyond the agreed cap", 1, -140),
        (LineKind.COMMITMENT, "resolutions missing from the commitment", 1, 50),
        (LineKind.SHORTFALL, "up to the agreed minimum", 1, 150),
        (LineKind.CREDITS, "resolutions of earlier periods taken back", 1, -100),
        (LineKind.CARRIED, "from earlier periods", 1, -30),
        (LineKind.TAX, "19%", 1, 165),
        (LineKind.PREPAID, "paid from credits", 1, -200),
    ]
    assert (close.invoice.total, close.invoice.status) == (835, InvoiceStatus.PLANNED)
    # What stood accrued: 990 - 50 = 940; what the usage costs: 800.
    assert (close.true_up, close.shortfall, close.tax, close.prepaid) == (-140, 200, 165, 200)
    assert close.period.counter("all").billed == 850


def test_the_true_up_brings_what_stands_accrued_to_what_usage_costs() -> None:
    # Three started packages of 100 at 75.00, while 201 resolutions accrued 75 cents each.
    close = close_period(a_contract(PACKAGE), a_period(201, accrued=201 * 75), 0)
    assert (close.invoice.total, close.true_up) == (22_500, 22_500 - 15_075)


def test_a_cap_that_only_alerts_takes_nothing() -> None:
    contract = a_contract(cap={"amount": "8.00", "action": "alert"})
    assert lines(contract, a_period(10)) == [(LineKind.USAGE, 990)]


@pytest.mark.parametrize(("cap", "taken"), [("9.89", 1), ("9.90", 0), ("9.91", 0)])
def test_a_cap_takes_only_what_is_beyond_it(cap: str, taken: int) -> None:
    close = close_period(a_contract(cap={"amount": cap}), a_period(10), 0)
    assert (close.invoice.total, close.true_up) == (990 - taken, -taken)


def test_what_the_cap_takes_is_shared_out_by_usage() -> None:
    rates = [{"id": name, "price": per_unit("1.00")} for name in ("chat", "mail", "phone")]
    contract = a_contract(cap={"amount": "6.00"}, rates=rates)
    counters = (("chat", RateCounter(net=6)), ("mail", RateCounter(net=3)), ("phone", RateCounter(net=0)))
    close = close_period(contract, PeriodState("acme", MARCH, rates=counters), 0)

    assert [(line.text, line.amount) for line in close.invoice.lines] == [
        ("chat", 600),
        ("mail", 300),
        ("beyond the agreed cap", -300),
    ]
    assert [counter.billed for _, counter in close.period.rates] == [400, 200, 0]


def test_no_more_is_discounted_than_the_usage_costs() -> None:
    contract = a_contract(
        {"model": "volume", "tiers": [{"up_to": 1, "unit": "1.00"}, {"unit": "0.20"}]}, minimum="1.00"
    )
    # Discounts were taken off 1.00; two together cost 0.40.
    assert lines(contract, a_period(2, accrued=200, discount=100)) == [
        (LineKind.USAGE, 40),
        (LineKind.DISCOUNT, -40),
        (LineKind.SHORTFALL, 100),
    ]


@pytest.mark.parametrize(("units", "missing"), [(9, None), (10, None), (11, 13), (12, 25)])
def test_each_resolution_missing_from_the_commitment_is_charged(units: int, missing: int | None) -> None:
    found = dict(lines(a_contract(commitment={"units": units, "unit": "0.125"}), a_period(10)))
    assert found.get(LineKind.COMMITMENT) == missing


@pytest.mark.parametrize(("minimum", "shortfall"), [("9.89", 0), ("9.90", 0), ("9.91", 1)])
def test_the_minimum_is_reached_exactly(minimum: str, shortfall: int) -> None:
    assert close_period(a_contract(minimum=minimum), a_period(10), 0).shortfall == shortfall


@pytest.mark.parametrize(
    ("code", "amount", "carried"),
    [("USD", 50, 0), ("USD", 49, 49), ("USD", 1, 1), ("INR", 1, 0), ("USD", 0, 0), ("USD", -5, -5), ("INR", -1, -1)],
)
def test_less_than_stripe_charges_is_carried_to_the_next_invoice(code: str, amount: int, carried: int) -> None:
    close = close_period(a_contract(currency=code), a_period(), amount)
    is_carried = amount <= 0 or carried != 0
    assert close.period.carried == carried
    assert close.invoice.total == amount - carried
    assert close.invoice.status is (InvoiceStatus.CARRIED if is_carried else InvoiceStatus.PLANNED)
    assert lines(a_contract(currency=code), a_period(), amount) == [
        (kind, minor) for kind, minor in ((LineKind.CARRIED, amount), (LineKind.CARRIED, -carried)) if minor
    ]


def test_what_is_carried_is_taxed_later() -> None:
    close = close_period(a_contract(tax_percent="100"), a_period(), 49)
    assert (close.tax, close.period.carried, close.invoice.total) == (0, 49, 0)
    taxed = close_period(a_contract(tax_percent="100"), a_period(), 50)
    assert (taxed.tax, taxed.period.carried, taxed.invoice.total) == (50, 0, 100)


@pytest.mark.parametrize(
    ("carried", "prepaid", "applied", "left", "status"),
    [
        (40, 40, 40, 0, InvoiceStatus.PAID),  # too little for Stripe, but credits pay it whole
        (40, 39, 0, 40, InvoiceStatus.CARRIED),
        (100, 100, 100, 0, InvoiceStatus.PAID),
        (100, 200, 100, 0, InvoiceStatus.PAID),
        (100, 99, 50, 0, InvoiceStatus.PLANNED),  # as much remains as Stripe charges
        (100, 50, 50, 0, InvoiceStatus.PLANNED),
        (100, 49, 49, 0, InvoiceStatus.PLANNED),
        (100, 0, 0, 0, InvoiceStatus.PLANNED),
        (0, 10, 0, 0, InvoiceStatus.CARRIED),
        (-9, 10, 0, -9, InvoiceStatus.CARRIED),
    ],
)
def test_credits_pay_all_or_leave_what_stripe_can_charge(
    carried: int, prepaid: int, applied: int, left: int, status: InvoiceStatus
) -> None:
    close = close_period(a_contract(), a_period(), carried, prepaid)
    assert (close.prepaid, close.period.carried, close.invoice.status) == (applied, left, status)
    assert close.invoice.total == carried - left - applied


def test_credits_pay_the_tax_too() -> None:
    contract = a_contract(tax_percent="25")
    assert close_period(contract, a_period(), 40, prepaid=50).prepaid == 50
    assert close_period(contract, a_period(), 40, prepaid=49).period.carried == 40


def test_in_a_currency_of_three_decimals_the_last_digit_is_carried() -> None:
    contract = a_contract(per_unit("0.123"), currency="BHD", tax_percent="10")
    close = close_period(contract, a_period(10, accrued=1230), 0)
    assert (close.tax, close.period.carried, close.invoice.total) == (123, 3, 1350)
    assert [line.amount for line in close.invoice.lines] == [1230, 123, -3]
    assert close.invoice.lines[-1] == InvoiceLine(LineKind.CARRIED, "to the next invoice", 1, -3)


@pytest.mark.parametrize(("prepaid", "applied"), [(1053, 1050), (9, 0), (3549, 3540), (3550, 3550), (9999, 3550)])
def test_in_a_currency_of_three_decimals_credits_are_used_in_tens(prepaid: int, applied: int) -> None:
    close = close_period(a_contract(per_unit("0.355"), currency="BHD"), a_period(10, accrued=3550), 0, prepaid)
    assert (close.prepaid, close.invoice.total) == (applied, 3550 - applied)


def test_tax_is_rounded_once_half_away_from_zero() -> None:
    assert close_period(a_contract(tax_percent="2.5"), a_period(), 100).tax == 3
    assert close_period(a_contract(tax_percent="2.4"), a_period(), 100).tax == 2


# -- what an invoice says of itself ------------------------------------------------------------------------------------


def an_invoice(**fields: object) -> Invoice:
    known = Invoice("acme", MARCH, Currency("USD"), (InvoiceLine(LineKind.USAGE, "all", 10, 990),), 990, 14)
    return replace(known, **fields)  # type: ignore[arg-type]  # a factory's fields


def a_payment(amount: int = 990, *, is_available: bool = True) -> Payment:
    return Payment("py_1", amount, 30, DAY, DAY, is_available)


def test_what_is_owed_is_what_nothing_took_off() -> None:
    notes = (CreditNote("n", 100, 19), CreditNote("m", 50, 0, is_withdrawn=True))
    invoice = an_invoice(
        credit_notes=notes,
        payments=(a_payment(200), a_payment(40)),
        paid_outside=7,
        written_off=5,
        voided=3,
        returned=11,
    )
    assert (invoice.credited, invoice.paid) == (119, 247)
    assert invoice.asked == 990 - 119 - 247 - 5 - 3
    assert invoice.owed == invoice.asked + 11
    carried = replace(invoice, status=InvoiceStatus.CARRIED)
    assert (carried.asked, carried.owed) == (0, 11)


def test_a_note_waits_until_stripe_has_it_unless_it_is_withdrawn() -> None:
    note = CreditNote("n", 100, 19)
    assert (note.amount, note.is_waiting) == (119, True)
    assert not replace(note, stripe_note="cn_1").is_waiting
    assert not replace(note, is_withdrawn=True).is_waiting


@pytest.mark.parametrize("status", list(InvoiceStatus))
def test_an_invoice_is_finished_when_nothing_more_is_expected(status: InvoiceStatus) -> None:
    waits = status in {InvoiceStatus.PLANNED, InvoiceStatus.OPEN}
    assert an_invoice(status=status).is_finished != waits
    assert an_invoice(status=status, payments=(a_payment(),)).is_finished != waits
    assert not an_invoice(status=status, payments=(a_payment(), a_payment(is_available=False))).is_finished


@pytest.mark.parametrize(
    ("status", "due_on", "overdue"),
    [
        (InvoiceStatus.OPEN, date(2026, 4, 8), True),
        (InvoiceStatus.OPEN, DAY, False),
        (InvoiceStatus.OPEN, None, False),
        (InvoiceStatus.PAID, date(2026, 4, 8), False),
    ],
)
def test_an_invoice_is_overdue_after_the_day_it_was_due(
    status: InvoiceStatus,
    due_on: date | None,
    overdue: bool,  # noqa: FBT001
) -> None:
    assert an_invoice(status=status, due_on=due_on).is_overdue(DAY) == overdue


def test_ids_name_client_period_and_attempt_and_are_read_back() -> None:
    assert invoice_id("acme", MARCH) == an_invoice().id == an_invoice().attempt_id == "invoice:acme:2026-03"
    assert an_invoice(attempt=2).attempt_id == "invoice:acme:2026-03:2"
    assert invoice_key("invoice:acme:2026-03") == invoice_key("invoice:acme:2026-03:2") == ("acme", MARCH)
    for other in ("invoice:acme", "payout:acme:2026-03", "payout:acme:2026-03:2", "invoice:a:b:c:d", ""):
        assert invoice_key(other) is None
