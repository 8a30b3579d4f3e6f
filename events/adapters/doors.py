"""A door: how one client's helpdesk is read. Who its agents are, what its labels mean, where its fields are. Pure."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from events.adapters.payloads import Refusal, Unreadable, parse_path
from events.adapters.rules import Attribute, Scale, SystemTable
from events.adapters.rules import Field as FieldName
from events.adapters.signatures import SCHEMES, SchemeName, Shared, Signed
from events.adapters.systems import SYSTEMS, System
from events.facts import OwnerId, Resolver, Slug
from ledger.terms import FieldPath, Terms

_OWNER = re.compile(get_args(OwnerId)[1].pattern)
_SLUG = re.compile(get_args(Slug)[1].pattern)
_SYSTEM_ID = re.compile(r"(?=[a-z-]*\d)[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST_SYSTEM_ID = 48
_ANY = "*"


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is not an IANA time zone, such as Europe/Berlin") from None
    return name


def _check_time_format(form: str) -> str:
    try:
        datetime.strptime(_EXAMPLE.strftime(form), form)  # noqa: DTZ007  # the zone is the door's
    except ValueError:
        raise ValueError(f"{form!r} is not a time format such as %d/%m/%Y %H:%M") from None
    return form


_EXAMPLE = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
TimeFormat = Annotated[str, Field(min_length=2, max_length=60), AfterValidator(_check_time_format)]
TimeZoneName = Annotated[str, AfterValidator(_check_time_zone)]
AgentId = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]{1,200}$")]


class Agents(Terms):
    """Who the agents of a helpdesk are, by their ids there.

    `others` are agents that are not listed, `unassigned` is who solved a case that names nobody. Where either is
    `expert`, the resolution names an expert whom nobody knows, `<system>-<agent>`, so that it is parked until somebody
    says who it was. With `named_by_expert_id` an agent who is not listed is the expert of that id.
    """

    experts: dict[AgentId, OwnerId] = Field(default_factory=dict)
    employees: tuple[AgentId, ...] = ()
    ai: tuple[AgentId, ...] = ()
    kinds: dict[Label, Resolver] = Field(default_factory=dict)
    others: Resolver = Resolver.EXPERT
    unassigned: Resolver = Resolver.EXPERT
    named_by_expert_id: bool = False

    @model_validator(mode="after")
    def _once(self) -> "Agents":
        listed = [*self.experts, *self.employees, *self.ai]
        twice = sorted({agent for agent in listed if listed.count(agent) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is listed twice; an agent is an expert, an employee or an ai")
        return self

    def resolver_of(self, system: System, agent: str, kind: str = "") -> dict[str, str]:
        """Fields `resolver` and `expert` of a completion by this agent; `kind` is what the system says it is."""
        if agent in self.experts:
            return _by(self.experts[agent])
        if agent in self.employees:
            return {"resolver": Resolver.EMPLOYEE.value}
        if agent in self.ai:
            return {"resolver": Resolver.AI.value}
        kinds = {**SYSTEMS[system].kinds, **{name.casefold(): resolver for name, resolver in self.kinds.items()}}
        resolver = kinds.get(kind.casefold(), self.others if agent else self.unassigned)
        if resolver is not Resolver.EXPERT:
            return {"resolver": resolver.value}
        if self.named_by_expert_id and _OWNER.fullmatch(agent):
            return _by(agent)
        return _by(unknown_expert(system, agent))


def _by(expert: str) -> dict[str, str]:
    return {"resolver": Resolver.EXPERT.value, "expert": expert}


def unknown_expert(system: System, agent: str) -> str:
    """The expert id of an agent whom no door lists: `zendesk-900100`, so that a completion is parked as by an unknown.

    What is not clearly an id, such as a name or an address, becomes a hash: `zendesk-` and 16 hexadecimal digits.
    """
    plain = re.sub(r"[._:/]", "-", agent.casefold())
    if not agent:
        plain = "unassigned"
    elif len(plain) > _LONGEST_SYSTEM_ID or not _SYSTEM_ID.fullmatch(plain):
        plain = hashlib.sha256(agent.encode()).hexdigest()[:16]
    return f"{system}-{plain}"


class ExportForm(Terms):
    """How a CSV export is written. Each of `time_formats` is tried in turn, in the notation of strptime, then RFC 3339.

    Cells that are one of `missing` count as empty.
    """

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    time_formats: tuple[TimeFormat, ...] = ()
    missing: tuple[str, ...] = ("", "?", "-")


class Polling(Terms):
    """Where a door's listings are asked for, and the name under which the key for that is kept, never the key.

    `address` is the account's own, such as https://acme.freshdesk.com. The key is `user:password`, or a token for
    systems that take one. Without `listings` it is all that the system has.
    """

    address: Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$")]
    key: SecretName
    listings: tuple[str, ...] = ()


class Door(Terms):
    """How events of one account of a helpdesk become facts of a client.

    `account` names the account in the facts' source. HubSpot and Intercom sign with a secret that several accounts may
    share, so for them it is the portal or workspace id, and events of another are refused. `secret` is the name under
    which the secret is kept, never the secret. `case_prefix` stands before the system's case ids, by default the
    system's name and a hyphen; ServiceNow's and an export's have none.

    What a map of `maps` does not list stays empty; `"*"` names what stands for all others. Without a map a label passes
    in small letters, with hyphens for blanks. A field of your own never does so, since people's words could stand in
    it, unless `pick_lists` says that they cannot.
    """

    id: OwnerId
    client: OwnerId
    system: System
    account: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,47}$")]
    secret: SecretName | None = None
    scheme: SchemeName | None = None
    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")] | None = None
    time_zone: TimeZoneName | None = None
    case_prefix: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9._:/-]{0,31})?$")] | None = None
    agents: Agents = Agents.model_construct()  # or its validator would be built at import
    maps: dict[Attribute, dict[Label, Slug]] = Field(default_factory=dict)
    pick_lists: tuple[Attribute, ...] = ()
    rating: Scale | None = None
    solved: tuple[Label, ...] = ()
    fields: dict[FieldName, Annotated[str, Field(min_length=1, max_length=300)]] = Field(default_factory=dict)
    export: ExportForm = ExportForm.model_construct()
    poll: Polling | None = None

    @field_validator("fields")
    @classmethod
    def _strip(cls, fields: dict[FieldName, str]) -> dict[FieldName, str]:
        return {name: path.strip() for name, path in fields.items()}

    @model_validator(mode="after")
    def _is_whole(self) -> "Door":
        for check in (_secrecy, _own_fields, _labels, _columns, _listings):
            problem = check(self)
            if problem:
                raise ValueError(problem)
        return self

    @property
    def table(self) -> SystemTable:
        """What is known about its system."""
        return SYSTEMS[self.system]

    @property
    def source(self) -> str:
        """The source of its facts."""
        return f"{self.system}/{self.account}"

    @property
    def polled(self) -> tuple[str, ...]:
        """The listings that are polled."""
        return () if self.poll is None else self.poll.listings or tuple(self.table.listings)

    @property
    def prefix(self) -> str:
        """What stands before a case's id."""
        if self.case_prefix is not None:
            return self.case_prefix
        return "" if self.system in {System.SERVICENOW, System.CSV} else f"{self.system}-"

    @property
    def authenticity(self) -> Signed | Shared | None:
        """How its webhooks prove themselves; None if it takes none."""
        name = self.scheme or self.table.scheme
        return None if name is None else SCHEMES[name]

    @property
    def scale(self) -> Scale | None:
        """The scale of its ratings."""
        return self.rating or self.table.scale

    @property
    def solved_states(self) -> frozenset[str]:
        """The states that mean solved, in small letters."""
        return frozenset(state.strip().casefold() for state in self.solved) or self.table.solved

    def label(self, attribute: Attribute, values: Sequence[str]) -> str | None:
        """What prices match on for these values of an attribute; None if that says nothing.

        Of several values, the first that the map lists is taken. Raises Unreadable for one that is no label.
        """
        given = [value for value in values if value]
        if attribute in self.maps:
            return _mapped(self.maps[attribute], given)
        if len(given) != 1:
            return None
        slug = label_slug(given[0])
        if _SLUG.fullmatch(slug) is None:
            raise Unreadable(Refusal.NOT_A_LABEL)
        return slug


