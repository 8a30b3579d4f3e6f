"""The registry over DynamoDB: one item for each client, contract, pay plan and expert, its document as JSON.

Price changes that wait for a second person are items beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pynamodb.exceptions import DoesNotExist, PutError

from infra.aws.documents import (
    applied_codec,
    client_of,
    contracts_of,
    door_of,
    dumped,
    endpoint_of,
    expert_of,
    plans_of,
    policy_of,
    proposal_codec,
    status_codec,
    stop_codec,
)
from infra.aws.tables import RegistryItem
from infra.aws.wire import read_together
from ledger.money import Currency
from settlement.ports import Contention, Registered
from settlement.registry import Client, Expert

if TYPE_CHECKING:  # functions read the registry, and start sooner without what they do not use
    from billing.contracts import ContractHistory
    from events.adapters.doors import Door
    from payouts.plans import PlanHistory
    from payouts.policy import PayoutPolicy, PayoutsStopped
    from settlement.apply import Change, CurrentTerms
    from settlement.expert_status import ExpertStatus
    from settlement.price_changes import Proposal
    from settlement.webhooks import Endpoint

# The stored codes of settlement.apply.Kind.
_CLIENT, _CONTRACT, _PAY_PLAN, _EXPERT = "client", "contract", "pay_plan", "expert"
_PROPOSAL = "proposal"
_POLICY, _STATUS, _STOP, _WEBHOOK = "payout_policy", "expert_status", "payouts_stopped", "webhook"
_DOOR = "door"
_STOP_ID = "platform"
# What DynamoDB says when a rival was faster or patience is asked for; anything else is an error of ours.
_CONTENDED = {
    "ConditionalCheckFailedException",
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}


class DynamoRegistry:
    """All reads are consistent. `infra.aws.tables.bind` says in which stack."""

    def __init__(self) -> None:
        # By client, the plans that were asked for last. It only says what to read together; it is never an answer.
        self._plans_before: dict[str, frozenset[str]] = {}

    def registered(self, clients: Collection[str], experts: Collection[str], plans: Collection[str]) -> Registered:
        """The contracts of these clients, these experts, these plans, and those by which the experts work for them.

        It takes one read, and another one if a client's experts work by other plans than those asked for last.
        """
        likely = frozenset(plans).union(*(self._plans_before.get(client, ()) for client in clients))
        documents = self._documents({_CONTRACT: clients, _EXPERT: experts, _PAY_PLAN: likely})
        found = {id_: expert_of(document) for id_, document in documents[_EXPERT].items()}
        for client in clients:
            assigned = (expert.assignments.get(client) for expert in found.values())
            self._plans_before[client] = frozenset(plan for plan in assigned if plan)
        if missing := frozenset().union(*(self._plans_before[client] for client in clients)) - likely:
            documents[_PAY_PLAN] |= self._documents({_PAY_PLAN: missing})[_PAY_PLAN]
        return Registered(
            contracts={id_: contracts_of(document) for id_, document in documents[_CONTRACT].items()},
            experts=found,
            plans={id_: plans_of(document) for id_, document in documents[_PAY_PLAN].items()},
        )

    def _documents(self, ids: Mapping[str, Collection[str]]) -> dict[str, dict[str, str]]:
        """The documents of those that exist, by kind and id, in one read."""
        places = [(kind, id_) for kind, some in ids.items() for id_ in some]
        found: dict[str, dict[str, str]] = {kind: {} for kind in ids}
        for item in read_together({RegistryItem: places})[RegistryItem]:
            found[item["kind"]][item["id"]] = item["document"]
        return found

    def contracts(self, clients: Collection[str]) -> Mapping[str, ContractHistory]:
        """The contract histories of those clients that have one."""
        return {item.id: contracts_of(item.document) for item in _items(_CONTRACT, clients)}

    def clients(self, ids: Collection[str] | None = None) -> Mapping[str, Client]:
        """Those of the clients that exist; all of them for None."""
        return {item.id: client_of(item.document) for item in _items(_CLIENT, ids)}

    def experts(self, ids: Collection[str] | None = None) -> Mapping[str, Expert]:
        """Those of the experts that exist; all of them for None."""
        return {item.id: expert_of(item.document) for item in _items(_EXPERT, ids)}

    def experts_after(self, expert: str, most: int | None = None) -> Iterator[Expert]:
        """Experts whose id comes after this one, in order of their ids: so many, or every one, read page by page."""
        for item in _after(_EXPERT, expert, most):
            yield Expert.model_validate_json(item.document)  # not kept: there may be very many

    def clients_after(self, client: str, most: int) -> Iterator[Client]:
        """So many clients whose id comes after this one, in order of their ids."""
        return (client_of(item.document) for item in _after(_CLIENT, client, most))

    def contracts_after(self, client: str, most: int) -> Iterator[ContractHistory]:
        """The contracts of so many clients whose id comes after this one, in order of their ids."""
        return (contracts_of(item.document) for item in _after(_CONTRACT, client, most))

    def plans_after(self, plan: str, most: int) -> Iterator[PlanHistory]:
        """So many pay plans whose id comes after this one, in order of their ids."""
        return (plans_of(item.document) for item in _after(_PAY_PLAN, plan, most))

    def plans(self, ids: Collection[str]) -> Mapping[str, PlanHistory]:
        """Those of the pay plans that exist."""
        return {item.id: plans_of(item.document) for item in _items(_PAY_PLAN, ids)}

    def statuses(self, experts: Collection[str]) -> Mapping[str, ExpertStatus]:
        """What outside systems said about these experts; an empty status where nothing is known."""
        from settlement.expert_status import ExpertStatus  # noqa: PLC0415  # see above

        known = {item.id: status_codec().validate_json(item.document) for item in _items(_STATUS, experts)}
        return {expert: known.get(expert) or ExpertStatus(expert) for expert in experts}

    def policies(self) -> Mapping[Currency, PayoutPolicy]:
        """The payout policies of all currencies that have one."""
        return {Currency(item.id): policy_of(item.document) for item in _items(_POLICY, None)}

    def endpoints(self, ids: Collection[str] | None = None) -> Mapping[str, Endpoint]:
        """Those of the endpoints of webhooks that exist; all of them for None."""
        return {item.id: endpoint_of(item.document) for item in _items(_WEBHOOK, ids)}

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Keep an endpoint; raises Contention if there is one of its id, which stays as it is."""
        _put(_WEBHOOK, endpoint.id, dumped(endpoint), 1)

    def remove_endpoint(self, endpoint: str) -> None:
        """Forget an endpoint; one that is not there is forgotten already."""
        RegistryItem(kind=_WEBHOOK, id=endpoint).delete()

    def doors(self, ids: Collection[str] | None = None) -> Mapping[str, Door]:
        """Those of the doors for helpdesks that exist; all of them for None."""
        return {item.id: door_of(item.document) for item in _items(_DOOR, ids)}

    def payouts_stopped(self) -> PayoutsStopped | None:
        """Who stopped all sending, if it is stopped."""
        items = list(_items(_STOP, [_STOP_ID]))
        return stop_codec().validate_json(items[0].document) if items else None

    def set_status(self, status: ExpertStatus) -> None:
        """Keep a status over the revision before its own; raises Contention if somebody else wrote."""
        _put(_STATUS, status.expert, status_codec().dump_json(status, exclude_none=True).decode(), status.revision)

    def stop_payouts(self, stopped: PayoutsStopped) -> None:
        """Turn the kill switch on; whoever turned it on before is forgotten."""
        RegistryItem(kind=_STOP, id=_STOP_ID, document=stop_codec().dump_json(stopped).decode(), revision=1).save()

    def resume_payouts(self) -> None:
        """Turn the kill switch off. The item stays, so that no role has to be able to delete one."""
        RegistryItem(kind=_STOP, id=_STOP_ID, document=stop_codec().dump_json(None).decode(), revision=1).save()

    def current_terms(self) -> CurrentTerms:
        """Everything that is registered, with the revision of each item."""
        from settlement.apply import CurrentTerms, Kind  # noqa: PLC0415  # see above

        items = {kind: list(_items(kind, None)) for kind in Kind}
        return CurrentTerms(
            clients={item.id: client_of(item.document) for item in items[Kind.CLIENT]},
            contracts={item.id: contracts_of(item.document) for item in items[Kind.CONTRACT]},
            plans={item.id: plans_of(item.document) for item in items[Kind.PAY_PLAN]},
            experts={item.id: expert_of(item.document) for item in items[Kind.EXPERT]},
            revisions={(kind, item.id): int(item.revision) for kind in Kind for item in items[kind]},
            policies={item.id: policy_of(item.document) for item in items[Kind.PAYOUT_POLICY]},
            endpoints={item.id: endpoint_of(item.document) for item in items[Kind.WEBHOOK]},
            doors={item.id: door_of(item.document) for item in items[Kind.DOOR]},
            applied={
                (kind, item.id): applied_codec().validate_json(item.applied or "[]")
                for kind in (Kind.CONTRACT, Kind.PAY_PLAN)
                for item in items[kind]
            },
        )

    def write(self, changes: Sequence[Change]) -> None:
        """Write the changes in their order, each over the revision before its own.

        Raises Contention at the first whose item somebody else changed; those before it are written. Deciding and
        writing again completes them.
        """
        for change in changes:
            applied = applied_codec().dump_json(change.applied).decode() if change.applied else None
            _put(change.kind.value, change.id, dumped(change.document), change.revision, applied)

    def proposals(self) -> Collection[Proposal]:
        """The price changes that wait for a second person."""
        codec = proposal_codec()
        return [codec.validate_json(item.document) for item in _items(_PROPOSAL, None)]

    def add_proposal(self, proposal: Proposal) -> None:
        """Keep a proposal; raises Contention if there is one of its id, which stays as it is."""
        document = proposal_codec().dump_json(proposal, exclude_none=True).decode()
        _put(_PROPOSAL, proposal.id, document, 1)

    def remove_proposal(self, proposal_id: str) -> None:
        """Forget a proposal; one that is not there is forgotten already."""
        RegistryItem(kind=_PROPOSAL, id=proposal_id).delete()

    def set_stripe_customer(self, client: str, customer: str) -> None:
        """Keep the id of a client's customer. Raises Contention if the client changed or has another customer."""
        item = _registered(_CLIENT, client)
        _keep_stripe_id(item, client_of(item.document), ("stripe_customer", customer))

    def set_stripe_account(self, expert: str, account: str) -> None:
        """Keep the id of an expert's account. Raises Contention if the expert changed or has another account."""
        item = _registered(_EXPERT, expert)
        _keep_stripe_id(item, expert_of(item.document), ("stripe_account", account))


