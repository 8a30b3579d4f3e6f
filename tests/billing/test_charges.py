"""One resolution's price: issued once, discounted and capped in the client's favour, credited at most as billed."""

from dataclasses import replace

import pytest

from billing.charges import Charge, FrozenPrice, charge_at, count_change, credit_after_close, issue_price
from billing.periods import Period, PeriodState, RateCounter
from billing.pricing import list_price_of, matching_rate, total
from events.facts import Completed
from tests.world import GRADUATED, PACKAGE, World, a_contract, per_unit

MARCH = Period("2026-03")


def a_period(**counter: int) -> PeriodState:
    return PeriodState("acme", MARCH, rates=(("all", RateCounter(**counter)),))


def a_price(accrued: int) -> FrozenPrice:
    return FrozenPrice(MARCH, "2026-01", "all", 1, str(accrued), accrued)


def test_a_price_takes_the_next_ordinal_and_names_version_rate_and_exact_list_price() -> None:
    contract = a_contract(PACKAGE)

    price, after = issue_price(contract, contract.rates[0], a_period(issued=6, net=5))

    # 75.00 for 100: 75 cents each.
    assert price == FrozenPrice(MARCH, "2026-01", "all", 7, "75", 75)
    assert after.counter("all") == RateCounter(issued=7, net=5)


def test_the_price_of_an_included_unit_is_listed_and_accrues_nothing() -> None:
    contract = a_contract(per_unit("0.125"), included=2)
    prices = []
    state = PeriodState("acme", MARCH)
    for _ in range(5):
        price, state = issue_price(contract, contract.rates[0], state)
        prices.append((price.ordinal, price.list_price, price.accrued))

    # 12.5, 25.0, 37.5 cents in all: rounded half away from zero over the ordinals.
    assert prices == [(1, "25/2", 0), (2, "25/2", 0), (3, "25/2", 13), (4, "25/2", 12), (5, "25/2", 13)]


def test_the_tier_is_that_of_the_units_beyond_the_included_ones() -> None:
    contract = a_contract(GRADUATED, included=10)
    state = a_period(issued=1009)
    tier_ends, state = issue_price(contract, contract.rates[0], state)
    tier_begins, _ = issue_price(contract, contract.rates[0], state)

    found = [(it.ordinal, it.list_price, it.accrued) for it in (tier_ends, tier_begins)]
    assert found == [(1010, "99", 99), (1011, "79", 79)]


def test_an_included_unit_is_listed_at_the_price_of_the_first_unit_beyond() -> None:
    tiers = [{"up_to": 1, "unit": "5.00"}, {"unit": "1.00"}]
    contract = a_contract({"model": "graduated", "tiers": tiers}, included=2)
    listed = [list_price_of(contract.rates[0], ordinal, contract.currency) for ordinal in (1, 2, 3, 4)]
    assert listed == [500, 500, 500, 100]


@pytest.mark.parametrize(("count", "amount"), [(0, 0), (2, 0), (3, 99), (12, 990)])
def test_a_period_costs_what_is_beyond_the_included_units(count: int, amount: int) -> None:
    contract = a_contract(included=2)
    assert total(contract.rates[0], count, contract.currency) == amount


@pytest.mark.parametrize(
    ("accrued", "basis_points", "room", "discount", "capped"),
    [
        (99, 0, None, 0, 0),
        (99, 5_000, None, 50, 0),  # 49.5, in the client's favour
        (99, 10_000, None, 99, 0),
        (100, 1, None, 1, 0),
        (99, 0, 99, 0, 0),
        (99, 0, 98, 0, 1),
        (99, 5_000, 20, 50, 29),
        (99, 0, 0, 0, 99),
        (99, 0, -7, 0, 99),  # beyond the cap already: no more than the charge itself
    ],
)
def test_a_discount_is_rounded_up_and_the_cap_takes_what_is_beyond(
    accrued: int, basis_points: int, room: int | None, discount: int, capped: int
) -> None:
    charge = charge_at(a_price(accrued), basis_points, room)

    assert charge == Charge(accrued, discount, capped)
    assert charge.net == accrued - discount - capped


