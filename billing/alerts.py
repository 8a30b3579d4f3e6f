"""Alerts: told once for each part of the cap, and of the prepaid credits, that a period's charges reach."""

from dataclasses import replace
from enum import StrEnum

from billing.contracts import Contract
from billing.periods import PeriodState
from ledger.records import dataclass

ALERT_PERCENTS = (50, 80, 100)


class AlertKind(StrEnum):
    """What is being used up. The codes are part of announcements' ids."""

    CAP = "cap"
    PREPAID = "prepaid"


@dataclass(frozen=True, slots=True)
class UsageAlert:
    """What stands charged, in minor units, reached `percent` of `limit` (inclusive)."""

    kind: AlertKind
    percent: int
    charged: int
    limit: int


def cross_alerts(contract: Contract, state: PeriodState, prepaid: int) -> tuple[PeriodState, tuple[UsageAlert, ...]]:
    """The alerts that the period's charges now reach for the first time, and the period that remembers them.

    An alert is never repeated, also if a reversal takes the charges below it and others bring them back.
    """
    limits = {AlertKind.CAP: contract.cap_minor or 0, AlertKind.PREPAID: prepaid}
    fresh = tuple(
        UsageAlert(kind, percent, state.charged, limit)
        for kind, limit in limits.items()
        for percent in ALERT_PERCENTS
        if limit and state.charged * 100 >= limit * percent and f"{kind}:{percent}" not in state.alerted
    )
    told = {*state.alerted, *(f"{alert.kind}:{alert.percent}" for alert in fresh)}
    return replace(state, alerted=tuple(sorted(told))), fresh
