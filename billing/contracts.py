"""Contracts: a client's terms as data. One version prices a whole period and starts at a period's first day."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from billing.calendars import Calendar
from billing.periods import Period, period_of_date
from events.facts import OwnerId, Resolver, Slug
from ledger.money import Currency, parse_decimal, round_half_away, to_minor_units
from ledger.records import dataclass
from ledger.terms import Amount, CurrencyCode, FieldPath, Percent, Terms, format_path


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is not an IANA time zone, such as Europe/Berlin") from None
    return name


def _check_first_of_month(day: date) -> date:
    if day.day != 1:
        raise ValueError(f"{day} is not the first day of a month, and one version prices a whole period")
    return day


def _check_part(percent: str) -> str:
    exact = parse_decimal(percent)
    if not 0 <= exact <= 100 or (exact * 100).denominator != 1:
        raise ValueError(f"{percent} is not between 0 and 100 with at most two decimals")
    return percent


@lru_cache(maxsize=1024)
def _basis_points(percent: str) -> int:
    """Hundredths of a percentage that `_check_part` let pass."""
    return int(parse_decimal(percent) * 100)


Hours = Annotated[int, Field(ge=0, le=24 * 366, strict=True)]
FirstOfMonth = Annotated[date, AfterValidator(_check_first_of_month)]
PartPercent = Annotated[Percent, AfterValidator(_check_part)]


class PerUnit(Terms):
    """The same price for every resolution."""

    model: Literal["per_unit"] = "per_unit"
    unit: Amount


class Tier(Terms):
    """Units up to and including `up_to`; the last tier has no end."""

    up_to: Annotated[int, Field(gt=0, strict=True)] | None = None
    unit: Amount


class _Tiered(Terms):
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]

    @field_validator("tiers")
    @classmethod
    def _tiers_rise(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        ends = [tier.up_to for tier in tiers]
        if ends[-1] is not None or None in ends[:-1]:
            raise ValueError("every tier but the last has up_to, and the last has none")
        if any(later <= earlier for earlier, later in pairwise(ends[:-1]) if earlier and later):
            raise ValueError("tiers rise: each up_to is above the one before")
        return tiers


class Graduated(_Tiered):
    """Each unit has the price of the tier it falls in."""

    model: Literal["graduated"] = "graduated"


class Volume(_Tiered):
    """All units have the price of the tier that the period's total falls in."""

    model: Literal["volume"] = "volume"


class Package(Terms):
    """A price for every started package of `size` units."""

    model: Literal["package"] = "package"
    size: Annotated[int, Field(gt=0, strict=True)]
    amount: Amount


Price = Annotated[PerUnit | Graduated | Volume | Package, Field(discriminator="model")]


class Match(Terms):
    """Which resolutions a rate is for: every attribute that is named must have one of its values.

    `calendar` names calendars of the contract; the resolution's resolved_at must fall in any of them.
    """

    channel: tuple[Slug, ...] | None = None
    language: tuple[Slug, ...] | None = None
    skill: tuple[Slug, ...] | None = None
    priority: tuple[Slug, ...] | None = None
    route: tuple[Slug, ...] | None = None
    resolver: tuple[Resolver, ...] | None = None
    calendar: Annotated[tuple[Slug, ...], Field(min_length=1)] | None = None


class Rate(Terms):
    """One line of the rate card. Its id is stable: counters, charges and invoices are kept by it."""

    id: Slug
    match: Match = Match.model_construct()  # or its validator would be built at import
    included: Annotated[int, Field(ge=0, strict=True)] = 0
    price: Price


class BelowThreshold(StrEnum):
    """What a resolution costs whose rating is below the threshold, or that nobody rated."""

    CHARGE = "charge"
    DISCOUNT = "discount"
    WAIVE = "waive"


