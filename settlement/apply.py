"""Applying terms: checks across clients, contracts, pay plans, experts, payout policies, webhooks and doors."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from billing import contracts as billing
from billing.contracts import Contract, ContractHistory, HistoryRefused
from events.adapters.doors import Door
from ledger.records import dataclass
from ledger.terms import FieldPath, format_path
from payouts import plans as payouts
from payouts.plans import PayPlan, PlanHistory, PlanRefused
from payouts.policy import PayoutPolicy
from settlement.doors import check_doors
from settlement.misfits import Misfit, currencies_differ, misfits
from settlement.registry import Client, Expert
from settlement.webhooks import Endpoint

Document = Client | Contract | PayPlan | Expert | PayoutPolicy | Endpoint | Door
Stored = Client | ContractHistory | PlanHistory | Expert | PayoutPolicy | Endpoint | Door


class Kind(StrEnum):
    """What the registry holds, in the order in which it is written: nothing is named before it is there."""

    CLIENT = "client"
    CONTRACT = "contract"
    PAY_PLAN = "pay_plan"
    EXPERT = "expert"
    PAYOUT_POLICY = "payout_policy"
    WEBHOOK = "webhook"
    DOOR = "door"


# Ids that Stripe gave: kept whatever a file says.
SET_BY_SOLVENT: Mapping[Kind, str] = {Kind.CLIENT: "stripe_customer", Kind.EXPERT: "stripe_account"}


@dataclass(frozen=True, slots=True)
class Applied:
    """One write of a contract or plan: its versions that came or changed, who asked for it, who approved it, and when.

    First versions of a new one need no second person, so that nobody approved them.
    """

    versions: tuple[str, ...]
    proposed_by: str
    proposed_on: date
    approved_by: str | None = None
    approved_on: date | None = None


@dataclass(frozen=True, slots=True)
class CurrentTerms:
    """The whole registry as it was read, with the revision of each item, and who applied contracts and plans."""

    clients: Mapping[str, Client] = field(default_factory=dict)
    contracts: Mapping[str, ContractHistory] = field(default_factory=dict)
    plans: Mapping[str, PlanHistory] = field(default_factory=dict)
    experts: Mapping[str, Expert] = field(default_factory=dict)
    policies: Mapping[str, PayoutPolicy] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    doors: Mapping[str, Door] = field(default_factory=dict)
    revisions: Mapping[tuple[Kind, str], int] = field(default_factory=dict)
    applied: Mapping[tuple[Kind, str], tuple[Applied, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewTerms:
    """Documents to be applied. Contracts and plans are single versions, in any order."""

    clients: tuple[Client, ...] = ()
    contracts: tuple[Contract, ...] = ()
    plans: tuple[PayPlan, ...] = ()
    experts: tuple[Expert, ...] = ()
    policies: tuple[PayoutPolicy, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    doors: tuple[Door, ...] = ()

    def names(self) -> frozenset[tuple[Kind, str]]:
        """Kind and id of each item that the documents describe; all versions of a contract or plan are one item."""
        return frozenset(
            [
                *((Kind.CLIENT, client.id) for client in self.clients),
                *((Kind.CONTRACT, contract.client) for contract in self.contracts),
                *((Kind.PAY_PLAN, plan.id) for plan in self.plans),
                *((Kind.EXPERT, expert.id) for expert in self.experts),
                *((Kind.PAYOUT_POLICY, policy.id) for policy in self.policies),
                *((Kind.WEBHOOK, endpoint.id) for endpoint in self.endpoints),
                *((Kind.DOOR, door.id) for door in self.doors),
            ]
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A document of NewTerms: its kind, and its position among those."""

    kind: Kind
    position: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a document cannot be applied, and the field that says so; `other` is a document it collides with."""

    place: Place
    path: FieldPath
    what: str
    other: Place | None = None


class TermsRefused(ValueError):
    """Documents that do not fit each other or the registry, with every problem; mended by changing them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{format_path(problem.path)}: {problem.what}" for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Change:
    """One item of the registry to be written, what that changes in words, and the revision that it shall have.

    `applied` is who applied a contract or plan: everything that was recorded before, and what this change adds.
    """

    kind: Kind
    id: str
    document: Stored
    what: str
    revision: int
    applied: tuple[Applied, ...] = ()


