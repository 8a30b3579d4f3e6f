"""The alarm of the ledger: an entry was changed or removed, which no role of ours may do."""

from collections.abc import Mapping
from typing import Any

from functions.environment import logger


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001  # Lambda's signature
    """Log each change. The stream's filter lets nothing but changes and removals through, so every call is an alarm."""
    for record in event["Records"]:
        keys = {name: next(iter(value.values())) for name, value in record["dynamodb"]["Keys"].items()}
        logger.critical("the ledger was tampered with", extra={"change": record["eventName"], "entry": keys})