class Rating(Terms):
    """How ratings decide the charge. Without this section a resolution is charged when it is solved."""

    window_hours: Annotated[int, Field(gt=0, le=24 * 90, strict=True)]
    threshold_percent: PartPercent
    below: BelowThreshold
    unrated: BelowThreshold
    discount_percent: Annotated[PartPercent | None, Field(validate_default=True)] = None

    # Checks of single fields, here and below, so that one mistake in a file does not hide the others.
    @field_validator("discount_percent")
    @classmethod
    def _is_given_for_a_discount(cls, percent: str | None, info: ValidationInfo) -> str | None:
        outcomes = [info.data.get("below"), info.data.get("unrated")]
        if None not in outcomes and (BelowThreshold.DISCOUNT in outcomes) != (percent is not None):
            raise ValueError("is given if, and only if, below or unrated is `discount`")
        return percent

    @property
    def threshold_basis_points(self) -> int:
        """The threshold on the scale of 0 to 10,000; a rating equal to it passes."""
        return _basis_points(self.threshold_percent)

    @property
    def discount_basis_points(self) -> int:
        """The discount in hundredths of a percent; 0 where no discount applies."""
        return _basis_points(self.discount_percent or "0")


class CapAction(StrEnum):
    """What happens to usage beyond the cap."""

    WAIVE = "waive"
    ALERT = "alert"


class Cap(Terms):
    """The most that a period's usage costs, before tax; or, with `alert`, only the amount to be warned about."""

    amount: Amount
    action: CapAction = CapAction.WAIVE


class Commitment(Terms):
    """Resolutions the client has promised to take in each period; each one missing is charged at `unit`."""

    units: Annotated[int, Field(gt=0, strict=True)]
    unit: Amount


class Contract(Terms):
    """One version of a client's terms, in force from `starts_on` until the next version or `ends_on` (exclusive)."""

    client: OwnerId
    starts_on: FirstOfMonth
    ends_on: FirstOfMonth | None = None
    currency: CurrencyCode
    time_zone: Annotated[str, AfterValidator(_check_time_zone)]
    reopen_window_hours: Hours = 168
    confirmation_hours: Hours = 0
    acceptance_days: Annotated[int, Field(ge=0, le=366, strict=True)] = 30
    close_delay_hours: Hours = 24
    rating: Rating | None = None
    minimum: Amount = "0"
    cap: Cap | None = None
    commitment: Commitment | None = None
    prepaid: bool = False
    tax_percent: Percent = "0"
    net_days: Annotated[int, Field(ge=0, le=365, strict=True)] = 30
    calendars: tuple[Calendar, ...] = ()
    # An invoice at Stripe has at most 250 lines: one for each rate, and a few more.
    rates: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=200)]

    @field_validator("ends_on")
    @classmethod
    def _ends_after_it_starts(cls, ends_on: date | None, info: ValidationInfo) -> date | None:
        starts_on = info.data.get("starts_on")
        if ends_on and starts_on and ends_on <= starts_on:
            raise ValueError(f"{ends_on} is not after starts_on, {starts_on}")
        return ends_on

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> "Contract":
        plain = {
            "calendars": [{"id": calendar.id} for calendar in self.calendars],
            "rates": [{"id": rate.id, "match": {"calendar": rate.match.calendar}} for rate in self.rates],
        }
        for path, what in reference_problems(plain):
            raise ValueError(f"{format_path(path)}: {what}")
        return self

    @property
    def version(self) -> str:
        """The version's name: its first period."""
        return period_of_date(self.starts_on)

    @property
    def cap_minor(self) -> int | None:
        """The cap in minor units; None if there is none."""
        return (
            None if self.cap is None else round_half_away(to_minor_units(parse_decimal(self.cap.amount), self.currency))
        )

    @property
    def waives_beyond(self) -> int | None:
        """The minor units beyond which usage is waived; None if it never is."""
        return self.cap_minor if self.cap is not None and self.cap.action is CapAction.WAIVE else None

    def rate(self, rate_id: str) -> Rate:
        """The rate of an id; KeyError if the card has none."""
        for rate in self.rates:
            if rate.id == rate_id:
                return rate
        raise KeyError(f"{self.client} {self.version} has no rate {rate_id}")


