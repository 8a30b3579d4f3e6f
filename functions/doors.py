"""What the doors of helpdesks have in common: refusals are counted, logged and, if they were genuine, parked."""

from collections.abc import Sequence
from datetime import datetime

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from events.adapters.doors import Door
from events.adapters.payloads import PayloadRefused
from functions.environment import logger, stack

_UNPROCESSABLE = 422
_PER_TRANSACTION = 100


def report_refused(door: Door, refused: Sequence[PayloadRefused], now: datetime) -> None:
    """Tell of refusals by their codes and paths, never by values.

    What is genuine but cannot be read is parked, too, since nobody reads the answers that a helpdesk gets.
    """
    for one in refused:
        _count(door, one)
        logger.warning("refused", extra={"door": door.id, "code": one.code.value, "paths": one.paths})
    if genuine := [one for one in refused if one.status == _UNPROCESSABLE]:
        _park(door.client, genuine, now)


def _count(door: Door, refused: PayloadRefused) -> None:
    with single_metric(name="RefusedWebhooks", unit=MetricUnit.Count, value=1, namespace="Solvent") as metric:
        metric.add_dimension("stack", stack())
        metric.add_dimension("code", refused.code.value)
        metric.add_metadata("door", door.id)


def _park(client: str, genuine: Sequence[PayloadRefused], now: datetime) -> None:
    from functions.wiring import store  # noqa: PLC0415  # slow to import, and few doors ever park anything
    from settlement.parking import parked_refusal  # noqa: PLC0415
    from settlement.ports import Changes  # noqa: PLC0415

    parked = [parked_refusal(one, now, client) for one in genuine]
    distinct = tuple({one.id: one for one in parked}.values())
    for start in range(0, len(distinct), _PER_TRANSACTION):
        store().commit(Changes(parked=distinct[start : start + _PER_TRANSACTION]))
