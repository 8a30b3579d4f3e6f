"""Entries, rules and books: what may not be posted cannot be built, and what was changed shows."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.accounts import (
    BANK_CASH,
    COST_BASE,
    PLATFORM_KINDS,
    REVENUE_RESOLUTIONS,
    STRIPE_BALANCE,
    Account,
    Kind,
    client_unbilled,
    expert_payable,
    kind_of,
    role_of,
)
from ledger.balances import trial_balance
from ledger.books import Head, append, check_book
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, Evidence, Posting, client_book, evidence, postings
from ledger.errors import BookBroken, LedgerError, PostingRuleBroken, UnbalancedEntry
from ledger.money import Currency, Money
from ledger.posting_rules import POSTING_RULES, Reason

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
UNBILLED, PAYABLE = client_unbilled("acme"), expert_payable("maya")


def an_entry(*lines: tuple[Account, int], reason: Reason = Reason.SETTLED, book: Book | None = None) -> Entry:
    return Entry(
        id=EntryId("charge:acme/C1/1:1"),
        book=book or client_book("acme"),
        reason=reason,
        postings=postings(lines or ((UNBILLED, 99), (REVENUE_RESOLUTIONS, -99)), "USD"),
        effective_on=date(2026, 3, 2),
        evidence=evidence({"rate": "chat"}),
    )


def a_book(length: int) -> tuple[list[Entry], Head]:
    entries = [
        Entry(
            EntryId(f"top_up:{number}"),
            PLATFORM_BOOK,
            Reason.TOP_UP,
            postings(((STRIPE_BALANCE, number + 1), (BANK_CASH, -number - 1)), "USD"),
            date(2026, 3, 2),
            Evidence("{}"),
        )
        for number in range(length)
    ]
    return entries, Head(PLATFORM_BOOK)


def test_one_resolution_holds_charge_and_earning_in_one_entry() -> None:
    entry = an_entry((UNBILLED, 99), (REVENUE_RESOLUTIONS, -99), (COST_BASE, 59), (PAYABLE, -59))
    assert trial_balance([entry]).totals() == {"USD": (158, 158)}


def test_an_entry_that_does_not_balance_cannot_be_built() -> None:
    with pytest.raises(UnbalancedEntry, match="USD"):
        an_entry((UNBILLED, 99), (REVENUE_RESOLUTIONS, -98))
    with pytest.raises(UnbalancedEntry, match="no lines"):
        Entry(EntryId("x"), client_book("acme"), Reason.SETTLED, (), date(2026, 3, 2), Evidence("{}"))


def test_every_currency_balances_by_itself() -> None:
    lines = (
        Posting(UNBILLED, Money(99, Currency("USD"))),
        Posting(REVENUE_RESOLUTIONS, Money(-99, Currency("EUR"))),
    )
    with pytest.raises(UnbalancedEntry):
        replace(an_entry(), postings=lines)


def test_balanced_flows_that_cross_are_refused() -> None:
    with pytest.raises(UnbalancedEntry, match="flow 1"):
        an_entry((UNBILLED, 99), (PAYABLE, -99))


def test_an_account_on_the_wrong_side_breaks_the_rule() -> None:
    with pytest.raises(PostingRuleBroken, match="may not credit client/acme/unbilled"):
        an_entry((UNBILLED, -99), (REVENUE_RESOLUTIONS, 99))


def test_a_book_may_not_touch_another_owner_of_its_kind() -> None:
    with pytest.raises(PostingRuleBroken, match="client/globex"):
        an_entry((client_unbilled("globex"), 99), (REVENUE_RESOLUTIONS, -99))


@pytest.mark.parametrize(
    "code", ["client/acme", "client/Acme/unbilled", "client/acme/payable", "cash", "expert//payable"]
)
def test_an_account_outside_the_chart_is_refused(code: str) -> None:
    with pytest.raises(PostingRuleBroken, match="chart of accounts"):
        role_of(Account(code))


def test_every_account_of_every_rule_is_in_the_chart() -> None:
    samples = {"client": "client/acme/", "expert": "expert/maya/"}
    for rule in POSTING_RULES.values():
        for role in {role for flow in rule for role in flow.debit | flow.credit}:
            side, _, name = role.partition("/")
            account = Account(samples[side] + name) if side in samples else Account(role)
            assert kind_of(account) in Kind
            assert role_of(account) == role
    assert set(Reason) == set(POSTING_RULES)
    assert kind_of(next(iter(PLATFORM_KINDS))).grows_by_debit


def test_zero_postings_double_lines_and_instants_for_dates_are_refused() -> None:
    with pytest.raises(LedgerError, match="says nothing"):
        Posting(UNBILLED, Money(0, Currency("USD")))
    with pytest.raises(LedgerError, match="appears twice"):
        an_entry((UNBILLED, 50), (UNBILLED, 49), (REVENUE_RESOLUTIONS, -99))
    with pytest.raises(LedgerError, match="not an instant"):
        replace(an_entry(), effective_on=NOON)


def test_the_content_hash_covers_everything_that_was_decided() -> None:
    entry = an_entry()
    assert an_entry().content_hash == entry.content_hash
    others = [
        replace(entry, id=EntryId("charge:acme/C1/1:2")),
        replace(entry, effective_on=date(2026, 3, 3)),
        replace(entry, evidence=evidence({"rate": "phone"})),
        an_entry((UNBILLED, 98), (REVENUE_RESOLUTIONS, -98)),
        replace(entry, reason=Reason.TRUE_UP),
    ]
    assert len({other.content_hash for other in [entry, *others]}) == 6


@given(st.integers(1, 30))
def test_a_book_numbers_its_entries_without_gaps_and_proves_itself(length: int) -> None:
    entries, head = a_book(length)
    sealed, after = append(head, entries, NOON)
    assert [item.seq for item in sealed] == list(range(1, length + 1))
    assert list(check_book(PLATFORM_BOOK, sealed, after)) == []
    again, same = append(head, entries[:1], NOON)
    rest, end = append(same, entries[1:], NOON)
    assert (again + rest, end) == (sealed, after)


def test_a_changed_missing_swapped_or_shortened_book_is_found() -> None:
    sealed, head = append(a_book(0)[1], a_book(4)[0], NOON)
    one, two, three, four = sealed
    changed = replace(two, entry=replace(two.entry, evidence=Evidence('{"a":1}')))
    late = replace(two, recorded_at=NOON + timedelta(seconds=1))
    broken = {
        "changed": [one, changed, three, four],
        "recorded later": [one, late, three, four],
        "missing": [one, three, four],
        "swapped": [one, three, two, four],
        "shortened": [one, two, three],
        "of another book": [one, replace(two, entry=an_entry()), three, four],
    }
    for name, items in broken.items():
        assert list(check_book(PLATFORM_BOOK, items, head)), name
    assert list(check_book(PLATFORM_BOOK, sealed, head)) == []


def test_an_entry_of_another_book_is_not_appended_and_naive_times_are_refused() -> None:
    with pytest.raises(BookBroken):
        append(Head(PLATFORM_BOOK), [an_entry()], NOON)
    with pytest.raises(LedgerError, match="no time zone"):
        append(Head(PLATFORM_BOOK), a_book(1)[0], datetime(2026, 3, 2))  # noqa: DTZ001  # naive on purpose


def test_the_recorded_time_is_kept_in_utc() -> None:
    berlin = datetime(2026, 3, 2, 13, tzinfo=timezone(timedelta(hours=1)))
    assert append(*_reversed(a_book(1)), NOON)[0] == append(*_reversed(a_book(1)), berlin)[0]


def _reversed(book: tuple[list[Entry], Head]) -> tuple[Head, list[Entry]]:
    return book[1], book[0]
