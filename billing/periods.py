"""Periods: a client's billing months, in the contract's time zone, and the counters that price them."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import NewType
from zoneinfo import ZoneInfo

from ledger.records import dataclass, replace

Period = NewType("Period", str)


def period_of(instant: datetime, zone: tzinfo) -> Period:
    """The month in which an instant falls in `zone`, such as 2026-10; a month includes its first instant."""
    return period_of_date(instant.astimezone(zone))


def period_of_date(day: date) -> Period:
    """The month of a day."""
    return _period(day.year, day.month)


@lru_cache(maxsize=1024)
def _period(year: int, month: int) -> Period:
    """Asked for several times a resolution, for the same few months."""
    return Period(f"{year:04d}-{month:02d}")


def day_within(period: Period, day: date) -> date:
    """The day itself if it lies in the month, else the month's first or last, whichever is nearer."""
    if period_of_date(day) == period:
        return day
    first = date.fromisoformat(f"{period}-01")
    return first if day < first else date.fromisoformat(f"{next_period(period)}-01") - timedelta(days=1)


def next_period(period: Period) -> Period:
    """The month after: 2026-12 is followed by 2027-01."""
    year, month = int(period[:4]), int(period[5:])
    return Period(f"{year + month // 12:04d}-{month % 12 + 1:02d}")


def period_start(period: Period, zone: ZoneInfo) -> datetime:
    """The first instant of the month, in UTC."""
    return datetime(int(period[:4]), int(period[5:]), 1, tzinfo=zone).astimezone(UTC)


def period_end(period: Period, zone: ZoneInfo) -> datetime:
    """The first instant after the month, in UTC."""
    return period_start(next_period(period), zone)


class PeriodStatus(StrEnum):
    """A closed period is never recomputed."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class RateCounter:
    """What one rate has seen in one period.

    `issued` numbers ordinals from 1 without gaps and is never lowered; `net` counts the resolutions that still stand.
    `accrued`, `discount` and `capped` are minor units >= 0 posted for those that stand: before discounts, of discounts,
    and what the cap took. `billed` is what the close charged for the rate before discounts and after the cap;
    `credited` counts the resolutions credited since.
    """

    issued: int = 0
    net: int = 0
    accrued: int = 0
    discount: int = 0
    capped: int = 0
    billed: int = 0
    credited: int = 0


@dataclass(frozen=True, slots=True)
class PeriodState:
    """One client's period: its status, counters per rate, and what it owes to other periods.

    `credits` (minor units > 0) were given in this period for earlier ones, by earlier period. `carried` (minor units,
    negative in the client's favour) is what the close left in `unbilled` for the next invoice. `alerted` names the
    alerts that were told, such as cap:50.
    """

    client: str
    period: Period
    status: PeriodStatus = PeriodStatus.OPEN
    rates: tuple[tuple[str, RateCounter], ...] = ()
    credits: tuple[tuple[Period, int], ...] = ()
    carried: int = 0
    alerted: tuple[str, ...] = ()
    revision: int = 0

    def counter(self, rate_id: str) -> RateCounter:
        """The counter of a rate; all zeros if the rate has seen nothing."""
        for known, counter in self.rates:
            if known == rate_id:
                return counter
        return RateCounter()

    @property
    def charged(self) -> int:
        """What stands charged in the period so far, after discounts and the cap, in minor units."""
        return sum(counter.accrued - counter.discount - counter.capped for _, counter in self.rates)

    @property
    def given_back(self) -> int:
        """What was given in this period for all earlier ones, in minor units."""
        return sum(minor for _, minor in self.credits)

    def with_credit(self, earlier: Period, minor_units: int) -> "PeriodState":
        """A copy in which that much more (less, if negative) was given for an earlier period."""
        changed = {**dict(self.credits), earlier: dict(self.credits).get(earlier, 0) + minor_units}
        return replace(self, credits=tuple(sorted((period, minor) for period, minor in changed.items() if minor)))

    def with_counter(self, rate_id: str, counter: RateCounter) -> "PeriodState":
        """A copy with one rate's counter put in place."""
        return replace(self, rates=tuple(sorted({**dict(self.rates), rate_id: counter}.items())))
