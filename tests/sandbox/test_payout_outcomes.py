"""Whatever Stripe does to a payout, it ends in the right state: the engine, the real SDK and the sandbox over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import stripe as sdk

from events.stripe_webhook import check_signature, read_event
from ledger.money import Currency
from payouts.payouts import Payout, PayoutStatus
from settlement.follow_stripe import BALANCE_FOLLOWED, StripeEvent, follow_stripe
from settlement.movements import record_movements
from settlement.plan_payouts import NotPaid
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.stripe_port import StripeBusy, StripeUnclear
from tests.world import World, a_plan, an_expert, at

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox
    from infra.stripe.gateway import StripeGateway
    from tests.sandbox.conftest import Receiver

MONDAY = "2026-03-02T09:00:00"
PAYOUT = "payout:maya:USD:2026-W10"
TRANSFERS = {"method": "POST", "path_prefix": "/v1/transfers"}
PATIENCE = 8  # deliveries, after which a message would be in the dead-letter queue's hands


@dataclass
class Engine:
    """The engine over memory, Stripe over HTTP, and whatever the webhooks delivered so far."""

    world: World
    stripe: StripeGateway
    sandbox: StripeSandbox
    receiver: Receiver
    client: sdk.StripeClient
    secrets: list[str]

    def send(self, as_of: str = MONDAY) -> Payout:
        """Deliver the request to send, again and again as the queue does, until it is dealt with."""
        for _ in range(PATIENCE):
            try:
                return send_payout(self.world.store, self.world.registry, self.stripe, PAYOUT, at(as_of))
            except (StripeUnclear, StripeBusy):
                continue
        raise AssertionError(f"not dealt with after {PATIENCE} deliveries: {self.payout}")

    @property
    def payout(self) -> Payout:
        found = self.world.store.payout(PAYOUT)
        assert found is not None
        return found

    def status(self) -> PayoutStatus:
        return self.payout.status

    def transfers(self) -> list[sdk.Transfer]:
        return self.client.v1.transfers.list({"transfer_group": PAYOUT, "limit": 100}).data

    def go_to(self, day: str) -> None:
        self.sandbox.control("clock", {"now": f"2026-{day}T09:00:00Z"})

    def hear(self) -> list[str]:
        """Take every webhook that was delivered, each as the function does; what was done for each."""
        self.sandbox.control("webhooks/flush")
        return [self._hear(*delivered) for delivered in self.receiver.received]

    def _hear(self, payload: str, signature: str) -> str:
        if not any(self._is_signed(payload, signature, secret) for secret in self.secrets):
            raise AssertionError(f"nobody signed {payload}")
        message: dict[str, Any] = read_event(payload.encode())
        event = StripeEvent(**{**message, "created": datetime.fromisoformat(message["created"])})
        for _ in range(PATIENCE):
            try:
                done = follow_stripe(self.world.store, self.world.registry, self.stripe, event)
            except (StripeUnclear, StripeBusy):
                continue
            if done == BALANCE_FOLLOWED and not self.payout.is_finished:
                self.send(event.created.isoformat()[:19])
            return done
        raise AssertionError(f"not dealt with after {PATIENCE} deliveries: {event}")

    @staticmethod
    def _is_signed(payload: str, signature: str, secret: str) -> bool:
        try:
            check_signature(payload.encode(), signature, secret, datetime.now(UTC))
        except ValueError:
            return False
        return True

    def check(self, transfers: int = 1) -> None:
        """Ledger, states and Stripe agree, and there are as many transfers as there should be."""
        assert len(self.transfers()) == transfers
        self.world.check()
        later = at("2026-04-30")
        record_movements(self.world.store, self.stripe, later)
        found = reconcile(self.world.store, self.stripe, later)
        assert found.is_clean, found


@pytest.fixture
def engine(
    sandbox: StripeSandbox, gateway: StripeGateway, receiver: Receiver, client: sdk.StripeClient, maya: str
) -> Engine:
    """Maya has earned 17.70, which is planned; the platform has nothing yet."""
    world = World(plan=a_plan(minimum_payout="1.00"))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account=maya)
    world.registry.known_statuses.clear()
    world.send(*(world.completed(f"C{number}", "2026-02-16") for number in range(30)))
    secrets = []
    for is_connect in (False, True):
        wanted = {"url": receiver.url, "enabled_events": ["*"], "connect": is_connect}
        secrets.append(str(client.v1.webhook_endpoints.create(wanted).secret))  # type: ignore[arg-type]  # a plain dict
    made = Engine(world, gateway, sandbox, receiver, client, secrets)
    follow = StripeEvent("evt_onboarded", "account.updated", at(MONDAY), "", maya, maya)
    follow_stripe(world.store, world.registry, gateway, follow)
    [planned] = world.plan_payouts(MONDAY)
    assert isinstance(planned, Payout)
    return made


def top_up(engine: Engine) -> None:
    engine.client.v1.topups.create({"amount": 100_000, "currency": "usd"})


@pytest.mark.parametrize("times", [1, 3, 7])
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "timeout_after_commit", "delay_ms": 50},
        {"fault": "drop_before"},
        {"fault": "drop_after_commit"},
        {"fault": "status_500_before"},
        {"fault": "status_500_after_commit"},
        {"fault": "rate_limit_429"},
        {"fault": "rate_limit_429", "should_retry": True},
        {"fault": "rate_limit_429", "should_retry": False},
        {"fault": "conflict_409"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_every_fault_ends_with_one_transfer(engine: Engine, fault: dict[str, object], times: int) -> None:
    top_up(engine)
    engine.sandbox.control("faults", {**fault, "match": TRANSFERS, "times": times})

    assert engine.send().status is PayoutStatus.SENT

    engine.hear()
    engine.check()
    assert engine.world.balance("expert/maya/in_transit") == "0.00"


def test_a_definitive_refusal_gives_the_money_back_and_names_the_reason(engine: Engine, maya: str) -> None:
    top_up(engine)
    engine.sandbox.control("capability", {"account": maya, "status": "restricted"})

    failed = engine.send()

    assert (failed.status, failed.why) == (PayoutStatus.FAILED, "insufficient_capabilities_for_transfer")
    assert engine.world.balance("expert/maya/payable") == "-17.70"
    engine.hear()
    engine.check(transfers=0)
    [held] = engine.world.plan_payouts("2026-03-09")
    assert isinstance(held, NotPaid)
    assert held.missing[0].startswith("stripe_transfers_restricted: Stripe asks for ")


def test_a_payout_without_funds_waits_and_goes_out_when_they_come(engine: Engine) -> None:
    waiting = engine.send()
    assert (waiting.status, waiting.why) == (PayoutStatus.APPROVED, "balance_insufficient")
    assert engine.world.balance("expert/maya/in_transit") == "-17.70"

    top_up(engine)
    engine.hear()

    assert engine.status() is PayoutStatus.SENT
    engine.check()


@pytest.mark.parametrize("seed", range(5))
def test_webhooks_that_repeat_and_overtake_each_other_change_nothing(engine: Engine, seed: int) -> None:
    engine.sandbox.control("webhooks", {"duplicate": 2, "shuffle": seed, "hold": True})
    top_up(engine)
    engine.send()
    engine.go_to("03-10")

    engine.hear()
    engine.hear()

    assert engine.status() is PayoutStatus.PAID
    engine.check()


def test_a_transfer_whose_worker_died_is_booked_by_its_webhook(engine: Engine) -> None:
    top_up(engine)
    engine.sandbox.control("faults", {"fault": "drop_after_commit", "match": TRANSFERS, "times": 3})
    with pytest.raises(StripeUnclear):
        send_payout(engine.world.store, engine.world.registry, engine.stripe, PAYOUT, at(MONDAY))
    assert engine.status() is PayoutStatus.UNKNOWN

    engine.hear()

    assert engine.status() is PayoutStatus.SENT
    engine.check()


def test_e13_a_paid_payout_that_fails_five_days_later_changes_a_status_and_nothing_that_is_owed(
    engine: Engine, maya: str
) -> None:
    top_up(engine)
    engine.send()
    engine.sandbox.control("fail_payout", {"account": maya, "after_days": 5})
    engine.go_to("03-06")
    engine.hear()
    assert engine.status() is PayoutStatus.PAID
    owed = engine.world.balance("expert/maya/payable")

    engine.go_to("03-12")
    engine.hear()

    assert engine.status() is PayoutStatus.SENT
    assert engine.payout.bank_failure
    assert engine.world.balance("expert/maya/payable") == owed == "0.00"
    told = [it for it in engine.world.store.announced.values() if it.type == "payout.bank_failed"]
    assert [(it.data["payout"], it.data["expert"]) for it in told] == [(PAYOUT, "maya")]
    engine.check()


def test_what_is_taken_back_of_a_transfer_is_owed_again_once(engine: Engine) -> None:
    top_up(engine)
    transfer = str(engine.send().stripe_transfer)
    for amount in (300, 1470):
        engine.client.v1.transfers.reversals.create(transfer, {"amount": amount})
        engine.hear()
        engine.hear()

    assert (engine.status(), engine.payout.reversed) == (PayoutStatus.REVERSED, 1770)
    assert engine.world.balance("expert/maya/payable") == "-17.70"
    available = engine.world.store.balances("maya").available
    assert [(it.currency, it.minor_units) for it in available] == [(Currency("USD"), 1770)]
    engine.check()


def test_another_bank_account_is_not_paid_to_before_it_has_cooled_off(engine: Engine, maya: str) -> None:
    engine.sandbox.control("bank", {"account": maya, "number": "000999999991"})
    engine.hear()
    top_up(engine)

    waiting = engine.send()

    assert waiting.status is PayoutStatus.APPROVED
    assert waiting.why == "bank_changed: the new bank account is paid from 2026-03-05"
    assert engine.send("2026-03-05").status is PayoutStatus.SENT
    engine.check()
