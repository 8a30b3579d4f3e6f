"""`solvent finance tax`: what clients were invoiced in a year and at which tax, and what experts were paid."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from itertools import groupby
from typing import Any

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

# All entries that touch an expert who may have been paid in the year, expert by expert and book by book in order.
_ENTRIES = """
    WITH touched AS (
        SELECT DISTINCT split_part(account, '/', 2) AS paid, book, seq FROM postings WHERE account LIKE 'expert/%'
    ),
    in_year AS (
        SELECT DISTINCT split_part(account, '/', 2) AS paid FROM postings
        WHERE account LIKE 'expert/%' AND year(effective_on) = ?
    )
    SELECT
        paid, book, seq, postings.entry_id, postings.reason, postings.effective_on, postings.recorded_at,
        evidence, chain_hash, account, minor_units, currency
    FROM touched JOIN in_year USING (paid) JOIN postings USING (book, seq) JOIN entries USING (book, seq)
    ORDER BY paid, book, seq, line
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
    rows = streamed(connection.execute(_ENTRIES, [year]))
    for expert, lines in groupby(rows, key=lambda row: row[0]):
        entries = [_entry([row[1:] for row in of_entry]) for _, of_entry in groupby(lines, key=lambda row: row[1:3])]
        found = paid_in(expert, year, entries)
        verdicts = [reportable(verdict_on(country, year, found)) for country in _REGIMES.values()]
        for it in found:
            sums = (it.year.gross, it.year.withheld, it.year.fee, it.year.net)
            amounts = (format_minor_units(amount, it.currency) for amount in sums)
            yield (expert, it.currency, *amounts, it.year.payments, it.year.activities, *verdicts)


def _entry(rows: list[tuple[Any, ...]]) -> RecordedEntry:
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
