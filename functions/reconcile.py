"""The daily match of ledger, states and Stripe; what hangs is put to work again."""

from collections.abc import Mapping
from typing import Any

from functions.batches import trigger_time
from functions.environment import stack
from functions.stripe_wiring import stripe
from functions.wiring import logger, registry, store
from infra.aws.queues import queue
from settlement.invoicing import follow_unfinished
from settlement.reconcile import reconcile, record_top_ups


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Follow what is unfinished, then compare; every difference is logged as an error."""
    as_of = trigger_time(event)
    record_top_ups(store(), stripe(), as_of)
    follow_unfinished(store(), registry(), stripe(), as_of)
    unfinished = sorted(store().unfinished_payouts())
    queue(f"{stack()}-payouts").send({"payout": id_, "as_of": as_of.isoformat()} for id_ in unfinished)
    found = reconcile(store(), stripe())
    logger.info("reconciled", extra={"clean": found.is_clean, "movements": found.movements, "payouts": found.payouts})
    for difference in found.differences:
        logger.error("difference", extra={"about": difference.about, "detail": difference.detail})
    return {
        "reconciled": found.is_clean,
        "movements": found.movements,
        "differences": [[difference.about, difference.detail] for difference in found.differences],
    }
