"""The HTTP API under /v1: a token's bearer reads and does what its grants allow, and sees what its role is shown."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

from functions.api.application import answer
from functions.api.backend import Backend
from functions.api.openapi import DOCUMENT, document_answer
from functions.environment import stack
from functions.wiring import registry, store
from infra.aws.bus import put_facts
from infra.aws.queues import ask_to_send
from infra.aws.requests import count_call, table_name
from settlement.stripe_port import Stripe


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  # Lambda's context has no type
    """Answer one request; the OpenAPI document to everybody."""
    if event["requestContext"]["http"]["path"].endswith(DOCUMENT):
        return document_answer()
    return answer(_backend(), event, context)


@cache
def _backend() -> Backend:
    return Backend(
        store=store(),
        registry=registry(),
        stripe=_stripe,
        put_facts=lambda messages: put_facts(stack(), messages),
        ask_to_send=lambda payouts, as_of: ask_to_send(stack(), payouts, as_of),
        repetitions=DynamoDBPersistenceLayer(table_name()),
        count_call=count_call,
        calls_per_minute=int(os.environ["SOLVENT_API_CALLS_PER_MINUTE"]),
    )


def _stripe() -> Stripe:
    from functions.stripe_wiring import stripe  # noqa: PLC0415  # its SDK is slow to import, and few routes call it

    return stripe()
