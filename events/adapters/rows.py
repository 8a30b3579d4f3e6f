"""Rows of a CSV file as they are read, and those that cannot be. Pure."""

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence

from ledger.records import dataclass


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that was skipped. `field` is a column, or `row` when the row as a whole is wrong; values are never told.

    `line` is the line of the file where the row begins; the header is line 1.
    """

    line: int
    field: str
    problem: str


class ColumnsMissing(ValueError):
    """The header lacks columns without which no row can be read. Retrying does not help; export the log with them."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__(f"the log has no column {', '.join(columns)}")
        self.columns = columns


class ColumnsAmbiguous(ColumnsMissing):
    """The header names columns that are needed more than once. Retrying does not help; rename all but one of each."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__(columns)
        self.args = (f"the log has more than one column {', '.join(columns)}",)


@dataclass(frozen=True, slots=True)
class Record:
    """What lies between the delimiters of the row from `line` to `last_line`."""

    line: int
    last_line: int
    values: list[str]


def records(lines: Iterable[str], delimiter: str = ",") -> Iterator[Record | UnreadableRow]:
    """The records of a file. Blank lines are no records; one that is not CSV does not end the reading."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield UnreadableRow(line, "row", f"not CSV up to line {reader.line_num}: {error}")
            continue
        if values:
            yield Record(line, reader.line_num, values)


def column_names(header: Record | UnreadableRow | None, needed: Collection[str]) -> list[str]:
    """The names in a header; raises ColumnsMissing if some of the needed ones are not among them exactly once."""
    names = [name.strip('\ufeff" ') for name in header.values] if isinstance(header, Record) else []
    missing = tuple(column for column in needed if column not in names)
    if missing:
        raise ColumnsMissing(missing)
    twice = tuple(column for column in needed if names.count(column) > 1)
    if twice:
        raise ColumnsAmbiguous(twice)
    return names


def cells_of(record: Record, names: Sequence[str]) -> dict[str, str] | UnreadableRow:
    """The cells of a record by their columns, if it has as many as the header."""
    if len(record.values) != len(names):
        problem = f"{len(record.values)} columns up to line {record.last_line}, the header has {len(names)}"
        return UnreadableRow(record.line, "row", problem)
    return {name: cell.strip() for name, cell in zip(names, record.values, strict=True)}
