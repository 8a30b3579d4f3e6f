"""What `solvent finance` answers from an export: views as they are, accounts line by line, and any SQL."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import duckdb
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from cli.connection import RUN_FOLDER, CannotStart
from cli.printing import DONE, FAILED, REFUSED, Answer, Cell, Form, money, refused, say, show
from events.facts import format_instant
from infra.aws.export_bucket import BucketFolder
from infra.exports import mirror
from infra.exports.folders import LocalFolder
from infra.exports.manifests import manifest_names
from infra.exports.runs import ExportChanged
from infra.formats import FormatRefused, write_format
from infra.ledger_views import open_views, streamed
from infra.local.stack import running_stack
from ledger.accounts import Account, role_of
from ledger.errors import PostingRuleBroken
from ledger.money import Currency

MIRRORS = Path("build/mirrors")
_S3 = "s3://"
_ACCOUNT_OF_THE_EMULATOR = "-000000000000"

# The columns that are set to the right.
NUMBERS = frozenset(
    {
        *("minor_units", "amount", "debit", "credit", "balance", "revenue", "pay", "other_costs", "margin"),
        *("margin_percent", "accrued", "deferred", "commitments", "payable", "in_transit", "owed", "days_past_due"),
        *("net", "tax", "gross", "percent", "withheld", "fee", "payments", "activities"),
    }
)

_STATEMENT = """
    SELECT effective_on, currency, reason, entry_id, case_id, debit, credit, sum(amount) OVER before_and_with AS balance
    FROM postings
    WHERE account = $account
    WINDOW before_and_with AS (
        PARTITION BY currency ORDER BY effective_on, recorded_at, book, seq ROWS UNBOUNDED PRECEDING
    )
    QUALIFY effective_on BETWEEN $first AND $last
    ORDER BY currency, effective_on, recorded_at, book, seq
"""
_BALANCES_BEFORE = """
    SELECT currency, sum(amount) FILTER (WHERE effective_on < $first) AS balance
    FROM postings
    WHERE account = $account AND effective_on <= $last
    GROUP BY currency
    ORDER BY currency
"""


class NoExport(CannotStart):
    """There is no export where one should be."""


def opened(source: str, as_of: date | None = None) -> duckdb.DuckDBPyConnection:
    """An export, in a folder or at s3://bucket/prefix, with the views of finance; raises NoExport."""
    try:
        return open_views(export_folder(source), as_of)
    except (FileNotFoundError, ValueError) as missing:
        raise NoExport(str(missing)) from None


def export_folder(source: str) -> Path:
    """A folder as it is; for s3://bucket/prefix the one below MIRRORS, brought up to date. Raises NoExport."""
    try:
        return _mirrored(source.removeprefix(_S3)) if source.startswith(_S3) else Path(source)
    except (FileExistsError, ValueError, ExportChanged, BotoCoreError, ClientError) as missing:
        raise NoExport(str(missing)) from None


def _mirrored(address: str) -> Path:
    """The folder with a copy of an export in S3, made now of what it lacks."""
    bucket, _, prefix = address.strip("/").partition("/")
    embedded = running_stack(RUN_FOLDER)
    if embedded is not None and bucket.endswith(_ACCOUNT_OF_THE_EMULATOR):
        embedded.enter()
    folder = MIRRORS / bucket / prefix
    mirror(BucketFolder(bucket, f"{prefix}/" if prefix else ""), folder)
    if not manifest_names(LocalFolder(folder)):
        raise NoExport(
            f"{_S3}{address} holds no export; a stack writes one every day to s3://STACK-exports-ACCOUNT/ledger"
        )
    return folder


def show_trial_balance(source: str, as_of: date | None, form: Form, console: Console) -> int:
    """Print the trial balance; 1 if a currency does not balance."""
    with closing(opened(source, as_of)) as connection:
        connection.execute("CREATE TEMP TABLE found AS FROM trial_balance")  # the postings are read once
        code = _show_view(connection, ("found", "trial balance"), form, console)
        totals = connection.execute(
            "SELECT currency, sum(debit), sum(credit) FROM found GROUP BY currency ORDER BY currency"
        ).fetchall()
    uneven = [code for code, debit, credit in totals if debit != credit]
    if not form.as_json and not form.as_csv:
        for currency, debit, credit in totals:
            say(f"Total {currency}: {money(debit, currency)} debit, {money(credit, currency)} credit", console)
    if uneven:
        return refused(f"Debits and credits differ in {', '.join(uneven)}", Console(stderr=True), FAILED)
    return code


def show_view(source: str, name: str, as_of: date | None, form: Form, console: Console) -> int:
    """Print a view as it is."""
    with closing(opened(source, as_of)) as connection:
        return _show_view(connection, (name, name.replace("_", " ")), form, console)


def _show_view(connection: duckdb.DuckDBPyConnection, named: tuple[str, str], form: Form, console: Console) -> int:
    name, title = named
    (day,) = connection.execute("SELECT day FROM as_of").fetchall()[0]
    found = connection.execute(f"SELECT COLUMNS(lambda it: it <> 'minor_units') FROM {name}")  # noqa: S608  # of VIEWS
    about = f"{title.capitalize()}, as of {day}" if day else title.capitalize()
    show(Answer(about, columns_of(found), with_decimals(found), NUMBERS), form, console)
    return DONE


