"""What finance asks of an export, as views: each is one file of SQL in finance_views/.

The files are in the dialect that DuckDB and Athena share: here they run over a folder, and infra/athena-views.yaml,
which is generated from them, holds the same text for Athena. They read `postings`, `entries` and `as_of`.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from infra.exports import open_export

_FOLDER = Path(__file__).parent / "finance_views"
AS_OF = "as_of"
_BATCH = 10_000
VIEWS = (
    "trial_balance",
    "ageing",
    "margin_by_client",
    "margin_by_expert",
    "margin_by_skill",
    "accrued_and_deferred_revenue",
    "expert_liabilities",
    "tax_by_client",
)


def view_sql(name: str) -> str:
    """The SELECT of a view, as its file has it."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8").strip()


def open_views(folder: Path, as_of: date | None = None) -> duckdb.DuckDBPyConnection:
    """An export with every view, as things stood at the end of `as_of`; without it at the last day of an entry.

    To be closed by the caller. Raises FileNotFoundError for a folder without an export.
    """
    connection = open_export(folder)
    day = f"SELECT DATE '{as_of.isoformat()}' AS day" if as_of else view_sql(AS_OF)
    for name, sql in ((AS_OF, day), *((name, view_sql(name)) for name in VIEWS)):
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    return connection


def streamed(found: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """The rows of a result, some thousands in memory at a time."""
    while rows := found.fetchmany(_BATCH):
        yield from rows
