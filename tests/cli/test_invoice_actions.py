"""`solvent invoice void` and `reissue` over a store and a Stripe in memory."""

from dataclasses import dataclass, field
from io import StringIO

from rich.console import Console

from billing.invoices import Invoice
from billing.periods import Period
from cli.invoice_actions import reissue, void
from settlement.invoicing import follow_unfinished
from settlement.stripe_port import StripeBusy
from tests.fake_stripe import FakeStripe
from tests.memory_store import MemoryRegistry, MemoryStore
from tests.world import World, at


class BusyStripe(FakeStripe):
    def void_invoice(self, invoice: Invoice) -> None:
        raise StripeBusy(f"not now: {invoice.id}")


@dataclass
class Here:
    store: MemoryStore
    registry: MemoryRegistry
    fake: FakeStripe = field(default_factory=FakeStripe)

    def stripe(self) -> FakeStripe:
        return self.fake


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