def _items(kind: str, ids: Collection[str] | None) -> Iterator[RegistryItem]:
    if ids is None:
        yield from RegistryItem.query(kind, consistent_read=True)
    else:
        yield from RegistryItem.batch_get([(kind, item_id) for item_id in ids], consistent_read=True)


def _after(kind: str, item_id: str, most: int | None) -> Iterator[RegistryItem]:
    behind = RegistryItem.id > item_id if item_id else None
    yield from RegistryItem.query(kind, behind, consistent_read=True, limit=most)


def _registered(kind: str, item_id: str) -> RegistryItem:
    try:
        return RegistryItem.get(kind, item_id, consistent_read=True)
    except DoesNotExist:
        raise KeyError(f"there is no {kind} {item_id} in the registry") from None


def _keep_stripe_id(item: RegistryItem, document: Client | Expert, named_id: tuple[str, str]) -> None:
    name, stripe_id = named_id
    known = getattr(document, name)
    if known == stripe_id:
        return
    if known is not None:
        raise Contention(f"{item.kind} {item.id} has the {name} {known}; read it again and use that one")
    _put(item.kind, item.id, dumped(document.model_copy(update={name: stripe_id})), int(item.revision) + 1)


def _put(kind: str, item_id: str, document: str, revision: int, applied: str | None = None) -> None:
    stored = RegistryItem.revision
    condition = stored == revision - 1 if revision > 1 else stored.does_not_exist()
    item = RegistryItem(kind=kind, id=item_id, document=document, revision=revision, applied=applied)
    try:
        item.save(condition=condition)
    except PutError as refused:
        answer = getattr(refused.cause, "response", None)  # none where the connection was lost
        code = answer["Error"]["Code"] if answer else None
        if code in _CONTENDED:
            raise Contention(f"{kind} {item_id} was changed by somebody else: {code}") from refused
        raise
