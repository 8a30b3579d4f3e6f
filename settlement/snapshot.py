"""What a batch of facts needs to be decided, read in few calls: one for each table, whatever the number of clients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.contracts import ContractHistory
from billing.periods import Period, PeriodState, period_of
from billing.prepaid import Prepaid
from events.decode import Delivery
from events.facts import CaseId, Completed
from ledger.books import Head
from ledger.entries import Book, client_book
from payouts.plans import PlanHistory
from settlement.cases import Case
from settlement.ports import CaseKey, PeriodKey, Registry, SettlementStore
from settlement.registry import Expert


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be looked at in one case: facts delivered (none when only a window ended), as of when."""

    case_id: CaseId
    deliveries: tuple[Delivery, ...]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read. A commit against a snapshot that is out of date is refused; then another one is read."""

    contracts: Mapping[str, ContractHistory]
    experts: Mapping[str, Expert]
    plans: Mapping[str, PlanHistory]
    cases: Mapping[CaseKey, Case]
    periods: Mapping[PeriodKey, PeriodState]
    heads: Mapping[Book, Head]
    prepaids: Mapping[str, Prepaid]

    def periods_of(self, client: str) -> dict[Period, PeriodState]:
        """The periods of one client that were read."""
        return {period: state for (owner, period), state in self.periods.items() if owner == client}

    def usable_prepaid(self, client: str, at: datetime) -> int:
        """The client's usable credits, in minor units; 0 for a contract without."""
        prepaid = self.prepaids.get(client)
        return prepaid.usable(at.astimezone(self.contracts[client].time_zone).date()) if prepaid else 0


def read_snapshot(store: SettlementStore, registry: Registry, work: Mapping[str, Sequence[Work]]) -> Snapshot:
    """Contracts, experts, plans, cases and heads that the work names, and the periods it most likely touches."""
    delivered = {fact.expert for fact in _completions(work) if fact.expert}
    contracts, experts = registry.parties(list(work), sorted(delivered))
    cases = store.cases([(client, item.case_id) for client, items in work.items() for item in items])
    earlier = {fact.expert for case in cases.values() for fact in case.facts if isinstance(fact, Completed)}
    if missing := {expert for expert in earlier if expert} - delivered:
        experts = {**experts, **registry.experts(sorted(missing))}
    plans = {
        expert.assignments[client] for expert in experts.values() for client in work if client in expert.assignments
    }
    plans |= {plan for case in cases.values() for state in case.cycles for plan in state.plans}
    return Snapshot(
        contracts=contracts,
        experts=experts,
        plans=registry.plans(sorted(plans)),
        cases=cases,
        periods=store.periods(sorted(set(_likely_periods(contracts, cases, work)))),
        heads=store.heads_of([client_book(client) for client in work]),
        prepaids=store.prepaids([client for client, history in contracts.items() if history.versions[-1].prepaid]),
    )


def _completions(work: Mapping[str, Sequence[Work]]) -> Iterator[Completed]:
    for items in work.values():
        for item in items:
            for delivery in item.deliveries:
                if isinstance(delivery.fact, Completed):
                    yield delivery.fact


def _likely_periods(
    contracts: Mapping[str, ContractHistory], cases: Mapping[CaseKey, Case], work: Mapping[str, Sequence[Work]]
) -> Iterator[PeriodKey]:
    for client, items in work.items():
        if client not in contracts:
            continue
        zone = contracts[client].time_zone
        for item in items:
            instants = [item.as_of, *(delivery.fact.time for delivery in item.deliveries)]
            instants += [it.settled_at for it in cases[client, item.case_id].cycles if it.settled_at is not None]
            yield from ((client, period_of(instant, zone)) for instant in instants)