def show_margin(source: str, wanted: tuple[str, str | None], as_of: date | None, form: Form, console: Console) -> int:
    """Print the margins by client, expert or skill of one month (YYYY-MM) or all, with the percentage of revenue."""
    by, month = wanted
    with closing(opened(source, as_of)) as connection:
        found = connection.execute(
            f"SELECT * FROM margin_by_{by} WHERE $month IS NULL OR month = $month",  # noqa: S608  # one of three
            {"month": month},
        )
        columns = columns_of(found)
        place = {name: columns.index(name) for name in ("revenue", "margin")}
        rows = ((*row, _percent(row[place["margin"]], row[place["revenue"]])) for row in with_decimals(found))
        show(Answer(f"Margin by {by}", (*columns, "margin_percent"), rows, NUMBERS), form, console)
    return DONE


def _percent(part: Cell, whole: Cell) -> str | None:
    """A part of revenue in percent, to one decimal; None where there is no revenue, or more was given back."""
    if Decimal(str(whole)) <= 0:
        return None
    return f"{100 * Decimal(str(part)) / Decimal(str(whole)):.1f}"


def show_statement(
    source: str, account: str, span: tuple[date | None, date | None], form: Form, console: Console
) -> int:
    """Print the postings to an account from the first to the last day, with an opening balance in each currency."""
    try:
        role_of(Account(account))
    except PostingRuleBroken as unknown:
        return refused(f"{unknown}; `solvent finance trial-balance` names those in use", console, REFUSED)
    first, last = span[0] or date.min, span[1] or date.max
    if first > last:
        return refused(f"--from {first} is behind --to {last}; exchange them", console, REFUSED)
    asked = {"account": account, "first": first, "last": last}
    with closing(opened(source)) as connection:
        before = connection.execute(_BALANCES_BEFORE, asked).fetchall()
        found = connection.execute(_STATEMENT, asked)
        columns, rows = columns_of(found), with_decimals(found)
        show(Answer(account, columns, _with_openings(rows, before, span[0]), NUMBERS), form, console)
    return DONE


def _with_openings(
    rows: Iterable[Sequence[Cell]], before: Iterable[tuple[str, Decimal | None]], first: date | None
) -> Iterator[Sequence[Cell]]:
    """The lines, with a line that says what a currency opened with before each currency's first."""
    openings = {code: amount or Decimal(0) for code, amount in before} if first else {}
    day = first.isoformat() if first else None
    for row in rows:
        code = str(row[1])
        if code in openings:
            yield _opening(day, code, openings.pop(code))
        yield row
    for code, amount in openings.items():
        yield _opening(day, code, amount)


def _opening(day: str | None, code: str, amount: Decimal) -> Sequence[Cell]:
    return (day, code, "opening", None, None, None, None, money(amount, Currency(code)))


def show_query(source: str, sql: str, as_of: date | None, form: Form, console: Console) -> int:
    """Print what any SQL finds in an export; 2 if it is no SQL, or asks for what is not there."""
    with closing(opened(source, as_of)) as connection:
        try:
            if not connection.extract_statements(sql):
                return refused("there is no question; give a SELECT", console, REFUSED)
            found = connection.execute(sql)
            show(Answer("", _distinct(columns_of(found)), map(_plain, streamed(found)), NUMBERS), form, console)
        except duckdb.Error as wrong:
            return refused(wrong, console, REFUSED)
    return DONE


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names of columns, each once: what comes again gets a number, as entry_id_2."""
    found: dict[str, None] = {}
    for name in names:
        others = (f"{name}_{number}" for number in count(2))
        found[name if name not in found else next(it for it in others if it not in found)] = None
    return tuple(found)


def make_format(source: str, name: str, target: Path, console: Console) -> int:
    """Write an export in another format to a folder, and say which files; 1 if the format cannot hold it."""
    with closing(opened(source)) as connection:
        try:
            written = write_format(connection, name, target)
        except FormatRefused as impossible:
            return refused(impossible, console, FAILED)
    for path in written:
        say(str(path), console)
    if not written:
        say("The ledger is empty; nothing was written.", console)
    return DONE


# -- from DuckDB to cells ----------------------------------------------------------------------------------------------


def columns_of(found: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """The names of a result's columns."""
    return tuple(column[0] for column in found.description or ())


def with_decimals(found: duckdb.DuckDBPyConnection) -> Iterator[Sequence[Cell]]:
    """Rows that have a currency, their amounts as texts with that currency's decimals."""
    place = columns_of(found).index("currency")
    for row in streamed(found):
        code = Currency(row[place])
        yield tuple(money(cell, code) if isinstance(cell, Decimal) else _cell(cell) for cell in row)


def _plain(row: Iterable[object]) -> Sequence[Cell]:
    return tuple(_cell(cell) for cell in row)


def _cell(cell: object) -> Cell:
    if cell is None or isinstance(cell, (int, str)):
        return cell
    if isinstance(cell, datetime):
        return format_instant(cell) if cell.tzinfo else cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, date) else str(cell)