class TermsRegistry(Protocol):
    """The registry as applying reads and writes it."""

    def current_terms(self) -> CurrentTerms:
        """Everything that is registered."""

    def write(self, changes: Sequence[Change]) -> None:
        """Write the changes in their order; raises Contention at the first whose item is not as it was read."""


def plan_changes(current: CurrentTerms, new: NewTerms, as_of: date) -> tuple[Change, ...]:
    """The changes that make the registry say what the documents say; none for documents that it holds already.

    What no document names is left alone. An existing contract or plan may get versions that start after `as_of`
    (exclusive, a day in UTC, and for a contract all days that it reaches in its time zone) only, and its current
    version an end after that; the first versions of a new one start any time.
    Raises TermsRefused with all problems.
    """
    draft = _Draft(current, as_of)
    clients = _merge_single(draft, Kind.CLIENT, current.clients, new.clients)
    contracts = _merge_contracts(draft, new.contracts)
    plans = _merge_plans(draft, new.plans)
    experts = _merge_single(draft, Kind.EXPERT, current.experts, new.experts)
    _merge_single(draft, Kind.PAYOUT_POLICY, current.policies, new.policies)
    _merge_single(draft, Kind.WEBHOOK, current.endpoints, new.endpoints)
    _merge_single(draft, Kind.DOOR, current.doors, new.doors)
    _check_clients(draft, new, clients)
    for position, expert in enumerate(new.experts):
        _check_assignments(draft, Place(Kind.EXPERT, position), expert, clients, plans)
        _check_referrer(draft, Place(Kind.EXPERT, position), expert, experts)
    for pair in _assigned_pairs(experts.values(), contracts, plans):
        _check_pair(draft, pair)
    before = (contracts | dict(current.contracts), plans | dict(current.plans))
    for pair in _assigned_pairs(experts.values(), *before):
        if (contracts[pair.contract.client], plans[pair.plan.plan]) != (pair.contract, pair.plan):
            _check_pair(draft.without_what_waits(), pair)
    if draft.problems:
        raise TermsRefused(draft.problems)
    return tuple(draft.changes)


def check_versions(new: NewTerms) -> tuple[Problem, ...]:
    """What keeps versions of contracts and plans from joining one history each, whatever is registered."""
    draft = _Draft(CurrentTerms(), date.min)
    _merge_contracts(draft, new.contracts)
    _merge_plans(draft, new.plans)
    return tuple(draft.problems)


def count_unchanged(new: NewTerms, changes: Sequence[Change]) -> int:
    """How many items the documents describe as they are already."""
    return len(new.names() - {(change.kind, change.id) for change in changes})


@dataclass(slots=True)
class _Draft:
    """What was found so far. `touched` says which document creates or changes an item, or a version of one."""

    current: CurrentTerms
    as_of: date
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    touched: dict[tuple[Kind, str, date | None], Place] = field(default_factory=dict)
    remedy: str = ""

    def without_what_waits(self) -> "_Draft":
        """This draft while changed contracts and plans wait for a second person; it collects the same problems."""
        waiting = {(Kind.CONTRACT, client) for client in self.current.contracts}
        waiting |= {(Kind.PAY_PLAN, plan) for plan in self.current.plans}
        touched = {key: place for key, place in self.touched.items() if key[:2] not in waiting}
        remedy = "; a change of these terms waits for a second person: apply this once it is approved"
        return replace(self, touched=touched, remedy=remedy)

    def refuse(self, place: Place, path: FieldPath, what: str, other: Place | None = None) -> None:
        self.problems.append(Problem(place, path, what + self.remedy, other))

    def change(self, kind: Kind, item_id: str, document: Stored, what: str) -> None:
        revision = self.current.revisions.get((kind, item_id), 0) + 1
        applied = self.current.applied.get((kind, item_id), ())
        self.changes.append(Change(kind, item_id, document, what, revision, applied))


# -- clients, experts, policies, endpoints and doors: one document is the whole item -----------------------------------

_SingleT = TypeVar("_SingleT", Client, Expert, PayoutPolicy, Endpoint, Door)


