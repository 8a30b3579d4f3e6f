"""Queues by name: the messages are JSON."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache

from infra.aws import clients

_BATCH = 10


class Queue:
    """One SQS queue."""

    def __init__(self, name: str) -> None:
        self._client = clients.client("sqs")
        self._url = self._client.get_queue_url(QueueName=name)["QueueUrl"]

    def send(self, messages: Iterable[Mapping[str, object]]) -> None:
        """Send all messages; raises NotSent if the queue did not take some."""
        bodies = [json.dumps(message, sort_keys=True) for message in messages]
        for start in range(0, len(bodies), _BATCH):
            part = bodies[start : start + _BATCH]
            entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(part)]
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            if answer.get("Failed"):
                raise NotSent(f"{len(answer['Failed'])} of {len(part)} messages were not taken; send them again")


class NotSent(RuntimeError):
    """The queue did not take a message; sending all again is safe, for receivers know repetitions."""


def ask_to_send(stack: str, payouts: Iterable[str], as_of: datetime) -> None:
    """Put payouts into a stack's queue of those that may be sent; asking twice is safe. Raises NotSent."""
    queue(f"{stack}-payouts").send({"payout": id_, "as_of": as_of.isoformat()} for id_ in payouts)


@lru_cache(maxsize=8)
def queue(name: str) -> Queue:
    """The queue of a name, looked up once per process."""
    return Queue(name)
