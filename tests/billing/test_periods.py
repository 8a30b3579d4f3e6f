"""Periods are months, whichever the zone; what is moved into one stays as near as it can."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from billing.periods import Period, day_within, next_period, period_end, period_of, period_of_date, period_start


@pytest.mark.parametrize(
    ("day", "moved"),
    [
        ("2026-02-01", "2026-02-01"),
        ("2026-02-28", "2026-02-28"),
        ("2026-01-31", "2026-02-01"),
        ("2025-12-31", "2026-02-01"),
        ("2026-03-01", "2026-02-28"),
        ("2027-01-15", "2026-02-28"),
    ],
)
def test_a_day_of_another_month_becomes_the_nearest_of_the_month(day: str, moved: str) -> None:
    assert day_within(Period("2026-02"), date.fromisoformat(day)) == date.fromisoformat(moved)


def test_a_day_after_december_becomes_its_last() -> None:
    assert day_within(Period("2026-12"), date(2027, 1, 1)) == date(2026, 12, 31)


def test_an_instant_falls_in_the_month_that_its_zone_has_then() -> None:
    instant = datetime(2026, 3, 1, 4, 59, 59, 999999, tzinfo=UTC)
    assert period_of(instant, UTC) == "2026-03"
    assert period_of(instant, ZoneInfo("America/New_York")) == "2026-02"
    assert period_of(instant.replace(hour=5, minute=0), ZoneInfo("America/New_York")) == "2026-03"


def test_a_month_ends_where_the_next_begins() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    assert next_period(Period("2026-12")) == "2027-01"
    assert period_end(Period("2026-12"), zone) == period_start(Period("2027-01"), zone)
    assert period_start(Period("2027-01"), zone) == datetime(2026, 12, 31, 15, tzinfo=UTC)
    assert period_of_date(date(987, 6, 5)) == "0987-06"
