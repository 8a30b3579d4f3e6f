"""A ServiceNow incident audit log, read as facts: solved, reopened, solved again.

The log is CSV: one row for each saved state of an incident, oldest first within an incident (incidents may be mixed),
day-first dates to the minute, `?` or nothing where a value is missing. The rules below were found in 5,998 real rows
of 890 incidents (Amaral, Fantinato, Peres: "Incident management process enriched event log", UCI Machine Learning
Repository, CC BY 4.0); the figures in brackets count incidents there, unless they say otherwise.

When
- A row says what was so at its `sys_updated_at`. `resolved_at`, `resolved_by` and `closed_at` hold the incident's
  final values on every row, even on the first, so they never decide when a solution began. [all 890; `resolved_at`
  lies after the first Resolved row in 26, is missing in 29]
- Rows are taken in the order of the file. `sys_mod_count` is not used: it repeats or falls in 5 and has gaps in 390.

What
- **Completed**: the first row in Resolved since the incident was open, at that row's time. [901 in 890] Further rows
  in Resolved or Closed repeat it and yield nothing, though each save in Resolved may move `resolved_at`. [27]
- **Completed, closed directly**: a row in Closed with no Resolved row since the incident was open counts only if
  `resolved_at` lies after the last open row (the same minute counts) and not after the closing; it is the time of the
  solution. Otherwise nothing says that anybody solved it, and there is no fact. [0]
- **Reopened**: a row in an open state after Resolved or Closed, or a row still in Resolved or Closed whose
  `reopen_count` has risen, at the row's time; in the second case the same row may complete it again, by the rules
  above. [11 in 10, always Resolved to Active with a rise of one; a move without a rise did not occur, but counts]
- A rise of `reopen_count` while the incident is open yields nothing: there is no known solution to take back.
- An incident that is never Resolved, nor closed with such a `resolved_at`, yields nothing. [0]
- Facts of one incident have strictly rising times: one that falls into the minute of the fact before it is placed one
  second after that. [0]
- A row older than the row that gave the incident's last fact is reported, not read: a late snapshot must not reopen
  what was solved after it. [0]

Facts are numbered per incident and kind, `INC0000045:completed:1`, so that a longer log of the same incidents repeats
the ids of a shorter one. Kept in memory is one small record for each incident, never its rows.

What passes: contact type, category, priority and assignment group as slugs, and opened_at. Callers, other people and
free text are not even looked at, but for `resolved_by`, which is looked up among a door's agents and not kept.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Literal, assert_never
from zoneinfo import ZoneInfo

from events.adapters.doors import Agents, Door, label_slug
from events.adapters.rows import Record, UnreadableRow, cells_of, column_names, records
from events.adapters.rules import Attribute
from events.adapters.systems import System
from events.decode import Delivery, FactRefused, decode, envelop
from events.facts import Party, Resolver, format_instant
from ledger.records import dataclass

SOURCE = "servicenow"
COLUMNS = (
    "number",
    "incident_state",
    "sys_updated_at",
    "reopen_count",
    "opened_at",
    "contact_type",
    "category",
    "priority",
    "assignment_group",
    "resolved_by",
    "resolved_at",
)
_MISSING = frozenset({"", "?"})
_ATTRIBUTES: Mapping[Attribute, str] = {
    Attribute.CHANNEL: "contact_type",
    Attribute.SKILL: "category",
    Attribute.PRIORITY: "priority",
    Attribute.ROUTE: "assignment_group",
}
# From a field that was refused to the column it came from.
_COLUMN_OF = {str(attribute): column for attribute, column in _ATTRIBUTES.items()} | {
    "subject": "number",
    "id": "number",
}
_ONE_SECOND = timedelta(seconds=1)


class _State(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    CLOSED = "closed"


# The states of the log, and the two that ServiceNow has had in place of Active and Awaiting since its Helsinki release
# ("Incident Management state model" in its documentation).
_STATES = {
    "new": _State.OPEN,
    "active": _State.OPEN,
    "awaiting user info": _State.OPEN,
    "awaiting problem": _State.OPEN,
    "awaiting vendor": _State.OPEN,
    "awaiting evidence": _State.OPEN,
    "in progress": _State.OPEN,
    "on hold": _State.OPEN,
    "resolved": _State.RESOLVED,
    "closed": _State.CLOSED,
}

_Kind = Literal["completed", "reopened"]


class _Unreadable(Exception):
    """Caught where the row is known; it never leaves this module."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    number: str
    state: _State
    at: datetime
    reopen_count: int
    resolved_at: datetime | None
    resolved_by: str | None
    opened_at: datetime | None
    labels: Mapping[Attribute, str]


