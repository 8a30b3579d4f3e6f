"""The tables of an export as text: CSV, and JSON with an entry a line."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from events.facts import format_instant
from infra.formats.journal import entries_of, in_order, months, plain, spool
from infra.spreadsheets import RUNS_IN_SPREADSHEETS
from ledger.money import Currency, minor_unit_exponent

_TABLES = {"postings": "effective_on, book, seq, line", "entries": "effective_on, book, seq"}
_MONEY = frozenset({"amount", "debit", "credit"})
_ENTRIES = """
    SELECT client, expert, case_id, cycle, evidence, content_hash, chain_hash FROM entries
    WHERE month = ? ORDER BY effective_on, book, seq
"""


def write_csv(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[Path]:
    """A file for each table and month: amounts with their currency's decimals, instants in UTC, no cell that runs."""
    codes = [Currency(code) for (code,) in connection.execute("SELECT DISTINCT currency FROM postings").fetchall()]
    for table, order in _TABLES.items():
        cells = ", ".join(
            f"{_cell(name, kind, codes)} AS {name}"
            for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()
        )
        for month in months(connection):
            path = folder / f"{table}-{month}.csv"
            query = f"SELECT {cells} FROM {table} WHERE month = ? ORDER BY {order}"  # noqa: S608  # our columns
            spool(connection, table, query, month)
            connection.execute(f"COPY spool.{table} TO {_literal(str(path))} (FORMAT csv, HEADER)")
            yield path


def _cell(name: str, kind: str, codes: list[Currency]) -> str:
    """What a column is written as, in SQL."""
    if name in _MONEY:
        cases = (f"WHEN '{it}' THEN {name}::DECIMAL(38, {minor_unit_exponent(it)})::VARCHAR" for it in sorted(codes))
        return f"CASE currency {' '.join(cases)} END"
    if kind == "TIMESTAMP":
        return f"replace(strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ'), '.000000Z', 'Z')"
    if kind == "VARCHAR":
        signs = ", ".join(_literal(sign) for sign in sorted(RUNS_IN_SPREADSHEETS))
        return f"CASE WHEN left({name}, 1) IN ({signs}) THEN '''' || {name} ELSE {name} END"
    return name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def write_jsonl(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[Path]:
    """A file for each month: an entry a line, with its evidence as an object and its postings as a list."""
    for month in months(connection):
        path = folder / f"entries-{month}.jsonl"
        rows = in_order(connection, "entries", _ENTRIES, month)
        with path.open("w", encoding="utf-8") as file:
            for entry, row in zip(entries_of(connection, month), rows, strict=True):
                client, expert, case_id, cycle, evidence, content_hash, chain_hash = row
                told = {
                    "entry_id": entry.id,
                    "book": entry.book,
                    "seq": entry.seq,
                    "reason": entry.reason,
                    "effective_on": entry.effective_on.isoformat(),
                    "recorded_at": _instant(entry.recorded_at),
                    "client": client,
                    "expert": expert,
                    "case_id": case_id,
                    "cycle": cycle,
                    "postings": [it._asdict() | {"amount": plain(it.amount, it.currency)} for it in entry.lines],
                    "evidence": json.loads(evidence),
                    "content_hash": content_hash,
                    "chain_hash": chain_hash,
                }
                file.write(json.dumps(told, ensure_ascii=False) + "\n")
        yield path


def _instant(recorded_at: datetime) -> str:
    """An instant of the export, which is in UTC, though its type does not say so."""
    return format_instant(recorded_at.replace(tzinfo=UTC))
