"""One event of a helpdesk becomes facts: which rules hold, and what its fields say to a door. Pure."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import get_args
from zoneinfo import ZoneInfo

from events.adapters.doors import Door, alternatives
from events.adapters.payloads import Refusal, Unreadable, find, text_of
from events.adapters.rules import SOLVED, Attribute, Condition, Feed, Field, Rule
from events.facts import Token, format_instant
from ledger.records import dataclass

MOST_FACTS = 500

_TOKEN = re.compile(get_args(Token)[1].pattern)
_EPOCH = re.compile(r"([0-9]{9,14})(?:\.([0-9]+))?")
_EPOCH_BEGINS = datetime(1970, 1, 1, tzinfo=UTC)
# Read as seconds, 10^11 would be the year 5138; read as milliseconds it is 1973.
_LEAST_MILLISECONDS = 10**11

Event = dict[str, object]


def facts_of(door: Door, feed: Feed, item: Mapping[str, object], context: Mapping[str, str]) -> tuple[Event, ...]:
    """The facts that one event tells, as CloudEvents with allow-listed fields only; none if it is of no interest.

    `context` holds the values of the paths that begin with @. Raises Unreadable, with a path or column, for an event
    that means something but does not say it in a way that can be read.
    """
    extra = feed.prepare(item) if feed.prepare else {}
    fields = _Fields(door, feed, item, {**context, **extra})
    account = fields.text(Field.ACCOUNT)
    if account and account.casefold() != door.account:
        raise Unreadable(Refusal.OTHER_ACCOUNT, fields.path(Field.ACCOUNT))
    found: dict[str, Rule] = {}
    for rule in feed.rules:
        if all(fields.meets(condition) for condition in rule.conditions):
            found.setdefault(rule.means, rule)
    if "gap" in found:
        raise Unreadable(Refusal.INCOMPLETE, fields.path(Field.EVENT))
    return tuple(event for means in found for event in _tell(means, fields))


def _tell(means: str, fields: "_Fields") -> Iterator[Event]:
    data: dict[str, object] | None = {}
    if means == "rated":
        data = fields.rating()
    elif means == "completed":
        data = fields.completion()
    if data is None:
        return
    at = format_instant(fields.time(means))
    # Systems name their events, but not always their ratings: those are known by case and time.
    key = (fields.key() if means != "rated" else "") or at
    for case in fields.cases():
        yield {
            "id": _fitting(f"{case}:{means}:{key}"),
            "type": f"resolution.{means}",
            "source": fields.door.source,
            "time": at,
            "subject": case,
            "data": data,
        }


def _fitting(text: str) -> str:
    """An id as it is, or its hash if it is too long or has characters that an id may not have."""
    return text if _TOKEN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of one event, found by the door's own paths or else by the system's."""

    door: Door
    feed: Feed
    item: Mapping[str, object]
    context: Mapping[str, str]
    _texts: dict[Field, list[str]] = field(default_factory=dict)

    def path(self, name: Field) -> str:
        """Where a field is, for a refusal to name it."""
        return self.door.fields.get(name) or self.feed.paths.get(name, "")

    def value(self, name: Field) -> object:
        """The first value at the field's paths that says something; None if there is none."""
        path = self.path(name)
        if self.feed.is_table:
            return self.item.get(path) or None
        for one in alternatives(path) if path else ():
            value = self.context.get(one) if one.startswith("@") else find(self.item, one)
            if text_of(value) or (isinstance(value, list) and value):
                return value
        return None

    def text(self, name: Field) -> str:
        """The field as a text; "" if it is not there, or if it is a list of several."""
        value = self.texts(name)
        return value[0] if len(value) == 1 else ""

    def texts(self, name: Field) -> list[str]:
        """The field as texts; a list may have several."""
        known = self._texts.get(name)
        if known is None:
            value = self.value(name)
            known = [text_of(one) for one in value] if isinstance(value, list) else [text_of(value)]
            self._texts[name] = known
        return known

    def meets(self, condition: Condition) -> bool:
        """Whether a condition holds."""
        wanted = self.door.solved_states if condition.values is SOLVED else condition.values
        return any(text.casefold() in wanted for text in self.texts(condition.field)) is condition.expected

    def key(self) -> str:
        """The system's own id of the event, put together from several paths where + joins them; "" if it gives none."""
        path = self.path(Field.KEY)
        if self.feed.is_table or not path:
            return self.text(Field.KEY)
        found = ([text_of(find(self.item, part.strip())) for part in one.split("+")] for one in alternatives(path))
        return next(("-".join(parts) for parts in found if all(parts)), "")

    def cases(self) -> list[str]:
        """The ids of the cases that the event is about, as this client's cases are called."""
        path, ids = self.path(Field.CASE), self.texts(Field.CASE)
        if not any(ids):
            raise Unreadable(Refusal.MISSING, path)
        if len(ids) > MOST_FACTS:
            raise Unreadable(Refusal.TOO_MANY, path)
        cases = [f"{self.door.prefix}{one}" for one in ids]
        if not all(one and _TOKEN.fullmatch(case) for one, case in zip(ids, cases, strict=True)):
            raise Unreadable(Refusal.NOT_AN_ID, path)
        return cases

    def time(self, means: str) -> datetime:
        """When it happened: at the meaning's own time, or at that of the event."""
        own = Field(f"{means}_at")
        name = own if self.path(own) else Field.AT
        at = self.instant(name)
        if at is None:
            raise Unreadable(Refusal.MISSING, self.path(name))
        return at

    def instant(self, name: Field) -> datetime | None:
        """A field as an instant; None if it is not there."""
        text = self.text(name)
        if not text:
            return None
        zone = ZoneInfo(self.door.time_zone) if self.door.time_zone else None
        try:
            return read_instant(text, zone, self.door.export.time_formats if self.feed.is_table else ())
        except Unreadable as error:
            raise Unreadable(error.code, self.path(name)) from None

    def rating(self) -> dict[str, object] | None:
        """The score and its scale; None if nobody rated."""
        text, scale = self.text(Field.RATING), self.door.scale
        if not text or scale is None:
            return None
        try:
            score = scale.score_of(text)
        except Unreadable as error:
            raise Unreadable(error.code, self.path(Field.RATING)) from None
        if score is None:
            return None
        return {"score": score, "scale_min": scale.scale_min, "scale_max": scale.scale_max}

    def completion(self) -> dict[str, object]:
        """Who solved it, the labels that prices match on, and the times before."""
        agent, kind = self.text(Field.AGENT), self.text(Field.AGENT_KIND)
        data: dict[str, object] = dict(self.door.agents.resolver_of(self.door.system, agent, kind))
        for attribute in Attribute:
            name = Field(attribute)
            try:
                label = self.door.label(attribute, self.labels(name))
            except Unreadable as error:
                raise Unreadable(error.code, self.path(name)) from None
            if label is not None:
                data[attribute.value] = label
        for name in (Field.OPENED_AT, Field.FIRST_RESPONSE_AT):
            at = self.instant(name)
            if at is not None:
                data[name.value] = format_instant(at)
        return data

    def labels(self, name: Field) -> list[str]:
        """The texts of a label; a list of them, such as tags, says nothing unless the door maps it."""
        value = self.value(name)
        if isinstance(value, list) and Attribute(name) not in self.door.maps:
            return []
        return self.texts(name)


