"""A Stripe in memory for single-threaded tests: one transfer per key, and any failure that a test asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from billing.invoices import CreditNote, Invoice, InvoiceStatus, Payment, PaymentFailure
from ledger.money import Currency
from payouts.payouts import Payout
from settlement.registry import Client, Expert
from settlement.stripe_port import (
    IssuedCreditNote,
    IssuedInvoice,
    Movement,
    MovementKind,
    StripeBalance,
    StripeRefused,
)

_DAY = date(2026, 3, 9)


@dataclass
class FakeStripe:
    """`fail` holds, per coming transfer call, an error to raise and whether the transfer was made before it."""

    fail: list[tuple[Exception, bool]] = field(default_factory=list)
    transfers: dict[str, Payout] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    issued: dict[str, Invoice] = field(default_factory=dict)
    payments: dict[str, tuple[Payment, ...]] = field(default_factory=dict)
    top_ups: dict[str, tuple[int, Currency]] = field(default_factory=dict)
    credit_notes: dict[str, tuple[IssuedCreditNote, ...]] = field(default_factory=dict)
    statuses: dict[str, InvoiceStatus] = field(default_factory=dict)
    failures: dict[str, PaymentFailure] = field(default_factory=dict)

    def customer(self, client: Client) -> str:
        return f"cus_{client.id}"

    def account(self, expert: Expert) -> str:
        return f"acct_{expert.id}"

    def onboarding_link(self, account: str, return_url: str) -> str:
        return f"{return_url}?account={account}"

    def issue_invoice(self, invoice: Invoice, customer: str) -> IssuedInvoice:
        assert customer == f"cus_{invoice.client}"
        stripe_invoice = f"in_{invoice.client}_{invoice.period}" + (
            "" if invoice.attempt == 1 else f"_{invoice.attempt}"
        )
        self.issued.setdefault(stripe_invoice, invoice)
        return self.invoice(stripe_invoice)

    def invoice(self, stripe_invoice: str) -> IssuedInvoice:
        payments, notes = self.payments.get(stripe_invoice, ()), self.credit_notes.get(stripe_invoice, ())
        total = self.issued[stripe_invoice].total
        remaining = total - sum(payment.amount for payment in payments) - sum(note.amount for note in notes)
        status = self.statuses.get(stripe_invoice, InvoiceStatus.OPEN) if remaining else InvoiceStatus.PAID
        return IssuedInvoice(
            id=stripe_invoice,
            status=status,
            status_since=_DAY,
            total=total,
            remaining=remaining,
            payments=payments,
            credit_notes=notes,
            due_on=_DAY + timedelta(days=self.issued[stripe_invoice].net_days),
            last_failure=self.failures.get(stripe_invoice),
        )

    def pay(self, stripe_invoice: str, amount: int, *, is_available: bool = True) -> None:
        """The client pays that much; Stripe keeps 30 of it."""
        before = self.payments.get(stripe_invoice, ())
        payment = Payment(f"ch_{stripe_invoice}_{len(before) + 1}", amount, 30, _DAY, _DAY, is_available)
        self.payments[stripe_invoice] = (*before, payment)

    def issue_credit_note(self, invoice: Invoice, note: CreditNote) -> None:
        found = self.invoice(str(invoice.stripe_invoice))
        if any(given.ours == note.id for given in found.credit_notes):
            return
        if found.status is not InvoiceStatus.OPEN or note.amount > found.remaining:
            raise StripeRefused("amount_too_large", f"{found.remaining} is left to credit")
        self.credit(found.id, note.amount, note.id)

    def credit(self, stripe_invoice: str, amount: int, ours: str | None = None) -> None:
        """A credit note; without `ours` one that somebody made by hand."""
        before = self.credit_notes.get(stripe_invoice, ())
        made = IssuedCreditNote(f"cn_{stripe_invoice}_{len(before) + 1}", ours, amount, _DAY)
        self.credit_notes[stripe_invoice] = (*before, made)

    def void_invoice(self, invoice: Invoice) -> None:
        found = self.invoice(str(invoice.stripe_invoice))
        if found.payments:
            raise StripeRefused("invoice_not_editable", f"{found.id} was partly paid")
        self.statuses[found.id] = InvoiceStatus.VOID

    def transfer(self, payout: Payout) -> str:
        error, is_made = self.fail.pop(0) if self.fail else (None, True)
        key = payout.idempotency_key
        if is_made and key not in self.by_key:
            self.by_key[key] = f"tr_{len(self.transfers) + 1}"
            self.transfers[self.by_key[key]] = payout
        if error is not None:
            raise error
        return self.by_key[key]

    def find_transfer(self, payout_id: str) -> str | None:
        return next((id_ for id_, payout in self.transfers.items() if payout.id == payout_id), None)

    def top_up(self, name: str, amount: int, currency_code: Currency) -> str:
        self.top_ups[f"tu_{name}"] = (amount, currency_code)
        return f"tu_{name}"

    def movements(self, kind: MovementKind | None = None) -> Iterator[Movement]:
        for id_, payout in self.transfers.items():
            if kind in {None, MovementKind.TRANSFER}:
                yield self._movement(MovementKind.TRANSFER, id_, payout.currency, -payout.amount)
        for id_, (amount, code) in self.top_ups.items():
            if kind in {None, MovementKind.TOP_UP}:
                yield self._movement(MovementKind.TOP_UP, id_, code, amount)
        for stripe_invoice, payments in self.payments.items():
            for payment in payments:
                if kind in {None, MovementKind.PAYMENT}:
                    code = self.issued[stripe_invoice].currency
                    made = self._movement(MovementKind.PAYMENT, payment.id, code, payment.amount)
                    yield Movement(
                        made.id, made.kind, made.source, code, made.gross, payment.fee, payment.is_available, _DAY
                    )

    def _movement(self, kind: MovementKind, source: str, code: Currency, gross: int) -> Movement:
        return Movement(f"txn_{source}", kind, source, code, gross, 0, is_available=True, created_on=_DAY)

    def balances(self) -> Sequence[StripeBalance]:
        sums: dict[Currency, list[int]] = {}
        for movement in self.movements():
            place = 0 if movement.is_available else 1
            sums.setdefault(movement.currency, [0, 0])[place] += movement.gross - movement.fee
        return [StripeBalance(code, available, pending) for code, (available, pending) in sums.items()]
