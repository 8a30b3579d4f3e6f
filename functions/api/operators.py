"""What an operator asks: who and what is registered; and the kill switch."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from events.facts import format_instant
from functions.api.pages import cursor_at, page, position_in
from functions.api.routes import Answer, Cursor, Limit, Routes
from functions.api.views import ClientSeen, ExpertSeen, Sending, TermsSeen
from payouts.policy import PayoutsStopped
from settlement.grants import Role

routes = Routes("operators")
_Registered = TypeVar("_Registered")
# How many, and behind which cursor.
_Asked = tuple[int, str | None]


def _by_id(
    name: str, after: Callable[[str, int], Iterator[_Registered]], show: Callable[[_Registered], Answer], asked: _Asked
) -> Answer:
    """A page of what is registered, in order of ids; one more than is shown is read, to know whether there is more."""
    limit, cursor = asked
    found = [show(it) for it in after(position_in(name, cursor, str) or "", limit + 1)]
    return page(found[:limit], cursor_at(name, found[limit - 1]["id"]) if len(found) > limit else None)


def _as_json(document: BaseModel) -> Answer:
    return document.model_dump(mode="json")


@routes.lists("/v1/clients", ClientSeen, Role.OPERATOR)
def list_clients(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every client, by id."""
    return _by_id("clients", routes.call.registry.clients_after, _as_json, (limit, cursor))


@routes.lists("/v1/experts", ExpertSeen, Role.OPERATOR)
def list_experts(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every expert, by id."""
    return _by_id("experts", routes.call.registry.experts_after, _as_json, (limit, cursor))


@routes.lists("/v1/contracts", TermsSeen, Role.OPERATOR)
def list_contracts(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every client's contract with all its versions, by client."""
    contracts = routes.call.registry.contracts_after
    return _by_id("contracts", contracts, lambda it: _terms(it.client, it.versions), (limit, cursor))


@routes.lists("/v1/pay_plans", TermsSeen, Role.OPERATOR)
def list_pay_plans(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every pay plan with all its versions, by id."""
    plans = routes.call.registry.plans_after
    return _by_id("pay_plans", plans, lambda it: _terms(it.plan, it.versions), (limit, cursor))


def _terms(id_: str, versions: tuple[BaseModel, ...]) -> dict[str, Any]:
    return {"id": id_, "versions": [version.model_dump(mode="json", exclude_none=True) for version in versions]}


# -- the kill switch ---------------------------------------------------------------------------------------------------


class Stop(BaseModel):
    """Why payouts are stopped."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "a drill"}]})
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


@routes.shows("/v1/sending", Sending, Role.OPERATOR, Role.FINANCE)
def get_sending() -> Answer:
    """Whether payouts are sent, or stopped: by whom, since when and why."""
    return _sending()


@routes.takes("/v1/sending/stop", Sending, Role.OPERATOR)
def stop_sending(stop: Stop) -> Answer:
    """Stop all sending at once, until somebody resumes. A call that Stripe got already may still complete."""
    call = routes.call
    stopped = call.registry.payouts_stopped()
    if stopped is None or (stopped.by, stopped.reason) != (call.by, stop.reason):
        call.registry.stop_payouts(PayoutsStopped(call.by, call.now, stop.reason))
    return _sending()


@routes.takes("/v1/sending/resume", Sending, Role.OPERATOR)
def resume_sending() -> Answer:
    """Send again: everything that may be sent is asked for."""
    call = routes.call
    call.registry.resume_payouts()
    call.backend.ask_to_send(sorted(call.store.unfinished_payouts()), call.now)
    return _sending()


def _sending() -> Answer:
    stopped = routes.call.registry.payouts_stopped()
    return {
        "is_stopped": stopped is not None,
        "by": stopped.by if stopped else None,
        "since": format_instant(stopped.since) if stopped else None,
        "reason": stopped.reason if stopped else None,
    }
