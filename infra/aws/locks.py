"""Locked months, kept in the head of each book: every transaction that posts writes one, so a lock costs it nothing.

A head is written only over the head that was read, its lock included. So an entry is committed before its book is
locked, or it is read again and dated behind the lock. A book that does not exist yet has no head: its first entry is
written on condition that the item `lock`, which is set before any head is, says what was read of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pynamodb.exceptions import DoesNotExist, UpdateError
from pynamodb.expressions.update import Action

from infra.aws.tables import BookItem
from infra.aws.wire import Attributes, Write, check, put
from ledger.books import Head
from ledger.entries import Book
from settlement.ports import Changes, Contention

_LOCK = "lock"
# What says that a lock is there already, or a later one; and what says that the item is being written.
_REFUSED, _CONTENDED = "ConditionalCheckFailedException", "TransactionConflictException"


class Locks:
    """All reads are consistent."""

    __slots__ = ()

    def locked_through(self) -> str:
        """The last month in which no new book may have an entry; "" if no month is locked."""
        try:
            return BookItem.get(_LOCK, consistent_read=True).locked_through or ""
        except DoesNotExist:
            return ""

    def lock_through(self, month: str) -> None:
        """Let no entry be dated in a month (2026-10) or before it, in any book, once this returns.

        Safe to repeat, and to go on with. A later lock stays. Raises Contention for a book that is being written.
        """
        _lock(_LOCK, month)
        for item in BookItem.scan(BookItem.seq > 0, consistent_read=True):
            if (item.locked_through or "") < month:
                _lock(item.book, month)


def _lock(book: str, month: str) -> None:
    actions: list[Action] = [BookItem.locked_through.set(month)]
    if book == _LOCK:
        actions.append(BookItem.seq.set(0))  # which tells it from a head
    unlocked = BookItem.locked_through.does_not_exist() | (BookItem.locked_through < month)
    try:
        BookItem(book).update(actions=actions, condition=unlocked)
    except UpdateError as refused:
        if refused.cause_response_code == _CONTENDED:
            raise Contention(f"{book} is being written; lock again") from refused
        if refused.cause_response_code != _REFUSED:
            raise


def with_new_books(books: Collection[Book], found: Mapping[Book, Head]) -> Mapping[Book, Head]:
    """The heads that were asked for, empty ones where nothing was posted; those are locked as the item `lock` says."""
    new = [book for book in books if book not in found]
    locked = Locks().locked_through() if new else ""
    return {**{book: Head(book, locked_through=locked) for book in new}, **found}


def head_puts(changes: Changes) -> Iterator[Write]:
    """Each head over the one that was read, if that was neither moved nor locked meanwhile."""
    for before, after in changes.heads:
        locked = before.locked_through
        head: Attributes = {
            "book": after.book,
            "seq": after.seq,
            "chain_hash": bytes.fromhex(after.chain_hash),
            "locked_through": locked or None,
        }
        if not before.seq:
            yield put(BookItem, head, "attribute_not_exists(seq)")
        elif locked:
            yield put(BookItem, head, "seq = :before AND locked_through = :locked", before=before.seq, locked=locked)
        else:
            yield put(BookItem, head, "seq = :before AND attribute_not_exists(locked_through)", before=before.seq)


def lock_checks(changes: Changes) -> Iterator[Write]:
    """That the lock for new books is what was read, where a book gets its first entry; once, however many do."""
    read = sorted(before.locked_through for before, _ in changes.heads if not before.seq)
    for locked in read[:1]:  # the earliest, should a month have been locked between two reads
        if locked:
            yield check(BookItem, {"book": _LOCK}, "locked_through = :locked", locked=locked)
        else:
            yield check(BookItem, {"book": _LOCK}, "attribute_not_exists(locked_through)")
