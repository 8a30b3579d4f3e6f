"""From what is known of a solution to what its earning is worked out from. Pure; payouts sees no contract."""

from collections.abc import Collection
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from billing.calendars import falls_in
from billing.charges import Charge
from billing.contracts import Contract
from events.facts import Completed
from payouts.earnings import Basis, PeerReview, Standing
from settlement.assess import Due


def basis_of(due: Due, standing: Standing, list_price: Fraction, charge: Charge | None) -> Basis:
    """What the earning of a solution is worked out from, but for the calendars, which few plans ask for."""
    completed = due.solution.completed
    return Basis(
        standing=standing,
        list_price=list_price,
        charged=charge.net if charge else 0,
        rating_basis_points=due.rating_basis_points,
        expert=completed.expert or "",
        language=completed.language,
        first_response_seconds=_seconds_to_first_response(completed),
        peer_reviews=tuple(
            PeerReview(review.reviewer, review.time, review.basis_points, reviewed_back_at)
            for review, reviewed_back_at in due.solution.peer_reviewed
        ),
    )


def _seconds_to_first_response(completed: Completed) -> int | None:
    """Whole seconds from the opening, rounded up; None where either time is not known."""
    if completed.opened_at is None or completed.first_response_at is None:
        return None
    return -((completed.opened_at - completed.first_response_at) // timedelta(seconds=1))


def calendars_of(contract: Contract, resolved_at: datetime, wanted: Collection[str]) -> frozenset[str]:
    """Those of the wanted calendars in which an instant falls; one that the contract does not have holds nothing."""
    zone = ZoneInfo(contract.time_zone)
    asked = (calendar for calendar in contract.calendars if calendar.id in wanted)
    return frozenset(calendar.id for calendar in asked if falls_in(calendar, resolved_at, zone))
