"""What one resolution earns its expert: base pay and bonuses, each with the reason it was granted or not."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import assert_never

from ledger.money import Currency, parse_decimal, round_half_away, to_minor_units
from ledger.terms import exact_percent
from payouts.plans import FixedBase, NotCharged, PayPlan, ShareBase, ShareOf


class Standing(StrEnum):
    """Why an expert earns for a resolution, or does not."""

    CHARGED = "charged"
    NOT_CHARGED = "not_charged"
    FORFEITED = "forfeited"


@dataclass(frozen=True, slots=True)
class Earning:
    """Minor units >= 0 of the plan's currency, and the trace: every component considered and why it is what it is."""

    base: int
    bonus: int
    trace: tuple[tuple[str, int, str], ...]

    @property
    def total(self) -> int:
        """Base and bonus together."""
        return self.base + self.bonus


@dataclass(frozen=True, slots=True)
class Basis:
    """What an earning is worked out from.

    `list_price` is in exact minor units and before discount; `charged` in whole minor units and after it.
    `rating_basis_points` is None where nobody rated in time.
    """

    standing: Standing
    list_price: Fraction
    charged: int
    rating_basis_points: int | None


def earn(plan: PayPlan, basis: Basis) -> Earning:
    """The earning for a resolution under a plan. Each component is rounded once, half away from zero."""
    full = _base(plan, basis)
    match basis.standing:
        case Standing.FORFEITED:
            return Earning(0, 0, (("base", 0, "reopened, failed quality review or lost dispute"),))
        case Standing.NOT_CHARGED:
            base = _base_when_not_charged(plan, full)
            why = f"the client is not charged; the plan pays {plan.not_charged}"
            return Earning(base, 0, (("base", base, why), ("csat_bonus", 0, "the client is not charged")))
        case Standing.CHARGED:
            base = round_half_away(full)
            bonus, why = _csat_bonus(plan, basis.rating_basis_points)
            return Earning(base, bonus, (("base", base, _describe(plan)), ("csat_bonus", bonus, why)))
        case _:
            assert_never(basis.standing)


def _base(plan: PayPlan, basis: Basis) -> Fraction:
    match plan.base:
        case FixedBase(amount=amount):
            return _minor(plan, amount)
        case ShareBase(percent=percent, of=of):
            whole = basis.list_price if of is ShareOf.LIST_PRICE else Fraction(basis.charged)
            return whole * exact_percent(percent)
        case _:
            assert_never(plan.base)


def _base_when_not_charged(plan: PayPlan, full: Fraction) -> int:
    match plan.not_charged:
        case NotCharged.NONE:
            return 0
        case NotCharged.BASE:
            return round_half_away(full)
        case NotCharged.PERCENT:
            return round_half_away(full * exact_percent(plan.not_charged_percent or "0"))
        case _:
            assert_never(plan.not_charged)


def _csat_bonus(plan: PayPlan, rating: int | None) -> tuple[int, str]:
    if not plan.csat_bonus:
        return 0, "the plan has none"
    if rating is None:
        return 0, "nobody rated in time"
    reached = [tier for tier in plan.csat_bonus if rating >= tier.basis_points]
    if not reached:
        lowest = min(plan.csat_bonus, key=lambda tier: tier.basis_points)
        return 0, f"rated {_percent(rating)}, below {lowest.at_least_percent}%"
    best = max(reached, key=lambda tier: tier.basis_points)
    return round_half_away(_minor(plan, best.amount)), f"rated {_percent(rating)}, at least {best.at_least_percent}%"


def _minor(plan: PayPlan, amount: str) -> Fraction:
    return _exact_minor(amount, plan.currency)


@lru_cache(maxsize=1024)
def _exact_minor(amount: str, code: Currency) -> Fraction:
    return to_minor_units(parse_decimal(amount), code)


def _describe(plan: PayPlan) -> str:
    if isinstance(plan.base, FixedBase):
        return f"{plan.base.amount} {plan.currency} a resolution"
    return f"{plan.base.percent}% of the {plan.base.of.replace('_', ' ')}"


def _percent(basis_points: int) -> str:
    return f"{basis_points // 100}.{basis_points % 100:02d}%"
