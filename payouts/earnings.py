"""What one resolution earns its expert: base pay, surge and bonuses, each with the reason it was granted or not."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import assert_never

from ledger.money import Currency, parse_decimal, round_half_away, to_minor_units
from ledger.records import dataclass
from ledger.terms import exact_percent
from payouts.plans import (
    CsatTier,
    FixedBase,
    LanguageBonus,
    NotCharged,
    PayPlan,
    PeerReviewBonus,
    ResponseTier,
    ShareBase,
    ShareOf,
    Stacking,
)


class Standing(StrEnum):
    """Why an expert earns for a resolution, or does not."""

    CHARGED = "charged"
    NOT_CHARGED = "not_charged"
    FORFEITED = "forfeited"


# A component that was considered: its name, what it adds in minor units, and why.
Line = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Earning:
    """Minor units of the plan's currency, base and bonus each >= 0, and the trace: what was considered, and why.

    The trace names `base` and, if the plan has one, `surge`, which sum to the base; then each bonus that the plan has,
    once, and `bonus_cap` where it took something, which sum to the bonus.
    """

    base: int
    bonus: int
    trace: tuple[Line, ...]

    @property
    def total(self) -> int:
        """Base and bonus together."""
        return self.base + self.bonus


@dataclass(frozen=True, slots=True)
class PeerReview:
    """What an expert said of a resolution, 0 to 10,000, and when.

    `reviewed_back_at` is when the expert of the resolution last reviewed the reviewer's work before that, if ever.
    """

    reviewer: str
    reviewed_at: datetime
    basis_points: int
    reviewed_back_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """What an earning is worked out from.

    `list_price` is in exact minor units and before discount; `charged` in whole minor units and after it.
    `rating_basis_points` is None where nobody rated in time. `first_response_seconds` counts from the opening, rounded
    up, so that every comparison with whole seconds is exact; None where either time is unknown. `calendars` are those
    of the client's contract in which the resolution falls. `peer_reviews` are in order of time.
    """

    standing: Standing
    list_price: Fraction
    charged: int
    rating_basis_points: int | None
    expert: str = ""
    language: str | None = None
    first_response_seconds: int | None = None
    peer_reviews: tuple[PeerReview, ...] = ()
    calendars: frozenset[str] = frozenset()


def earn(plan: PayPlan, basis: Basis) -> Earning:
    """The earning for a resolution under a plan.

    The base with its surge is rounded once, half away from zero, and so is each bonus.
    """
    base, bonus = _base_lines(plan, basis), _bonus_lines(plan, basis)
    return Earning(_total(base), _total(bonus), (*base, *bonus))


def _total(lines: Sequence[Line]) -> int:
    return sum(amount for _, amount, _ in lines)


_WHOLE, _NOTHING = Fraction(1), Fraction(0)
_FORFEITED = "failed quality review or lost dispute"
_NOT_CHARGED = "the client is not charged"

# -- the base ----------------------------------------------------------------------------------------------------------


def _base_lines(plan: PayPlan, basis: Basis) -> list[Line]:
    """The base, and what a surge adds to it (below zero for a multiplier below 1); together rounded once."""
    part, why = _paid_part(plan, basis.standing)
    exact = _whole_base(plan, basis) * part
    base = round_half_away(exact)
    if not plan.surge:
        return [("base", base, why)]
    multiplier, said = _surge(plan, basis.calendars) if part else (_WHOLE, why)
    return [("base", base, why), ("surge", round_half_away(exact * multiplier) - base, said)]


def _paid_part(plan: PayPlan, standing: Standing) -> tuple[Fraction, str]:
    """The part of the base that is paid, and why."""
    match standing:
        case Standing.CHARGED:
            return _WHOLE, _describe(plan)
        case Standing.NOT_CHARGED:
            parts = {NotCharged.NONE: "0", NotCharged.BASE: "100", NotCharged.PERCENT: plan.not_charged_percent or "0"}
            return exact_percent(parts[plan.not_charged]), f"{_NOT_CHARGED}; the plan pays {plan.not_charged}"
        case Standing.FORFEITED:
            return _NOTHING, _FORFEITED
        case _:
            assert_never(standing)


def _whole_base(plan: PayPlan, basis: Basis) -> Fraction:
    match plan.base:
        case FixedBase(amount=amount):
            return _minor(amount, plan.currency)
        case ShareBase(percent=percent, of=of):
            whole = basis.list_price if of is ShareOf.LIST_PRICE else Fraction(basis.charged)
            return whole * exact_percent(percent)
        case _:
            assert_never(plan.base)


def _surge(plan: PayPlan, calendars: frozenset[str]) -> tuple[Fraction, str]:
    """The highest multiplier of those that apply, the first of equal ones; 1 if none does."""
    applying = [surge for surge in plan.surge if surge.calendar in calendars]
    if not applying:
        return _WHOLE, f"resolved outside {', '.join(surge.calendar for surge in plan.surge)}"
    highest = max(applying, key=lambda surge: surge.exact)
    return highest.exact, f"base times {highest.multiplier}, resolved in {highest.calendar}"


def _describe(plan: PayPlan) -> str:
    if isinstance(plan.base, FixedBase):
        return f"{plan.base.amount} {plan.currency} a resolution"
    return f"{plan.base.percent}% of the {plan.base.of.replace('_', ' ')}"


# -- bonuses -----------------------------------------------------------------------------------------------------------

# What a bonus has earned, in major units, None for nothing; and why.
_Claim = tuple[str | None, str]


def _bonus_lines(plan: PayPlan, basis: Basis) -> list[Line]:
    """Each bonus that the plan has, granted or not, and what the cap takes off their sum."""
    if basis.standing is not Standing.CHARGED:
        why = _FORFEITED if basis.standing is Standing.FORFEITED else _NOT_CHARGED
        return [(name, 0, why) for name, _ in _claims(plan, basis)]
    lines = [
        (name, round_half_away(_minor(amount or "0", plan.currency)), why)
        for name, (amount, why) in _claims(plan, basis)
    ]
    if plan.stacking is Stacking.HIGHEST:
        lines = _only_highest(lines)
    if plan.bonus_cap is not None:
        too_much = _total(lines) - round_half_away(_minor(plan.bonus_cap, plan.currency))
        why = f"the bonuses of one resolution come to {plan.bonus_cap} {plan.currency} at most"
        lines += [("bonus_cap", -too_much, why)] if too_much > 0 else []
    return lines


def _claims(plan: PayPlan, basis: Basis) -> Iterator[tuple[str, _Claim]]:
    """Each bonus that the plan has, by the name of its field, always in this order."""
    if plan.csat_bonus:
        yield "csat_bonus", _for_rating(plan.csat_bonus, basis.rating_basis_points)
    if plan.peer_review_bonus:
        yield "peer_review_bonus", _for_peer_review(plan.peer_review_bonus, basis)
    if plan.response_bonus:
        yield "response_bonus", _for_response(plan.response_bonus, basis.first_response_seconds)
    if plan.language_bonus:
        yield "language_bonus", _for_language(plan.language_bonus, basis.language)


def _only_highest(lines: Sequence[Line]) -> list[Line]:
    """The highest bonus alone granted; of equal ones the first."""
    highest = max(lines, key=lambda line: line[1], default=("", 0, ""))[0]
    return [
        (name, amount, why)
        if name == highest or not amount
        else (name, 0, f"{why}; the highest bonus alone is granted, which is {highest}")
        for name, amount, why in lines
    ]


def _for_rating(tiers: Sequence[CsatTier], rating: int | None) -> _Claim:
    if rating is None:
        return None, "nobody rated in time"
    reached = [tier for tier in tiers if rating >= tier.basis_points]
    if not reached:
        lowest = min(tiers, key=lambda tier: tier.basis_points)
        return None, f"rated {_percent(rating)}, below {lowest.at_least_percent}%"
    best = max(reached, key=lambda tier: tier.basis_points)
    return best.amount, f"rated {_percent(rating)}, at least {best.at_least_percent}%"


# A case may hold many reviews that do not count; the trace says of the last ones why.
_NAMED_OBJECTIONS = 3


def _for_peer_review(bonus: PeerReviewBonus, basis: Basis) -> _Claim:
    """By the last review that counts."""
    if not basis.peer_reviews:
        return None, "no other expert has reviewed it so far"
    objections = [_objection(bonus, basis.expert, review) for review in basis.peer_reviews]
    counting = [review for review, objection in zip(basis.peer_reviews, objections, strict=True) if not objection]
    if not counting:
        return None, "; ".join(dict.fromkeys(objections[-_NAMED_OBJECTIONS:]))
    last = counting[-1]
    said = f"{last.reviewer} reviewed it with {_percent(last.basis_points)}"
    if last.basis_points < bonus.basis_points:
        return None, f"{said}, below {bonus.at_least_percent}%"
    return bonus.amount, f"{said}, at least {bonus.at_least_percent}%"


def _objection(bonus: PeerReviewBonus, expert: str, review: PeerReview) -> str:
    """Why a review does not count; empty if it does."""
    if review.reviewer == expert:
        return f"{expert} reviewed their own work"
    back, days = review.reviewed_back_at, bonus.not_mutual_within_days
    if back is not None and review.reviewed_at - back <= timedelta(days=days):
        return f"{review.reviewer} and {expert} reviewed each other within {days} days, {expert} on {back:%Y-%m-%d}"
    return ""


def _for_response(tiers: Sequence[ResponseTier], seconds: int | None) -> _Claim:
    if seconds is None:
        return None, "when it was opened or first answered is not known"
    if seconds < 0:
        return None, "the first answer is before the opening"
    reached = [tier for tier in tiers if seconds <= tier.within_seconds]
    if not reached:
        slowest = max(tiers, key=lambda tier: tier.within_seconds)
        return None, f"first answered after {seconds} s, not within {slowest.within_seconds} s"
    fastest = min(reached, key=lambda tier: tier.within_seconds)
    return fastest.amount, f"first answered after {seconds} s, within {fastest.within_seconds} s"


def _for_language(bonus: LanguageBonus, language: str | None) -> _Claim:
    if language in bonus.languages:
        return bonus.amount, f"in {language}"
    return None, f"in {language or 'an unknown language'}, not in {' or '.join(bonus.languages)}"


@lru_cache(maxsize=1024)
def _minor(amount: str, code: Currency) -> Fraction:
    return to_minor_units(parse_decimal(amount), code)


def _percent(basis_points: int) -> str:
    return f"{basis_points // 100}.{basis_points % 100:02d}%"
