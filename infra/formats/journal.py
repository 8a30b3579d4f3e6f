"""The entries of an export, one after the other, and what its accounts are and stand at: what formats are made from."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb

from ledger.accounts import Account, Kind
from ledger.money import Currency, minor_unit_exponent

_ROWS_AT_ONCE = 20_000
_MEMORY = "400MB"

_POSTINGS = """
    SELECT
        entry_id, book, seq, reason, effective_on, recorded_at, client, expert,
        account, account_kind, currency, amount
    FROM postings
    WHERE month = ?
    ORDER BY effective_on, book, seq, line
"""
_ACCOUNTS = """
    SELECT account, account_kind, currency, min(effective_on), sum(amount)
    FROM postings
    GROUP BY account, account_kind, currency
    ORDER BY account, currency
"""


class Line(NamedTuple):
    """A posting; `amount` is in major units and positive for a debit, `client` and `expert` are those of the line."""

    account: Account
    kind: Kind
    currency: Currency
    amount: Decimal
    client: str | None
    expert: str | None


class JournalEntry(NamedTuple):
    """An entry with its postings in their order."""

    id: str
    book: str
    seq: int
    reason: str
    effective_on: date
    recorded_at: datetime
    lines: tuple[Line, ...]


class AccountInUse(NamedTuple):
    """An account in one of its currencies: the day of its first posting, and what it stands at after the last."""

    account: Account
    kind: Kind
    currency: Currency
    first_day: date
    balance: Decimal


def months(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The months that entries fall in, YYYY-MM, in order."""
    return [month for (month,) in connection.execute("SELECT DISTINCT month FROM entries ORDER BY month").fetchall()]


def entries_of(connection: duckdb.DuckDBPyConnection, month: str) -> Iterator[JournalEntry]:
    """The entries of a month by day, book and number."""
    for _, group in groupby(in_order(connection, "postings", _POSTINGS, month), key=lambda row: row[1:3]):
        rows = list(group)
        entry_id, book, seq, reason, effective_on, recorded_at, *_ = rows[0]
        lines = tuple(
            Line(Account(row[8]), Kind(row[9]), Currency(row[10]), row[11], client=row[6], expert=row[7])
            for row in rows
        )
        yield JournalEntry(entry_id, book, seq, reason, effective_on, recorded_at, lines)


def accounts_in_use(connection: duckdb.DuckDBPyConnection) -> list[AccountInUse]:
    """Every account that has a posting, by account and currency."""
    return [
        AccountInUse(Account(account), Kind(kind), Currency(code), first_day, balance)
        for account, kind, code, first_day, balance in connection.execute(_ACCOUNTS).fetchall()
    ]


def last_day(connection: duckdb.DuckDBPyConnection) -> date | None:
    """The accounting date of the last entry; None if there is none."""
    (found,) = connection.execute("SELECT max(effective_on) FROM entries").fetchall()[0]
    day: date | None = found
    return day


@contextmanager
def spooling(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Lets `in_order` sort on disk, so that memory stays flat however long a month is."""
    with TemporaryDirectory() as scratch:
        connection.execute(f"SET temp_directory = '{scratch}'")
        connection.execute("SET threads = 1")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute(f"ATTACH '{Path(scratch) / 'spool.duckdb'}' AS spool")
        try:
            yield
        finally:
            connection.execute("DETACH spool")


def spool(connection: duckdb.DuckDBPyConnection, name: str, query: str, month: str) -> None:
    """Put the rows of a query about a month on disk, as the table spool.`name`. Only while `spooling`."""
    connection.execute(f"CREATE OR REPLACE TABLE spool.{name} AS {query}", [month])


def in_order(connection: duckdb.DuckDBPyConnection, name: str, query: str, month: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query about a month, in its order and some thousands in memory at a time. Only while `spooling`."""
    spool(connection, name, query, month)
    page = f"SELECT * FROM spool.{name} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"  # noqa: S608  # a name of ours
    first = 0
    while rows := connection.execute(page, [first, first + _ROWS_AT_ONCE - 1]).fetchall():
        yield from rows
        first += _ROWS_AT_ONCE


def plain(amount: Decimal, code: Currency) -> str:
    """An amount with as many decimals as its currency has; exact, since no posting has more."""
    return f"{amount:.{minor_unit_exponent(code)}f}"