def _merge_single(
    draft: _Draft, kind: Kind, known: Mapping[str, _SingleT], documents: Sequence[_SingleT]
) -> dict[str, _SingleT]:
    merged, first_at = dict(known), dict[str, Place]()
    for position, document in enumerate(documents):
        place = Place(kind, position)
        if document.id in first_at:
            draft.refuse(place, ("id",), f"{document.id} is described twice", first_at[document.id])
            continue
        first_at[document.id] = place
        old = known.get(document.id)
        kept = {name: getattr(old, name, None) for name in (SET_BY_SOLVENT.get(kind),) if name}
        merged[document.id] = document.model_copy(update=kept)
        if merged[document.id] != old:
            draft.touched[kind, document.id, None] = place
            what = "created" if old is None else f"changed ({describe_difference(old, merged[document.id])})"
            draft.change(kind, document.id, merged[document.id], what)
    return merged


def _check_clients(draft: _Draft, new: NewTerms, clients: Mapping[str, Client]) -> None:
    for position, endpoint in enumerate(new.endpoints):
        if endpoint.client is not None and endpoint.client not in clients:
            draft.refuse(Place(Kind.WEBHOOK, position), ("client",), f"there is no client {endpoint.client}")
    for position, contract in enumerate(new.contracts):
        if contract.client not in clients:
            draft.refuse(Place(Kind.CONTRACT, position), ("client",), f"there is no client {contract.client}")
    for position, path, what in check_doors(draft.current.doors, new.doors, clients):
        draft.refuse(Place(Kind.DOOR, position), path, what)


def _check_assignments(
    draft: _Draft, place: Place, expert: Expert, clients: Mapping[str, Client], plans: Mapping[str, PlanHistory]
) -> None:
    for client, plan in expert.assignments.items():
        if client not in clients:
            draft.refuse(place, ("assignments", client), f"there is no client {client}")
        if plan not in plans:
            draft.refuse(place, ("assignments", client), f"there is no pay plan {plan}")


def _check_referrer(draft: _Draft, place: Place, expert: Expert, experts: Mapping[str, Expert]) -> None:
    """A referrer exists, was not referred back, and stays: one reward may have been paid, and there is no second."""
    referrer, old = expert.referred_by, draft.current.experts.get(expert.id)
    if old is not None and old.referred_by not in {None, referrer}:
        draft.refuse(place, ("referred_by",), f"{expert.id} was referred by {old.referred_by}, and that stays")
    elif referrer is not None and referrer not in experts:
        draft.refuse(place, ("referred_by",), f"there is no expert {referrer}")
    elif referrer is not None and experts[referrer].referred_by == expert.id:
        draft.refuse(place, ("referred_by",), f"{expert.id} and {referrer} cannot have referred each other")


# -- contracts and pay plans: versions join a history ------------------------------------------------------------------

_VersionT = TypeVar("_VersionT", Contract, PayPlan)
_Add = Callable[[Sequence[_VersionT], _VersionT], tuple[_VersionT, ...]]


def _merge_contracts(draft: _Draft, documents: Sequence[Contract]) -> dict[str, ContractHistory]:
    def add(history: Sequence[Contract], version: Contract) -> tuple[Contract, ...]:
        return billing.add_version(history, version, "")  # what starts after as_of is in no closed period

    merged = dict(draft.current.contracts)
    for client, placed in _by_owner(Kind.CONTRACT, [(document.client, document) for document in documents]).items():
        old = merged[client].versions if client in merged else ()
        versions, what = _merge_history(draft, client, old, placed, add)
        merged[client] = ContractHistory(client, versions)
        if what:
            draft.change(Kind.CONTRACT, client, merged[client], what)
    return merged


def _merge_plans(draft: _Draft, documents: Sequence[PayPlan]) -> dict[str, PlanHistory]:
    merged = dict(draft.current.plans)
    for plan, placed in _by_owner(Kind.PAY_PLAN, [(document.id, document) for document in documents]).items():
        old = merged[plan].versions if plan in merged else ()
        versions, what = _merge_history(draft, plan, old, placed, payouts.add_version)
        merged[plan] = PlanHistory(plan, versions)
        if what:
            draft.change(Kind.PAY_PLAN, plan, merged[plan], what)
    return merged


