"""Counts the units that a DynamoDB client's calls use, from the items that they read and write."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pynamodb.models import Model

from bench.aws_rules import Index, Item, Units, item_size, read_units, write_units
from bench.replay import WRITE
from infra.aws.tables import TABLES

_Place = tuple[str, tuple[str, ...]]
_SINGLE_WRITES = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}


@dataclass(frozen=True, slots=True)
class _Table:
    """Of a table what its key is, and its indexes."""

    keys: tuple[str, ...]
    indexes: tuple[Index, ...]


@dataclass(slots=True)
class Meter:
    """What was counted since `start`: units by table, calls by operation, and the bytes of items written by table."""

    own: Any
    tables: Mapping[str, _Table]
    units: dict[str, Units] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, list[int]] = field(default_factory=dict)
    _asked: dict[str, Any] = field(default_factory=dict)
    _before: dict[_Place, Item] = field(default_factory=dict)

    @property
    def total(self) -> Units:
        """Of all tables."""
        return sum(self.units.values(), Units())

    def start(self) -> None:
        """Forget what was counted."""
        self.units, self.calls, self.sizes = {}, Counter(), {}

    def ask(self, params: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401  # botocore's
        """Before a call: what is there now of the items that it writes."""
        self._asked = params
        self._before = self._stored(self._places(model.name, params))

    def answer(self, parsed: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401  # botocore's
        """After a call that was not refused: what it used."""
        if parsed["ResponseMetadata"]["HTTPStatusCode"] != 200:
            raise AssertionError(f"a metered call was refused: {parsed}")
        self.calls[model.name] += 1
        places = self._places(model.name, self._asked)
        after = self._stored(places)
        for place in places:
            table = self.tables[place[0]]
            images = self._before.get(place), after.get(place)
            self._add(place[0], write_units(*images, in_transaction=model.name == WRITE, indexes=table.indexes))
            self.sizes.setdefault(place[0], []).append(item_size(images[1] or {}))
        if not places:
            self._add_reads(model.name, parsed)

    def _add(self, table: str, units: Units) -> None:
        self.units[table] = self.units.get(table, Units()) + units

    def _places(self, operation: str, params: dict[str, Any]) -> list[_Place]:
        """The items that a call writes."""
        if operation == WRITE:
            writes = [it for item in params["TransactItems"] for it in item.values()]
        elif operation == "BatchWriteItem":
            asked = params["RequestItems"].items()
            writes = [{"TableName": table, **it} for table, items in asked for item in items for it in item.values()]
        elif operation in _SINGLE_WRITES:
            writes = [params]
        elif operation in {"BatchGetItem", "Query", "GetItem", "Scan"}:
            writes = []
        else:
            raise AssertionError(f"what {operation} uses is not known here")
        return [self._place(it["TableName"], it.get("Item") or it["Key"]) for it in writes]

    def _place(self, table: str, item: Item) -> _Place:
        return table, tuple(next(iter(item[name].values())) for name in self.tables[table].keys)

    def _stored(self, places: list[_Place]) -> dict[_Place, Item]:
        """Those of the items that are there."""
        asked: dict[str, dict[str, Any]] = {}
        for table, key in places:
            names = zip(self.tables[table].keys, key, strict=True)
            keys = asked.setdefault(table, {"ConsistentRead": True, "Keys": []})["Keys"]
            keys.append({name: {"N" if name == "seq" else "S": value} for name, value in names})
        if not asked:
            return {}
        found = self.own.batch_get_item(RequestItems=asked)
        if found.get("UnprocessedKeys"):
            raise AssertionError("the emulator did not answer for all items")
        return {self._place(table, item): item for table, items in found["Responses"].items() for item in items}

    def _add_reads(self, operation: str, parsed: dict[str, Any]) -> None:
        if operation == "BatchGetItem":
            for table, request in self._asked["RequestItems"].items():
                sizes = [item_size(it) for it in parsed["Responses"].get(table, [])]
                missing = [0] * (len(request["Keys"]) - len(sizes))
                self._add(table, read_units([*sizes, *missing], consistent=bool(request.get("ConsistentRead"))))
            return
        items = [parsed["Item"]] if "Item" in parsed else parsed.get("Items", [])
        scanned = parsed.get("ScannedCount", len(items)) / max(1, len(items))
        sizes = [round(item_size(it) * scanned) for it in items]
        consistent = bool(self._asked.get("ConsistentRead"))
        self._add(self._asked["TableName"], read_units(sizes, consistent=consistent, together=True))


@contextmanager
def metered(client: Any, own: Any) -> Iterator[Meter]:  # noqa: ANN401  # boto3 makes its clients at run time
    """A meter of every call of `client` meanwhile; it looks at items through `own`, another client."""
    meter = Meter(own, {table.Meta.table_name: _described(table) for table in TABLES})
    client.meta.events.register("provide-client-params.dynamodb", meter.ask)
    client.meta.events.register("after-call.dynamodb", meter.answer)
    try:
        yield meter
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb", meter.ask)
        client.meta.events.unregister("after-call.dynamodb", meter.answer)


def _described(model: type[Model]) -> _Table:
    keys = tuple(it for it in (model._hash_keyname, model._range_keyname) if it)  # noqa: SLF001  # no other way to ask
    indexes = []
    for index in model._indexes.values():  # noqa: SLF001  # see above
        own = tuple(index.Meta.attributes)
        holds = None if index.Meta.projection.projection_type == "ALL" else frozenset((*keys, *own))
        indexes.append(Index(own, holds))
    return _Table(keys, tuple(indexes))
