"""What books sum to, kept beside their heads in the table of books; see settlement/book_sums.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from infra.aws.tables import BookItem
from ledger.accounts import Account
from ledger.entries import Book
from ledger.money import Currency

if TYPE_CHECKING:  # only the reconciliation handles them
    from settlement.book_sums import BookSums

_KEY = "sums/"


class KeptSums:
    """All reads are consistent."""

    __slots__ = ()

    def book_sums(self) -> Iterator[BookSums]:
        """The sums that were kept, in no order."""
        yield from map(_sums, BookItem.scan(BookItem.book.startswith(_KEY), consistent_read=True))

    def keep_book_sums(self, sums: BookSums) -> None:
        """Keep these in the place of earlier ones of the same book."""
        _item(sums).save()


def _item(sums: BookSums) -> BookItem:
    """With seq 0, which tells it from a head. Totals are lists, since thousands of them have to fit into one item."""
    rows = [[it.account, it.source, it.currency, it.minor_units, it.since.isoformat()] for it in sums.totals]
    chain_hash, document = bytes.fromhex(sums.chain_hash), json.dumps([sums.seq, rows], separators=(",", ":"))
    return BookItem(book=f"{_KEY}{sums.book}", seq=0, chain_hash=chain_hash, sums=document)


def _sums(item: BookItem) -> BookSums:
    from settlement.book_sums import BookSums, Total  # noqa: PLC0415  # see above

    seq, rows = json.loads(item.sums or "[0, []]")
    totals = tuple(
        Total(Account(account), source, Currency(code), minor_units, date.fromisoformat(since))
        for account, source, code, minor_units, since in rows
    )
    return BookSums(Book(item.book.removeprefix(_KEY)), seq, (item.chain_hash or b"").hex(), totals)
