"""What the use cases need from Stripe, and the three ways in which a transfer can fail.

StripeUnclear      nobody knows whether it happened: the reservation stays, the same key is used again
StripeRefused      a definitive no: nothing happened
StripeBusy         not now: nothing is known to have happened, and nothing may be concluded
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from billing.invoices import CreditNote, Invoice, InvoiceStatus, Payment, PaymentFailure
from ledger.money import Currency
from payouts.payouts import Payout
from settlement.registry import Client, Expert


class StripeUnclear(RuntimeError):
    """A time-out, a dropped connection or a 5xx: it may or may not have happened. Retrying with the same key helps.

    Not so if the answer was `replayed`: then the key holds a stored error for good, and only a search tells.
    """

    def __init__(self, message: str, *, replayed: bool = False) -> None:
        super().__init__(message)
        self.replayed = replayed


class StripeBusy(RuntimeError):
    """Stripe asks for patience (429, 409, a wrong or missing key): try again later. It proves nothing."""


class StripeRefused(RuntimeError):
    """Stripe refused for good: nothing happened, and the same request will be refused again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class NotEnoughFunds(StripeRefused):
    """The available balance is too small; nothing happened, and a new request may succeed once it is topped up."""


@dataclass(frozen=True, slots=True)
class IssuedCreditNote:
    """A credit note given before payment, in minor units; `ours` is our own id of it, None if it was made by hand."""

    id: str
    ours: str | None
    amount: int
    issued_on: date


@dataclass(frozen=True, slots=True)
class IssuedInvoice:
    """An invoice as Stripe has it now: `total` and what is `remaining` to be paid in minor units.

    It has its status since `status_since`. Payments and credit notes are all that there were so far; they were read
    after the rest, so they may be ahead of it, never behind.
    """

    id: str
    status: InvoiceStatus
    status_since: date
    total: int
    remaining: int
    payments: tuple[Payment, ...] = ()
    credit_notes: tuple[IssuedCreditNote, ...] = ()
    due_on: date | None = None
    last_failure: PaymentFailure | None = None

    @property
    def changed_on(self) -> date:
        """The day of the last change."""
        days = (*(payment.paid_on for payment in self.payments), *(note.issued_on for note in self.credit_notes))
        return max((self.status_since, *days))


class MovementKind(StrEnum):
    """What moved money in the platform's Stripe balance."""

    PAYMENT = "payment"
    TRANSFER = "transfer"
    TOP_UP = "top_up"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Movement:
    """One balance transaction: minor units, signed as Stripe signs them; `source` is the charge, transfer or top-up."""

    id: str
    kind: MovementKind
    source: str
    currency: Currency
    gross: int
    fee: int
    is_available: bool
    created_on: date


@dataclass(frozen=True, slots=True)
class StripeBalance:
    """The platform's balance in one currency, in minor units."""

    currency: Currency
    available: int
    pending: int


class Stripe(Protocol):
    """Every call raises StripeUnclear, StripeBusy or StripeRefused; keys are derived, so that repeating is safe."""

    def customer(self, client: Client) -> str:
        """The id of the client's customer, made if there is none."""

    def account(self, expert: Expert) -> str:
        """The id of the expert's connected account, made if there is none."""

    def onboarding_link(self, account: str, return_url: str) -> str:
        """Where the expert gives Stripe what it asks for; the link works once and for a few minutes."""

    def issue_invoice(self, invoice: Invoice, customer: str) -> IssuedInvoice:
        """The invoice, drafted, filled and finalized; what of it exists already is found and finished."""

    def invoice(self, stripe_invoice: str) -> IssuedInvoice:
        """The invoice as it is now."""

    def issue_credit_note(self, invoice: Invoice, note: CreditNote) -> None:
        """Give the credit note on an open invoice, unless it was given already."""

    def void_invoice(self, invoice: Invoice) -> None:
        """Make an open or uncollectible invoice void, of which nothing was paid."""

    def transfer(self, payout: Payout) -> str:
        """The id of the one transfer of the payout's current attempt."""

    def find_transfer(self, payout_id: str) -> str | None:
        """The transfer of any attempt of a payout, if there is one."""

    def top_up(self, name: str, amount: int, currency_code: Currency) -> str:
        """The id of a top-up of the platform's balance from its bank; the same for every repetition of `name`."""

    def movements(self, kind: MovementKind | None = None) -> Iterator[Movement]:
        """Every balance transaction of the platform, or those of one kind, newest first."""

    def balances(self) -> Sequence[StripeBalance]:
        """The platform's balance per currency."""
