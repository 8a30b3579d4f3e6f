"""Invoices after the close: what Stripe says of them is posted as a difference, whatever repeats, lags or crashes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoices import InvoiceStatus, PaymentFailure
from billing.periods import PeriodStatus
from ledger.accounts import client_unbilled
from ledger.money import Currency
from ledger.posting_rules import Reason
from settlement.follow_stripe import StripeEvent, follow_stripe
from settlement.invoicing import InvoiceDiffers
from settlement.reissue import CannotTakeBack
from tests.fake_stripe import FakeStripe
from tests.invoicing import APRIL, ISSUED, Story, reissue, void
from tests.world import at


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