def _by_owner(kind: Kind, owned: Sequence[tuple[str, _VersionT]]) -> dict[str, list[tuple[Place, _VersionT]]]:
    """The versions of each contract or plan, by their first days."""
    grouped: dict[str, list[tuple[Place, _VersionT]]] = {}
    for position, (owner, version) in enumerate(owned):
        grouped.setdefault(owner, []).append((Place(kind, position), version))
    return {owner: sorted(placed, key=lambda it: it[1].starts_on) for owner, placed in grouped.items()}


def _merge_history(
    draft: _Draft,
    owner: str,
    known: tuple[_VersionT, ...],
    placed: Sequence[tuple[Place, _VersionT]],
    add: _Add[_VersionT],
) -> tuple[tuple[_VersionT, ...], str]:
    """The history with the versions that may join it, and what that changes in words, empty for nothing."""
    history, names, changed = known, list[str](), list[str]()
    old_by_start, first_at = {version.starts_on: version for version in known}, dict[date, Place]()
    for place, version in placed:
        old = old_by_start.get(version.starts_on)
        if version.starts_on in first_at:
            what = f"{owner} has two versions that start on {version.starts_on}"
            draft.refuse(place, ("starts_on",), what, first_at[version.starts_on])
        elif version != old and (not known or _may_join(draft, place, old, version)):
            try:
                history = add(history, version)
            except (HistoryRefused, PlanRefused) as refused:
                name, _, why = str(refused).partition(": ")
                draft.refuse(place, (name,), why)
                continue
            draft.touched[place.kind, owner, version.starts_on] = place
            names.append(version.version)
            if old is not None:
                changed.append(f"version {version.version} changed ({describe_difference(old, version)})")
            else:
                changed.append(f"new version from {version.version}")
        first_at.setdefault(version.starts_on, place)
    return history, "; ".join(changed) if known or not names else f"created (from {', '.join(names)})"


def _may_join(draft: _Draft, place: Place, old: Contract | PayPlan | None, version: Contract | PayPlan) -> bool:
    """Whether a version of an existing contract or plan leaves everything up to `as_of` as it was agreed."""
    today = _today_of(version, draft.as_of)
    if version.starts_on > today:
        return True
    if old is None:
        what = f"{version.starts_on} is not after {today}: a new version may only start later"
        draft.refuse(place, ("starts_on",), what)
        return False
    differing = [path for path, _, _ in _differences(old, version)]
    if differing == [("ends_on",)] and isinstance(old, Contract) and isinstance(version, Contract):
        if old.ends_on is not None and old.ends_on <= today:
            draft.refuse(place, ("ends_on",), f"it ended on {old.ends_on}, and that stays; add a version instead")
            return False
        if version.ends_on is not None and version.ends_on <= today:
            draft.refuse(place, ("ends_on",), f"{version.ends_on} is not after {today}: it can only end later")
            return False
        return True
    what = f"the version of {version.starts_on} has begun and stays as agreed; add one that starts after {today}"
    draft.refuse(place, differing[0], f"{what} ({describe_difference(old, version)})")
    return False


def _today_of(version: Contract | PayPlan, as_of: date) -> date:
    """The newest day that a day in UTC reaches where the version's days are counted: a contract's, in its time zone."""
    zone = ZoneInfo(version.time_zone) if isinstance(version, Contract) else UTC
    return datetime.combine(as_of, time.max, UTC).astimezone(zone).date()


# -- contracts and pay plans that price the same resolutions -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pair:
    """A contract, a pay plan, and the experts who work for the one by the other."""

    contract: ContractHistory
    plan: PlanHistory
    experts: tuple[str, ...]


def _assigned_pairs(
    experts: Iterable[Expert], contracts: Mapping[str, ContractHistory], plans: Mapping[str, PlanHistory]
) -> Iterator[_Pair]:
    """Every pair that some expert is assigned to; a client without a contract is in none yet."""
    assigned: dict[tuple[str, str], list[str]] = {}
    for expert in experts:
        for assignment in expert.assignments.items():
            assigned.setdefault(assignment, []).append(expert.id)
    for (client, plan), names in assigned.items():
        if client in contracts and plan in plans:
            yield _Pair(contracts[client], plans[plan], tuple(names))


