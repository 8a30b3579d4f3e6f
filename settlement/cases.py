"""Cases: their facts, how the facts fall into cycles, and what was posted for each cycle."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import TypeAdapter

from billing.charges import Charge, FrozenPrice
from events.facts import (
    AT_FIRST_USE,
    CaseId,
    Completed,
    Decided,
    Disputed,
    Fact,
    Instant,
    Party,
    PeerReviewed,
    QaReviewed,
    Rated,
    Reopened,
    in_order,
    is_same,
)
from ledger.records import dataclass, replace
from payouts.incentives import Week

# An item holds at most 400 KB; a fact takes about 250 bytes. What exceeds the bound is parked, not lost.
FACTS_PER_CASE = 200

# Why a cycle is reversed that late facts merged into another: it was none.
SUPERSEDED = "superseded"


class CycleStatus(StrEnum):
    """Where a cycle stands. Every cycle has exactly one."""

    PENDING = "pending"
    CHARGED = "charged"
    WAIVED = "waived"
    REVERSED = "reversed"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Earned:
    """What stands posted to an expert for a cycle, in minor units >= 0, and the day its hold ends.

    `plan` is the id of the pay plan that it was worked out by, and stays so. `list_price` is the exact list price, in
    minor units, that it was worked out from; None where the cycle has a price, which says so itself.
    """

    expert: str
    currency: str
    base: int
    bonus: int
    release_on: date
    plan: str | None = None
    list_price: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """Where a cycle counts for incentives: the week in which it settled, with its rating if it has one."""

    expert: str
    plan: str
    week: Week
    rating_basis_points: int | None = None


@dataclass(frozen=True, slots=True)
class CycleState:
    """What was decided and posted for a cycle; `entries` counts its entries, and is the n of the last one's id.

    `credited` is what was given back of a charge that stands in a closed period, None if nothing was. `counted` is None
    for what no incentive looks at.
    """

    number: int
    status: CycleStatus = CycleStatus.PENDING
    why: str = ""
    solution: str | None = None
    settled_at: Instant | None = None
    entries: int = 0
    price: FrozenPrice | None = None
    charge: Charge | None = None
    earned: Earned | None = None
    credited: int | None = None
    counted: Counted | None = None

    @property
    def plans(self) -> frozenset[str]:
        """The pay plans by which it was decided."""
        named = (self.earned and self.earned.plan, self.counted and self.counted.plan)
        return frozenset(plan for plan in named if plan)


@dataclass(frozen=True, slots=True)
class Case:
    """One customer conversation of one client: every fact known of it, in order, and its cycles.

    `evidence_only` names facts that came after the acceptance limit: kept, but without effect. `mutual_reviews` says
    of peer reviews, by their fact keys, when the reviewed expert last reviewed that reviewer's work before; it knows
    nothing of reviews that are no answer to another. `due_at` is when the next window ends. `revision` counts writes; 0
    was never written.
    """

    client: str
    case_id: CaseId
    facts: tuple[Fact, ...] = ()
    evidence_only: tuple[str, ...] = ()
    mutual_reviews: tuple[tuple[str, Instant], ...] = ()
    cycles: tuple[CycleState, ...] = ()
    due_at: datetime | None = None
    revision: int = 0

    def state_of(self, number: int) -> CycleState:
        """The state of a cycle; a new one for a cycle that nothing is known of yet."""
        return self.cycles[number - 1] if number <= len(self.cycles) else CycleState(number)


CYCLES: TypeAdapter[tuple[CycleState, ...]] = TypeAdapter(tuple[CycleState, ...], config=AT_FIRST_USE)
_MutualReviews = tuple[tuple[str, Instant], ...]
MUTUAL_REVIEWS: TypeAdapter[_MutualReviews] = TypeAdapter(_MutualReviews, config=AT_FIRST_USE)


@dataclass(frozen=True, slots=True)
class Solution:
    """A completion and what was said about it before the next one.

    Beside each peer review stands when the reviewed expert last reviewed that reviewer's work before, if ever.
    """

    completed: Completed
    rated: tuple[Rated, ...] = ()
    peer_reviewed: tuple[tuple[PeerReviewed, datetime | None], ...] = ()
    qa_reviewed: tuple[QaReviewed, ...] = ()
    disputes: tuple[tuple[Disputed, Decided | None], ...] = ()

    @property
    def key(self) -> str:
        """Names the completion."""
        return fact_key(self.completed)

    @property
    def upheld_for(self) -> frozenset[Party]:
        """The parties that won a dispute about it."""
        if not self.disputes:
            return frozenset()
        return frozenset(dispute.by for dispute, decision in self.disputes if decision is not None and decision.upheld)

    @property
    def deciding(self) -> tuple[Fact, ...]:
        """Every fact that decides about it, or may."""
        contested = (fact for pair in self.disputes for fact in pair if fact is not None)
        reviewed = (review for review, _ in self.peer_reviewed)
        return (self.completed, *self.rated, *reviewed, *self.qa_reviewed, *contested)


@dataclass(frozen=True, slots=True)
class Cycle:
    """A cycle: from its first completion until a reopening after the reopen window.

    `solution` is the one that stands, None while there is none; `reopened_at` is when the customer last came back.
    """

    number: int
    solution: Solution | None
    reopened_at: datetime | None


class FactConflict(ValueError):
    """A fact with the source and id of another, but other content."""


def fact_key(fact: Fact) -> str:
    """The name of a fact within its case."""
    return f"{fact.source}#{fact.id}"


def known(facts: Iterable[Fact], fact: Fact) -> bool:
    """Whether a fact is among a case's facts. Raises FactConflict for another one under the same source and id."""
    for other in facts:
        if is_same(other, fact):
            if other != fact:
                raise FactConflict(f"{fact_key(fact)} was delivered before with other content")
            return True
    return False


