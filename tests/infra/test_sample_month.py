"""The sample month is the same every time, and the engine finds in it what its maker put there."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import pytest
import yaml

from billing.contracts import Contract, ContractHistory
from events.adapters.doors import Door
from events.decode import Delivery, FactRefused, decode
from events.facts import Completed, Decided, Disputed, Party, Rated
from infra.local.sample_month import SAMPLE_WORLD, Message, SampleMonth, TriggerKind, sample_month, trigger_times
from ledger.balances import TrialBalance, trial_balance
from ledger.books import check_book
from ledger.terms import Terms
from payouts.plans import NotCharged, PayPlan, PlanHistory, ShareBase
from payouts.policy import PayoutPolicy
from settlement.cases import CycleState, CycleStatus, split_cycles
from settlement.parking import ParkReason
from settlement.registry import Client, Expert, Gate
from settlement.settle import Settled, settle, work_from
from settlement.sweep import settle_due
from settlement.webhooks import Endpoint
from tests.memory_store import MemoryRegistry, MemoryStore

REOPEN_WINDOW = timedelta(hours=168)
OCCASIONAL = ("grace", "tomasz", "mei")

Document = TypeVar("Document", bound=Terms)


def documents(folder: str, model: type[Document]) -> dict[str, Document]:
    """The validated documents of a folder, by file name."""
    files = sorted((SAMPLE_WORLD / folder).glob("*.yaml"))
    return {file.stem: model.model_validate(yaml.safe_load(file.read_text())) for file in files}


def sample_registry() -> MemoryRegistry:
    contracts, plans = documents("contracts", Contract), documents("pay_plans", PayPlan)
    return MemoryRegistry(
        contract_histories={name: ContractHistory(name, (contract,)) for name, contract in contracts.items()},
        plan_histories={name: PlanHistory(name, (plan,)) for name, plan in plans.items()},
        all_clients=documents("clients", Client),
        all_experts=documents("experts", Expert),
    )


@dataclass
class Engine:
    """The settlement use case over a store in memory, fed as the queue would: ten messages at a time."""

    registry: MemoryRegistry = field(default_factory=sample_registry)
    store: MemoryStore = field(default_factory=MemoryStore)

    def play(self, month: SampleMonth) -> Settled:
        """All messages, with the sweeps between them."""
        total, batch = Settled(), list[Delivery]()
        sweeps = [trigger.at for trigger in trigger_times(month) if trigger.kind is TriggerKind.SWEEP_DUE]
        for delivery in decodable(month.messages):
            while sweeps[0] <= delivery.received_at:
                self._settle(batch, total)
                self._sweep(sweeps.pop(0), total)
            batch.append(delivery)
            if len(batch) == 10:
                self._settle(batch, total)
        self._settle(batch, total)
        for at in sweeps:
            self._sweep(at, total)
        return total

    def _settle(self, batch: list[Delivery], total: Settled) -> None:
        total.add(settle(self.store, self.registry, work_from(batch)))
        batch.clear()

    def _sweep(self, as_of: datetime, total: Settled) -> None:
        total.add(settle_due(self.store, self.registry, as_of, lambda: True)[0])

    def trial_balance(self) -> TrialBalance:
        return trial_balance(recorded.entry for book in self.store.journal.values() for recorded in book)

    def cycles(self, client: str) -> list[CycleState]:
        """The cycles of a client that no late fact has merged into another."""
        cases = (case for (owner, _), case in self.store.stored_cases.items() if owner == client)
        return [state for case in cases for state in case.cycles if state.why != "superseded"]

    def parked_completions(self, client: str) -> list[str]:
        reasons = (ParkReason.UNKNOWN_EXPERT, ParkReason.NO_MATCHING_RATE)
        return [it.id for it in self.store.stored_parked.values() if it.client == client and it.reason in reasons]

    def earned(self, expert: str) -> dict[str, int]:
        """Minor units owed to an expert, by currency."""
        account = f"expert/{expert}/payable"
        balances = self.trial_balance().balances.items()
        return {str(code): -minor for (owner, code), minor in balances if owner == account}


def decodable(messages: tuple[Message, ...]) -> Iterator[Delivery]:
    for message in messages:
        try:
            yield decode(message)
        except FactRefused:
            continue


@dataclass(frozen=True)
class Played:
    """The sample month, the engine that it was played to, and what became of it."""

    month: SampleMonth
    engine: Engine
    settled: Settled


@pytest.fixture(scope="module")
def month() -> SampleMonth:
    return sample_month()


@pytest.fixture(scope="module")
def played(month: SampleMonth) -> Played:
    engine = Engine()
    return Played(month, engine, engine.play(month))


def facts_by_key(month: SampleMonth) -> Mapping[tuple[str, str], list[Delivery]]:
    """Deliveries of each distinct fact, in order."""
    deliveries: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in decodable(month.messages):
        deliveries.setdefault((delivery.fact.source, delivery.fact.id), []).append(delivery)
    return deliveries


def test_same_seed_gives_the_same_month() -> None:
    assert sample_month(200, seed=7) == sample_month(200, seed=7)


def test_another_seed_gives_another_month() -> None:
    assert sample_month(200, seed=7).messages != sample_month(200, seed=8).messages


def test_month_that_is_too_small_for_its_mishaps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 100"):
        sample_month(99)


@pytest.mark.parametrize("resolutions", [100, 1000, 3000])
def test_month_holds_as_many_cycles_as_were_asked_for(resolutions: int) -> None:
    assert sample_month(resolutions).expected.cycles == resolutions


def test_messages_come_in_order_of_delivery_within_the_month_and_four_days(month: SampleMonth) -> None:
    received = [str(message["received_at"]) for message in month.messages]

    assert received == sorted(received)
    assert received[0] >= "2026-10-01"
    assert received[-1] < "2026-11-05"


def test_all_but_the_malformed_messages_decode(month: SampleMonth) -> None:
    decoded = list(decodable(month.messages))

    assert len(decoded) == month.expected.facts_sent
    assert len(month.messages) - len(decoded) == month.expected.malformed


def test_solutions_lie_in_october_and_no_fact_is_far_ahead_of_its_delivery(month: SampleMonth) -> None:
    for delivery in decodable(month.messages):
        assert delivery.fact.time <= delivery.received_at + timedelta(minutes=4)
        if isinstance(delivery.fact, Completed):
            assert delivery.fact.time.strftime("%Y-%m") == "2026-10"


def test_each_fact_has_an_id_of_its_own_and_a_duplicate_repeats_it_whole(month: SampleMonth) -> None:
    by_key = facts_by_key(month)

    assert len(by_key) == month.expected.distinct_facts
    assert all(len({(it.client, it.case_id, it.fact) for it in same}) == 1 for same in by_key.values())


def test_month_holds_late_unrated_and_repeated_facts_as_a_real_one_does(month: SampleMonth) -> None:
    first = [same[0] for same in facts_by_key(month).values()]
    solved_at = {it.case_id: it.received_at for it in reversed(first) if isinstance(it.fact, Completed)}
    rated = [it for it in first if isinstance(it.fact, Rated)]
    early = sum(it.received_at < solved_at[it.case_id] for it in rated)
    late = sum(it.received_at - it.fact.time >= timedelta(hours=1) for it in first)
    rated_share = len({it.case_id for it in rated}) / month.expected.cases

    assert early >= 20
    assert 0.02 <= late / len(first) <= 0.04
    assert 0.02 <= month.expected.facts_sent / month.expected.distinct_facts - 1 <= 0.04
    assert 0.70 <= rated_share <= 0.80


def test_a_client_wins_a_dispute_after_october_is_closed(month: SampleMonth) -> None:
    facts = [same[0].fact for same in facts_by_key(month).values()]
    by_client = {fact.dispute for fact in facts if isinstance(fact, Disputed) and fact.by is Party.CLIENT}
    upheld = [fact for fact in facts if isinstance(fact, Decided) and fact.upheld and fact.dispute in by_client]

    assert len(upheld) == 3
    assert any(fact.time > datetime(2026, 11, 2, 6, 30, tzinfo=UTC) for fact in upheld)


def test_schedules_are_played_in_order_until_earnings_have_matured() -> None:
    triggers = trigger_times(sample_month(100))
    counts = Counter(trigger.kind for trigger in triggers)

    assert [trigger.at for trigger in triggers] == sorted(trigger.at for trigger in triggers)
    assert (triggers[0].at, triggers[-1].at) == (
        datetime(2026, 10, 1, 0, 10, tzinfo=UTC),
        datetime(2026, 11, 16, 7, 0, tzinfo=UTC),
    )
    assert counts == dict.fromkeys(TriggerKind, 47) | {TriggerKind.RUN_PAYOUTS: 7, TriggerKind.RECONCILE: 7}


def test_every_file_of_the_sample_world_is_valid_and_named_for_what_it_holds() -> None:
    named: list[tuple[str, str]] = [
        *((name, contract.client) for name, contract in documents("contracts", Contract).items()),
        *((name, client.id) for name, client in documents("clients", Client).items()),
        *((name, plan.id) for name, plan in documents("pay_plans", PayPlan).items()),
        *((name, expert.id) for name, expert in documents("experts", Expert).items()),
        *((name, policy.id) for name, policy in documents("payout_policies", PayoutPolicy).items()),
        *((name, endpoint.id) for name, endpoint in documents("webhooks", Endpoint).items()),
        *((name, door.id) for name, door in documents("doors", Door).items()),
    ]
    assert all(name == inner for name, inner in named)
    assert len(list(SAMPLE_WORLD.rglob("*.yaml"))) == len(named)


def test_assignments_name_clients_and_plans_that_exist_and_shares_are_in_the_clients_currency() -> None:
    contracts, plans = documents("contracts", Contract), documents("pay_plans", PayPlan)
    experts = documents("experts", Expert)

    assert (sorted(contracts), len(experts)) == (sorted(documents("clients", Client)), 12)
    for expert in experts.values():
        for client, plan_id in expert.assignments.items():
            plan = plans[plan_id]
            assert not isinstance(plan.base, ShareBase) or plan.currency == contracts[client].currency
    assert any(plan.not_charged is NotCharged.BASE for plan in plans.values())


def test_one_expert_lacks_a_gate_and_all_others_may_be_paid() -> None:
    missing = {name: it.missing_gates(date(2026, 10, 1)) for name, it in documents("experts", Expert).items()}

    assert {name: gates for name, gates in missing.items() if gates} == {"omar": (Gate.TAX_FORM,)}


def test_engine_finds_the_cycles_that_were_made_up(played: Played) -> None:
    for client, counts in played.month.expected.clients.items():
        found = len(played.engine.cycles(client)) + len(played.engine.parked_completions(client))
        assert found == counts.cycles


def test_engine_finds_the_reopened_cycles(played: Played) -> None:
    for client, counts in played.month.expected.clients.items():
        cases = [case for (owner, _), case in played.engine.store.stored_cases.items() if owner == client]
        cycles = [cycle for case in cases for cycle in split_cycles(case.facts, lambda _: REOPEN_WINDOW)]
        assert sum(cycle.reopened_at is not None for cycle in cycles) == counts.reopened_cycles


def test_engine_takes_each_fact_once_and_parks_what_nobody_can_decide(played: Played) -> None:
    expected, settled = played.month.expected, played.settled
    reasons = Counter(it.reason for it in played.engine.store.stored_parked.values())

    assert settled.failed == {}
    assert settled.duplicates == expected.facts_sent - expected.distinct_facts
    assert settled.facts == expected.distinct_facts - expected.unknown_expert - expected.unpriced
    assert settled.parked == expected.unknown_expert + expected.unpriced
    assert reasons == {
        ParkReason.UNKNOWN_EXPERT: expected.unknown_expert,
        ParkReason.NO_MATCHING_RATE: expected.unpriced,
    }


def test_every_cycle_is_decided_by_the_end_and_most_settle_in_october(played: Played) -> None:
    clients = played.month.expected.clients
    cycles = [state for client in clients for state in played.engine.cycles(client)]
    october = [state for state in cycles if state.price is not None and state.price.period == "2026-10"]

    assert {state.status for state in cycles} == {CycleStatus.CHARGED, CycleStatus.WAIVED, CycleStatus.REVERSED}
    assert len(october) > 0.7 * len(cycles)


def test_books_prove_themselves_and_debits_equal_credits(played: Played) -> None:
    store = played.engine.store
    for book, recorded in store.journal.items():
        assert list(check_book(book, recorded, store.stored_heads[book])) == []

    totals = played.engine.trial_balance().totals()
    assert sorted(totals) == ["EUR", "JPY", "USD"]
    assert all(debit == credit > 0 for debit, credit in totals.values())


def test_holds_sum_to_what_is_owed(played: Played) -> None:
    for expert in played.engine.registry.all_experts:
        held = Counter[str]()
        for (owner, code, _), minor in played.engine.store.hold_amounts.items():
            held[code] += minor if owner == expert else 0
        assert {code: minor for code, minor in held.items() if minor} == played.engine.earned(expert)


def test_three_experts_stay_below_their_minimum_payout_and_the_others_do_not(played: Played) -> None:
    registry = played.engine.registry
    for name, expert in registry.all_experts.items():
        plans = [registry.plan_histories[plan].versions[0] for plan in expert.assignments.values()]
        earned = played.engine.earned(name)
        assert set(earned) == {plan.currency for plan in plans}
        for plan in plans:
            assert (0 < earned[plan.currency] < plan.minimum_payout_minor) == (name in OCCASIONAL)


def test_whole_month_delivered_again_posts_nothing(played: Played) -> None:
    engine, expected = played.engine, played.month.expected
    heads, balances = dict(engine.store.stored_heads), engine.trial_balance()
    parked = expected.unknown_expert + expected.unpriced

    again = engine.play(played.month)

    assert (again.facts, again.entries, again.failed) == (0, 0, {})
    assert (again.duplicates, again.parked) == (expected.facts_sent - parked, parked)
    assert engine.store.stored_heads == heads
    assert engine.trial_balance() == balances
