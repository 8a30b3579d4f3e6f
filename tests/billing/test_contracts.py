"""Contracts: what a version may say, which one is in force, and which may join a history."""

from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from billing.alerts import AlertKind, UsageAlert, cross_alerts
from billing.contracts import (
    Contract,
    ContractHistory,
    ContractNotInForce,
    Graduated,
    HistoryRefused,
    Volume,
    add_version,
    reference_problems,
)
from billing.periods import Period, PeriodState, RateCounter, next_period, period_of_date, period_start
from tests.world import RATING, a_contract, per_unit


def refusal(**fields: object) -> str:
    with pytest.raises(ValidationError) as refused:
        a_contract(None, **fields)
    [error] = refused.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


# -- what a version may say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("percent", "basis_points"), [("0", 0), ("0.01", 1), ("62.5", 6250), ("100", 10_000)])
def test_a_part_is_between_none_and_all_in_hundredths_of_a_percent(percent: str, basis_points: int) -> None:
    rating = a_contract(rating={**RATING, "threshold_percent": percent}).rating
    assert rating is not None
    assert rating.threshold_basis_points == basis_points
    assert rating.discount_basis_points == 0


@pytest.mark.parametrize("percent", ["100.01", "101", "0.001", "62.505", "100.5"])
def test_a_part_beyond_all_or_finer_than_that_is_refused(percent: str) -> None:
    said = refusal(rating={**RATING, "threshold_percent": percent})
    assert said == f"{percent} is not between 0 and 100 with at most two decimals"


