"""Instant payouts: what is shown is what is made, once per key, and the fee is for what was really done."""

from dataclasses import replace
from datetime import date

import pytest

from payouts.payouts import Instant, Payout, PayoutStatus
from settlement.pay_on_demand import OnDemandRefused, pay_on_demand, quote
from settlement.send_payouts import send_payout
from settlement.stripe_port import NotEnoughFunds, StripeRefused, StripeUnclear
from tests.fake_stripe import FakeStripe, ServerError
from tests.paying import LATER, MONDAY, USD, a_paying_world, check_end, id_of, send_all, with_policy
from tests.world import World

OFFER = {"instant_fee_percent": "1.5", "instant_fee_minimum": "0.50"}
ID = id_of(run="on-demand-k1")


def an_offer(**policy: object) -> World:
    return with_policy(a_paying_world(), **(OFFER | policy))


def shown(world: World) -> Payout:
    return quote(world.store, world.registry, "maya", USD, MONDAY)


def ask(world: World, quoted: Payout, key: str = "k1", by: str = "maya") -> Payout:
    return pay_on_demand(world.store, world.registry, quoted, key, by, MONDAY)


def test_a_quote_shows_what_arrives_and_the_fee_and_writes_nothing() -> None:
    world = an_offer()
    before = world.entries()
    offered = shown(world)
    assert (offered.gross, offered.withheld, offered.fee, offered.amount) == (10_000, 0, 150, 9_850)
    assert world.entries() == before
    assert list(world.store.payouts()) == []


def test_withholding_comes_before_the_fee() -> None:
    world = with_policy(a_paying_world(withholding_percent="24"), **OFFER)
    offered = shown(world)
    assert (offered.withheld, offered.fee, offered.amount) == (2_400, 114, 7_486)


def test_an_agreed_payout_is_made_sent_and_its_fee_is_income_of_the_platform() -> None:
    world, stripe = an_offer(), FakeStripe()
    made = ask(world, shown(world))
    assert (made.id, made.status, made.instant, made.planned_by) == (ID, PayoutStatus.APPROVED, Instant.WANTED, "maya")
    done = send_payout(world.store, world.registry, stripe, made.id, MONDAY)
    assert (done.status, done.instant, done.bank_payout) == (PayoutStatus.SENT, Instant.DONE, f"po_{ID}")
    assert stripe.bank_payouts[f"po_{ID}"].amount == 9_850
    assert (world.balance("cost/fees"), world.balance("stripe/balance")) == ("-1.50", "-98.50")
    check_end(world, stripe)


def test_the_same_key_is_the_same_payout_however_often_it_is_asked() -> None:
    world, stripe = an_offer(), FakeStripe()
    agreed = shown(world)
    made = ask(world, agreed)
    assert ask(world, agreed) == made
    send_payout(world.store, world.registry, stripe, made.id, MONDAY)
    assert ask(world, agreed).status is PayoutStatus.SENT
    with pytest.raises(OnDemandRefused, match=f"{ID} was made already, of 98.50 USD; use another key"):
        ask(world, replace(agreed, amount=agreed.amount - 1))
    with pytest.raises(OnDemandRefused, match="maya has nothing available in USD"):
        ask(world, agreed, "k2")


def test_another_amount_than_was_agreed_is_not_made() -> None:
    world = an_offer()
    agreed = shown(world)
    world.send(world.reopened("maya-0", "2026-03-08"))
    with pytest.raises(OnDemandRefused, match=r"from \(10000, 0, 150\) to \(5000, 0, 75\)"):
        ask(world, agreed)
    assert list(world.store.payouts()) == []
    assert ask(world, shown(world)).gross == 5_000


@pytest.mark.parametrize(
    ("policy", "bank", "missing"),
    [
        ({"instant_fee_percent": None}, "bank_maya", "no_instant_payouts"),
        ({"instant_fee_minimum": "100.00"}, "bank_maya", "nothing_left_after_withholding_and_fee"),
        ({"per_day": "99.99"}, "bank_maya", "above_day_limit"),
        ({}, None, "no_bank_account"),
    ],
)
def test_what_cannot_be_paid_at_once_says_why(policy: dict[str, object], bank: str | None, missing: str) -> None:
    world = an_offer(**policy)
    world.registry.known_statuses["maya"] = replace(world.registry.known_statuses["maya"], bank=bank)
    with pytest.raises(OnDemandRefused, match=f"maya is not paid in USD now: {missing}$"):
        shown(world)


def test_a_new_bank_account_waits_for_an_instant_payout_too() -> None:
    world = an_offer(cooling_off_days=3)
    status = world.registry.known_statuses["maya"]
    world.registry.known_statuses["maya"] = replace(status, bank="bank_2", bank_changed_on=date(2026, 3, 14))
    with pytest.raises(OnDemandRefused, match="bank_changed: the new bank account is paid from 2026-03-17"):
        shown(world)


def test_who_does_not_exist_is_refused() -> None:
    world = an_offer()
    with pytest.raises(OnDemandRefused, match="there is no expert zoe; apply one"):
        quote(world.store, world.registry, "zoe", USD, MONDAY)


@pytest.mark.parametrize(("threshold", "status"), [("100.00", "approved"), ("99.99", "planned")])
def test_only_above_the_threshold_an_instant_payout_waits_for_a_second_person(threshold: str, status: str) -> None:
    world, stripe = an_offer(approve_above=threshold), FakeStripe()
    made = ask(world, shown(world))
    assert made.status == status
    send_payout(world.store, world.registry, stripe, made.id, MONDAY)
    assert len(stripe.transfers) == (status == "approved")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (StripeRefused("instant_payouts_unsupported", "not this bank"), "instant_payouts_unsupported"),
        (NotEnoughFunds("balance_insufficient", "not yet"), "balance_insufficient"),
        (StripeUnclear("500", replayed=True), "stored_error"),
    ],
)
def test_a_refused_instant_payout_goes_by_the_schedule_and_gives_the_fee_back(error: Exception, why: str) -> None:
    world, stripe = an_offer(), FakeStripe(fail_instant=[(error, False)])
    done = send_payout(world.store, world.registry, stripe, ask(world, shown(world)).id, MONDAY)
    assert (done.status, done.instant, done.why) == (
        PayoutStatus.SENT,
        Instant.REFUSED,
        f"instant payout refused: {why}",
    )
    assert (world.balance("cost/fees"), world.balance("expert/maya/payable")) == ("0.00", "-1.50")
    assert stripe.bank_payouts == {}
    check_end(world, stripe)


@pytest.mark.parametrize("error", [StripeUnclear("timed out"), ServerError("500")])
@pytest.mark.parametrize("is_made", [False, True])
def test_an_unclear_instant_payout_is_found_or_made_later_and_charged_once(error: Exception, *, is_made: bool) -> None:
    world, stripe = an_offer(), FakeStripe(fail_instant=[(error, is_made)])
    made = ask(world, shown(world))
    with pytest.raises(StripeUnclear):
        send_payout(world.store, world.registry, stripe, made.id, MONDAY)
    waiting = world.store.payout(made.id)
    assert waiting is not None
    assert (waiting.status, waiting.instant, waiting.is_finished) == (PayoutStatus.SENT, Instant.WANTED, False)
    assert world.balance("expert/maya/in_transit") == "-1.50"
    send_all(world, stripe, LATER)
    is_known_not_to_be = isinstance(error, ServerError) and not is_made
    assert world.balance("cost/fees") == ("0.00" if is_known_not_to_be else "-1.50")
    assert len(stripe.bank_payouts) == (not is_known_not_to_be)
    check_end(world, stripe)
