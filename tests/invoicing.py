"""A client whose March is closed and invoiced, and what happens to the invoice: for every test of one."""

from dataclasses import dataclass, field

from billing.invoices import Invoice
from billing.periods import Period
from settlement.invoicing import follow_unfinished, issue_or_follow
from settlement.reconcile import reconcile
from settlement.reissue import reissue_invoice, void_invoice
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


def void(story: Story) -> Invoice:
    return void_invoice(story.world.store, story.world.registry, story.stripe, MARCH, at("2026-04-05"))


def reissue(story: Story) -> Invoice:
    return reissue_invoice(story.world.store, story.world.registry, story.stripe, MARCH, at("2026-04-06"))


class Crash(BaseException):
    """The process ends here."""
