"""Play facts and triggers into a stack through its front doors, and wait until everything has come to rest."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from events.facts import format_instant
from infra.local.helpdesks import Posted, webhook_of
from infra.local.stack import LocalStack

PUT_EVENTS_BATCH = 10
# The emulator delivers fastest while its queue stays short.
QUEUE_DEPTH = 300
REST_SECONDS = 120
_POLL_SECONDS = 0.02
# Webhooks that are on their way at the same time, and how many are posted before the queue is looked at.
_SENDERS = 4
_AT_ONCE = 200


class NotAtRest(RuntimeError):
    """A queue did not drain in time, or the bus refused events; the functions' logs say why."""


class FunctionFailed(RuntimeError):
    """A function that was invoked ended in an error."""


class Player:
    """The outside world of one stack: doors that put events on the bus, schedules that fire, a clock at Stripe."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._name = stack.address.stack_name
        self._events = stack.client("events")
        self._sqs = stack.client("sqs")
        self._lambda = stack.client("lambda")
        names = ("facts", "payouts", "stripe-events", "exports")
        self._queues = {name: self._url(f"{self._name}-{name}") for name in names}
        self._dead = {name: self._url(f"{self._name}-{name}-dead") for name in names}

    def send(self, messages: Sequence[Mapping[str, object]], progress: Callable[[int], None] = lambda _: None) -> None:
        """Put door messages on the event bus, paced so that the metering queue stays short."""
        for start in range(0, len(messages), PUT_EVENTS_BATCH):
            batch = messages[start : start + PUT_EVENTS_BATCH]
            entries = [
                {
                    "EventBusName": self._name,
                    "Source": "solvent.doors",
                    "DetailType": str(_type(message)),
                    "Detail": json.dumps(message),
                }
                for message in batch
            ]
            answer = self._events.put_events(Entries=entries)
            if answer["FailedEntryCount"]:
                raise NotAtRest(f"the bus refused {answer['FailedEntryCount']} of {len(batch)} events")
            progress(len(batch))
            if start % (PUT_EVENTS_BATCH * 10) == 0:
                self._wait(["facts"], QUEUE_DEPTH)

    def play(self, messages: Sequence[Mapping[str, Any]], progress: Callable[[int], None] = lambda _: None) -> None:
        """Bring messages of the sample month in, as their senders do: helpdesks by signed webhooks, others by the bus.

        Raises NotAtRest if a door refuses one.
        """
        for start in range(0, len(messages), _AT_ONCE):
            batch = messages[start : start + _AT_ONCE]
            posted = [(message, webhook_of(message)) for message in batch]
            with ThreadPoolExecutor(_SENDERS) as senders:
                for _ in senders.map(self._post, [webhook for _, webhook in posted if webhook]):
                    progress(1)
            self.send([message for message, webhook in posted if webhook is None], progress)
            self._wait(["facts"], QUEUE_DEPTH)

    def _post(self, posted: Posted) -> None:
        address = f"{self._stack.address.api_url}/webhooks/{posted.door}"
        request = urllib.request.Request(address, posted.body, dict(posted.headers))  # noqa: S310  # loopback
        try:
            urllib.request.urlopen(request, timeout=REST_SECONDS).close()  # noqa: S310  # see above
        except OSError as error:
            raise NotAtRest(f"the door {posted.door} did not take a webhook: {error}") from error

    def trigger(self, function: str, at: datetime) -> dict[str, Any]:
        """Fire a schedule: invoke its function with the event that the schedule would send at that time."""
        answer = self._lambda.invoke(
            FunctionName=f"{self._name}-{function.replace('_', '-')}",
            Payload=json.dumps({"time": format_instant(at), "source": "aws.events"}),
        )
        payload = json.loads(answer["Payload"].read() or "null")
        if answer.get("FunctionError"):
            raise FunctionFailed(f"{function} at {format_instant(at)}: {payload.get('errorMessage', payload)}")
        return dict(payload or {})

    def set_clock(self, now: datetime) -> None:
        """Move the sandbox's clock on, and let what it then announces be dealt with."""
        current = datetime.fromisoformat(self._stack.sandbox.control("health", method="GET")["now"])
        if now > current:
            self._stack.sandbox.control("clock", {"now": format_instant(now)})
            self.settle_webhooks()

    def settle_webhooks(self) -> None:
        """Let every webhook of the sandbox arrive and be dealt with; what that leads to, too."""
        delivered = True
        while delivered:
            delivered = self._stack.sandbox.control("webhooks/flush", {})["delivered"]
            self.rest("stripe-events")  # also what the sandbox had delivered by itself

    def rest(self, *queues: str) -> None:
        """Wait until these queues, or all, are empty. Raises NotAtRest if one does not drain."""
        self._wait(queues or tuple(self._queues), 0)

    def given_up(self) -> dict[str, int]:
        """The dead-letter queues that hold messages, and how many."""
        return {name: depth for name, url in self._dead.items() if (depth := self._depth(url))}

    def _wait(self, names: Iterable[str], depth: int) -> None:
        deadline = time.monotonic() + REST_SECONDS
        for name in names:
            while self._depth(self._queues[name]) > depth:
                if time.monotonic() > deadline:
                    raise NotAtRest(
                        f"queue {name} did not drain within {REST_SECONDS} seconds; see the functions' logs"
                    )
                time.sleep(_POLL_SECONDS)

    def _url(self, name: str) -> str:
        return str(self._sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def _depth(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


def _type(message: Mapping[str, object]) -> object:
    fact = message.get("fact")
    return fact.get("type", "unknown") if isinstance(fact, Mapping) else "unknown"
