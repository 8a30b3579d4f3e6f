"""Invoices at Stripe: issue what the close planned, and post what Stripe says was paid."""

from dataclasses import replace
from datetime import datetime

from billing.invoices import Invoice, Payment, invoice_id
from billing.periods import Period
from ledger.accounts import COST_FEES, STRIPE_BALANCE, STRIPE_CLEARING, client_receivable
from ledger.books import append
from ledger.entries import Entry, EntryId, client_book, evidence, postings
from ledger.posting_rules import Reason
from settlement.ports import BillingStore, Changes, Contention, WritableRegistry
from settlement.settle import ATTEMPTS
from settlement.stripe_port import IssuedInvoice, Stripe, StripeBusy, StripeRefused, StripeUnclear


class InvoiceDiffers(RuntimeError):
    """Stripe's invoice has another total than the ledger's. Nothing is posted; somebody has to look."""


def issue_or_follow(
    store: BillingStore, registry: WritableRegistry, stripe: Stripe, key: tuple[str, Period], as_of: datetime
) -> Invoice | None:
    """Bring one invoice up to date: issue it if it is only planned, else post what Stripe says of it now.

    The invoice as it then stands, or None if that period has none. Safe to repeat, and to run twice at once.
    """
    for attempt in range(1, ATTEMPTS + 1):
        invoice = store.invoice(*key)
        if invoice is None or invoice.is_finished:
            return invoice
        issued = _at_stripe(registry, stripe, invoice)
        if issued.total != invoice.total:
            raise InvoiceDiffers(f"{invoice.id} is {invoice.total} here and {issued.total} as {issued.id} at Stripe")
        after, entries = follow(invoice, issued)
        if after == invoice:
            return invoice
        after = replace(after, revision=invoice.revision + 1)
        head = store.head(client_book(invoice.client))
        sealed, new_head = append(head, entries, as_of)
        heads = ((head, new_head),) if entries else ()
        try:
            store.commit(Changes(entries=sealed, heads=heads, invoices=(after,)))
        except Contention:
            store.pause(attempt)
        else:
            return after
    raise Contention(f"{key}: overtaken {ATTEMPTS} times; it is tried again later")


def follow_unfinished(
    store: BillingStore, registry: WritableRegistry, stripe: Stripe, as_of: datetime
) -> tuple[list[Invoice], dict[str, str]]:
    """Bring every unfinished invoice up to date: those that were, and why others failed, which stops nobody else."""
    done: list[Invoice] = []
    failed: dict[str, str] = {}
    for key in list(store.unfinished_invoices()):
        try:
            invoice = issue_or_follow(store, registry, stripe, key, as_of)
        except (Contention, InvoiceDiffers, StripeBusy, StripeRefused, StripeUnclear) as error:
            failed[invoice_id(*key)] = str(error)
        else:
            done += [invoice] if invoice else []
    return done, failed


def _at_stripe(registry: WritableRegistry, stripe: Stripe, invoice: Invoice) -> IssuedInvoice:
    if invoice.stripe_invoice is not None:
        return stripe.invoice(invoice.stripe_invoice)
    client = registry.clients([invoice.client])[invoice.client]
    customer = client.stripe_customer
    if customer is None:
        customer = stripe.customer(client)
        registry.set_stripe_customer(client.id, customer)
    return stripe.issue_invoice(invoice, customer)


def follow(invoice: Invoice, issued: IssuedInvoice) -> tuple[Invoice, list[Entry]]:
    """The invoice as Stripe has it, and the entries that post the difference. Pure.

    A payment debits `stripe/clearing` on the day it was made; once its balance transaction is available it moves to
    `stripe/balance`, less Stripe's fee.
    """
    known = {payment.id: payment for payment in invoice.payments}
    entries = []
    for payment in issued.payments:
        before = known.get(payment.id)
        if before is None:
            entries.append(_paid(invoice, payment))
        if payment.is_available and (before is None or not before.is_available):
            entries.append(_cleared(invoice, payment))
        known[payment.id] = payment
    payments = tuple(known.values())
    return replace(invoice, stripe_invoice=issued.id, status=issued.status, payments=payments), entries


def _paid(invoice: Invoice, payment: Payment) -> Entry:
    return Entry(
        id=EntryId(f"{invoice.id}:paid:{payment.id}"),
        book=client_book(invoice.client),
        reason=Reason.INVOICE_PAID,
        postings=postings(
            ((STRIPE_CLEARING, payment.amount), (client_receivable(invoice.client), -payment.amount)), invoice.currency
        ),
        effective_on=payment.paid_on,
        evidence=evidence({"payment": payment.id}),
    )


def _cleared(invoice: Invoice, payment: Payment) -> Entry:
    net = payment.amount - payment.fee
    return Entry(
        id=EntryId(f"{invoice.id}:cleared:{payment.id}"),
        book=client_book(invoice.client),
        reason=Reason.INVOICE_CLEARED,
        postings=postings(
            ((STRIPE_BALANCE, net), (COST_FEES, payment.fee), (STRIPE_CLEARING, -payment.amount)), invoice.currency
        ),
        effective_on=payment.available_on,
        evidence=evidence({"payment": payment.id}),
    )
