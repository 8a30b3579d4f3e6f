"""What keeps a contract and a pay plan from deciding the same resolutions. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Generic, TypeVar, assert_never

from billing.contracts import Contract, ContractHistory, Graduated, Package, PerUnit, Rate, Volume
from billing.pricing import list_price_of
from events.facts import Resolver
from ledger.money import Currency, minor_unit_exponent
from ledger.records import dataclass
from ledger.terms import FieldPath, exact_percent
from payouts.plans import PayPlan, PlanHistory, ShareBase


@dataclass(frozen=True, slots=True)
class Misfit:
    """Two versions that cannot be in force together: the field of each that says so, and why."""

    contract: Contract
    contract_path: FieldPath
    plan: PayPlan
    plan_path: FieldPath
    what: str


def currencies_differ(contract: ContractHistory, plan: PlanHistory) -> bool:
    """Whether the plan has a share of prices that are in another currency."""
    has_share = any(isinstance(version.base, ShareBase) for version in plan.versions)
    return has_share and contract.currency != plan.currency


def misfits(contract: ContractHistory, plan: PlanHistory, as_of: date) -> Iterator[Misfit]:
    """What does not fit in versions that are in force together on or after `as_of`.

    A share that is less than a minor unit of some list price, and a surge in a calendar that the contract has not.
    """
    for mine in _spans(plan.versions):
        for theirs in _spans(contract.versions):
            ends_on = min(mine.ends_on, theirs.ends_on)
            if max(mine.starts_on, theirs.starts_on) < ends_on and ends_on > as_of:
                yield from _tiny_bases(theirs.version, mine.version)
                yield from _unknown_calendars(theirs.version, mine.version)


_VersionT = TypeVar("_VersionT", Contract, PayPlan)


@dataclass(frozen=True, slots=True)
class _Span(Generic[_VersionT]):
    """A version from its first day to the day before `ends_on`."""

    version: _VersionT
    starts_on: date
    ends_on: date


def _spans(versions: Sequence[_VersionT]) -> list[_Span[_VersionT]]:
    next_starts = [*(version.starts_on for version in versions[1:]), date.max]
    return [
        _Span(version, version.starts_on, min(next_start, getattr(version, "ends_on", None) or date.max))
        for version, next_start in zip(versions, next_starts, strict=True)
    ]


# -- calendars ---------------------------------------------------------------------------------------------------------


def _unknown_calendars(contract: Contract, plan: PayPlan) -> Iterator[Misfit]:
    known = [calendar.id for calendar in contract.calendars]
    there = f"there are {', '.join(known)}" if known else "the contract has no calendars"
    for place, surge in enumerate(plan.surge):
        if surge.calendar not in known:
            what = f"there is no calendar {surge.calendar} for the surge; {there}"
            yield Misfit(contract, ("calendars",), plan, ("surge", place, "calendar"), what)


# -- shares ------------------------------------------------------------------------------------------------------------


def _tiny_bases(contract: Contract, plan: PayPlan) -> Iterator[Misfit]:
    """At most one for each rate that experts can earn by: the first way in which its base is below a minor unit."""
    for position, rate in enumerate(contract.rates):
        if rate.match.resolver is not None and Resolver.EXPERT not in rate.match.resolver:
            continue
        least = min(list_price_of(rate, ordinal, contract.currency) for ordinal in _tier_starts(rate))
        for path, factor, words in _factors(plan):
            if least * factor < 1:
                price = f"the list price {_format_exact(least, contract.currency)} {contract.currency}"
                what = f"{words.format(price)} is below one minor unit per resolution"
                yield Misfit(contract, ("rates", position, "price"), plan, path, what)
                break


def _factors(plan: PayPlan) -> Iterator[tuple[FieldPath, Fraction, str]]:
    """What a share of a price is multiplied by at worst, the plan's field that says so, and in words."""
    if not isinstance(plan.base, ShareBase):
        return
    factor, words = exact_percent(plan.base.percent), f"{plan.base.percent}% of {{}}"
    yield ("base", "percent"), factor, words
    for place, surge in enumerate(plan.surge):
        if surge.exact < 1:
            yield ("surge", place, "multiplier"), factor * surge.exact, f"{words} times {surge.multiplier}"
    paid = exact_percent(plan.not_charged_percent or "0")
    if paid:
        lowest = min([Fraction(1), *(surge.exact for surge in plan.surge)])
        words += f" and {plan.not_charged_percent}% of that where the client is not charged"
        yield ("not_charged_percent",), factor * lowest * paid, words


def _tier_starts(rate: Rate) -> list[int]:
    """The first ordinal of each list price of a rate."""
    match rate.price:
        case PerUnit() | Package():
            return [1]
        case Graduated(tiers=tiers) | Volume(tiers=tiers):
            return [rate.included + 1, *(rate.included + tier.up_to + 1 for tier in tiers if tier.up_to)]
        case _:
            assert_never(rate.price)


def _format_exact(minor_units: Fraction, code: Currency) -> str:
    """Major units as a decimal; a price that has no end, such as 1.00 / 3, with 12 digits."""
    major = minor_units / 10 ** minor_unit_exponent(code)
    with localcontext(prec=12):
        return f"{(Decimal(major.numerator) / Decimal(major.denominator)).normalize():f}"
