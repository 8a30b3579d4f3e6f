"""What Stripe says by webhook is only a reason to look: every object is read again before anything is posted."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from billing.invoices import invoice_key
from ledger.records import dataclass
from settlement.bank_leg import follow_account, follow_bank_payout, follow_transfer
from settlement.invoicing import issue_or_follow
from settlement.movements import record_movements
from settlement.ports import BillingStore, PayoutStore, WritableRegistry
from settlement.reconcile import ReconcileStore
from settlement.stripe_port import Stripe


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """The allow-listed part of a webhook event.

    `subject` is our own id in it, of an invoice or a payout, `object` Stripe's id of what it is about, and `account`
    the connected account it happened in; each is "" where there is none.
    """

    id: str
    type: str
    created: datetime
    subject: str
    object: str = ""
    account: str = ""


class StripeEventStore(BillingStore, PayoutStore, ReconcileStore, Protocol):
    """What following Stripe reads and writes."""

    def event_is_done(self, event_id: str) -> bool:
        """Whether a webhook event was dealt with."""

    def mark_event_done(self, event_id: str, as_of: datetime) -> None:
        """Remember, for longer than Stripe repeats events, that this one was dealt with."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where the events are dealt with."""

    store: StripeEventStore
    registry: WritableRegistry
    stripe: Stripe

    def invoice(self, event: StripeEvent) -> str:
        key = invoice_key(event.subject)
        if key is None:
            return "ignored"
        issue_or_follow(self.store, self.registry, self.stripe, key, event.created)
        return "invoice followed"

    def transfer(self, event: StripeEvent) -> str:
        if self.store.payout(event.subject) is None:
            return "ignored"
        follow_transfer(self.store, self.registry, self.stripe, event.subject, event.created)
        return "payout followed"

    def balance(self, event: StripeEvent) -> str:
        for key in list(self.store.unfinished_invoices()):
            issue_or_follow(self.store, self.registry, self.stripe, key, event.created)
        record_movements(self.store, self.stripe, event.created, recent=True)
        return BALANCE_FOLLOWED

    def movement(self, event: StripeEvent) -> str:
        booked = record_movements(self.store, self.stripe, event.created, recent=True)
        return f"{booked} movements booked"

    def account(self, event: StripeEvent) -> str:
        account = event.account or event.object
        followed = follow_account(self.store, self.registry, self.stripe, account, event.created)
        return "account followed" if followed else "ignored"

    def bank_payout(self, event: StripeEvent) -> str:
        follow_bank_payout(self.store, self.registry, self.stripe, event.account, event.object, event.created)
        return "bank payout followed"

    def own_payout(self, event: StripeEvent) -> str:
        return self.bank_payout(event) if event.account else self.balance(event)


# After this outcome payouts that wait for funds are worth another try.
BALANCE_FOLLOWED = "balance followed"
# By the beginning of the event's type.
_DESKS: dict[str, Callable[[_Desk, StripeEvent], str]] = {
    "invoice.": _Desk.invoice,
    "invoice_payment.": _Desk.invoice,
    "credit_note.": _Desk.invoice,
    "transfer.": _Desk.transfer,
    "topup.": _Desk.balance,
    "balance.": _Desk.balance,
    "payout.": _Desk.own_payout,
    "refund.": _Desk.movement,
    "charge.refund": _Desk.movement,
    "charge.dispute.": _Desk.movement,
    "account.": _Desk.account,
    "v2.core.account": _Desk.account,
}


def follow_stripe(store: StripeEventStore, registry: WritableRegistry, stripe: Stripe, event: StripeEvent) -> str:
    """Do what one webhook event calls for; what was done, in a word.

    Events repeat and overtake each other; both are safe. One that calls for nothing is "ignored", one seen before is
    "repeated".
    """
    if store.event_is_done(event.id):
        return "repeated"
    desk = next((_DESKS[start] for start in _DESKS if event.type.startswith(start)), None)
    done = desk(_Desk(store, registry, stripe), event) if desk else "ignored"
    store.mark_event_done(event.id, event.created)
    return done