@dataclass(slots=True)
class _Incident:
    """What earlier rows said. A resolved_at before `unsolved_since` belongs to a solution that is told or undone."""

    reopen_count: int
    solved: bool = False
    completions: int = 0
    reopenings: int = 0
    last_fact_at: datetime | None = None
    last_fact_row_at: datetime | None = None
    unsolved_since: datetime | None = None

    def is_older(self, row: _Row) -> bool:
        return self.last_fact_row_at is not None and row.at < self.last_fact_row_at

    def is_reopened_by(self, row: _Row) -> bool:
        return self.solved and (row.state is _State.OPEN or row.reopen_count > self.reopen_count)

    def solved_at(self, row: _Row) -> datetime | None:
        """When the row says that an unsolved incident was solved, or None."""
        if self.solved:
            return None
        match row.state:
            case _State.RESOLVED:
                return row.at
            case _State.CLOSED:
                return row.resolved_at if self._is_news(row.resolved_at, row.at) else None
            case _State.OPEN:
                return None
            case _:
                assert_never(row.state)

    def _is_news(self, resolved_at: datetime | None, closed_at: datetime) -> bool:
        if resolved_at is None or resolved_at > closed_at:
            return False
        return self.unsolved_since is None or resolved_at >= self.unsolved_since

    def next_instant(self, at: datetime) -> datetime:
        return at if self.last_fact_at is None else max(at, self.last_fact_at + _ONE_SECOND)

    def remember_fact(self, kind: _Kind, at: datetime, row_at: datetime) -> None:
        self.last_fact_at, self.last_fact_row_at = at, row_at
        if kind == "completed":
            self.completions += 1
            self.solved = True
            self.unsolved_since = at + _ONE_SECOND
        else:
            self.reopenings += 1
            self.solved = False

    def remember_row(self, row: _Row) -> None:
        self.reopen_count = max(self.reopen_count, row.reopen_count)
        if row.state is _State.OPEN:
            self.unsolved_since = row.at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """On whose behalf the log is read: for a client alone, or through a door of theirs."""

    client: str
    agents: Agents
    time_zone: tzinfo
    door: Door | None = None

    def read(self, row: _Row, incident: _Incident) -> Iterator[Delivery | UnreadableRow]:
        if incident.is_older(row):
            yield UnreadableRow(
                row.line, "sys_updated_at", "before a row already read that solved or reopened the case"
            )
            return
        if incident.is_reopened_by(row):
            yield self._tell("reopened", incident.reopenings + 1, row.at, row, incident)
        solved_at = incident.solved_at(row)
        if solved_at is not None:
            yield self._tell("completed", incident.completions + 1, solved_at, row, incident)
        incident.remember_row(row)

    def _tell(
        self, kind: _Kind, ordinal: int, at: datetime, row: _Row, incident: _Incident
    ) -> Delivery | UnreadableRow:
        at = incident.next_instant(at)
        case = f"{self.door.prefix}{row.number}" if self.door else row.number
        event = {
            "id": f"{case}:{kind}:{ordinal}",
            "type": f"resolution.{kind}",
            "source": self.door.source if self.door else SOURCE,
            "time": format_instant(at),
            "subject": case,
            "data": self.agents.resolver_of(System.SERVICENOW, row.resolved_by or "") | self._data_of(row),
        }
        try:
            delivery = decode(envelop(self.client, Party.CLIENT, at, event))
        except FactRefused as refusal:
            if "client" in refusal.paths:
                raise
            return _explain(refusal, row.line)
        incident.remember_fact(kind, at, row.at)
        return delivery

    def _data_of(self, row: _Row) -> dict[str, str]:
        labels = ((attribute, self._label(attribute, text)) for attribute, text in row.labels.items())
        data = {attribute.value: label for attribute, label in labels if label is not None}
        return data if row.opened_at is None else data | {"opened_at": format_instant(row.opened_at)}

    def _label(self, attribute: Attribute, text: str) -> str | None:
        is_mapped = self.door is not None and attribute in self.door.maps
        return self.door.label(attribute, [text]) if self.door and is_mapped else label_slug(text)