def _mapped(labels: Mapping[str, str], values: Sequence[str]) -> str | None:
    folded = {name.strip().casefold(): slug for name, slug in labels.items()}
    listed = (folded[value.casefold()] for value in values if value.casefold() in folded)
    return next(listed, folded.get(_ANY) if values else None)


def label_slug(text: str) -> str:
    """A label as prices match on it: "3 - Moderate" is 3-moderate. What was no label, such as an address, stays bad."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    return re.sub(r"[^\w.@]+", "-", plain).strip("-_.")


# -- what makes a door whole: each says what is wrong with which field, or nothing -------------------------------------


def _secrecy(door: Door) -> str:
    takes_webhooks = door.table.scheme is not None
    if takes_webhooks and door.secret is None:
        return f"secret: is missing; name the secret that {door.system} proves itself with"
    if door.scheme is not None and not takes_webhooks:
        return f"scheme: {door.system} sends no webhooks; leave it out"
    if door.header is not None and not isinstance(door.authenticity, Shared):
        return "header: the scheme has its own header; leave it out, or take the scheme token, bearer or basic"
    if door.table.is_zoneless and door.time_zone is None:
        return f"time_zone: is missing; {door.system} gives times without a zone, so say which, such as UTC"
    return ""


def _own_fields(door: Door) -> str:
    if door.table.feed is not None and door.table.feed.is_table:
        return ""
    feeds = [door.table.feed] if door.table.feed else []
    known = {name for feed in (*feeds, *(it.feed for it in door.table.listings.values())) for name in feed.paths}
    known |= {FieldName(attribute) for attribute in Attribute} | _OF_ANY_SYSTEM
    for name, path in door.fields.items():
        if name not in known:
            return f"fields.{name}: {door.system} has no use for it; leave it out"
        for one in re.split(r"[|+]" if name is FieldName.KEY else r"\|", path):
            try:
                parse_path(one.strip())
            except ValueError as error:
                return f"fields.{name}: {error}"
    return ""


_OF_ANY_SYSTEM = {
    FieldName.ACCOUNT,
    FieldName.AGENT_KIND,
    FieldName.OPENED_AT,
    FieldName.FIRST_RESPONSE_AT,
    FieldName.RATING,
    FieldName.RATED_AT,
    FieldName.COMPLETED_AT,
    FieldName.REOPENED_AT,
}


def _labels(door: Door) -> str:
    for attribute in Attribute:
        if FieldName(attribute) in door.fields and attribute not in door.maps and attribute not in door.pick_lists:
            return (
                f"maps: {attribute} is read from a field of your own, so list its values in maps.{attribute}, or put "
                f"{attribute} into pick_lists if nobody's words can stand in that field"
            )
    return ""


def _columns(door: Door) -> str:
    given = door.fields
    if FieldName.RATING in given and door.scale is None:
        return f"rating: is missing; {door.system} has no scale of its own, so say scale_min and scale_max"
    if door.system is not System.CSV:
        return ""
    if FieldName.CASE not in given:
        return "fields: case is missing; name the column that holds the ids of the cases"
    if not {FieldName.COMPLETED_AT, FieldName.REOPENED_AT, FieldName.RATING} & given.keys():
        return "fields: nothing to read; name the column of completed_at, reopened_at or rating"
    if FieldName.RATING in given and FieldName.RATED_AT not in given:
        return "fields: rated_at is missing; name its column, or that of completed_at if there is none"
    return ""


def _listings(door: Door) -> str:
    known = door.table.listings
    if door.poll is not None and not known:
        return f"poll: {door.system} has nothing that is polled; leave it out"
    for listing in door.polled:
        if listing not in known:
            return f"poll: {door.system} has no listing {listing}; there is {', '.join(known)}"
        for name, path in known[listing].feed.paths.items():
            own = alternatives(door.fields.get(name, ""))
            if not path and not any(one.startswith("fields.") for one in own):
                return f"fields.{name}: is missing; say where {listing} has it, such as fields.customfield_10010"
    return ""


@lru_cache(maxsize=4096)
def alternatives(path: str) -> tuple[str, ...]:
    """The paths in `a | b`, in their order."""
    return tuple(part.strip() for part in path.split("|"))


def door_problems(doors: Sequence[Door]) -> Iterator[tuple[int, FieldPath, str]]:
    """What is wrong among doors: the position of one, its field, and a sentence that says what and what to do.

    Cases of two accounts of one client whose ids look alike would become one case, and be charged as one. Doors of the
    same account, such as its webhooks and an export of it, may share their case ids.
    """
    ids: set[str] = set()
    accounts: dict[tuple[str, str], Door] = {}
    for position, door in enumerate(doors):
        if door.id in ids:
            yield position, ("id",), f"{door.id} is the id of another door, too; choose another"
        ids.add(door.id)
        first = accounts.setdefault((door.client, door.prefix), door)
        if first.account != door.account:
            what = f"cases of {door.source} and of {first.source} begin alike; give one of the doors a case_prefix"
            yield position, ("case_prefix",), what


def agents_by_unknown_id(doors: Iterable[Door]) -> dict[tuple[str, str], str]:
    """Source and unknown expert id to the expert that a door now says it is: who solved what was parked before."""
    return {
        (door.source, unknown_expert(door.system, agent)): expert
        for door in doors
        for agent, expert in door.agents.experts.items()
    }