def test_counters_move_by_the_difference_of_two_charges() -> None:
    state = a_period(issued=9, net=3, accrued=297, discount=50, capped=20)
    old, new = Charge(99, 50, 10), Charge(79, 7, 4)

    changed = count_change(state, "all", old, new).counter("all")
    assert changed == RateCounter(issued=9, net=3, accrued=277, discount=7, capped=14)
    added = count_change(state, "all", None, new).counter("all")
    assert added == RateCounter(issued=9, net=4, accrued=376, discount=57, capped=24)
    taken = count_change(state, "all", old, None).counter("all")
    assert taken == RateCounter(issued=9, net=2, accrued=198, discount=0, capped=10)


def test_credits_share_out_what_was_billed_rounded_down_cumulatively() -> None:
    closed, given = a_period(net=3, billed=100), []
    for _ in range(3):
        credit, closed = credit_after_close(closed, "all", 99, None, 0)
        given.append(credit)

    assert given == [33, 33, 34]
    assert closed.counter("all").credited == 3


@pytest.mark.parametrize(
    ("amount", "earlier", "credit"),
    [
        (99, 0, 33),  # the unit is 33 at most
        (20, 0, 20),
        (99, 13, 20),
        (99, 33, 0),
        (99, 50, 0),  # more was given back than the unit: never less than nothing
    ],
)
def test_what_was_given_back_before_is_taken_off_and_not_counted_again(amount: int, earlier: int, credit: int) -> None:
    closed = a_period(net=3, billed=100, credited=1)

    assert credit_after_close(closed, "all", amount, earlier, 0) == (credit, closed)


@pytest.mark.parametrize(
    ("counters", "discount", "credit"),
    [
        ({"billed": 800, "accrued": 1200, "discount": 300}, 60, 20),  # a volume came out lower: 0.80 less 0.60
        ({"billed": 800, "accrued": 1200, "discount": 300}, 0, 60),
        ({"billed": 800, "accrued": 1200, "discount": 300}, 81, 0),
        ({"billed": 300, "accrued": 1200, "discount": 300}, 0, 0),  # discounts took all that was billed
        ({"billed": 800, "accrued": 800, "discount": 300}, 60, 60),
        ({"billed": 800, "accrued": 1200, "capped": 400, "discount": 300}, 60, 60),  # by the cap, not by the price
    ],
)
def test_where_less_was_billed_than_accrued_a_credit_is_less_its_own_discount(
    counters: dict[str, int], discount: int, credit: int
) -> None:
    closed = a_period(net=10, **counters)

    assert credit_after_close(closed, "all", 60, None, discount)[0] == credit


@pytest.mark.parametrize("earlier", [None, 0])
def test_a_rate_that_billed_nobody_gives_nothing_back(earlier: int | None) -> None:
    credit, after = credit_after_close(a_period(), "all", 99, earlier, 0)

    assert credit == 0
    assert after.counter("all") == replace(RateCounter(), credited=1 if earlier is None else 0)


SOLUTION = {"channel": "chat", "language": "es", "skill": "refunds", "priority": "high", "route": "vip"}


@pytest.mark.parametrize("attribute", list(SOLUTION))
def test_a_rate_is_for_what_has_one_of_its_values_of_every_attribute_it_names(attribute: str) -> None:
    world = World()
    solution = world.completed("C1", "2026-03-02", **SOLUTION).fact
    silent = world.completed("C2", "2026-03-02").fact
    assert isinstance(solution, Completed)
    assert isinstance(silent, Completed)
    wanted, other = SOLUTION[attribute], "other"
    for values, is_matched in (([wanted], True), ([other, wanted], True), ([other], False)):
        rate = {"id": "all", "price": per_unit("1"), "match": {attribute: values}}
        contract = a_contract(rates=[rate])
        assert (matching_rate(contract, solution) is not None) == is_matched
        assert matching_rate(contract, silent) is None


def test_a_rate_may_be_for_one_kind_of_resolver_and_the_first_that_matches_is_it() -> None:
    world = World()
    by_expert, by_ai = world.completed("C1", "2026-03-02").fact, world.completed("C2", "2026-03-02", None).fact
    assert isinstance(by_expert, Completed)
    assert isinstance(by_ai, Completed)
    rates = [
        {"id": "machine", "price": per_unit("1"), "match": {"resolver": ["ai"]}},
        {"id": "any", "price": per_unit("2")},
        {"id": "never", "price": per_unit("3")},
    ]
    contract = a_contract(rates=rates)
    assert [getattr(matching_rate(contract, it), "id", None) for it in (by_ai, by_expert)] == ["machine", "any"]
