from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidMoney
from ledger.money import (
    Currency,
    Money,
    currency,
    format_minor_units,
    parse_decimal,
    round_half_away,
    round_up,
    split_by_weight,
    to_minor_units,
    total_by_currency,
)

USD, JPY, BHD = Currency("USD"), Currency("JPY"), Currency("BHD")


@pytest.mark.parametrize("amount", [0.99, True, "99", None])
def test_only_whole_minor_units_are_money(amount: object) -> None:
    with pytest.raises(InvalidMoney):
        Money(amount, USD)  # type: ignore[arg-type]


def test_two_currencies_never_mix() -> None:
    with pytest.raises(InvalidMoney, match="USD and JPY"):
        Money(1, USD) + Money(1, JPY)


@pytest.mark.parametrize("code", ["usd", "USDT", "XXX", ""])
def test_an_unknown_currency_is_refused(code: str) -> None:
    with pytest.raises(InvalidMoney, match="ISO 4217"):
        currency(code)


@pytest.mark.parametrize(
    ("minor", "code", "text"),
    [(118750, USD, "1187.50"), (-5, USD, "-0.05"), (1870, JPY, "1870"), (1050, BHD, "1.050"), (0, BHD, "0.000")],
)
def test_amounts_are_written_with_the_decimals_of_their_currency(minor: int, code: Currency, text: str) -> None:
    assert format_minor_units(minor, code) == text


@given(st.integers(-(10**12), 10**12), st.sampled_from([USD, JPY, BHD]))
def test_what_is_written_reads_back_exactly(minor: int, code: Currency) -> None:
    assert to_minor_units(parse_decimal(format_minor_units(minor, code)), code) == minor


@pytest.mark.parametrize("text", [0.99, "1e3", "1,5", " 1", "1.", ".5", "0.1234567890123", "nan", ""])
def test_anything_but_a_plain_decimal_text_is_refused(text: object) -> None:
    with pytest.raises(InvalidMoney, match="plain decimal"):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("exact", "nearest", "above"),
    [("41.625", 42, 42), ("2.5", 3, 3), ("-2.5", -3, -2), ("0.4", 0, 1), ("-0.4", 0, 0), ("7", 7, 7)],
)
def test_roundings_go_where_they_say(exact: str, nearest: int, above: int) -> None:
    assert round_half_away(Fraction(exact)) == nearest
    assert round_up(Fraction(exact)) == above


@given(st.integers(-(10**6), 10**6), st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any))
def test_parts_sum_to_the_total_and_each_is_its_share_rounded_down_or_up(total: int, weights: list[int]) -> None:
    parts = split_by_weight(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(total * weight, sum(weights)) - part) < 1


def test_a_left_over_unit_goes_to_the_largest_remainder_and_then_to_the_earlier_position() -> None:
    assert split_by_weight(100, [1, 1, 1]) == [34, 33, 33]
    assert split_by_weight(-100, [1, 1, 1]) == [-34, -33, -33]
    assert split_by_weight(10, [1, 5, 3]) == [1, 6, 3]
    assert split_by_weight(0, [0, 0]) == [0, 0]
    with pytest.raises(InvalidMoney):
        split_by_weight(1, [0, 0])


def test_amounts_of_one_currency_add_subtract_negate_and_are_written_with_it() -> None:
    assert Money(70, USD) + Money(29, USD) == Money(99, USD)
    assert Money(70, USD) - Money(29, USD) == Money(41, USD)
    assert -Money(70, USD) == Money(-70, USD)
    assert str(Money(-118750, USD)) == "-1187.50 USD"
    with pytest.raises(InvalidMoney, match="USD and JPY"):
        Money(1, USD) - Money(1, JPY)


@pytest.mark.parametrize("sign", [1, -1])
def test_money_has_at_most_eighteen_digits(sign: int) -> None:
    assert Money(sign * (10**18 - 1), USD).minor_units == sign * (10**18 - 1)
    with pytest.raises(InvalidMoney, match="18 digits"):
        Money(sign * 10**18, USD)


def test_money_of_an_unknown_currency_is_refused() -> None:
    with pytest.raises(InvalidMoney, match="'usd' is not an active ISO 4217"):
        Money(1, Currency("usd"))


def test_remainders_are_compared_not_quotients_and_weights_are_never_negative() -> None:
    # 7 by 5:4:1 is 3.5, 2.8 and 0.7: the second and the third have the largest remainders.
    assert split_by_weight(7, [5, 4, 1]) == [3, 3, 1]
    assert split_by_weight(-7, [5, 4, 1]) == [-3, -3, -1]
    assert split_by_weight(1, [1, 1]) == [1, 0]
    assert split_by_weight(0, []) == []
    with pytest.raises(InvalidMoney, match=r"3 cannot be split by the weights \[2, -1\]"):
        split_by_weight(3, [2, -1])


def test_nothing_rounds_to_nothing() -> None:
    assert round_half_away(Fraction(0)) == round_up(Fraction(0)) == 0
    assert round_half_away(Fraction(-1, 2)) == -1


def test_a_total_is_kept_for_each_currency() -> None:
    amounts = [Money(70, USD), Money(5, JPY), Money(29, USD), Money(-9, JPY)]
    assert total_by_currency(amounts) == {USD: 99, JPY: -4}
    assert total_by_currency([]) == {}
