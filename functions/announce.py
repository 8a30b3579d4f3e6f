"""What settlement announces goes onto the event bus."""

import json
from collections.abc import Mapping
from typing import Any

import boto3
from aws_lambda_powertools import Logger

from functions.environment import stack

SOURCE = "solvent.engine"
_PER_CALL = 10
logger = Logger()


class NotAnnounced(RuntimeError):
    """The bus did not take all events; the batch is delivered again."""


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001  # Lambda's signature
    """Put each new announcement on the bus, at least once."""
    bus = boto3.client("events")
    entries = [_entry(record["dynamodb"]["NewImage"]) for record in event["Records"]]
    for start in range(0, len(entries), _PER_CALL):
        answer = bus.put_events(Entries=entries[start : start + _PER_CALL])  # type: ignore[arg-type]
        if answer["FailedEntryCount"]:
            raise NotAnnounced(f"the bus refused {answer['FailedEntryCount']} events")
    logger.info("announced", extra={"events": len(entries)})


def _entry(image: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    detail = {
        "id": image["announcement_id"]["S"],
        "client": image["client"]["S"],
        "time": image["at"]["S"],
        "data": json.loads(image["data"]["S"]),
    }
    detail_type = image["type"]["S"]
    return {"EventBusName": stack(), "Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(detail)}
