"""Worlds where experts can be paid, and what must hold of the money whatever happened to it."""

from collections import Counter
from collections.abc import Callable
from copy import copy
from datetime import datetime

from ledger.money import Currency
from payouts.payouts import Payout, PayoutStatus
from payouts.policy import PayoutPolicy
from settlement.expert_status import ExpertStatus
from settlement.ports import Contention
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.stripe_port import StripeBusy, StripeUnclear, TransfersCapability
from tests.fake_stripe import FakeStripe
from tests.interleaving import Outside, copied
from tests.world import World, a_plan, an_expert, at

USD = Currency("USD")
MONDAY, LATER = at("2026-03-16"), at("2026-03-18")
RUN = "2026-W12"
# What a queue delivers again; anything else ends the invocation, and is delivered again too.
AGAIN = (Contention, StripeBusy, StripeUnclear, ConnectionError)


def a_paying_world(*experts: str, cases: int = 2, plan: dict[str, object] | None = None, **fields: object) -> World:
    """Each expert has 50.00 for each of so many cases, available on MONDAY, and a bank account; Maya by default."""
    names = experts or ("maya",)
    terms: dict[str, object] = {"base": {"kind": "fixed", "amount": "50.00"}, "minimum_payout": "10.00"}
    world = World(plan=a_plan(**(terms | (plan or {}))), experts=names)
    world.registry.all_experts = {
        name: an_expert(name, **({"stripe_account": f"acct_{name}"} | fields)) for name in names
    }
    world.registry.known_statuses = {
        name: ExpertStatus(name, transfers=TransfersCapability.ACTIVE, bank=f"bank_{name}") for name in names
    }
    world.send(*(world.completed(f"{name}-{i}", "2026-03-02", name) for name in names for i in range(cases)))
    return world


def with_policy(world: World, **fields: object) -> World:
    """The same world, with a payout policy for US dollars."""
    world.registry.known_policies = {USD: PayoutPolicy.model_validate({"id": "USD"} | fields)}
    return world


def id_of(expert: str = "maya", run: str = RUN) -> str:
    return f"payout:{expert}:USD:{run}"


def seen(world: World, now: Outside) -> World:
    """The world as it is now."""
    other = copy(world)
    other.store, other.registry = now.store, now.registry
    return other


def forked(world: World, now: Outside) -> tuple[World, FakeStripe]:
    """A copy of the world as it is now, and of its Stripe, that go their own way."""
    return seen(world, Outside(copied(now.store), copied(now.registry), None)), copied(now.stripe)


def again_until_done(act: Callable[[], Payout]) -> Payout:
    """What a queue gets by delivering a message until nothing fails."""
    for _ in range(12):
        try:
            return act()
        except AGAIN:
            continue
    raise AssertionError("it never ends")


def send_all(world: World, stripe: FakeStripe, as_of: datetime = LATER) -> None:
    """Send, or find out about, every payout that is not finished, twice: as each trigger of a run and each day does."""
    for id_ in 2 * sorted(world.store.unfinished_payouts()):
        again_until_done(lambda id_=id_: send_payout(world.store, world.registry, stripe, id_, as_of))  # type: ignore[misc]  # a bound default


def check_money(world: World, stripe: FakeStripe) -> None:
    """What holds at every moment, between the steps of those who are at work and after one who died."""
    transfers = Counter(payout.id for payout in stripe.transfers.values())
    assert max(transfers.values(), default=0) <= 1, "a payout is one transfer"
    world.check()
    balances = world.trial_balance()
    payouts = list(world.store.payouts())
    for expert in world.experts:
        waiting = sum(payout.in_transit for payout in payouts if payout.expert == expert)
        assert -balances.balance(f"expert/{expert}/in_transit", USD) == waiting  # type: ignore[arg-type]  # an account
    for payout in payouts:
        made = stripe.transfers.get(payout.stripe_transfer or "")
        assert (made is not None and made.id == payout.id and made.amount == payout.amount) == payout.has_transfer


def check_end(world: World, stripe: FakeStripe) -> None:
    """What holds once everything was delivered: the books and Stripe agree, and what waits says for what."""
    check_money(world, stripe)
    payouts = list(world.store.payouts())
    assert {payout.id for payout in stripe.transfers.values()} == {it.id for it in payouts if it.has_transfer}
    for payout in payouts:
        assert payout.is_finished or payout.why or payout.status is PayoutStatus.PLANNED, f"{payout} waits for nothing"
    found = reconcile(world.store, stripe, LATER)
    assert found.is_clean, found.differences
