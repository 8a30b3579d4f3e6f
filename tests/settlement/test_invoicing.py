"""Invoices after the close: what Stripe says of them is posted as a difference, whatever repeats, lags or crashes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.corrections import next_credit_note
from billing.invoices import CreditNote, Invoice, InvoiceLine, InvoiceStatus, LineKind, PaymentFailure, invoice_key
from billing.periods import Period, PeriodStatus
from ledger.accounts import client_unbilled
from ledger.money import Currency
from ledger.posting_rules import Reason
from settlement.follow_stripe import StripeEvent, follow_stripe
from settlement.invoicing import InvoiceDiffers, follow_unfinished, issue_or_follow
from settlement.ports import Changes
from settlement.reconcile import reconcile
from settlement.reissue import CannotTakeBack, reissue_invoice, void_invoice
from settlement.stripe_port import StripeBusy
from tests.fake_stripe import FakeStripe
from tests.world import World, a_contract, at, per_unit

MARCH, APRIL = ("acme", Period("2026-03")), Period("2026-04")
ISSUED = "in_acme_2026-03"


@dataclass
class Story:
    """A client with 10 resolutions in March, at 10.00 each, closed and issued."""

    fields: dict[str, object] = field(default_factory=dict)
    world: World = field(init=False)
    stripe: FakeStripe = field(default_factory=FakeStripe)
    now: str = "2026-04-02T12:00:00"

    def __post_init__(self) -> None:
        price = self.fields.pop("price", per_unit("10.00"))
        terms = {"starts_on": "2026-03-01"} | self.fields
        self.world = World(contract=a_contract(price, **terms))  # type: ignore[arg-type]
        self.world.send(*(self.world.completed(f"C{i}", f"2026-03-31T0{i}:00:00", expert=None) for i in range(10)))
        self.world.close("2026-04-02")
        self.run()

    def run(self, day: str = "2026-04-02") -> dict[str, str]:
        """What the schedule does; why invoices failed."""
        return follow_unfinished(self.world.store, self.world.registry, self.stripe, at(day))[1]

    def follow(self) -> Invoice:
        found = issue_or_follow(self.world.store, self.world.registry, self.stripe, MARCH, at("2026-04-03"))
        assert found is not None
        return found

    def reopen(self, *cases: str) -> None:
        self.world.send(*(self.world.reopened(case, "2026-04-02T10:00:00", received=self.now) for case in cases))

    @property
    def invoice(self) -> Invoice:
        return self.world.store.stored_invoices[MARCH]

    def balances(self) -> dict[str, str]:
        """Unbilled and receivable as people write them."""
        return {name: self.world.balance(f"client/acme/{name}", self.invoice.currency) for name in UNPAID}

    def check(self) -> None:
        self.world.check()
        assert reconcile(self.world.store, self.stripe, at(self.now)).differences == ()


UNPAID = ("unbilled", "receivable")


def test_a_planned_invoice_is_issued_once_and_says_when_it_is_due() -> None:
    story = Story()
    story.run()
    assert story.invoice.status is InvoiceStatus.OPEN
    assert list(story.stripe.issued) == [ISSUED]
    assert story.balances() == {"unbilled": "0.00", "receivable": "100.00"}
    due = story.invoice.due_on
    assert due is not None
    assert [story.invoice.is_overdue(day) for day in (due, date(2026, 12, 31))] == [False, True]
    story.check()


def test_partial_payments_lower_what_is_owed_until_the_last_one_pays_it() -> None:
    story = Story()
    story.stripe.pay(ISSUED, 40_00, is_available=False)
    assert (story.follow().status, story.invoice.owed) == (InvoiceStatus.OPEN, 60_00)
    story.check()
    story.stripe.pay(ISSUED, 60_00)
    assert (story.follow().status, story.invoice.owed, story.invoice.is_finished) == (InvoiceStatus.PAID, 0, False)
    assert story.world.balance("stripe/clearing") == "40.00"
    story.check()


def test_the_last_failed_payment_is_seen_until_one_succeeds() -> None:
    story = Story()
    story.stripe.failures[ISSUED] = PaymentFailure("card_declined", date(2026, 4, 5))
    assert story.follow().last_failure == PaymentFailure("card_declined", date(2026, 4, 5))
    assert story.balances()["receivable"] == "100.00"
    del story.stripe.failures[ISSUED]
    story.stripe.pay(ISSUED, 100_00)
    assert story.follow().last_failure is None
    story.check()


def test_an_uncollectible_invoice_is_written_off_for_what_was_not_paid() -> None:
    story = Story()
    story.stripe.pay(ISSUED, 40_00)
    story.stripe.statuses[ISSUED] = InvoiceStatus.UNCOLLECTIBLE
    for _ in range(2):
        assert (story.follow().written_off, story.invoice.is_finished) == (60_00, True)
    assert story.world.balance("cost/bad_debt") == "60.00"
    assert story.balances() == {"unbilled": "0.00", "receivable": "0.00"}
    story.check()


def test_what_is_paid_after_the_write_off_is_recovered() -> None:
    story = Story()
    story.stripe.statuses[ISSUED] = InvoiceStatus.UNCOLLECTIBLE
    story.follow()
    for amount, lost in ((40_00, "60.00"), (60_00, "0.00")):
        story.stripe.pay(ISSUED, amount)
        story.follow()
        assert story.world.balance("cost/bad_debt") == lost
        story.check()
    assert story.invoice.status is InvoiceStatus.PAID


def test_a_written_off_invoice_that_is_voided_costs_nothing() -> None:
    story = Story()
    for status in (InvoiceStatus.UNCOLLECTIBLE, InvoiceStatus.VOID):
        story.stripe.statuses[ISSUED] = status
        story.follow()
    assert story.world.balance("cost/bad_debt") == "0.00"
    assert story.balances() == {"unbilled": "100.00", "receivable": "0.00"}
    story.check()


def test_an_invoice_voided_by_hand_at_stripe_goes_back_to_unbilled() -> None:
    story = Story()
    story.stripe.statuses[ISSUED] = InvoiceStatus.VOID
    for _ in range(2):
        assert story.follow().status is InvoiceStatus.VOID
    assert story.balances() == {"unbilled": "100.00", "receivable": "0.00"}
    assert [entry.reason for entry in story.world.entries()].count(Reason.INVOICE_VOIDED) == 1
    story.check()


def test_what_a_paid_invoice_lacks_in_payments_was_paid_to_the_bank() -> None:
    story = Story()
    story.stripe.pay(ISSUED, 40_00)
    story.stripe.statuses[ISSUED] = InvoiceStatus.PAID
    story.follow()
    assert story.world.balance("bank/cash") == "60.00"
    assert story.balances()["receivable"] == "0.00"
    story.check()


def test_a_credit_note_given_by_hand_lowers_revenue_and_its_share_of_the_tax() -> None:
    story = Story({"tax_percent": "10"})
    story.stripe.credit(ISSUED, 11_00)
    for _ in range(2):
        assert story.follow().owed == 99_00
    assert story.world.balance("revenue/credits") == "10.00"
    assert story.world.balance("tax/payable") == "-9.00"
    story.check()


def test_another_total_at_stripe_posts_nothing_and_is_named() -> None:
    story = Story()
    story.stripe.issued[ISSUED] = replace(story.invoice, total=1)
    assert "100" in story.run()[story.invoice.id]
    with pytest.raises(InvoiceDiffers):
        story.follow()


# -- webhooks ----------------------------------------------------------------------------------------------------------

Step = Callable[[FakeStripe], None]


def _is(status: InvoiceStatus) -> Step:
    return lambda stripe: stripe.statuses.update({ISSUED: status})


def _pays(amount: int) -> Step:
    return lambda stripe: stripe.pay(ISSUED, amount)


STORIES: dict[str, tuple[tuple[str, Step], ...]] = {
    "paid in parts": (("invoice.updated", _pays(40_00)), ("invoice.paid", _pays(60_00))),
    "written off, then paid": (
        ("invoice.updated", _pays(10_00)),
        ("invoice.marked_uncollectible", _is(InvoiceStatus.UNCOLLECTIBLE)),
        ("invoice.paid", _pays(90_00)),
    ),
    "credited, written off, voided": (
        ("credit_note.created", lambda stripe: stripe.credit(ISSUED, 5_00)),
        ("invoice.marked_uncollectible", _is(InvoiceStatus.UNCOLLECTIBLE)),
        ("invoice.voided", _is(InvoiceStatus.VOID)),
    ),
}


@pytest.mark.parametrize("told", STORIES.values(), ids=STORIES)
def test_repeated_reordered_and_late_webhooks_end_in_the_same_state(told: Sequence[tuple[str, Step]]) -> None:
    def state(story: Story) -> object:
        story.check()
        balances = {key: minor for key, minor in story.world.trial_balance().balances.items() if minor}
        return replace(story.invoice, revision=0), balances

    def deliver(story: Story, number: int) -> None:
        created = at("2026-04-05")
        event = StripeEvent(f"evt_{number}", told[number][0], created, story.invoice.attempt_id)
        follow_stripe(story.world.store, story.world.registry, story.stripe, event)

    prompt = Story()
    for number, (_, happens) in enumerate(told):
        happens(prompt.stripe)
        deliver(prompt, number)
    for order in permutations(range(len(told))):
        late = Story()
        for _, happens in told:
            happens(late.stripe)
        for number in (*order, *order):
            deliver(late, number)
        assert state(late) == state(prompt)


# -- credit notes ------------------------------------------------------------------------------------------------------


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


class Crash(BaseException):
    """The process ends here."""


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


# -- void and issue again ----------------------------------------------------------------------------------------------


def void(story: Story) -> Invoice:
    return void_invoice(story.world.store, story.world.registry, story.stripe, MARCH, at("2026-04-05"))


def reissue(story: Story) -> Invoice:
    return reissue_invoice(story.world.store, story.world.registry, story.stripe, MARCH, at("2026-04-06"))


def test_a_voided_invoice_is_issued_again_as_another_one_at_stripe() -> None:
    story = Story({"tax_percent": "10"})
    for _ in range(2):
        assert void(story).status is InvoiceStatus.VOID
    assert story.balances() == {"unbilled": "110.00", "receivable": "0.00"}
    story.check()

    again = reissue(story)
    assert (again.status, again.total, again.earlier) == (InvoiceStatus.OPEN, 110_00, (ISSUED,))
    assert again.stripe_invoice == f"{ISSUED}_2"
    assert invoice_key(again.attempt_id) == MARCH
    assert story.balances() == {"unbilled": "0.00", "receivable": "110.00"}
    story.check()
    with pytest.raises(CannotTakeBack, match="only a void one"):
        reissue(story)

    story.stripe.pay(f"{ISSUED}_2", 110_00)
    assert story.follow().is_finished
    assert story.balances() == {"unbilled": "0.00", "receivable": "0.00"}
    story.check()


def test_what_credit_notes_took_off_the_void_invoice_stays_off_the_next() -> None:
    story = Story({"tax_percent": "8.875"})
    story.reopen("C1")
    story.run()
    void(story)
    again = reissue(story)
    assert [(line.kind, line.amount) for line in again.lines] == [
        (LineKind.USAGE, 100_00),
        (LineKind.CREDITS, -10_00),
        (LineKind.TAX, 7_99),
    ]
    assert again.total == sum(line.amount for line in again.lines) == 97_99
    assert story.balances() == {"unbilled": "0.00", "receivable": "97.99"}
    story.reopen("C2")
    story.run()
    assert story.balances() == {"unbilled": "0.00", "receivable": "87.10"}
    story.check()


def test_an_invoice_of_which_anything_was_paid_is_not_voided() -> None:
    story = Story()
    story.stripe.pay(ISSUED, 1)
    with pytest.raises(CannotTakeBack, match=r"0\.01 USD of it was paid"):
        void(story)
    assert story.balances()["receivable"] == "99.99"
    story.check()


def test_what_was_never_issued_is_neither_voided_nor_issued_again() -> None:
    story = Story()
    story.world.close("2026-05-02")
    nothing, unknown = ("acme", APRIL), ("acme", Period("2027-01"))
    store, registry, stripe = story.world.store, story.world.registry, story.stripe
    for key, why in ((nothing, "never issued"), (unknown, "does not exist")):
        with pytest.raises(CannotTakeBack, match=why):
            void_invoice(store, registry, stripe, key, at("2026-05-05"))
    for key, why in ((nothing, "only a void one"), (unknown, "does not exist")):
        with pytest.raises(CannotTakeBack, match=why):
            reissue_invoice(store, registry, stripe, key, at("2026-05-05"))


def test_a_reissue_that_stopped_before_stripe_goes_on() -> None:
    story = Story()
    void(story)
    issue = story.stripe.issue_invoice

    def crash(*_: object) -> None:
        raise Crash

    story.stripe.issue_invoice = crash  # type: ignore[assignment,method-assign]
    with pytest.raises(Crash):
        reissue(story)
    story.stripe.issue_invoice = issue  # type: ignore[method-assign]
    assert reissue(story).status is InvoiceStatus.OPEN
    assert (story.invoice.attempt, list(story.stripe.issued)) == (2, [ISSUED, f"{ISSUED}_2"])
    assert story.balances() == {"unbilled": "0.00", "receivable": "100.00"}
    story.check()


# -- anything, in any order --------------------------------------------------------------------------------------------


def _close_april(story: Story) -> None:
    if story.world.store.periods([("acme", APRIL)])["acme", APRIL].status is PeriodStatus.OPEN:
        story.now = "2026-05-02T12:00:00"
        story.world.close(story.now)


def _at_stripe(story: Story) -> str:
    return str(story.invoice.stripe_invoice)


def _pay_some(story: Story) -> None:
    found = story.stripe.invoice(_at_stripe(story))
    if found.status in {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}:
        story.stripe.pay(found.id, min(found.remaining, 33_00))


def _credit_some(story: Story) -> None:
    found = story.stripe.invoice(_at_stripe(story))
    if found.status is InvoiceStatus.OPEN and found.remaining > 7_00:
        story.stripe.credit(found.id, 7_00)


def _becomes(status: InvoiceStatus) -> Callable[[Story], None]:
    def act(story: Story) -> None:
        found = story.stripe.invoice(_at_stripe(story))
        if found.status is InvoiceStatus.OPEN and (status is InvoiceStatus.UNCOLLECTIBLE or not found.payments):
            story.stripe.statuses[found.id] = status

    return act


def _try(action: Callable[[Story], object]) -> Callable[[Story], None]:
    def act(story: Story) -> None:
        with suppress(CannotTakeBack):
            action(story)

    return act


ACTIONS: dict[str, Callable[[Story], object]] = {
    "reopen one": lambda story: story.reopen(f"C{sum(e.reason is Reason.CREDITED for e in story.world.entries())}"),
    "solve one": lambda story: story.world.send(
        story.world.completed(f"D{len(story.world.entries())}", story.now, expert=None)
    ),
    "run": lambda story: story.run(story.now),
    "follow": Story.follow,
    "pay": _pay_some,
    "credit by hand": _credit_some,
    "uncollectible": _becomes(InvoiceStatus.UNCOLLECTIBLE),
    "void by hand": _becomes(InvoiceStatus.VOID),
    "void": _try(void),
    "reissue": _try(reissue),
    "close April": _close_april,
}


def unbilled(story: Story) -> int:
    """What states say is not billed: open charges less credits, what was carried, and what void invoices gave back."""
    periods = sorted(story.world.store.stored_periods.values(), key=lambda state: state.period)
    closed = [state for state in periods if state.status is PeriodStatus.CLOSED]
    opened = [state.charged - state.given_back for state in periods if state.status is PeriodStatus.OPEN]
    void_ones = [invoice.voided for invoice in story.world.store.stored_invoices.values()]
    return sum(opened) + closed[-1].carried + sum(void_ones)


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(ACTIONS)), max_size=25))
def test_whatever_happens_ledger_states_and_stripe_agree_and_no_credit_is_given_twice(names: list[str]) -> None:
    story = Story({"tax_percent": "8.875"})
    for name in names:
        ACTIONS[name](story)
    story.run(story.now)
    story.follow()
    story.check()
    assert story.world.trial_balance().balance(client_unbilled("acme"), Currency("USD")) == unbilled(story)
    found = story.stripe.invoice(_at_stripe(story))
    assert story.invoice.status is found.status
    if found.status is InvoiceStatus.OPEN:
        assert story.invoice.owed == found.remaining
    given_at_stripe = [note.ours for notes in story.stripe.credit_notes.values() for note in notes if note.ours]
    assert len(given_at_stripe) == len(set(given_at_stripe))
