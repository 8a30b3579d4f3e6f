"""A helpdesk's request becomes facts: verify the raw bytes, parse, project; nothing else of it is kept. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from events.adapters.doors import Door, alternatives
from events.adapters.payloads import MOST_BYTES, PayloadRefused, Refusal, Unreadable, find, parse
from events.adapters.rules import Feed
from events.adapters.signatures import Request, authenticate, digest_of
from events.adapters.translate import MOST_FACTS, Event, facts_of
from events.facts import format_instant
from ledger.records import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: facts for `events.decode.envelop`, and why items beside them were refused."""

    facts: tuple[Event, ...]
    refused: tuple[PayloadRefused, ...] = ()


def read_webhook(door: Door, secrets: Sequence[str], request: Request, now: datetime) -> Reading:
    """The facts in a request to a door; none if it is genuine but of no interest, such as a comment.

    `secrets` are the values kept under the door's secret name, the old one beside the new one while it is exchanged;
    `now` is when the request came. A repeated request gives the same facts with the same ids.

    Raises PayloadRefused, with the HTTP status to answer: for a request that did not come from the door's system or
    cannot be parsed, and if no fact but at least one refusal comes of its events. Of a batch some events may be refused
    while others are read: then both are in the result.
    """
    try:
        feed, sent_at = _authentic(door, secrets, request, now)
        document = parse(request.body)
    except Unreadable as error:
        raise refused(error, request.body) from None
    context = {"@received": format_instant(now)} | ({"@sent": format_instant(sent_at)} if sent_at else {})
    reading = read_items(door, feed, document, context)
    if reading.refused and not reading.facts:
        raise reading.refused[0]
    return reading


def _authentic(door: Door, secrets: Sequence[str], request: Request, now: datetime) -> tuple[Feed, datetime | None]:
    """What the door reads, and when the request was signed."""
    feed, scheme = door.table.feed, door.authenticity
    if len(request.body) > MOST_BYTES:
        raise Unreadable(Refusal.TOO_LARGE)
    if feed is None or scheme is None:
        raise Unreadable(Refusal.UNAUTHENTICATED)
    return feed, authenticate(scheme, secrets, request, now, door.header)


def read_items(door: Door, feed: Feed, document: object, context: Mapping[str, str]) -> Reading:
    """The facts of all events in a parsed payload, and the refusals of those that cannot be read.

    `context` holds the values of the paths that begin with @.
    """
    facts: list[Event] = []
    refusals: list[PayloadRefused] = []
    for place, item in items_in(document, feed):
        try:
            facts += _read(door, feed, item, context, MOST_FACTS - len(facts))
        except Unreadable as error:
            content = json.dumps(item, sort_keys=True).encode()
            refusals.append(refused(Unreadable(error.code, f"{place}{error.path}".rstrip(".")), content))
    return Reading(tuple(facts), tuple(refusals))


def _read(door: Door, feed: Feed, item: object, context: Mapping[str, str], most: int) -> tuple[Event, ...]:
    if not isinstance(item, Mapping):
        raise Unreadable(Refusal.WRONG_TYPE)
    facts = facts_of(door, feed, item, context)
    if len(facts) > most:
        raise Unreadable(Refusal.TOO_MANY)
    return facts


def items_in(document: object, feed: Feed) -> Iterator[tuple[str, object]]:
    """Each event in a payload, with its place: `[3].` for the fourth of a list, nothing for a single one."""
    found = (find(document, path) for path in alternatives(feed.items))
    value = next((one for one in found if one is not None), None)
    if not isinstance(value, list):
        yield "", value
        return
    for position, item in enumerate(value):
        yield f"[{position}].", item


def refused(error: Unreadable, content: bytes) -> PayloadRefused:
    """The refusal that is told, with the hash of what was refused."""
    return PayloadRefused(error.code, (error.path,) if error.path else (), digest_of(content))
