"""Events from senders with a token, under POST /v1/events: judged one by one, put on the bus, acknowledged."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from functions.api.events import EventsBackend, answer_events
from functions.environment import stack
from functions.wiring import logger, registry, store
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
    store()  # binds the tables that calls are counted in
    return EventsBackend(
        registry=registry,
        store=store,
        put_facts=lambda messages: put_facts(stack(), messages),
        count_call=count_call,
        calls_per_minute=int(os.environ["SOLVENT_API_CALLS_PER_MINUTE"]),
    )
