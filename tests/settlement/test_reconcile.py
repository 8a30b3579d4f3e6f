"""Reconciliation: nothing on clean books, every kind of difference by name, age and next step, and no false alarm."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

import pytest

from billing.invoices import Invoice
from ledger.accounts import (
    BANK_CASH,
    STRIPE_BALANCE,
    STRIPE_CLEARING,
    Account,
    client_receivable,
    expert_in_transit,
    expert_payable,
)
from ledger.books import append
from ledger.entries import Entry, EntryId, client_book, evidence, expert_book, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from payouts.payouts import Instant, Payout, PayoutStatus
from settlement.book_sums import keep_sums
from settlement.findings import Finding, Reconciliation
from settlement.invoicing import follow_unfinished
from settlement.movements import record_movements
from settlement.ports import Changes, HoldChange
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.stripe_port import MovementKind, StripeBalance
from tests.fake_stripe import FakeStripe, a_movement
from tests.world import World, a_contract, a_plan, an_expert, at, per_unit

USD, EUR = Currency("USD"), Currency("EUR")
NOW = at("2026-04-02T12:00:00")
PAYOUT, INVOICE = "payout:maya:USD:2026-W12", "invoice:acme:2026-03"
TRANSFER, PAID, WAITING = "tr_1", "ch_in_acme_2026-03_1", "ch_in_acme_2026-03_2"


@dataclass
class Story:
    """Clean books: maya was paid 60.00, acme paid 40.00 of 100.00, with 20.00 more pending; topped up with 500.00."""

    world: World = field(init=False)
    stripe: FakeStripe = field(default_factory=FakeStripe)

    def __post_init__(self) -> None:
        contract = a_contract(per_unit("10.00"), starts_on="2026-03-01")
        self.world = World(contract=contract, plan=a_plan(minimum_payout="1.00"))
        self.world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
        self.world.send(*(self.world.completed(f"C{i}", f"2026-03-02T0{i}:00:00") for i in range(10)))
        self.plan("2026-03-16")
        self.send(PAYOUT, "2026-03-16")
        self.world.close("2026-04-02")
        self.stripe.top_up("first", 500_00, USD)
        self.follow()
        self.stripe.pay("in_acme_2026-03", 40_00)
        self.stripe.pay("in_acme_2026-03", 20_00, is_available=False)
        self.follow()

    def plan(self, day: str) -> None:
        self.world.plan_payouts(day)

    def send(self, payout: str, day: str) -> None:
        send_payout(self.world.store, self.world.registry, self.stripe, payout, at(day))

    def follow(self) -> None:
        assert follow_unfinished(self.world.store, self.world.registry, self.stripe, NOW)[1] == {}
        record_movements(self.world.store, self.stripe, NOW)

    def found(self, as_of: str = "2026-04-02T12:00:00") -> Reconciliation:
        return reconcile(self.world.store, self.stripe, at(as_of))

    def difference(self) -> Finding:
        [it] = self.found().differences
        return it

    @property
    def payout(self) -> Payout:
        return self.world.store.stored_payouts[PAYOUT]

    @property
    def invoice(self) -> Invoice:
        [invoice] = self.world.store.stored_invoices.values()
        return invoice

    def put(self, thing: Payout | Invoice) -> None:
        """Somebody writes past the use cases."""
        if isinstance(thing, Payout):
            self.world.store.stored_payouts[thing.id] = thing
        else:
            self.world.store.stored_invoices[thing.client, thing.period] = thing

    def post(self, book: str, debit: Account, credit: Account, minor_units: int, **facts: str) -> None:
        """A manual entry of 1 April."""
        lines = postings(((debit, minor_units), (credit, -minor_units)), "USD")
        owner = {"client": client_book("acme"), "expert": expert_book("maya")}[book]
        told, on = evidence(facts), date(2026, 4, 1)
        entry = Entry(EntryId("manual:1"), owner, Reason.MANUAL, lines, on, told)
        head = self.world.store.head(owner)
        sealed, after = append(head, (entry,), NOW)
        self.world.store.commit(Changes(entries=sealed, heads=((head, after),)))


def told(finding: Finding) -> tuple[str, str, int]:
    return finding.about, finding.detail, finding.amount


def test_clean_books_have_no_difference_and_name_what_is_under_way() -> None:
    story = Story()
    found = story.found()
    assert (found.is_clean, found.differences) == (True, ())
    assert (found.movements, found.payouts, found.invoices, found.entries) == (4, 1, 1, 17)
    [pending] = found.open
    assert told(pending) == (WAITING, "a payment that is pending", 20_00)
    assert pending.next_step == "waits for Stripe to make it available, expected 2026-04-08"
    assert (pending.age_days(found.day), pending.since) == (24, date(2026, 3, 9))


def test_it_finds_the_same_from_kept_sums_and_writes_nothing() -> None:
    story = Story()
    fresh = story.found()
    keep_sums(story.world.store)
    written: list[Changes] = []
    story.world.store.before_commit = written.append
    kept = story.found()
    assert (kept, kept.entries, written) == (replace(fresh, entries=0), 0, [])
    assert reconcile(story.world.store, story.stripe, NOW, afresh=True) == fresh


# -- the balance at Stripe, source by source ---------------------------------------------------------------------------


def test_a_transfer_that_nobody_knows_is_a_difference_at_once() -> None:
    story = Story()
    story.stripe.moved.append(a_movement(MovementKind.TRANSFER, "tr_9", -7_00, created_on=NOW.date()))
    assert told(story.difference()) == (
        "tr_9",
        "tr_9: a transfer that no payout knows; the ledger moved 0.00 USD, Stripe -7.00 USD",
        -7_00,
    )
    assert story.difference().next_step.startswith("find out at Stripe who made it; reverse it there, or finance")


def test_a_payout_that_stripe_does_not_show_is_found() -> None:
    story = Story()
    del story.stripe.transfers[TRANSFER]
    detail = f"tr_1: the ledger moved -60.00 USD, Stripe 0.00 USD, {PAYOUT} says -60.00 USD"
    assert told(story.difference()) == (PAYOUT, detail, 60_00)
    assert (story.difference().since, story.difference().age_days(NOW.date())) == (date(2026, 3, 16), 17)
    assert story.difference().next_step.endswith("send or book nothing again before")


def test_a_transfer_of_another_amount_is_found() -> None:
    story = Story()
    story.stripe.transfers[TRANSFER] = replace(story.payout, amount=59_00)
    detail = f"tr_1: the ledger moved -60.00 USD, Stripe -59.00 USD, {PAYOUT} says -60.00 USD"
    assert told(story.difference()) == (PAYOUT, detail, 1_00)


def test_a_transfer_in_another_currency_is_found_in_both() -> None:
    story = Story()
    story.stripe.transfers[TRANSFER] = replace(story.payout, currency=EUR)
    assert [(it.about, it.currency, it.amount) for it in story.found().differences] == [
        (TRANSFER, EUR, -60_00),
        (PAYOUT, USD, 60_00),
    ]


def test_a_payout_state_that_differs_from_ledger_and_stripe_is_found() -> None:
    story = Story()
    story.put(replace(story.payout, reversed=5_00))
    detail = f"tr_1: the ledger moved -60.00 USD, Stripe -60.00 USD, {PAYOUT} says -55.00 USD"
    assert told(story.difference()) == (PAYOUT, detail, 0)


def test_a_transfer_that_is_booked_and_that_no_payout_has_is_found() -> None:
    story = Story()
    story.put(replace(story.payout, status=PayoutStatus.FAILED))
    detail = "tr_1: the ledger moved -60.00 USD, Stripe -60.00 USD, and no payout or invoice has it"
    assert told(story.difference()) == (TRANSFER, detail, 0)


def test_two_payouts_that_claim_one_transfer_are_both_named() -> None:
    story = Story()
    story.put(replace(story.payout, id="payout:maya:USD:2026-W13"))
    assert story.difference().about == f"{PAYOUT}, payout:maya:USD:2026-W13"
    assert "says -120.00 USD" in story.difference().detail


def test_a_reversal_is_under_way_until_it_should_have_been_booked() -> None:
    story = Story()
    story.stripe.reverse(TRANSFER, 10_00)
    story.stripe.moved[0] = replace(story.stripe.moved[0], created_on=NOW.date(), available_on=NOW.date())
    assert story.found().is_clean
    [late] = story.found("2026-04-05").differences
    assert told(late)[0] == PAYOUT
    assert late.detail.startswith(
        "tr_1: a reversal that is not booked, of tr_1; the ledger moved -60.00 USD, Stripe -50"
    )
    assert (late.age_days(date(2026, 4, 5)), late.next_step) == (3, "the next daily run books it")


def test_a_payment_that_is_available_and_not_yet_followed_is_under_way_first() -> None:
    story = Story()
    paid, waiting = story.stripe.payments["in_acme_2026-03"]
    now = replace(waiting, is_available=True, available_on=NOW.date())
    story.stripe.payments["in_acme_2026-03"] = (paid, now)
    [open_, *others] = story.found().open
    assert (open_.about, open_.amount, others) == (INVOICE, 19_70, [])
    assert open_.detail.startswith(f"{WAITING}: a payment that is not booked; the ledger moved 0.00 USD")
    assert [it.about for it in story.found("2026-04-05").differences] == [INVOICE]


@pytest.mark.parametrize(
    ("kind", "words", "days"),
    [
        (MovementKind.FEE, "a fee that is not booked", 2),
        (MovementKind.TOP_UP, "a top-up that is not booked", 2),
        (MovementKind.PLATFORM_PAYOUT, "a payout to the platform's bank that is not booked", 2),
        (MovementKind.REFUND, f"a refund that is not booked, of {PAID}", 2),
        (MovementKind.DISPUTE, f"a chargeback that is not booked, of {PAID}", 2),
        (MovementKind.PAYMENT, "a payment that is not booked", 2),
        (MovementKind.OTHER, "a kind of movement that is not booked by itself", None),
    ],
)
def test_what_is_not_booked_is_named_by_kind_and_is_a_difference_when_it_takes_too_long(
    kind: MovementKind, words: str, days: int | None
) -> None:
    story = Story()
    origin = PAID if kind in {MovementKind.REFUND, MovementKind.DISPUTE} else None
    day = NOW.date()
    moved = a_movement(kind, "x_1", -3_00, created_on=day, available_on=day, origin=origin)
    story.stripe.moved.append(moved)
    [it] = [it for it in story.found().findings if it.about != WAITING]
    assert f": {words}; the ledger moved 0.00 USD, Stripe -3.00 USD" in it.detail
    assert it.is_open(day) is (days is not None)
    assert it.open_until == (date(2026, 4, 4) if days else None)
    assert not it.is_open(date(2026, 4, 5))
    assert "book" in it.next_step


@pytest.mark.parametrize("kind", [MovementKind.OTHER, MovementKind.TRANSFER, MovementKind.PAYMENT, MovementKind.FEE])
def test_a_movement_that_finance_booked_by_hand_as_the_next_step_says_is_matched(kind: MovementKind) -> None:
    story = Story()
    story.stripe.moved.append(a_movement(kind, "x_1", 3_00))
    assert story.difference().next_step.endswith("`movement`: txn_x_1 in its evidence") or kind is MovementKind.FEE
    story.post("client", STRIPE_BALANCE, BANK_CASH, 3_00, movement="txn_x_1")
    assert story.found().is_clean


def test_an_entry_that_moves_the_balance_without_a_movement_is_found() -> None:
    story = Story()
    story.post("client", STRIPE_BALANCE, BANK_CASH, 3_00)
    assert told(story.difference()) == ("manual:1", "manual:1: the ledger moved 3.00 USD, Stripe 0.00 USD", -3_00)
    assert story.difference().since == date(2026, 4, 1)


def test_a_pending_movement_is_under_way_until_two_days_after_it_was_expected() -> None:
    story = Story()
    assert story.found("2026-04-10").is_clean
    [late] = story.found("2026-04-11").differences
    assert (late.about, late.next_step) == (WAITING, "waits for Stripe to make it available, expected 2026-04-08")


def test_a_pending_payment_that_is_not_in_clearing_is_named() -> None:
    story = Story()
    day = NOW.date()
    stray = a_movement(MovementKind.PAYMENT, "ch_x", 9_00, is_available=False, created_on=day, available_on=day)
    story.stripe.moved.append(stray)
    [it] = [it for it in story.found().open if it.about == "ch_x"]
    assert told(it) == ("ch_x", "pending, and a payment that is not booked", 9_00)
    assert not it.is_open(date(2026, 4, 5))


def test_a_balance_that_is_not_what_its_movements_sum_to_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    [there] = story.stripe.balances()
    monkeypatch.setattr(story.stripe, "balances", lambda: [replace(there, available=1_00), StripeBalance(EUR, 5_00, 0)])
    assert [told(it) for it in story.found().differences] == [
        (STRIPE_BALANCE, "1.00 USD are available at Stripe, but its balance transactions sum to 479.70 USD", -478_70),
        (STRIPE_BALANCE, "5.00 EUR are available at Stripe, but its balance transactions sum to 0.00 EUR", 5_00),
    ]


# -- states ------------------------------------------------------------------------------------------------------------


def _in_transit(story: Story) -> None:
    story.post("expert", expert_in_transit("maya"), BANK_CASH, 4_00)


def _payable(story: Story) -> None:
    story.world.store.hold_amounts["noah", "USD", date(2026, 4, 20)] = 5_00


def _receivable(story: Story) -> None:
    story.post("client", BANK_CASH, client_receivable("acme"), 6_00)


def _returned(story: Story) -> None:
    story.put(replace(story.invoice, returned=7_00))


@pytest.mark.parametrize(
    ("spoil", "about", "detail", "amount"),
    [
        (
            _in_transit,
            expert_in_transit("maya"),
            "the ledger has 4.00 USD, the states sum to 0.00 USD",
            -4_00,
        ),
        (_payable, expert_payable("noah"), "the ledger has 0.00 USD, the states sum to -5.00 USD", -5_00),
        (_receivable, client_receivable("acme"), "the ledger has 34.00 USD, the states sum to 40.00 USD", 6_00),
        (_returned, client_receivable("acme"), "the ledger has 40.00 USD, the states sum to 47.00 USD", 7_00),
    ],
)
def test_states_that_do_not_add_up_to_their_account_are_found(
    spoil: Callable[[Story], None], about: str, detail: str, amount: int
) -> None:
    story = Story()
    spoil(story)
    assert told(story.difference()) == (about, detail, amount)
    assert story.difference().next_step.startswith("compare the ")


def test_clearing_that_does_not_drain_is_named_with_its_payment_and_age() -> None:
    story = Story()
    story.post("client", STRIPE_CLEARING, BANK_CASH, 8_00, payment="ch_lost")
    assert told(story.difference()) == (
        "ch_lost",
        "ch_lost: stripe/clearing has 8.00 USD, 0.00 USD are pending on invoices",
        -8_00,
    )
    assert story.difference().age_days(NOW.date()) == 1
    waiting = replace(story.invoice.payments[1], amount=19_00)
    story.put(replace(story.invoice, payments=(story.invoice.payments[0], waiting), total=99_00))
    assert [it.about for it in story.found().differences if it.detail.startswith(WAITING)] == [INVOICE]


@pytest.mark.parametrize(
    ("fields", "words", "last"),
    [
        ({"status": PayoutStatus.PLANNED}, "a second person", "2026-04-07"),
        ({"status": PayoutStatus.APPROVED, "why": "balance_insufficient"}, "the next daily run sends it", "2026-04-07"),
        ({"status": PayoutStatus.SENDING}, "looks for its transfer", "2026-04-03"),
        ({"status": PayoutStatus.UNKNOWN, "why": "no clear answer from Stripe"}, "looks for its", "2026-04-03"),
    ],
)
def test_a_payout_on_its_way_is_under_way_with_its_age_and_then_a_difference(
    fields: dict[str, object], words: str, last: str
) -> None:
    story = Story()
    story.world.send(*(story.world.completed(f"D{i}", f"2026-03-20T0{i}:00:00") for i in range(2)))
    story.plan("2026-03-31")
    id_ = "payout:maya:USD:2026-W14"
    story.put(replace(story.world.store.stored_payouts[id_], **fields))  # type: ignore[arg-type]  # checked by replace
    [it] = [it for it in story.found().open if it.about == id_]
    assert (it.amount, it.age_days(NOW.date())) == (12_00, 2)
    assert it.detail == ": ".join(str(value) for value in fields.values())
    assert words in it.next_step
    assert it.is_open(date.fromisoformat(last))
    assert [it.about for it in story.found("2026-04-08").differences] == [id_]


def test_an_instant_payout_that_is_still_wanted_is_under_way() -> None:
    story = Story()
    story.put(replace(story.payout, instant=Instant.WANTED, planned_at=NOW))
    assert [(it.about, it.amount) for it in story.found().open if it.about == PAYOUT] == [(PAYOUT, 60_00)]


def test_a_transfer_that_is_not_yet_confirmed_is_under_way() -> None:
    story = Story()
    story.world.send(story.world.completed("D1", "2026-03-20T00:00:00"))
    story.plan("2026-03-31")
    id_ = "payout:maya:USD:2026-W14"
    sending = replace(story.world.store.stored_payouts[id_], status=PayoutStatus.UNKNOWN)
    story.put(sending)
    day = date(2026, 4, 1)
    made = a_movement(MovementKind.TRANSFER, "tr_2", -6_00, origin=id_, created_on=day, available_on=day)
    story.stripe.moved.append(made)
    [it] = [it for it in story.found().open if it.about == "tr_2"]
    assert it.detail.startswith(f"tr_2: the transfer of {id_}, which is still unknown; the ledger moved 0.00 USD")
    assert "looks for its transfer" in it.next_step
    assert it.open_until == date(2026, 4, 4)


def test_what_went_back_is_listed_until_it_is_settled() -> None:
    story = Story()
    story.stripe.moved.append(a_movement(MovementKind.REFUND, "re_1", -40_00, origin=PAID))
    story.follow()
    [it] = [it for it in story.found("2027-04-02").open if it.about == INVOICE]
    assert (it.amount, it.since) == (40_00, date(2026, 3, 9))
    assert "solvent invoice settle" in it.next_step


# -- no false alarms, and no silence -----------------------------------------------------------------------------------


def test_what_is_written_while_it_is_read_is_no_difference() -> None:
    """Holds and payable are read one after the other, while somebody settles."""
    story = Story()
    store, payable = story.world.store, story.world.store.payable
    late = iter(range(3))

    def settles_before() -> object:
        if (number := next(late)) < 1:
            story.world.send(story.world.completed(f"L{number}", "2026-04-02T10:00:00"))
        return payable()

    store.payable = settles_before  # type: ignore[method-assign, assignment]  # a rival
    assert story.found().differences == ()
    assert next(late) == 2, "it looked twice"


def test_a_real_difference_survives_the_second_look_while_others_write() -> None:
    story = Story()
    _receivable(story)
    payable = story.world.store.payable
    late = iter(range(3))

    def settles_before() -> object:
        story.world.send(story.world.completed(f"L{next(late)}", "2026-04-02T10:00:00"))
        return payable()

    story.world.store.payable = settles_before  # type: ignore[method-assign, assignment]  # a rival
    assert [it.about for it in story.found().differences] == [client_receivable("acme")]


def test_a_broken_book_is_named_and_the_rest_is_compared_all_the_same() -> None:
    story = Story()
    journal = story.world.store.journal[client_book("acme")]
    journal[2] = replace(journal[2], recorded_at=at("2026-05-01"))
    story.stripe.moved.append(a_movement(MovementKind.OTHER, "x_1", 3_00))
    found = {it.about: it for it in story.found().differences}
    assert set(found) == {"client/acme", "txn_x_1"}
    assert "entry 3 (charge:acme/C2/1:1) does not carry the hash" in found["client/acme"].detail
    assert found["client/acme"].described(NOW.date()) == {
        "about": "client/acme",
        "detail": found["client/acme"].detail,
        "amount_minor": 0,
        "currency": None,
        "since": "2026-04-02",
        "age_days": 0,
        "next_step": "let nobody post to it; compare it with the last export and its manifest "
        "(`solvent finance verify`)",
    }


def test_differences_come_oldest_first() -> None:
    story = Story()
    for number, day in enumerate(("2026-04-01", "2026-03-01", "2026-03-20")):
        on = date.fromisoformat(day)
        story.stripe.moved.append(a_movement(MovementKind.OTHER, f"x_{number}", 1_00, created_on=on, available_on=on))
    assert [it.about for it in story.found().differences] == ["txn_x_1", "txn_x_2", "txn_x_0"]


def test_holds_of_experts_without_entries_count() -> None:
    story = Story()
    story.world.store.commit(Changes(holds=(HoldChange("lena", EUR, date(2026, 4, 20), 1),)))
    assert told(story.difference()) == (
        expert_payable("lena"),
        "the ledger has 0.00 EUR, the states sum to -0.01 EUR",
        -1,
    )
