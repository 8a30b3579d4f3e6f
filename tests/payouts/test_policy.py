"""The payout policy: amounts in minor units, and a fee that never rounds in the platform's disfavour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from payouts.policy import PayoutPolicy


def a_policy(**fields: object) -> PayoutPolicy:
    return PayoutPolicy.model_validate({"id": "USD"} | fields)


@pytest.mark.parametrize(
    ("code", "amount", "minor"),
    [("USD", "500.00", 50_000), ("JPY", "500", 500), ("BHD", "1.250", 1_250), ("USD", "0", 0)],
)
def test_amounts_are_minor_units_of_the_policys_currency(code: str, amount: str, minor: int) -> None:
    assert a_policy(id=code, per_run=amount).minor(amount) == minor
    assert a_policy(id=code).minor(None) is None


@pytest.mark.parametrize(
    ("percent", "minimum", "amount", "fee"),
    [
        ("1", "0", 10_000, 100),
        ("1", "0", 10_001, 101),
        ("1.5", "0.50", 3_333, 50),
        ("1.5", "0.50", 3_334, 51),
        ("0", "0.25", 10_000, 25),
        ("0", "0", 10_000, 0),
    ],
)
def test_the_fee_is_a_share_rounded_up_and_at_least_the_minimum(
    percent: str, minimum: str, amount: int, fee: int
) -> None:
    assert a_policy(instant_fee_percent=percent, instant_fee_minimum=minimum).instant_fee(amount) == fee


def test_without_a_percentage_nothing_is_paid_at_once() -> None:
    assert a_policy(instant_fee_minimum="0.50").instant_fee(10_000) is None


@given(amount=st.integers(0, 10**9), more=st.integers(0, 10**6), thousandths=st.integers(0, 100_000))
def test_the_fee_is_less_than_a_minor_unit_above_the_exact_share_and_never_falls(
    amount: int, more: int, thousandths: int
) -> None:
    policy = a_policy(instant_fee_percent=f"{thousandths // 1000}.{thousandths % 1000:03d}")
    fee = policy.instant_fee(amount)
    assert fee is not None
    assert 0 <= fee * 100_000 - amount * thousandths < 100_000
    assert (policy.instant_fee(amount + more) or 0) >= fee


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, False),
        ({"per_expert": "5.00"}, False),
        ({"per_run": "0"}, True),
        ({"per_day": "5.00"}, True),
        ({"approve_above": "5.00"}, True),
    ],
)
def test_totals_are_counted_where_something_depends_on_them(fields: dict[str, object], *, counts: bool) -> None:
    assert a_policy(**fields).counts_totals == counts


@pytest.mark.parametrize(
    "fields",
    [
        {"per_run": "-1"},
        {"per_run": 500},
        {"cooling_off_days": 91},
        {"cooling_off_days": -1},
        {"cooling_off_days": "3"},
        {"id": "usd"},
        {"per_week": "1.00"},
    ],
)
def test_what_is_no_policy_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        a_policy(**fields)
