"""Periods that ended are closed, and their invoices planned."""

from collections.abc import Mapping
from typing import Any

from functions.batches import trigger_time
from functions.wiring import logger, registry, store
from settlement.close import close_due_periods


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Close what is due as of the trigger's time."""
    invoices = close_due_periods(store(), registry(), trigger_time(event))
    logger.info("closed", extra={"invoices": [invoice.id for invoice in invoices]})
    return {"invoices": [invoice.id for invoice in invoices]}