@pytest.mark.parametrize(("below", "unrated"), [("discount", "charge"), ("waive", "discount")])
def test_a_discount_needs_its_percentage_and_nothing_else_has_one(below: str, unrated: str) -> None:
    terms = {**RATING, "below": below, "unrated": unrated}
    said = "is given if, and only if, below or unrated is `discount`"
    assert refusal(rating=terms) == said
    assert refusal(rating={**RATING, "discount_percent": "50"}) == said
    rating = a_contract(rating={**terms, "discount_percent": "12.5"}).rating
    assert rating is not None
    assert rating.discount_basis_points == 1250


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"time_zone": "Mars/Olympus"}, "'Mars/Olympus' is not an IANA time zone, such as Europe/Berlin"),
        ({"time_zone": "../etc"}, "'../etc' is not an IANA time zone, such as Europe/Berlin"),
        (
            {"starts_on": "2026-01-02"},
            "2026-01-02 is not the first day of a month, and one version prices a whole period",
        ),
        ({"ends_on": "2026-01-01"}, "2026-01-01 is not after starts_on, 2026-01-01"),
        ({"ends_on": "2025-12-01"}, "2025-12-01 is not after starts_on, 2026-01-01"),
    ],
)
def test_zones_and_days_that_make_no_period_are_refused(fields: dict[str, object], said: str) -> None:
    assert refusal(**fields) == said


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((None, None), "every tier but the last has up_to, and the last has none"),
        ((10, 20), "every tier but the last has up_to, and the last has none"),
        ((10, 10, None), "tiers rise: each up_to is above the one before"),
        ((10, 9, None), "tiers rise: each up_to is above the one before"),
    ],
)
@pytest.mark.parametrize("model", [Graduated, Volume])
def test_tiers_rise_and_the_last_has_no_end(
    model: type[Graduated | Volume], ends: tuple[int | None, ...], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        model.model_validate({"tiers": [{"up_to": end, "unit": "1"} for end in ends]})


def test_the_cap_is_in_minor_units_and_waives_unless_it_only_alerts() -> None:
    waiving, alerting = a_contract(cap={"amount": "8.00"}), a_contract(cap={"amount": "8.00", "action": "alert"})
    assert (waiving.cap_minor, waiving.waives_beyond) == (800, 800)
    assert (alerting.cap_minor, alerting.waives_beyond) == (800, None)
    assert (a_contract().cap_minor, a_contract().waives_beyond) == (None, None)


def a_calendar(name: str) -> dict[str, object]:
    return {"id": name, "kind": "dates", "dates": ["2026-12-25"]}


def a_rate(name: str, *calendars: str) -> dict[str, object]:
    return {"id": name, "price": per_unit("1"), **({"match": {"calendar": list(calendars)}} if calendars else {})}


def test_every_id_that_occurs_twice_and_every_unknown_calendar_is_named_with_its_field() -> None:
    contract = {
        "rates": [a_rate("chat", "xmas", "easter"), a_rate("mail"), a_rate("chat"), a_rate("chat", "never")],
        "calendars": [a_calendar("xmas"), a_calendar("xmas"), a_calendar("surge")],
    }
    assert list(reference_problems(contract)) == [
        (("rates", 2, "id"), "chat is the id of rates[0] already"),
        (("rates", 3, "id"), "chat is the id of rates[0] already"),
        (("calendars", 1, "id"), "xmas is the id of calendars[0] already"),
        (("rates", 0, "match", "calendar", 1), "there is no calendar easter; there are xmas, surge"),
        (("rates", 3, "match", "calendar", 0), "there is no calendar never; there are xmas, surge"),
    ]
    assert list(reference_problems({"rates": [a_rate("chat", "xmas")]})) == [
        (("rates", 0, "match", "calendar", 0), "there is no calendar xmas; the contract has no calendars")
    ]
    assert refusal(rates=[a_rate("chat", "xmas")]).startswith("rates[0].match.calendar[0]: there is no calendar xmas")


@pytest.mark.parametrize(
    "contract",
    [
        {},
        {"rates": 7, "calendars": [a_calendar("xmas")]},
        {"rates": [a_rate("chat", "xmas")], "calendars": 7},
        {"rates": ["chat", None, {"match": 7}, {"match": {"calendar": 7}}, {"match": {"calendar": [7]}}]},
        {"rates": [{"id": None}, {"id": None}]},
    ],
)
def test_what_cannot_be_read_is_passed_over(contract: dict[str, object]) -> None:
    assert list(reference_problems(contract)) == []


def test_one_broken_list_does_not_hide_what_is_wrong_with_the_other() -> None:
    twice = [a_rate("chat"), "broken", a_rate("chat")]
    assert list(reference_problems({"rates": twice, "calendars": 7})) == [
        (("rates", 2, "id"), "chat is the id of rates[0] already")
    ]
    mixed = {"rates": [{"match": {"calendar": ["x", 7, "y"]}}], "calendars": ["broken", a_calendar("x")]}
    assert list(reference_problems(mixed)) == [
        (("rates", 0, "match", "calendar", 1), "there is no calendar y; there are None, x")
    ]


# -- histories ---------------------------------------------------------------------------------------------------------


def a_version(starts: str, ends: str | None = None, **fields: object) -> Contract:
    return a_contract(None, starts_on=f"{starts}-01", ends_on=f"{ends}-01" if ends else None, **fields)


def test_the_newest_version_that_began_prices_a_period_until_it_ends() -> None:
    old, new = a_version("2026-01", "2026-03"), a_version("2026-05", "2026-07")
    history = ContractHistory("acme", (old, new))

    assert [history.in_force(Period(period)) for period in ("2026-01", "2026-02")] == [old, old]
    assert [history.in_force(Period(period)) for period in ("2026-05", "2026-06")] == [new, new]
    for period in ("2025-12", "2026-03", "2026-04", "2026-07", "2027-01"):
        with pytest.raises(ContractNotInForce, match=f"acme has no contract in force in {period}; apply a version"):
            history.in_force(Period(period))


def test_a_version_joins_in_its_place_or_takes_that_of_the_same_month() -> None:
    first, third = a_version("2026-01"), a_version("2026-05")
    second = a_version("2026-03", "2026-05")
    assert add_version([], first, "") == (first,)
    assert add_version([first], third, "2026-04") == (first, third)
    assert add_version([first, third], second, "2026-02") == (first, second, third)
    other = a_version("2026-01", net_days=7)
    assert add_version([first, third], other, "2025-12") == (other, third)


@pytest.mark.parametrize(
    ("version", "closed_through", "said"),
    [
        (a_version("2026-02"), "2026-02", "starts_on: 2026-02-01 lies in a closed period (2026-02 is closed)"),
        (a_version("2026-02"), "2026-03", "starts_on: 2026-02-01 lies in a closed period (2026-03 is closed)"),
        (a_version("2026-02"), "", "starts_on: 2026-02-01 is before the version of 2026-04-01"),
        (a_version("2026-02", "2026-05"), "", "ends_on: 2026-05-01 overlaps the version of 2026-04-01"),
        (a_version("2026-05"), "", "starts_on: 2026-05-01 overlaps the version of 2026-04-01"),
        (
            a_version("2026-08", currency="EUR"),
            "",
            "currency: a client keeps USD for life; open a new client instead",
        ),
        (
            a_version("2026-08", time_zone="Europe/Berlin"),
            "",
            "time_zone: a client keeps UTC for life; open a new client instead",
        ),
    ],
)
def test_a_version_that_would_rewrite_what_is_agreed_is_refused(
    version: Contract, closed_through: str, said: str
) -> None:
    with pytest.raises(HistoryRefused) as refused:
        add_version([a_version("2026-04", "2026-06")], version, closed_through)
    assert str(refused.value) == said


def test_versions_that_only_touch_do_not_overlap() -> None:
    middle = a_version("2026-04", "2026-06")
    before, after = a_version("2026-02", "2026-04"), a_version("2026-06")
    assert add_version([middle], before, "") == (before, middle)
    assert add_version([middle], after, "") == (middle, after)


# -- periods and alerts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "zone", "first"),
    [
        ("2026-03", "UTC", "2026-03-01T00:00:00+00:00"),
        ("2026-11", "America/New_York", "2026-11-01T04:00:00+00:00"),
        ("2026-12", "America/New_York", "2026-12-01T05:00:00+00:00"),
    ],
)
def test_a_period_begins_at_midnight_of_the_clients_zone_which_is_given_in_utc(
    period: str, zone: str, first: str
) -> None:
    begins = period_start(Period(period), ZoneInfo(zone))
    assert begins.isoformat() == first
    assert begins.tzinfo is UTC


