"""The registry over DynamoDB: one item for each client, contract, pay plan and expert, its document as JSON.

Price changes that wait for a second person are items beside them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, assert_never

from pydantic import TypeAdapter
from pynamodb.exceptions import DoesNotExist, PutError

from billing.contracts import Contract, ContractHistory
from infra.aws.tables import RegistryItem
from ledger.money import Currency
from payouts.plans import PayPlan, PlanHistory
from payouts.policy import PayoutPolicy, PayoutsStopped
from settlement.expert_status import ExpertStatus
from settlement.ports import Contention
from settlement.registry import Client, Expert

if TYPE_CHECKING:  # functions read the registry, and start sooner without what only the command needs
    from settlement.apply import Applied, Change, CurrentTerms, Stored
    from settlement.price_changes import Proposal

# The stored codes of settlement.apply.Kind.
_CLIENT, _CONTRACT, _PAY_PLAN, _EXPERT = "client", "contract", "pay_plan", "expert"
_PROPOSAL = "proposal"
_POLICY, _STATUS, _STOP = "payout_policy", "expert_status", "payouts_stopped"
_STOP_ID = "platform"
_CONTRACTS: TypeAdapter[tuple[Contract, ...]] = TypeAdapter(tuple[Contract, ...])
_PLANS: TypeAdapter[tuple[PayPlan, ...]] = TypeAdapter(tuple[PayPlan, ...])
_STATUSES: TypeAdapter[ExpertStatus] = TypeAdapter(ExpertStatus)
_STOPS: TypeAdapter[PayoutsStopped] = TypeAdapter(PayoutsStopped)
# What DynamoDB says when a rival was faster or patience is asked for; anything else is an error of ours.
_CONTENDED = {
    "ConditionalCheckFailedException",
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}
# Parsing is what a read costs most. Keyed by the exact text, so that what is cached can never be out of date.
_PARSED = 4096


class DynamoRegistry:
    """All reads are consistent. `infra.aws.tables.bind` says in which stack."""

    def parties(
        self, clients: Collection[str], experts: Collection[str]
    ) -> tuple[Mapping[str, ContractHistory], Mapping[str, Expert]]:
        """The contract histories and experts of those that exist, in one read."""
        keys = [(_CONTRACT, client) for client in clients] + [(_EXPERT, expert) for expert in experts]
        items = list(RegistryItem.batch_get(keys, consistent_read=True))
        contracts = {item.id: _contracts(item.document) for item in items if item.kind == _CONTRACT}
        return contracts, {item.id: _expert(item.document) for item in items if item.kind == _EXPERT}

    def contracts(self, clients: Collection[str]) -> Mapping[str, ContractHistory]:
        """The contract histories of those clients that have one."""
        return {item.id: _contracts(item.document) for item in _items(_CONTRACT, clients)}

    def clients(self, ids: Collection[str] | None = None) -> Mapping[str, Client]:
        """Those of the clients that exist; all of them for None."""
        return {item.id: _client(item.document) for item in _items(_CLIENT, ids)}

    def experts(self, ids: Collection[str] | None = None) -> Mapping[str, Expert]:
        """Those of the experts that exist; all of them for None."""
        return {item.id: _expert(item.document) for item in _items(_EXPERT, ids)}

    def experts_after(self, expert: str) -> Iterator[Expert]:
        """Every expert whose id comes after this one, in order of their ids, read page by page."""
        behind = RegistryItem.id > expert if expert else None
        for item in RegistryItem.query(_EXPERT, behind, consistent_read=True):
            yield Expert.model_validate_json(item.document)  # not kept: there may be very many

    def plans(self, ids: Collection[str]) -> Mapping[str, PlanHistory]:
        """Those of the pay plans that exist."""
        return {item.id: _plans(item.document) for item in _items(_PAY_PLAN, ids)}

    def statuses(self, experts: Collection[str]) -> Mapping[str, ExpertStatus]:
        """What outside systems said about these experts; an empty status where nothing is known."""
        known = {item.id: _STATUSES.validate_json(item.document) for item in _items(_STATUS, experts)}
        return {expert: known.get(expert) or ExpertStatus(expert) for expert in experts}

    def policies(self) -> Mapping[Currency, PayoutPolicy]:
        """The payout policies of all currencies that have one."""
        return {Currency(item.id): _policy(item.document) for item in _items(_POLICY, None)}

    def payouts_stopped(self) -> PayoutsStopped | None:
        """Who stopped all sending, if it is stopped."""
        items = list(_items(_STOP, [_STOP_ID]))
        return _STOPS.validate_json(items[0].document) if items else None

    def set_status(self, status: ExpertStatus) -> None:
        """Keep a status over the revision before its own; raises Contention if somebody else wrote."""
        _put(_STATUS, status.expert, _STATUSES.dump_json(status, exclude_none=True).decode(), status.revision)

    def stop_payouts(self, stopped: PayoutsStopped) -> None:
        """Turn the kill switch on; whoever turned it on before is forgotten."""
        RegistryItem(kind=_STOP, id=_STOP_ID, document=_STOPS.dump_json(stopped).decode(), revision=1).save()

    def resume_payouts(self) -> None:
        """Turn the kill switch off."""
        RegistryItem(kind=_STOP, id=_STOP_ID).delete()

    def current_terms(self) -> "CurrentTerms":
        """Everything that is registered, with the revision of each item."""
        from settlement.apply import CurrentTerms, Kind  # noqa: PLC0415  # see above

        items = {kind: list(_items(kind, None)) for kind in Kind}
        return CurrentTerms(
            clients={item.id: _client(item.document) for item in items[Kind.CLIENT]},
            contracts={item.id: _contracts(item.document) for item in items[Kind.CONTRACT]},
            plans={item.id: _plans(item.document) for item in items[Kind.PAY_PLAN]},
            experts={item.id: _expert(item.document) for item in items[Kind.EXPERT]},
            revisions={(kind, item.id): int(item.revision) for kind in Kind for item in items[kind]},
            policies={item.id: _policy(item.document) for item in items[Kind.PAYOUT_POLICY]},
            applied={
                (kind, item.id): _applied_codec().validate_json(item.applied or "[]")
                for kind in (Kind.CONTRACT, Kind.PAY_PLAN)
                for item in items[kind]
            },
        )

    def write(self, changes: "Sequence[Change]") -> None:
        """Write the changes in their order, each over the revision before its own.

        Raises Contention at the first whose item somebody else changed; those before it are written. Deciding and
        writing again completes them.
        """
        for change in changes:
            applied = _applied_codec().dump_json(change.applied).decode() if change.applied else None
            _put(change.kind.value, change.id, _dump(change.document), change.revision, applied)

    def proposals(self) -> "Collection[Proposal]":
        """The price changes that wait for a second person."""
        codec = _proposal_codec()
        return [codec.validate_json(item.document) for item in _items(_PROPOSAL, None)]

    def add_proposal(self, proposal: "Proposal") -> None:
        """Keep a proposal; raises Contention if there is one of its id, which stays as it is."""
        document = _proposal_codec().dump_json(proposal, exclude_none=True).decode()
        _put(_PROPOSAL, proposal.id, document, 1)

    def remove_proposal(self, proposal_id: str) -> None:
        """Forget a proposal; one that is not there is forgotten already."""
        RegistryItem(kind=_PROPOSAL, id=proposal_id).delete()

    def set_stripe_customer(self, client: str, customer: str) -> None:
        """Keep the id of a client's customer. Raises Contention if the client changed or has another customer."""
        item = _registered(_CLIENT, client)
        _keep_stripe_id(item, _client(item.document), ("stripe_customer", customer))

    def set_stripe_account(self, expert: str, account: str) -> None:
        """Keep the id of an expert's account. Raises Contention if the expert changed or has another account."""
        item = _registered(_EXPERT, expert)
        _keep_stripe_id(item, _expert(item.document), ("stripe_account", account))


