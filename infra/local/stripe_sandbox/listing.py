"""Lists: filtered, newest first, one page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox.errors import ApiError, ParameterError, ResourceMissing
from infra.local.stripe_sandbox.store import rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from infra.local.stripe_sandbox.parameters import JsonObject
    from infra.local.stripe_sandbox.world import Call, World

CURSOR_PARAMETERS = frozenset({"limit", "starting_after", "ending_before", "expand"})
_RANGE_CHECKS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def list_of(*prefixes: str) -> Callable[[World, Call], JsonObject]:
    """A handler that lists the objects with these id prefixes, by the filters that its route models."""

    def handle(world: World, call: Call) -> JsonObject:
        return page(call, world.store.newest_first(*prefixes, account=call.account))

    return handle


def retrieve(kind: str) -> Callable[[World, Call], JsonObject]:
    """A handler that answers with one object of this kind, by the id in the path."""

    def handle(world: World, call: Call) -> JsonObject:
        return world.store.get(call.path["id"], kind, account=call.account)

    return handle


def page(call: Call, records: Iterable[JsonObject]) -> JsonObject:
    """Stripe's list object: at most `limit` (10; 1 to 100) matching records after the cursor, and whether more follow.

    `ending_before` gives the page just before its cursor. A cursor that isn't in the list is ResourceMissing.
    """
    params = call.params
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise ParameterError("Invalid limit: must be 1 to 100.", code="parameter_invalid_integer", param="limit")
    if "starting_after" in params and "ending_before" in params:
        raise ApiError("Use starting_after or ending_before, not both.", code="parameters_exclusive")
    filters = {name: value for name, value in params.items() if name not in CURSOR_PARAMETERS}
    matching = [record for record in records if _matches(record, filters)]
    if "ending_before" in params:
        before = matching[: _position(matching, params["ending_before"], "ending_before")]
        chosen, more = before[-limit:], len(before) > limit
    else:
        cursor = params.get("starting_after")
        start = _position(matching, cursor, "starting_after") + 1 if cursor else 0
        chosen, more = matching[start : start + limit], len(matching) > start + limit
    data = [rendered(record) for record in chosen]
    return {"object": "list", "url": call.url_path, "has_more": more, "data": data}


def _position(records: list[JsonObject], object_id: str, param: str) -> int:
    for position, record in enumerate(records):
        if record["id"] == object_id:
            return position
    raise ResourceMissing("object in this list", object_id, param=param)


def _matches(record: JsonObject, filters: JsonObject) -> bool:
    return all(_satisfies(record, name, wanted) for name, wanted in filters.items())


def _satisfies(record: JsonObject, name: str, wanted: object) -> bool:
    if name == "types" and isinstance(wanted, list):
        return record["type"] in wanted
    value = record.get(name, record.get(f"_{name}"))
    if isinstance(wanted, dict) and isinstance(value, int):
        return all(_RANGE_CHECKS[check](value, bound) for check, bound in wanted.items())
    if name == "payment" and isinstance(wanted, dict) and isinstance(value, dict):
        return all(value.get(key) == part for key, part in wanted.items())
    return value == wanted
