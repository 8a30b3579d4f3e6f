"""How a helpdesk's events are described: fields and their paths, rules of what an event means, rating scales. Pure.

Paths are as in `payloads.parse_path`; of several, with | between them, the first that has a value is taken. A path that
begins with @ is no part of the payload: @received is when the request came, @sent when it was signed, and the others
are made by `prepare`. An empty path of a listing is the door's to say, below `fields`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field as Constraint
from pydantic import field_validator, model_validator

from events.adapters.payloads import Refusal, Unreadable
from events.adapters.signatures import SchemeName
from events.facts import Resolver
from ledger.records import dataclass
from ledger.terms import Terms

_ScaleEnd = Annotated[int, Constraint(ge=-1000, le=1000, strict=True)]
_WHOLE_NUMBER = re.compile(r"([+-]?[0-9]{1,4})(?:\.0*)?")


class Field(StrEnum):
    """What is looked up in an event; each has a path that a door may replace. For `csv` it is the name of a column."""

    CASE = "case"
    ACCOUNT = "account"
    EVENT = "event"
    OBJECT = "object"
    PROPERTY = "property"
    CHANGED = "changed"
    KEY = "key"
    STATUS = "status"
    PREVIOUS = "previous"
    AT = "at"
    COMPLETED_AT = "completed_at"
    REOPENED_AT = "reopened_at"
    RATED_AT = "rated_at"
    RATING = "rating"
    AGENT = "agent"
    AGENT_KIND = "agent_kind"
    CHANNEL = "channel"
    LANGUAGE = "language"
    SKILL = "skill"
    PRIORITY = "priority"
    ROUTE = "route"
    OPENED_AT = "opened_at"
    FIRST_RESPONSE_AT = "first_response_at"


class Attribute(StrEnum):
    """A field that prices match on: a short label, as it is or by a door's map."""

    CHANNEL = "channel"
    LANGUAGE = "language"
    SKILL = "skill"
    PRIORITY = "priority"
    ROUTE = "route"


Paths = Mapping[Field, str]


class Scale(Terms):
    """A rating scale, ends included. `values` names what scores have been called; null stands for not rated.

    With `values` nothing else is a rating; without, whole numbers of the scale are.
    """

    scale_min: _ScaleEnd
    scale_max: _ScaleEnd
    values: dict[str, _ScaleEnd | None] = Constraint(default_factory=dict)

    @field_validator("values")
    @classmethod
    def _fold(cls, values: dict[str, int | None]) -> dict[str, int | None]:
        return {_folded(name): score for name, score in values.items()}

    @model_validator(mode="after")
    def _rises(self) -> "Scale":
        if self.scale_min >= self.scale_max:
            raise ValueError("scale_max: is above scale_min")
        if any(score is not None and not self.scale_min <= score <= self.scale_max for score in self.values.values()):
            raise ValueError("values: each score is on the scale, or null for what is no rating")
        return self

    def score_of(self, rating: str) -> int | None:
        """The score that a rating stands for; None if nobody rated. Raises Unreadable for what is not on the scale."""
        if self.values:
            if _folded(rating) not in self.values:
                raise Unreadable(Refusal.NOT_ON_SCALE)
            return self.values[_folded(rating)]
        number = _WHOLE_NUMBER.fullmatch(rating)
        if number is None or not self.scale_min <= int(number[1]) <= self.scale_max:
            raise Unreadable(Refusal.NOT_ON_SCALE)
        return int(number[1])


def _folded(text: str) -> str:
    return text.strip().casefold().replace("\u2019", "'")


FIVE = Scale(scale_min=1, scale_max=5)

# Stands for the states that mean solved, in this system or for this client.
SOLVED = frozenset({"<solved>"})
NOTHING = frozenset({""})


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether a field has one of these values, in small letters; of a list one is enough. "" stands for no value."""

    field: Field
    values: frozenset[str]
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """What an event means if all conditions hold. `gap` is an event that says too little to mean anything."""

    means: Literal["completed", "reopened", "rated", "gap"]
    conditions: tuple[Condition, ...] = ()


def has(name: Field, *values: str) -> Condition:
    """The field has one of the values; with none, any at all."""
    return Condition(name, frozenset(values)) if values else Condition(name, NOTHING, expected=False)


def lacks(name: Field) -> Condition:
    """The field has no value."""
    return Condition(name, NOTHING)


def is_solved(name: Field) -> Condition:
    """The state in the field means solved."""
    return Condition(name, SOLVED)


def is_open(name: Field) -> Condition:
    """The state in the field does not mean solved; having none is one of those."""
    return Condition(name, SOLVED, expected=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Events of one shape. `items` is the path of the events in a payload; one that is no list is a single event.

    The first rule of each meaning that holds is taken.
    """

    paths: Paths
    rules: tuple[Rule, ...]
    items: str = ""
    is_table: bool = False
    prepare: Callable[[Mapping[str, object]], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A listing to be polled page by page. `url` and `query` are what to ask for, from the system's own address.

    {since} is the cursor's or else `beginning`, {page} the number, offset or token of the page, {limit} its most items,
    {fields} what the door's paths name below `fields`. A page is followed by another if there is a token at `next_page`
    or, where the listing has no such path, if it is full. `newest` is the field or path of the time that {since}
    advances by; `is_ordered` says that it lists by that time, oldest first. A listing that `resumes` goes on at its
    last page. One that is asked `by_day` has days of a zone of its own, so that {since} is the day before.
    """

    feed: Feed
    url: str
    query: Mapping[str, str]
    beginning: str = ""
    first_page: str = ""
    limit: int = 100
    page_step: int = 0
    next_page: str = ""
    newest: Field | str = ""
    is_ordered: bool = False
    resumes: bool = False
    by_day: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemTable:
    """Everything known about a system. `solved` are its solved states, in small letters.

    `kinds` says which kinds of agents are no employees; with `is_zoneless` it gives times without a zone. Its listings
    are asked for with the key as `key_scheme` sends it.
    """

    scheme: SchemeName | None = None
    feed: Feed | None = None
    listings: Mapping[str, Listing] = field(default_factory=dict)
    key_scheme: Literal[SchemeName.BASIC, SchemeName.BEARER] = SchemeName.BASIC
    solved: frozenset[str] = frozenset()
    scale: Scale | None = None
    kinds: Mapping[str, Resolver] = field(default_factory=dict)
    is_zoneless: bool = False
