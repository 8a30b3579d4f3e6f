"""What the use cases need from Stripe, and the three ways in which a transfer can fail.

StripeUnclear      nobody knows whether it happened: the reservation stays, the same key is used again
StripeRefused      a definitive no: nothing happened
StripeBusy         not now: nothing is known to have happened, and nothing may be concluded
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from billing.invoices import CreditNote, Invoice, InvoiceStatus, Payment, PaymentFailure
from ledger.money import Currency
from ledger.records import dataclass
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
    """What moved money in the platform's Stripe balance; each goes one way, and back when Stripe undoes it."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    TRANSFER = "transfer"
    TRANSFER_REVERSAL = "transfer_reversal"
    TOP_UP = "top_up"
    PLATFORM_PAYOUT = "platform_payout"
    FEE = "fee"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Movement:
    """One balance transaction: minor units, signed as Stripe signs them; `gross` less `fee` moves the balance.

    `source` is the object that moved the money: a charge, transfer, top-up and so on. `origin` is the charge that a
    refund or dispute takes back, the transfer that a reversal does, or the payout of ours that a transfer is for.
    """

    id: str
    kind: MovementKind
    source: str
    currency: Currency
    gross: int
    fee: int
    is_available: bool
    created_on: date
    available_on: date
    origin: str | None = None

    @property
    def net(self) -> int:
        """What it adds to the balance."""
        return self.gross - self.fee


@dataclass(frozen=True, slots=True)
class StripeBalance:
    """The platform's balance in one currency, in minor units."""

    currency: Currency
    available: int
    pending: int


class TransfersCapability(StrEnum):
    """Whether Stripe lets an account receive transfers."""

    ACTIVE = "active"
    PENDING = "pending"
    REJECTED = "rejected"
    RESTRICTED = "restricted"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An expert's connected account as Stripe has it now.

    `requirements` names what Stripe asks the expert for by now. `bank` is the fingerprint of the bank account that is
    paid out to (of each, with a + between, where currencies have their own), None while there is none; it changes when
    a bank account does, and only then.
    """

    id: str
    expert: str | None
    transfers: TransfersCapability
    requirements: tuple[str, ...] = ()
    bank: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer to a connected account: minor units > 0, and what of them was reversed.

    `payout` is our own id, None if the transfer was made by hand.
    """

    id: str
    payout: str | None
    currency: Currency
    amount: int
    reversed: int = 0


class BankPayoutStatus(StrEnum):
    """Where a payout from a connected account to its bank stands. One that was paid may still fail, days later."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class BankPayout:
    """A payout from a connected account to its bank, in minor units.

    It carries the money of `transfers` (their ids): that of an earlier one that came back too, and not what an instant
    payout took out before. Of one that Stripe makes by schedule they are known within a day, and `()` until then.
    `bank` is the fingerprint of the bank account. `payout` is our own id of the one payout that an instant one is for.
    """

    id: str
    account: str
    status: BankPayoutStatus
    currency: Currency
    amount: int
    created_at: datetime
    arrives_on: date
    bank: str | None
    transfers: tuple[str, ...] = ()
    payout: str | None = None
    failure_code: str | None = None


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

    def transfer_now(self, transfer: str) -> Transfer:
        """A transfer as it is now."""

    def account_status(self, account: str) -> AccountStatus:
        """A connected account as it is now."""

    def bank_payout(self, account: str, bank_payout: str) -> BankPayout:
        """A payout of a connected account as it is now."""

    def pay_out_instantly(self, payout: Payout) -> str:
        """The id of the one instant payout from the expert's account to its bank that carries on a sent payout."""

    def top_up(self, name: str, amount: int, currency_code: Currency) -> str:
        """The id of a top-up of the platform's balance from its bank; the same for every repetition of `name`."""

    def movements(self, kinds: Collection[MovementKind] = (), since: date | None = None) -> Iterator[Movement]:
        """The platform's balance transactions: of these kinds, or of all if none is named; made on `since` or later.

        Kind by kind newest first. Without `since` it is every one that ever was, a hundred to a request.
        """

    def balances(self) -> Sequence[StripeBalance]:
        """The platform's balance per currency."""
