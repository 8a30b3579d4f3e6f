"""The close of a month: a checklist that runs, remembers what was done by whom, and goes on where it stopped.

What the steps do is in `month_steps.py`. A step that is done stays done; one that is blocked says by what and what to
do, and stops the checklist. Every step may be run again, so whoever is interrupted loses nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Protocol

from billing.periods import Period
from events.facts import Instant, format_instant
from ledger.errors import BookBroken
from ledger.records import dataclass
from settlement.identity import is_same_person
from settlement.invoicing import InvoiceDiffers
from settlement.ports import Changes, Contention, Writer
from settlement.stripe_port import StripeBusy, StripeRefused, StripeUnclear
from settlement.writing import until_written

# What ends a step, and not the checklist: the step is run again.
_FAILS = (Contention, StripeBusy, StripeRefused, StripeUnclear, InvoiceDiffers, BookBroken, OSError)


class Step(StrEnum):
    """The steps, in their order. The codes are stored for ever."""

    PARKED = "parked"
    WINDOWS = "windows"
    COUNTS = "counts"
    PERIODS = "periods"
    DRAFTS = "drafts"
    APPROVAL = "approval"
    SENDING = "sending"
    PAYOUT_APPROVAL = "payout_approval"
    PAYOUTS = "payouts"
    RECONCILIATION = "reconciliation"
    CLEARING = "clearing"
    LOCK = "lock"
    EXPORT = "export"
    PACK = "pack"


WHAT_IT_IS: Mapping[Step, str] = {
    Step.PARKED: "nothing waits to be mended",
    Step.WINDOWS: "windows that ended are settled",
    Step.COUNTS: "cases, counters and ledger count the same",
    Step.PERIODS: "periods are closed, with true-ups, shortfalls and tax",
    Step.DRAFTS: "invoices are drafted, and sum to what the ledger says",
    Step.APPROVAL: "a second person approved the invoices",
    Step.SENDING: "invoices are sent",
    Step.PAYOUT_APPROVAL: "no payout waits for a second person",
    Step.PAYOUTS: "payouts are sent",
    Step.RECONCILIATION: "ledger, states and Stripe agree",
    Step.CLEARING: "nothing of the month is left in clearing accounts",
    Step.LOCK: "the month is locked",
    Step.EXPORT: "the ledger is exported",
    Step.PACK: "the audit pack is written",
}

# What a person may take as it is, with a reason that is kept: it is looked into later, and moves no money of the month.
ACCEPTABLE = frozenset({Step.PARKED, Step.CLEARING})


LINES_KEPT = 200


class CloseRefused(ValueError):
    """What cannot be asked of a close; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """What keeps a step from being done, and what to do about it."""

    what: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step found, line by line, and what blocks it; a step that nothing blocks is done.

    `hash` stands for what is to be approved. `ends` are numbers in clients' books, as `MonthClose` has them.
    """

    said: tuple[str, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    hash: str = ""
    ends: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was done: by whom and when, what it found, and what of it was `left` as it is, with which reason.

    `accepted` names what was left, up to so many.
    """

    step: Step
    by: str
    at: Instant
    said: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    because: str = ""
    left: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody approved the invoices that this is the hash of."""

    hash: str
    by: str
    at: Instant


@dataclass(frozen=True, slots=True)
class MonthClose:
    """The close of a month as it is remembered; `drafts` is the hash of the drafted invoices, "" before.

    `ends` are the numbers in clients' books up to which nothing is dated behind the month: counting the next one begins
    there.
    """

    month: Period
    done: tuple[Done, ...] = ()
    drafts: str = ""
    approval: Approval | None = None
    ends: tuple[tuple[str, int], ...] = ()
    revision: int = 0

    def of(self, step: Step) -> Done | None:
        """The step as it was done."""
        return next((it for it in self.done if it.step is step), None)

    @property
    def next_step(self) -> Step | None:
        """The first step that is not done; None once all are."""
        return next((step for step in Step if self.of(step) is None), None)


class CloseRecords(Writer, Protocol):
    """Where closes are remembered."""

    def month_close(self, month: Period) -> MonthClose:
        """The close of a month; an empty one if nothing was done of it."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a step that was run: done, or what blocks it."""

    step: Step
    done: Done | None
    blockers: tuple[Blocker, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Who runs the checklist and when; `accepts` is the step whose blockers they accept, and why."""

    by: str
    at: datetime
    accepts: Mapping[Step, str] = field(default_factory=dict)


# Each step, as it is run for the close as it then stands.
Steps = Mapping[Step, Callable[[MonthClose], Outcome]]


def run_close(
    records: CloseRecords, month: Period, steps: Steps, person: Person, until: Step = Step.PACK
) -> Iterator[Ran]:
    """Run the steps that are not done, up to `until` and to the first that is blocked; each as it ends.

    Raises CloseRefused for an acceptance of what nobody may accept, or without a reason.
    """
    for step, why in person.accepts.items():
        if step not in ACCEPTABLE:
            raise CloseRefused(f"{step} cannot be accepted as it is, only {', '.join(sorted(ACCEPTABLE))}; mend it")
        if not why.strip():
            raise CloseRefused(f"say why {step} is accepted as it is with --because; it is kept")
    order = list(Step)
    for step in order[: order.index(until) + 1]:
        close = records.month_close(month)
        if close.of(step) is None:
            ran = _run(records, close, step, steps, person)
            yield ran
            if ran.done is None:
                return


def _run(records: CloseRecords, close: MonthClose, step: Step, steps: Steps, person: Person) -> Ran:
    try:
        outcome = steps[step](close)
    except _FAILS as failed:
        why = " ".join(str(failed).split())
        blocker = Blocker(f"{step} did not come to its end: {why}", "run the close again; it goes on here")
        return Ran(step, None, (blocker,))
    because = person.accepts.get(step, "") if outcome.blockers else ""
    if outcome.blockers and not because:
        return Ran(step, None, outcome.blockers, outcome.said)
    accepted = _shortened([blocker.what for blocker in outcome.blockers])
    left = len(outcome.blockers)
    done = Done(step, person.by, person.at, _shortened(outcome.said), accepted, because, left)
    return Ran(step, _remember(records, close.month, done, outcome), said=outcome.said)


def _shortened(lines: Sequence[str]) -> tuple[str, ...]:
    """So many lines as are remembered, and how many there were more; a close is one item of at most 400 KB."""
    more = len(lines) - LINES_KEPT
    return (*lines[:LINES_KEPT], *([f"and {more:,} more"] if more > 0 else []))


def _remember(records: CloseRecords, month: Period, done: Done, outcome: Outcome) -> Done:
    """Keep that a step is done; what somebody else kept of it first stays."""

    def attempt() -> Done:
        close = records.month_close(month)
        if known := close.of(done.step):
            return known
        after = replace(
            close,
            done=(*close.done, done),
            drafts=outcome.hash or close.drafts,
            ends=outcome.ends or close.ends,
            revision=close.revision + 1,
        )
        records.commit(Changes(month_closes=(after,)))
        return done

    return until_written(records, f"the close of {month}", attempt)


def approve_invoices(records: CloseRecords, month: Period, approved: str, by: str, at: datetime) -> MonthClose:
    """Approve the drafted invoices of a month, if they are exactly what `approved` is the hash of.

    Approving again changes nothing. Raises CloseRefused for another hash, and for whoever drafted them.
    """

    def attempt() -> MonthClose:
        close = records.month_close(month)
        drafted = close.of(Step.DRAFTS)
        if drafted is None:
            raise CloseRefused(f"no invoice of {month} was drafted yet: run `solvent close {month}` first")
        if approved != close.drafts:
            raise CloseRefused(f"the invoices of {month} are not what {approved} stands for; look at them again")
        if is_same_person(drafted.by, by):
            raise CloseRefused(f"the invoices of {month} were drafted by {drafted.by}; somebody else approves them")
        if close.approval is not None:
            return close
        after = replace(close, approval=Approval(approved, by, at), revision=close.revision + 1)
        records.commit(Changes(month_closes=(after,)))
        return after

    return until_written(records, f"the close of {month}", attempt)


def is_approved(records: CloseRecords, month: Period) -> bool:
    """Whether a second person approved the drafted invoices of a month."""
    return records.month_close(month).approval is not None


def transcript(close: MonthClose, ran: Sequence[Ran] | None = None) -> Iterator[str]:
    """The checklist, line by line: what each step is, who did it and when, what it found, and what blocks it.

    Of steps that were not just `ran` one line each; all of every step without `ran`.
    """
    now = {it.step: it for it in ran or ()}
    for number, step in enumerate(Step, 1):
        done, blocked, head = close.of(step), now.get(step), f"{number:>2}. {step}: {WHAT_IT_IS[step]}"
        if done is not None:
            left = f", {done.left:,} left as they are" if done.left else ""
            yield f"{head}. Done by {done.by}, {format_instant(done.at)}{left}"
            yield from _found(done) if ran is None or step in now else ()
        elif blocked is not None:
            yield f"{head}. Blocked"
            yield from (f"      {line}" for line in blocked.said)
            yield from _told(blocked.blockers)
        else:
            yield f"{head}. To do"


def _found(done: Done) -> Iterator[str]:
    yield from (f"      {line}" for line in done.said)
    yield from (f"      left: {what}" for what in done.accepted)
    yield from [f"      because: {done.because}"] if done.because else []


def _told(blockers: Iterable[Blocker]) -> Iterator[str]:
    """What blocks a step; what is to be done is said once for all that it is said of in a row."""
    for next_step, group in groupby(blockers, key=lambda it: it.next_step):
        yield from (f"      blocked: {what}" for what in _shortened([blocker.what for blocker in group]))
        yield f"      to do: {next_step}"