def read_instant(text: str, zone: tzinfo | None, formats: tuple[str, ...] = ()) -> datetime:
    """An instant in UTC: by one of `formats` (strptime), or ISO 8601, or seconds or milliseconds since 1970.

    A date alone is its first instant. A time without a zone is of `zone`; an hour that a clock change repeats is taken
    as its first run. Raises Unreadable for anything else, for a time before 1970 and after 9998, and for one without a
    zone if there is no `zone`.
    """
    at = _by_formats(text, formats) or _since_1970(text)
    try:
        at = at or datetime.fromisoformat(text)
        if at.tzinfo is None and zone is None:
            raise Unreadable(Refusal.NO_TIME_ZONE)
        at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(Refusal.NOT_A_TIME) from None
    if not 1970 <= at.year < 9999:
        raise Unreadable(Refusal.NOT_A_TIME)
    return at


def _by_formats(text: str, formats: tuple[str, ...]) -> datetime | None:
    for form in formats:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  # the zone is the door's
        except ValueError:
            continue
    return None


def _since_1970(text: str) -> datetime | None:
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    number, fraction = int(found[1]), int(((found[2] or "") + "000000")[:6])
    if number >= _LEAST_MILLISECONDS:
        return _EPOCH_BEGINS + timedelta(milliseconds=number)
    return _EPOCH_BEGINS + timedelta(seconds=number, microseconds=fraction)
