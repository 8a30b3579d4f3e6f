"""Everything the sandbox remembers, as one JSON value that can be shown, saved and loaded."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, cast

from infra.local.stripe_sandbox.errors import ApiError, ResourceMissing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.local.stripe_sandbox.parameters import JsonObject

STATE_VERSION = 2


class StateOutdated(Exception):
    """A saved state that this version of the sandbox cannot go on with."""


class Store:
    """Objects by id in order of creation, id counters, balances, agenda, idempotency keys and faults.

    Fields that start with an underscore are the sandbox's own; `rendered` leaves them out. `_account` is the connected
    account that an object belongs to; without it the object is the platform's.
    """

    def __init__(self, now: int) -> None:
        self.state = _empty_state(now)
        self.dirty = True

    def clear(self, now: int) -> None:
        """Forget everything and set the clock."""
        self.state.clear()
        self.state.update(_empty_state(now))
        self.dirty = True

    def new_id(self, prefix: str) -> str:
        """The next id of its kind: `tr_sandbox000001`, `tr_sandbox000002` and so on."""
        number = self.state["counters"].get(prefix, 0) + 1
        self.state["counters"][prefix] = number
        return f"{prefix}_sandbox{number:06d}"

    def add(self, record: JsonObject) -> JsonObject:
        """The same object, from now on found by its id."""
        self.kind_of(record["id"])[record["id"]] = record
        return record

    def kind_of(self, object_id: str) -> dict[str, JsonObject]:
        """All objects whose ids start as this one does; also takes the prefix alone."""
        return cast("dict[str, JsonObject]", self.state["objects"].setdefault(object_id.split("_", maxsplit=1)[0], {}))

    def find(self, object_id: str) -> JsonObject | None:
        """The object with this id, whoever owns it."""
        return self.kind_of(object_id).get(object_id)

    def get(self, object_id: str, kind: str, *, account: str | None = None, param: str = "id") -> JsonObject:
        """The object of that kind that this account owns, else ResourceMissing."""
        record = self.find(object_id)
        if record is None or record["object"] != kind or record.get("_account") != account:
            raise ResourceMissing(kind, object_id, param=param)
        return record

    def newest_first(self, *prefixes: str, account: str | None = None) -> Iterator[JsonObject]:
        """The objects of these kinds that this account owns, the last created first."""
        for prefix in prefixes:
            for record in reversed(self.kind_of(prefix).values()):
                if record.get("_account") == account:
                    yield record

    def as_text(self) -> str:
        """The whole state as JSON; marks it clean."""
        self.dirty = False
        return json.dumps(self.state)

    def load(self, path: Path) -> None:
        """Take over a saved state; one of another version is refused."""
        loaded = json.loads(path.read_text(encoding="utf-8"))
        if loaded.get("version") != STATE_VERSION:
            raise StateOutdated(f"{path} was written by another version of the sandbox; start afresh, with --fresh")
        self.state.clear()
        self.state.update(loaded)


def _empty_state(now: int) -> JsonObject:
    return {
        "version": STATE_VERSION,
        "now": now,
        "counters": {},
        "objects": {},
        "balances": {},
        "agenda": [],
        "idempotency": {},
        "faults": [],
        "webhooks": {"duplicate": 0, "shuffle": None, "hold": False},
    }


def rendered(record: JsonObject) -> JsonObject:
    """A copy of the object as Stripe would show it, safe from later changes."""
    return copy.deepcopy({name: value for name, value in record.items() if not name.startswith("_")})


def expanded(store: Store, record: JsonObject, paths: list[str]) -> JsonObject:
    """The object with the ids at these paths (`latest_charge.balance_transaction`, `data.customer`) made objects.

    In a list, entries that lack the property stay as they are; a path that none of them has is refused.
    """
    shown = rendered(record)
    for path in paths:
        if not _expand(store, [shown], path.split(".")):
            raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
    return shown


def _expand(store: Store, shown: list[JsonObject], steps: list[str]) -> bool:
    """Expand the property in each object; whether at least one has it, or there are no objects."""
    if not steps or not shown:
        return True
    held = [record for record in shown if record.get(steps[0], "") != ""]
    for record in held:
        value = record[steps[0]]
        if isinstance(value, str):
            found = store.find(value)
            if found is None:
                return False
            record[steps[0]] = rendered(found)
    children = [record[steps[0]] for record in held]
    flat = [child for value in children for child in (value if isinstance(value, list) else [value])]
    return bool(held) and _expand(store, [child for child in flat if isinstance(child, dict)], steps[1:])


def changed_metadata(current: dict[str, str], given: dict[str, str] | str | None) -> dict[str, str]:
    """Metadata after an update: given keys are set, keys given empty are unset, an empty text unsets all.

    Stripe's limits hold: 50 keys, names of 40 characters, values of 500.
    """
    if given is None:
        return current
    if isinstance(given, str):
        return {}
    merged = {name: value for name, value in {**current, **given}.items() if value}
    too_long = [name for name, value in merged.items() if len(name) > 40 or len(value) > 500]
    if len(merged) > 50 or too_long:
        raise ApiError("Metadata takes 50 keys, names of 40 and values of 500 characters.", param="metadata")
    return merged
