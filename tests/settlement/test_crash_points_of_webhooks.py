"""A crash before, during and after every call that a webhook leads to, then recovery: as if nothing had happened.

As in test_crash_points.py, which calls there are is found by running. Afterwards every event comes once more under
another id, as Stripe does it, and changes nothing.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ledger.money import Currency
from settlement.bank_leg import follow_account
from settlement.follow_stripe import StripeEvent, follow_stripe
from settlement.invoicing import follow_unfinished
from settlement.pay_on_demand import pay_on_demand, quote
from settlement.send_payouts import send_payout
from settlement.stripe_port import BankPayoutStatus, MovementKind, StripeUnclear, TransfersCapability
from tests.exploring import explored
from tests.fake_stripe import FakeStripe, a_movement
from tests.faults import crashes, disappearances, failures
from tests.interleaving import Outside, Worker, calls_of
from tests.paying import LATER, MONDAY, USD, a_paying_world, id_of, with_policy
from tests.world import World, a_contract, at, per_unit

ACCOUNT, CHARGE = "acct_maya", "ch_in_acme_2026-03_1"
AFTER_CLOSE = at("2026-04-03")
Story = tuple[World, FakeStripe, StripeEvent]


def an_event(type_: str, subject: str = "", object_: str = "", account: str = "", **fields: object) -> StripeEvent:
    event = StripeEvent("evt_1", type_, LATER, subject, object_, account)
    return replace(event, **fields)  # type: ignore[arg-type]  # checked by replace


# -- what happened before, and what is told ----------------------------------------------------------------------------


def sent() -> tuple[World, FakeStripe]:
    """Maya's payout was transferred, and is on its way to her bank."""
    world, stripe = a_paying_world(withholding_percent="24"), FakeStripe()
    world.plan_payouts()
    send_payout(world.store, world.registry, stripe, id_of(), MONDAY)
    follow_account(world.store, world.registry, stripe, ACCOUNT, MONDAY)
    stripe.pay_out("po_1", "tr_1", status=BankPayoutStatus.IN_TRANSIT)
    return world, stripe


def a_transfer_whose_answer_was_lost() -> Story:
    world, stripe = a_paying_world(), FakeStripe(fail=[(StripeUnclear("timed out"), True)])
    world.plan_payouts()
    with pytest.raises(StripeUnclear):
        send_payout(world.store, world.registry, stripe, id_of(), MONDAY)
    return world, stripe, an_event("transfer.created", id_of(), "tr_1")


def a_transfer_that_is_known() -> Story:
    return *sent(), an_event("transfer.updated", id_of(), "tr_1")


def a_transfer_that_was_partly_reversed() -> Story:
    world, stripe = sent()
    stripe.reverse("tr_1", 2_500)
    return world, stripe, an_event("transfer.reversed", id_of(), "tr_1")


def a_transfer_that_was_reversed() -> Story:
    world, stripe = sent()
    stripe.reverse("tr_1", 7_600)
    return world, stripe, an_event("transfer.reversed", id_of(), "tr_1")


def a_bank_payout_that_arrived() -> Story:
    world, stripe = sent()
    stripe.end_bank_payout("po_1", BankPayoutStatus.PAID)
    return world, stripe, an_event("payout.paid", "", "po_1", ACCOUNT)


def a_bank_payout_that_came_back_five_days_later() -> Story:
    world, stripe, paid = a_bank_payout_that_arrived()
    follow_stripe(world.store, world.registry, stripe, replace(paid, id="evt_0"))
    stripe.end_bank_payout("po_1", BankPayoutStatus.FAILED, "account_closed")
    return world, stripe, an_event("payout.failed", "", "po_1", ACCOUNT, created=at("2026-03-23"))


