"""Webhooks leave: signed, one at a time, and again until they are taken or given up."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.batches import again, body
from functions.environment import logger, stack
from functions.registry_wiring import registry
from infra.aws.secrets import webhook_secrets
from infra.webhooks.deliveries import keep_delivery
from infra.webhooks.queueing import postpone, queued
from infra.webhooks.sending import post
from settlement.webhooks import Attempt, DeliveryState, SecretInvalid, Webhook, after_attempt, signature_header


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Deliver one webhook. One that was not taken stays in the queue until its next attempt, if it has one."""
    [record] = event["Records"]  # of more, those behind the first would lose attempts that they never had
    webhook, counted = queued(body(record)), record["attributes"]
    now = datetime.now(UTC)
    attempt = _try(webhook, now)
    first_at = datetime.fromtimestamp(int(counted["ApproximateFirstReceiveTimestamp"]) / 1000, UTC)
    delivery, wait = after_attempt(webhook, attempt, int(counted["ApproximateReceiveCount"]), first_at, now)
    keep_delivery(delivery)
    said = {"endpoint": webhook.endpoint, "webhook": webhook.id, "type": webhook.type, "why": attempt.why}
    if wait is not None:
        postpone(stack(), record["receiptHandle"], wait)
        logger.info("webhook waits", extra=said | {"seconds": wait})
        return again([record["messageId"]])
    if delivery.state is DeliveryState.FAILED:
        logger.error("webhook given up", extra=said)
    else:
        logger.info("webhook delivered", extra=said)
    return again([])


def _try(webhook: Webhook, now: datetime) -> Attempt:
    """One attempt, signed with the endpoint's secrets as they are at this moment."""
    endpoint = registry().endpoints([webhook.endpoint]).get(webhook.endpoint)
    if endpoint is None or not endpoint.enabled:
        return Attempt(is_delivered=False, why="the endpoint is not enabled", is_final=True)
    try:
        signature = signature_header(webhook_secrets(stack(), endpoint.id), webhook.id, now, webhook.body)
    except SecretInvalid as invalid:
        return Attempt(is_delivered=False, why=str(invalid))
    headers = {
        "content-type": "application/json",
        "user-agent": "Solvent-Webhooks",
        "webhook-id": webhook.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    is_embedded = os.environ.get("SOLVENT_WEBHOOKS_TO_LOOPBACK") == "allowed"
    return post(endpoint.url, headers, webhook.body, loopback_allowed=is_embedded)
