"""What AWS charges for, by its published rules: units from item sizes, and list prices with their date."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import ceil
from typing import Any

# List prices in USD per million (GB-seconds for Lambda), us-east-1, as of PRICES_AS_OF; no free tier, no discount.
PRICES_AS_OF = "2026-11"
USD_PER_MILLION: Mapping[str, float] = {
    "write units": 0.625,
    "read units": 0.125,
    "Lambda requests": 0.20,
    "Lambda GB-seconds": 13.3334,  # arm64
    "SQS requests": 0.40,
    "HTTP API requests": 1.00,
    "bus events": 1.00,  # EventBridge custom events, each started 64 KB
}

# A function with this much memory gets one whole virtual CPU, with less in proportion
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
MEGABYTES_PER_CPU = 1769
_WRITE_UNIT, _READ_UNIT, _REQUEST = 1024, 4096, 64 * 1024

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index: the attributes that are its key, and those that it holds (None: all)."""

    keys: tuple[str, ...]
    holds: frozenset[str] | None

    def entry(self, item: Item | None) -> Item | None:
        """What the index holds of an item; None if the item is not in it, for it lacks a key."""
        if item is None or any(name not in item for name in self.keys):
            return None
        return item if self.holds is None else {name: item[name] for name in self.holds if name in item}


@dataclass(slots=True)
class Units:
    """What a piece of work uses. Index writes are part of `writes`."""

    writes: float = 0
    index_writes: float = 0
    reads: float = 0

    def __add__(self, other: "Units") -> "Units":
        return Units(*(getattr(self, it.name) + getattr(other, it.name) for it in fields(self)))

    def __truediv__(self, number: float) -> "Units":
        return Units(*(getattr(self, it.name) / number for it in fields(self)))


def item_size(item: Item) -> int:
    """Bytes of an item in DynamoDB's wire form: UTF-8 names and values.

    A number takes a byte for two significant digits, and one more; a null or a bool takes one; a list or map three, and
    one for each element (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html).
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_size(content)
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _value_size(it) for it in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(it) for name, it in content.items())
        case _:
            raise ValueError(f"sizes of the type {kind} are not known here; add its rule")


def _number_size(text: str) -> int:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return ceil(len(digits) / 2) + 1 + text.startswith("-")


def write_units(
    before: Item | None, after: Item | None, *, in_transaction: bool, indexes: Iterable[Index] = ()
) -> Units:
    """What writing an item uses: 1 unit for each started KB of the larger of before and after, twice in a transaction.

    An index is written beside it, once, when what it holds of the item changes, twice if its key does. Indexes follow
    after the transaction and are not part of it: they count single.
    """
    size = max(item_size(it) for it in (before, after, {}) if it is not None)
    table = max(1, ceil(size / _WRITE_UNIT)) * (2 if in_transaction else 1)
    beside = sum(_index_units(index.entry(before), index.entry(after), index) for index in indexes)
    return Units(writes=table + beside, index_writes=beside)


def _index_units(before: Item | None, after: Item | None, index: Index) -> int:
    if before == after:
        return 0
    entries = [it for it in (before, after) if it is not None]
    if before is not None and after is not None and all(before[name] == after[name] for name in index.keys):
        return max(ceil(item_size(it) / _WRITE_UNIT) for it in entries)
    return sum(ceil(item_size(it) / _WRITE_UNIT) for it in entries)


def read_units(sizes: Iterable[int], *, consistent: bool, together: bool = False) -> Units:
    """What reading items uses: 1 unit for each started 4 KB, half of it where the read is only eventually consistent.

    A query adds its items up first (`together`); each item of a batch counts alone. What is not there counts as 1 byte.
    """
    counted = [sum(sizes)] if together else list(sizes)
    units = sum(max(1, ceil(size / _READ_UNIT)) for size in counted)
    return Units(reads=units if consistent else units / 2)


def lambda_usd_per_million(cpu_seconds: float, waited_seconds: float, megabytes: int) -> float:
    """What a million invocations cost that each compute and wait for so long; a part of a CPU computes for longer."""
    duration = cpu_seconds * max(1.0, MEGABYTES_PER_CPU / megabytes) + waited_seconds
    gigabyte_seconds = duration * megabytes / 1024
    return USD_PER_MILLION["Lambda requests"] + gigabyte_seconds * USD_PER_MILLION["Lambda GB-seconds"]


def requests(size: int) -> int:
    """As how many requests or events a message of so many bytes counts: one for each started 64 KB."""
    return max(1, ceil(size / _REQUEST))
