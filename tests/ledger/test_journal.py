"""Entries, rules and books: what may not be posted cannot be built, and what was changed shows."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.accounts import (
    BANK_CASH,
    COST_BASE,
    COST_BONUS,
    COST_INCENTIVE,
    PLATFORM_KINDS,
    REVENUE_RESOLUTIONS,
    ROUNDING,
    STRIPE_BALANCE,
    Account,
    Kind,
    client_prepaid,
    client_receivable,
    client_unbilled,
    expert_in_transit,
    expert_payable,
    kind_of,
    role_of,
)
from ledger.balances import TrialBalance, trial_balance
from ledger.books import Head, append, check_book
from ledger.entries import (
    PLATFORM_BOOK,
    Book,
    Entry,
    EntryId,
    Evidence,
    Posting,
    client_book,
    evidence,
    expert_book,
    postings,
    utc,
)
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


@pytest.mark.parametrize(
    ("locked_through", "dated"), [("", "2026-03-02"), ("2026-02", "2026-03-02"), ("2026-03", "2026-04-01")]
)
def test_what_is_dated_in_a_locked_month_takes_the_next_one_and_says_for_which_day(
    locked_through: str, dated: str
) -> None:
    [asked], head = a_book(1)
    [sealed], after = append(replace(head, locked_through=locked_through), [asked], NOON)
    moved = {"late_for": "2026-03-02"} if dated != "2026-03-02" else {}
    assert (sealed.entry.effective_on.isoformat(), sealed.entry.evidence) == (dated, evidence(moved))
    assert (sealed.entry.postings, sealed.entry.id, after.locked_through) == (asked.postings, asked.id, locked_through)
    assert list(check_book(PLATFORM_BOOK, [sealed], after)) == []


def test_behind_a_locked_december_comes_january_and_earlier_years_are_locked_too() -> None:
    [asked], head = a_book(1)
    [sealed], _ = append(replace(head, locked_through="2026-12"), [replace(asked, effective_on=date(2025, 4, 5))], NOON)
    assert sealed.entry.effective_on == date(2027, 1, 1)


def _reversed(book: tuple[list[Entry], Head]) -> tuple[Head, list[Entry]]:
    return book[1], book[0]


@pytest.mark.parametrize(
    ("account", "code", "kind"),
    [
        (client_unbilled("acme"), "client/acme/unbilled", Kind.ASSET),
        (client_receivable("acme"), "client/acme/receivable", Kind.ASSET),
        (client_prepaid("acme"), "client/acme/prepaid", Kind.LIABILITY),
        (expert_payable("maya"), "expert/maya/payable", Kind.LIABILITY),
        (expert_in_transit("maya"), "expert/maya/in_transit", Kind.LIABILITY),
        (REVENUE_RESOLUTIONS, "revenue/resolutions", Kind.INCOME),
        (COST_BASE, "cost/base", Kind.EXPENSE),
    ],
)
def test_an_account_is_its_code_and_its_kind_follows_from_it(account: Account, code: str, kind: Kind) -> None:
    assert (account, kind_of(account)) == (code, kind)
    assert kind.grows_by_debit == (kind in {Kind.ASSET, Kind.EXPENSE})


def test_each_owner_has_a_book() -> None:
    assert (client_book("acme"), expert_book("maya"), PLATFORM_BOOK) == ("client/acme", "expert/maya", "platform")


def test_evidence_is_canonical_json_so_that_equal_facts_hash_equally() -> None:
    facts = {"rate": "chat", "case": "Café", "facts": ["a", "b"]}
    assert evidence(facts) == '{"case":"Café","facts":["a","b"],"rate":"chat"}'
    assert evidence(dict(reversed(facts.items()))) == evidence(facts)


def test_hashes_are_made_as_they_always_were() -> None:
    # Stored for ever: whoever changes how they are made makes every book that exists look forged.
    entry = replace(an_entry(), evidence=evidence({"case": "Café", "rate": "chat"}))
    [sealed], _ = append(Head(entry.book), [entry], NOON)
    assert entry.content_hash == "490c3a5d338f38ebb7c3eef6cbcb0ee5940185af50535c8a2e37c51294047829"
    assert sealed.chain_hash == "5e7435885514ab984083f381e8566b2d40a38d4d4a1255a9be5de8875190db26"


def test_the_smallest_debit_is_a_debit() -> None:
    assert an_entry((UNBILLED, 1), (REVENUE_RESOLUTIONS, -1)).postings[0].amount.minor_units == 1
    with pytest.raises(PostingRuleBroken, match="may not debit revenue/resolutions"):
        an_entry((REVENUE_RESOLUTIONS, 1), (UNBILLED, -1))


def test_a_flow_that_may_go_either_way_takes_no_other_account() -> None:
    up, down = ((UNBILLED, 5), (REVENUE_RESOLUTIONS, -5)), ((UNBILLED, -5), (REVENUE_RESOLUTIONS, 5))
    for lines in (up, down):
        assert an_entry(*lines, reason=Reason.TRUE_UP).reason is Reason.TRUE_UP
    with pytest.raises(PostingRuleBroken, match="true_up may not debit cost/base"):
        an_entry((COST_BASE, 5), (UNBILLED, -5), reason=Reason.TRUE_UP)
    with pytest.raises(PostingRuleBroken, match="true_up may not credit cost/base"):
        an_entry((UNBILLED, 5), (COST_BASE, -5), reason=Reason.TRUE_UP)


def test_several_lines_of_a_flow_add_up() -> None:
    lines = ((UNBILLED, 99), (REVENUE_RESOLUTIONS, -99), (COST_BASE, 59), (COST_BONUS, 10), (PAYABLE, -69))
    assert len(an_entry(*lines).postings) == 5
    with pytest.raises(UnbalancedEntry, match="flow 2 in USD': 10"):
        an_entry(*lines[:-1], (PAYABLE, -59))


def test_an_experts_book_may_touch_clients_and_no_other_expert() -> None:
    lines = ((COST_INCENTIVE, 5), (PAYABLE, -5))
    maya = an_entry(*lines, reason=Reason.INCENTIVE, book=expert_book("maya"))
    assert maya.book == "expert/maya"
    with pytest.raises(PostingRuleBroken, match="an entry in book expert/noah may not touch expert/maya/payable"):
        an_entry(*lines, reason=Reason.INCENTIVE, book=expert_book("noah"))


def test_balances_add_up_entries_and_leave_out_what_came_back_to_zero() -> None:
    first = an_entry((UNBILLED, 99), (REVENUE_RESOLUTIONS, -99), (COST_BASE, 59), (PAYABLE, -59))
    more = an_entry((UNBILLED, 50), (REVENUE_RESOLUTIONS, -50))
    back = an_entry((COST_BASE, -59), (PAYABLE, 59), reason=Reason.CORRECTED)
    balance = trial_balance([first, more, back])
    assert balance.balances == {(UNBILLED, "USD"): 149, (REVENUE_RESOLUTIONS, "USD"): -149}
    assert balance.totals() == {"USD": (149, 149)}
    usd = Currency("USD")
    assert (balance.balance(UNBILLED, usd), balance.balance(PAYABLE, usd)) == (149, 0)
    assert balance.balance(UNBILLED, Currency("JPY")) == 0


def test_totals_count_debits_and_credits_apart() -> None:
    eur, usd = Currency("EUR"), Currency("USD")
    odd = TrialBalance({(UNBILLED, usd): 5, (PAYABLE, usd): -3, (COST_BASE, usd): 2, (UNBILLED, eur): -7})
    assert odd.totals() == {"USD": (7, 3), "EUR": (0, 7)}


def test_what_is_wrong_with_a_book_is_said() -> None:
    (one, two, three), head = append(a_book(0)[1], a_book(3)[0], NOON)
    elsewhere = replace(two, entry=an_entry())
    found = check_book(PLATFORM_BOOK, [one, elsewhere, replace(three, seq=5)], head)
    assert [str(problem) for problem in found] == [
        "platform: entry charge:acme/C1/1:1 belongs to client/acme",
        "platform: entry 2 (charge:acme/C1/1:1) does not carry the hash of its content",
        "platform: sequence goes from 2 to 5",
        "platform: entry 5 (top_up:2) does not carry the hash of its content",
        "platform: the head is at 3, the entries end at 5",
    ]


def test_a_book_is_checked_from_where_a_reader_left_off() -> None:
    sealed, head = append(a_book(0)[1], a_book(4)[0], NOON)
    after = Head(PLATFORM_BOOK, 2, sealed[1].chain_hash)
    assert list(check_book(PLATFORM_BOOK, sealed[2:], head, after)) == []
    assert list(check_book(PLATFORM_BOOK, sealed[2:], head))
    assert list(check_book(PLATFORM_BOOK, (), after, after)) == []


def test_the_platforms_book_takes_an_account_without_owner_and_time_is_kept_in_utc_itself() -> None:
    entry = an_entry((ROUNDING, 1), (STRIPE_BALANCE, -1), reason=Reason.MANUAL, book=PLATFORM_BOOK)
    assert entry.book == "platform"
    assert utc(NOON.astimezone(timezone(timedelta(hours=1)))).tzinfo is UTC
