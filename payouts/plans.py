"""Pay plans: an expert's terms as data, versioned like contracts."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from events.facts import Slug
from ledger.money import Currency, parse_decimal, round_half_away, to_minor_units
from ledger.records import dataclass
from ledger.terms import Amount, CurrencyCode, Percent, Terms
from payouts.incentives import Incentive, Training, Week, check_incentives, first_day


class FixedBase(Terms):
    """The same amount for every resolution."""

    kind: Literal["fixed"] = "fixed"
    amount: Amount


class ShareOf(StrEnum):
    """What a share is taken of."""

    LIST_PRICE = "list_price"
    CHARGED = "charged"


class ShareBase(Terms):
    """A percentage of the exact list price, or of what the client is charged."""

    kind: Literal["share"] = "share"
    percent: Percent
    of: ShareOf = ShareOf.LIST_PRICE


class NotCharged(StrEnum):
    """What a resolution earns that the client is not charged for because of its rating, or the lack of one."""

    NONE = "none"
    BASE = "base"
    PERCENT = "percent"


class Schedule(StrEnum):
    """How often what is available is paid, the most frequent first; weeks begin on Monday, days at midnight UTC."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class CsatTier(Terms):
    """A bonus for a rating of at least this percentage (inclusive). The highest tier reached pays, alone."""

    at_least_percent: Percent
    amount: Amount

    @property
    def basis_points(self) -> Fraction:
        """The least rating on the scale of 0 to 10,000, exact."""
        return _basis_points(self.at_least_percent)


@lru_cache(maxsize=1024)
def _basis_points(percent: str) -> Fraction:
    return parse_decimal(percent) * 100


# What is higher is a percentage that was taken for a multiplier.
_HIGHEST_MULTIPLIER = 10


def _check_multiplier(text: str) -> str:
    if not 0 < parse_decimal(text) <= _HIGHEST_MULTIPLIER:
        span = f"above 0 and at most {_HIGHEST_MULTIPLIER}"
        raise ValueError(f"{text} is no multiplier: it is {span}, such as '1.5' for half as much again")
    return text


_MULTIPLIER_SCHEMA = {"type": "string", "pattern": r"^\d{1,2}(\.\d{1,12})?$", "examples": ["1.5"]}
Multiplier = Annotated[str, AfterValidator(_check_multiplier), WithJsonSchema(_MULTIPLIER_SCHEMA)]


class Surge(Terms):
    """A multiplier of the base for what is resolved in a calendar of the client's contract.

    Of several that apply the highest counts, alone. The base is multiplied before its one rounding.
    """

    calendar: Slug
    multiplier: Multiplier

    @property
    def exact(self) -> Fraction:
        """The multiplier as an exact fraction."""
        return parse_decimal(self.multiplier)


class ResponseTier(Terms):
    """A bonus for a first response within so many seconds of the opening (inclusive). The fastest tier pays, alone."""

    within_seconds: Annotated[int, Field(gt=0, le=30 * 86_400, strict=True)]
    amount: Amount


class LanguageBonus(Terms):
    """A bonus for a resolution in one of the languages."""

    languages: Annotated[tuple[Slug, ...], Field(min_length=1)]
    amount: Amount


class PeerReviewBonus(Terms):
    """A bonus for a review by another expert of at least this percentage (inclusive).

    No expert's review of their own work counts, nor one by somebody whose work the reviewed expert reviewed in the
    `not_mutual_within_days` before it (inclusive).
    """

    at_least_percent: Percent
    amount: Amount
    not_mutual_within_days: Annotated[int, Field(ge=0, le=366, strict=True)] = 30

    @property
    def basis_points(self) -> Fraction:
        """The least review on the scale of 0 to 10,000, exact."""
        return _basis_points(self.at_least_percent)


class Stacking(StrEnum):
    """Which of the bonuses that one resolution has earned are granted: all of them, or the highest alone.

    A surge is part of the base and stacks with every bonus.
    """

    ALL = "all"
    HIGHEST = "highest"


