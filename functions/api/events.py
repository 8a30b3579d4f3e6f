"""Events from senders with a token: `POST /v1/events` takes a CloudEvent, or up to 100, each judged by itself.

What may be said follows from the token: a client speaks of its own cases; an expert of a client's that it works for,
and as nobody else; finance and operators for the platform. Those name the client in the address. Sending again is safe,
for settlement knows what it has by source and id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from events.adapters.payloads import REASONS, Refusal, Unreadable, parse
from events.decode import DATA_FIELDS, FactRefused, decode, envelop
from events.facts import CaseId, Completed, Disputed, Fact, Party
from functions.api.callers import caller_in, check_rate
from functions.api.errors import ApiError, not_found, refusal_answer
from functions.requests import body_of, received_at
from infra.aws.bus import NotPut
from ledger.accounts import OWNER_ID
from settlement.grants import Caller, Role

if TYPE_CHECKING:  # whoever gives the store and the registry has these; the function starts sooner without
    from settlement.cases import Case
    from settlement.ports import CaseKey
    from settlement.registry import Client, Expert

PATH = "/v1/events"
MOST_EVENTS = 100
_LONGEST_NAME = 56  # in a source, which has 64 characters
_EXPERTS, _BY_EXPERT = "experts/", "expert/"
_MEDIA = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")
# Of several roles the first one speaks.
_SPEAKS_FOR = {
    Role.CLIENT: Party.CLIENT,
    Role.EXPERT: Party.EXPERT,
    Role.FINANCE: Party.PLATFORM,
    Role.OPERATOR: Party.PLATFORM,
}


class EventsRegistry(Protocol):
    """Who is registered."""

    def clients(self, ids: Collection[str] | None = None) -> Mapping[str, Client]:
        """Those of the clients that exist."""

    def experts(self, ids: Collection[str] | None = None) -> Mapping[str, Expert]:
        """Those of the experts that exist."""


class EventsStore(Protocol):
    """Whose case it was."""

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        """Every asked case; an empty one where nothing is known yet."""


@dataclass(frozen=True, slots=True)
class EventsBackend:
    """What taking events needs; `put_facts` and `count_call` are as in `functions.api.backend`."""

    registry: Callable[[], EventsRegistry]
    store: Callable[[], EventsStore]
    put_facts: Callable[[Sequence[Mapping[str, object]]], None]
    count_call: Callable[[str, datetime], int]
    calls_per_minute: int


@dataclass(frozen=True, slots=True)
class _Speaker:
    """On whose behalf events are sent, and about whose cases; `expert` is set for experts only."""

    client: str
    party: Party
    expert: str


def answer_events(backend: EventsBackend, event: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request in API Gateway's format 2.0: 200 with a result for each event, or why none was read."""
    request = event["requestContext"]
    now = received_at(event)
    try:
        caller = caller_in(event)
        check_rate(backend.count_call, backend.calls_per_minute, caller, now)
        speaker = _speaker(backend, caller, event)
        taken, results = list[dict[str, object]](), list[dict[str, object]]()
        for item in _events(event):
            message, refused = _judged(backend, speaker, item, now)
            taken += [message] if refused is None else []
            results.append(_result(item, refused, request["requestId"]))
        backend.put_facts(taken)
    except ApiError as error:
        return refusal_answer(error, request["requestId"])
    except NotPut:
        return refusal_answer(ApiError("try_again", "the event bus asks for patience"), request["requestId"])
    body = json.dumps({"object": "list", "data": results})
    return {"statusCode": 200, "headers": {"Content-Type": _MEDIA[0]}, "body": body}


def _speaker(backend: EventsBackend, caller: Caller, event: Mapping[str, Any]) -> _Speaker:
    """Who speaks about which client's cases; another tenant's client is not found, as one that is not there."""
    role = next((role for role in _SPEAKS_FOR if role in caller.roles), None)
    if role is None:
        raise ApiError("role_missing", f"this is for {', '.join(_SPEAKS_FOR)}; the token has none of them")
    client = (event.get("queryStringParameters") or {}).get("client")
    if client is not None and not OWNER_ID.fullmatch(client):
        raise ApiError("parameter_invalid", "client: is the id of a client, such as acme", "client")
    if client is None and role is not Role.CLIENT:
        raise ApiError("parameter_invalid", f"client: say whose cases, as in {PATH}?client=acme", "client")
    named = client or caller.tenant
    if not _may_speak_of(backend, role, caller, named):
        raise not_found(f"client {named}")
    return _Speaker(named, _SPEAKS_FOR[role], caller.tenant if role is Role.EXPERT else "")


def _may_speak_of(backend: EventsBackend, role: Role, caller: Caller, client: str) -> bool:
    if role is Role.CLIENT:
        return client == caller.tenant
    if role is Role.EXPERT:
        expert = backend.registry().experts([caller.tenant]).get(caller.tenant)
        return expert is not None and client in expert.assignments
    return client in backend.registry().clients([client])


