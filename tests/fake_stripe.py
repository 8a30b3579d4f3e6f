"""A Stripe in memory for single-threaded tests: one transfer per key, and any failure that a test asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from billing.invoices import Invoice, InvoiceStatus, Payment
from ledger.money import Currency
from payouts.payouts import Payout
from settlement.registry import Client, Expert
from settlement.stripe_port import IssuedInvoice, Movement, MovementKind, StripeBalance

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

    def customer(self, client: Client) -> str:
        return f"cus_{client.id}"

    def account(self, expert: Expert) -> str:
        return f"acct_{expert.id}"

    def onboarding_link(self, account: str, return_url: str) -> str:
        return f"{return_url}?account={account}"

    def issue_invoice(self, invoice: Invoice, customer: str) -> IssuedInvoice:
        assert customer == f"cus_{invoice.client}"
        self.issued.setdefault(f"in_{invoice.client}_{invoice.period}", invoice)
        return self.invoice(f"in_{invoice.client}_{invoice.period}")

    def invoice(self, stripe_invoice: str) -> IssuedInvoice:
        payments = self.payments.get(stripe_invoice, ())
        total = self.issued[stripe_invoice].total
        is_paid = sum(payment.amount for payment in payments) == total
        return IssuedInvoice(stripe_invoice, InvoiceStatus.PAID if is_paid else InvoiceStatus.OPEN, total, payments)

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
