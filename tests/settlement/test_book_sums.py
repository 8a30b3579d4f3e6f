"""Running sums of books: always what the whole journal sums to, whenever they were kept, and never of a broken book."""

from dataclasses import replace

import pytest

from ledger.accounts import BANK_CASH, STRIPE_BALANCE
from ledger.balances import trial_balance
from ledger.books import Head, append
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, client_book, evidence, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from settlement import book_sums
from settlement.book_sums import LedgerSums, brought_up_to_date, keep_sums, read_sums
from settlement.ports import Changes
from tests.fake_stripe import FakeStripe
from tests.faults import disappearances
from tests.interleaving import Outside, explore
from tests.world import World, at

USD = Currency("USD")


def post(world: World, number: int, minor_units: int, **facts: str) -> None:
    entry = Entry(
        id=EntryId(f"manual:{number}"),
        book=PLATFORM_BOOK,
        reason=Reason.MANUAL,
        postings=postings(((STRIPE_BALANCE, minor_units), (BANK_CASH, -minor_units)), "USD"),
        effective_on=at(f"2026-03-{number:02d}").date(),
        evidence=evidence(facts),
    )
    head = world.store.head(PLATFORM_BOOK)
    sealed, after = append(head, (entry,), at("2026-03-09"))
    world.store.commit(Changes(entries=sealed, heads=((head, after),)))


def balances(sums: LedgerSums) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for total in sums.totals():
        key = (str(total.account), str(total.currency))
        found[key] = found.get(key, 0) + total.minor_units
    return {key: minor_units for key, minor_units in found.items() if minor_units}


def test_whenever_sums_were_kept_they_are_those_of_the_whole_journal() -> None:
    world = World()
    for number in range(1, 6):
        world.send(world.completed(f"C{number}", f"2026-03-0{number}"), world.completed(f"D{number}", "2026-03-02"))
        post(world, number, 100 * number, source=f"tu_{number}")
        if number % 2:
            keep_sums(world.store)
        read = read_sums(world.store)
        assert balances(read) == trial_balance(world.entries()).balances
        assert balances(read) == balances(read_sums(world.store, afresh=True))


def test_only_what_came_behind_the_kept_sums_is_read() -> None:
    world = World()
    world.solve(50)
    assert [keep_sums(world.store), keep_sums(world.store), read_sums(world.store).entries_read] == [50, 0, 0]
    world.send(world.completed("E1", "2026-03-03"))
    read = read_sums(world.store)
    assert [read.entries_read, read_sums(world.store, afresh=True).entries_read] == [1, 51]
    assert brought_up_to_date(world.store, read) == read


def test_whoever_is_interrupted_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book of five entries, of which two are summed at once, and one of one."""
    world = World()
    world.solve(5)
    post(world, 1, 100)
    monkeypatch.setattr(book_sums, "ENTRIES_AT_ONCE", 2)
    start = Outside(world.store, world.registry, FakeStripe())
    ends = explore(start, [lambda now: keep_sums(now.store)], lambda _: None, disappearances, 1).ends
    left = []
    for store in (end.store for end in ends):
        left += [keep_sums(store)]
        assert [keep_sums(store), read_sums(store).entries_read] == [0, 0]
        assert balances(read_sums(store)) == trial_balance(world.entries()).balances
    assert sorted(left) == [0, 1, 2, 4, 6]


def test_balance_and_clearing_are_summed_by_source_with_its_first_day_and_others_with_their_last() -> None:
    world = World()
    post(world, 1, 100, transfer="tr_1")
    post(world, 3, -40, transfer="tr_1", movement="txn_1")
    post(world, 4, 60, transfer="tr_1")
    post(world, 5, 7)
    totals = {(it.account, it.source): (it.minor_units, it.since.day) for it in read_sums(world.store).totals()}
    assert totals == {
        (STRIPE_BALANCE, "tr_1"): (160, 1),
        (STRIPE_BALANCE, "txn_1"): (-40, 3),
        (STRIPE_BALANCE, "manual:5"): (7, 5),
        (BANK_CASH, ""): (-127, 5),
    }


def test_a_source_that_drained_is_forgotten() -> None:
    world = World()
    post(world, 1, 100, payment="ch_1")
    post(world, 2, -100, payment="ch_1")
    assert keep_sums(world.store) == 2
    assert world.store.stored_sums[PLATFORM_BOOK].totals == ()


def test_sums_of_a_book_with_too_many_sources_are_not_kept_but_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_sums, "MOST_TOTALS", 3)
    world = World()
    for number in range(1, 5):
        post(world, number, number, movement=f"txn_{number}")
    keep_sums(world.store)
    assert world.store.stored_sums == {}
    assert balances(read_sums(world.store)) == {(STRIPE_BALANCE, USD): 10, (BANK_CASH, USD): -10}


@pytest.mark.parametrize("kept", [False, True])
def test_a_changed_entry_is_named_and_the_sums_of_its_book_are_not_kept(*, kept: bool) -> None:
    world = World()
    for number in range(1, 4):
        post(world, number, number)
    if kept:
        keep_sums(world.store)
    for number in range(4, 7):
        post(world, number, number)
    before = dict(world.store.stored_sums)
    journal = world.store.journal[PLATFORM_BOOK]
    journal[4] = replace(journal[4], recorded_at=at("2026-05-01"))

    assert keep_sums(world.store) == 0
    assert [problem for _, problem in read_sums(world.store).broken] == [
        "platform: entry 5 (manual:5) does not carry the hash of its content"
    ]
    assert world.store.stored_sums == before


def test_a_book_that_ends_before_what_was_read_of_it_is_named() -> None:
    world = World()
    for number in range(1, 4):
        post(world, number, number)
    world.solve(2)
    keep_sums(world.store)
    journal, heads = world.store.journal[PLATFORM_BOOK], world.store.stored_heads
    heads[PLATFORM_BOOK] = Head(PLATFORM_BOOK, 2, journal[1].chain_hash)
    del journal[2], heads[client_book("acme")]

    first = read_sums(world.store)
    again = brought_up_to_date(world.store, first)

    assert [problem for _, problem in again.broken] == [
        "platform: entries that were read before, up to 3, are other ones or gone",
        "client/acme: its head is gone",
    ]
