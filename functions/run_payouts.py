"""Available earnings become planned payouts, and every payout that is not finished is put to work."""

from collections.abc import Mapping
from typing import Any

from functions.batches import trigger_time
from functions.environment import stack
from functions.wiring import logger, registry, store
from infra.aws.queues import queue
from settlement.pay import plan_run


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Plan the run of the trigger's week, then ask for all unfinished payouts to be sent."""
    as_of = trigger_time(event)
    planned = plan_run(store(), registry(), as_of)
    unfinished = list(store().unfinished_payouts())
    wanted = {payout.id for payout in planned.payouts if not payout.is_finished} | set(unfinished)
    queue(f"{stack()}-payouts").send({"payout": id_, "as_of": as_of.isoformat()} for id_ in sorted(wanted))
    logger.info("planned", extra={"run": planned.run, "payouts": len(planned.payouts), "sending": len(wanted)})
    held = {f"{it.expert} {it.currency}": [it.minor_units, *it.missing] for it in planned.not_paid}
    return {"run": planned.run, "payouts": sorted(wanted), "not_paid": held}
