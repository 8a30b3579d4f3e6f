"""What may be corrected on an invoice after it was issued: credit notes while it is unpaid, and a second issue."""

from dataclasses import replace
from enum import StrEnum
from fractions import Fraction

from billing.invoices import STRIPE_MINIMUM_CHARGE, CreditNote, Invoice, InvoiceLine, InvoiceStatus, LineKind
from ledger.money import minor_unit_exponent, round_half_away


class Outcome(StrEnum):
    """What became of money that went back to a client: it was paid by bank, given as a credit, or is lost."""

    PAID = "paid"
    CREDITED = "credited"
    LOST = "lost"


def next_credit_note(invoice: Invoice, credit: int) -> CreditNote | None:
    """The credit note that gives `credit` (minor units before tax) on an invoice; None if it has to be a later credit.

    That is so unless the invoice is open and what remains to be paid covers the credit with its tax, and is zero after
    it or not less than Stripe can collect. The tax is the share that the credited amount has in the invoice's own tax,
    rounded half away from zero over all its notes together, so that crediting everything gives back exactly its tax.
    Where Stripe takes only multiples of ten, the note is the largest such part of the credit.
    """
    if invoice.status is not InvoiceStatus.OPEN:
        return None
    before = sum(note.net for note in invoice.credit_notes if not note.is_withdrawn)
    step = 10 if minor_unit_exponent(invoice.currency) == 3 else 1
    for net in range(credit, 0, -1):
        tax = tax_share(invoice, before + net) - tax_share(invoice, before)
        if (net + tax) % step == 0:
            note = CreditNote(f"{invoice.attempt_id}:credit:{len(invoice.credit_notes) + 1}", net, tax)
            return note if _is_payable(invoice, invoice.asked - note.amount) else None
    return None


def _is_payable(invoice: Invoice, remaining: int) -> bool:
    return remaining == 0 or remaining >= STRIPE_MINIMUM_CHARGE.get(invoice.currency, 1)


def tax_share(invoice: Invoice, net: int) -> int:
    """The tax in `net` minor units of an invoice, at the rate that its lines show; rounded half away from zero."""
    taxable, tax = _taxed(invoice)
    return round_half_away(Fraction(tax * net, taxable)) if tax else 0


def note_by_hand(invoice: Invoice, stripe_note: str, amount: int) -> CreditNote:
    """The credit note that somebody gave at Stripe, `amount` minor units with tax, split as the invoice's total is."""
    taxable, tax = _taxed(invoice)
    part = round_half_away(Fraction(tax * amount, taxable + tax)) if tax else 0
    return CreditNote(f"{invoice.attempt_id}:credit:{stripe_note}", amount - part, part, stripe_note)


def _taxed(invoice: Invoice) -> tuple[int, int]:
    """What was taxed, and the tax: every line before that of the tax is taxed, none behind it is."""
    places = [place for place, line in enumerate(invoice.lines) if line.kind is LineKind.TAX]
    if not places:
        return invoice.total, 0
    return sum(line.amount for line in invoice.lines[: places[0]]), invoice.lines[places[0]].amount


def reissued(invoice: Invoice) -> Invoice:
    """The next attempt of a voided invoice: the same lines, less what credit notes had taken off."""
    notes = [note for note in invoice.credit_notes if not note.is_withdrawn]
    net, tax = sum(note.net for note in notes), sum(note.tax for note in notes)
    places = [place for place, line in enumerate(invoice.lines) if line.kind is LineKind.TAX]
    place = places[0] if places else len(invoice.lines)
    credit = InvoiceLine(LineKind.CREDITS, "resolutions taken back since the first issue", 1, -net)
    rest = tuple(
        replace(line, amount=line.amount - tax) if line.kind is LineKind.TAX else line for line in invoice.lines[place:]
    )
    return Invoice(
        client=invoice.client,
        period=invoice.period,
        currency=invoice.currency,
        lines=(*invoice.lines[:place], *((credit,) if net else ()), *rest),
        total=invoice.total - net - tax,
        net_days=invoice.net_days,
        attempt=invoice.attempt + 1,
        earlier=(*invoice.earlier, *((invoice.stripe_invoice,) if invoice.stripe_invoice else ())),
        revision=invoice.revision,
    )
