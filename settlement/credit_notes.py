"""Credits for a closed period whose invoice is not paid: moved from the open period onto that invoice.

Settlement credits `unbilled` of the open period. While the earlier period's invoice is unpaid, one transaction takes
the credit out of the open period, books it against `receivable` and leaves a credit note that waits for Stripe. So a
credit is in one place at any time. If the client paid before Stripe was told, the note is withdrawn the same way back.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing.corrections import next_credit_note
from billing.invoices import CreditNote, Invoice, InvoiceStatus, invoice_id
from billing.periods import Period, PeriodState, PeriodStatus, next_period, period_of
from ledger.accounts import TAX_PAYABLE, client_receivable, client_unbilled
from ledger.entries import Entry, EntryId, client_book, evidence, postings
from ledger.posting_rules import Reason
from settlement.ports import BillingStore, Changes, Registry
from settlement.stripe_port import IssuedInvoice
from settlement.writing import sealed, until_written


def plan_credit_note(store: BillingStore, registry: Registry, key: tuple[str, Period], as_of: datetime) -> bool:
    """Move what the open period gave back for an earlier one onto that one's invoice; whether there was such a credit.

    Only if the invoice is open, has no other note waiting, and what remains to be paid covers it.
    """
    zone = registry.contracts([key[0]])[key[0]].time_zone

    def attempt() -> bool:
        invoice = store.invoice(*key)
        if invoice is None or invoice.status is not InvoiceStatus.OPEN or _waiting(invoice):
            return False
        state = open_period_after(store, invoice, zone, as_of)
        note = next_credit_note(invoice, dict(state.credits).get(invoice.period, 0))
        if note is None:
            return False
        entry = _entry(invoice, note, state.period, as_of.astimezone(zone).date(), withdrawn=False)
        entries, heads = sealed(store, (entry,), as_of)
        after = replace(invoice, credit_notes=(*invoice.credit_notes, note), revision=invoice.revision + 1)
        period = _credited(state, invoice.period, -note.net)
        store.commit(Changes(entries=entries, heads=heads, periods=(period,), invoices=(after,)))
        return True

    return until_written(store, f"the credit note of {invoice_id(*key)}", attempt)


def cannot_be_given(invoice: Invoice, issued: IssuedInvoice) -> CreditNote | None:
    """The note that waits and that Stripe neither has nor will take any more, given what it says of the invoice.

    What remains to be paid never grows again, so that no request that is still under way can succeed either.
    """
    note = _waiting(invoice)
    if note is None or any(given.ours == note.id for given in issued.credit_notes):
        return None
    is_possible = issued.status is InvoiceStatus.OPEN and issued.remaining >= note.amount
    return None if is_possible else note


def withdraw(invoice: Invoice, note: CreditNote, state: PeriodState, day: date) -> tuple[Invoice, PeriodState, Entry]:
    """The invoice without a note that cannot be given, the open period that has its credit again, and the entry."""
    notes = tuple(replace(it, is_withdrawn=True) if it == note else it for it in invoice.credit_notes)
    entry = _entry(invoice, note, state.period, day, withdrawn=True)
    return replace(invoice, credit_notes=notes), _credited(state, invoice.period, note.net), entry


def open_period_after(store: BillingStore, invoice: Invoice, zone: ZoneInfo, as_of: datetime) -> PeriodState:
    """The first open period behind an invoice's: the one in which settlement credits what is taken back of it."""
    periods = [next_period(invoice.period)]
    while periods[-1] <= period_of(as_of, zone):
        periods.append(next_period(periods[-1]))
    while True:
        found = store.periods([(invoice.client, period) for period in periods])
        states = [found[invoice.client, period] for period in periods]
        for state in states:
            if state.status is PeriodStatus.OPEN:
                return state
        periods = [next_period(periods[-1])]


def _waiting(invoice: Invoice) -> CreditNote | None:
    return next((note for note in invoice.credit_notes if note.is_waiting), None)


def _credited(state: PeriodState, earlier: Period, minor_units: int) -> PeriodState:
    return replace(state.with_credit(earlier, minor_units), revision=state.revision + 1)


def _entry(invoice: Invoice, note: CreditNote, period: Period, day: date, *, withdrawn: bool) -> Entry:
    """The movement between the open period and the invoice, dated in that period."""
    first = date.fromisoformat(f"{period}-01")
    last = date.fromisoformat(f"{next_period(period)}-01") - timedelta(days=1)
    sign = -1 if withdrawn else 1
    amounts = (
        (client_unbilled(invoice.client), sign * note.net),
        (TAX_PAYABLE, sign * note.tax),
        (client_receivable(invoice.client), -sign * note.amount),
    )
    return Entry(
        id=EntryId(f"{note.id}:withdrawn" if withdrawn else note.id),
        book=client_book(invoice.client),
        reason=Reason.CREDIT_NOTE_WITHDRAWN if withdrawn else Reason.CREDIT_NOTE,
        postings=postings(amounts, invoice.currency),
        effective_on=min(max(day, first), last),
        evidence=evidence({"invoice": invoice.attempt_id, "taken_from": period}),
    )
