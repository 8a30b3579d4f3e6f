"""Pay plans: an expert's terms as data, versioned like contracts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from events.facts import Slug
from ledger.money import Currency, parse_decimal, round_half_away, to_minor_units
from ledger.terms import Amount, CurrencyCode, Percent, Terms


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


class PayPlan(Terms):
    """One version of a pay plan, in force for resolutions settled on or after `starts_on` (UTC)."""

    id: Slug
    starts_on: date
    currency: CurrencyCode
    base: Annotated[FixedBase | ShareBase, Field(discriminator="kind")]
    not_charged: NotCharged = NotCharged.NONE
    not_charged_percent: Annotated[Percent | None, Field(validate_default=True)] = None
    csat_bonus: tuple[CsatTier, ...] = ()
    hold_days: Annotated[int, Field(ge=0, le=365, strict=True)] = 7
    minimum_payout: Amount = "0"

    # A check of one field, so that one mistake in a file does not hide the others.
    @field_validator("not_charged_percent")
    @classmethod
    def _is_given_for_a_percentage(cls, percent: str | None, info: ValidationInfo) -> str | None:
        outcome = info.data.get("not_charged")
        if outcome is not None and (outcome == NotCharged.PERCENT) != (percent is not None):
            raise ValueError("is given if, and only if, not_charged is `percent`")
        return percent

    @property
    def minimum_payout_minor(self) -> int:
        """The least payout in minor units, at least 1."""
        return max(1, round_half_away(to_minor_units(parse_decimal(self.minimum_payout), self.currency)))


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
