"""Calendars: named parts of the client's local time, such as nights, holidays or a surge, that rates match on.

Whether a resolution falls in a calendar is decided by its instant: it is converted to the client's local time, never
the other way round, so that a local time that occurs twice counts both times, and one that is skipped never.
"""

import re
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Literal, assert_never
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator

from events.facts import Slug
from ledger.terms import Terms

_TIME = r"([01]\d|2[0-3]):[0-5]\d"


def _check_time(text: str) -> str:
    if not re.fullmatch(_TIME, text) and text != "24:00":
        raise ValueError(f"{text!r} is not a time of day in quotes, from 00:00 to 24:00, such as '08:30'")
    return text


def _check_date_time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        is_date_time = False
    else:
        is_date_time = re.fullmatch(rf"\d{{4}}-\d\d-\d\dT{_TIME}", text) is not None
    if not is_date_time:
        raise ValueError(f"{text!r} is not a local date and time such as 2026-11-27T18:00")
    return text


_TIME_SCHEMA = {"type": "string", "pattern": f"^({_TIME}|24:00)$", "examples": ["22:00"]}
_DATE_TIME_SCHEMA = {"type": "string", "pattern": rf"^\d{{4}}-\d\d-\d\dT{_TIME}$", "examples": ["2026-11-27T18:00"]}
# Whole minutes of local time, kept as the texts they were written as: they name no instant without a zone.
TimeOfDay = Annotated[str, AfterValidator(_check_time), WithJsonSchema(_TIME_SCHEMA)]
LocalDateTime = Annotated[str, AfterValidator(_check_date_time), WithJsonSchema(_DATE_TIME_SCHEMA)]


class Day(StrEnum):
    """A day of the week, in the order of `date.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_DAYS = tuple(Day)


class _Span(Terms):
    """What has a beginning (inclusive) and an end (exclusive). `from` is a word of Python's, hence the aliases."""

    model_config = ConfigDict(serialize_by_alias=True)


class Window(_Span):
    """From a local time (inclusive) to another (exclusive) on each of the days.

    Where `to` is not after `from`, the window passes midnight and belongs to the day it starts on.
    """

    days: Annotated[tuple[Day, ...], Field(min_length=1)]
    begins: TimeOfDay = Field(alias="from")
    ends: TimeOfDay = Field(alias="to")

    @field_validator("begins")
    @classmethod
    def _begins_within_the_day(cls, begins: str) -> str:
        if begins == "24:00":
            raise ValueError("a window begins at 23:59 at the latest; write 00:00 and the next day")
        return begins

    @field_validator("ends")
    @classmethod
    def _lasts(cls, ends: str, info: ValidationInfo) -> str:
        if ends == info.data.get("begins"):
            raise ValueError(f"{ends} is `from` as well; a whole day is from '00:00' to '24:00'")
        return ends

    def holds(self, local: datetime) -> bool:
        """Whether a local time lies in the window."""
        now, today = f"{local:%H:%M}", local.weekday()
        if self.begins < self.ends:
            return self.begins <= now < self.ends and _DAYS[today] in self.days
        return (now >= self.begins and _DAYS[today] in self.days) or (now < self.ends and _DAYS[today - 1] in self.days)


class Weekly(Terms):
    """Windows that come back every week, such as nights or weekends."""

    id: Slug
    kind: Literal["weekly"]
    windows: Annotated[tuple[Window, ...], Field(min_length=1)]


class Dates(Terms):
    """Whole local days, such as holidays, however long the clocks make them."""

    id: Slug
    kind: Literal["dates"]
    dates: Annotated[tuple[date, ...], Field(min_length=1)]


class Between(_Span):
    """One stretch of time, such as a surge.

    The local bounds are converted to instants as `fold=0` says: one that occurs twice means the first time, and one
    that the clocks skip means as much after the skip as it lies within it.
    """

    id: Slug
    kind: Literal["between"]
    begins: LocalDateTime = Field(alias="from")
    ends: LocalDateTime = Field(alias="to")

    @field_validator("ends")
    @classmethod
    def _lasts(cls, ends: str, info: ValidationInfo) -> str:
        begins = info.data.get("begins")
        if begins and ends <= begins:
            raise ValueError(f"{ends} is not after `from`, {begins}")
        return ends

    def holds(self, instant: datetime, zone: ZoneInfo) -> bool:
        """Whether an instant lies in the stretch."""
        begins, ends = (_instant_of(bound, zone) for bound in (self.begins, self.ends))
        return begins <= instant < ends


def _instant_of(local: LocalDateTime, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(local).replace(tzinfo=zone, fold=0).astimezone(UTC)


Calendar = Annotated[Weekly | Dates | Between, Field(discriminator="kind")]


def falls_in(calendar: Calendar, instant: datetime, zone: ZoneInfo) -> bool:
    """Whether an aware instant lies in a calendar whose times are those of `zone`."""
    local = instant.astimezone(zone)
    match calendar:
        case Weekly(windows=windows):
            return any(window.holds(local) for window in windows)
        case Dates(dates=dates):
            return local.date() in dates
        case Between():
            return calendar.holds(instant, zone)
        case _:
            assert_never(calendar)
