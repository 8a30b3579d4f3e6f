"""Invoices at Stripe: issue what the close planned, and post what Stripe says became of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime

from billing.corrections import note_by_hand
from billing.invoices import CreditNote, Invoice, InvoiceStatus, Payment, invoice_id
from billing.periods import Period, PeriodState
from ledger.accounts import (
    BANK_CASH,
    COST_BAD_DEBT,
    COST_FEES,
    REVENUE_CREDITS,
    STRIPE_BALANCE,
    STRIPE_CLEARING,
    TAX_PAYABLE,
    Account,
    client_receivable,
    client_unbilled,
)
from ledger.entries import Entry, EntryId, client_book, evidence, postings
from ledger.posting_rules import Reason
from settlement.announcements import Announcement
from settlement.credit_notes import cannot_be_given, open_period_after, plan_credit_note, withdraw
from settlement.ports import BillingStore, Changes, Contention, WritableRegistry
from settlement.stripe_port import IssuedInvoice, Stripe, StripeBusy, StripeRefused, StripeUnclear
from settlement.writing import sealed, until_written


class InvoiceDiffers(RuntimeError):
    """Stripe's invoice is not the ledger's: another total, or a state that cannot follow. Somebody has to look."""


def issue_or_follow(
    store: BillingStore, registry: WritableRegistry, stripe: Stripe, key: tuple[str, Period], as_of: datetime
) -> Invoice | None:
    """Bring one invoice up to date: issue what is only planned, credit notes too, and post what Stripe says of it now.

    The invoice as it then stands, or None if that period has none. Safe to repeat, and to run twice at once.
    """
    invoice = _follow(store, registry, stripe, key, as_of)
    for note in invoice.credit_notes if invoice else ():
        if invoice and note.is_waiting:
            stripe.issue_credit_note(invoice, note)
            invoice = _follow(store, registry, stripe, key, as_of)
    return invoice


def _follow(
    store: BillingStore, registry: WritableRegistry, stripe: Stripe, key: tuple[str, Period], as_of: datetime
) -> Invoice | None:
    def attempt() -> Invoice | None:
        invoice = store.invoice(*key)
        if invoice is None or (invoice.stripe_invoice is None and invoice.is_finished):
            return invoice
        issued = _at_stripe(registry, stripe, invoice)
        before, periods, withdrawals = _without_impossible_note(store, registry, invoice, issued, as_of)
        after, followed = follow(before, issued)
        if after == invoice:
            return invoice
        after, entries = replace(after, revision=invoice.revision + 1), [*withdrawals, *followed]
        recorded, heads = sealed(store, entries, as_of)
        told = (_told_issued(after, as_of),) if invoice.stripe_invoice is None else ()
        store.commit(Changes(entries=recorded, heads=heads, invoices=(after,), periods=periods, announcements=told))
        return after

    return until_written(store, invoice_id(*key), attempt)


def _told_issued(invoice: Invoice, as_of: datetime) -> Announcement:
    """That an invoice is at Stripe; one that was issued again is told again."""
    data: dict[str, int | str] = {
        "invoice": invoice.id,
        "period": invoice.period,
        "currency": invoice.currency,
        "total_minor": invoice.total,
        "due_on": invoice.due_on.isoformat() if invoice.due_on else "",
    }
    id_ = f"invoice.issued:{invoice.attempt_id}"
    return Announcement(id_, "invoice.issued", invoice.client, as_of, data, invoice.id)


def _without_impossible_note(
    store: BillingStore, registry: WritableRegistry, invoice: Invoice, issued: IssuedInvoice, as_of: datetime
) -> tuple[Invoice, tuple[PeriodState, ...], list[Entry]]:
    """The invoice, the open period and the entry once a note that came too late is withdrawn; mostly nothing is."""
    note = cannot_be_given(invoice, issued)
    if note is None:
        return invoice, (), []
    zone = registry.contracts([invoice.client])[invoice.client].time_zone
    state = open_period_after(store, invoice, zone, as_of)
    kept, credited, entry = withdraw(invoice, note, state, as_of.astimezone(zone).date())
    return kept, (credited,), [entry]


def follow_unfinished(
    store: BillingStore,
    registry: WritableRegistry,
    stripe: Stripe,
    as_of: datetime,
    may_issue: Callable[[Period], bool] | None = None,
) -> tuple[list[Invoice], dict[str, str]]:
    """Bring every unfinished invoice up to date: those that were, and why others failed, which stops nobody else.

    With `may_issue`, what is only planned stays so, unless invoices of its month may be issued.
    """
    done: list[Invoice] = []
    failed: dict[str, str] = {}
    for key in list(store.unfinished_invoices()):
        if may_issue is not None and _is_only_planned(store, key) and not may_issue(key[1]):
            continue
        try:
            invoice = issue_or_follow(store, registry, stripe, key, as_of)
            if plan_credit_note(store, registry, key, as_of):
                invoice = issue_or_follow(store, registry, stripe, key, as_of)
        except (Contention, InvoiceDiffers, StripeBusy, StripeRefused, StripeUnclear) as error:
            failed[invoice_id(*key)] = str(error)
        else:
            done += [invoice] if invoice else []
    return done, failed


def _is_only_planned(store: BillingStore, key: tuple[str, Period]) -> bool:
    invoice = store.invoice(*key)
    return invoice is not None and invoice.stripe_invoice is None


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
    """The invoice as Stripe has it, and the entries that post the difference to what the ledger holds. Pure.

    A payment debits `stripe/clearing` on the day it was made; once its balance transaction is available it moves to
    `stripe/balance`, less Stripe's fee. What is still owed when Stripe ends the invoice goes where its status says.
    Webhooks that repeat, overtake each other or come late lead to the same, since only what Stripe says now counts.
    Raises InvoiceDiffers for what Stripe cannot mean.
    """
    if issued.total != invoice.total:
        raise InvoiceDiffers(f"{invoice.id} is {invoice.total} here and {issued.total} as {issued.id} at Stripe")
    after = replace(
        invoice,
        stripe_invoice=issued.id,
        status=issued.status,
        due_on=issued.due_on,
        last_failure=issued.last_failure,
    )
    entries: list[Entry] = []
    for step in (_follow_credit_notes, _follow_payments, _follow_end):
        after, posted = step(after, issued)
        entries += posted
    return after, entries


def _follow_credit_notes(invoice: Invoice, issued: IssuedInvoice) -> tuple[Invoice, list[Entry]]:
    """Ours get Stripe's id; those that somebody gave by hand are posted."""
    entries, notes = [], {note.id: note for note in invoice.credit_notes}
    known = {note.stripe_note for note in invoice.credit_notes}
    for given in issued.credit_notes:
        if given.ours is not None:
            note = notes.get(given.ours)
            if note is None or note.is_withdrawn or note.amount != given.amount:
                raise InvoiceDiffers(f"{invoice.id}: Stripe's credit note {given.id} is not {given.ours} of the ledger")
            notes[note.id] = replace(note, stripe_note=given.id)
        elif given.id not in known:
            note = note_by_hand(invoice, given.id, given.amount)
            notes[note.id] = note
            entries.append(_credited_by_hand(invoice, note, given.issued_on))
    return replace(invoice, credit_notes=tuple(notes.values())), entries


