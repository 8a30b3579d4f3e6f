"""Take an issued invoice back: void it at Stripe, and issue the period again."""

from dataclasses import replace
from datetime import datetime

from billing.corrections import reissued
from billing.invoices import STRIPE_MINIMUM_CHARGE, Invoice, InvoiceStatus, invoice_id
from billing.periods import Period
from ledger.accounts import client_receivable, client_unbilled
from ledger.entries import Entry, EntryId, client_book, evidence, postings
from ledger.money import Money
from ledger.posting_rules import Reason
from settlement.invoicing import issue_or_follow
from settlement.ports import BillingStore, Changes, WritableRegistry
from settlement.stripe_port import Stripe
from settlement.writing import sealed, until_written


class CannotTakeBack(RuntimeError):
    """The invoice may not be voided or issued again; the message says why and what to do instead."""


def void_invoice(
    store: BillingStore, registry: WritableRegistry, stripe: Stripe, key: tuple[str, Period], as_of: datetime
) -> Invoice:
    """The invoice, void: at Stripe, and in the ledger where all that is owed goes back to `unbilled`.

    Tax stays booked until it is issued again. Safe to repeat. Raises CannotTakeBack if it is not at Stripe yet or
    anything was paid.
    """
    if _stored(store, key).stripe_invoice is None:
        raise CannotTakeBack(f"{invoice_id(*key)} was never issued at Stripe, so there is nothing to void")
    invoice = issue_or_follow(store, registry, stripe, key, as_of) or _stored(store, key)
    if invoice.status is InvoiceStatus.VOID:
        return invoice
    if invoice.paid or invoice.status is InvoiceStatus.PAID:
        paid = Money(invoice.paid, invoice.currency)
        raise CannotTakeBack(
            f"{invoice.id} is {invoice.status} and {paid} of it was paid, so it stays; corrected facts give credits"
        )
    stripe.void_invoice(invoice)
    return issue_or_follow(store, registry, stripe, key, as_of) or invoice


def reissue_invoice(
    store: BillingStore, registry: WritableRegistry, stripe: Stripe, key: tuple[str, Period], as_of: datetime
) -> Invoice:
    """The next attempt of a void invoice, booked as `invoiced` again and issued at Stripe as one of its own.

    It has the same lines, less what credit notes took off. A repetition goes on where it stopped. Raises CannotTakeBack
    for an invoice that is not void.
    """

    def attempt() -> None:
        invoice = _stored(store, key)
        if invoice.attempt > 1 and invoice.status is InvoiceStatus.PLANNED:
            return
        if invoice.status is not InvoiceStatus.VOID:
            raise CannotTakeBack(f"{invoice.id} is {invoice.status}; only a void one is issued again, so void it first")
        store.commit(_changes(store, registry, invoice, as_of))

    until_written(store, invoice_id(*key), attempt)
    return issue_or_follow(store, registry, stripe, key, as_of) or _stored(store, key)


def _stored(store: BillingStore, key: tuple[str, Period]) -> Invoice:
    invoice = store.invoice(*key)
    if invoice is None:
        raise CannotTakeBack(f"{invoice_id(*key)} does not exist: that period is not closed")
    return invoice


def _changes(store: BillingStore, registry: WritableRegistry, invoice: Invoice, as_of: datetime) -> Changes:
    again = reissued(invoice)
    if again.total < max(1, STRIPE_MINIMUM_CHARGE.get(again.currency, 1)):
        left = Money(again.total, again.currency)
        raise CannotTakeBack(f"{invoice.id}: {left} are left of it, which is less than Stripe collects")
    zone = registry.contracts([invoice.client])[invoice.client].time_zone
    lines = [[line.kind, line.text, line.quantity, line.amount] for line in again.lines]
    amounts = ((client_receivable(again.client), again.total), (client_unbilled(again.client), -again.total))
    entry = Entry(
        id=EntryId(f"{again.attempt_id}:{Reason.INVOICED}"),
        book=client_book(again.client),
        reason=Reason.INVOICED,
        postings=postings(amounts, again.currency),
        effective_on=as_of.astimezone(zone).date(),
        evidence=evidence(
            {
                "period": again.period,
                "lines": lines,
                "net_days": again.net_days,
                "instead_of": invoice.stripe_invoice,
            }
        ),
    )
    entries, heads = sealed(store, (entry,), as_of)
    return Changes(entries=entries, heads=heads, invoices=(replace(again, revision=invoice.revision + 1),))