def _check_pair(draft: _Draft, pair: _Pair) -> None:
    """Refuse a contract and a plan that cannot decide the same resolutions."""
    if currencies_differ(pair.contract, pair.plan):
        _refuse_currency(draft, pair)
        return
    for misfit in misfits(pair.contract, pair.plan, draft.as_of):
        _refuse_misfit(draft, pair, misfit)


def _refuse_misfit(draft: _Draft, pair: _Pair, misfit: Misfit) -> None:
    """Put the problem where the change is: at the contract, else at the plan, else at the assignments."""
    contract, plan, what = misfit.contract, misfit.plan, misfit.what
    where = f"{contract.client}'s {format_path(misfit.contract_path)} from {contract.version}"
    if at := draft.touched.get((Kind.CONTRACT, contract.client, contract.starts_on)):
        draft.refuse(at, misfit.contract_path, f"{what} (pay plan {plan.id} of {_list_some(pair.experts)})")
    elif at := draft.touched.get((Kind.PAY_PLAN, plan.id, plan.starts_on)):
        draft.refuse(at, misfit.plan_path, f"{what} ({where}; plan of {_list_some(pair.experts)})")
    else:
        for at in _touched_experts(draft, pair):
            draft.refuse(at, ("assignments", contract.client), f"{what} ({where}, pay plan {plan.id})")


def _refuse_currency(draft: _Draft, pair: _Pair) -> None:
    """Put the problem where the change is: at the assignments, else at the contract, else at the plan."""
    client, plan = pair.contract.client, pair.plan.plan
    what = (
        f"a share needs one currency, but {client}'s contract is in {pair.contract.currency} "
        f"and pay plan {plan} in {pair.plan.currency}"
    )
    touched = _touched_experts(draft, pair)
    for at in touched:
        draft.refuse(at, ("assignments", client), what)
    if touched:
        return
    what = f"{what} (plan of {_list_some(pair.experts)})"
    owners = ((Kind.CONTRACT, client, pair.contract.versions), (Kind.PAY_PLAN, plan, pair.plan.versions))
    for kind, owner, versions in owners:
        places = [draft.touched.get((kind, owner, version.starts_on)) for version in versions]
        if found := [place for place in places if place]:
            draft.refuse(found[0], ("currency",), what)
            return


def _touched_experts(draft: _Draft, pair: _Pair) -> list[Place]:
    places = (draft.touched.get((Kind.EXPERT, expert, None)) for expert in pair.experts)
    return [place for place in places if place]


def _list_some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


# -- what differs, in words --------------------------------------------------------------------------------------------


def describe_difference(old: BaseModel, new: BaseModel) -> str:
    """Each field that differs, as `field: old -> new`."""
    return ", ".join(f"{format_path(path)}: {was} -> {now}" for path, was, now in _differences(old, new))


def _differences(old: BaseModel, new: BaseModel) -> list[tuple[FieldPath, str, str]]:
    was, now = (model.model_dump(mode="json", exclude_none=True) for model in (old, new))
    return differences(was, now)


def differences(old: object, new: object) -> list[tuple[FieldPath, str, str]]:
    """Path, old text and new text of each field of two documents that differs; `none` where there is none."""
    was, now = dict(_flatten(old, ())), dict(_flatten(new, ()))
    return [
        (path, was.get(path, "none"), now.get(path, "none"))
        for path in [*was, *(path for path in now if path not in was)]
        if was.get(path) != now.get(path) and not _is_stem(path, was) and not _is_stem(path, now)
    ]


def _is_stem(path: FieldPath, paths: Iterable[FieldPath]) -> bool:
    return any(other[: len(path)] == path and other != path for other in paths)


def _flatten(value: object, path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    match value:
        case dict() if value:
            for name, inner in value.items():
                yield from _flatten(inner, (*path, name))
        case list() if value:
            for position, inner in enumerate(value):
                yield from _flatten(inner, (*path, position))
        case dict() | list():
            yield path, "empty"
        case _:
            yield path, str(value)