def with_fact(case: Case, fact: Fact, *, evidence_only: bool) -> Case:
    """The case with one more fact, in order."""
    facts = tuple(sorted((*case.facts, fact), key=in_order))
    late = (*case.evidence_only, fact_key(fact)) if evidence_only else case.evidence_only
    return replace(case, facts=facts, evidence_only=late)


def is_past_acceptance(
    case: Case, fact: Fact, received_at: datetime, acceptance: Callable[[datetime], timedelta]
) -> bool:
    """Whether a fact came too late to correct what is settled.

    That is so when it was received more than `acceptance(settled_at)` after the case's last cycle settled. A decision
    always counts: what matters is when its dispute came. A completion or reopening that also happened after the limit
    is news, not late.
    """
    settled = [state.settled_at for state in case.cycles if state.settled_at is not None]
    if not settled or isinstance(fact, Decided):
        return False
    limit = max(settled) + acceptance(max(settled))
    is_news = isinstance(fact, Completed | Reopened) and fact.time > limit
    return received_at > limit and not is_news


@dataclass(slots=True)
class _OpenCycle:
    """A cycle while the facts are being read."""

    number: int
    completed: Completed
    reopened_at: datetime | None = None
    stands: bool = True
    ended: bool = False
    rated: tuple[Rated, ...] = ()
    peer_reviewed: tuple[tuple[PeerReviewed, datetime | None], ...] = ()
    qa_reviewed: tuple[QaReviewed, ...] = ()
    disputes: tuple[tuple[Disputed, Decided | None], ...] = ()

    def close(self) -> Cycle:
        if not self.stands:
            return Cycle(self.number, None, self.reopened_at)
        solution = Solution(self.completed, self.rated, self.peer_reviewed, self.qa_reviewed, self.disputes)
        return Cycle(self.number, solution, self.reopened_at)


@dataclass(slots=True)
class _Reading:
    """The state of `split_cycles` between two facts."""

    reopen_window: Callable[[datetime], timedelta]
    decisions: Mapping[str, Decided]
    mutual_reviews: Mapping[str, datetime]
    done: list[Cycle] = field(default_factory=list)
    current: _OpenCycle | None = None

    def complete(self, fact: Completed) -> None:
        cycle = self.current
        if cycle is None or cycle.ended:
            if cycle is not None:
                self.done.append(cycle.close())
            self.current = _OpenCycle(len(self.done) + 1, fact)
        elif not cycle.stands:
            self.current = _OpenCycle(cycle.number, fact, cycle.reopened_at)

    def reopen(self, fact: Reopened) -> None:
        cycle = self.current
        if cycle is None or cycle.ended or not cycle.stands:
            return
        resolved_at = cycle.completed.time
        if fact.time <= resolved_at + self.reopen_window(resolved_at):
            cycle.stands, cycle.reopened_at = False, fact.time
        else:
            cycle.ended = True

    def hear(self, fact: Rated | PeerReviewed | QaReviewed | Disputed) -> None:
        cycle = self.current
        if cycle is None or not cycle.stands:
            return
        match fact:
            case Rated():
                cycle.rated += (fact,)
            case PeerReviewed():
                cycle.peer_reviewed += ((fact, self.mutual_reviews.get(fact_key(fact))),)
            case QaReviewed():
                cycle.qa_reviewed += (fact,)
            case Disputed():
                cycle.disputes += ((fact, self.decisions.get(fact.dispute)),)


def split_cycles(
    facts: Iterable[Fact],
    reopen_window: Callable[[datetime], timedelta],
    evidence_only: Iterable[str] = (),
    mutual_reviews: Iterable[tuple[str, datetime]] = (),
) -> tuple[Cycle, ...]:
    """The cycles that facts (in order) make up, numbered from 1.

    A reopening at most `reopen_window(resolved_at)` after the standing completion (inclusive) belongs to its cycle; the
    next completion is then another solution of the same cycle. After a later reopening the next completion starts a new
    cycle. A completion without a reopening before it is the same solution again: the first one stays. What is said
    while no solution stands, and what `evidence_only` names, has no effect. `mutual_reviews` are the case's.
    """
    ignored = frozenset(evidence_only)
    effective = [fact for fact in facts if fact_key(fact) not in ignored] if ignored else list(facts)
    decisions = {fact.dispute: fact for fact in effective if isinstance(fact, Decided)}
    reading = _Reading(reopen_window, decisions, dict(mutual_reviews))
    for fact in effective:
        match fact:
            case Completed():
                reading.complete(fact)
            case Reopened():
                reading.reopen(fact)
            case Rated() | PeerReviewed() | QaReviewed() | Disputed():
                reading.hear(fact)
            case Decided():
                pass  # heard with its dispute, which it names
    if reading.current is not None:
        reading.done.append(reading.current.close())
    return tuple(reading.done)
