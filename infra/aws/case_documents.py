"""Facts and cycles as the item of a case holds them: two JSON texts, or one packed document where they are long.

DynamoDB counts writes by the started KB, and a settled case is about that long.
"""

import zlib
from collections.abc import Mapping
from typing import Any

# What else an item holds, names included, seldom takes more than what is left of 1,024 bytes.
_MOST_PLAIN_BYTES = 900


def documents(facts: bytes, cycles: bytes) -> dict[str, Any]:
    """The attributes that hold the two: texts `facts` and `cycles`, or `packed`, a zlib stream of one line for each."""
    if len(facts) + len(cycles) <= _MOST_PLAIN_BYTES:
        return {"facts": facts.decode(), "cycles": cycles.decode()}
    # A small window takes a quarter of the time: the usual one is hundreds of KB to make ready.
    packing = zlib.compressobj(level=1, wbits=12, memLevel=5)
    return {"packed": packing.compress(facts + b"\n" + cycles) + packing.flush()}


def texts(item: Mapping[str, Any]) -> tuple[str | bytes, str | bytes]:
    """Facts and cycles as JSON, from an item's attributes. No JSON text that is written here has a line break."""
    if "packed" not in item:
        return item["facts"], item["cycles"]
    facts, _, cycles = zlib.decompress(item["packed"]).partition(b"\n")
    return facts, cycles
