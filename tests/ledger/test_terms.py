"""What files of terms may say of amounts, percentages and currencies."""

from fractions import Fraction

import pytest
from pydantic import ValidationError

from ledger.terms import Amount, CurrencyCode, FieldPath, Percent, Terms, exact_percent, format_path


class Offer(Terms):
    amount: Amount = "0"
    percent: Percent = "0"
    currency: CurrencyCode = "USD"  # type: ignore[assignment]  # as a file says it


def refusal(**fields: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Offer.model_validate(fields)
    [error] = refused.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


@pytest.mark.parametrize("field", ["amount", "percent"])
@pytest.mark.parametrize("text", ["0", "0.001", "0.99", "1", "60", "1000"])
def test_amounts_and_percentages_stay_the_texts_they_were_written_as(field: str, text: str) -> None:
    assert getattr(Offer.model_validate({field: text}), field) == text


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("amount", "-0.01", "a price or an amount is not negative"),
        ("percent", "-0.001", "a percentage is between 0 and 1000, with at most three decimals"),
        ("percent", "1000.001", "a percentage is between 0 and 1000, with at most three decimals"),
        ("percent", "0.0005", "a percentage is between 0 and 1000, with at most three decimals"),
        ("currency", "ISK", "ISK is not supported: Stripe writes its amounts with other decimals than ISO 4217"),
        ("currency", "MGA", "MGA is not supported: Stripe writes its amounts with other decimals than ISO 4217"),
        ("currency", "UGX", "UGX is not supported: Stripe writes its amounts with other decimals than ISO 4217"),
    ],
)
def test_what_may_not_be_written_is_refused_with_a_reason(field: str, text: str, said: str) -> None:
    assert refusal(**{field: text}) == said


def test_a_currency_is_a_code_in_capitals_and_an_unknown_field_is_refused() -> None:
    assert Offer.model_validate({"currency": "JPY"}).currency == "JPY"
    assert "not an active ISO 4217 currency code" in refusal(currency="jpy")
    assert refusal(prize="1") == "Extra inputs are not permitted"


def test_the_published_schema_shows_how_a_decimal_and_a_currency_are_written() -> None:
    fields = Offer.model_json_schema()["properties"]
    pattern = r"^[+-]?\d{1,15}(\.\d{1,12})?$"
    assert fields["amount"] == {
        "default": "0",
        "examples": ["0.99"],
        "pattern": pattern,
        "title": "Amount",
        "type": "string",
    }
    assert (fields["percent"]["pattern"], fields["percent"]["examples"]) == (pattern, ["60"])
    assert (fields["currency"]["pattern"], fields["currency"]["examples"]) == ("^[A-Z]{3}$", ["USD"])


def test_a_percentage_is_an_exact_fraction() -> None:
    assert exact_percent("60") == Fraction(3, 5)
    assert exact_percent("0.125") == Fraction(1, 800)


@pytest.mark.parametrize(
    ("path", "text"), [(("rates", 1, "price", "unit"), "rates[1].price.unit"), ((0, "id"), "[0].id"), ((), "")]
)
def test_a_field_is_named_as_people_write_it(path: FieldPath, text: str) -> None:
    assert format_path(path) == text
