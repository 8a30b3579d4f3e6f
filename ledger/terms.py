"""What files of terms are made of: contracts and pay plans share these fields and their checks."""

from fractions import Fraction
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema

from ledger.money import Currency, currency, parse_decimal

FieldPath = tuple[str | int, ...]


def format_path(path: FieldPath) -> str:
    """A field as people write it: rates[1].price.unit."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


class Terms(BaseModel):
    """Base of everything a file may say: unknown fields are refused, values do not change."""

    # What checks a model takes long to build: it is built when it is first used, and for parts of others not at all.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _check_amount(text: str) -> str:
    if parse_decimal(text) < 0:
        raise ValueError("a price or an amount is not negative")
    return text


def _check_percent(text: str) -> str:
    percent = parse_decimal(text)
    if not 0 <= percent <= 1000 or (percent * 1000).denominator != 1:
        raise ValueError("a percentage is between 0 and 1000, with at most three decimals")
    return text


def _decimal_schema(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": r"^[+-]?\d{1,15}(\.\d{1,12})?$", "examples": [example]})


# Amounts of major units and percentages stay the decimal texts they were written as: exact, and as they were agreed.
Amount = Annotated[str, AfterValidator(_check_amount), _decimal_schema("0.99")]
Percent = Annotated[str, AfterValidator(_check_percent), _decimal_schema("60")]


def _check_currency(code: str) -> Currency:
    if code in _OTHER_DECIMALS_AT_STRIPE:
        raise ValueError(f"{code} is not supported: Stripe writes its amounts with other decimals than ISO 4217")
    return currency(code)


# Stripe keeps two decimals for ISK and UGX, for compatibility, and has none for MGA
# (https://docs.stripe.com/currencies#special-cases).
_OTHER_DECIMALS_AT_STRIPE = frozenset({"ISK", "MGA", "UGX"})

CurrencyCode = Annotated[
    Currency,
    AfterValidator(_check_currency),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["USD"]}),
]


@lru_cache(maxsize=1024)
def exact_percent(text: Percent) -> Fraction:
    """A percentage as an exact fraction: "60" is 3/5."""
    return parse_decimal(text) / 100
