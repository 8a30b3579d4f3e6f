"""Credits of a closed month: a credit note while its invoice is unpaid, a line of the next one afterwards."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.corrections import next_credit_note
from billing.invoices import CreditNote, Invoice, InvoiceLine, InvoiceStatus, LineKind
from billing.periods import PeriodStatus
from ledger.money import Currency
from settlement.ports import Changes
from settlement.stripe_port import StripeBusy
from tests.fake_stripe import FakeStripe
from tests.invoicing import APRIL, ISSUED, MARCH, Crash, Story
from tests.world import per_unit


@dataclass
class BusyOnce(FakeStripe):
    is_busy: bool = True

    def issue_credit_note(self, invoice: Invoice, note: CreditNote) -> None:
        if self.is_busy:
            self.is_busy = False
            raise StripeBusy("not now")
        super().issue_credit_note(invoice, note)


def test_c16_while_march_is_unpaid_its_credit_is_a_credit_note_at_stripe() -> None:
    story = Story({"price": per_unit("0.99")})
    story.reopen("C1")
    assert story.balances() == {"unbilled": "-0.99", "receivable": "9.90"}
    for _ in range(2):
        assert story.run() == {}
    assert story.balances() == {"unbilled": "0.00", "receivable": "8.91"}
    assert [note.amount for note in story.stripe.credit_notes[ISSUED]] == [99]
    assert story.invoice.owed == story.stripe.invoice(ISSUED).remaining == 891
    story.check()

    april = story.world.close("2026-05-02")
    assert [line.kind for line in april.lines if line.amount] == []


def test_c16_once_march_is_paid_its_credit_is_a_line_of_april() -> None:
    story = Story({"price": per_unit("0.99")})
    story.stripe.pay(ISSUED, 990)
    story.follow()
    story.reopen("C1")
    story.run()
    assert story.balances() == {"unbilled": "-0.99", "receivable": "0.00"}
    assert story.stripe.credit_notes == {}
    story.check()

    story.world.send(*(story.world.completed(f"D{i}", f"2026-04-1{i}", expert=None) for i in range(3)))
    april = story.world.close("2026-05-02")
    assert [(line.kind, line.amount) for line in april.lines] == [(LineKind.USAGE, 297), (LineKind.CREDITS, -99)]


def test_a_client_that_pays_before_stripe_has_the_note_gets_the_credit_in_april_instead() -> None:
    story = Story({"tax_percent": "10"})
    story.reopen("C1")

    def pay_first(changes: Changes) -> None:
        if any(note.is_waiting for invoice in changes.invoices for note in invoice.credit_notes):
            story.world.store.before_commit = lambda _: None
            story.stripe.pay(ISSUED, 110_00)

    story.world.store.before_commit = pay_first
    for _ in range(2):
        assert story.run() == {}
    assert story.invoice.status is InvoiceStatus.PAID
    assert [note.is_withdrawn for note in story.invoice.credit_notes] == [True]
    assert story.stripe.credit_notes == {}
    assert story.balances() == {"unbilled": "-10.00", "receivable": "0.00"}
    assert story.world.balance("tax/payable") == "-10.00"
    assert story.world.store.stored_periods["acme", APRIL].credits == ((MARCH[1], 10_00),)
    story.check()


def test_a_part_payment_that_leaves_less_than_the_waiting_note_withdraws_it() -> None:
    story = Story()
    story.reopen("C1", "C2")

    def pay_first(_: Changes) -> None:
        story.world.store.before_commit = lambda _: None
        story.stripe.pay(ISSUED, 85_00)

    story.world.store.before_commit = pay_first
    assert story.run() == {}
    assert [note.is_withdrawn for note in story.invoice.credit_notes] == [True]
    assert story.balances() == {"unbilled": "-20.00", "receivable": "15.00"}
    story.check()


def test_a_second_credit_waits_until_stripe_has_the_first_note() -> None:
    stripe = BusyOnce()
    story = Story(stripe=stripe)
    story.reopen("C1")
    assert story.run() == {story.invoice.id: "not now"}
    story.reopen("C2")
    stripe.is_busy = True
    story.run()
    assert [note.amount for note in story.invoice.credit_notes] == [10_00]
    assert story.balances() == {"unbilled": "-10.00", "receivable": "90.00"}
    story.run()
    assert [note.amount for note in stripe.credit_notes[ISSUED]] == [10_00, 10_00]
    assert story.balances() == {"unbilled": "0.00", "receivable": "80.00"}
    story.check()


def test_a_credit_that_april_has_billed_already_is_not_given_on_march_as_well() -> None:
    story = Story()
    story.reopen("C1")
    story.world.send(*(story.world.completed(f"D{i}", f"2026-04-1{i}", expert=None) for i in range(3)))

    def close_first(changes: Changes) -> None:
        if any(invoice.credit_notes for invoice in changes.invoices):
            story.world.store.before_commit = lambda _: None
            story.world.close("2026-05-02")

    story.world.store.before_commit = close_first
    story.run("2026-05-02")
    assert story.world.store.stored_periods["acme", APRIL].status is PeriodStatus.CLOSED
    assert story.invoice.credit_notes == ()
    assert story.world.store.stored_invoices["acme", APRIL].total == 20_00
    story.run("2026-05-03")
    assert story.balances() == {"unbilled": "0.00", "receivable": "120.00"}
    story.check()


@pytest.mark.parametrize("paid", [90_01, 89_99, 89_60])
def test_a_credit_that_what_remains_does_not_cover_or_that_leaves_too_little_to_collect_waits_for_april(
    paid: int,
) -> None:
    story = Story()
    story.stripe.pay(ISSUED, paid)
    story.reopen("C1")
    story.run()
    assert story.invoice.credit_notes == ()
    assert story.balances() == {"unbilled": "-10.00", "receivable": f"{(100_00 - paid) / 100:.2f}"}
    story.check()


def test_a_credit_of_all_that_remains_ends_the_invoice_without_a_payment() -> None:
    story = Story({"tax_percent": "8.875"})
    for number in range(10):
        story.reopen(f"C{number}")
        story.run()
    assert (story.invoice.status, story.invoice.owed) == (InvoiceStatus.PAID, 0)
    assert len(story.invoice.credit_notes) == 10
    assert {note.tax for note in story.invoice.credit_notes} == {88, 89}
    assert story.world.balance("tax/payable") == "0.00"
    assert story.balances() == {"unbilled": "0.00", "receivable": "0.00"}
    story.check()


def test_dinars_are_credited_in_multiples_of_ten_and_the_rest_in_april() -> None:
    story = Story({"price": per_unit("1.234"), "currency": "BHD"})
    story.reopen("C1")
    story.run()
    assert [note.amount for note in story.invoice.credit_notes] == [1230]
    assert story.world.store.stored_periods["acme", APRIL].credits == ((MARCH[1], 4),)
    assert story.balances() == {"unbilled": "-0.004", "receivable": "11.110"}


@given(st.integers(50, 10_000), st.integers(0, 3000), st.lists(st.integers(1, 2000), max_size=8))
def test_notes_over_everything_give_back_exactly_the_tax(taxable: int, basis_points: int, credits_: list[int]) -> None:
    tax = (taxable * basis_points + 5_000) // 10_000
    lines = (InvoiceLine(LineKind.USAGE, "all", 1, taxable), InvoiceLine(LineKind.TAX, "", 1, tax))
    invoice = Invoice("acme", APRIL, Currency("USD"), lines, taxable + tax, 30, InvoiceStatus.OPEN)
    left = taxable
    for credit in [*credits_, taxable]:
        note = next_credit_note(invoice, min(credit, left))
        if note is not None:
            left -= note.net
            invoice = replace(invoice, credit_notes=(*invoice.credit_notes, note))
            assert note.tax >= 0
            assert abs(note.tax * taxable - note.net * tax) <= taxable
    assert (left, invoice.owed) == (0, 0)
    assert sum(note.tax for note in invoice.credit_notes) == tax


@dataclass
class CrashPoints:
    """Crash at the n-th boundary: before a commit, before or after a credit note is given."""

    at: int
    seen: int = 0

    def passing(self, _: object = None) -> None:
        number, self.seen = self.seen, self.seen + 1
        if number == self.at:
            raise Crash


@dataclass
class FragileStripe(FakeStripe):
    points: CrashPoints = field(default_factory=lambda: CrashPoints(-1))

    def issue_credit_note(self, invoice: Invoice, note: CreditNote) -> None:
        self.points.passing()
        super().issue_credit_note(invoice, note)
        self.points.passing()


@pytest.mark.parametrize("crash_at", range(4))
def test_a_credit_note_is_given_once_wherever_the_process_ends(crash_at: int) -> None:
    stripe = FragileStripe()
    story = Story({"tax_percent": "10"}, stripe=stripe)
    story.reopen("C1", "C2")
    stripe.points = CrashPoints(crash_at)
    story.world.store.before_commit = stripe.points.passing
    with pytest.raises(Crash):
        story.run()
    story.run()
    assert [note.amount for note in stripe.credit_notes[ISSUED]] == [22_00]
    assert story.balances() == {"unbilled": "0.00", "receivable": "88.00"}
    assert story.world.balance("tax/payable") == "-8.00"
    story.check()
