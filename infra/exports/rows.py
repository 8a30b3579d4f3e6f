"""Rows of an export in SQL: from the canonical content of entries to the columns of both kinds of files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import duckdb

from infra.exports.manifests import ControlTotal
from ledger.accounts import CLIENT_KINDS, EXPERT_KINDS, PLATFORM_KINDS, Account, Kind
from ledger.money import CODES_BY_EXPONENT, currency

ENTRIES, POSTINGS = "entries", "postings"

# The columns of the files; `month` comes from the folder's name.
ENTRY_COLUMNS = {
    "entry_id": "VARCHAR",
    "book": "VARCHAR",
    "seq": "BIGINT",
    "reason": "VARCHAR",
    "effective_on": "DATE",
    "recorded_at": "TIMESTAMP",
    "client": "VARCHAR",
    "expert": "VARCHAR",
    "case_id": "VARCHAR",
    "cycle": "INTEGER",
    "evidence": "VARCHAR",
    "content_hash": "VARCHAR",
    "chain_hash": "VARCHAR",
}
POSTING_COLUMNS = {
    "entry_id": "VARCHAR",
    "book": "VARCHAR",
    "seq": "BIGINT",
    "reason": "VARCHAR",
    "line": "INTEGER",
    "account": "VARCHAR",
    "account_kind": "VARCHAR",
    "currency": "VARCHAR",
    "minor_units": "BIGINT",
    "amount": "DECIMAL(38,3)",
    "debit": "DECIMAL(38,3)",
    "credit": "DECIMAL(38,3)",
    "effective_on": "DATE",
    "recorded_at": "TIMESTAMP",
    "client": "VARCHAR",
    "expert": "VARCHAR",
    "case_id": "VARCHAR",
    "cycle": "INTEGER",
}
COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType({ENTRIES: ENTRY_COLUMNS, POSTINGS: POSTING_COLUMNS})

_LONGEST_LINE = 2**22  # an entry is an item of at most 400 KB; with room to spare

_LINES = """
    SELECT
        cells[1] AS entry_id, cells[2] AS book, seq, cells[3] AS reason, cells[4]::DATE AS effective_on, recorded_at,
        postings, evidence, content_hash, chain_hash
    FROM (
        SELECT *, heading ->> ['$[0]', '$[1]', '$[2]', '$[3]'] AS cells
        FROM read_csv(
            {path}, header = false, auto_detect = false, delim = '\x1f', quote = '', escape = '', new_line = '\\n',
            max_line_size = {longest}, force_not_null = ['evidence'], columns = {{
                'heading': 'VARCHAR', 'postings': 'VARCHAR', 'evidence': 'VARCHAR', 'seq': 'BIGINT',
                'recorded_at': 'TIMESTAMP', 'content_hash': 'VARCHAR', 'chain_hash': 'VARCHAR'
            }}
        )
    )
"""

_ENTRY_ROWS = r"""
    CREATE OR REPLACE TABLE entry_rows AS
    SELECT
        entry_id, book, seq, reason, effective_on, recorded_at, {client} AS client, {expert} AS expert,
        nullif(posted_for.case_id, '') AS case_id, nullif(posted_for.cycle, '')::INTEGER AS cycle,
        evidence, content_hash, chain_hash, postings
    FROM (
        SELECT
            *, {behind_client} AS behind_client, {behind_expert} AS behind_expert,
            CASE WHEN starts_with(entry_id, 'charge:') THEN
                regexp_extract(entry_id, '^charge:[^/]+/(.+)/([0-9]{{1,9}}):[0-9]+$', ['case_id', 'cycle'])
            END AS posted_for
        FROM ({source})
    )
"""
# What follows the first mention of a side in the postings, if the book is not of that side: an owner, and more.
_BEHIND = """
    CASE
        WHEN NOT starts_with(book, '{side}/') AND contains(postings, '"{side}/')
        THEN substr(postings, strpos(postings, '"{side}/') + 8)
    END
"""
# The owner of the book; else the one that the accounts name, if no other is left when its mentions are taken away.
_ONLY_OWNER = """
    CASE
        WHEN starts_with(book, '{side}/') THEN split_part(book, '/', 2)
        WHEN NOT contains(behind_{side}, '"{side}/') THEN split_part(behind_{side}, '/', 1)
        WHEN NOT contains(
            replace(behind_{side}, '"{side}/' || split_part(behind_{side}, '/', 1) || '/', ''), '"{side}/'
        ) THEN split_part(behind_{side}, '/', 1)
    END
