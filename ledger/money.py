"""Money: whole minor units of an ISO 4217 currency, and the two roundings the product knows."""

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NewType

from ledger.errors import InvalidMoney
from ledger.records import dataclass

Currency = NewType("Currency", str)

# ISO 4217 list one: active codes by the number of decimals of their minor unit (funds and metals left out).
CODES_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
        "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
        "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
        "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_EXPONENTS = {code: exponent for exponent, codes in CODES_BY_EXPONENT.items() for code in codes.split()}
# Fits every format that amounts are exported to.
_LARGEST = 10**18 - 1
_DECIMAL = re.compile(r"[+-]?\d{1,15}(\.\d{1,12})?")


def currency(code: str) -> Currency:
    """The currency of an ISO 4217 code in capitals; anything else is refused."""
    if code not in _EXPONENTS:
        raise InvalidMoney(f"{code!r} is not an active ISO 4217 currency code; write it in capitals, such as USD")
    return Currency(code)


def minor_unit_exponent(code: Currency) -> int:
    """How many decimals the currency has: JPY 0, USD 2, BHD 3 (ISO 4217)."""
    return _EXPONENTS[code]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in whole minor units of one currency; negative amounts are allowed.

    Floats, Decimals and bools are refused at construction. Sums of two currencies are refused.
    """

    minor_units: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.minor_units) is not int or abs(self.minor_units) > _LARGEST:
            raise InvalidMoney(f"money is whole minor units as an int of at most 18 digits, not {self.minor_units!r}")
        if self.currency not in _EXPONENTS:
            currency(self.currency)

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.minor_units + other.minor_units, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.minor_units - other.minor_units, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor_units, self.currency)

    def _same_currency(self, other: "Money") -> None:
        if other.currency != self.currency:
            raise InvalidMoney(f"{self.currency} and {other.currency} do not add up; convert or keep them apart")

    def __str__(self) -> str:
        return f"{format_minor_units(self.minor_units, self.currency)} {self.currency}"


def format_minor_units(minor_units: int, code: Currency) -> str:
    """A plain decimal for people and files: 118750 USD is 1187.50; 1870 JPY is 1870."""
    exponent = _EXPONENTS[code]
    sign, digits = ("-" if minor_units < 0 else ""), str(abs(minor_units)).rjust(exponent + 1, "0")
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits


def parse_decimal(text: object) -> Fraction:
    """An exact number from a plain decimal such as "0.00125"; at most 12 decimals, no exponent, no float."""
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise InvalidMoney(f'{text!r} is not a plain decimal in quotes with at most 12 decimals, such as "0.99"')
    return _exact(text)


@lru_cache(maxsize=4096)
def _exact(decimal: str) -> Fraction:
    return Fraction(decimal)


def to_minor_units(amount: Fraction, code: Currency) -> Fraction:
    """An amount of major units (0.99 USD) as exact minor units (99), not rounded."""
    scale: int = 10 ** _EXPONENTS[code]
    return amount * scale


def round_half_away(exact: Fraction) -> int:
    """The nearest whole number; halves go away from zero: 2.5 is 3, -2.5 is -3."""
    size, parts = abs(exact.numerator), exact.denominator
    whole = (2 * size + parts) // (2 * parts)
    return whole if exact.numerator >= 0 else -whole


def round_up(exact: Fraction) -> int:
    """The next whole number at or above: what a discount is rounded by, in the client's favour."""
    return -(-exact.numerator // exact.denominator)


def split_by_weight(total: int, weights: Sequence[int]) -> list[int]:
    """`total` minor units in proportion to weights >= 0; the parts sum to `total` exactly.

    Largest remainder; ties go to the earlier position. All weights zero is refused unless the total is zero.
    """
    weight_sum = sum(weights)
    if min(weights, default=0) < 0 or (weight_sum == 0 and total != 0):
        raise InvalidMoney(f"{total} cannot be split by the weights {list(weights)}")
    if weight_sum == 0:
        return [0] * len(weights)
    sign, size = (-1 if total < 0 else 1), abs(total)
    parts = [size * weight // weight_sum for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % weight_sum), i))
    for i in by_remainder[: size - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]


def total_by_currency(amounts: Iterable[Money]) -> dict[Currency, int]:
    """The sum of minor units in each currency that occurs."""
    totals: dict[Currency, int] = {}
    for amount in amounts:
        totals[amount.currency] = totals.get(amount.currency, 0) + amount.minor_units
    return totals
