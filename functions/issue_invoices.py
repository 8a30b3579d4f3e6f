"""Planned invoices are issued at Stripe, and those that are issued are followed."""

from collections.abc import Mapping
from typing import Any

from functions.batches import trigger_time
from functions.stripe_wiring import may_issue, stripe
from functions.wiring import logger, registry, store
from settlement.invoicing import follow_unfinished


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Bring every unfinished invoice up to date; one that fails is named, the others go on.

    Where the template lets invoices wait for the close, what nobody approved stays planned.
    """
    done, failed = follow_unfinished(store(), registry(), stripe(), trigger_time(event), may_issue())
    logger.info("followed", extra={"invoices": [invoice.id for invoice in done]})
    for id_, why in failed.items():
        logger.error("invoice failed", extra={"invoice": id_, "why": why})
    return {"invoices": {invoice.id: invoice.status for invoice in done}, "failed": failed}
