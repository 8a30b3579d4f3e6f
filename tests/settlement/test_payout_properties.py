"""Random histories of earnings, corrections, runs and failures: the money is where it should be, and paid once."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from payouts.payouts import PayoutStatus
from payouts.plans import Schedule
from payouts.policy import PayoutsStopped
from settlement.approve_payouts import approve_run, approve_small_runs, reject_run, waiting_runs
from settlement.bank_leg import follow_bank_payout, follow_transfer
from settlement.pay_on_demand import OnDemandRefused, pay_on_demand, quote
from settlement.plan_payouts import plan_run, run_of
from settlement.reconcile import reconcile
from settlement.send_payouts import send_payout
from settlement.stripe_port import BankPayoutStatus
from tests.fake_stripe import FakeStripe
from tests.faults import ENDS
from tests.paying import AGAIN, USD, a_paying_world, again_until_done, check_money, with_policy
from tests.world import World

EXPERTS = ("maya", "noah")
LIMITS = {"per_expert": "90.00", "per_run": "160.00", "per_day": "220.00", "approve_above": "120.00"}
INSTANT = {"instant_fee_percent": "1.5", "instant_fee_minimum": "0.50"}


def a_world() -> World:
    plan: dict[str, object] = {"payout_schedule": "daily", "hold_days": 2, "minimum_payout": "10.00"}
    world = with_policy(a_paying_world(*EXPERTS, cases=2, plan=plan), **LIMITS, **INSTANT)
    noah = world.registry.all_experts["noah"]
    world.registry.all_experts["noah"] = noah.model_copy(update={"withholding_percent": "24"})
    return world


@dataclass
class History:
    """What happens to two experts, who begin with 100.00 each; a number says to whom, or to which, or how it ends."""

    world: World = field(default_factory=a_world)
    stripe: FakeStripe = field(default_factory=FakeStripe)
    now: datetime = datetime(2026, 3, 5, tzinfo=UTC)
    solved: list[str] = field(default_factory=lambda: [f"{name}-{i}" for name in EXPERTS for i in range(2)])
    numbers: Iterator[int] = field(default_factory=count)

    def wait(self, number: int) -> None:
        self.now += timedelta(hours=number % 60)

    def earn(self, number: int) -> None:
        case = f"C{next(self.numbers)}"
        self.solved.append(case)
        self.world.send(self.world.completed(case, self._time(), EXPERTS[number % 2]))

    def reopen(self, number: int) -> None:
        self.world.send(self.world.reopened(self.solved[number % len(self.solved)], self._time()))

    def plan(self, _: int) -> None:
        list(plan_run(self.world.store, self.world.registry, Schedule.DAILY, self.now, lambda: True))
        approve_small_runs(self.world.store, self.world.registry, run_of(Schedule.DAILY, self.now), self.now)

    def decide(self, number: int) -> None:
        """Somebody looks at what waits, and approves or rejects it."""
        for waiting in waiting_runs(self.world.store):
            if number % 3:
                approve_run(self.world.store, waiting.run, waiting.hash, "bob")
            else:
                reject_run(self.world.store, waiting.run, "bob", "not this one", self.now)

    def ask(self, number: int) -> None:
        with suppress(OnDemandRefused):
            shown = quote(self.world.store, self.world.registry, EXPERTS[number % 2], USD, self.now)
            key = str(next(self.numbers))
            pay_on_demand(self.world.store, self.world.registry, shown, key, shown.expert, self.now)

    def send(self, number: int) -> None:
        """Every unfinished payout once; one of the requests to Stripe ends as the number says."""
        self.stripe.fail, self.stripe.fail_instant = [], []
        if number < 2 * len(ENDS):
            place = self.stripe.fail if number % 2 else self.stripe.fail_instant
            place.append(ENDS[number // 2])
        for id_ in sorted(self.world.store.unfinished_payouts()):
            with suppress(*AGAIN):
                send_payout(self.world.store, self.world.registry, self.stripe, id_, self.now)
        self.stripe.fail, self.stripe.fail_instant = [], []

    def take_back(self, number: int) -> None:
        """Some of a transfer is reversed at Stripe; whether its webhook comes is another question."""
        if self.stripe.transfers:
            transfer = list(self.stripe.transfers)[number % len(self.stripe.transfers)]
            left = self.stripe.transfers[transfer].amount - self.stripe.reversed.get(transfer, 0)
            if left:
                self.stripe.reverse(transfer, min(left, 100 * number + 1))
                if number % 2:
                    self._follow(transfer)

    def bank(self, number: int) -> None:
        """A bank takes or returns what one transfer brought."""
        if self.stripe.transfers:
            transfer = list(self.stripe.transfers)[number % len(self.stripe.transfers)]
            id_, account = f"po_{next(self.numbers)}", self.stripe.transfers[transfer].stripe_account
            status = BankPayoutStatus.FAILED if number % 4 == 0 else BankPayoutStatus.PAID
            self.stripe.pay_out(id_, transfer, status=status, created_at=self.now)
            follow_bank_payout(self.world.store, self.world.registry, self.stripe, account, id_, self.now)

    def stop(self, number: int) -> None:
        if number % 2:
            self.world.registry.stop_payouts(PayoutsStopped("alice", self.now, "to be sure"))
        else:
            self.world.registry.resume_payouts()

    def end(self) -> None:
        """All that waits is approved, all that Stripe has to say is heard, and all is sent."""
        self.world.registry.resume_payouts()
        self.decide(1)
        for id_ in 3 * sorted(self.world.store.unfinished_payouts()):
            again_until_done(
                lambda id_=id_: send_payout(self.world.store, self.world.registry, self.stripe, id_, self.now)  # type: ignore[misc]  # a bound default
            )
        for transfer in self.stripe.transfers:
            self._follow(transfer)

    def _follow(self, transfer: str) -> None:
        id_ = self.stripe.transfers[transfer].id
        again_until_done(lambda: follow_transfer(self.world.store, self.world.registry, self.stripe, id_, self.now))

    def _time(self) -> str:
        self.now += timedelta(seconds=1)
        return self.now.isoformat()[:19]


ACTIONS: list[Callable[[History, int], None]] = [
    History.wait,
    History.earn,
    History.reopen,
    History.plan,
    History.decide,
    History.ask,
    History.send,
    History.take_back,
    History.bank,
    History.stop,
]
# Waiting, earning, planning and sending more often than the rest, so that there is something to go wrong.
OFTEN = [0, 0, 1, 1, 1, 3, 3, 6, 6, *range(len(ACTIONS))]
HISTORIES = st.lists(st.tuples(st.sampled_from(OFTEN), st.integers(0, 59)), min_size=20, max_size=60)


def owed(history: History) -> dict[str, int]:
    """What each expert is held and can be paid, in minor units."""
    sums = history.world.store.payable()
    return {expert: sums.get((expert, USD), 0) for expert in EXPERTS}


def sums(history: History) -> dict[str, int]:
    """Minor units, for both experts together: what they earned, have, and were paid or charged for, in the ledger."""
    totals: dict[str, int] = {}
    for (account, _), minor in history.world.trial_balance().balances.items():
        name = account.rpartition("/")[2] if account.startswith("expert/") else account
        totals[name] = totals.get(name, 0) - minor
    return totals


@settings(max_examples=150, deadline=None)
@given(HISTORIES)
def test_whatever_happens_nothing_is_paid_twice_and_everything_is_somewhere(steps: list[tuple[int, int]]) -> None:
    history = History()
    for place, number in steps:
        before = owed(history)
        ACTIONS[place](history, number)
        check_money(history.world, history.stripe)
        if ACTIONS[place] in {History.plan, History.ask}:
            assert all(min(before[expert], 0) <= owed(history)[expert] for expert in EXPERTS), "only what there is"
    history.end()
    check_money(history.world, history.stripe)
    payouts = list(history.world.store.payouts())
    assert all(payout.is_finished for payout in payouts)
    assert sums(history).get("in_transit", 0) == 0
    assert {it.id for it in history.stripe.transfers.values()} == {it.id for it in payouts if it.has_transfer}
    kept = sum(it.amount - it.reversed + it.withheld for it in payouts if it.has_transfer)
    fees = sums(history).get("cost/fees", 0)
    assert sums(history).get("payable", 0) + kept + fees == -sums(history).get("cost/base", 0)
    assert {it.status for it in payouts} <= set(PayoutStatus) - {PayoutStatus.PLANNED, PayoutStatus.APPROVED}
    assert reconcile(history.world.store, history.stripe, history.now).differences == ()
