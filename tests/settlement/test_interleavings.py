"""Several workers on one payout, every interleaving of their steps, with everything that may go wrong: one transfer.

Each worker is delivered again, as a queue does, until it ends; then what is still unfinished is sent once more, alone.
"""

from dataclasses import dataclass

import pytest

from payouts.payouts import Instant, Payout, PayoutStatus
from payouts.policy import PayoutsStopped
from settlement.pay_on_demand import pay_on_demand, quote
from settlement.send_payouts import send_payout
from tests.exploring import explored, following, sending
from tests.fake_stripe import FakeStripe
from tests.faults import crashes, failures
from tests.interleaving import Outside, Worker
from tests.paying import MONDAY, USD, a_paying_world, id_of, send_all, with_policy
from tests.world import World

INSTANT = {"instant_fee_percent": "1.5", "instant_fee_minimum": "0.50", "cooling_off_days": 3}


def a_planned_world() -> World:
    world = a_paying_world()
    world.plan_payouts()
    return world


def the_payout(world: World, id_: str = id_of()) -> Payout:
    payout = world.store.payout(id_)
    assert payout is not None
    return payout


def reversing(amount: int) -> Worker:
    """Somebody takes back so much of the transfer at Stripe, if it is there."""

    def work(now: Outside) -> None:
        found = now.stripe.find_transfer(id_of())
        if found is not None:
            now.stripe.reverse(found, amount)

    return work


def stopping(now: Outside) -> None:
    now.registry.stop_payouts(PayoutsStopped("alice", MONDAY, "a drill"))


@pytest.mark.parametrize(("workers", "least"), [(2, 25_000), (3, 888_000_000_000)])
def test_workers_on_one_payout_make_one_transfer_in_every_schedule(workers: int, least: int) -> None:
    found, ends = explored(a_planned_world(), [sending()] * workers)
    assert found.schedules > least
    assert [(the_payout(world).status, len(stripe.transfers)) for world, stripe in ends] == [(PayoutStatus.SENT, 1)]


@pytest.mark.parametrize(("workers", "most_faults", "least"), [(1, 3, 20_000), (2, 1, 10**12), (2, 2, 10**20)])
def test_whatever_fails_in_whichever_schedule_there_is_one_transfer_or_a_refusal(
    workers: int, most_faults: int, least: int
) -> None:
    found, ends = explored(a_planned_world(), [sending()] * workers, failures, most_faults)
    assert found.schedules > least
    for world, stripe in ends:
        assert len(stripe.transfers) == (the_payout(world).status is PayoutStatus.SENT)
    assert {the_payout(world).status for world, _ in ends} == {PayoutStatus.SENT, PayoutStatus.FAILED}


def test_three_workers_of_whom_one_dies_anywhere_make_one_transfer() -> None:
    found, ends = explored(a_planned_world(), [sending()] * 3, crashes, 1)
    assert found.schedules > 10**15
    assert {(the_payout(world).status, len(stripe.transfers)) for world, stripe in ends} == {(PayoutStatus.SENT, 1)}


@dataclass
class ForgetfulStripe(FakeStripe):
    """It keeps no idempotency keys."""

    def transfer(self, payout: Payout) -> str:
        self.by_key.clear()
        return super().transfer(payout)


def test_a_stripe_that_forgets_its_keys_is_found_out() -> None:
    with pytest.raises(AssertionError, match="a payout is one transfer"):
        explored(a_planned_world(), [sending()] * 2, stripe=ForgetfulStripe())


def test_a_webhook_that_comes_while_the_payout_is_sent_books_its_transfer_once() -> None:
    found, ends = explored(a_planned_world(), [sending(), following()], failures, 1)
    assert found.schedules > 10**9
    for world, stripe in ends:
        assert len(stripe.transfers) == (the_payout(world).status is PayoutStatus.SENT)


def test_three_webhooks_about_one_transfer_book_it_once() -> None:
    _, ends = explored(a_planned_world(), [following()] * 3)
    assert {(the_payout(world).status, len(stripe.transfers)) for world, stripe in ends} == {(PayoutStatus.SENT, 1)}


