"""SQS batches: what each record says, and which of them to deliver again."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from functions.environment import logger

Record = Mapping[str, Any]
_ENOUGH_MILLISECONDS = 30_000


def body(record: Record) -> Any:  # noqa: ANN401  # JSON from outside; the decoder that gets it says what it must be
    """The JSON of a record's body; None if it is not JSON."""
    try:
        return from_json(record["body"])
    except ValueError:
        return None


def again(message_ids: Collection[str]) -> dict[str, object]:
    """The answer that has these records delivered again, and no others."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in sorted(message_ids)]}


def each(
    event: Mapping[str, Any], handle: Callable[[Any], str], retry: tuple[type[Exception], ...]
) -> dict[str, object]:
    """Handle the records one by one. One that raises an error of `retry` is delivered again, the others go on.

    Any other error is a bug: it ends the invocation, and the whole batch is delivered again.
    """
    failed = []
    for record in event["Records"]:
        try:
            outcome = handle(body(record))
        except retry as error:
            failed.append(record["messageId"])
            outcome = f"again: {error}"
        logger.info("handled", extra={"outcome": outcome})
    return again(failed)


def trigger_time(event: Mapping[str, Any]) -> datetime:
    """The time of a scheduled event: what it asks "what is due" as of."""
    return datetime.fromisoformat(event["time"])


def has_time(context: Any) -> Callable[[], bool]:  # noqa: ANN401  # Lambda's context has no type
    """Whether an invocation has half a minute left, to be asked before each piece of work."""
    return lambda: bool(context.get_remaining_time_in_millis() > _ENOUGH_MILLISECONDS)
