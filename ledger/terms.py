"""What files of terms are made of: contracts and pay plans share these fields and their checks."""

from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from ledger.money import Currency, currency, parse_decimal


class Terms(BaseModel):
    """Base of everything a file may say: unknown fields are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_amount(text: str) -> str:
    if parse_decimal(text) < 0:
        raise ValueError("a price or an amount is not negative")
    return text


def _check_percent(text: str) -> str:
    percent = parse_decimal(text)
    if not 0 <= percent <= 1000 or (percent * 1000).denominator != 1:
        raise ValueError("a percentage is between 0 and 1000, with at most three decimals")
    return text


# Amounts of major units and percentages stay the decimal texts they were written as: exact, and as they were agreed.
Amount = Annotated[str, AfterValidator(_check_amount)]
Percent = Annotated[str, AfterValidator(_check_percent)]


def _check_currency(code: str) -> Currency:
    if code in _OTHER_DECIMALS_AT_STRIPE:
        raise ValueError(f"{code} is not supported: Stripe writes its amounts with other decimals than ISO 4217")
    return currency(code)


# Stripe keeps two decimals for these, for compatibility (https://docs.stripe.com/currencies#special-cases).
_OTHER_DECIMALS_AT_STRIPE = frozenset({"ISK", "UGX"})

CurrencyCode = Annotated[Currency, AfterValidator(_check_currency)]


def exact_percent(text: Percent) -> Fraction:
    """A percentage as an exact fraction: "60" is 3/5."""
    return parse_decimal(text) / 100
