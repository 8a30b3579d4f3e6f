"""Assessment: from all facts of a cycle to whether it is due, whether it is charged, and why. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import assert_never

from billing.contracts import BelowThreshold, Contract
from events.facts import Party
from ledger.records import dataclass
from payouts.earnings import Standing
from settlement.cases import Cycle, Solution


@dataclass(frozen=True, slots=True)
class Unsolved:
    """The customer came back and nobody has solved it again: nothing is charged or earned."""

    reopened_at: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Solved, but what decides may still come; ask again at `until`."""

    until: datetime
    solution: Solution


@dataclass(frozen=True, slots=True)
class Due:
    """Solved and decided: at `settled_at` the deciding fact was in, or its window ended."""

    settled_at: datetime
    solution: Solution
    rating_basis_points: int | None


def timing(cycle: Cycle, contract_at: Callable[[datetime], Contract], as_of: datetime) -> Unsolved | Wait | Due:
    """Whether a cycle is due, as things stand at `as_of`.

    The windows are those of the contract at resolved_at, start there and include their last instant. The first rating
    inside the rating window decides; without one the end of the window does. The last rating inside it is the one that
    counts. A confirmation time puts the settlement off, never forward. Without a rating section nothing is awaited.
    """
    solution = cycle.solution
    if solution is None:
        if cycle.reopened_at is None:
            raise ValueError(f"cycle {cycle.number} is neither solved nor reopened")
        return Unsolved(cycle.reopened_at)
    resolved_at = solution.completed.time
    contract = contract_at(resolved_at)
    decided_at, rating = resolved_at, None
    if contract.rating is not None:
        window_end = resolved_at + timedelta(hours=contract.rating.window_hours)
        timely = [fact for fact in solution.rated if fact.time <= window_end]
        decided_at = timely[0].time if timely else window_end
        rating = timely[-1].basis_points if timely else None
    elif solution.rated:
        rating = solution.rated[-1].basis_points
    settled_at = max(decided_at, resolved_at + timedelta(hours=contract.confirmation_hours))
    if settled_at > as_of:
        return Wait(settled_at, solution)
    return Due(settled_at, solution, rating)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the client is charged, at which discount, what that means for the expert, and why.

    `why` is a stable code: charged, rated_below_threshold, unrated, qa_failed, dispute_upheld.
    """

    charged: bool
    discount_basis_points: int
    standing: Standing
    why: str


def judge(due: Due, contract: Contract) -> Verdict:
    """The verdict on a due cycle under the contract version that prices it.

    A failed quality review (the last one counts) and a dispute that the client won waive the charge and forfeit the
    earning. A dispute that the expert won restores the earning, whatever else happened.
    """
    won = due.solution.upheld_for
    spared = Party.EXPERT in won
    forfeited = Standing.CHARGED if spared else Standing.FORFEITED
    if Party.CLIENT in won:
        return Verdict(charged=False, discount_basis_points=0, standing=forfeited, why="dispute_upheld")
    if due.solution.qa_reviewed and not due.solution.qa_reviewed[-1].passed:
        return Verdict(charged=False, discount_basis_points=0, standing=forfeited, why="qa_failed")
    terms = contract.rating
    if terms is None:
        return Verdict(charged=True, discount_basis_points=0, standing=Standing.CHARGED, why="charged")
    if due.rating_basis_points is None:
        policy, why = terms.unrated, "unrated"
    elif due.rating_basis_points >= terms.threshold_basis_points:
        policy, why = BelowThreshold.CHARGE, "charged"
    else:
        policy, why = terms.below, "rated_below_threshold"
    match policy:
        case BelowThreshold.CHARGE:
            return Verdict(charged=True, discount_basis_points=0, standing=Standing.CHARGED, why=why)
        case BelowThreshold.DISCOUNT:
            off = terms.discount_basis_points
            return Verdict(charged=True, discount_basis_points=off, standing=Standing.CHARGED, why=why)
        case BelowThreshold.WAIVE:
            standing = Standing.CHARGED if spared else Standing.NOT_CHARGED
            return Verdict(charged=False, discount_basis_points=0, standing=standing, why=why)
        case _:
            assert_never(policy)
