"""Changes of agreed prices need a second person: one proposes, another approves exactly that. Pure but for the port.

A changed or new version of an existing client's contract is a price change. First versions of a new client are not.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from pydantic import TypeAdapter

from billing.contracts import Contract, ContractHistory
from settlement.apply import Applied, Change, CurrentTerms, NewTerms, TermsRegistry, plan_changes

_CONTENT: TypeAdapter[list[tuple[str, int, tuple[Contract, ...]]]] = TypeAdapter(
    list[tuple[str, int, tuple[Contract, ...]]]
)
# 64 bits of a SHA-256: long enough that nobody finds a second content, and the registry takes a proposal only once.
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ContractChange:
    """A client's contract as it will be, all its versions; the revision is that of the registry's item then."""

    client: str
    versions: tuple[Contract, ...]
    revision: int
    what: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Contracts that wait for a second person. `id` is the hash of exactly what will be written."""

    id: str
    changes: tuple[ContractChange, ...]
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
) -> tuple[tuple[Change, ...], tuple[ContractChange, ...]]:
    """The changes that can be written at once, and those that need a second person."""
    at_once, waiting = list[Change](), list[ContractChange]()
    for change in changes:
        if isinstance(change.document, ContractHistory) and change.id in current.contracts:
            waiting.append(ContractChange(change.id, change.document.versions, change.revision, change.what))
        else:
            at_once.append(change)
    return tuple(at_once), tuple(waiting)


def content_hash(changes: Sequence[ContractChange]) -> str:
    """The hash of what will be written: clients, revisions and every value of every version, defaults included."""
    content = sorted(((it.client, it.revision, it.versions) for it in changes), key=lambda it: it[0])
    return hashlib.sha256(_CONTENT.dump_json(content, exclude_none=True)).hexdigest()[:_HASH_DIGITS]


def sign_first_versions(changes: Sequence[Change], by: str | None, on: date) -> tuple[Change, ...]:
    """The changes with it recorded who applied their new contracts; as they are if that is not known."""
    return tuple(
        replace(change, applied=(*change.applied, Applied(_names(change.document.versions), by, on)))
        if by is not None and isinstance(change.document, ContractHistory)
        else change
        for change in changes
    )


def propose(registry: PriceRegistry, changes: Sequence[ContractChange], by: str, on: date) -> Proposal:
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
    Contention if somebody else changed a contract at the same time.
    """
    proposal = find_proposal(registry, proposal_id)
    if proposal is None:
        raise PriceChangeRefused(f"nothing waits under {proposal_id}; see `solvent contract waiting`")
    if content_hash(proposal.changes) != proposal.id:
        raise PriceChangeRefused(f"what is stored under {proposal.id} is not what was proposed; withdraw it")
    if is_same_person(by, proposal.proposed_by):
        raise PriceChangeRefused(f"{proposal.proposed_by} proposed this; somebody else has to approve it")
    current = registry.current_terms()
    contracts = tuple(version for change in proposal.changes for version in change.versions)
    planned = {change.id: change for change in plan_changes(current, NewTerms(contracts=contracts), on)}
    written = []
    for change in proposal.changes:
        known = current.contracts[change.client].versions
        if change.versions != known:
            names = _names([version for version in change.versions if version not in known])
            signature = Applied(names, proposal.proposed_by, proposal.proposed_on, by, on)
            written.append(_signed(proposal, change, planned.get(change.client), signature))
    registry.write(written)
    registry.remove_proposal(proposal.id)
    return tuple(written)


def _signed(proposal: Proposal, change: ContractChange, planned: Change | None, signature: Applied) -> Change:
    wanted = (ContractHistory(change.client, change.versions), change.revision)
    if planned is None or (planned.document, planned.revision) != wanted:
        raise PriceChangeRefused(
            f"the contract of {change.client} has changed since {proposal.id} was proposed; withdraw it, apply again"
        )
    return replace(planned, applied=(*planned.applied, signature))


def _names(versions: Sequence[Contract]) -> tuple[str, ...]:
    return tuple(version.version for version in versions)


def is_same_person(one: str, other: str) -> bool:
    """Whether two identities are one person: the same name, or, in AWS, the same user or session under any role.

    In AWS an identity is an ARN, and its last part names the user or, with a role, the session. Who assumes a role may
    choose that name freely unless the role's trust policy binds it (sts:RoleSessionName), as IAM Identity Center does.
    """
    return _person(one) == _person(other)


def _person(identity: str) -> str:
    name = identity.strip().casefold()
    return name.rpartition("/")[2] if name.startswith("arn:") else name
