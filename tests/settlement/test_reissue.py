"""An invoice that is taken back: voided at Stripe, and issued again as another one."""

import pytest

from billing.invoices import InvoiceStatus, LineKind, invoice_key
from billing.periods import Period
from settlement.reissue import CannotTakeBack, reissue_invoice, void_invoice
from tests.invoicing import APRIL, ISSUED, MARCH, Crash, Story, reissue, void
from tests.world import at


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
