"""Statements: what an expert was owed before a span of days, each line that changed it, and what is owed after. Pure.

A line is an entry that moves the expert's payable. Its day is the entry's accounting date: for earnings in the client's
time zone, for everything else in UTC. What of the evidence an expert may see is an allow-list: never the client's
price, unless the plan is a share of it, and then just what is shared.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction

from ledger.accounts import expert_in_transit, expert_payable
from ledger.entries import Entry, EntryId
from ledger.money import Currency, Money
from ledger.posting_rules import Reason
from ledger.records import dataclass
from payouts.payouts import why_told
from payouts.plans import ShareOf

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_WEEK = re.compile(r"(\d{4})-W(\d{2})")


class StatementRefused(ValueError):
    """A span of days that is none."""


class StatementDiffers(RuntimeError):
    """Entries do not sum to what is owed. If one was just being posted reading again helps; else somebody must look."""


class LineKind(StrEnum):
    """What changed what is owed. A correction changes what a cycle earned; a reversal takes all of it back."""

    EARNING = "earning"
    CORRECTION = "correction"
    REVERSAL = "reversal"
    INCENTIVE = "incentive"
    INCENTIVE_CORRECTION = "incentive_correction"
    PAYOUT = "payout"
    PAYOUT_RELEASED = "payout_released"
    TRANSFER_REVERSED = "transfer_reversed"
    WITHHOLDING = "withholding"
    INSTANT_FEE = "instant_fee"
    MANUAL = "manual"


# Every reason by which an entry may move a payable.
KINDS: Mapping[Reason, LineKind] = {
    Reason.SETTLED: LineKind.EARNING,
    Reason.CORRECTED: LineKind.CORRECTION,
    Reason.REVERSED: LineKind.REVERSAL,
    Reason.CREDITED: LineKind.REVERSAL,
    Reason.INCENTIVE: LineKind.INCENTIVE,
    Reason.INCENTIVE_CORRECTED: LineKind.INCENTIVE_CORRECTION,
    Reason.PAYOUT_RESERVED: LineKind.PAYOUT,
    Reason.PAYOUT_RELEASED: LineKind.PAYOUT_RELEASED,
    Reason.PAYOUT_REVERSED: LineKind.TRANSFER_REVERSED,
    Reason.WITHHELD: LineKind.WITHHOLDING,
    Reason.PAYOUT_FEE: LineKind.INSTANT_FEE,
    Reason.MANUAL: LineKind.MANUAL,
}
_DEDUCTIONS = frozenset({Reason.WITHHELD, Reason.PAYOUT_FEE})


@dataclass(frozen=True, slots=True)
class Span:
    """Days from `first` to `last`, both included. Raises StatementRefused if they are the wrong way round."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise StatementRefused(f"{self.first} is after {self.last}; give the earlier day first")

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def span_of(name: str) -> Span:
    """The days of a month, such as 2026-10, or of an ISO 8601 week, such as 2026-W41. Raises StatementRefused."""
    try:
        if found := _MONTH.fullmatch(name):
            first = date(int(found[1]), int(found[2]), 1)
            return Span(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))
        if found := _WEEK.fullmatch(name):
            monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
            return Span(monday, monday + timedelta(days=6))
    except (ValueError, OverflowError):
        pass  # a month 13 or a week 54: refused below, like any other text
    raise StatementRefused(f"{name!r} is neither a month, such as 2026-10, nor an ISO week, such as 2026-W41")


@dataclass(frozen=True, slots=True)
class Considered:
    """A part of an earning that was considered: what it came to in minor units, 0 if it was not granted, and why."""

    component: str
    minor_units: int
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """One change of what is owed: signed minor units, positive in the expert's favour.

    `rule` is the pay plan and its version, `incentive` which of its incentives. `trace` says what the whole cycle earns
    now and why, so the line of a correction is the difference to what it earned before. `list_price` (exact minor
    units) and `rate` are there if the plan shares the list price; `charged` (minor units) and `rate` if it shares what
    the client is charged. `rating` is in basis points. What is earned can be paid from `release_on` on. `payout` is the
    id of a payout.
    """

    day: date
    kind: LineKind
    currency: Currency
    minor_units: int
    entry: EntryId
    client: str | None = None
    case: str | None = None
    cycle: int | None = None
    rule: str | None = None
    incentive: str | None = None
    rate: str | None = None
    list_price: Fraction | None = None
    charged: int | None = None
    rating: int | None = None
    why: str | None = None
    trace: tuple[Considered, ...] = ()
    release_on: date | None = None
    payout: str | None = None


@dataclass(frozen=True, slots=True)
class Deduction:
    """What was kept out of a payout's transfer, in minor units > 0; the line of the payout contains it already."""

    day: date
    kind: LineKind
    minor_units: int
    payout: str | None


@dataclass(frozen=True, slots=True)
class Section:
    """One currency of a statement: `opening`, `lines` and `closing` in signed minor units, below zero after a clawback.

    `closing` is what is owed by the books of holds, not by the entries: raises StatementDiffers if opening and lines do
    not come to it. `in_transit` is reserved for payouts whose transfer was not confirmed on the last day.
    """

    currency: Currency
    opening: int
    lines: tuple[Line, ...]
    closing: int
    in_transit: int
    deductions: tuple[Deduction, ...] = ()

    def __post_init__(self) -> None:
        found = self.opening + sum(line.minor_units for line in self.lines)
        if found != self.closing:
            posted, owed = Money(found, self.currency), Money(self.closing, self.currency)
            raise StatementDiffers(
                f"opening and lines come to {posted}, but {owed} are owed by holds and what is available; "
                "try again, and if it stays so run `solvent reconcile`"
            )

    def totals(self) -> dict[LineKind, int]:
        """The sum of the lines of each kind that occurs, in the order of LineKind."""
        return {
            kind: sum(line.minor_units for line in self.lines if line.kind is kind)
            for kind in LineKind
            if any(line.kind is kind for line in self.lines)
        }


