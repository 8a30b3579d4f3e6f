"""Proof of one slice: DuckDB joins, sums and compares; Python hashes, and knows the chart of accounts and its rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from infra.exports.manifests import ControlTotal, Cursor, ExportedFile
from infra.exports.rows import COLUMNS, ENTRIES, POSTINGS, control_totals, make_rows, rows_of
from ledger.accounts import Account, role_of
from ledger.entries import Book, is_foreign, place_of
from ledger.errors import BookBroken, PostingRuleBroken
from ledger.posting_rules import Reason
from ledger.sealed import SealedEntry, proven_heading

_BATCH = 10_000

_FILE_ROWS = "SELECT file_name, num_rows FROM parquet_file_metadata(?)"
# The postings of each entry as JSON, as they are hashed.
_READ = """
    CREATE OR REPLACE TABLE read AS
    SELECT e.*, coalesce(p.postings, '[]') AS postings
    FROM entries e
    LEFT JOIN (
        SELECT
            book, seq,
            '[' || string_agg(
                '[' || to_json(account) || ',' || to_json(currency) || ',' || minor_units || ']', ',' ORDER BY line
            ) || ']' AS postings
        FROM postings
        GROUP BY book, seq
    ) p USING (book, seq)
    ORDER BY e.book, e.seq
"""
_SEALED = """
    SELECT
        book, seq, entry_id, reason, postings, effective_on::VARCHAR,
        strftime(recorded_at, '%Y-%m-%dT%H:%M:%S') || CASE
            WHEN date_part('microseconds', recorded_at) % 1000000 = 0 THEN 'Z'
            ELSE strftime(recorded_at, '.%fZ')
        END,
        evidence, content_hash, chain_hash
    FROM read
"""
_ROLE = r"regexp_replace(account, '^(client|expert)/[^/]+/', '\1/')"
_ROLES = f"SELECT DISTINCT reason, {_ROLE}, minor_units > 0 FROM postings"  # noqa: S608  # texts of our own
_UNBALANCED = f"""
    SELECT any_value(entry_id), reason, currency, sum(minor_units)
    FROM (SELECT *, {_ROLE} AS role FROM postings) JOIN flows USING (reason, role)
    WHERE flows.is_debit = (minor_units > 0)
    GROUP BY book, seq, reason, currency, place
    HAVING sum(minor_units) <> 0
    ORDER BY book, seq
"""  # noqa: S608  # texts of our own
_IMPOSSIBLE = """
    SELECT any_value(entry_id), account, currency
    FROM postings
    GROUP BY book, seq, account, currency
    HAVING count(*) > 1 OR any_value(minor_units) = 0
    ORDER BY book, seq
"""
# In one slice: ids of all slices together would be as much as the ledger.
_REPEATED = """
    SELECT entry_id
    FROM read
    GROUP BY book, entry_id
    HAVING count(*) > 1 OR any_value(postings) = '[]'
    ORDER BY book, entry_id
"""
_OWNERLESS = """
    SELECT entry_id FROM postings ANTI JOIN entries USING (book, seq) ORDER BY book, seq, line LIMIT 1
"""
# Rows of the files, and rows as they ought to be, that the other does not have.
_UNTRUE = """
    WITH found AS (SELECT {columns}, month FROM {kind}),
    ought AS (SELECT {columns}, strftime(effective_on, '%Y-%m') AS month FROM ({ought}))
    SELECT count(*), min(entry_id) FROM (FROM found EXCEPT ALL FROM ought)
    UNION ALL
    SELECT count(*), min(entry_id) FROM (FROM ought EXCEPT ALL FROM found)
