"""Incentives as a pay plan says them, the weeks in which they count, and what is counted of an expert in a week."""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Literal, NewType

from pydantic import AfterValidator, Field, WithJsonSchema

from events.facts import Slug
from ledger.money import Currency, parse_decimal, to_minor_units
from ledger.records import dataclass
from ledger.terms import Amount, Percent, Terms

# An ISO 8601 week in UTC, such as 2026-W45: from Monday to Sunday.
Week = NewType("Week", str)


@lru_cache(maxsize=1024)
def week_of(day: date) -> Week:
    """The week that a day (UTC) falls in."""
    year, week, _ = day.isocalendar()
    return Week(f"{year}-W{week:02d}")


@lru_cache(maxsize=1024)
def first_day(week: Week) -> date:
    """The Monday of a week."""
    year, _, number = week.partition("-W")
    return date.fromisocalendar(int(year), int(number), 1)


def last_day(week: Week) -> date:
    """The Sunday of a week."""
    return first_day(week) + timedelta(days=6)


def week_before(week: Week) -> Week:
    """The week before a week."""
    return week_of(first_day(week) - timedelta(days=1))


def _check_positive(text: str) -> str:
    if parse_decimal(text) == 0:
        raise ValueError("an incentive pays more than 0")
    return text


def _check_average(percent: str) -> str:
    if not 0 < parse_decimal(percent) <= 100:
        raise ValueError(f"{percent} is no average that can be reached; it is above 0 and at most 100")
    return percent


_POSITIVE = {"type": "string", "pattern": r"^\d{1,15}(\.\d{1,12})?$", "examples": ["25.00"]}
PositiveAmount = Annotated[Amount, AfterValidator(_check_positive), WithJsonSchema(_POSITIVE)]
AveragePercent = Annotated[Percent, AfterValidator(_check_average)]
Number = Annotated[int, Field(gt=0, le=100_000, strict=True)]


class _PerWeek(Terms):
    """What a week needs: so many resolutions and, if that is given, so high an average rating; both inclusive.

    The average is of the resolutions that were rated; a week without any rating has none, and does not reach it.
    """

    resolutions: Number
    average_percent: AveragePercent | None = None


class Quest(_PerWeek):
    """An amount for every week that has what it needs."""

    kind: Literal["quest"]
    id: Slug
    amount: PositiveAmount


class Streak(_PerWeek):
    """An amount for so many `weeks` in a row that each have what they need, and again for as many more of that row."""

    kind: Literal["streak"]
    id: Slug
    weeks: Annotated[int, Field(ge=2, le=52, strict=True)]
    amount: PositiveAmount


class Top(Terms):
    """A budget for the experts of the plan with the most resolutions in a week, in equal parts for each place.

    What does not divide goes to the first places, a minor unit each. A place that nobody takes stays unpaid.
    """

    kind: Literal["top"]
    id: Slug
    places: Annotated[int, Field(gt=0, le=1000, strict=True)]
    budget: PositiveAmount
    least_resolutions: Number = 1


class Referral(Terms):
    """An amount for whoever referred an expert of this plan, once the referred one has so many final resolutions.

    A week's resolutions are final `final_after_days` after its end.
    """

    kind: Literal["referral"]
    id: Slug
    resolutions: Number
    # Within the weeks that are looked at (settlement/incentives.py), or it would never be seen to be final.
    final_after_days: Annotated[int, Field(ge=0, le=60, strict=True)] = 30
    amount: PositiveAmount


class Training(Terms):
    """An amount, once, for an expert of this plan who passed the training while a version that says so was in force."""

    kind: Literal["training"]
    id: Slug
    amount: PositiveAmount


Incentive = Annotated[Quest | Streak | Top | Referral | Training, Field(discriminator="kind")]


def minor_units(amount: PositiveAmount, code: Currency) -> int:
    """An incentive's amount in minor units; `check_incentives` has seen to it that they are whole."""
    return int(to_minor_units(parse_decimal(amount), code))


def check_incentives(incentives: Sequence[Incentive], code: Currency) -> None:
    """Raises ValueError for two of one id, a fraction of a minor unit, or a budget with less than one for a place."""
    seen = set[str]()
    for place, incentive in enumerate(incentives):
        where, amount = f"incentives[{place}]", incentive.budget if isinstance(incentive, Top) else incentive.amount
        if incentive.id in seen:
            raise ValueError(f"{where}.id: there is another incentive {incentive.id} in the plan")
        seen.add(incentive.id)
        if to_minor_units(parse_decimal(amount), code).denominator != 1:
            raise ValueError(f"{where}: {amount} is not a whole number of minor units of {code}")
        if isinstance(incentive, Top) and minor_units(amount, code) < incentive.places:
            raise ValueError(f"{where}.budget: {amount} {code} is less than one minor unit for each place")


@dataclass(frozen=True, slots=True)
class WeekCount:
    """What an expert did by a plan in a week, or, signed, a change of that. `rating_sum` is in basis points.

    A resolution counts in the week in which it settled, for as long as it stands.
    """

    expert: str
    plan: str
    week: Week
    resolutions: int = 0
    rated: int = 0
    rating_sum: int = 0

    def plus(self, other: "WeekCount") -> "WeekCount":
        """Both together."""
        return WeekCount(
            self.expert,
            self.plan,
            self.week,
            self.resolutions + other.resolutions,
            self.rated + other.rated,
            self.rating_sum + other.rating_sum,
        )

    @property
    def average(self) -> Fraction | None:
        """The exact average rating in basis points; None if nothing was rated."""
        return Fraction(self.rating_sum, self.rated) if self.rated else None
