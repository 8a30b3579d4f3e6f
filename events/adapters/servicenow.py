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
free text are not even looked at, but for `resolved_by`, which is looked up among `experts` and not kept.
"""

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Literal, assert_never

from events.decode import Delivery, FactRefused, decode, envelop
from events.facts import Party, Resolver, format_instant

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
_ATTRIBUTES = {"channel": "contact_type", "skill": "category", "priority": "priority", "route": "assignment_group"}
# From a field that was refused to the column it came from.
_COLUMN_OF = _ATTRIBUTES | {"subject": "number", "id": "number", "expert": "resolved_by", "data": "resolved_by"}
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


class _Unreadable(Exception):
    """Caught where the row is known; it never leaves this module."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    last_line: int
    values: list[str]


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
    labels: Mapping[str, str]


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
class _Door:
    """On whose behalf the log is read."""

    client: str
    resolver: Resolver
    experts: Mapping[str, str]

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
        event = {
            "id": f"{row.number}:{kind}:{ordinal}",
            "type": f"resolution.{kind}",
            "source": SOURCE,
            "time": format_instant(at),
            "subject": row.number,
            "data": self._resolver_of(row) | _data_of(row),
        }
        try:
            delivery = decode(envelop(self.client, Party.CLIENT, at, event))
        except FactRefused as refusal:
            if "client" in refusal.paths:
                raise
            return _explain(refusal, row.line)
        incident.remember_fact(kind, at, row.at)
        return delivery

    def _resolver_of(self, row: _Row) -> dict[str, str]:
        expert = None if row.resolved_by is None else self.experts.get(row.resolved_by)
        return {"resolver": self.resolver} if expert is None else {"resolver": Resolver.EXPERT, "expert": expert}


def read_log(
    lines: Iterable[str],
    *,
    client: str,
    resolver: Resolver = Resolver.EMPLOYEE,
    experts: Mapping[str, str] | None = None,
    time_zone: tzinfo = UTC,
) -> Iterator[Delivery | UnreadableRow]:
    """The facts of a log as it is read, in its order, with every row that could not be read in between.

    Each fact counts as received when it happened. `resolver` solved every incident but those whose `resolved_by` is
    among `experts`, which maps it to an expert's id; that column holds the last resolver, for every completion of the
    incident. With `Resolver.EXPERT` an incident of anybody else is reported as unreadable. Times are of `time_zone`;
    an hour that a clock change repeats is taken as its first run.

    Raises ColumnsMissing at once if the header lacks one of COLUMNS, and FactRefused at the first fact if `client` is
    not a client's id. A value in a row never raises.
    """
    records = _records(lines)
    header = next(records, None)
    names = [name.strip('\ufeff" ') for name in header.values] if isinstance(header, _Record) else []
    missing = tuple(column for column in COLUMNS if column not in names)
    if missing:
        raise ColumnsMissing(missing)
    door = _Door(client=client, resolver=resolver, experts=experts or {})
    return _read_rows(records, names, door, time_zone)


def _read_rows(
    records: Iterable[_Record | UnreadableRow], names: Sequence[str], door: _Door, time_zone: tzinfo
) -> Iterator[Delivery | UnreadableRow]:
    incidents: dict[str, _Incident] = {}
    for record in records:
        row = _parse(record, names, time_zone) if isinstance(record, _Record) else record
        if isinstance(row, UnreadableRow):
            yield row
            continue
        incident = incidents.get(row.number)
        if incident is None:
            incident = incidents[row.number] = _Incident(row.reopen_count)
        yield from door.read(row, incident)


def _records(lines: Iterable[str]) -> Iterator[_Record | UnreadableRow]:
    """What lies between the commas. Blank lines are no records; one that is not CSV does not end the reading."""
    reader = csv.reader(lines, strict=True)
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
            yield _Record(line, reader.line_num, values)


def _parse(record: _Record, names: Sequence[str], time_zone: tzinfo) -> _Row | UnreadableRow:
    if len(record.values) != len(names):
        problem = f"{len(record.values)} columns up to line {record.last_line}, the header has {len(names)}"
        return UnreadableRow(record.line, "row", problem)
    try:
        return _row(record.line, dict(zip(names, record.values, strict=True)), time_zone)
    except _Unreadable as error:
        return UnreadableRow(record.line, error.field, error.problem)


def _row(line: int, cells: Mapping[str, str], time_zone: tzinfo) -> _Row:
    values = {column: cells[column].strip() for column in COLUMNS}
    given = {column: value for column, value in values.items() if value not in _MISSING}
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


def _data_of(row: _Row) -> dict[str, str]:
    data = {field: _slug(label) for field, label in row.labels.items()}
    return data if row.opened_at is None else data | {"opened_at": format_instant(row.opened_at)}


def _slug(text: str) -> str:
    """A label as prices match on it: "3 - Moderate" is 3-moderate. What was no label, such as an address, stays bad."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    return re.sub(r"[^\w.@]+", "-", plain).strip("-_.")


def _explain(refusal: FactRefused, line: int) -> UnreadableRow:
    """Which column a refused fact came from. The path `data` says that resolver and expert do not agree."""
    field = refusal.paths[0] if refusal.paths else ""
    problem = "names none of the experts" if field == "data" else f"{refusal.reason} as {field}"
    return UnreadableRow(line, _COLUMN_OF.get(field, "row"), problem)
