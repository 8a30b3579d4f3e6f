"""The event bus: facts from the doors, from where they go to the queue of facts, and announcements of the engine."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from infra.aws import clients

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

DOORS = "solvent.doors"
_PER_CALL = 10
_AT_ONCE = 10  # as many connections as botocore keeps
# What happened, as EventBridge's DetailType has it, and its detail.
Event = tuple[str, Mapping[str, object]]


class NotPut(RuntimeError):
    """The bus did not take an event; putting all again is safe, for whoever hears them knows repetitions."""


def put_facts(stack: str, messages: Sequence[Mapping[str, object]]) -> None:
    """Put deliveries, as `events.decode.envelop` made them, on the stack's bus. Raises NotPut.

    Where they take several calls these are made at once: senders wait for the answer, and facts come in any order.
    """
    calls = list(_calls(stack, DOORS, (("fact", message) for message in messages)))
    if len(calls) > 1:
        bus()  # made before the threads, which would make one each
        with ThreadPoolExecutor(min(len(calls), _AT_ONCE)) as threads:
            list(threads.map(_put, calls))  # raises what one of them raised
    else:
        for call in calls:
            _put(call)


def put_events(stack: str, source: str, events: Iterable[Event]) -> None:
    """Put events of one source on the stack's bus, in their order. Raises NotPut; those before are then on the bus."""
    for call in _calls(stack, source, events):
        _put(call)


def _calls(stack: str, source: str, events: Iterable[Event]) -> Iterator[list[dict[str, str]]]:
    entries = [
        {"EventBusName": stack, "Source": source, "DetailType": type_, "Detail": json.dumps(detail)}
        for type_, detail in events
    ]
    yield from (entries[start : start + _PER_CALL] for start in range(0, len(entries), _PER_CALL))


def _put(entries: list[dict[str, str]]) -> None:
    answer = bus().put_events(Entries=entries)  # type: ignore[arg-type]  # plain dicts
    if answer["FailedEntryCount"]:
        raise NotPut(f"the bus refused {answer['FailedEntryCount']} events")


@cache
def bus() -> "EventBridgeClient":
    """Made once per process: making a client takes longer than a call."""
    made: EventBridgeClient = clients.client("events")
    return made
