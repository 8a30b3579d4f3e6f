"""What Stripe says by webhook is only a reason to look: every object is read again before anything is posted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from billing.invoices import invoice_key
from settlement.invoicing import issue_or_follow
from settlement.pay import send_payout
from settlement.ports import BillingStore, PayoutStore, WritableRegistry
from settlement.reconcile import ReconcileStore, record_top_ups
from settlement.stripe_port import Stripe


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """The allow-listed part of a webhook event: `subject` is our own id in it, of an invoice or a payout, or ""."""

    id: str
    type: str
    created: datetime
    subject: str


class StripeEventStore(BillingStore, PayoutStore, ReconcileStore, Protocol):
    """What following Stripe reads and writes."""

    def event_is_done(self, event_id: str) -> bool:
        """Whether a webhook event was dealt with."""

    def mark_event_done(self, event_id: str, as_of: datetime) -> None:
        """Remember, for longer than Stripe repeats events, that this one was dealt with."""


def follow_stripe(store: StripeEventStore, registry: WritableRegistry, stripe: Stripe, event: StripeEvent) -> str:
    """Do what one webhook event calls for; what was done, in a word.

    Events repeat and overtake each other; both are safe. One that calls for nothing is "ignored", one seen before is
    "repeated".
    """
    if store.event_is_done(event.id):
        return "repeated"
    done = _act(store, registry, stripe, event)
    store.mark_event_done(event.id, event.created)
    return done


def _act(store: StripeEventStore, registry: WritableRegistry, stripe: Stripe, event: StripeEvent) -> str:
    subject, _, _ = event.type.partition(".")
    if subject in {"invoice", "invoice_payment", "credit_note"} and (key := invoice_key(event.subject)):
        issue_or_follow(store, registry, stripe, key, event.created)
        return "invoice followed"
    if subject == "transfer" and store.payout(event.subject) is not None:
        send_payout(store, stripe, event.subject, event.created)
        return "payout confirmed"
    if subject in {"topup", "balance"}:
        record_top_ups(store, stripe, event.created)
        for key in list(store.unfinished_invoices()):
            issue_or_follow(store, registry, stripe, key, event.created)
        return "balance followed"
    return "ignored"
