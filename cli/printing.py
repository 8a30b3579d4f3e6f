"""How commands print, and with which codes they exit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

DONE, FAILED, REFUSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Form:
    """How to print: as tables for people, as JSON, or as CSV. Raises typer.BadParameter for both at once."""

    as_json: bool = False
    as_csv: bool = False

    def __post_init__(self) -> None:
        if self.as_json and self.as_csv:
            raise typer.BadParameter("give --json or --csv, not both")


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