def an_instant_payout_that_arrived() -> Story:
    world, stripe = with_policy(a_paying_world(), instant_fee_percent="1"), FakeStripe()
    shown = quote(world.store, world.registry, "maya", USD, MONDAY)
    made = pay_on_demand(world.store, world.registry, shown, "k1", "maya", MONDAY)
    done = send_payout(world.store, world.registry, stripe, made.id, MONDAY)
    stripe.end_bank_payout(str(done.bank_payout), BankPayoutStatus.PAID)
    return world, stripe, an_event("payout.paid", made.id, str(done.bank_payout), ACCOUNT)


def a_capability_that_was_lost() -> Story:
    world, stripe = sent()
    asked = ("individual.verification.document",)
    stripe.change_account(ACCOUNT, transfers=TransfersCapability.RESTRICTED, requirements=asked)
    return world, stripe, an_event("account.updated", "", ACCOUNT, ACCOUNT)


def a_bank_account_that_was_changed(type_: str) -> Callable[[], Story]:
    def story() -> Story:
        world, stripe = sent()
        stripe.change_account(ACCOUNT, bank="bank_2")
        return world, stripe, an_event(type_, "", "ba_2", ACCOUNT)

    return story


def a_capability_of_accounts_v2() -> Story:
    world, stripe = sent()
    stripe.change_account(ACCOUNT, transfers=TransfersCapability.PENDING)
    return world, stripe, an_event("v2.core.account[configuration.recipient].capability_status_updated", "", ACCOUNT)


def a_top_up(type_: str) -> Callable[[], Story]:
    def story() -> Story:
        world, stripe = sent()
        stripe.top_up("march", 50_000, Currency("USD"))
        return world, stripe, an_event(type_, "", "tu_march")

    return story


def invoiced() -> tuple[World, FakeStripe]:
    """Acme has an invoice of 100.00 for March, open at Stripe."""
    world, stripe = World(contract=a_contract(per_unit("10.00"), starts_on="2026-03-01")), FakeStripe()
    world.send(*(world.completed(f"C{i}", f"2026-03-31T0{i}:00:00", expert=None) for i in range(10)))
    world.close("2026-04-02")
    return world, stripe


def paid() -> tuple[World, FakeStripe]:
    world, stripe = invoiced()
    follow_unfinished(world.store, world.registry, stripe, AFTER_CLOSE)
    stripe.pay("in_acme_2026-03", 10_000)
    return world, stripe


def an_invoice_that_was_paid(type_: str) -> Callable[[], Story]:
    return lambda: (*paid(), an_event(type_, "invoice:acme:2026-03", "in_acme_2026-03", created=AFTER_CLOSE))


def an_invoice_that_is_not_issued_yet() -> Story:
    """Its balance webhook issues what is only planned."""
    return *invoiced(), an_event("balance.available", created=AFTER_CLOSE)


def a_credit_note_by_hand() -> Story:
    world, stripe = invoiced()
    follow_unfinished(world.store, world.registry, stripe, AFTER_CLOSE)
    stripe.credit("in_acme_2026-03", 2_000)
    return world, stripe, an_event("credit_note.created", "invoice:acme:2026-03", "cn_1", created=AFTER_CLOSE)


def a_payment_taken_back(type_: str, kind: MovementKind, gross: int) -> Callable[[], Story]:
    def story() -> Story:
        world, stripe = paid()
        follow_unfinished(world.store, world.registry, stripe, AFTER_CLOSE)
        stripe.moved.append(a_movement(kind, "re_1", gross, origin=CHARGE))
        return world, stripe, an_event(type_, "", "re_1", created=AFTER_CLOSE)

    return story


def an_own_payout() -> Story:
    world, stripe = paid()
    stripe.moved.append(a_movement(MovementKind.PLATFORM_PAYOUT, "po_own", -5_000))
    return world, stripe, an_event("payout.paid", "", "po_own", created=AFTER_CLOSE)


