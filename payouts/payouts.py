"""Payouts and their states. A payout is created once; its id and amounts never change behind Stripe's back."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256

from ledger.money import Currency
from ledger.records import dataclass


class PayoutStatus(StrEnum):
    """Where a payout stands.

    planned: reserved in the ledger, and waits for a second person. approved: may be sent. sending: Stripe is, or may
    have been, called. unknown: it was called and did not say what happened; the reservation stays. sent: a transfer
    exists; final for the ledger. paid: the expert's bank has the money; informational, and may become sent again when
    the bank returns it. failed: Stripe or the second person refused for good, and the reservation was released.
    reversed: the whole transfer was taken back, and the expert is owed its amount again.
    """

    PLANNED = "planned"
    APPROVED = "approved"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    PAID = "paid"
    FAILED = "failed"
    REVERSED = "reversed"


_S = PayoutStatus
_AFTER_A_CALL = {_S.APPROVED, _S.UNKNOWN, _S.SENT, _S.FAILED}
_ALLOWED = {
    _S.PLANNED: {_S.APPROVED, _S.FAILED},
    _S.APPROVED: {_S.SENDING},
    _S.SENDING: _AFTER_A_CALL,
    _S.UNKNOWN: _AFTER_A_CALL,
    _S.SENT: {_S.SENT, _S.PAID, _S.REVERSED},
    _S.PAID: {_S.SENT, _S.PAID, _S.REVERSED},
    _S.FAILED: set[PayoutStatus](),
    _S.REVERSED: {_S.REVERSED},
}
_WITH_TRANSFER = {_S.SENT, _S.PAID, _S.REVERSED}


class Instant(StrEnum):
    """Whether the bank leg is asked for at once, and what became of that; a refused one goes by the usual schedule."""

    NO = "no"
    WANTED = "wanted"
    DONE = "done"
    REFUSED = "refused"


class PayoutStuck(RuntimeError):
    """A change of state that is not allowed; somebody has to look."""


@dataclass(frozen=True, slots=True)
class Payout:
    """Money on its way to one expert in one currency, in minor units: `amount` > 0 is what is transferred.

    `withheld` goes to the tax office and `fee` is what an instant payout costs; together with `amount` they are what
    was taken off the expert's payable. `reversed` is what of the transfer was taken back.

    `attempt` counts the distinct requests to Stripe: it rises with each step from approved to sending, and a payout
    goes back to approved only when the attempt before is proven not to have made a transfer. `why` says what it waits
    for. `planned_by` and `approved_by` are identities, or "schedule" and "policy"; `approval` is the hash of what a
    person approved. `bank_payout` is the newest payout from the expert's account to the bank that carries the
    money, made at `bank_payout_at`, and `bank_failure` why the bank returned it.
    """

    id: str
    expert: str
    currency: Currency
    amount: int
    run: str
    planned_at: datetime
    stripe_account: str
    status: PayoutStatus = PayoutStatus.PLANNED
    withheld: int = 0
    fee: int = 0
    attempt: int = 0
    stripe_transfer: str | None = None
    sent_on: date | None = None
    why: str = ""
    planned_by: str = "schedule"
    approved_by: str | None = None
    approval: str | None = None
    reversed: int = 0
    instant: Instant = Instant.NO
    bank_payout: str | None = None
    bank_payout_at: datetime | None = None
    bank_failure: str | None = None
    revision: int = 0

    @property
    def gross(self) -> int:
        """What the payout takes off the expert's payable."""
        return self.amount + self.withheld + self.fee

    @property
    def idempotency_key(self) -> str:
        """The key of the current attempt: the same for every repetition of it."""
        return f"{self.id}:{self.attempt}"

    @property
    def has_transfer(self) -> bool:
        """Whether its transfer is known, and booked."""
        return self.status in _WITH_TRANSFER

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to be done, unless Stripe says so."""
        return (self.has_transfer and self.instant is not Instant.WANTED) or self.status is PayoutStatus.FAILED

    @property
    def in_transit(self) -> int:
        """What of it stands in the expert's in_transit: all until it is sent, then an instant fee not yet due."""
        if self.has_transfer:
            return self.fee if self.instant is Instant.WANTED else 0
        return 0 if self.status is PayoutStatus.FAILED else self.gross


def payout_id(expert: str, currency: Currency, run: str) -> str:
    """The id of the one payout of an expert in a currency in a run."""
    return f"payout:{expert}:{currency}:{run}"


def moved(payout: Payout, status: PayoutStatus, **fields: object) -> Payout:
    """The payout in its next state and revision. Raises PayoutStuck for a step that is not allowed."""
    if status not in _ALLOWED[payout.status]:
        raise PayoutStuck(f"{payout.id} is {payout.status} and cannot become {status}")
    return replace(payout, status=status, revision=payout.revision + 1, **fields)  # type: ignore[arg-type]  # checked by replace


def hash_of(payouts: Iterable[Payout]) -> str:
    """What an approval is bound to: SHA-256 over id, account, currency and amounts of every payout, by id."""
    rows = sorted(f"{it.id} {it.stripe_account} {it.currency} {it.amount} {it.withheld} {it.fee}" for it in payouts)
    return sha256("\n".join(rows).encode()).hexdigest()


_SIGNED = re.compile(r"(rejected|stopped)(?=:? by )")


def why_told(why: str) -> str:
    """Why a payout failed or waits, as its expert is told: not who rejected it or stopped all, nor in which words."""
    signed = _SIGNED.match(why)
    return signed[0] if signed else why
