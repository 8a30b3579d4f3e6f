"""Invoices over the real SDK: whatever breaks between two calls, there is one invoice with each line once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import stripe as sdk

from billing.invoices import Invoice, InvoiceStatus
from billing.periods import Period
from infra.stripe.gateway import StripeGateway
from settlement.invoicing import follow_unfinished, issue_or_follow
from settlement.reconcile import reconcile
from settlement.reissue import CannotTakeBack, reissue_invoice, void_invoice
from tests.world import World, a_contract, at, per_unit

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox

MARCH = ("acme", Period("2026-03"))
NOW = at("2026-04-02T12:00:00")


class Crash(BaseException):
    """The process ends here."""


@dataclass
class Story:
    """A client with 10 resolutions in March at 10.00 each and 10% tax, closed, in front of the sandbox."""

    sandbox: StripeSandbox
    world: World = field(init=False)
    gateway: StripeGateway = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = StripeGateway(self.sandbox.api_key, self.sandbox.url)
        self.world = World(contract=a_contract(per_unit("10.00"), starts_on="2026-03-01", tax_percent="10"))
        self.world.send(*(self.world.completed(f"C{i}", f"2026-03-31T0{i}:00:00", expert=None) for i in range(10)))
        self.world.close("2026-04-02")

    def run(self) -> None:
        """What the schedule does; nothing may fail."""
        assert follow_unfinished(self.world.store, self.world.registry, self.gateway, NOW)[1] == {}

    def pay(self, amount: int) -> None:
        self.sandbox.control("pay_invoice", {"invoice": self.invoice.stripe_invoice, "amount": amount})

    def reopen(self, *cases: str) -> None:
        self.world.send(*(self.world.reopened(case, "2026-04-02T10:00:00") for case in cases))

    def void(self) -> Invoice:
        return void_invoice(self.world.store, self.world.registry, self.gateway, MARCH, NOW)

    def reissue(self) -> Invoice:
        return reissue_invoice(self.world.store, self.world.registry, self.gateway, MARCH, NOW)

    @property
    def invoice(self) -> Invoice:
        return self.world.store.stored_invoices[MARCH]

    def check(self, unbilled: str, receivable: str) -> None:
        """Balances as given; everything is reconciled, and Stripe asks for what the ledger has as receivable."""
        self.world.check()
        balances = (self.world.balance("client/acme/unbilled"), self.world.balance("client/acme/receivable"))
        assert balances == (unbilled, receivable)
        assert reconcile(self.world.store, self.gateway, NOW).differences == ()
        issued = self.gateway.invoice(str(self.invoice.stripe_invoice))
        assert issued.status is self.invoice.status
        if issued.status is InvoiceStatus.OPEN:
            assert issued.remaining == self.invoice.owed

    def made(self, kind: str) -> list[dict[str, object]]:
        """What the sandbox holds of a kind."""
        return list(self.sandbox.control("state", method="GET")["objects"].get(kind, {}).values())


@pytest.fixture
def story(sandbox: StripeSandbox) -> Story:
    sandbox.control("clock", {"now": NOW.isoformat()})
    return Story(sandbox)


@dataclass
class Calls:
    """Counts the writes to Stripe, and ends the process before or after the one with a number."""

    crash_at: int = -1
    is_answered: bool = False
    number: int = 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    seen, request = Calls(), sdk.RequestsClient.request

    def counted(self: sdk.RequestsClient, method: str, *args: object, **kwargs: object) -> object:
        if method != "post":
            return request(self, method, *args, **kwargs)  # type: ignore[arg-type]
        number, seen.number = seen.number, seen.number + 1
        if number == seen.crash_at and not seen.is_answered:
            raise Crash
        answer = request(self, method, *args, **kwargs)  # type: ignore[arg-type]
        if number == seen.crash_at:
            raise Crash
        return answer

    monkeypatch.setattr(sdk.RequestsClient, "request", counted)
    return seen


def whole_story(story: Story) -> None:
    """Issued, credited, voided, issued again."""
    story.run()
    story.reopen("C1", "C2")
    story.run()
    story.void()
    story.reissue()


def test_wherever_the_process_ends_between_two_calls_everything_is_at_stripe_once(
    sandbox: StripeSandbox, calls: Calls
) -> None:
    whole_story(Story(sandbox))
    count = calls.number
    assert count == 12  # customer; draft, two lines, finalize; note; void; draft, three lines, finalize

    def again(story: Story) -> None:
        if story.invoice.attempt == 1 and not story.invoice.credit_notes:
            whole_story(story)
            return
        story.run()
        if story.invoice.attempt == 1:
            story.void()
        if story.invoice.status is not InvoiceStatus.OPEN:
            story.reissue()

    for crash_at in range(count):
        for is_answered in (False, True):
            sandbox.control("reset", {})
            calls.number, calls.crash_at, calls.is_answered = 0, crash_at, is_answered
            story = Story(sandbox)
            with pytest.raises(Crash):
                whole_story(story)
            calls.crash_at = -1
            again(story)
            assert [it["status"] for it in story.made("in")] == ["void", "open"]
            assert [it["amount"] for it in story.made("ii")] == [100_00, 10_00, 100_00, -20_00, 8_00]
            assert [it["amount"] for it in story.made("cn")] == [22_00]
            assert len(story.made("cus")) == 1
            story.check(unbilled="0.00", receivable="88.00")


def test_an_invoice_is_paid_in_parts_and_reaches_the_balance_less_the_fee(story: Story) -> None:
    story.run()
    story.check(unbilled="0.00", receivable="110.00")
    assert story.invoice.due_on == at("2026-05-02").date()
    for amount, left in ((40_00, "70.00"), (70_00, "0.00")):
        story.pay(amount)
        story.run()
        story.check(unbilled="0.00", receivable=left)
    assert story.world.balance("stripe/clearing") == "110.00"
    story.sandbox.control("clock", {"now": "2026-04-06T00:00:00Z"})
    story.run()
    assert (story.invoice.status, story.invoice.is_finished) == (InvoiceStatus.PAID, True)
    assert story.world.balance("stripe/clearing") == "0.00"
    story.check(unbilled="0.00", receivable="0.00")


def test_a_declined_payment_is_seen_until_the_invoice_is_paid(story: Story) -> None:
    story.run()
    story.sandbox.control("fail_payment", {"invoice": story.invoice.stripe_invoice})
    story.run()
    failure = story.invoice.last_failure
    assert failure is not None
    assert (failure.code, failure.failed_on) == ("card_declined", NOW.date())
    story.pay(110_00)
    story.run()
    assert story.invoice.last_failure is None
    story.check(unbilled="0.00", receivable="0.00")


def test_an_unpaid_invoice_is_credited_by_a_note_with_its_share_of_the_tax(story: Story) -> None:
    story.run()
    story.reopen("C1")
    for _ in range(2):
        story.run()
    [note] = story.made("cn")
    lines: dict[str, list[dict[str, object]]] = note["lines"]  # type: ignore[assignment]
    assert [line["amount"] for line in lines["data"]] == [10_00, 1_00]
    assert story.world.balance("tax/payable") == "-9.00"
    story.check(unbilled="0.00", receivable="99.00")
    story.pay(99_00)
    story.run()
    story.check(unbilled="0.00", receivable="0.00")


def test_a_note_that_the_payment_overtook_is_withdrawn(story: Story) -> None:
    story.run()
    story.reopen("C1")
    story.world.store.before_commit = lambda changes: story.pay(110_00) if changes.periods and not paid() else None

    def paid() -> bool:
        return bool(story.made("ch"))

    follow_unfinished(story.world.store, story.world.registry, story.gateway, NOW)
    story.run()
    assert story.made("cn") == []
    assert [note.is_withdrawn for note in story.invoice.credit_notes] == [True]
    assert story.world.balance("tax/payable") == "-10.00"
    story.check(unbilled="-10.00", receivable="0.00")


def test_a_note_given_by_hand_at_stripe_is_booked(story: Story, client: sdk.StripeClient) -> None:
    story.run()
    client.v1.credit_notes.create({"invoice": str(story.invoice.stripe_invoice), "amount": 11_00})
    story.run()
    assert story.world.balance("revenue/credits") == "10.00"
    story.check(unbilled="0.00", receivable="99.00")


def test_what_is_uncollectible_is_written_off_and_recovered_when_it_is_paid(
    story: Story, client: sdk.StripeClient
) -> None:
    story.run()
    story.pay(10_00)
    client.v1.invoices.mark_uncollectible(str(story.invoice.stripe_invoice))
    story.run()
    assert story.world.balance("cost/bad_debt") == "100.00"
    story.check(unbilled="0.00", receivable="0.00")
    story.pay(100_00)
    issue_or_follow(story.world.store, story.world.registry, story.gateway, MARCH, NOW)  # as its webhook asks
    assert story.world.balance("cost/bad_debt") == "0.00"
    story.check(unbilled="0.00", receivable="0.00")


def test_an_invoice_paid_outside_stripe_is_booked_to_the_bank(story: Story, client: sdk.StripeClient) -> None:
    story.run()
    client.v1.invoices.pay(str(story.invoice.stripe_invoice), {"paid_out_of_band": True})
    story.run()
    assert story.world.balance("bank/cash") == "110.00"
    story.check(unbilled="0.00", receivable="0.00")


def test_a_partly_paid_invoice_is_not_voided_and_a_void_one_is_issued_again(story: Story) -> None:
    story.run()
    story.void()
    story.check(unbilled="110.00", receivable="0.00")
    story.reissue()
    story.check(unbilled="0.00", receivable="110.00")
    story.pay(1_00)
    with pytest.raises(CannotTakeBack, match=r"1\.00 USD of it was paid"):
        story.void()
    story.check(unbilled="0.00", receivable="109.00")


def test_a_currency_with_three_decimals_is_invoiced_in_steps_that_stripe_takes(
    gateway: StripeGateway, client: sdk.StripeClient
) -> None:
    contract = a_contract(per_unit("1.234"), currency="BHD", starts_on="2026-03-01", tax_percent="10")
    world = World(contract=contract)
    world.send(world.completed("C1", "2026-03-31", expert=None))
    planned = world.close("2026-04-02")
    assert [line.amount for line in planned.lines] == [1234, 123, -7]
    assert follow_unfinished(world.store, world.registry, gateway, NOW)[1] == {}
    stored = world.store.stored_invoices[MARCH]
    assert gateway.invoice(str(stored.stripe_invoice)).total == stored.total == 1350
    items = client.v1.invoice_items.list({"invoice": str(stored.stripe_invoice)}).data
    assert sorted((item.amount, str(item.description)) for item in items) == [
        (-10, "carried: to the next invoice (exactly -0.007 BHD)"),
        (130, "tax: 10% (exactly 0.123 BHD)"),
        (1230, "1 x all (exactly 1.234 BHD)"),
    ]