STORIES: dict[str, Callable[[], Story]] = {
    "transfer_created": a_transfer_whose_answer_was_lost,
    "transfer_updated": a_transfer_that_is_known,
    "transfer_reversed_in_part": a_transfer_that_was_partly_reversed,
    "transfer_reversed": a_transfer_that_was_reversed,
    "payout_paid": a_bank_payout_that_arrived,
    "payout_failed": a_bank_payout_that_came_back_five_days_later,
    "payout_paid_instantly": an_instant_payout_that_arrived,
    "account_updated": a_capability_that_was_lost,
    "account_v2_updated": a_capability_of_accounts_v2,
    "bank_account_created": a_bank_account_that_was_changed("account.external_account.created"),
    "bank_account_updated": a_bank_account_that_was_changed("account.external_account.updated"),
    "top_up": a_top_up("topup.succeeded"),
    "balance": a_top_up("balance.available"),
    "invoice_paid": an_invoice_that_was_paid("invoice.paid"),
    "invoice_payment": an_invoice_that_was_paid("invoice_payment.paid"),
    "invoice_issued": an_invoice_that_is_not_issued_yet,
    "credit_note": a_credit_note_by_hand,
    "refund": a_payment_taken_back("refund.created", MovementKind.REFUND, -4_000),
    "dispute": a_payment_taken_back("charge.dispute.funds_withdrawn", MovementKind.DISPUTE, -10_000),
    "own_payout": an_own_payout,
}


# -- what has to come of it --------------------------------------------------------------------------------------------


def dealing_with(event: StripeEvent) -> Worker:
    return lambda now: follow_stripe(now.store, now.registry, now.stripe, event)


def state(world: World) -> dict[str, object]:
    """All that there is to know afterwards; revisions say only how often it was looked at."""
    return {
        "books": {key: minor for key, minor in world.trial_balance().balances.items() if minor},
        "payouts": [replace(payout, revision=0) for payout in world.store.payouts()],
        "statuses": {name: replace(it, revision=0) for name, it in world.registry.known_statuses.items()},
        "invoices": [replace(invoice, revision=0) for invoice in world.store.invoices()],
        "told": set(world.store.announced),
        "done": world.store.event_is_done("evt_1"),
    }


@pytest.mark.parametrize("name", STORIES)
def test_each_event_calls_for_something_and_only_news_changes_anything(name: str) -> None:
    world, stripe, event = STORIES[name]()
    before = state(world)
    assert follow_stripe(world.store, world.registry, stripe, event) not in {"ignored", "repeated"}
    assert (state(world) | {"done": False} == before) == (name == "transfer_updated")


@pytest.mark.parametrize("name", STORIES)
def test_a_crash_at_any_point_of_a_webhook_is_recovered_from(name: str) -> None:
    world, stripe, event = STORIES[name]()
    work = dealing_with(event)
    calls = calls_of(Outside(world.store, world.registry, stripe), work)
    _, [(usual, _)] = explored(world, [work], stripe=stripe)
    for faults, most, then in ((failures, 1, []), (disappearances, 1, [work]), (crashes, 2, [])):
        found, ends = explored(world, [work], faults, most, stripe=stripe, then=then)
        assert most > 1 or found.schedules == 1 + sum(len(faults(call)) for call in calls), "every point is tried once"
        for after, its_stripe in ends:
            assert state(after) == state(usual)
            assert follow_stripe(after.store, after.registry, its_stripe, event) == "repeated"
            follow_stripe(after.store, after.registry, its_stripe, replace(event, id="evt_2"))
            assert state(after) == state(usual)


@pytest.mark.parametrize("name", STORIES)
def test_an_event_that_comes_twice_at_once_is_as_if_it_came_once(name: str) -> None:
    world, stripe, event = STORIES[name]()
    _, [(usual, _)] = explored(world, [dealing_with(event)], stripe=stripe)
    twice = [dealing_with(event), dealing_with(replace(event, id="evt_2"))]
    found, ends = explored(world, twice, stripe=stripe)
    assert found.schedules > 100
    assert all(state(after) == state(usual) for after, _ in ends)