@dataclass(slots=True)
class _Draft:
    """One currency of a statement while its entries are read; amounts are what the expert is owed more."""

    span: Span
    opening: int = 0
    later: int = 0
    in_transit: int = 0
    lines: list[Line] = field(default_factory=list)
    deductions: list[Deduction] = field(default_factory=list)

    def move_payable(self, entry: Entry, amount: Money, payout: str | None) -> None:
        if entry.effective_on < self.span.first:
            self.opening += amount.minor_units
        elif entry.effective_on > self.span.last:
            self.later += amount.minor_units
        else:
            self.lines.append(_line(entry, amount, payout))

    def move_in_transit(self, entry: Entry, amount: Money, payout: str | None) -> None:
        if entry.effective_on > self.span.last:
            return
        self.in_transit += amount.minor_units
        if entry.reason in _DEDUCTIONS and entry.effective_on >= self.span.first:
            deducted = Deduction(entry.effective_on, KINDS[entry.reason], -amount.minor_units, payout)
            self.deductions.append(deducted)

    def section(self, code: Currency, owed_now: int) -> Section:
        return Section(
            currency=code,
            opening=self.opening,
            lines=tuple(self.lines),
            closing=owed_now - self.later,
            in_transit=self.in_transit,
            deductions=tuple(self.deductions),
        )


def sections_of(expert: str, span: Span, entries: Sequence[Entry], owed: Mapping[Currency, int]) -> tuple[Section, ...]:
    """A section for each currency: from all entries that touch an expert, in order, and what is owed now (minor units).

    What is owed after the last day is what is owed now less what was posted for later days. Raises StatementDiffers.
    """
    payable, in_transit = expert_payable(expert), expert_in_transit(expert)
    known = payout_ids(entries)
    drafts = {code: _Draft(span) for code in owed}
    for entry in entries:
        for posting in entry.postings:
            draft = drafts.setdefault(posting.amount.currency, _Draft(span))
            if posting.account == payable:
                draft.move_payable(entry, -posting.amount, payout_of(entry, known))
            elif posting.account == in_transit:
                draft.move_in_transit(entry, -posting.amount, payout_of(entry, known))
    sections = (draft.section(code, owed.get(code, 0)) for code, draft in sorted(drafts.items()))
    return tuple(it for it in sections if it.opening or it.lines or it.closing or it.in_transit or it.deductions)


def payouts_in(expert: str, span: Span, entries: Iterable[Entry]) -> tuple[str, ...]:
    """The ids of the payouts that something happened to in a span, and of those on their way at its end, in order."""
    account, seen = expert_in_transit(expert), list(entries)
    known, happened, on_their_way = payout_ids(seen), dict[str, bool](), dict[str, int]()
    for entry in seen:
        id_ = payout_of(entry, known)
        if id_ is None or entry.effective_on > span.last:
            continue
        happened[id_] = happened.get(id_, False) or entry.effective_on >= span.first
        moved = sum(posting.amount.minor_units for posting in entry.postings if posting.account == account)
        on_their_way[id_] = on_their_way.get(id_, 0) + moved
    return tuple(id_ for id_ in happened if happened[id_] or on_their_way[id_])


def payout_ids(entries: Iterable[Entry]) -> frozenset[str]:
    """The ids of all payouts that were reserved in these entries."""
    reserved = (entry.id for entry in entries if entry.reason is Reason.PAYOUT_RESERVED)
    return frozenset(id_.rpartition(":")[0] for id_ in reserved)


def payout_of(entry: Entry, known: Collection[str]) -> str | None:
    """Which of these payouts an entry is about: its id is that of the payout, and what happened to it."""
    id_ = str(entry.id)
    while id_:
        id_ = id_.rpartition(":")[0]
        if id_ in known:
            return id_
    return None


def _line(entry: Entry, amount: Money, payout: str | None) -> Line:
    """A line with what the expert may see of the evidence, and nothing else of it."""
    told = json.loads(entry.evidence)
    share_of, price = told.get("share_of"), told.get("list_price")
    is_share_of_list = share_of == ShareOf.LIST_PRICE and price is not None
    owner, _, client = entry.book.partition("/")
    release_on = told.get("release_on")
    why = told.get("why")
    return Line(
        day=entry.effective_on,
        kind=KINDS[entry.reason],
        currency=amount.currency,
        minor_units=amount.minor_units,
        entry=entry.id,
        client=client if owner == "client" else None,
        case=told.get("case"),
        cycle=told.get("cycle"),
        rule=told.get("plan"),
        incentive=told.get("incentive"),
        rate=told.get("rate") if share_of else None,
        list_price=Fraction(price) if is_share_of_list else None,
        charged=told.get("charged") if share_of == ShareOf.CHARGED else None,
        rating=told.get("rating"),
        why=why and why_told(why),
        trace=tuple(Considered(*considered) for considered in told.get("trace", ())),
        release_on=date.fromisoformat(release_on) if release_on else None,
        payout=payout,
    )
