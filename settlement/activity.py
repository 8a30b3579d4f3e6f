"""What settling counts of experts: resolutions and ratings for incentives, and who reviewed whose work. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from events.facts import Completed, PeerReviewed
from payouts.incentives import WeekCount
from settlement.cases import Case, Counted, fact_key, split_cycles
from settlement.ports import ReviewGiven

# No pay plan asks for more: payouts.plans.PeerReviewBonus.
MUTUAL_WITHIN = timedelta(days=366)

# When an expert last reviewed another's work within a span of time: reviewer, reviewed, first and last instant.
LastReview = Callable[[str, str, tuple[datetime, datetime]], datetime | None]


# -- weeks -------------------------------------------------------------------------------------------------------------


def week_changes(before: Counted | None, after: Counted | None) -> Iterator[WeekCount]:
    """What a cycle that counted as `before` and counts as `after` changes; nothing if that is the same."""
    if before != after:
        for counted, sign in ((before, -1), (after, 1)):
            if counted is not None:
                rated, rating = counted.rating_basis_points is not None, counted.rating_basis_points or 0
                yield WeekCount(counted.expert, counted.plan, counted.week, sign, sign * rated, sign * rating)


def add_up(changes: Iterable[WeekCount]) -> tuple[WeekCount, ...]:
    """The sums by expert, plan and week, without those that change nothing."""
    sums: dict[tuple[str, str, str], WeekCount] = {}
    for change in changes:
        key = (change.expert, change.plan, change.week)
        sums[key] = sums[key].plus(change) if key in sums else change
    return tuple(it for it in sums.values() if it.resolutions or it.rated or it.rating_sum)


# -- reviews -----------------------------------------------------------------------------------------------------------


def has_new_reviews(before: Case, case: Case) -> bool:
    """Whether a review came in, or a solution that one may be about."""
    if not any(isinstance(fact, PeerReviewed) for fact in case.facts):
        return False
    known = frozenset(map(fact_key, before.facts))
    new = (fact for fact in case.facts if fact_key(fact) not in known)
    return any(isinstance(fact, PeerReviewed | Completed) for fact in new)


def reviews_in(case: Case, reopen_window: Callable[[datetime], timedelta]) -> dict[str, ReviewGiven]:
    """The case's reviews of another expert's work, by fact key: whose solution stood when the review was given.

    What came too late to count, and what was said of one's own work or while no expert's solution stood, is none.
    """
    found = {}
    for place, fact in enumerate(case.facts):
        if isinstance(fact, PeerReviewed) and fact_key(fact) not in case.evidence_only:
            cycles = split_cycles(case.facts[: place + 1], reopen_window, case.evidence_only)
            solution = cycles[-1].solution if cycles else None
            reviewed = solution.completed.expert if solution else None
            if reviewed is not None and reviewed != fact.reviewer:
                name = f"{case.client}/{case.case_id}/{fact_key(fact)}"
                found[fact_key(fact)] = ReviewGiven(fact.reviewer, reviewed, fact.time, name)
    return found


def with_answers(
    case: Case, own: Mapping[str, ReviewGiven], together: Iterable[ReviewGiven], last_review: LastReview
) -> Case:
    """The case with what its `own` reviews are an answer to, among what is stored and what came in `together`."""
    others = tuple(together)
    answers = ((key, _answered(review, others, last_review)) for key, review in own.items())
    mutual = tuple((key, at) for key, at in answers if at is not None)
    return case if mutual == case.mutual_reviews else replace(case, mutual_reviews=mutual)


def _answered(review: ReviewGiven, together: Iterable[ReviewGiven], last_review: LastReview) -> datetime | None:
    """When the reviewed expert last reviewed the reviewer, at or before the review and at most 366 days back."""
    first, back = review.at - MUTUAL_WITHIN, (review.reviewed, review.reviewer)
    found = [it.at for it in together if (it.reviewer, it.reviewed) == back and first <= it.at <= review.at]
    stored = last_review(*back, (first, review.at))
    return max([*found, *([stored] if stored else [])], default=None)
