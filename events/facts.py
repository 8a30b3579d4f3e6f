"""The seven facts that can happen to a case, as they are stored and decided upon."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, NewType, assert_never

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, StringConstraints, TypeAdapter

from ledger.records import dataclass

CaseId = NewType("CaseId", str)

# Names of clients and experts; also what the chart of accounts accepts as an owner.
OwnerId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$")]
# Attributes that prices match on. No blanks and no @, so that a name or an address cannot hide in one.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}$")]
Source = Annotated[str, StringConstraints(pattern=r"^[a-z0-9/][a-z0-9/_.-]{0,63}$")]


def _to_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC; microseconds only where there are any. Pydantic writes an Instant so, too."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[AwareDatetime, AfterValidator(_to_utc)]


class Resolver(StrEnum):
    """Who solved the case. Only experts earn."""

    EXPERT = "expert"
    EMPLOYEE = "employee"
    AI = "ai"


class Party(StrEnum):
    """On whose behalf a door speaks; see `events.decode.AUTHORITY`."""

    CLIENT = "client"
    EXPERT = "expert"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A case was solved at `time`, which is the resolution's resolved_at."""

    type: Literal["resolution.completed"] = "resolution.completed"
    id: Token
    source: Source
    time: Instant
    resolver: Resolver
    expert: OwnerId | None = None
    channel: Slug | None = None
    language: Slug | None = None
    skill: Slug | None = None
    priority: Slug | None = None
    route: Slug | None = None
    opened_at: Instant | None = None
    first_response_at: Instant | None = None

    def __post_init__(self) -> None:
        if (self.resolver == Resolver.EXPERT) != (self.expert is not None):
            raise ValueError("an expert's resolution names its expert, and no other resolution names one")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Score:
    """A score on the scale that it was given on."""

    score: Annotated[int, Field(ge=-1000, le=1000, strict=True)]
    scale_min: Annotated[int, Field(ge=-1000, le=1000, strict=True)]
    scale_max: Annotated[int, Field(ge=-1000, le=1000, strict=True)]

    def __post_init__(self) -> None:
        if not self.scale_min <= self.score <= self.scale_max or self.scale_min == self.scale_max:
            raise ValueError(f"score {self.score} is not on the scale {self.scale_min} to {self.scale_max}")

    @property
    def basis_points(self) -> int:
        """The place on the scale, 0 to 10,000, rounded down: 4 of 1 to 5 is 7,500.

        Rounding down keeps every comparison with a whole threshold exact.
        """
        return (self.score - self.scale_min) * 10_000 // (self.scale_max - self.scale_min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated(_Score):
    """The customer rated the solution at `time`, on a scale that is kept as it was."""

    type: Literal["resolution.rated"] = "resolution.rated"
    id: Token
    source: Source
    time: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReviewed(_Score):
    """Another expert reviewed the solution."""

    type: Literal["resolution.peer_reviewed"] = "resolution.peer_reviewed"
    id: Token
    source: Source
    time: Instant
    reviewer: OwnerId


@dataclass(frozen=True, slots=True, kw_only=True)
class QaReviewed:
    """The platform's quality review passed or failed the solution."""

    type: Literal["resolution.qa_reviewed"] = "resolution.qa_reviewed"
    id: Token
    source: Source
    time: Instant
    passed: Annotated[bool, Field(strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """The customer came back: the case is not solved any more."""

    type: Literal["resolution.reopened"] = "resolution.reopened"
    id: Token
    source: Source
    time: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """A client or an expert contests the outcome; nothing changes until it is decided."""

    type: Literal["resolution.disputed"] = "resolution.disputed"
    id: Token
    source: Source
    time: Instant
    dispute: Token
    by: Literal[Party.CLIENT, Party.EXPERT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The platform decided a dispute; it names the dispute, so that neither order of delivery matters."""

    type: Literal["dispute.decided"] = "dispute.decided"
    id: Token
    source: Source
    time: Instant
    dispute: Token
    upheld: Annotated[bool, Field(strict=True)]


Fact = Annotated[
    Completed | Rated | PeerReviewed | QaReviewed | Reopened | Disputed | Decided, Field(discriminator="type")
]
# A codec takes long to build; with this, not before it is used.
AT_FIRST_USE = ConfigDict(defer_build=True)
FACTS: TypeAdapter[tuple[Fact, ...]] = TypeAdapter(tuple[Fact, ...], config=AT_FIRST_USE)


def in_order(fact: Fact) -> tuple[datetime, int, str, str]:
    """The order of facts in a case's life: by time; at one instant a solution precedes what is said about it."""
    match fact:
        case Completed():
            rank = 0
        case Rated() | PeerReviewed() | QaReviewed():
            rank = 1
        case Disputed() | Decided():
            rank = 2
        case Reopened():
            rank = 3
        case _:
            assert_never(fact)
    return (fact.time, rank, fact.source, fact.id)


def is_same(one: Fact, other: Fact) -> bool:
    """Whether two facts are deliveries of one: the same source and id (CloudEvents 1.0)."""
    return one.id == other.id and one.source == other.source
