"""What every store promises of locked months."""

from datetime import date
from threading import Barrier, Thread

import pytest
from botocore.exceptions import ClientError
from pynamodb.exceptions import UpdateError

from infra.aws.tables import BookItem
from ledger.books import check_book
from ledger.entries import PLATFORM_BOOK, client_book
from settlement.ports import Contention
from settlement.writing import until_written
from tests.infra.any_store import MONDAY, AnyStore, a_top_up, posting


def test_once_a_month_is_locked_no_book_takes_an_entry_dated_in_it(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(1)))
    before, stale = store.head(PLATFORM_BOOK), posting(store, a_top_up(2))
    store.lock_through("2026-03")
    assert (store.locked_through(), store.head(PLATFORM_BOOK).locked_through) == ("2026-03", "2026-03")
    assert store.head(PLATFORM_BOOK) == before, "locking moves no head"
    with pytest.raises(Contention):
        store.commit(stale)
    store.commit(posting(store, a_top_up(2)))
    days = [it.entry.effective_on for it in store.entries(PLATFORM_BOOK)]
    assert days == [MONDAY, date(2026, 4, 1)]
    assert list(check_book(PLATFORM_BOOK, store.entries(PLATFORM_BOOK), store.head(PLATFORM_BOOK))) == []
    assert store.head(PLATFORM_BOOK).locked_through == "2026-03", "the lock outlives what is posted behind it"


def test_a_second_lock_refuses_what_was_read_behind_the_first(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(1)))
    store.lock_through("2026-03")
    stale = posting(store, a_top_up(2))
    store.lock_through("2026-04")
    with pytest.raises(Contention):
        store.commit(stale)
    store.commit(posting(store, a_top_up(2)))
    assert [it.entry.effective_on for it in store.entries(PLATFORM_BOOK)] == [MONDAY, date(2026, 5, 1)]


def test_a_book_that_is_new_is_locked_as_the_others_are(store: AnyStore) -> None:
    stale = posting(store, a_top_up(1))
    store.lock_through("2026-03")
    with pytest.raises(Contention):
        store.commit(stale)
    assert not store.head(PLATFORM_BOOK).seq
    store.commit(posting(store, a_top_up(1)))
    [only] = store.entries(PLATFORM_BOOK)
    assert (only.entry.effective_on, store.head(PLATFORM_BOOK).locked_through) == (date(2026, 4, 1), "2026-03")


def test_an_earlier_lock_leaves_a_later_one_and_a_later_one_moves_it_on(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(1)))
    for month, locked in (("2026-03", "2026-03"), ("2026-02", "2026-03"), ("2026-04", "2026-04")):
        store.lock_through(month)
        assert {store.locked_through(), store.head(PLATFORM_BOOK).locked_through} == {locked}
        assert [head.locked_through for head in store.heads()] == [locked]


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_a_lock_that_was_interrupted_holds_for_new_books_and_is_completed_when_it_is_repeated(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    store.commit(posting(store, a_top_up(1)))
    with monkeypatch.context() as broken:
        broken.setattr(BookItem, "scan", crash)
        with pytest.raises(ConnectionError):
            store.lock_through("2026-03")
    assert store.locked_through() == "2026-03"
    assert store.head(client_book("acme")).locked_through == "2026-03"
    store.commit(posting(store, a_top_up(2)))
    store.lock_through("2026-03")
    store.commit(posting(store, a_top_up(3)))
    days = [it.entry.effective_on for it in store.entries(PLATFORM_BOOK)]
    assert days == [MONDAY, MONDAY, date(2026, 4, 1)]


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_a_head_that_is_being_written_is_contention_and_any_other_refusal_is_not(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, expected in (("TransactionConflictException", Contention), ("AccessDeniedException", UpdateError)):
        refused = UpdateError(cause=ClientError({"Error": {"Code": code, "Message": ""}}, "UpdateItem"))

        def update(*_: object, refused: UpdateError = refused, **__: object) -> None:
            raise refused

        with monkeypatch.context() as broken:
            broken.setattr(BookItem, "update", update)
            with pytest.raises(expected):
                store.lock_through("2026-03")


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_writers_and_a_lock_at_once_leave_nothing_in_the_month_that_came_behind_it(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(0)))
    started, refused = Barrier(3), list[int]()

    def write(number: int) -> None:
        started.wait()
        for step in range(20):
            try:
                store.commit(posting(store, a_top_up(1 + 20 * number + step)))
            except Contention:
                refused.append(step)

    threads = [Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    started.wait()
    until_written(store, "the lock", lambda: store.lock_through("2026-03"))
    locked_at = store.head(PLATFORM_BOOK).seq
    for thread in threads:
        thread.join()
    entries = list(store.entries(PLATFORM_BOOK))
    assert len(entries) == 41 - len(refused)
    assert all(it.entry.effective_on == date(2026, 4, 1) for it in entries[locked_at:])
    assert list(check_book(PLATFORM_BOOK, entries, store.head(PLATFORM_BOOK))) == []
