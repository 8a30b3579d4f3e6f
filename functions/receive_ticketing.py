"""Helpdesks' webhooks: verify, keep the allow-listed part, put it on the bus, acknowledge. Nothing else.

The raw body is not stored, queued or logged. Who the client is follows from the door in the path.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.adapters.doors import Door
from events.adapters.payloads import PayloadRefused
from events.adapters.signatures import Request
from events.adapters.webhooks import read_webhook
from events.decode import envelop
from events.facts import Party
from functions.api.errors import no_route, refusal_answer
from functions.doors import report_refused
from functions.environment import logger, stack
from functions.registry_wiring import registry
from functions.requests import body_of, received_at
from infra.aws.bus import put_facts
from infra.aws.secrets import door_secrets
from ledger.accounts import OWNER_ID

_KNOWN_SECONDS = 60.0
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class _Known:
    """A door with its secrets, to be read again at an instant of this process's clock."""

    door: Door
    secrets: tuple[str, ...]
    until: float


_known: dict[str, _Known] = {}


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """202 for what is queued or means nothing; 404 for no such door; else 4xx, the reason, and a metric."""
    known = _look_up(event["pathParameters"]["door"])
    if known is None:
        return refusal_answer(no_route(event["rawPath"]), event["requestContext"]["requestId"])
    door, now = known.door, _received_at(event)
    try:
        reading = read_webhook(door, known.secrets, _request(event), now)
    except PayloadRefused as refused:
        report_refused(door, (refused,), now)
        return _refusal(refused, event["requestContext"]["requestId"])
    put_facts(stack(), [envelop(door.client, Party.CLIENT, now, fact) for fact in reading.facts])
    report_refused(door, reading.refused, now)
    logger.info("received", extra={"door": door.id, "facts": len(reading.facts), "refused": len(reading.refused)})
    return {"statusCode": 202, "headers": _JSON, "body": json.dumps({"facts": len(reading.facts)})}


def _received_at(event: Mapping[str, Any]) -> datetime:
    """API Gateway's clock; or what the request says, where the template lets it play a month that is not now."""
    said = event["headers"].get("x-solvent-clock")
    if said is not None and os.environ.get("SOLVENT_CLOCK_OF_REQUESTS") == "taken":
        return datetime.fromisoformat(said)
    return received_at(event)


def _look_up(door: str) -> _Known | None:
    """A door and its secrets, at most a minute old; None if there is no such door, or it takes no webhooks."""
    known = _known.get(door)
    if known is not None and time.monotonic() < known.until:
        return known
    found = registry().doors([door]).get(door) if OWNER_ID.fullmatch(door) else None
    if found is None or found.secret is None:
        _known.pop(door, None)
        return None
    secrets = door_secrets(stack(), found.secret)
    _known[door] = _Known(found, secrets, time.monotonic() + _KNOWN_SECONDS)
    return _known[door]


def _request(event: Mapping[str, Any]) -> Request:
    """The request as its sender made it; some systems sign its address."""
    asked = event["requestContext"]
    query = f"?{event['rawQueryString']}" if event.get("rawQueryString") else ""
    return Request(
        method=asked["http"]["method"],
        url=f"https://{asked['domainName']}{event['rawPath']}{query}",
        headers=event["headers"],
        body=body_of(event),
    )


def _refusal(refused: PayloadRefused, request_id: str) -> dict[str, object]:
    """The refusal in the form of the API's errors."""
    kind = "authentication_error" if refused.status == 401 else "invalid_request_error"
    told = {
        "type": kind,
        "code": refused.code.value,
        "message": str(refused),
        "param": refused.paths[0] if refused.paths else None,
        "doc_url": None,
        "request_id": request_id,
    }
    return {"statusCode": refused.status, "headers": _JSON, "body": json.dumps({"error": told})}
