"""Items, reads and writes in DynamoDB's own form.

PynamoDB reads one table with a call, and takes longer to make a write than DynamoDB's client to send it.
"""

from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from pynamodb.connection import Connection
from pynamodb.expressions.condition import Condition
from pynamodb.models import Model
from pynamodb.pagination import ResultIterator

KEYS_PER_READ = 100

Value = str | int | bool | bytes
Attributes = Mapping[str, Value | None]
# What names an item in its table: its partition, and where the table has one its sort key.
Place = tuple[Value, ...]
# As DynamoDB takes them: an item, and what a transaction does with one.
Item = dict[str, dict[str, Any]]
Write = dict[str, Any]
_ENCODERS: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    str: lambda text: {"S": text},
    int: lambda number: {"N": str(number)},
    bool: lambda truth: {"BOOL": truth},
    bytes: lambda content: {"B": b64encode(content).decode()},
}


# -- items -------------------------------------------------------------------------------------------------------------


def encoded(attributes: Attributes) -> Item:
    """The attributes as DynamoDB takes them, without those that are None. Raises TypeError for a float, say."""
    try:
        return {name: _ENCODERS[type(value)](value) for name, value in attributes.items() if value is not None}
    except KeyError:
        wrong = {name: it for name, it in attributes.items() if it is not None and type(it) not in _ENCODERS}
        raise TypeError(f"{wrong} cannot be stored; give text, bytes, whole numbers or booleans") from None


def decoded(item: Item) -> dict[str, Any]:
    """The attributes of a stored item, as they were before `encoded`; those that were None are left out."""
    return {name: int(value["N"]) if "N" in value else next(iter(value.values())) for name, value in item.items()}


# -- reads -------------------------------------------------------------------------------------------------------------


def read_together(places: Mapping[type[Model], Collection[Place]]) -> dict[type[Model], list[dict[str, Any]]]:
    """The items at these places of several tables, decoded and in no order, a hundred with a call.

    Reads are consistent. What is not there is left out.
    """
    tables = {model.Meta.table_name: model for model in places}
    wanted = [(table, key) for table, model in tables.items() for key in _keys(model, places[model])]
    found: dict[type[Model], list[dict[str, Any]]] = {model: [] for model in places}
    for start in range(0, len(wanted), KEYS_PER_READ):
        request: dict[str, Any] = {}
        for table, key in wanted[start : start + KEYS_PER_READ]:
            request.setdefault(table, {"ConsistentRead": True, "Keys": []})["Keys"].append(key)
        while request:  # DynamoDB may answer for a part
            asked = {"RequestItems": request, "ReturnConsumedCapacity": "NONE"}
            answer = _connection(tables[next(iter(request))]).dispatch("BatchGetItem", asked)
            for table, items in answer["Responses"].items():
                found[tables[table]] += map(decoded, items)
            request = answer["UnprocessedKeys"]
    return found


def _keys(model: type[Model], places: Collection[Place]) -> list[Item]:
    described = _connection(model).get_meta_table(model.Meta.table_name)
    names = [name for name in (described.hash_keyname, described.range_keyname) if name]
    return [encoded(dict(zip(names, place, strict=True))) for place in dict.fromkeys(places)]


def scan(model: type[Model], where: Condition | None = None) -> Iterator[dict[str, Any]]:
    """Every item of a table for which a condition holds, decoded, in no order. For reports: it reads all of them."""
    asked = {"filter_condition": where, "consistent_read": True}
    return ResultIterator(_connection(model).scan, (model.Meta.table_name,), asked, map_fn=decoded)


def _connection(model: type[Model]) -> Connection:
    """The one that `infra.aws.tables.bind` gave to all tables."""
    return model._get_connection().connection  # noqa: SLF001  # PynamoDB keeps it to itself


# -- writes, for a transaction -----------------------------------------------------------------------------------------
# Expressions name attributes as they are: none of those named is a reserved word of DynamoDB.


def put(model: type[Model], item: Attributes, condition: str | None = None, **values: Value) -> Write:
    """Put an item, on a condition about what is there now; `values` are what it names `:name`."""
    return {"TableName": model.Meta.table_name, "Item": encoded(item)} | _expressions(condition, values)


def put_revision(model: type[Model], item: Attributes, revision: int) -> Write:
    """Put this revision of an item, counted from 1, only over the one before."""
    numbered = {**item, "revision": revision}
    if revision == 1:
        return put(model, numbered, "attribute_not_exists(revision)")
    return put(model, numbered, "revision = :before", before=revision - 1)


def update(model: type[Model], key: Attributes, change: str, condition: str | None = None, **values: Value) -> Write:
    """Change an item, on a condition about what is there now; `values` are what both name `:name`."""
    changed = {"TableName": model.Meta.table_name, "Key": encoded(key), "UpdateExpression": change}
    return changed | _expressions(condition, values)


def check(model: type[Model], key: Attributes, condition: str, **values: Value) -> Write:
    """Change nothing, on a condition about what is there now; `values` are what it names `:name`."""
    return {"TableName": model.Meta.table_name, "Key": encoded(key)} | _expressions(condition, values)


def delete(model: type[Model], key: Attributes) -> Write:
    """Delete an item, if it is there."""
    return {"TableName": model.Meta.table_name, "Key": encoded(key)}


def _expressions(condition: str | None, values: Mapping[str, Value]) -> Write:
    asked: Write = {"ConditionExpression": condition} if condition else {}
    if values:
        asked["ExpressionAttributeValues"] = encoded({f":{name}": value for name, value in values.items()})
    return asked
