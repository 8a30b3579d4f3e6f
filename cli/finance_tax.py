"""`solvent finance tax`: what clients were invoiced in a year and at which tax, and what experts were paid."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import groupby

import duckdb
from rich.console import Console

from cli.finance_answers import NUMBERS, columns_of, opened, with_decimals
from cli.printing import DONE, Answer, Cell, Form, show
from cli.statement_data import reportable
from infra.ledger_views import streamed
from ledger.accounts import Account
from ledger.entries import Book, Entry, EntryId, Evidence, Posting, RecordedEntry
from ledger.money import Currency, Money, format_minor_units
from ledger.posting_rules import Reason
from payouts.tax_reporting import paid_in, verdict_on

# A country of each regime: what counts is the expert's own, which an export does not hold.
_REGIMES = {"reportable_in_us": "US", "reportable_in_eu": "DE"}

_EXPERTS = """
    SELECT DISTINCT split_part(account, '/', 2) FROM postings
    WHERE account LIKE 'expert/%/in_transit' AND year(effective_on) = ?
    ORDER BY 1
"""
_ENTRIES = """
    SELECT
        postings.book, postings.seq, postings.entry_id, postings.reason, postings.effective_on, postings.recorded_at,
        evidence, chain_hash, account, minor_units, currency
    FROM postings JOIN entries USING (book, seq)
    WHERE (book, seq) IN (SELECT (book, seq) FROM postings WHERE account IN (?, ?))
    ORDER BY postings.book, postings.seq, line
"""


def show_tax(source: str, year: int, side: str, form: Form, console: Console) -> int:
    """Print the taxes of a year: of clients by rate, or else of experts by currency."""
    with closing(opened(source)) as connection:
        if side == "clients":
            query = "SELECT * EXCLUDE (tax_year) FROM tax_by_client WHERE tax_year = ?"
            found = connection.execute(query, [year])
            answer = Answer(f"Invoiced in {year}", columns_of(found), with_decimals(found), NUMBERS)
        else:
            columns = ("expert", "currency", "gross", "withheld", "fee", "net", "payments", "activities", *_REGIMES)
            answer = Answer(f"Paid in {year}", columns, _paid(connection, year), NUMBERS)
        show(answer, form, console)
    return DONE


def _paid(connection: duckdb.DuckDBPyConnection, year: int) -> Iterator[tuple[Cell, ...]]:
    """A row for each expert and currency: sums of the year, and whether each regime would have the expert reported."""
    for (expert,) in connection.execute(_EXPERTS, [year]).fetchall():
        found = paid_in(expert, year, _entries_of(connection, expert))
        verdicts = [reportable(verdict_on(country, year, found)) for country in _REGIMES.values()]
        for it in found:
            sums = (it.year.gross, it.year.withheld, it.year.fee, it.year.net)
            amounts = (format_minor_units(amount, it.currency) for amount in sums)
            yield (expert, it.currency, *amounts, it.year.payments, it.year.activities, *verdicts)


def _entries_of(connection: duckdb.DuckDBPyConnection, expert: str) -> list[RecordedEntry]:
    """All entries that touch an expert's accounts, book by book in order."""
    accounts = [f"expert/{expert}/payable", f"expert/{expert}/in_transit"]
    rows = streamed(connection.cursor().execute(_ENTRIES, accounts))
    return [_entry(list(group)) for _, group in groupby(rows, key=lambda row: row[:2])]


def _entry(rows: list[tuple[str, int, str, str, date, datetime, str, str, str, int, str]]) -> RecordedEntry:
    book, seq, entry_id, reason, effective_on, recorded_at, evidence, chain_hash, *_ = rows[0]
    entry = Entry(
        id=EntryId(entry_id),
        book=Book(book),
        reason=Reason(reason),
        postings=tuple(Posting(Account(row[8]), Money(row[9], Currency(row[10]))) for row in rows),
        effective_on=effective_on,
        evidence=Evidence(evidence),
    )
    return RecordedEntry(entry, seq, recorded_at.replace(tzinfo=UTC), chain_hash)