def reference_problems(contract: Mapping[str, object]) -> Iterator[tuple[FieldPath, str]]:
    """Ids that occur twice and names of calendars that are not there, each with its field.

    The contract is plain data and may be broken elsewhere: what cannot be read is passed over, so that one mistake in
    a file does not hide the others.
    """
    rates, calendars = (_items(contract.get(name, ())) for name in ("rates", "calendars"))
    yield from _twice("rates", rates)
    yield from _twice("calendars", calendars)
    if calendars is None or rates is None:
        return
    known = list(dict.fromkeys(str(calendar.get("id")) for calendar in calendars))
    for position, rate in enumerate(rates):
        match = rate.get("match")
        for place, name in enumerate(_texts(match.get("calendar")) if isinstance(match, Mapping) else ()):
            if name not in known:
                there = f"there are {', '.join(known)}" if known else "the contract has no calendars"
                yield ("rates", position, "match", "calendar", place), f"there is no calendar {name}; {there}"


def _items(value: object) -> list[Mapping[str, object]] | None:
    """The items of a list, an empty one for each that has no fields; None for what is no list."""
    if not isinstance(value, list | tuple):
        return None
    return [item if isinstance(item, Mapping) else {} for item in value]


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def _twice(name: str, items: Iterable[Mapping[str, object]] | None) -> Iterator[tuple[FieldPath, str]]:
    ids = [item.get("id") for item in items or ()]
    for place, item_id in enumerate(ids):
        if item_id is not None and item_id in ids[:place]:
            yield (name, place, "id"), f"{item_id} is the id of {name}[{ids.index(item_id)}] already"


class ContractNotInForce(LookupError):
    """No version of the client's contract covers the period; mended by applying one."""

    def __init__(self, client: str, period: str) -> None:
        super().__init__(f"{client} has no contract in force in {period}; apply a version that covers it")


@dataclass(frozen=True, slots=True)
class ContractHistory:
    """All versions of one client's contract, oldest first, not overlapping."""

    client: str
    versions: tuple[Contract, ...]

    def in_force(self, period: Period) -> Contract:
        """The version that prices `period`; raises ContractNotInForce."""
        day = date.fromisoformat(f"{period}-01")
        for contract in reversed(self.versions):
            if contract.starts_on <= day:
                if contract.ends_on is not None and contract.ends_on <= day:
                    break
                return contract
        raise ContractNotInForce(self.client, period)

    @property
    def currency(self) -> Currency:
        """The client's currency; it does not change between versions."""
        return self.versions[0].currency

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone of the client's periods; it does not change between versions."""
        return ZoneInfo(self.versions[0].time_zone)


class HistoryRefused(ValueError):
    """A version that may not join the history: it overlaps, is back-dated or changes what may not change."""


def add_version(history: Sequence[Contract], version: Contract, closed_through: str) -> tuple[Contract, ...]:
    """The history with `version` added or, while its period is not closed, replaced.

    `closed_through` is the client's last closed period, "" if none. Raises HistoryRefused, `field: reason`, for a
    version that starts in a closed period, overlaps another, or changes currency or time zone.
    """
    if version.version <= closed_through:
        raise HistoryRefused(f"starts_on: {version.starts_on} lies in a closed period ({closed_through} is closed)")
    others = [other for other in history if other.starts_on != version.starts_on]
    is_new = len(others) == len(history)
    for other in others:
        _check_pair(other, version)
        if other.starts_on > version.starts_on and version.ends_on is None and is_new:
            raise HistoryRefused(f"starts_on: {version.starts_on} is before the version of {other.starts_on}")
    return tuple(sorted([*others, version], key=lambda contract: contract.starts_on))


def _check_pair(other: Contract, version: Contract) -> None:
    for name, kept, wanted in (
        ("currency", other.currency, version.currency),
        ("time_zone", other.time_zone, version.time_zone),
    ):
        if kept != wanted:
            raise HistoryRefused(f"{name}: a client keeps {kept} for life; open a new client instead")
    first, second = (other, version) if other.starts_on < version.starts_on else (version, other)
    if first.ends_on is not None and first.ends_on > second.starts_on:
        name, day = ("ends_on", version.ends_on) if first is version else ("starts_on", version.starts_on)
        raise HistoryRefused(f"{name}: {day} overlaps the version of {other.starts_on}")
