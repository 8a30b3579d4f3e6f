"""The queue of webhooks: a FIFO queue, whose groups wait for nobody but themselves."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from infra.aws import clients
from settlement.webhooks import Webhook


def queue_webhooks(stack: str, webhooks: Iterable[Webhook], mark: str = "") -> None:
    """Queue webhooks one after the other, so that none overtakes one that was not taken.

    For five minutes the queue takes each only once; another `mark`, of a replay, counts as another.
    """
    for webhook in webhooks:
        sqs, url = _queue(stack)
        once = hashlib.sha256(f"{webhook.endpoint} {webhook.id} {mark}".encode()).hexdigest()
        message = json.dumps(asdict(webhook))
        sqs.send_message(QueueUrl=url, MessageBody=message, MessageGroupId=webhook.group, MessageDeduplicationId=once)


def queued(message: Mapping[str, str]) -> Webhook:
    """A webhook as it came out of the queue."""
    return Webhook(**message)


def postpone(stack: str, receipt: str, seconds: int) -> None:
    """Hide a webhook that was received for so long; with it waits what is behind it in its group, and nothing else."""
    sqs, url = _queue(stack)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=seconds)


@cache
def _queue(stack: str) -> tuple[Any, str]:
    sqs = clients.client("sqs")
    return sqs, sqs.get_queue_url(QueueName=f"{stack}-webhooks.fifo")["QueueUrl"]
