"""Any helpdesk's CSV export, read as facts by the columns that a door names. Pure.

One row is one solution of a case, with its rating and reopening if there are columns for them; a case may have several
rows. Ids are derived from case, meaning and time, so that a longer export of the same cases repeats those of a shorter
one, and the order of rows does not matter.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from events.adapters import servicenow
from events.adapters.doors import Door
from events.adapters.payloads import REASONS, Unreadable
from events.adapters.rows import Record, UnreadableRow, cells_of, column_names, records
from events.adapters.rules import Feed
from events.adapters.systems import System
from events.adapters.translate import facts_of
from events.decode import Delivery, FactRefused, decode, envelop
from events.facts import Party


class NoExport(ValueError):
    """The door's system has no export that can be read; use its webhooks, or a door of system csv."""

    def __init__(self, door: Door) -> None:
        super().__init__(
            f"{door.id}: an export of {door.system} is not known; name its columns in a door of system csv"
        )


def read_export(door: Door, lines: Iterable[str]) -> Iterator[Delivery | UnreadableRow]:
    """The facts of an export in its order, with every row that could not be read in between.

    The export is a ServiceNow audit log, or any CSV file for a door of system csv; a row of an open case tells nothing.
    Each fact counts as received when it happened. Raises ColumnsMissing at once if the header lacks a column that is
    needed or has it twice, and NoExport for other systems.
    """
    feed = door.table.feed
    if door.system is System.SERVICENOW:
        return servicenow.read_door_log(lines, door)
    if feed is None or not feed.is_table:
        raise NoExport(door)
    found = records(lines, door.export.delimiter)
    names = column_names(next(found, None), dict.fromkeys(door.fields.values()))
    return _read_rows(door, feed, found, names)


def _read_rows(
    door: Door, feed: Feed, found: Iterable[Record | UnreadableRow], names: Sequence[str]
) -> Iterator[Delivery | UnreadableRow]:
    for record in found:
        cells = cells_of(record, names) if isinstance(record, Record) else record
        if isinstance(cells, UnreadableRow):
            yield cells
            continue
        line = record.line
        item = {name: cell for name, cell in cells.items() if cell not in door.export.missing}
        try:
            facts = facts_of(door, feed, item, {})
        except Unreadable as error:
            yield UnreadableRow(line, error.path or "row", REASONS[error.code][1])
            continue
        for fact in facts:
            yield _delivered(door, fact, line)


def _delivered(door: Door, fact: dict[str, object], line: int) -> Delivery | UnreadableRow:
    try:
        return decode(envelop(door.client, Party.CLIENT, datetime.fromisoformat(str(fact["time"])), fact))
    except FactRefused as refusal:
        return UnreadableRow(line, ", ".join(refusal.paths) or "row", refusal.reason)
