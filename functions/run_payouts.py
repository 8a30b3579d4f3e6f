"""Available earnings become planned payouts, and every payout that may be sent is put to work."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from functions.batches import has_time, trigger_time
from functions.environment import stack
from functions.wiring import logger, registry, store
from infra.aws.queues import queue
from payouts.plans import Schedule
from settlement.approve_payouts import approve_small_runs
from settlement.plan_payouts import NotPaid, plan_run, run_of, schedules_to_plan


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: Any) -> dict[str, object]:  # noqa: ANN401  # Lambda's context has no type
    """Plan the runs that are due on the trigger's day, approve what needs nobody, and ask for what may be sent.

    The trigger comes several times a day; what one had no time for, the next goes on with, on the next day too.
    """
    as_of = trigger_time(event)
    schedules = schedules_to_plan(store(), as_of)
    runs = {run_of(it, as_of): _plan(it, as_of, has_time(context)) for it in schedules}
    sending = sorted(store().unfinished_payouts())
    queue(f"{stack()}-payouts").send({"payout": id_, "as_of": as_of.isoformat()} for id_ in sending)
    logger.info("planned", extra={"runs": runs, "sending": len(sending)})
    return {"runs": runs, "sending": len(sending)}


def _plan(schedule: Schedule, as_of: datetime, in_time: Callable[[], bool]) -> dict[str, object]:
    """Plan a run as far as time allows; how many payouts were made, were held back, and wait for a second person."""
    run, planned, held = run_of(schedule, as_of), 0, 0
    for outcome in plan_run(store(), registry(), schedule, as_of, in_time):
        if isinstance(outcome, NotPaid):
            held += 1
            why = {"expert": outcome.expert, "currency": outcome.currency, "missing": outcome.missing}
            logger.info("held", extra=why | {"minor_units": outcome.minor_units})
        else:
            planned += 1
    state = store().payout_run(run)
    is_finished = state is not None and state.is_finished
    waiting = len(approve_small_runs(store(), registry(), run, as_of).payouts) if is_finished else 0
    return {"finished": is_finished, "planned": planned, "held": held, "waiting": waiting}
