"""What went back after it was paid, and what became of it: refunds and chargebacks leave a receivable to be closed."""

import re
from dataclasses import replace
from datetime import UTC, datetime

from billing.corrections import Outcome, note_by_hand
from billing.invoices import Invoice
from billing.periods import Period
from ledger.accounts import BANK_CASH, COST_BAD_DEBT, REVENUE_CREDITS, TAX_PAYABLE, Account, client_receivable
from ledger.entries import Entry, EntryId, client_book, evidence, postings
from ledger.money import Money
from ledger.posting_rules import Reason
from settlement.movements import MovementStore
from settlement.ports import Changes
from settlement.writing import sealed, until_written

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")


class CannotSettle(ValueError):
    """There is not so much of the invoice that went back; the message says what there is, and what to do."""


_REASONS = {
    Outcome.PAID: Reason.INVOICE_PAID,
    Outcome.CREDITED: Reason.CREDIT_NOTE,
    Outcome.LOST: Reason.INVOICE_WRITTEN_OFF,
}


def settle_returned(
    store: MovementStore,
    key: tuple[str, Period],
    outcome: Outcome,
    amount: int | None,
    reference: str,
    as_of: datetime,
) -> Invoice:
    """Close the receivable of what went back of an invoice, `amount` minor units of it or all; the invoice afterwards.

    Paid debits bank/cash, lost cost/bad_debt; credited debits revenue/credits, and tax/payable for the share that the
    invoice's own tax has. If more came back than stood open, a dispute being won after it was given up, only lost is
    possible, and recovers it. The same `reference` twice is once. Raises CannotSettle.
    """
    if not _REFERENCE.fullmatch(reference):
        raise CannotSettle(
            f"{reference!r} is no reference: 1 to 64 letters, digits and ._/- that begin with one of them"
        )

    def attempt() -> Invoice:
        invoice = store.invoice(*key)
        if invoice is None:
            raise CannotSettle(f"{key[0]} has no invoice of {key[1]}; see `solvent invoice list`")
        entry_id = EntryId(f"{invoice.id}:settled:{reference}")
        if store.posted([entry_id]):
            return invoice
        settled = _settled(invoice, outcome, amount)
        entry = _entry(entry_id, invoice, outcome, settled, as_of)
        after = replace(invoice, returned=invoice.returned - settled, revision=invoice.revision + 1)
        entries, heads = sealed(store, (entry,), as_of)
        store.commit(Changes(entries=entries, heads=heads, invoices=(after,), once=(entry_id,)))
        return after

    return until_written(store, f"{key}: {reference}", attempt)


def _settled(invoice: Invoice, outcome: Outcome, amount: int | None) -> int:
    settled, back = invoice.returned if amount is None else amount, Money(invoice.returned, invoice.currency)
    if invoice.returned < 0 and (outcome is not Outcome.LOST or settled != invoice.returned):
        raise CannotSettle(
            f"{invoice.id}: {back} went back, so more came again than was open; all of it as `lost` only"
        )
    if invoice.returned >= 0 and not 0 < settled <= invoice.returned:
        raise CannotSettle(f"{invoice.id}: {back} went back and stand open, not {Money(settled, invoice.currency)}")
    return settled


def _entry(id_: EntryId, invoice: Invoice, outcome: Outcome, settled: int, as_of: datetime) -> Entry:
    tax = note_by_hand(invoice, id_, settled).tax if outcome is Outcome.CREDITED else 0
    others: dict[Outcome, tuple[tuple[Account, int], ...]] = {
        Outcome.PAID: ((BANK_CASH, settled),),
        Outcome.CREDITED: ((REVENUE_CREDITS, settled - tax), (TAX_PAYABLE, tax)),
        Outcome.LOST: ((COST_BAD_DEBT, settled),),
    }
    return Entry(
        id=id_,
        book=client_book(invoice.client),
        reason=Reason.INVOICE_RECOVERED if settled < 0 else _REASONS[outcome],
        postings=postings(
            (*others[outcome], (client_receivable(invoice.client), -settled)),
            invoice.currency,
        ),
        effective_on=as_of.astimezone(UTC).date(),
        evidence=evidence({"invoice": invoice.attempt_id, "outcome": outcome}),
    )
