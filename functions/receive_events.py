"""Events from senders with a token, under POST /v1/events: judged one by one, put on the bus, acknowledged."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from functions.api.events import EventsBackend, EventsStore, answer_events
from functions.environment import logger, stack
from functions.registry_wiring import connection, registry
from infra.aws.bus import put_facts
from infra.aws.requests import count_call


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001  # Lambda's signature
    """Answer one request; the body is neither stored nor logged."""
    answered = answer_events(_backend(), event)
    logger.info("answered", extra={"status": answered["statusCode"]})
    return answered


@cache
def _backend() -> EventsBackend:
    connection()  # binds the tables that calls are counted in
    return EventsBackend(
        registry=registry,
        store=_store,
        put_facts=lambda messages: put_facts(stack(), messages),
        count_call=count_call,
        calls_per_minute=int(os.environ["SOLVENT_API_CALLS_PER_MINUTE"]),
    )


def _store() -> EventsStore:
    from functions.wiring import store  # noqa: PLC0415  # slow to import, and only an expert's dispute asks for it

    return store()