@pytest.mark.parametrize("amounts", [(10_000,), (4_000, 6_000)])
def test_what_is_reversed_is_put_back_once_whenever_it_happens_and_however_often_it_is_told(
    amounts: tuple[int, ...],
) -> None:
    world = a_planned_world()
    workers = [sending(), *(reversing(amount) for amount in amounts), following()]
    found, ends = explored(world, workers, then=[following()])
    assert found.schedules > 10**6
    for after, stripe in ends:
        back = sum(stripe.reversed.values())
        assert the_payout(after).reversed == back
        assert after.balance("expert/maya/payable") == ("0.00" if back == 0 else f"-{back / 100:.2f}")
        assert (the_payout(after).status is PayoutStatus.REVERSED) == (back == 10_000)


def test_a_death_while_a_reversal_is_booked_does_not_book_it_twice() -> None:
    world, stripe = a_planned_world(), FakeStripe()
    send_payout(world.store, world.registry, stripe, id_of(), MONDAY)
    stripe.reverse("tr_1", 4_000)
    _, ends = explored(world, [following()] * 3, failures, 1, stripe=stripe, then=[following()])
    assert {after.balance("expert/maya/payable") for after, _ in ends} == {"-40.00"}


def an_instant_payout() -> World:
    """Maya asked for 100.00 at once: 24.00 are withheld, and 1.14 is the fee."""
    world = with_policy(a_paying_world(withholding_percent="24"), **INSTANT)
    shown = quote(world.store, world.registry, "maya", USD, MONDAY)
    made = pay_on_demand(world.store, world.registry, shown, "k1", "maya", MONDAY)
    assert (made.amount, made.withheld, made.fee, made.id) == (7_486, 2_400, 114, id_of(run="on-demand-k1"))
    return world


def test_an_instant_payout_is_transferred_paid_out_and_charged_once_whatever_fails() -> None:
    id_ = id_of(run="on-demand-k1")
    found, ends = explored(an_instant_payout(), [sending(id_)] * 2, failures, 1)
    assert found.schedules > 10**12
    outcomes = set()
    for world, stripe in ends:
        payout, fees = the_payout(world, id_), world.balance("cost/fees")
        outcomes.add((payout.status, payout.instant, fees, world.balance("expert/maya/payable")))
        assert len(stripe.transfers) == (payout.status is PayoutStatus.SENT)
        assert (payout.bank_payout in stripe.bank_payouts) == (payout.instant is Instant.DONE)
    assert outcomes == {
        (PayoutStatus.SENT, Instant.DONE, "-1.14", "0.00"),
        (PayoutStatus.SENT, Instant.REFUSED, "0.00", "-1.14"),
        (PayoutStatus.FAILED, Instant.WANTED, "0.00", "-100.00"),
    }


def test_two_payouts_of_one_expert_do_not_hinder_each_other() -> None:
    world = with_policy(a_paying_world(), per_expert="60.00")
    world.plan_payouts("2026-03-16")
    world.plan_payouts("2026-03-23")
    workers = [sending(id_of()), sending(id_of(run="2026-W13")), sending(id_of(run="2026-W13"))]
    _, ends = explored(world, workers, crashes, 1)
    assert {(len(stripe.transfers), after.balance("stripe/balance")) for after, stripe in ends} == {(2, "-100.00")}


def test_the_kill_switch_stops_a_payout_at_whatever_step_and_nothing_is_lost() -> None:
    found, ends = explored(a_planned_world(), [sending(), sending(), stopping], failures, 1)
    assert found.schedules > 10**12
    for world, stripe in ends:
        waits = not the_payout(world).is_finished
        assert waits <= (the_payout(world).why == "stopped: by alice because a drill")
        world.registry.resume_payouts()
        send_all(world, stripe)
        assert the_payout(world).is_finished
        assert len(stripe.transfers) == (the_payout(world).status is PayoutStatus.SENT)
