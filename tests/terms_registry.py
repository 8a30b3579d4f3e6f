"""The registry that terms are applied to, kept in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from billing.contracts import ContractHistory
from events.adapters.doors import Door
from payouts.plans import PlanHistory
from payouts.policy import PayoutPolicy
from settlement.apply import Change, CurrentTerms
from settlement.ports import Contention
from settlement.price_changes import Proposal
from settlement.registry import Client, Expert
from settlement.webhooks import Endpoint


@dataclass
class FakeRegistry:
    """It fails before its n-th write if told so."""

    terms: CurrentTerms = field(default_factory=CurrentTerms)
    fails_before: int | None = None
    waiting: dict[str, Proposal] = field(default_factory=dict)

    def current_terms(self) -> CurrentTerms:
        return self.terms

    def write(self, changes: Sequence[Change]) -> None:
        for number, change in enumerate(changes, 1):
            if number == self.fails_before:
                raise Contention(f"{change.kind} {change.id} was changed by somebody else")
            self.terms = with_change(self.terms, change)

    def proposals(self) -> list[Proposal]:
        return list(self.waiting.values())

    def add_proposal(self, proposal: Proposal) -> None:
        if proposal.id in self.waiting:
            raise Contention(f"proposal {proposal.id} is there already")
        self.waiting[proposal.id] = proposal

    def remove_proposal(self, proposal_id: str) -> None:
        self.waiting.pop(proposal_id, None)


def with_change(terms: CurrentTerms, change: Change) -> CurrentTerms:  # noqa: PLR0911  # one for each kind
    assert change.revision == terms.revisions.get((change.kind, change.id), 0) + 1
    key = (change.kind, change.id)
    terms = replace(terms, revisions={**terms.revisions, key: change.revision})
    applied = {**terms.applied, key: change.applied}
    match change.document:
        case Client() as client:
            return replace(terms, clients={**terms.clients, change.id: client})
        case ContractHistory() as contract:
            return replace(terms, contracts={**terms.contracts, change.id: contract}, applied=applied)
        case PlanHistory() as plan:
            return replace(terms, plans={**terms.plans, change.id: plan}, applied=applied)
        case Expert() as expert:
            return replace(terms, experts={**terms.experts, change.id: expert})
        case PayoutPolicy() as policy:
            return replace(terms, policies={**terms.policies, change.id: policy})
        case Endpoint() as endpoint:
            return replace(terms, endpoints={**terms.endpoints, change.id: endpoint})
        case Door() as door:
            return replace(terms, doors={**terms.doors, change.id: door})
