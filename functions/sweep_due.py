"""Windows that ended become charges and earnings."""

from collections.abc import Mapping
from typing import Any

from functions.batches import has_time, trigger_time
from functions.wiring import logger, registry, store
from settlement.sweep import settle_due


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: Any) -> dict[str, object]:  # noqa: ANN401  # Lambda's own type
    """Settle what is due as of the trigger's time; what time does not allow is left to the next trigger."""
    settled, is_done = settle_due(store(), registry(), trigger_time(event), has_time(context))
    logger.info("swept", extra={"entries": settled.entries, "parked": settled.parked, "done": is_done})
    for case, why in settled.failed.items():
        logger.error("case failed", extra={"case": "/".join(case), "why": why})
    return {"entries": settled.entries, "failed": len(settled.failed), "done": is_done}