def _events(event: Mapping[str, Any]) -> list[dict[str, object]]:
    """The events in the body. Raises ApiError for anything but one JSON object, or a list of one to 100 of them."""
    media = event["headers"].get("content-type", "").partition(";")[0].strip().lower()
    if media not in _MEDIA:
        raise ApiError("media_type", f"a body is JSON: send {', '.join(_MEDIA)}")
    try:
        read = parse(body_of(event))
    except Unreadable as unreadable:
        code = "too_large" if unreadable.code is Refusal.TOO_LARGE else "body_unreadable"
        raise ApiError(code, f"the body is {REASONS[unreadable.code][1]}") from None
    except ValueError:
        raise ApiError("body_unreadable", "the body is not text in UTF-8") from None
    items = read if isinstance(read, list) else [read]
    events = [item for item in items if isinstance(item, dict)]
    if not events or len(events) < len(items):
        raise ApiError("body_unreadable", "the body is a CloudEvent, or a list of one to 100 of them")
    if len(events) > MOST_EVENTS:
        raise ApiError("too_large", f"{len(events)} events in one request; {MOST_EVENTS} are taken at once")
    return events


def _judged(
    backend: EventsBackend, speaker: _Speaker, item: dict[str, object], now: datetime
) -> tuple[dict[str, object], ApiError | None]:
    """The message to be queued, and why it is not to be, if so."""
    message = envelop(speaker.client, speaker.party, now, _in_its_name(speaker, item))
    try:
        delivery = decode(message)
    except FactRefused as refused:
        return message, ApiError("event_refused", str(refused), refused.paths[0] if refused.paths else None)
    if speaker.expert and isinstance(delivery.fact, Disputed):
        key = (speaker.client, CaseId(delivery.case_id))
        solvers = {fact.expert for fact in backend.store().cases([key])[key].facts if isinstance(fact, Completed)}
        if speaker.expert not in solvers:
            return message, not_found(f"case {delivery.case_id}")
    return message, _in_anothers_name(speaker, delivery.fact)


def _in_anothers_name(speaker: _Speaker, fact: Fact) -> ApiError | None:
    """Why a fact would pass for somebody else's, or be decided with it; None if it does not.

    A decision names a dispute, so a client's and an expert's never have the same name.
    """
    param, said = "", ""
    if speaker.expert and getattr(fact, "reviewer", speaker.expert) != speaker.expert:
        param, said = "reviewer", "is the expert whose token it is"
    elif isinstance(fact, Disputed) and fact.dispute.startswith(_BY_EXPERT) is not bool(speaker.expert):
        param, said = "dispute", f"an expert's dispute has a name that begins with {_BY_EXPERT}, and a client's has not"
    elif not speaker.expert and fact.source.startswith(_EXPERTS):
        param, said = "source", f"{_EXPERTS} is where experts' events come from; name the system that it happened in"
    return ApiError("event_refused", f"{param}: {said}", param) if param else None


def _in_its_name(speaker: _Speaker, item: dict[str, object]) -> dict[str, object]:
    """An expert's event comes from that expert, whatever it says, so that it never takes the place of another's."""
    if not speaker.expert:
        return item
    is_long = len(speaker.expert) > _LONGEST_NAME
    name = hashlib.sha256(speaker.expert.encode()).hexdigest()[:_LONGEST_NAME] if is_long else speaker.expert
    return item | {"source": f"{_EXPERTS}{name}"}


def _result(item: Mapping[str, object], refused: ApiError | None, request_id: str) -> dict[str, object]:
    """How an event fared. Its id is told as it came if it could be one, so that nothing else is echoed."""
    id_ = item.get("id")
    error = None if refused is None else refused.body(request_id)["error"]
    known = id_ if isinstance(id_, str) and len(id_) <= 128 else None
    return {"id": known, "status": "accepted" if refused is None else "refused", "error": error}


# -- the document ------------------------------------------------------------------------------------------------------

_EXAMPLE = {
    "id": "1",
    "type": "resolution.completed",
    "source": "helpdesk",
    "time": "2026-10-05T10:00:00Z",
    "subject": "C-1",
    "data": {"resolver": "expert", "expert": "maya", "channel": "chat"},
}
_EVENT = {
    "type": "object",
    "description": "A CloudEvent 1.0. Whatever is not listed is dropped; what is wrong is told in the event's result.",
    "properties": {
        "id": {"description": "With `source` it says which event this is; sending it again changes nothing."},
        "type": {"description": f"One of {', '.join(DATA_FIELDS)}."},
        "source": {"description": "Where it happened, such as helpdesk/acme. Of an expert's token it is the expert."},
        "time": {"description": "When it happened, in RFC 3339 with a zone."},
        "subject": {"description": "The id of the case."},
        "data": {"description": "The fields of the type; see events/README.md."},
    },
}
_RESULT = {
    "type": "object",
    "required": ["id", "status", "error"],
    "properties": {
        "id": {"type": ["string", "null"]},
        "status": {"type": "string", "enum": ["accepted", "refused"]},
        "error": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Error/properties/error"}]},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _RESULT}},
}
_BODY = {
    "examples": [_EXAMPLE],
    "anyOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": MOST_EVENTS}],
}

OPERATION: Mapping[str, Any] = {
    "tags": ["events"],
    "summary": "Send events: one, or a list of up to 100.",
    "description": "Each event is accepted or refused by itself, in the order of the list. Sending one again is safe.",
    "operationId": "send_events",
    "x-roles": sorted(_SPEAKS_FOR),
    "parameters": [
        {
            "name": "client",
            "in": "query",
            "required": False,
            "description": "Whose cases the events are about; a client's token says that itself.",
            "schema": {"type": "string", "pattern": f"^{OWNER_ID.pattern}$"},
        }
    ],
    "requestBody": {"required": True, "content": {media: {"schema": _BODY} for media in _MEDIA}},
    "responses": {"200": {"description": "Read", "content": {_MEDIA[0]: {"schema": _ANSWER}}}},
}
"""The operation in the OpenAPI document; `functions.api.openapi` adds what every route may be refused with."""
