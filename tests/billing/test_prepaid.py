"""Prepaid credits: what expires first is used first, and every change is written over the revision before."""

from datetime import date

import pytest

from billing.prepaid import Lot, Prepaid, PrepaidRefused, buy, expire, take_back, use

FIRST, MIDDLE, LAST = date(2026, 3, 1), date(2026, 3, 15), date(2026, 3, 31)


def a_lot(name: str, left: int = 100, expires_on: date | None = None, bought_on: date = FIRST) -> Lot:
    return Lot(name, bought_on, expires_on, 100, left)


def credits_of(*lots: Lot) -> Prepaid:
    return Prepaid("acme", lots, revision=4)


def left(prepaid: Prepaid) -> dict[str, int]:
    return {lot.id: lot.left for lot in prepaid.lots}


def test_a_lot_is_bought_once_and_never_with_other_terms() -> None:
    lot = a_lot("A")
    bought = buy(credits_of(), lot)

    assert bought == Prepaid("acme", (lot,), revision=5)
    assert buy(bought, a_lot("A", left=30)) == bought
    with pytest.raises(PrepaidRefused, match="A was bought before with other terms"):
        buy(bought, a_lot("A", expires_on=LAST))
    with pytest.raises(PrepaidRefused, match="other terms"):
        buy(bought, Lot("A", FIRST, None, 99, 99))


def test_credits_can_be_used_up_to_and_including_their_last_day() -> None:
    prepaid = credits_of(a_lot("A", 100, MIDDLE), a_lot("B", 20))

    assert [prepaid.usable(day) for day in (FIRST, MIDDLE, date(2026, 3, 16))] == [120, 120, 20]
    assert prepaid.lot("B") == a_lot("B", 20)
    assert prepaid.lot("C") is None


def test_what_expires_first_is_used_first_then_what_is_older_then_by_id() -> None:
    lots = (
        a_lot("older", 10),
        a_lot("newer", 10, bought_on=MIDDLE),
        a_lot("b", 10, LAST),
        a_lot("a", 10, LAST),
        a_lot("soon", 10, MIDDLE),
        a_lot("gone", 10, FIRST),
    )
    order = []
    prepaid = credits_of(*lots)
    for _ in range(5):
        after = use(prepaid, 10, MIDDLE)
        order += [name for name, minor in left(after).items() if minor != left(prepaid)[name]]
        prepaid = after

    assert order == ["soon", "a", "b", "older", "newer"]
    assert left(prepaid)["gone"] == 10
    assert prepaid.revision == 9


def test_a_lot_is_used_in_part_and_no_more_than_all_of_them() -> None:
    prepaid = credits_of(a_lot("A", 10, MIDDLE), a_lot("B", 10))

    assert left(use(prepaid, 13, FIRST)) == {"A": 0, "B": 7}
    assert use(prepaid, 0, FIRST) == prepaid
    assert left(use(prepaid, 20, FIRST)) == {"A": 0, "B": 0}
    with pytest.raises(PrepaidRefused, match="acme has 1 minor units of credits too few"):
        use(prepaid, 21, FIRST)
    with pytest.raises(PrepaidRefused, match="too few"):
        use(prepaid, 11, LAST)  # A is past its last day


def test_what_is_left_of_a_lot_is_refunded_and_gone() -> None:
    amount, after = take_back(credits_of(a_lot("A", 70), a_lot("B", 20)), "A")

    assert (amount, left(after), after.revision) == (70, {"A": 0, "B": 20}, 5)
    assert take_back(after, "A") == (0, after)
    with pytest.raises(PrepaidRefused, match="acme bought nothing as C"):
        take_back(after, "C")


def test_credits_expire_the_day_after_their_last() -> None:
    prepaid = credits_of(a_lot("A", 70, MIDDLE), a_lot("B", 20, FIRST), a_lot("C", 5), a_lot("D", 3, LAST))

    amount, after = expire(prepaid, date(2026, 3, 16))

    assert (amount, left(after), after.revision) == (90, {"A": 0, "B": 0, "C": 5, "D": 3}, 5)
    assert expire(credits_of(a_lot("A", 70, MIDDLE)), MIDDLE) == (0, credits_of(a_lot("A", 70, MIDDLE)))
