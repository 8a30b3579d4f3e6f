"""Webhooks about accounts and bank payouts at the same time, every interleaving: the newest that Stripe says stays."""

from datetime import datetime

from payouts.payouts import PayoutStatus
from settlement.bank_leg import follow_account, follow_bank_payout
from settlement.follow_stripe import StripeEvent, follow_stripe
from settlement.onboard import onboard
from settlement.send_payouts import send_payout
from settlement.stripe_port import BankPayoutStatus, TransfersCapability
from tests.exploring import explored
from tests.fake_stripe import FakeStripe
from tests.faults import crashes, failures
from tests.interleaving import Outside, Worker
from tests.paying import LATER, MONDAY, a_paying_world, id_of
from tests.world import World, at

ACCOUNT = "acct_maya"


def changing(**fields: object) -> Worker:
    """The account changes at Stripe, and a webhook tells it."""

    def work(now: Outside) -> None:
        now.stripe.change_account(ACCOUNT, **fields)
        follow_account(now.store, now.registry, now.stripe, ACCOUNT, LATER)

    return work


def ending(bank_payout: str, status: BankPayoutStatus) -> Worker:
    """The bank takes a payout, or returns it, and a webhook tells it."""

    def work(now: Outside) -> None:
        now.stripe.end_bank_payout(bank_payout, status)
        follow_bank_payout(now.store, now.registry, now.stripe, ACCOUNT, bank_payout, LATER)

    return work


def telling(bank_payout: str, as_of: datetime = LATER) -> Worker:
    """A webhook about a bank payout that comes again, or late."""
    return lambda now: follow_bank_payout(now.store, now.registry, now.stripe, ACCOUNT, bank_payout, as_of)


def a_sent_payout() -> tuple[World, FakeStripe]:
    """Maya's payout was transferred, and is on its way to her bank."""
    world, stripe = a_paying_world(), FakeStripe()
    world.plan_payouts()
    send_payout(world.store, world.registry, stripe, id_of(), MONDAY)
    follow_account(world.store, world.registry, stripe, ACCOUNT, MONDAY)
    stripe.pay_out("po_1", "tr_1", status=BankPayoutStatus.IN_TRANSIT)
    return world, stripe


def test_what_stripe_said_last_about_an_account_is_what_stays() -> None:
    workers = [
        changing(transfers=TransfersCapability.RESTRICTED, requirements=("individual.id_number",)),
        changing(transfers=TransfersCapability.ACTIVE, requirements=()),
        changing(transfers=TransfersCapability.PENDING),
    ]
    found, ends = explored(a_paying_world(), workers)
    assert found.schedules > 10**6
    for world, stripe in ends:
        said, kept = stripe.account_status(ACCOUNT), world.registry.known_statuses["maya"]
        assert (kept.transfers, kept.requirements, kept.bank) == (said.transfers, said.requirements, said.bank)


def test_a_new_bank_account_begins_one_cooling_off_however_often_it_is_told() -> None:
    world = a_paying_world()
    follow_account(world.store, world.registry, FakeStripe(), ACCOUNT, MONDAY)
    _, ends = explored(world, [changing(bank="bank_2"), changing(bank="bank_2")], failures, 1)
    kept = {after.registry.known_statuses["maya"].bank_changed_on for after, _ in ends}
    assert kept == {LATER.date()}


def test_a_payout_that_the_bank_takes_and_then_returns_ends_as_returned() -> None:
    world, stripe = a_sent_payout()
    workers = [ending("po_1", BankPayoutStatus.PAID), ending("po_1", BankPayoutStatus.FAILED)]
    found, ends = explored(world, workers, failures, 1, stripe=stripe)
    assert found.schedules > 10**6
    for after, _ in ends:
        payout = after.store.stored_payouts[id_of()]
        assert (payout.status, payout.bank_payout, payout.bank_failure) == (PayoutStatus.SENT, "po_1", "failed")
        assert [id_ for id_, _ in after.registry.known_statuses["maya"].failed_bank_payouts] == ["po_1"]
        assert after.balance("expert/maya/payable") == "0.00"


def test_a_second_try_that_the_bank_took_is_not_undone_by_late_webhooks_about_the_first() -> None:
    world, stripe = a_sent_payout()
    stripe.end_bank_payout("po_1", BankPayoutStatus.FAILED)
    stripe.pay_out("po_2", "tr_1", status=BankPayoutStatus.IN_TRANSIT, created_at=at("2026-03-17"))
    workers = [telling("po_1"), ending("po_2", BankPayoutStatus.PAID), telling("po_1")]
    found, ends = explored(world, workers, stripe=stripe)
    assert found.schedules > 10**6
    for after, _ in ends:
        payout = after.store.stored_payouts[id_of()]
        assert (payout.status, payout.bank_payout, payout.bank_failure) == (PayoutStatus.PAID, "po_2", None)
        assert after.registry.known_statuses["maya"].failed_bank_payouts == ()


def test_a_reversal_and_the_bank_leg_at_once_lose_neither() -> None:
    world, stripe = a_sent_payout()
    reversed_ = StripeEvent("evt_1", "transfer.reversed", LATER, id_of(), "tr_1")
    stripe.reverse("tr_1", 2_500)
    webhook: Worker = lambda now: follow_stripe(now.store, now.registry, now.stripe, reversed_)  # noqa: E731
    found, ends = explored(world, [webhook, webhook, ending("po_1", BankPayoutStatus.PAID)], stripe=stripe)
    assert found.schedules > 10**6
    for after, _ in ends:
        payout = after.store.stored_payouts[id_of()]
        assert (payout.status, payout.reversed) == (PayoutStatus.PAID, 2_500)
        assert after.balance("expert/maya/payable") == "-25.00"


def test_two_who_onboard_at_once_make_one_account() -> None:
    world = a_paying_world(stripe_account=None)

    def onboarding(now: Outside) -> None:
        for _ in onboard(now.store, now.registry, now.stripe, MONDAY):
            pass

    _, ends = explored(world, [onboarding] * 2, crashes, 1)
    assert {after.registry.all_experts["maya"].stripe_account for after, _ in ends} == {ACCOUNT}
