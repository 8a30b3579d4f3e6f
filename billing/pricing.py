"""What resolutions cost: the list price of one ordinal, its accrual, and the total f(N) of a period.

All exact amounts are Fractions of minor units.
"""

from fractions import Fraction
from functools import lru_cache
from typing import assert_never
from zoneinfo import ZoneInfo

from billing.calendars import falls_in
from billing.contracts import Contract, Graduated, Match, Package, PerUnit, Price, Rate, Tier, Volume
from events.facts import Completed
from ledger.money import Currency, parse_decimal, round_half_away, to_minor_units


@lru_cache(maxsize=1024)
def _minor(amount: str, code: Currency) -> Fraction:
    return to_minor_units(parse_decimal(amount), code)


def _tier_of(tiers: tuple[Tier, ...], ordinal: int) -> Tier:
    return next(tier for tier in tiers if tier.up_to is None or ordinal <= tier.up_to)


def list_price(price: Price, ordinal: int, code: Currency) -> Fraction:
    """The exact price of the resolution with this ordinal (from 1): of its tier; of a package, its price / size."""
    match price:
        case PerUnit():
            return _minor(price.unit, code)
        case Graduated() | Volume():
            return _minor(_tier_of(price.tiers, ordinal).unit, code)
        case Package():
            return _minor(price.amount, code) / price.size
        case _:
            assert_never(price)


def _listed_through(price: Price, ordinal: int, code: Currency) -> Fraction:
    """The sum of the list prices of ordinals 1 to `ordinal`."""
    match price:
        case PerUnit() | Package():
            return ordinal * list_price(price, 1, code)
        case Graduated() | Volume():
            return _graduated_total(price.tiers, ordinal, code)
        case _:
            assert_never(price)


def _graduated_total(tiers: tuple[Tier, ...], count: int, code: Currency) -> Fraction:
    total, start = Fraction(0), 0
    for tier in tiers:
        end = count if tier.up_to is None else min(count, tier.up_to)
        total += max(0, end - start) * _minor(tier.unit, code)
        start = max(start, end)
    return total


def list_price_of(rate: Rate, ordinal: int, code: Currency) -> Fraction:
    """The list price of an ordinal of a rate; included units have the price of the first unit beyond them."""
    return list_price(rate.price, max(1, ordinal - rate.included), code)


def accrual(rate: Rate, ordinal: int, code: Currency) -> int:
    """Minor units accrued for an ordinal (from 1): 0 for an included unit, else its list price.

    Fractions are rounded cumulatively, half away from zero, so that the accruals of ordinals 1 to n sum to the rounded
    sum of their list prices.
    """
    place = ordinal - rate.included
    if place <= 0:
        return 0
    listed = list_price(rate.price, place, code)
    if listed.denominator == 1:
        return listed.numerator  # a whole number moves no rounding
    through = round_half_away(_listed_through(rate.price, place, code))
    return through - round_half_away(_listed_through(rate.price, place - 1, code))


def total(rate: Rate, count: int, code: Currency) -> int:
    """f(max(0, N - included)) in minor units for N net billable resolutions: rounded once, half away from zero."""
    units = max(0, count - rate.included)
    match rate.price:
        case PerUnit(unit=unit):
            exact = units * _minor(unit, code)
        case Graduated(tiers=tiers):
            exact = _graduated_total(tiers, units, code)
        case Volume(tiers=tiers):
            exact = units * _minor(_tier_of(tiers, units).unit, code) if units else Fraction(0)
        case Package(size=size, amount=amount):
            exact = -(-units // size) * _minor(amount, code)
        case _:
            assert_never(rate.price)
    return round_half_away(exact)


def matching_rate(contract: Contract, solution: Completed) -> Rate | None:
    """The first rate whose every named attribute has the solution's value; None if there is none.

    A rate with calendars is for what was resolved in any of them, in the contract's time zone.
    """
    for rate in contract.rates:
        if _matches(rate.match, contract, solution):
            return rate
    return None


def _matches(wanted: Match, contract: Contract, solution: Completed) -> bool:
    return (
        (wanted.channel is None or solution.channel in wanted.channel)
        and (wanted.language is None or solution.language in wanted.language)
        and (wanted.skill is None or solution.skill in wanted.skill)
        and (wanted.priority is None or solution.priority in wanted.priority)
        and (wanted.route is None or solution.route in wanted.route)
        and (wanted.resolver is None or solution.resolver in wanted.resolver)
        and (wanted.calendar is None or _is_in_any(wanted.calendar, contract, solution))
    )


def _is_in_any(wanted: tuple[str, ...], contract: Contract, solution: Completed) -> bool:
    zone = ZoneInfo(contract.time_zone)
    return any(calendar.id in wanted and falls_in(calendar, solution.time, zone) for calendar in contract.calendars)
