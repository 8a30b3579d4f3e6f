"""`solvent invoice void`, `reissue` and `settle` over a store and a Stripe in memory."""

from io import StringIO

from rich.console import Console

from billing.corrections import Outcome
from billing.invoices import Invoice
from billing.periods import Period
from cli.invoice_actions import reissue, settle, void
from settlement.invoicing import follow_unfinished
from settlement.movements import record_movements
from settlement.stripe_port import MovementKind, StripeBusy
from tests.commands import Here
from tests.fake_stripe import FakeStripe, a_movement
from tests.world import World, at


class BusyStripe(FakeStripe):
    def void_invoice(self, invoice: Invoice) -> None:
        raise StripeBusy(f"not now: {invoice.id}")


def a_place() -> tuple[Here, StringIO, Console]:
    world, out = World(), StringIO()
    world.solve(10)
    world.close()
    here = Here(world.store, world.registry)
    follow_unfinished(here.store, here.registry, here.fake, at("2026-04-02"))
    return here, out, Console(file=out, width=120)


def test_an_invoice_is_voided_and_issued_again() -> None:
    here, out, console = a_place()
    assert void(here, "acme", "2026-03", console) == 0  # type: ignore[arg-type]
    assert reissue(here, "acme", "2026-03", console) == 0  # type: ignore[arg-type]
    assert out.getvalue().splitlines() == [
        "invoice:acme:2026-03: void, 9.90 USD, in_acme_2026-03 at Stripe",
        "invoice:acme:2026-03:2: open, 9.90 USD, in_acme_2026-03_2 at Stripe",
    ]


def test_what_may_not_be_is_refused_with_a_sentence() -> None:
    here, out, console = a_place()
    assert void(here, "acme", "March", console) == 2  # type: ignore[arg-type]
    assert void(here, "acme", "2027-01", console) == 2  # type: ignore[arg-type]
    assert reissue(here, "acme", "2026-03", console) == 2  # type: ignore[arg-type]
    said = [text in out.getvalue() for text in ("not a period", "does not exist", "void it first")]
    assert said == [True] * 3


def test_a_stripe_that_asks_for_patience_is_a_failure_that_changes_nothing() -> None:
    here, out, console = a_place()
    here.fake = BusyStripe(issued=here.fake.issued)
    assert void(here, "acme", "2026-03", console) == 1  # type: ignore[arg-type]
    assert out.getvalue() == "not now: invoice:acme:2026-03\n"
    assert here.store.stored_invoices["acme", Period("2026-03")].status == "open"


def test_what_went_back_is_settled_once_and_the_rest_stays_open() -> None:
    here, out, console = a_place()
    now = at("2026-04-03")
    here.fake.pay("in_acme_2026-03", 9_90)
    follow_unfinished(here.store, here.registry, here.fake, now)
    here.fake.moved.append(a_movement(MovementKind.REFUND, "re_1", -9_90, origin="ch_in_acme_2026-03_1"))
    record_movements(here.store, here.fake, now)
    for amount, reference in (("4.00", "wire-1"), ("4.00", "wire-1"), (None, "wire-2")):
        said = (Outcome.PAID, reference, amount)
        assert settle(here, ("acme", "2026-03"), said, now, console) == 0  # type: ignore[arg-type]
    left = "of what went back stand open"
    lines = [f"invoice:acme:2026-03: {amount} USD {left}" for amount in ("5.90", "5.90", "0.00")]
    assert out.getvalue().splitlines() == lines


def test_what_cannot_be_settled_is_refused_with_a_sentence() -> None:
    here, out, console = a_place()
    for named, amount, reference in (
        (("acme", "March"), None, "wire-1"),
        (("acme", "2027-01"), None, "wire-1"),
        (("acme", "2026-03"), None, "wire-1"),
        (("acme", "2026-03"), "0.001", "wire-1"),
        (("acme", "2026-03"), "five", "wire-1"),
        (("acme", "2026-03"), None, "wire 1"),
    ):
        said = (Outcome.LOST, reference, amount)
        assert settle(here, named, said, at("2026-04-03"), console) == 2  # type: ignore[arg-type]
    words = (
        "not a period",
        "has no invoice of 2027-01",
        "0.00 USD went back",
        "0.001 is not",
        "'five'",
        "no reference",
    )
    text = " ".join(out.getvalue().split())
    assert [word in text for word in words] == [True] * 6
