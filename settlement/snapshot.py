"""What a batch of facts needs to be decided, read in two calls, whatever the number of clients."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from billing.periods import Period, PeriodState, period_of
from events.decode import Delivery
from events.facts import CaseId, Completed
from ledger.entries import client_book
from ledger.records import dataclass
from settlement.ports import Registered, Registry, SettlementStore, Stored


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be looked at in one case: facts delivered (none when only a window ended), as of when."""

    case_id: CaseId
    deliveries: tuple[Delivery, ...]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read. A commit against a snapshot that is out of date is refused; then another one is read."""

    stored: Stored
    terms: Registered

    def periods_of(self, client: str) -> dict[Period, PeriodState]:
        """The periods of one client that were read."""
        return {period: state for (owner, period), state in self.stored.periods.items() if owner == client}

    def usable_prepaid(self, client: str, at: datetime) -> int:
        """The client's usable credits, in minor units; 0 for a contract without."""
        history = self.terms.contracts[client]
        if not history.versions[-1].prepaid:
            return 0
        return self.stored.prepaids[client].usable(at.astimezone(history.time_zone).date())


def read_snapshot(store: SettlementStore, registry: Registry, work: Mapping[str, Sequence[Work]]) -> Snapshot:
    """Cases, heads, contracts, experts and plans that the work names, and the periods it most likely touches."""
    each = [(client, item) for client, items in work.items() for item in items]
    stored = store.read(
        cases=[(client, item.case_id) for client, item in each],
        periods=sorted({(client, period) for client, item in each for period in _likely_periods(item)}),
        books=[client_book(client) for client in work],
        prepaids=list(work),
    )
    facts = [delivery.fact for _, item in each for delivery in item.deliveries]
    facts += [fact for case in stored.cases.values() for fact in case.facts]
    solved_by = {fact.expert for fact in facts if isinstance(fact, Completed) and fact.expert}
    decided_by = {plan for case in stored.cases.values() for state in case.cycles for plan in state.plans}
    return Snapshot(stored, registry.registered(list(work), sorted(solved_by), sorted(decided_by)))


def _likely_periods(work: Work) -> set[Period]:
    """The months of what happened. In UTC, for the contract is not known yet; what is missing then is read later."""
    return {period_of(instant, UTC) for instant in (work.as_of, *(it.fact.time for it in work.deliveries))}