"""

_POSTING_ROWS = """
    SELECT
        entry_id, book, seq, reason, line, account, {kind} AS account_kind, currency, minor_units,
        major::DECIMAL(38,3) AS amount,
        CASE WHEN minor_units > 0 THEN major ELSE 0 END::DECIMAL(38,3) AS debit,
        CASE WHEN minor_units < 0 THEN -major ELSE 0 END::DECIMAL(38,3) AS credit,
        effective_on, recorded_at, {client} AS client, {expert} AS expert, case_id, cycle
    FROM (
        SELECT *, minor_units::DECIMAL(19,0) * {unit} AS major
        FROM (
            SELECT *, posting[1] AS account, posting[2] AS currency, posting[3]::BIGINT AS minor_units
            FROM (
                SELECT * EXCLUDE (lines), unnest(lines) AS posting, generate_subscripts(lines, 1)::INTEGER AS line
                FROM (
                    SELECT
                        entry_id, book, seq, reason, effective_on, recorded_at, client, expert, case_id, cycle,
                        json_transform(postings, '[["VARCHAR"]]') AS lines
                    FROM entry_rows
                )
            )
        )
    )
"""
_OWNER = "CASE WHEN starts_with(account, '{0}/') THEN split_part(account, '/', 2) ELSE {0} END"

_CONTROL_TOTALS = """
    SELECT
        currency,
        sum(greatest(minor_units, 0)),
        sum(greatest(-minor_units, 0)),
        count(DISTINCT (book, seq)),
        count(*)
    FROM read_parquet(?, hive_partitioning = false)
    GROUP BY currency
    ORDER BY currency
"""


def lines_of(path: Path) -> str:
    """The query for what a file of lines says: a JSON list and six more cells each, with a control character between.

    Columns are those of `entries` that nothing is derived for, and `postings` as JSON.
    """
    return _LINES.format(path=quoted(path), longest=_LONGEST_LINE)


def make_rows(made: duckdb.DuckDBPyConnection, source: str) -> Mapping[str, str]:
    """The queries for the rows of both kinds of files, in order, from a query like that of `lines_of`.

    The table that they read is made at once, in the place of an earlier one. `client` and `expert` are the owner of the
    line's account; where that has none, that of the book; where that has none, the only one that the accounts name.
    """
    sides: dict[str, str] = {}
    for side in ("client", "expert"):
        sides |= {side: _ONLY_OWNER.format(side=side), f"behind_{side}": _BEHIND.format(side=side)}
    made.execute(_ENTRY_ROWS.format(source=source, **sides))
    derived = {"client": _OWNER.format("client"), "expert": _OWNER.format("expert"), "kind": _kinds(), "unit": _unit()}
    return {
        ENTRIES: f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entry_rows",  # noqa: S608  # names of our own
        POSTINGS: _POSTING_ROWS.format(**derived),
    }


def _kinds() -> str:
    """The kind of a line's account, by the chart of accounts."""
    name = "split_part(account, '/', 3)"
    owned = " ".join(
        f"WHEN starts_with(account, '{side}/') THEN {_switch(name, kinds)}"
        for side, kinds in (("client", CLIENT_KINDS), ("expert", EXPERT_KINDS))
    )
    return f"CASE {owned} ELSE {_switch('account', PLATFORM_KINDS)} END"


def _switch(text: str, values: Mapping[Account, Kind] | Mapping[str, Kind]) -> str:
    cases = " ".join(f"WHEN '{case}' THEN '{value}'" for case, value in values.items())
    return f"CASE {text} {cases} END"


def _unit() -> str:
    """One minor unit of a line's currency in major units, exactly. What is no currency is found by `control_totals`."""
    units = ((0, "1.000"), (3, "0.001"))
    cases = " ".join(f"WHEN contains('{CODES_BY_EXPONENT[it]}', currency) THEN {unit}" for it, unit in units)
    return f"CASE {cases} ELSE 0.010 END"


def rows_of(kind: str, files: Sequence[Path]) -> str:
    """The query for the rows of these files of a kind, each with its `month`; without files, for none."""
    if files:
        listed = ", ".join(map(quoted, files))
        return f"SELECT * FROM read_parquet([{listed}], hive_partitioning = true, hive_types = {{'month': VARCHAR}})"  # noqa: S608  # paths in quotes
    typed = (f"NULL::{type_} AS {name}" for name, type_ in {**COLUMNS[kind], "month": "VARCHAR"}.items())
    return f"SELECT {', '.join(typed)} WHERE false"


def control_totals(made: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> tuple[ControlTotal, ...]:
    """What the postings in these files sum to. Raises InvalidMoney for what is no currency."""
    found = made.execute(_CONTROL_TOTALS, [list(map(str, files))]).fetchall() if files else []
    return tuple(
        ControlTotal(currency(code), int(debit), int(credit), *counts) for code, debit, credit, *counts in found
    )


def quoted(path: Path) -> str:
    """A path as a text in SQL."""
    return "'" + str(path).replace("'", "''") + "'"
