"""What the doors of helpdesks have in common: refusals are counted, logged and, if they were genuine, parked."""

from collections.abc import Sequence
from datetime import datetime

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from events.adapters.doors import Door
from events.adapters.payloads import PayloadRefused
from functions.environment import stack
from functions.wiring import logger, store
from settlement.parking import parked_refusal
from settlement.ports import Changes

_UNPROCESSABLE = 422
_PER_TRANSACTION = 100


def report_refused(door: Door, refused: Sequence[PayloadRefused], now: datetime) -> None:
    """Tell of refusals by their codes and paths, never by values.

    What is genuine but cannot be read is parked, too, since nobody reads the answers that a helpdesk gets.
    """
    for one in refused:
        with single_metric(name="RefusedWebhooks", unit=MetricUnit.Count, value=1, namespace="Solvent") as metric:
            metric.add_dimension("stack", stack())
            metric.add_dimension("code", one.code.value)
            metric.add_metadata("door", door.id)
        logger.warning("refused", extra={"door": door.id, "code": one.code.value, "paths": one.paths})
    genuine = [parked_refusal(one, now, door.client) for one in refused if one.status == _UNPROCESSABLE]
    distinct = tuple({one.id: one for one in genuine}.values())
    for start in range(0, len(distinct), _PER_TRANSACTION):
        store().commit(Changes(parked=distinct[start : start + _PER_TRANSACTION]))
