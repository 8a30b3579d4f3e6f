"""The daily match of ledger, states and Stripe; what hangs is put to work again."""

from collections.abc import Mapping
from typing import Any

from functions.batches import trigger_time
from functions.environment import stack
from functions.stripe_wiring import may_issue, stripe
from functions.wiring import logger, registry, store
from infra.aws.queues import queue
from settlement.bank_leg import follow_reversals
from settlement.book_sums import keep_sums
from settlement.findings import Reconciliation
from settlement.invoicing import follow_unfinished
from settlement.movements import record_movements
from settlement.reconcile import reconcile


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Follow what is unfinished, book what Stripe moved, then compare; every difference is logged as an error."""
    as_of = trigger_time(event)
    _, failed = follow_unfinished(store(), registry(), stripe(), as_of, may_issue())
    for about, why in failed.items():
        logger.error("not followed", extra={"about": about, "detail": why})
    follow_reversals(store(), registry(), stripe(), as_of)
    booked = record_movements(store(), stripe(), as_of)
    unfinished = sorted(store().unfinished_payouts())
    queue(f"{stack()}-payouts").send({"payout": id_, "as_of": as_of.isoformat()} for id_ in unfinished)
    keep_sums(store())
    found = reconcile(store(), stripe(), as_of)
    store().keep_reconciliation(found)
    _log(found, booked)
    return {
        "reconciled": found.is_clean,
        "movements": found.movements,
        "differences": [[difference.about, difference.detail] for difference in found.differences],
        "open": len(found.open),
    }


def _log(found: Reconciliation, booked: int) -> None:
    """One line of numbers, one for each thing under way, and an error for each difference."""
    compared = {"entries": found.entries, "movements": found.movements, "payouts": found.payouts}
    counts = {"booked": booked, "differences": len(found.differences), "open": len(found.open)}
    logger.info("reconciled", extra={"clean": found.is_clean, "invoices": found.invoices, **compared, **counts})
    for waiting in found.open:
        logger.info("open", extra=waiting.described(found.day))
    for difference in found.differences:
        logger.error("difference", extra=difference.described(found.day))
