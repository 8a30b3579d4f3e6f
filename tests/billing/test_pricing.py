"""Prices: accruals sum exactly, and the close ends at f(N) whatever came and went."""

import random
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.charges import Charge, FrozenPrice, charge_at, count_change, credit_after_close, issue_price
from billing.contracts import Contract, HistoryRefused, Rate, add_version
from billing.invoices import LineKind, close_period
from billing.periods import Period, PeriodState, next_period, period_end, period_of, period_start
from billing.pricing import accrual, list_price_of, total
from ledger.money import Currency, round_half_away
from tests.world import GRADUATED, PACKAGE, VOLUME, a_contract, at, per_unit

USD = Currency("USD")
MARCH = Period("2026-03")


@st.composite
def prices(draw: st.DrawFn) -> dict[str, object]:
    """A price of any model, with up to twelve decimals."""
    amount = st.decimals("0", "20", places=draw(st.integers(0, 12))).map(lambda number: format(number, "f"))
    ends = sorted(draw(st.sets(st.integers(1, 60), min_size=1, max_size=3)))
    tiers = [{"up_to": end, "unit": draw(amount)} for end in ends] + [{"unit": draw(amount)}]
    return draw(
        st.sampled_from(
            [
                per_unit(draw(amount)),
                {"model": "graduated", "tiers": tiers},
                {"model": "volume", "tiers": tiers},
                {"model": "package", "size": draw(st.integers(1, 20)), "amount": draw(amount)},
            ]
        )
    )


def the_rate(contract: Contract) -> Rate:
    return contract.rates[0]


@given(prices(), st.integers(0, 20), st.integers(1, 80))
def test_accruals_sum_to_the_rounded_sum_of_list_prices(price: dict[str, object], included: int, count: int) -> None:
    rate = the_rate(a_contract(price, included=included))
    paid = [list_price_of(rate, n, USD) for n in range(included + 1, count + 1)]
    assert sum(accrual(rate, n, USD) for n in range(1, count + 1)) == round_half_away(sum(paid, Fraction(0)))


@given(prices(), st.integers(0, 20), st.data())
@settings(deadline=None)
def test_the_invoice_is_f_of_n_after_any_charges_and_reversals(
    price: dict[str, object], included: int, data: st.DataObject
) -> None:
    contract = a_contract(price, included=included)
    state, standing = PeriodState("acme", MARCH), list[FrozenPrice]()
    for is_new in data.draw(st.lists(st.booleans(), max_size=80)):
        if is_new or not standing:
            frozen, state = issue_price(contract, the_rate(contract), state)
            standing.append(frozen)
            state = count_change(state, "all", None, charge_at(frozen, 0))
        else:
            frozen = standing.pop(data.draw(st.integers(0, len(standing) - 1)))
            state = count_change(state, "all", charge_at(frozen, 0), None)
    closing = close_period(contract, state, 0)
    expected = total(the_rate(contract), len(standing), USD)
    assert sum(line.amount for line in closing.invoice.lines if line.kind is LineKind.USAGE) == expected
    assert sum(frozen.accrued for frozen in standing) + closing.true_up == expected


@given(prices(), st.integers(1, 40), st.randoms(use_true_random=False))
def test_crediting_all_of_a_closed_period_gives_back_at_most_what_it_billed(
    price: dict[str, object], count: int, rng: random.Random
) -> None:
    contract, state, frozen = a_contract(price), PeriodState("acme", MARCH), []
    for _ in range(count):
        issued, state = issue_price(contract, the_rate(contract), state)
        frozen.append(issued)
        state = count_change(state, "all", None, charge_at(issued, 0))
    closed = close_period(contract, state, 0).period
    rng.shuffle(frozen)
    given_back = []
    for issued in frozen:
        credit, closed = credit_after_close(closed, "all", issued.accrued, None, 0)
        assert 0 <= credit <= issued.accrued
        given_back.append(credit)
    assert sum(given_back) <= closed.counter("all").billed


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_discount_never_exceeds_the_charge_and_is_never_less_than_agreed(accrued: int, basis_points: int) -> None:
    charge = charge_at(FrozenPrice(MARCH, "2026-01", "all", 1, "1", accrued), basis_points)
    assert 0 <= charge.discount <= accrued
    assert charge.discount >= Fraction(accrued * basis_points, 10_000)
    assert charge.discount - Fraction(accrued * basis_points, 10_000) < 1


@pytest.mark.parametrize(
    ("price", "count", "cents"),
    [(GRADUATED, 1250, 118750), (VOLUME, 501, 50100), (PACKAGE, 101, 15000), (per_unit("0.00125"), 333, 42)],
)
def test_totals_are_those_of_the_signed_off_sheet(price: dict[str, object], count: int, cents: int) -> None:
    assert total(the_rate(a_contract(price)), count, USD) == cents


def test_nothing_counted_costs_nothing_in_every_model() -> None:
    for price in (GRADUATED, VOLUME, PACKAGE, per_unit("0.99")):
        assert total(the_rate(a_contract(price)), 0, USD) == 0


def test_an_amount_below_what_stripe_charges_is_carried_to_the_next_invoice() -> None:
    contract, state = a_contract(), PeriodState("acme", MARCH)
    closing = close_period(contract, state, carried_in=49)
    assert (closing.invoice.status, closing.invoice.total, closing.period.carried) == ("carried", 0, 49)
    assert close_period(contract, state, carried_in=50).invoice.total == 50


def test_a_credit_larger_than_the_month_is_carried_in_the_clients_favour() -> None:
    closing = close_period(a_contract(), PeriodState("acme", MARCH, credits=((Period("2026-02"), 500),)), carried_in=0)
    assert (closing.invoice.total, closing.period.carried) == (0, -500)


def test_the_last_digit_of_three_decimals_is_carried() -> None:
    contract = a_contract(per_unit("0.351"), currency="BHD")
    state = PeriodState("acme", MARCH)
    frozen, state = issue_price(contract, the_rate(contract), state)
    state = count_change(state, "all", None, Charge(frozen.accrued))
    closing = close_period(contract, state, 0)
    assert (closing.invoice.total, closing.period.carried) == (350, 1)


def test_a_period_begins_and_ends_at_the_clients_midnight_also_across_a_clock_change() -> None:
    new_york = ZoneInfo("America/New_York")
    assert period_start(MARCH, new_york) == at("2026-03-01T05:00:00")
    assert period_end(MARCH, new_york) == at("2026-04-01T04:00:00")
    assert period_of(at("2026-04-01T03:59:59"), new_york) == MARCH
    assert period_of(at("2026-04-01T04:00:00"), new_york) == "2026-04"
    assert next_period(Period("2026-12")) == "2027-01"


def test_versions_do_not_overlap_are_not_back_dated_and_keep_currency_and_zone() -> None:
    first, second = a_contract(), a_contract(starts_on="2026-04-01")
    assert add_version([first], second, "2026-02") == (first, second)
    with pytest.raises(HistoryRefused, match="closed period"):
        add_version([first], second, "2026-04")
    with pytest.raises(HistoryRefused, match="currency"):
        add_version([first], a_contract(starts_on="2026-04-01", currency="EUR"), "")
    with pytest.raises(HistoryRefused, match="before the version"):
        add_version([second], first, "")
