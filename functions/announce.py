"""What settlement announces goes onto the event bus, and into the queue of webhooks for everybody who asked for it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from events.facts import format_instant
from functions.environment import logger, stack
from functions.registry_wiring import registry
from infra.aws.bus import Event, put_events
from infra.webhooks.queueing import queue_webhooks
from settlement.announcements import Announcement
from settlement.webhooks import webhooks_for

SOURCE = "solvent.engine"
_Image = Mapping[str, Mapping[str, str]]


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001  # Lambda's signature
    """Tell the bus and the endpoints of each new announcement, at least once, and in the stream's order.

    Where the bus does not take all of them, NotPut has the batch delivered again.
    """
    told = [_announcement(record["dynamodb"]["NewImage"]) for record in event["Records"]]
    put_events(stack(), SOURCE, map(_event, told))
    endpoints = registry().endpoints().values()
    webhooks = [webhook for one in told for webhook in webhooks_for(one, endpoints)]
    queue_webhooks(stack(), webhooks)
    logger.info("announced", extra={"events": len(told), "webhooks": len(webhooks)})


def _announcement(image: _Image) -> Announcement:
    text = {name: value["S"] for name, value in image.items() if "S" in value}
    at, data = datetime.fromisoformat(text["at"]), json.loads(text["data"])
    return Announcement(text["announcement_id"], text["type"], text["client"], at, data, text["subject"])


def _event(told: Announcement) -> Event:
    detail = {"id": told.id, "client": told.client, "time": format_instant(told.at), "data": dict(told.data)}
    return told.type, detail