"""


@dataclass(frozen=True, slots=True)
class ProvedSlice:
    """What is wrong with a slice, and what its postings sum to."""

    problems: tuple[str, ...]
    totals: tuple[ControlTotal, ...]


def prove_slice(
    made: duckdb.DuckDBPyConnection,
    folder: Path,
    entries: Sequence[ExportedFile],
    postings: Sequence[ExportedFile],
    cursors: dict[Book, Cursor],
) -> ProvedSlice:
    """Prove the files of a slice, whose entries follow the cursors, which are moved on behind them.

    Raises duckdb.Error for files that are no Parquet, or lack a column, and ValueError for what no ledger holds.
    """
    for kind, files in ((ENTRIES, entries), (POSTINGS, postings)):
        query = rows_of(kind, [folder / file.path for file in files])
        made.execute(f"CREATE OR REPLACE VIEW {kind} AS {query}")
    made.execute(_READ)
    problems = [
        *_miscounted(made, folder, [*entries, *postings]),
        *_broken_chains(made, cursors),
        *_broken_rules(made),
        *_untrue_rows(made),
    ]
    return ProvedSlice(tuple(problems), control_totals(made, [folder / file.path for file in postings]))


def _miscounted(made: duckdb.DuckDBPyConnection, folder: Path, files: Sequence[ExportedFile]) -> Iterator[str]:
    paths = [str(folder / file.path) for file in files]
    found = dict(made.execute(_FILE_ROWS, [paths]).fetchall())
    for file, path in zip(files, paths, strict=True):
        if found[path] != file.rows:
            yield f"{file.path} has {found[path]} rows, its manifest says {file.rows}"


def _broken_chains(made: duckdb.DuckDBPyConnection, cursors: dict[Book, Cursor]) -> Iterator[str]:
    """Runs for every entry."""
    rows = made.execute(_SEALED)
    while batch := rows.fetchmany(_BATCH):
        for book, *texts in batch:
            entry = SealedEntry(*texts)
            before = cursors.get(book) or Cursor(book)
            try:
                proven_heading(book, entry, before.seq, before.chain_hash)
            except BookBroken as broken:
                yield str(broken)
            cursors[book] = Cursor(book, entry.seq, entry.chain_hash)


def _broken_rules(made: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Every entry that could not have been posted."""
    for (account,) in made.execute("SELECT DISTINCT account FROM postings ORDER BY account").fetchall():
        try:
            role_of(account)
        except PostingRuleBroken as unknown:
            yield str(unknown)
    for book, account in made.execute("SELECT DISTINCT book, account FROM postings ORDER BY ALL").fetchall():
        if is_foreign(Book(book), Account(account)):
            yield f"an entry in book {book} touches {account}, which another owner has"
    made.execute("CREATE OR REPLACE TABLE flows (reason VARCHAR, role VARCHAR, is_debit BOOLEAN, place INTEGER)")
    for reason, role, is_debit in made.execute(_ROLES).fetchall():
        place = place_of(Reason(reason), role, is_debit)
        if place is None:
            yield f"an entry for {reason} {'debits' if is_debit else 'credits'} {role}, which its posting rule forbids"
        made.execute("INSERT INTO flows VALUES (?, ?, ?, ?)", [reason, role, is_debit, -1 if place is None else place])
    for entry_id, reason, code, difference in made.execute(_UNBALANCED).fetchall():
        yield f"{entry_id}: debits and credits of {reason} differ by {difference} minor units of {code}"
    for entry_id, account, code in made.execute(_IMPOSSIBLE).fetchall():
        yield f"{entry_id}: {account} appears twice in {code}, or with nothing"
    yield from _unpaired(made)


def _unpaired(made: duckdb.DuckDBPyConnection) -> Iterator[str]:
    for (entry_id,) in made.execute(_REPEATED).fetchall():
        yield f"{entry_id}: the id comes twice in its book, or there are no postings"
    for (entry_id,) in made.execute(_OWNERLESS).fetchall():
        yield f"{entry_id}: there are postings without their entry"


def _untrue_rows(made: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Where a column is not what the sealed entries give."""
    ought = make_rows(made, "FROM read")
    for kind, columns in COLUMNS.items():
        query = _UNTRUE.format(columns=", ".join(columns), ought=ought[kind], kind=kind)
        count, entry_id = max(made.execute(query).fetchall())
        if count:
            yield f"{count} rows of {kind} are not what their entries give, such as those of entry {entry_id}"
