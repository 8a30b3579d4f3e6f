"""What every write has in common: entries behind the head of their book, and another try if a rival was faster."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from ledger.books import Head, append
from ledger.entries import Entry, RecordedEntry
from settlement.ports import Books, Contention, Writer

ATTEMPTS = 12
_T = TypeVar("_T")


def until_written(store: Writer, what: str, attempt: Callable[[], _T]) -> _T:
    """What `attempt`, which reads anew each time, returns. Raises Contention, naming `what`, once 12 were overtaken."""
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except Contention:
            store.pause(number)
    raise Contention(f"{what}: overtaken {ATTEMPTS} times; it is tried again later")


def sealed(
    store: Books, entries: Sequence[Entry], as_of: datetime
) -> tuple[tuple[RecordedEntry, ...], tuple[tuple[Head, Head], ...]]:
    """Entries of one book behind its head, and that head before and after: what Changes want; nothing for none."""
    if not entries:
        return (), ()
    head = store.head(entries[0].book)
    recorded, after = append(head, entries, as_of)
    return recorded, ((head, after),)