def _follow_payments(invoice: Invoice, issued: IssuedInvoice) -> tuple[Invoice, list[Entry]]:
    entries, known = [], {payment.id: payment for payment in invoice.payments}
    for payment in issued.payments:
        before = known.get(payment.id)
        if before is None:
            entries.append(_paid(invoice, payment))
        if payment.is_available and (before is None or not before.is_available):
            entries.append(_cleared(invoice, payment))
        known[payment.id] = payment
    return replace(invoice, payments=tuple(known.values())), entries


def _follow_end(invoice: Invoice, issued: IssuedInvoice) -> tuple[Invoice, list[Entry]]:
    """What is owed by an invoice that Stripe ended: paid outside Stripe, voided or written off, as its status says.

    Uncollectible is not the last word: what is paid of it later is recovered, and it may still be voided.
    """
    rest = max(0, invoice.asked + invoice.paid_outside + invoice.written_off + invoice.voided)
    outside = rest if issued.status is InvoiceStatus.PAID else 0
    void = rest if issued.status is InvoiceStatus.VOID else 0
    lost = rest if issued.status is InvoiceStatus.UNCOLLECTIBLE else 0
    if outside < invoice.paid_outside or void < invoice.voided:
        raise InvoiceDiffers(f"{invoice.id} was paid outside Stripe or void, and is {issued.status} with {rest} left")
    unbilled = client_unbilled(invoice.client)
    steps = (
        (Reason.INVOICE_RECOVERED, COST_BAD_DEBT, min(0, lost - invoice.written_off)),
        (Reason.INVOICE_WRITTEN_OFF, COST_BAD_DEBT, max(0, lost - invoice.written_off)),
        (Reason.INVOICE_VOIDED, unbilled, void - invoice.voided),
        (Reason.INVOICE_PAID, BANK_CASH, outside - invoice.paid_outside),
    )
    entries = [_ended(invoice, issued, reason, account, amount) for reason, account, amount in steps if amount]
    return replace(invoice, paid_outside=outside, voided=void, written_off=lost), entries


def _ended(invoice: Invoice, issued: IssuedInvoice, reason: Reason, account: Account, amount: int) -> Entry:
    return Entry(
        id=EntryId(f"{invoice.attempt_id}:{reason.removeprefix('invoice_')}:{invoice.revision + 1}"),
        book=client_book(invoice.client),
        reason=reason,
        postings=postings(((account, amount), (client_receivable(invoice.client), -amount)), invoice.currency),
        effective_on=issued.changed_on,
        evidence=evidence({"invoice": issued.id, "status": issued.status}),
    )


def _credited_by_hand(invoice: Invoice, note: CreditNote, day: date) -> Entry:
    amounts = ((REVENUE_CREDITS, note.net), (TAX_PAYABLE, note.tax), (client_receivable(invoice.client), -note.amount))
    return Entry(
        id=EntryId(note.id),
        book=client_book(invoice.client),
        reason=Reason.CREDIT_NOTE,
        postings=postings(amounts, invoice.currency),
        effective_on=day,
        evidence=evidence({"invoice": invoice.attempt_id, "credit_note": note.stripe_note}),
    )


def _paid(invoice: Invoice, payment: Payment) -> Entry:
    return Entry(
        id=EntryId(f"{invoice.attempt_id}:paid:{payment.id}"),
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
        id=EntryId(f"{invoice.attempt_id}:cleared:{payment.id}"),
        book=client_book(invoice.client),
        reason=Reason.INVOICE_CLEARED,
        postings=postings(
            ((STRIPE_BALANCE, net), (COST_FEES, payment.fee), (STRIPE_CLEARING, -payment.amount)), invoice.currency
        ),
        effective_on=payment.available_on,
        evidence=evidence({"payment": payment.id}),
    )