class PayPlan(Terms):
    """One version of a pay plan, in force for resolutions settled on or after `starts_on` (UTC).

    `bonus_cap` is the most that all bonuses of one resolution come to; the base, with its surge, has no cap.
    """

    id: Slug
    starts_on: date
    currency: CurrencyCode
    base: Annotated[FixedBase | ShareBase, Field(discriminator="kind")]
    not_charged: NotCharged = NotCharged.NONE
    not_charged_percent: Annotated[Percent | None, Field(validate_default=True)] = None
    surge: tuple[Surge, ...] = ()
    csat_bonus: tuple[CsatTier, ...] = ()
    peer_review_bonus: PeerReviewBonus | None = None
    response_bonus: tuple[ResponseTier, ...] = ()
    language_bonus: LanguageBonus | None = None
    stacking: Stacking = Stacking.ALL
    bonus_cap: Amount | None = None
    incentives: tuple[Incentive, ...] = ()
    hold_days: Annotated[int, Field(ge=0, le=365, strict=True)] = 7
    minimum_payout: Amount = "0"
    payout_schedule: Schedule = Schedule.WEEKLY

    # A check of one field, so that one mistake in a file does not hide the others.
    @field_validator("not_charged_percent")
    @classmethod
    def _is_given_for_a_percentage(cls, percent: str | None, info: ValidationInfo) -> str | None:
        outcome = info.data.get("not_charged")
        if outcome is not None and (outcome == NotCharged.PERCENT) != (percent is not None):
            raise ValueError("is given if, and only if, not_charged is `percent`")
        return percent

    @field_validator("surge")
    @classmethod
    def _names_each_calendar_once(cls, surge: tuple[Surge, ...]) -> tuple[Surge, ...]:
        _refuse_twice("surge", "calendar", [it.calendar for it in surge])
        return surge

    @field_validator("response_bonus")
    @classmethod
    def _names_each_time_once(cls, tiers: tuple[ResponseTier, ...]) -> tuple[ResponseTier, ...]:
        _refuse_twice("response_bonus", "within_seconds", [it.within_seconds for it in tiers])
        return tiers

    @field_validator("incentives")
    @classmethod
    def _can_be_paid(cls, incentives: tuple[Incentive, ...], info: ValidationInfo) -> tuple[Incentive, ...]:
        code = info.data.get("currency")
        if code is not None:
            check_incentives(incentives, code)
        return incentives

    @property
    def counts_weeks(self) -> bool:
        """Whether an incentive looks at what experts do in a week."""
        return any(not isinstance(incentive, Training) for incentive in self.incentives)

    @property
    def version(self) -> str:
        """The version's name: its first day."""
        return self.starts_on.isoformat()

    @property
    def minimum_payout_minor(self) -> int:
        """The least payout in minor units, at least 1."""
        return max(1, round_half_away(to_minor_units(parse_decimal(self.minimum_payout), self.currency)))


def _refuse_twice(items: str, name: str, values: Sequence[object]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{items}[{place}].{name}: {value} stands in {items}[{values.index(value)}] already")


class PlanNotInForce(LookupError):
    """No version of the plan covers the day; mended by applying one."""

    def __init__(self, plan: str, day: date) -> None:
        super().__init__(f"pay plan {plan} has no version in force on {day}; apply one")


@dataclass(frozen=True, slots=True)
class PlanHistory:
    """All versions of one plan, oldest first."""

    plan: str
    versions: tuple[PayPlan, ...]

    def in_force(self, day: date) -> PayPlan:
        """The version for resolutions settled on `day`; raises PlanNotInForce."""
        for version in reversed(self.versions):
            if version.starts_on <= day:
                return version
        raise PlanNotInForce(self.plan, day)

    def for_week(self, week: Week) -> PayPlan | None:
        """The version whose incentives a week has: the one in force on its Monday, None if there is none."""
        monday = first_day(week)
        return next((version for version in reversed(self.versions) if version.starts_on <= monday), None)

    @property
    def currency(self) -> Currency:
        """The plan's currency; it does not change between versions."""
        return self.versions[0].currency


class PlanRefused(ValueError):
    """A version that may not join the plan's history."""


def add_version(history: Sequence[PayPlan], version: PayPlan) -> tuple[PayPlan, ...]:
    """The history with `version` added, or put in the place of the one that starts on the same day.

    Raises PlanRefused, `field: reason`, for another currency, or a new start before an existing version.
    """
    others = [other for other in history if other.starts_on != version.starts_on]
    is_new = len(others) == len(history)
    for other in others:
        if other.currency != version.currency:
            raise PlanRefused(f"currency: a plan keeps {other.currency} for life; make a new plan instead")
        if other.starts_on > version.starts_on and is_new:
            raise PlanRefused(f"starts_on: {version.starts_on} is before the version of {other.starts_on}")
    return tuple(sorted([*others, version], key=lambda plan: plan.starts_on))
