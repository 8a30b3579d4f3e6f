"""From what a door lets in to facts. Only allow-listed fields pass; a refusal names the failing paths."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

from pydantic import TypeAdapter, ValidationError

from events.facts import (
    FACTS,
    CaseId,
    Fact,
    Instant,
    OwnerId,
    Party,
    Token,
    format_instant,
)
from ledger.records import dataclass

_SCALE = frozenset({"score", "scale_min", "scale_max"})

# The allow-list: what of a CloudEvent's `data` may pass a door, by type. Everything else is dropped unseen.
DATA_FIELDS: dict[str, frozenset[str]] = {
    "resolution.completed": frozenset(
        {"resolver", "expert", "channel", "language", "skill", "priority", "route", "opened_at", "first_response_at"}
        | {"resolved_at"}
    ),
    "resolution.rated": _SCALE,
    "resolution.peer_reviewed": _SCALE | {"reviewer"},
    "resolution.qa_reviewed": frozenset({"passed"}),
    "resolution.reopened": frozenset(),
    "resolution.disputed": frozenset({"dispute"}),
    "dispute.decided": frozenset({"dispute", "upheld"}),
}
ENVELOPE_FIELDS = frozenset({"id", "type", "source", "time", "subject"})

# Who may say what (DESIGN.md section 4).
AUTHORITY: dict[Party, frozenset[str]] = {
    Party.CLIENT: frozenset({"resolution.completed", "resolution.rated", "resolution.reopened", "resolution.disputed"}),
    Party.EXPERT: frozenset({"resolution.peer_reviewed", "resolution.disputed"}),
    Party.PLATFORM: frozenset({"resolution.peer_reviewed", "resolution.qa_reviewed", "dispute.decided"}),
}

# How far ahead of the door's clock a fact's own time may be.
ALLOWED_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    client: OwnerId
    party: Party
    received_at: Instant
    subject: Token


@cache
def _envelope_codec() -> TypeAdapter[_Envelope]:
    return TypeAdapter(_Envelope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One fact as a door let it in: the client and party come from the credential or the path, never from the body.

    `received_at` is the door's clock; it becomes the recorded_at of what the fact causes.
    """

    client: str
    party: Party
    received_at: datetime
    case_id: CaseId
    fact: Fact


class FactRefused(ValueError):
    """A delivery that cannot be decoded, or that its party may not say. Retrying does not help.

    `paths` name the failing fields, never their values; `digest` is the SHA-256 of what was refused.
    """

    def __init__(self, reason: str, paths: tuple[str, ...], digest: str) -> None:
        super().__init__(f"{reason}: {', '.join(paths)}" if paths else reason)
        self.reason = reason
        self.paths = paths
        self.digest = digest


def project(event: Mapping[str, object]) -> dict[str, object]:
    """The allow-listed part of a CloudEvent: what may be queued. Unknown types keep their envelope only."""
    kept: dict[str, object] = {key: event[key] for key in ENVELOPE_FIELDS if key in event}
    data = event.get("data")
    allowed = DATA_FIELDS.get(str(event.get("type")), frozenset())
    kept["data"] = {key: data[key] for key in allowed if key in data} if isinstance(data, Mapping) else {}
    return kept


def envelop(client: str, party: Party, received_at: datetime, event: Mapping[str, object]) -> dict[str, object]:
    """What a door queues: the projected event with the door's own word for client, party and time."""
    stamp = {"client": client, "party": party.value, "received_at": format_instant(received_at)}
    return stamp | {"fact": project(event)}


def decode(message: object) -> Delivery:
    """The delivery in a queued message, as `envelop` made it.

    Raises FactRefused, naming the failing paths, for anything that is not a valid fact, that the party may not say, or
    whose time is more than five minutes ahead of the door's clock.
    """
    event = message.get("fact") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(event, dict):
        raise _refusal(message, "not a delivery", "fact")
    try:
        stamp = _envelope_codec().validate_python({**message, "subject": event.get("subject")})
        kind = event.get("type")
        if not isinstance(kind, str) or kind not in DATA_FIELDS:
            raise _refusal(message, "unknown fact type", "type")
        if kind not in AUTHORITY[stamp.party]:
            raise _refusal(message, f"not for {stamp.party} to say", "type")
        [fact] = FACTS.validate_python((_flatten(event, stamp.party),))
    except ValidationError as error:
        raise _refusal(message, "malformed", *sorted({_path(problem["loc"]) for problem in error.errors()})) from None
    except OverflowError:
        raise _refusal(message, "malformed", "time") from None
    if fact.time - ALLOWED_SKEW > stamp.received_at:
        raise _refusal(message, "from the future", "time")
    return Delivery(
        client=stamp.client,
        party=stamp.party,
        received_at=stamp.received_at,
        case_id=CaseId(stamp.subject),
        fact=fact,
    )


def encode(delivery: Delivery) -> dict[str, object]:
    """The queued message of a delivery: `decode` gives the delivery back."""
    [fields] = FACTS.dump_python((delivery.fact,), mode="json", exclude_none=True)
    data = {key: value for key, value in fields.items() if key in DATA_FIELDS[delivery.fact.type]}
    event = {key: fields[key] for key in ("id", "type", "source", "time")} | {"subject": delivery.case_id, "data": data}
    return envelop(delivery.client, delivery.party, delivery.received_at, event)


def _path(location: tuple[int | str, ...]) -> str:
    """The path of a field as its sender knows it: without the fact's place and type; `data` for a rule over several."""
    return ".".join(part for part in location if isinstance(part, str) and part not in DATA_FIELDS) or "data"


def _refusal(message: object, reason: str, *paths: str) -> FactRefused:
    digest = hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()
    return FactRefused(reason, paths, digest)


def _flatten(event: Mapping[str, object], party: Party) -> dict[str, object]:
    """The fields of a fact: envelope and data side by side, resolved_at as the time of a completion."""
    data = event.get("data")
    flat = dict(data) if isinstance(data, Mapping) else {}
    flat = {key: value for key, value in flat.items() if key in DATA_FIELDS[str(event["type"])]}
    resolved_at = flat.pop("resolved_at", None)
    flat |= {key: event.get(key) for key in ("id", "type", "source", "time")}
    if resolved_at is not None:
        flat["time"] = resolved_at
    if event["type"] == "resolution.disputed":
        flat["by"] = party
    return flat
