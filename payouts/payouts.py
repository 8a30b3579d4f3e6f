"""Payouts and their states. A payout is created once; its id, attempts and amount never change behind Stripe's back."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from ledger.money import Currency


class PayoutStatus(StrEnum):
    """Where a payout stands.

    planned: reserved in the ledger; nothing is on its way. sending: Stripe is, or may have been, called. unknown: it
    was called and did not say what happened; the reservation stays. sent: a transfer exists; final for the ledger.
    failed: Stripe refused for good, and the reservation was released.
    """

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    FAILED = "failed"


_ALLOWED = {
    PayoutStatus.PLANNED: {PayoutStatus.SENDING},
    PayoutStatus.SENDING: {PayoutStatus.PLANNED, PayoutStatus.UNKNOWN, PayoutStatus.SENT, PayoutStatus.FAILED},
    PayoutStatus.UNKNOWN: {PayoutStatus.PLANNED, PayoutStatus.UNKNOWN, PayoutStatus.SENT, PayoutStatus.FAILED},
    PayoutStatus.SENT: set(),
    PayoutStatus.FAILED: set(),
}


class PayoutStuck(RuntimeError):
    """A change of state that is not allowed; somebody has to look."""


@dataclass(frozen=True, slots=True)
class Payout:
    """Money on its way to one expert in one currency: `amount` in minor units > 0.

    `attempt` counts the distinct requests to Stripe: it rises with each step from planned to sending, and a payout goes
    back to planned only when the attempt before is proven not to have made a transfer. `why` says what it waits for.
    """

    id: str
    expert: str
    currency: Currency
    amount: int
    run: str
    planned_at: datetime
    stripe_account: str
    status: PayoutStatus = PayoutStatus.PLANNED
    attempt: int = 0
    stripe_transfer: str | None = None
    why: str = ""
    revision: int = 0

    @property
    def idempotency_key(self) -> str:
        """The key of the current attempt: the same for every repetition of it."""
        return f"{self.id}:{self.attempt}"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to be done."""
        return not _ALLOWED[self.status]


def payout_id(expert: str, currency: Currency, run: str) -> str:
    """The id of the one payout of an expert in a currency in a run."""
    return f"payout:{expert}:{currency}:{run}"


def moved(payout: Payout, status: PayoutStatus, **fields: object) -> Payout:
    """The payout in its next state and revision. Raises PayoutStuck for a step that is not allowed."""
    if status not in _ALLOWED[payout.status]:
        raise PayoutStuck(f"{payout.id} is {payout.status} and cannot become {status}")
    return replace(payout, status=status, revision=payout.revision + 1, **fields)  # type: ignore[arg-type]  # checked by replace
