"""Payouts over the real tables: the store's and the registry's promises, a whole story, and workers in threads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from threading import Barrier, Lock, Thread

import pytest

from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from ledger.books import check_book
from payouts.payouts import Payout, PayoutStatus
from payouts.plans import Schedule
from payouts.policy import PayoutPolicy, PayoutsStopped
from settlement.apply import NewTerms, plan_changes
from settlement.approve_payouts import approve_run, approve_small_runs, reject_run, waiting_runs
from settlement.bank_leg import follow_account, follow_bank_payout, follow_transfer
from settlement.expert_status import ExpertStatus, GatePassed
from settlement.pay_on_demand import pay_on_demand, quote
from settlement.plan_payouts import plan_run
from settlement.ports import Changes, Contention, PayoutRun, Spent
from settlement.reconcile import reconcile
from settlement.registry import Gate
from settlement.send_payouts import send_payout
from settlement.settle import settle, work_from
from settlement.stripe_port import BankPayoutStatus, TransfersCapability
from tests.dynamo_tables import emulator_tables
from tests.fake_stripe import FakeStripe
from tests.memory_store import MemoryRegistry, MemoryStore
from tests.paying import LATER, MONDAY, RUN, USD, a_paying_world, again_until_done, id_of
from tests.world import World

POLICY = PayoutPolicy(
    id=USD, per_run="1000.00", per_day="1000.00", approve_above="120.00", instant_fee_percent="1", cooling_off_days=2
)


@dataclass(frozen=True)
class Place:
    """A store and a registry that belong together."""

    store: MemoryStore | DynamoStore
    registry: MemoryRegistry | DynamoRegistry

    def plan(self, as_of: datetime = MONDAY) -> None:
        list(plan_run(self.store, self.registry, Schedule.WEEKLY, as_of, lambda: True))

    def send(self, stripe: FakeStripe, id_: str, as_of: datetime = MONDAY) -> Payout:
        return send_payout(self.store, self.registry, stripe, id_, as_of)

    def payout(self, id_: str) -> Payout:
        found = self.store.payout(id_)
        assert found is not None
        return found


@pytest.fixture(params=["memory", "dynamo"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        yield Place(MemoryStore(), MemoryRegistry())
        return
    name = f"p{abs(hash(request.node.name)) % 10**9}"
    with emulator_tables(name, request.getfixturevalue("emulator")) as connection:
        yield Place(DynamoStore(connection), DynamoRegistry())


def set_up(place: Place, *names: str) -> World:
    """The same world in that place: each expert has 100.00 to be paid on MONDAY, by POLICY."""
    world = a_paying_world(*names, cases=0)
    known = world.registry
    if isinstance(place.registry, DynamoRegistry):
        contracts = tuple(it for history in known.contract_histories.values() for it in history.versions)
        plans = tuple(it for history in known.plan_histories.values() for it in history.versions)
        clients, experts = tuple(known.all_clients.values()), tuple(known.all_experts.values())
        new = NewTerms(clients, contracts, plans, experts, (POLICY,))
        place.registry.write(plan_changes(place.registry.current_terms(), new, date(2026, 1, 1)))
        for expert in experts:
            place.registry.set_stripe_account(expert.id, str(expert.stripe_account))
            place.registry.set_status(replace(known.known_statuses[expert.id], revision=1))
    else:
        place.registry.__dict__.update(known.__dict__)
        place.registry.known_policies = {USD: POLICY}
    facts = [world.completed(f"{name}-{i}", "2026-03-02", name) for name in world.experts for i in range(2)]
    assert not settle(place.store, place.registry, work_from(facts)).failed
    return world


def check(place: Place, stripe: FakeStripe) -> None:
    for head in place.store.heads():
        assert list(check_book(head.book, place.store.entries(head.book), head)) == []
    assert reconcile(place.store, stripe, LATER).differences == ()


# -- what the store promises -------------------------------------------------------------------------------------------


def test_a_run_comes_back_and_only_one_worker_moves_it_on(place: Place) -> None:
    run = PayoutRun(RUN, MONDAY, "maya", revision=1)
    assert place.store.payout_run(RUN) is None
    place.store.commit(Changes(payout_runs=(run,)))
    assert place.store.payout_run(RUN) == run
    for stale in (run, replace(run, after="noah", revision=3)):
        with pytest.raises(Contention):
            place.store.commit(Changes(payout_runs=(stale,)))
    finished = replace(run, after="zoe", is_finished=True, revision=2)
    place.store.commit(Changes(payout_runs=(finished,)))
    assert place.store.payout_run(RUN) == finished


def test_what_was_spent_is_read_in_the_order_asked_and_written_over_what_was_read(place: Place) -> None:
    names = ["run/b", "day/a", "run/c"]
    assert place.store.spent(names) == tuple(Spent(name) for name in names)
    place.store.commit(Changes(spent=(Spent("day/a", 500, 1),)))
    assert place.store.spent(names) == (Spent("run/b"), Spent("day/a", 500, 1), Spent("run/c"))
    with pytest.raises(Contention):
        place.store.commit(Changes(spent=(Spent("day/a", 700, 1),)))
    assert place.store.spent(["day/a"]) == (Spent("day/a", 500, 1),)


def test_a_payout_comes_back_with_all_its_fields_and_runs_and_limits_are_no_payouts(place: Place) -> None:
    payout = Payout(
        id_of(), "maya", USD, 7_486, RUN, MONDAY, "acct_maya", PayoutStatus.SENT, withheld=2_400, fee=114, attempt=2,
        stripe_transfer="tr_1", sent_on=date(2026, 3, 16), why="x", planned_by="alice", approved_by="bob",
        approval="0" * 64, reversed=5, bank_payout="po_1", bank_payout_at=LATER, bank_failure="closed", revision=1,
    )  # fmt: skip
    run, spent = PayoutRun(RUN, MONDAY, revision=1), Spent("run/b", 1, 1)
    place.store.commit(Changes(payouts=(payout,), payout_runs=(run,), spent=(spent,)))
    assert place.store.payout(payout.id) == payout
    assert list(place.store.payouts()) == [payout]
    assert list(place.store.unfinished_payouts()) == []


def test_a_status_is_written_only_over_what_was_read(place: Place) -> None:
    gate = GatePassed(Gate.TRAINING, date(2026, 1, 1), "lms", date(2027, 1, 1))
    failed, took = (("po_1", LATER),), MONDAY
    status = ExpertStatus(
        "maya", (gate,), TransfersCapability.ACTIVE, ("id",), "bank_1", date(2026, 3, 1), failed, took, revision=1
    )
    assert place.registry.statuses(["maya"]) == {"maya": ExpertStatus("maya")}
    place.registry.set_status(status)
    assert place.registry.statuses(["maya", "noah"]) == {"maya": status, "noah": ExpertStatus("noah")}
    for stale in (status, replace(status, revision=3)):
        with pytest.raises(Contention):
            place.registry.set_status(stale)


def test_the_stop_switch_names_the_last_who_turned_it(place: Place) -> None:
    for by in ("alice", "bob"):
        place.registry.stop_payouts(PayoutsStopped(by, datetime(2026, 3, 16, tzinfo=UTC), "a drill"))
        assert place.registry.payouts_stopped() == PayoutsStopped(by, datetime(2026, 3, 16, tzinfo=UTC), "a drill")
    place.registry.resume_payouts()
    assert place.registry.payouts_stopped() is None


def test_experts_policies_and_plans_are_read_as_they_were_applied(place: Place) -> None:
    world = set_up(place, "maya", "noah", "zoe")
    assert [it.id for it in place.registry.experts_after("")] == ["maya", "noah", "zoe"]
    assert [it.id for it in place.registry.experts_after("maya")] == ["noah", "zoe"]
    assert place.registry.policies() == {USD: POLICY}
    assert place.registry.plans(["standard", "gold"]) == world.registry.plan_histories


# -- the main cases ----------------------------------------------------------------------------------------------------


def test_a_run_is_planned_approved_sent_reversed_and_returned_by_the_bank(place: Place) -> None:
    set_up(place, "maya", "noah")
    stripe = FakeStripe()
    for _ in range(2):
        place.plan()
    waiting = approve_small_runs(place.store, place.registry, RUN, MONDAY)
    assert (waiting.totals, waiting_runs(place.store)) == ({USD: 20_000}, (waiting,))
    assert place.store.spent([f"run/{RUN}/USD"])[0].minor_units == 20_000
    approve_run(place.store, RUN, waiting.hash, "bob")
    for id_ in sorted(place.store.unfinished_payouts()):
        assert place.send(stripe, id_).status is PayoutStatus.SENT
    stripe.reverse("tr_1", 2_500)
    for _ in range(2):
        follow_transfer(place.store, place.registry, stripe, id_of("maya"), LATER)
    stripe.pay_out("po_1", "tr_2", status=BankPayoutStatus.FAILED, failure_code="account_closed")
    follow_bank_payout(place.store, place.registry, stripe, "acct_noah", "po_1", LATER)
    assert [it.reversed for it in (place.payout(id_of("maya")), place.payout(id_of("noah")))] == [2_500, 0]
    assert place.payout(id_of("noah")).bank_failure == "account_closed"
    assert place.registry.statuses(["noah"])["noah"].failed_bank_payouts[0][0] == "po_1"
    assert place.store.payable() == {("maya", USD): 2_500, ("noah", USD): 0}
    check(place, stripe)


def test_a_rejected_run_gives_back_and_a_changed_bank_account_waits(place: Place) -> None:
    set_up(place, "maya", "noah")
    stripe = FakeStripe()
    place.plan()
    reject_run(place.store, RUN, "bob", "the wrong week", MONDAY)
    assert place.store.payable() == {("maya", USD): 10_000, ("noah", USD): 10_000}
    stripe.change_account("acct_maya", bank="bank_2")
    follow_account(place.store, place.registry, stripe, "acct_maya", LATER)
    assert place.registry.statuses(["maya"])["maya"].bank_changed_on == LATER.date()
    check(place, stripe)


def test_an_instant_payout_is_made_once_per_key_and_waits_while_payouts_are_stopped(place: Place) -> None:
    set_up(place, "maya")
    stripe = FakeStripe()
    shown = quote(place.store, place.registry, "maya", USD, MONDAY)
    made = [pay_on_demand(place.store, place.registry, shown, "k1", "maya", MONDAY) for _ in range(2)]
    assert made[0] == made[1]
    place.registry.stop_payouts(PayoutsStopped("alice", MONDAY, "a drill"))
    assert place.send(stripe, made[0].id).why == "stopped: by alice because a drill"
    place.registry.resume_payouts()
    done = place.send(stripe, made[0].id)
    assert (done.status, done.bank_payout, done.fee) == (PayoutStatus.SENT, f"po_{done.id}", 100)
    check(place, stripe)


class LockedStripe(FakeStripe):
    """One request at a time, as threads need it."""

    lock = Lock()

    def transfer(self, payout: Payout) -> str:
        with self.lock:
            return super().transfer(payout)


def in_threads(number: int, work: Callable[[], object]) -> None:
    """Start them all at once, and raise what one of them raised."""
    start, failures = Barrier(number), list[BaseException]()

    def run() -> None:
        start.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # a thread's failure is the test's
            failures.append(error)

    threads = [Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("place", ["dynamo"], indirect=True)
def test_threads_plan_a_run_once_and_make_one_transfer_of_each_payout(place: Place) -> None:
    set_up(place, "maya", "noah", "zoe")
    stripe = LockedStripe()

    def plan() -> None:
        for _ in range(12):
            try:
                place.plan()
            except Contention:
                continue
            return

    in_threads(3, plan)
    waiting = approve_small_runs(place.store, place.registry, RUN, MONDAY)
    assert [it.id for it in waiting.payouts] == [id_of("maya"), id_of("noah"), id_of("zoe")]
    in_threads(3, lambda: approve_run(place.store, RUN, waiting.hash, "bob"))
    for payout in waiting.payouts:
        in_threads(4, lambda id_=payout.id: again_until_done(lambda: place.send(stripe, id_)))  # type: ignore[misc]  # a bound default
    assert sorted(payout.id for payout in stripe.transfers.values()) == [it.id for it in waiting.payouts]
    check(place, stripe)
