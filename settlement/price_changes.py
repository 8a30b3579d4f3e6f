"""Changes of agreed prices, pay and payout limits need two people: one proposes, another approves exactly that.

A changed or new version of an existing contract or pay plan is such a change, and so is a changed payout policy. First
versions of a new one are not. Pure but for the port.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Protocol

from pydantic import TypeAdapter

from billing.contracts import Contract, ContractHistory
from ledger.records import dataclass
from payouts.plans import PayPlan, PlanHistory
from payouts.policy import PayoutPolicy
from settlement.apply import Applied, Change, CurrentTerms, Kind, NewTerms, Stored, TermsRegistry, plan_changes
from settlement.identity import is_same_person

Version = Contract | PayPlan | PayoutPolicy
Versions = tuple[Contract, ...] | tuple[PayPlan, ...] | tuple[PayoutPolicy]
_Content = list[tuple[Kind, str, int, Versions]]
_CONTENT: TypeAdapter[_Content] = TypeAdapter(_Content)
# 64 bits of a SHA-256: long enough that nobody finds a second content, and the registry takes a proposal only once.
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A contract or pay plan as it will be, all its versions, or a policy; the revision is that of its item then."""

    kind: Kind
    id: str
    versions: Versions
    revision: int
    what: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Terms that wait for a second person. `id` is the hash of exactly what will be written."""

    id: str
    changes: tuple[PriceChange, ...]
    proposed_by: str
    proposed_on: date


class PriceChangeRefused(ValueError):
    """A proposal that may not be approved; the message says what to do."""


class PriceRegistry(TermsRegistry, Protocol):
    """The registry as proposing and approving use it."""

    def proposals(self) -> Collection[Proposal]:
        """Everything that waits for a second person."""

    def add_proposal(self, proposal: Proposal) -> None:
        """Keep a proposal; raises Contention if there is one of its id, which stays as it is."""

    def remove_proposal(self, proposal_id: str) -> None:
        """Forget a proposal; one that is not there is forgotten already."""


def split_price_changes(
    current: CurrentTerms, changes: Sequence[Change]
) -> tuple[tuple[Change, ...], tuple[PriceChange, ...]]:
    """The changes that can be written at once, and those that need a second person."""
    at_once, waiting = list[Change](), list[PriceChange]()
    for change in changes:
        if (versions := _versions(change.document)) and versions_of(current, change.kind, change.id):
            waiting.append(PriceChange(change.kind, change.id, versions, change.revision, change.what))
        else:
            at_once.append(change)
    return tuple(at_once), tuple(waiting)


def versions_of(current: CurrentTerms, kind: Kind, item_id: str) -> Versions:
    """The registered versions of a contract or pay plan, oldest first, or the policy; none of what is not there."""
    known: Mapping[Kind, Mapping[str, Stored]] = {
        Kind.CONTRACT: current.contracts,
        Kind.PAY_PLAN: current.plans,
        Kind.PAYOUT_POLICY: current.policies,
    }
    found = known.get(kind, {}).get(item_id)
    return _versions(found) if found else ()


def _versions(document: Stored) -> Versions:
    """What of a document needs a second person once it is agreed."""
    match document:
        case ContractHistory() | PlanHistory():
            return document.versions
        case PayoutPolicy():
            return (document,)
        case _:
            return ()


def content_hash(changes: Sequence[PriceChange]) -> str:
    """The hash of what will be written: ids, revisions and every value of every version, defaults included."""
    content = sorted(((it.kind, it.id, it.revision, it.versions) for it in changes), key=lambda it: it[:2])
    return hashlib.sha256(_CONTENT.dump_json(content, exclude_none=True)).hexdigest()[:_HASH_DIGITS]


def sign_first_versions(changes: Sequence[Change], by: str | None, on: date) -> tuple[Change, ...]:
    """The changes with it recorded who applied their new contracts and plans; as they are if that is not known."""
    return tuple(
        replace(change, applied=(*change.applied, Applied(_names(versions), by, on)))
        if by is not None and (versions := _versions(change.document))
        else change
        for change in changes
    )


def propose(registry: PriceRegistry, changes: Sequence[PriceChange], by: str, on: date) -> Proposal:
    """Let price changes wait for a second person; the proposal of whoever proposed the very same first."""
    proposal = Proposal(content_hash(changes), tuple(changes), by, on)
    known = find_proposal(registry, proposal.id)
    if known is None:
        registry.add_proposal(proposal)
    return known or proposal


def find_proposal(registry: PriceRegistry, proposal_id: str) -> Proposal | None:
    """The proposal of an id, if it waits."""
    return next((it for it in registry.proposals() if it.id == proposal_id), None)


def approve(registry: PriceRegistry, proposal_id: str, by: str, on: date) -> tuple[Change, ...]:
    """Apply exactly what was proposed; the changes that were written.

    Approving again completes what a crash interrupted. Raises PriceChangeRefused for the same person, and for a
    proposal that is unknown, altered or outdated; TermsRefused if its versions may not start any more as of `on`;
    Contention if somebody else changed a contract or plan at the same time.
    """
    proposal = find_proposal(registry, proposal_id)
    if proposal is None:
        raise PriceChangeRefused(f"nothing waits under {proposal_id}; see `solvent contract waiting`")
    if content_hash(proposal.changes) != proposal.id:
        raise PriceChangeRefused(f"what is stored under {proposal.id} is not what was proposed; withdraw it")
    if is_same_person(by, proposal.proposed_by):
        raise PriceChangeRefused(f"{proposal.proposed_by} proposed this; somebody else has to approve it")
    current = registry.current_terms()
    planned = {(change.kind, change.id): change for change in plan_changes(current, _terms(proposal), on)}
    written = []
    for change in proposal.changes:
        known = versions_of(current, change.kind, change.id)
        if change.versions != known:
            names = _names([version for version in change.versions if version not in known])
            signature = Applied(names, proposal.proposed_by, proposal.proposed_on, by, on)
            written.append(_signed(proposal, change, planned.get((change.kind, change.id)), signature))
    registry.write(written)
    registry.remove_proposal(proposal.id)
    return tuple(written)


def _terms(proposal: Proposal) -> NewTerms:
    versions: list[Version] = [version for change in proposal.changes for version in change.versions]
    return NewTerms(
        contracts=tuple(it for it in versions if isinstance(it, Contract)),
        plans=tuple(it for it in versions if isinstance(it, PayPlan)),
        policies=tuple(it for it in versions if isinstance(it, PayoutPolicy)),
    )


def _signed(proposal: Proposal, change: PriceChange, planned: Change | None, signature: Applied) -> Change:
    is_same = planned is not None and _versions(planned.document) == change.versions
    if planned is None or not is_same or planned.revision != change.revision:
        name = change.kind.replace("_", " ")
        raise PriceChangeRefused(
            f"the {name} {change.id} has changed since {proposal.id} was proposed; withdraw it, apply again"
        )
    return replace(planned, applied=(*planned.applied, signature))


def _names(versions: Sequence[Version]) -> tuple[str, ...]:
    return tuple(version.id if isinstance(version, PayoutPolicy) else version.version for version in versions)
