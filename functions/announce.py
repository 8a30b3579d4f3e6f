"""What settlement announces goes onto the event bus, and into the queue of webhooks for everybody who asked for it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import boto3

from events.facts import format_instant
from functions.environment import logger, stack
from functions.registry_wiring import registry
from infra.webhooks.queueing import queue_webhooks
from settlement.announcements import Announcement
from settlement.webhooks import webhooks_for

SOURCE = "solvent.engine"
_PER_CALL = 10
_Image = Mapping[str, Mapping[str, str]]


class NotAnnounced(RuntimeError):
    """The bus did not take all events; the batch is delivered again."""


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001  # Lambda's signature
    """Tell the bus and the endpoints of each new announcement, at least once, and in the stream's order."""
    told = [_announcement(record["dynamodb"]["NewImage"]) for record in event["Records"]]
    _put_on_bus(told)
    endpoints = registry().endpoints().values()
    webhooks = [webhook for one in told for webhook in webhooks_for(one, endpoints)]
    queue_webhooks(stack(), webhooks)
    logger.info("announced", extra={"events": len(told), "webhooks": len(webhooks)})


def _announcement(image: _Image) -> Announcement:
    text = {name: value["S"] for name, value in image.items() if "S" in value}
    at, data = datetime.fromisoformat(text["at"]), json.loads(text["data"])
    return Announcement(text["announcement_id"], text["type"], text["client"], at, data, text["subject"])


def _put_on_bus(told: Sequence[Announcement]) -> None:
    bus = boto3.client("events")
    entries = list(_entries(told))
    for start in range(0, len(entries), _PER_CALL):
        answer = bus.put_events(Entries=entries[start : start + _PER_CALL])  # type: ignore[arg-type]
        if answer["FailedEntryCount"]:
            raise NotAnnounced(f"the bus refused {answer['FailedEntryCount']} events")


def _entries(told: Iterable[Announcement]) -> Iterable[dict[str, str]]:
    for one in told:
        detail = {"id": one.id, "client": one.client, "time": format_instant(one.at), "data": dict(one.data)}
        yield {"EventBusName": stack(), "Source": SOURCE, "DetailType": one.type, "Detail": json.dumps(detail)}