@pytest.mark.parametrize(
    ("period", "after"),
    [("2026-01", "2026-02"), ("2026-11", "2026-12"), ("2026-12", "2027-01"), ("0999-12", "1000-01")],
)
def test_a_year_has_twelve_periods(period: str, after: str) -> None:
    assert next_period(Period(period)) == after
    assert period_of_date(date.fromisoformat(f"{after}-01")) == after


def test_credits_for_earlier_periods_add_up_and_leave_when_they_are_nothing() -> None:
    state = PeriodState("acme", Period("2026-03"))
    once = state.with_credit(Period("2026-02"), 30).with_credit(Period("2026-01"), 5)
    assert once.credits == (("2026-01", 5), ("2026-02", 30))
    more = once.with_credit(Period("2026-02"), 12)
    assert (more.credits, more.given_back) == ((("2026-01", 5), ("2026-02", 42)), 47)
    assert more.with_credit(Period("2026-02"), -42).credits == (("2026-01", 5),)


def test_counters_are_kept_by_rate_and_what_stands_charged_is_their_sum() -> None:
    state = PeriodState("acme", Period("2026-03"))
    assert state.counter("chat") == RateCounter()
    mail, chat = RateCounter(net=1, accrued=50, discount=5, capped=3), RateCounter(net=2, accrued=200)
    both = state.with_counter("mail", mail).with_counter("chat", chat)
    assert both.rates == (("chat", chat), ("mail", mail))
    assert (both.counter("mail"), both.charged) == (mail, 242)
    assert both.with_counter("mail", chat).counter("mail") == chat


def alerts(contract: Contract, charged: int, prepaid: int = 0, *told: str) -> tuple[list[str], tuple[str, ...]]:
    counter = RateCounter(net=1, accrued=charged)
    state = PeriodState("acme", Period("2026-03"), rates=(("all", counter),), alerted=told)
    after, fresh = cross_alerts(contract, state, prepaid)
    assert all(it.charged == charged for it in fresh)
    return [f"{it.kind}:{it.percent} of {it.limit}" for it in fresh], after.alerted


@pytest.mark.parametrize(
    ("charged", "percents"),
    [(99, []), (100, [50]), (159, [50]), (160, [50, 80]), (199, [50, 80]), (200, [50, 80, 100])],
)
def test_an_alert_is_told_when_the_part_is_reached(charged: int, percents: list[int]) -> None:
    capped = a_contract(cap={"amount": "2.00"})
    assert alerts(capped, charged) == (
        [f"cap:{it} of 200" for it in percents],
        tuple(sorted(f"cap:{it}" for it in percents)),
    )
    assert alerts(a_contract(), charged, 200)[0] == [f"prepaid:{it} of 200" for it in percents]
    assert alerts(a_contract(), charged) == ([], ())


def test_an_alert_is_told_once_and_each_kind_by_itself() -> None:
    capped = a_contract(cap={"amount": "2.00"})
    fresh, told = alerts(capped, 200, 400, "cap:50", "cap:80")
    assert fresh == ["cap:100 of 200", "prepaid:50 of 400"]
    assert told == ("cap:100", "cap:50", "cap:80", "prepaid:50")
    assert alerts(capped, 10, 0, *told) == ([], told)
    assert UsageAlert(AlertKind.CAP, 50, 1, 2).kind == "cap"
