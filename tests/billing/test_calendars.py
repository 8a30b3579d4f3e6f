"""Calendars: what falls in them, right across midnight and across changes of the clocks, and which rate that makes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from billing.calendars import Calendar, Day, falls_in
from billing.contracts import Contract
from billing.pricing import matching_rate
from events.facts import Completed, Resolver
from tests.world import World, a_contract, at, per_unit

NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")
CALENDAR: TypeAdapter[Calendar] = TypeAdapter(Calendar)
EVERY_DAY = [day.value for day in Day]


def weekly(begins: str, ends: str, *days: str) -> Calendar:
    window = {"days": list(days or EVERY_DAY), "from": begins, "to": ends}
    return CALENDAR.validate_python({"id": "c", "kind": "weekly", "windows": [window]})


def dates(*days: str) -> Calendar:
    return CALENDAR.validate_python({"id": "c", "kind": "dates", "dates": days})


def between(begins: str, ends: str) -> Calendar:
    return CALENDAR.validate_python({"id": "c", "kind": "between", "from": begins, "to": ends})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def minutes_within(calendar: Calendar, zone: ZoneInfo, first: str, hours: int) -> int:
    """How many of the minutes after an instant lie in a calendar: real ones, whatever the clocks show."""
    start = utc(first)
    return sum(falls_in(calendar, start + timedelta(minutes=minute), zone) for minute in range(hours * 60))


# -- windows of the week -----------------------------------------------------------------------------------------------


def test_window_includes_its_first_instant_and_ends_before_its_last() -> None:
    office = weekly("09:00", "17:00", "wed")

    assert not falls_in(office, utc("2026-10-07T08:59:59.999999"), ZoneInfo("UTC"))
    assert falls_in(office, utc("2026-10-07T09:00"), ZoneInfo("UTC"))
    assert falls_in(office, utc("2026-10-07T16:59:59.999999"), ZoneInfo("UTC"))
    assert not falls_in(office, utc("2026-10-07T17:00"), ZoneInfo("UTC"))
    assert not falls_in(office, utc("2026-10-08T09:00"), ZoneInfo("UTC"))


def test_window_that_passes_midnight_belongs_to_the_day_it_starts_on() -> None:
    sunday_night = weekly("22:00", "06:00", "sun")

    assert not falls_in(sunday_night, utc("2026-10-04T05:00"), ZoneInfo("UTC"))  # Saturday's night
    assert falls_in(sunday_night, utc("2026-10-04T22:00"), ZoneInfo("UTC"))
    assert falls_in(sunday_night, utc("2026-10-05T05:59:59"), ZoneInfo("UTC"))  # Monday, by the calendar on the wall
    assert not falls_in(sunday_night, utc("2026-10-05T06:00"), ZoneInfo("UTC"))
    assert not falls_in(sunday_night, utc("2026-10-05T22:00"), ZoneInfo("UTC"))


@pytest.mark.parametrize("ends", ["00:00", "24:00"])
def test_window_up_to_midnight_ends_with_its_day(ends: str) -> None:
    evening = weekly("22:00", ends, "fri")

    assert falls_in(evening, utc("2026-10-09T23:59:59.999999"), ZoneInfo("UTC"))
    assert not falls_in(evening, utc("2026-10-10T00:00"), ZoneInfo("UTC"))


def test_weekday_is_that_of_the_clients_zone() -> None:
    saturday = weekly("00:00", "24:00", "sat")

    assert falls_in(saturday, utc("2026-10-11T03:59"), NEW_YORK)  # still Saturday there
    assert not falls_in(saturday, utc("2026-10-11T04:00"), NEW_YORK)


@pytest.mark.parametrize(
    ("zone", "midnight", "real_minutes"),
    [
        (NEW_YORK, "2026-03-08T05:00", 0),  # 02:00 to 03:00 is skipped
        (NEW_YORK, "2026-11-01T04:00", 60),  # 01:00 to 02:00 occurs twice, 02:00 to 03:00 once
        (BERLIN, "2026-03-28T23:00", 0),
        (BERLIN, "2026-10-24T22:00", 120),  # 02:00 to 03:00 occurs twice
        (BERLIN, "2026-06-09T22:00", 60),
    ],
)
def test_hour_counts_as_often_as_the_clocks_show_it(zone: ZoneInfo, midnight: str, real_minutes: int) -> None:
    assert minutes_within(weekly("02:00", "03:00"), zone, midnight, hours=23) == real_minutes


@pytest.mark.parametrize(
    ("zone", "evening", "hours"),
    [
        (NEW_YORK, "2026-03-07T23:00", 7),
        (NEW_YORK, "2026-10-31T22:00", 9),
        (BERLIN, "2026-03-28T17:00", 7),
        (BERLIN, "2026-10-24T16:00", 9),
        (BERLIN, "2026-06-13T16:00", 8),
    ],
)
def test_night_of_a_clock_change_is_as_long_as_it_really_was(zone: ZoneInfo, evening: str, hours: int) -> None:
    assert minutes_within(weekly("22:00", "06:00", "sat"), zone, evening, hours=24) == hours * 60


def test_both_passes_of_a_doubled_hour_are_told_apart_by_nothing_but_the_instant() -> None:
    early = weekly("01:00", "01:30", "sun")

    assert falls_in(early, utc("2026-11-01T05:15"), NEW_YORK)  # 01:15, summer time
    assert falls_in(early, utc("2026-11-01T06:15"), NEW_YORK)  # 01:15 again, standard time
    assert not falls_in(early, utc("2026-11-01T05:45"), NEW_YORK)


_MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02d}:{minute % 60:02d}")
_ZONES = st.sampled_from([NEW_YORK, BERLIN, ZoneInfo("Asia/Tokyo"), ZoneInfo("Australia/Lord_Howe")])
_WEEKS = ["2026-03-02", "2026-03-23", "2026-10-19", "2026-10-26", "2026-06-01"]  # four of them change some clocks


@given(
    st.lists(st.tuples(st.sampled_from(EVERY_DAY), _MINUTES, _MINUTES).filter(lambda it: it[1] != it[2]), max_size=4),
    _ZONES,
    st.sampled_from(_WEEKS),
    st.integers(0, 7 * 24 * 60 - 1),
)
def test_every_instant_of_a_week_is_in_exactly_the_windows_that_the_wall_clock_says(
    windows: list[tuple[str, str, str]], zone: ZoneInfo, week: str, minute: int
) -> None:
    instant = utc(week) + timedelta(minutes=minute)
    wall = instant.astimezone(zone).replace(tzinfo=None)

    for day, begins, ends in windows:
        # Another way to say it: on the wall's own time line, this week's and last week's window as stretches of it.
        monday = wall.replace(hour=0, minute=0) - timedelta(days=wall.weekday())
        starts = [monday + timedelta(days=EVERY_DAY.index(day) - back) for back in (0, 7)]
        spans = [(_on(start, begins), _on(start, ends) + timedelta(days=ends < begins)) for start in starts]
        assert falls_in(weekly(begins, ends, day), instant, zone) is any(a <= wall < b for a, b in spans)


def _on(day: datetime, time: str) -> datetime:
    return day + timedelta(hours=int(time[:2]), minutes=int(time[3:]))


@given(_MINUTES, _MINUTES, _ZONES, st.sampled_from(_WEEKS), st.integers(0, 7 * 24 * 60 - 1))
def test_a_window_and_its_complement_divide_every_day(
    begins: str, ends: str, zone: ZoneInfo, week: str, minute: int
) -> None:
    if begins == ends:
        return
    instant = utc(week) + timedelta(minutes=minute)
    assert falls_in(weekly(begins, ends), instant, zone) is not falls_in(weekly(ends, begins), instant, zone)


# -- holidays and surges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "first", "hours"),
    [
        (NEW_YORK, "2026-03-08", "2026-03-08T05:00", 23),
        (NEW_YORK, "2026-11-01", "2026-11-01T04:00", 25),
        (BERLIN, "2026-03-29", "2026-03-28T23:00", 23),
        (BERLIN, "2026-10-25", "2026-10-24T22:00", 25),
        (BERLIN, "2026-12-25", "2026-12-24T23:00", 24),
    ],
)
def test_holiday_is_the_whole_local_day_however_long(zone: ZoneInfo, day: str, first: str, hours: int) -> None:
    holiday = dates(day)

    assert not falls_in(holiday, utc(first) - timedelta(microseconds=1), zone)
    assert minutes_within(holiday, zone, first, hours=48) == hours * 60


def test_surge_includes_its_start_and_not_its_end() -> None:
    surge = between("2026-11-27T18:00", "2026-12-01T00:00")

    assert not falls_in(surge, utc("2026-11-27T22:59:59.999999"), NEW_YORK)
    assert falls_in(surge, utc("2026-11-27T23:00"), NEW_YORK)
    assert falls_in(surge, utc("2026-12-01T04:59:59.999999"), NEW_YORK)
    assert not falls_in(surge, utc("2026-12-01T05:00"), NEW_YORK)


def test_bound_of_a_surge_that_occurs_twice_means_the_first_time() -> None:
    surge = between("2026-10-25T02:30", "2026-10-25T04:00")

    assert falls_in(surge, utc("2026-10-25T00:30"), BERLIN)  # 02:30, summer time
    assert not falls_in(surge, utc("2026-10-25T00:29"), BERLIN)
    assert minutes_within(surge, BERLIN, "2026-10-25T00:00", hours=6) == 150


def test_bound_of_a_surge_that_the_clocks_skip_lies_as_much_after_the_skip() -> None:
    surge = between("2026-03-08T02:30", "2026-03-08T05:00")

    assert not falls_in(surge, utc("2026-03-08T07:29"), NEW_YORK)  # 03:29, summer time
    assert falls_in(surge, utc("2026-03-08T07:30"), NEW_YORK)  # 03:30


# -- rates -------------------------------------------------------------------------------------------------------------

CALENDARS = [
    {
        "id": "night",
        "kind": "weekly",
        "windows": [{"days": EVERY_DAY, "from": "22:00", "to": "06:00"}],
    },
    {"id": "weekend", "kind": "weekly", "windows": [{"days": ["sat", "sun"], "from": "00:00", "to": "24:00"}]},
    {"id": "holiday", "kind": "dates", "dates": ["2026-12-25"]},
]
PREMIUM_THEN_ALL = [
    {"id": "premium", "match": {"channel": ["chat"], "calendar": ["night", "holiday"]}, "price": per_unit("1.49")},
    {"id": "all", "price": per_unit("0.99")},
]


def a_premium_contract() -> Contract:
    return a_contract(time_zone="America/New_York", calendars=CALENDARS, rates=PREMIUM_THEN_ALL)


def rate_of(resolved_at: str, channel: str = "chat") -> str:
    solution = Completed(id="1", source="helpdesk", time=utc(resolved_at), resolver=Resolver.AI, channel=channel)
    rate = matching_rate(a_premium_contract(), solution)
    assert rate is not None
    return rate.id


def test_rate_with_calendars_is_for_what_was_resolved_in_any_of_them() -> None:
    assert rate_of("2026-12-08T03:00") == "premium"  # 22:00 in New York
    assert rate_of("2026-12-25T17:00") == "premium"  # noon on the holiday
    assert rate_of("2026-12-08T17:00") == "all"
    assert rate_of("2026-12-12T17:00") == "all"  # a Saturday, and no rate is for weekends


def test_rate_asks_for_its_other_attributes_as_well() -> None:
    assert rate_of("2026-12-08T03:00", channel="email") == "all"


def test_resolution_at_night_is_charged_the_premium_however_late_it_comes_in() -> None:
    world = World(a_premium_contract())

    world.send(world.completed("C1", "2026-03-03T04:30", channel="chat", received="2026-03-03T16:00"))
    world.send(world.completed("C2", "2026-03-03T16:00", channel="chat"))

    assert world.balance("client/acme/unbilled") == "2.48"
    world.check()


def test_no_rate_for_the_hour_is_parked_never_free() -> None:
    world = World(a_contract(calendars=CALENDARS, rates=PREMIUM_THEN_ALL[:1]))

    world.send(world.completed("C1", "2026-03-03T12:00", channel="chat"))

    assert world.entries() == []
    assert [parked.reason for parked in world.store.stored_parked.values()] == ["no_matching_rate"]


# -- what a contract refuses -------------------------------------------------------------------------------------------


def test_unknown_calendar_is_refused_at_its_place() -> None:
    rates = [{"id": "all", "match": {"calendar": ["night", "nigth"]}, "price": per_unit("0.99")}]

    with pytest.raises(ValidationError, match=r"rates\[0\].match.calendar\[1\]: there is no calendar nigth; there are"):
        a_contract(calendars=CALENDARS, rates=rates)


def test_two_calendars_of_one_id_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"calendars\[3\].id: night is the id of calendars\[0\] already"):
        a_contract(calendars=[*CALENDARS, CALENDARS[0]])


def test_contract_with_calendars_is_stored_and_read_as_it_was() -> None:
    contract = a_contract(calendars=[*CALENDARS, between_document()], rates=PREMIUM_THEN_ALL)

    assert Contract.model_validate_json(contract.model_dump_json(exclude_none=True)) == contract


def between_document() -> dict[str, str]:
    return {"id": "surge", "kind": "between", "from": "2026-11-27T18:00", "to": "2026-12-01T00:00"}


def test_example_of_the_readme_is_a_contract() -> None:
    readme = (Path(__file__).parents[2] / "billing" / "README.md").read_text()
    example = yaml.safe_load(readme.partition("```yaml\n")[2].partition("```")[0])
    dated = json.loads(json.dumps(example, default=str))

    assert [rate.id for rate in a_contract(**dated).rates] == ["chat-premium", "chat"]


def test_first_instant_of_a_period_is_decided_as_any_other() -> None:
    assert falls_in(dates("2026-03-01"), at("2026-03-01"), ZoneInfo("UTC"))


@pytest.mark.parametrize("bound", ["2026-02-30T10:00", "2026-13-01T10:00"])
def test_a_day_that_no_calendar_has_is_refused(bound: str) -> None:
    with pytest.raises(ValidationError, match=f"'{bound}' is not a local date and time such as 2026-11-27T18:00"):
        between(bound, "2026-12-01T10:00")
