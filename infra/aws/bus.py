"""Facts onto the event bus, from where they go to the queue of facts."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "solvent.doors"
_PER_CALL = 10


class NotPut(RuntimeError):
    """The bus did not take a fact; putting all again is safe, for settlement knows repetitions."""


def put_facts(stack: str, messages: Sequence[Mapping[str, object]]) -> None:
    """Put deliveries, as `events.decode.envelop` made them, on the stack's bus. Raises NotPut."""
    entries = [
        {"EventBusName": stack, "Source": SOURCE, "DetailType": "fact", "Detail": json.dumps(message)}
        for message in messages
    ]
    bus = _bus()
    for start in range(0, len(entries), _PER_CALL):
        answer = bus.put_events(Entries=entries[start : start + _PER_CALL])  # type: ignore[arg-type]  # a plain dict
        if answer["FailedEntryCount"]:
            raise NotPut(f"the bus refused {answer['FailedEntryCount']} of {len(entries)} facts")


@cache
def _bus() -> "EventBridgeClient":
    """Made once per process: making a client takes longer than a call."""
    return boto3.client("events")
