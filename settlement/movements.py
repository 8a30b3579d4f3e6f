"""What moves the Stripe balance and no other use case books: top-ups, fees, own payouts, refunds and chargebacks.

Each is booked once, by its balance transaction, when it is in the available balance:

    kind              books                     against
    top_up            top_up                    bank/cash
    platform_payout   platform_payout           bank/cash
    fee               stripe_fee                cost/fees
    refund            invoice_refunded          the client's receivable
    dispute           invoice_charged_back      the client's receivable

What Stripe undoes (a failed refund or payout, a dispute won) is a movement the other way, with the same reason. A fee
that Stripe takes with a movement goes to cost/fees. Payments, transfers and reversals belong to the invoices and
payouts that caused them; kinds that are not known stay unbooked, and reconciliation names them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from billing.invoices import Invoice
from billing.periods import Period
from ledger.accounts import BANK_CASH, COST_FEES, STRIPE_BALANCE, Account, client_receivable
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, client_book, evidence, postings
from ledger.posting_rules import Reason
from settlement.ports import Books, Changes, PeriodKey, Writer
from settlement.stripe_port import Movement, MovementKind, Stripe
from settlement.writing import sealed, until_written

# A webhook looks at what was made in so many days; what only then becomes available was made well within them.
RECENT = timedelta(days=30)

_OF_THE_PLATFORM: dict[MovementKind, tuple[Reason, Account]] = {
    MovementKind.TOP_UP: (Reason.TOP_UP, BANK_CASH),
    MovementKind.PLATFORM_PAYOUT: (Reason.PLATFORM_PAYOUT, BANK_CASH),
    MovementKind.FEE: (Reason.STRIPE_FEE, COST_FEES),
}
_OF_A_CLIENT = {
    MovementKind.REFUND: Reason.INVOICE_REFUNDED,
    MovementKind.DISPUTE: Reason.INVOICE_CHARGED_BACK,
}
BOOKED_HERE = frozenset(_OF_THE_PLATFORM) | frozenset(_OF_A_CLIENT)


class MovementStore(Writer, Books, Protocol):
    """What booking movements reads and writes."""

    def invoice(self, client: str, period: Period) -> Invoice | None:
        """The invoice of a period, if it was closed."""

    def invoices(self) -> Iterator[Invoice]:
        """Every invoice, in no order."""

    def posted(self, entry_ids: Collection[str]) -> frozenset[str]:
        """Those of these entries that may be posted only once and were."""


def record_movements(store: MovementStore, stripe: Stripe, as_of: datetime, *, recent: bool = False) -> int:
    """Book every movement of these kinds that is available and was not booked yet, oldest first; how many that were.

    Safe to repeat. `recent` looks only at what was made in the 30 days before `as_of`: for webhooks. One that takes
    back a payment which no invoice has is left for the next time; reconciliation names it. Raises Contention if a book
    is too busy; the rest is then left for the next time, too.
    """
    since = (as_of.astimezone(UTC) - RECENT).date() if recent else None
    found = {entry_id(it): it for it in stripe.movements(BOOKED_HERE, since) if it.is_available}
    done = store.posted(found)
    new = sorted((it for id_, it in found.items() if id_ not in done), key=lambda it: (it.created_on, it.id))
    payers = _payers(store, {it.origin for it in new if it.kind in _OF_A_CLIENT})
    booked = 0
    for movement in new:
        payer = payers.get((str(movement.origin), movement.currency))
        if payer is not None or movement.kind in _OF_THE_PLATFORM:
            booked += _record(store, movement, payer, as_of)
    return booked


def entry_id(movement: Movement) -> EntryId:
    """The id of the entry that books a movement: derived, so that it is posted once."""
    return EntryId(f"movement:{movement.id}")


def entry_of(movement: Movement, client: str | None) -> Entry:
    """The entry that books a movement; of a client's it is in the client's book."""
    if client is None:
        reason, other = _OF_THE_PLATFORM[movement.kind]
        book: Book = PLATFORM_BOOK
    else:
        reason, other, book = _OF_A_CLIENT[movement.kind], client_receivable(client), client_book(client)
    amounts = {STRIPE_BALANCE: movement.net, other: -movement.gross}
    amounts[COST_FEES] = amounts.get(COST_FEES, 0) + movement.fee
    facts = {"movement": movement.id, "source": movement.source, "payment": movement.origin}
    return Entry(
        id=entry_id(movement),
        book=book,
        reason=reason,
        postings=postings(amounts.items(), movement.currency),
        effective_on=movement.available_on,
        evidence=evidence({name: value for name, value in facts.items() if value}),
    )


def _payers(store: MovementStore, charges: Collection[str | None]) -> Mapping[tuple[str, str], PeriodKey]:
    """The invoice, by client and period, that each of these charges paid, by charge and currency."""
    if not charges:
        return {}
    return {
        (payment.id, invoice.currency): (invoice.client, invoice.period)
        for invoice in store.invoices()
        for payment in invoice.payments
        if payment.id in charges
    }


def _record(store: MovementStore, movement: Movement, payer: PeriodKey | None, as_of: datetime) -> bool:
    """Whether it was booked here; not if somebody else did in the meantime."""
    entry = entry_of(movement, payer[0] if payer else None)

    def attempt() -> bool:
        if store.posted([entry.id]):
            return False
        entries, heads = sealed(store, (entry,), as_of)
        invoices = (_returned(store, movement, payer),) if payer else ()
        store.commit(Changes(entries=entries, heads=heads, once=(entry.id,), invoices=invoices))
        return True

    return until_written(store, entry.id, attempt)


def _returned(store: MovementStore, movement: Movement, payer: PeriodKey) -> Invoice:
    """The invoice whose payment went back, or came again: so much more, or less, of it is owed again."""
    invoice = store.invoice(*payer)
    if invoice is None:
        raise LookupError(f"{movement.id}: the invoice of {payer} is gone")
    returned = invoice.returned - movement.gross
    return replace(invoice, returned=returned, returned_on=movement.created_on, revision=invoice.revision + 1)
