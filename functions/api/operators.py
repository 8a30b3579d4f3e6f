"""What an operator asks: who and what is registered; and the kill switch."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from events.facts import format_instant
from functions.api.doors import Answer, Cursor, Limit, Routes
from functions.api.pages import cursor_at, page, position_in
from functions.api.views import ClientSeen, ExpertSeen, Sending, TermsSeen
from payouts.policy import PayoutsStopped
from settlement.grants import Role

routes = Routes("operators")


def _by_id(name: str, items: Iterator[dict[str, Any]], limit: int, text: str | None) -> Answer:
    """A page of items in order of their ids."""
    after = position_in(name, text, str) or ""
    found = sorted((it for it in items if it["id"] > after), key=lambda it: str(it["id"]))
    return page(found[:limit], cursor_at(name, found[limit - 1]["id"]) if len(found) > limit else None)


@routes.lists("/v1/clients", ClientSeen, Role.OPERATOR)
def list_clients(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every client, by id."""
    clients = routes.call.registry.clients()
    return _by_id("clients", (it.model_dump(mode="json") for it in clients.values()), limit, cursor)


@routes.lists("/v1/experts", ExpertSeen, Role.OPERATOR)
def list_experts(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every expert, by id."""
    experts = routes.call.registry.experts()
    return _by_id("experts", (it.model_dump(mode="json") for it in experts.values()), limit, cursor)


@routes.lists("/v1/contracts", TermsSeen, Role.OPERATOR)
def list_contracts(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every client's contract with all its versions, by client."""
    registry = routes.call.registry
    histories = registry.contracts(registry.clients().keys())
    return _by_id("contracts", (_terms(id_, it.versions) for id_, it in histories.items()), limit, cursor)


@routes.lists("/v1/pay_plans", TermsSeen, Role.OPERATOR)
def list_pay_plans(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every pay plan that somebody works by, with all its versions, by id."""
    registry = routes.call.registry
    named = {plan for expert in registry.experts().values() for plan in expert.assignments.values()}
    histories = registry.plans(named)
    return _by_id("pay_plans", (_terms(id_, it.versions) for id_, it in histories.items()), limit, cursor)


def _terms(id_: str, versions: tuple[BaseModel, ...]) -> dict[str, Any]:
    return {"id": id_, "versions": [version.model_dump(mode="json", exclude_none=True) for version in versions]}


# -- the kill switch ---------------------------------------------------------------------------------------------------


class Stop(BaseModel):
    """Why payouts are stopped."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


@routes.shows("/v1/sending", Sending, Role.OPERATOR, Role.FINANCE)
def get_sending() -> Answer:
    """Whether payouts are sent, or stopped: by whom, since when and why."""
    return _sending()


@routes.takes("/v1/sending/stop", Sending, Role.OPERATOR)
def stop_sending(stop: Stop) -> Answer:
    """Stop all sending at once, until somebody resumes. A call that Stripe got already may still complete."""
    call = routes.call
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
