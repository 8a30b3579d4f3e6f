"""Stripe's webhooks: verify, keep the allow-listed part, queue, acknowledge. Nothing else."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from events.stripe_webhook import WebhookRefused, check_signature, read_event
from functions.environment import logger, stack
from functions.requests import body_of, received_at
from infra.aws.queues import queue
from infra.aws.secrets import StripeKeys, stripe_keys


@cache
def _keys() -> StripeKeys:
    return stripe_keys(stack())


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """202 for an event that is queued, 401 for one that Stripe did not sign for this endpoint, 404 for no endpoint."""
    try:
        message = _verified(event)
    except WebhookRefused as refused:
        logger.warning("refused", extra={"why": str(refused)})
        return {"statusCode": 401, "body": str(refused)}
    if message is None:
        return {"statusCode": 404, "body": ""}
    queue(f"{stack()}-stripe-events").send([message])
    logger.info("queued", extra={"id": message["id"], "type": message["type"]})
    return {"statusCode": 202, "body": ""}


def _verified(event: Mapping[str, Any]) -> dict[str, str] | None:
    """What to queue; None if there is no such endpoint."""
    signature = event["headers"].get("stripe-signature")
    if signature is None:
        raise WebhookRefused("there is no Stripe-Signature header")
    secrets = {"platform": _keys().webhook_secret_platform, "connect": _keys().webhook_secret_connect}
    secret = secrets.get(event["pathParameters"]["scope"])
    if secret is None:
        return None
    payload = body_of(event)
    check_signature(payload, signature, secret, received_at(event))
    return read_event(payload)
