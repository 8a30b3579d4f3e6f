"""What experts did in the weeks that are over becomes incentives, and corrects those of earlier weeks."""

from collections.abc import Mapping
from typing import Any

from functions.batches import has_time, trigger_time
from functions.wiring import logger, registry, store
from settlement.incentives import Awarded, award_incentives


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: Any) -> dict[str, object]:  # noqa: ANN401  # Lambda's own type
    """Award as of the trigger's day.

    The trigger comes several times a day; what one had no time for, the next goes on with.
    """
    awarded, is_done = award_incentives(store(), registry(), trigger_time(event), has_time(context), _tell)
    logger.info("awarded", extra={"experts": awarded.experts, "entries": awarded.entries, "done": is_done})
    for expert, why in awarded.failed.items():
        logger.error("expert failed", extra={"expert": expert, "why": why})
    return {"entries": awarded.entries, "failed": len(awarded.failed), "done": is_done}


def _tell(awarded: Awarded) -> None:
    logger.info("awarding", extra={"experts": awarded.experts, "entries": awarded.entries})