EMPLOYEES = Agents(others=Resolver.EMPLOYEE, unassigned=Resolver.EMPLOYEE)


def read_log(
    lines: Iterable[str], *, client: str, agents: Agents = EMPLOYEES, time_zone: tzinfo = UTC
) -> Iterator[Delivery | UnreadableRow]:
    """The facts of a log as it is read, in its order, with every row that could not be read in between.

    Each fact counts as received when it happened. `agents` says who solved an incident, by its `resolved_by`; that
    column holds the last resolver, for every completion of the incident. Times are of `time_zone`; an hour that a clock
    change repeats is taken as its first run.

    Raises ColumnsMissing at once if the header lacks one of COLUMNS, and FactRefused at the first fact if `client` is
    not a client's id. A value in a row never raises.
    """
    return _read(lines, _Reader(client=client, agents=agents, time_zone=time_zone))


def read_door_log(lines: Iterable[str], door: Door) -> Iterator[Delivery | UnreadableRow]:
    """As `read_log`, with the client, agents, maps, time zone and case prefix of a ServiceNow door.

    The columns are COLUMNS whatever the door's `fields` say: those are of the listing that is polled.
    """
    zone = ZoneInfo(door.time_zone) if door.time_zone else UTC
    return _read(lines, _Reader(client=door.client, agents=door.agents, time_zone=zone, door=door))


def _read(lines: Iterable[str], reader: _Reader) -> Iterator[Delivery | UnreadableRow]:
    found = records(lines)
    names = column_names(next(found, None), COLUMNS)
    return _read_rows(found, names, reader)


def _read_rows(
    found: Iterable[Record | UnreadableRow], names: Sequence[str], reader: _Reader
) -> Iterator[Delivery | UnreadableRow]:
    incidents: dict[str, _Incident] = {}
    for record in found:
        row = _parse(record, names, reader.time_zone) if isinstance(record, Record) else record
        if isinstance(row, UnreadableRow):
            yield row
            continue
        incident = incidents.get(row.number)
        if incident is None:
            incident = incidents[row.number] = _Incident(row.reopen_count)
        yield from reader.read(row, incident)


def _parse(record: Record, names: Sequence[str], time_zone: tzinfo) -> _Row | UnreadableRow:
    cells = cells_of(record, names)
    if isinstance(cells, UnreadableRow):
        return cells
    try:
        return _row(record.line, cells, time_zone)
    except _Unreadable as error:
        return UnreadableRow(record.line, error.field, error.problem)


def _row(line: int, cells: Mapping[str, str], time_zone: tzinfo) -> _Row:
    given = {column: cells[column] for column in COLUMNS if cells[column] not in _MISSING}
    for column in ("number", "incident_state", "sys_updated_at", "reopen_count"):
        if column not in given:
            raise _Unreadable(column, "missing")
    state = _STATES.get(given["incident_state"].casefold())
    if state is None:
        raise _Unreadable("incident_state", "not a known state")
    if re.fullmatch("[0-9]{1,6}", given["reopen_count"]) is None:
        raise _Unreadable("reopen_count", "not a whole number")
    times = {
        column: _instant(column, given[column], time_zone)
        for column in ("sys_updated_at", "opened_at", "resolved_at")
        if column in given
    }
    return _Row(
        line=line,
        number=given["number"],
        state=state,
        at=times["sys_updated_at"],
        reopen_count=int(given["reopen_count"]),
        resolved_at=times.get("resolved_at"),
        resolved_by=given.get("resolved_by"),
        opened_at=times.get("opened_at"),
        labels={field: given[column] for field, column in _ATTRIBUTES.items() if column in given},
    )


def _instant(column: str, text: str, time_zone: tzinfo) -> datetime:
    try:
        local = datetime.strptime(text, "%d-%m-%Y %H:%M").replace(tzinfo=time_zone)
    except ValueError:
        raise _Unreadable(column, "not a date like 31-12-2016 23:59, day first") from None
    if not 1970 <= local.year < 9999:
        raise _Unreadable(column, "not a date after 1970")
    return local.astimezone(UTC)


def _explain(refusal: FactRefused, line: int) -> UnreadableRow:
    """Which column a refused fact came from."""
    field = refusal.paths[0] if refusal.paths else ""
    return UnreadableRow(line, _COLUMN_OF.get(field, "row"), f"{refusal.reason} as {field}")
