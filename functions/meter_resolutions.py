"""Facts from the queue become charges and earnings."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from events.decode import Delivery, FactRefused, decode
from functions.batches import again, body
from functions.wiring import logger, registry, store
from settlement.parking import parked_refusal
from settlement.ports import Changes
from settlement.settle import settle, work_from


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Settle one batch, a transaction per client and group; only the facts of failed cases are delivered again."""
    messages: dict[tuple[str, str], set[str]] = {}
    deliveries: list[Delivery] = []
    for record in event["Records"]:
        envelope = body(record)
        try:
            delivery = decode(envelope.get("detail") if isinstance(envelope, Mapping) else None)
        except FactRefused as refused:
            _park(refused, record)
            continue
        deliveries.append(delivery)
        messages.setdefault((delivery.client, delivery.case_id), set()).add(record["messageId"])
    settled = settle(store(), registry(), work_from(deliveries))
    logger.info("metered", extra={"facts": settled.facts, "entries": settled.entries, "parked": settled.parked})
    for case, why in settled.failed.items():
        logger.error("case failed", extra={"case": "/".join(case), "why": why})
    return again({message for case in settled.failed for message in messages[case]})


def _park(refused: FactRefused, record: Mapping[str, Any]) -> None:
    sent_at = datetime.fromtimestamp(int(record["attributes"]["SentTimestamp"]) / 1000, UTC)
    store().commit(Changes(parked=(parked_refusal(refused, sent_at),)))
    logger.warning("refused", extra={"paths": refused.paths, "reason": refused.reason})
