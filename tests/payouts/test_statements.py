"""Statements of spans and lines, from entries alone."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.accounts import (
    BANK_CASH,
    COST_BASE,
    COST_INCENTIVE,
    STRIPE_BALANCE,
    TAX_WITHHELD,
    Account,
    expert_in_transit,
    expert_payable,
)
from ledger.entries import Book, Entry, EntryId, client_book, evidence, expert_book, postings
from ledger.money import Currency
from ledger.posting_rules import POSTING_RULES, Reason
from payouts.statements import (
    KINDS,
    Considered,
    Line,
    LineKind,
    Span,
    StatementDiffers,
    StatementRefused,
    payouts_in,
    sections_of,
    span_of,
)

USD = Currency("USD")
MAYAS, PAYABLE, IN_TRANSIT = expert_book("maya"), expert_payable("maya"), expert_in_transit("maya")
OCTOBER = Span(date(2026, 10, 1), date(2026, 10, 31))


def an_entry(
    reason: Reason,
    moves: Sequence[tuple[Account, int]],
    on: str = "2026-10-05",
    *,
    book: Book = MAYAS,
    id_: str = "e:1",
    code: str = "USD",
    told: Mapping[str, object] | None = None,
) -> Entry:
    return Entry(EntryId(id_), book, reason, postings(moves, code), date.fromisoformat(on), evidence(told or {}))


def an_earning(minor_units: int = 59, on: str = "2026-10-05", code: str = "USD", **told: object) -> Entry:
    moves = ((COST_BASE, minor_units), (PAYABLE, -minor_units))
    return an_entry(Reason.SETTLED, moves, on, book=client_book("acme"), id_="charge:acme/C1/1:1", code=code, told=told)


def the_line(entry: Entry) -> Line:
    owed = -sum(it.amount.minor_units for it in entry.postings if it.account == PAYABLE)
    [section] = sections_of("maya", OCTOBER, [entry], {USD: owed})
    [line] = section.lines
    return line


# -- spans -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("2026-10", "2026-10-01", "2026-10-31"),
        ("2026-12", "2026-12-01", "2026-12-31"),
        ("2028-02", "2028-02-01", "2028-02-29"),
        ("2026-W41", "2026-10-05", "2026-10-11"),
        ("2026-W53", "2026-12-28", "2027-01-03"),
    ],
)
def test_a_month_or_an_iso_week_names_its_days(name: str, first: str, last: str) -> None:
    assert span_of(name) == Span(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize("name", ["2026-13", "2026-W54", "2025-W53", "2026-W00", "October", "2026-1", "0000-01", ""])
def test_what_is_no_month_and_no_week_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(StatementRefused, match="such as 2026-10, nor an ISO week, such as 2026-W41"):
        span_of(name)


def test_a_span_does_not_end_before_it_begins() -> None:
    with pytest.raises(StatementRefused, match="2026-10-02 is after 2026-10-01"):
        Span(date(2026, 10, 2), date(2026, 10, 1))


# -- lines -------------------------------------------------------------------------------------------------------------


def test_every_reason_that_may_move_a_payable_has_a_kind_of_line() -> None:
    may_move = {
        reason
        for reason, flows in POSTING_RULES.items()
        if any("expert/payable" in flow.debit | flow.credit for flow in flows)
    }
    assert set(KINDS) == may_move
    assert set(KINDS.values()) == set(LineKind)


def test_the_last_day_of_the_span_is_in_it_and_the_days_around_it_are_not() -> None:
    days = ["2026-09-30", "2026-10-01", "2026-10-31", "2026-11-01"]
    entries = [an_earning(10**place, day) for place, day in enumerate(days)]
    [section] = sections_of("maya", OCTOBER, entries, {USD: 1111})
    assert (section.opening, section.closing) == (1, 111)
    assert [line.minor_units for line in section.lines] == [10, 100]


def test_each_currency_is_a_section_of_its_own() -> None:
    entries = [an_earning(59), an_earning(110, code="JPY")]
    found = sections_of("maya", OCTOBER, entries, {USD: 59, Currency("JPY"): 110, Currency("EUR"): 0})
    assert [(it.currency, it.closing, len(it.lines)) for it in found] == [("JPY", 110, 1), ("USD", 59, 1)]


def test_what_is_owed_but_was_never_posted_is_refused() -> None:
    with pytest.raises(StatementDiffers, match=r"opening and lines come to 0.59 USD, but 0.60 USD are owed"):
        sections_of("maya", OCTOBER, [an_earning(59)], {USD: 60})


def test_money_that_others_are_owed_is_nobody_elses() -> None:
    theirs = (expert_payable("noah"), -7)
    entry = an_entry(Reason.MANUAL, ((BANK_CASH, 10), (PAYABLE, -3), theirs), book=Book("platform"))
    assert the_line(entry).minor_units == 3


OTHER_PRICES = {"ordinal": 7, "contract": "2026-10", "discount": 3, "capped": 9}
PRICES: dict[str, Any] = {"rate": "chat", "list_price": "397/4", "charged": 96} | OTHER_PRICES


def test_an_expert_without_a_share_sees_nothing_of_the_clients_price() -> None:
    line = the_line(an_earning(case="C1", cycle=1, plan="standard@2026-10-01", **PRICES))
    assert (line.client, line.case, line.cycle, line.rule) == ("acme", "C1", 1, "standard@2026-10-01")
    assert (line.rate, line.list_price, line.charged) == (None, None, None)
    assert [word for word in ("397", "chat", "2026-10'", "ordinal") if word in repr(line)] == []


def test_an_expert_with_a_share_sees_what_is_shared_and_no_other_price() -> None:
    of_list = the_line(an_earning(case="C1", cycle=1, share_of="list_price", **PRICES))
    assert (of_list.rate, of_list.list_price, of_list.charged) == ("chat", Fraction(397, 4), None)
    of_charged = the_line(an_earning(case="C1", cycle=1, share_of="charged", **PRICES))
    assert (of_charged.rate, of_charged.list_price, of_charged.charged) == ("chat", None, 96)


def test_tax_kept_from_a_payout_is_itemised_and_not_taken_twice() -> None:
    run = "payout:maya:USD:2026-W41"
    entries = [
        an_earning(10_000, "2026-10-01"),
        an_entry(
            Reason.PAYOUT_RESERVED, ((PAYABLE, 10_000), (IN_TRANSIT, -10_000)), "2026-10-05", id_=f"{run}:reserved"
        ),
        an_entry(Reason.WITHHELD, ((IN_TRANSIT, 2_400), (TAX_WITHHELD, -2_400)), "2026-10-06", id_=f"{run}:withheld"),
    ]
    [section] = sections_of("maya", OCTOBER, entries, {USD: 0})
    assert section.totals() == {LineKind.EARNING: 10_000, LineKind.PAYOUT: -10_000}
    assert [(it.kind, it.minor_units, it.payout) for it in section.deductions] == [("withholding", 2_400, run)]
    assert section.in_transit == 7_600


def test_tax_is_itemised_in_the_span_of_its_day_and_what_is_on_its_way_stands_at_the_end_of_each() -> None:
    run = "payout:maya:USD:2026-W40"
    reserved = ((PAYABLE, 100), (IN_TRANSIT, -100))
    entries = [
        an_earning(100, "2026-09-29"),
        an_entry(Reason.PAYOUT_RESERVED, reserved, "2026-09-30", id_=f"{run}:reserved"),
        an_entry(Reason.WITHHELD, ((IN_TRANSIT, 24), (TAX_WITHHELD, -24)), "2026-10-01", id_=f"{run}:withheld"),
    ]
    found = {}
    for span in (span_of("2026-09"), OCTOBER, span_of("2026-11")):
        [section] = sections_of("maya", span, entries, {USD: 0})
        found[span.first.month] = (section.in_transit, [it.minor_units for it in section.deductions])
    assert found == {9: (100, []), 10: (76, [24]), 11: (76, [])}


def test_tax_taken_off_what_is_owed_is_a_line() -> None:
    entry = an_entry(Reason.WITHHELD, ((PAYABLE, 24), (TAX_WITHHELD, -24)), id_="withheld:maya:1")
    line = the_line(entry)
    assert (line.kind, line.minor_units, line.payout) == (LineKind.WITHHOLDING, -24, None)


# -- the one promise ---------------------------------------------------------------------------------------------------

MOVES = st.tuples(st.integers(-60, 60), st.integers(-500, 500).filter(bool), st.sampled_from(["USD", "JPY", "BHD"]))


@given(history=st.lists(MOVES, max_size=30), starts=st.integers(-70, 70), days=st.integers(0, 90))
def test_opening_and_lines_are_the_closing_and_the_next_opening(
    history: list[tuple[int, int, str]], starts: int, days: int
) -> None:
    middle = date(2026, 10, 15)
    entries = [
        an_entry(
            Reason.INCENTIVE_CORRECTED,
            ((COST_INCENTIVE, minor), (PAYABLE, -minor)),
            (middle + timedelta(days=day)).isoformat(),
            id_=f"e:{number}",
            code=code,
        )
        for number, (day, minor, code) in enumerate(sorted(history))
    ]
    owed = {Currency(code): sum(minor for _, minor, it in history if it == code) for _, _, code in history}
    first = middle + timedelta(days=starts)
    span = Span(first, first + timedelta(days=days))
    after = Span(span.last + timedelta(days=1), date(2027, 12, 31))
    found = {it.currency: it for it in sections_of("maya", span, entries, owed)}
    following = {it.currency: it for it in sections_of("maya", after, entries, owed)}
    for code, minor_units in owed.items():
        mine, then = found.get(code), following.get(code)
        before = sum(minor for day, minor, it in history if it == code and middle + timedelta(days=day) < span.first)
        inside = mine.lines if mine else ()
        closing = mine.closing if mine else 0
        assert (mine.opening if mine else 0) == before
        assert before + sum(line.minor_units for line in inside) == closing == (then.opening if then else 0)
        assert (then.closing if then else closing) == minor_units
    assert sum(len(it.lines) for it in found.values()) == sum(
        span.first <= middle + timedelta(days=day) <= span.last for day, _, _ in history
    )


# -- payouts -----------------------------------------------------------------------------------------------------------


def a_reservation(run: str, on: str, minor: int = 100) -> Entry:
    moves = ((PAYABLE, minor), (IN_TRANSIT, -minor))
    return an_entry(Reason.PAYOUT_RESERVED, moves, on, id_=f"payout:maya:USD:{run}:reserved")


def a_transfer(run: str, on: str, minor: int = 100) -> Entry:
    moves = ((IN_TRANSIT, minor), (STRIPE_BALANCE, -minor))
    return an_entry(Reason.PAYOUT_SENT, moves, on, id_=f"payout:maya:USD:{run}:sent")


@pytest.mark.parametrize(
    ("reserved_on", "sent_on", "is_listed"),
    [
        ("2026-09-29", "2026-09-30", False),  # all of it was before
        ("2026-09-30", "2026-10-01", True),
        ("2026-09-30", None, True),  # on its way at the end
        ("2026-09-30", "2026-11-01", True),
        ("2026-10-01", "2026-10-01", True),
        ("2026-10-31", "2026-11-02", True),
        ("2026-11-01", "2026-11-01", False),
    ],
)
def test_a_payout_is_listed_if_something_happened_to_it_or_it_is_on_its_way(
    reserved_on: str,
    sent_on: str | None,
    is_listed: bool,  # noqa: FBT001  # a table of cases
) -> None:
    entries = [a_reservation("w1", reserved_on), *([a_transfer("w1", sent_on)] if sent_on else [])]
    assert payouts_in("maya", OCTOBER, entries) == (("payout:maya:USD:w1",) if is_listed else ())


def test_payouts_are_listed_in_the_order_of_their_entries_and_no_other_entry_is_one() -> None:
    entries = [
        an_earning(200, "2026-10-02", case="C1", cycle=1),
        a_reservation("w2", "2026-10-05", 40),
        a_reservation("w1", "2026-09-05", 60),
        a_transfer("w1", "2026-10-05", 50),
        a_transfer("w1", "2026-10-06", 10),
        a_reservation("w0", "2026-09-01", 9),
        a_transfer("w0", "2026-09-02", 9),
    ]
    assert payouts_in("maya", OCTOBER, entries) == ("payout:maya:USD:w2", "payout:maya:USD:w1")
    assert payouts_in("noah", OCTOBER, entries) == ("payout:maya:USD:w2", "payout:maya:USD:w1")
    assert payouts_in("maya", OCTOBER, entries[-2:]) == ()


def test_lines_of_a_payout_name_it_and_an_earning_says_when_it_is_released() -> None:
    reserved = a_reservation("w1", "2026-10-05", 59)
    earned = an_earning(59, "2026-10-01", case="C1", cycle=1, release_on="2026-10-08")
    [section] = sections_of("maya", OCTOBER, [earned, reserved], {USD: 0})
    assert [(it.payout, it.release_on) for it in section.lines] == [
        (None, date(2026, 10, 8)),
        ("payout:maya:USD:w1", None),
    ]


def test_a_line_of_the_experts_own_book_names_no_client() -> None:
    assert the_line(an_entry(Reason.INCENTIVE, ((COST_INCENTIVE, 5), (PAYABLE, -5)))).client is None
    assert the_line(an_entry(Reason.MANUAL, ((BANK_CASH, 5), (PAYABLE, -5)), book=Book("platform"))).client is None


@pytest.mark.parametrize(
    ("entries", "owed"),
    [
        ([an_earning(59, "2026-10-05"), an_entry(Reason.MANUAL, ((PAYABLE, 59), (BANK_CASH, -59)))], 0),  # lines only
        ([an_earning(59, "2026-09-05")], 59),
    ],
)
def test_a_currency_in_which_anything_happened_or_is_owed_has_a_section(entries: list[Entry], owed: int) -> None:
    assert len(sections_of("maya", OCTOBER, entries, {USD: owed})) == 1
    assert [it.closing for it in sections_of("maya", OCTOBER, entries, {USD: owed})] == [owed]


def test_a_currency_that_nobody_owes_any_more_is_owed_nothing() -> None:
    entries = [an_earning(59, "2026-10-05"), an_entry(Reason.MANUAL, ((PAYABLE, 59), (BANK_CASH, -59)))]
    [section] = sections_of("maya", OCTOBER, entries, {})
    assert (section.closing, len(section.lines)) == (0, 2)


def test_a_line_tells_what_decided_it() -> None:
    trace = [["base", 59, "60% of the list price"], ["csat_bonus", 0, "nobody rated in time"]]
    line = the_line(an_earning(59, case="C1", cycle=2, rating=8750, why="rated well", incentive="fifty", trace=trace))
    assert (line.cycle, line.rating, line.why, line.incentive) == (2, 8750, "rated well", "fifty")
    assert line.trace == (
        Considered("base", 59, "60% of the list price"),
        Considered("csat_bonus", 0, "nobody rated in time"),
    )
