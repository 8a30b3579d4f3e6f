"""How commands print, and with which codes they exit."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import IO, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.spreadsheets import guarded
from ledger.money import Currency, minor_unit_exponent

DONE, FAILED, REFUSED = 0, 1, 2
ROWS_SHOWN = 1000

Cell = str | int | date | None


@dataclass(frozen=True, slots=True)
class Form:
    """How to print: as tables for people, as JSON, or as CSV. Raises typer.BadParameter for both at once."""

    as_json: bool = False
    as_csv: bool = False

    def __post_init__(self) -> None:
        if self.as_json and self.as_csv:
            raise typer.BadParameter("give --json or --csv, not both")


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows under columns, to be printed in any form; a cell is what JSON holds, money a text (see `money`).

    The columns named in `numbers` are set to the right. `rows` are read once, so that a long answer can stream.
    """

    title: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    numbers: frozenset[str] = field(default_factory=frozenset)


def show(answer: Answer, form: Form, console: Console) -> None:
    """Print an answer as its form says: CSV and JSON (a list of objects) row by row, a table up to ROWS_SHOWN rows."""
    rows = (dict(zip(answer.columns, row, strict=True)) for row in answer.rows)
    if form.as_csv:
        write_csv(console.file, answer.columns, rows)
    elif form.as_json:
        _write_json(console.file, rows)
    else:
        _show_table(answer, rows, console)


def _write_json(file: IO[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    before = "["
    for row in rows:
        file.write(f"{before}\n  {json.dumps(row, ensure_ascii=False, default=str)}")
        before = ","
    file.write("[]\n" if before == "[" else "\n]\n")


def _show_table(answer: Answer, rows: Iterable[Mapping[str, Cell]], console: Console) -> None:
    texts = (tuple("-" if cell is None else str(cell) for cell in row.values()) for row in rows)
    shown = list(islice(texts, ROWS_SHOWN))
    titles = {name: name.replace("_", " ") for name in answer.columns}
    numbers = [titles[name] for name in answer.columns if name in answer.numbers]
    console.print(table(answer.title, tuple(titles.values()), shown, numbers))
    left_out = sum(1 for _ in texts)
    if not shown:
        say("There is nothing.", console)
    if left_out:
        say(f"and {left_out:,} rows more; --csv and --json print all of them", console)


def write_csv(file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a header and the rows; texts that a spreadsheet would run are guarded."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([guarded(row[name]) for name in columns])


def money(amount: Decimal, code: Currency) -> str:
    """An amount of major units as text, with as many decimals as its currency has: 12.30, 1870, 0.005."""
    return f"{amount:.{minor_unit_exponent(code)}f}"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[str]) -> Table:
    """A table of plain texts; the columns named in `numbers` are set to the right."""
    made, right = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False), set(numbers)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def say(line: str, console: Console) -> None:
    """Print a line as it is: no markup and no wrapping, since tools read it."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def refused(what: object, console: Console, code: int = REFUSED) -> int:
    """Say in red what did not work out; the exit code."""
    console.print(str(what), style="red", markup=False, highlight=False, soft_wrap=True)
    return code
