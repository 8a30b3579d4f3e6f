"""The HTTP API under /v1: a token's bearer reads and does what its grants allow, and sees what its role is shown."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

from functions.api.application import answer
from functions.api.backend import Backend
from functions.api.errors import no_route, refusal_answer
from functions.api.openapi import DOCUMENT, document_answer
from functions.environment import stack
from functions.wiring import registry, store
from infra.aws import clients
from infra.aws.bus import put_facts
from infra.aws.queues import ask_to_send
from infra.aws.requests import count_call, table_name
from infra.webhooks.desk import WebhookDesk
from settlement.stripe_port import Stripe

_NO_ROUTE = "$default"


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  # Lambda's context has no type
    """Answer one request; the OpenAPI document to everybody, and what has no route with our own 404."""
    if event["routeKey"] == _NO_ROUTE:
        return refusal_answer(no_route(event["rawPath"]), event["requestContext"]["requestId"])
    if event["routeKey"] == f"GET {DOCUMENT}":
        return document_answer()
    return answer(_backend(), event, context)


@cache
def _backend() -> Backend:
    return Backend(
        store=store(),
        registry=registry(),
        stripe=_stripe,
        webhooks=WebhookDesk(stack()),
        put_facts=lambda messages: put_facts(stack(), messages),
        ask_to_send=lambda payouts, as_of: ask_to_send(stack(), payouts, as_of),
        repetitions=DynamoDBPersistenceLayer(table_name(), boto3_client=clients.client("dynamodb")),
        count_call=count_call,
        calls_per_minute=int(os.environ["SOLVENT_API_CALLS_PER_MINUTE"]),
    )


def _stripe() -> Stripe:
    from functions.stripe_wiring import stripe  # noqa: PLC0415  # its SDK is slow to import, and few routes call it

    return stripe()