def _items(kind: str, ids: Collection[str] | None) -> Iterator[RegistryItem]:
    if ids is None:
        yield from RegistryItem.query(kind, consistent_read=True)
    else:
        yield from RegistryItem.batch_get([(kind, item_id) for item_id in ids], consistent_read=True)


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
    _put(item.kind, item.id, _dump(document.model_copy(update={name: stripe_id})), int(item.revision) + 1)


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


# -- documents: defaults are written out, so that a later default does not change what was agreed ----------------------


def _dump(document: "Stored") -> str:
    match document:
        case Client() | Expert() | PayoutPolicy():
            return document.model_dump_json(exclude_none=True)
        case ContractHistory():
            return _CONTRACTS.dump_json(document.versions, exclude_none=True).decode()
        case PlanHistory():
            return _PLANS.dump_json(document.versions, exclude_none=True).decode()
        case _:
            assert_never(document)


@cache
def _applied_codec() -> "TypeAdapter[tuple[Applied, ...]]":
    from settlement.apply import Applied  # noqa: PLC0415  # only the command reads or writes it

    return TypeAdapter(tuple[Applied, ...])


@cache
def _proposal_codec() -> "TypeAdapter[Proposal]":
    from settlement.price_changes import Proposal  # noqa: PLC0415  # only the command reads or writes it

    return TypeAdapter(Proposal)


@lru_cache(maxsize=_PARSED)
def _client(document: str) -> Client:
    return Client.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def _expert(document: str) -> Expert:
    return Expert.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def _policy(document: str) -> PayoutPolicy:
    return PayoutPolicy.model_validate_json(document)


@lru_cache(maxsize=_PARSED)
def _contracts(document: str) -> ContractHistory:
    versions = _CONTRACTS.validate_json(document)
    return ContractHistory(versions[0].client, versions)


@lru_cache(maxsize=_PARSED)
def _plans(document: str) -> PlanHistory:
    versions = _PLANS.validate_json(document)
    return PlanHistory(versions[0].id, versions)
