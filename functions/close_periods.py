"""Periods that ended are closed and their invoices planned; after that, credits that ended expire."""

from collections.abc import Mapping
from typing import Any

from functions.batches import trigger_time
from functions.wiring import logger, registry, store
from settlement.close import close_due_periods
from settlement.prepaid import expire_credits


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Close what is due as of the trigger's time."""
    as_of = trigger_time(event)
    invoices = close_due_periods(store(), registry(), as_of)
    expire_credits(store(), registry(), registry().clients(), as_of)
    logger.info("closed", extra={"invoices": [invoice.id for invoice in invoices]})
    return {"invoices": [invoice.id for invoice in invoices]}
