"""A Stripe in memory for single-threaded tests: one transfer per key, and any failure that a test asks for."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from billing.invoices import CreditNote, Invoice, InvoiceStatus, Payment, PaymentFailure
from ledger.money import Currency
from payouts.payouts import Payout
from settlement.registry import Client, Expert
from settlement.stripe_port import (
    AccountStatus,
    BankPayout,
    BankPayoutStatus,
    IssuedCreditNote,
    IssuedInvoice,
    Movement,
    MovementKind,
    StripeBalance,
    StripeBusy,
    StripeRefused,
    StripeUnclear,
    Transfer,
    TransfersCapability,
)

_DAY, _USD = date(2026, 3, 9), Currency("USD")


def a_movement(kind: MovementKind, source: str, gross: int, code: Currency = _USD, **fields: object) -> Movement:
    """A balance transaction of the day, available at once and without a fee."""
    movement = Movement(f"txn_{source}", kind, source, code, gross, 0, True, _DAY, _DAY)
    return replace(movement, **fields)  # type: ignore[arg-type]  # checked by replace


class ServerError(StripeUnclear):
    """A 500. Stripe keeps it with the key, so that whoever repeats the request gets it replayed."""


def _is_kept(error: Exception | None) -> bool:
    """Whether it is an answer, of those that Stripe keeps with the key: no time-out, and no request for patience."""
    return isinstance(error, StripeRefused | ServerError) or (isinstance(error, StripeUnclear) and error.replayed)


@dataclass
class FakeStripe:
    """`fail` holds, per coming transfer call, an error to raise and whether the transfer was made before it.

    `fail_instant` does the same for instant payouts. `accounts` has those that are not simply active with a bank.
    `moved` is what moved the balance besides transfers, top-ups and payments of invoices.
    """

    fail: list[tuple[Exception, bool]] = field(default_factory=list)
    transfers: dict[str, Payout] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    requests: dict[str, tuple[object, ...]] = field(default_factory=dict)
    kept: dict[str, Exception] = field(default_factory=dict)
    issued: dict[str, Invoice] = field(default_factory=dict)
    payments: dict[str, tuple[Payment, ...]] = field(default_factory=dict)
    top_ups: dict[str, tuple[int, Currency]] = field(default_factory=dict)
    credit_notes: dict[str, tuple[IssuedCreditNote, ...]] = field(default_factory=dict)
    statuses: dict[str, InvoiceStatus] = field(default_factory=dict)
    failures: dict[str, PaymentFailure] = field(default_factory=dict)
    moved: list[Movement] = field(default_factory=list)
    fail_instant: list[tuple[Exception, bool]] = field(default_factory=list)
    reversed: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, AccountStatus] = field(default_factory=dict)
    bank_payouts: dict[str, BankPayout] = field(default_factory=dict)

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
        available_on = _DAY if is_available else _DAY + timedelta(days=30)
        payment = Payment(f"ch_{stripe_invoice}_{len(before) + 1}", amount, 30, _DAY, available_on, is_available)
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
        key = payout.idempotency_key
        error, is_made = self._begin(key, (payout.amount, payout.currency, payout.stripe_account), self.fail)
        if is_made and key not in self.by_key:
            self.by_key[key] = f"tr_{len(self.transfers) + 1}"
            self.transfers[self.by_key[key]] = payout
        self._end(key, error)
        return self.by_key[key]

    def _begin(
        self, key: str, parameters: tuple[object, ...], failures: list[tuple[Exception, bool]]
    ) -> tuple[Exception | None, bool]:
        """What comes of a request; if Stripe keeps an answer for its key then that, unless nothing gets through."""
        if self.requests.setdefault(key, parameters) != parameters:
            raise StripeBusy(f"the key {key} was used with other parameters")
        error, is_made = failures.pop(0) if failures else (None, True)
        if key in self.kept:
            raise self.kept[key] if error is None or _is_kept(error) else error
        return (None, True) if key in self.by_key and _is_kept(error) else (error, is_made)

    def _end(self, key: str, error: Exception | None) -> None:
        """What Stripe answered it keeps with the key, whether something was made or not."""
        if error is not None and _is_kept(error):
            self.kept[key] = StripeUnclear(str(error), replayed=True) if isinstance(error, ServerError) else error
        if error is not None:
            raise error

    def find_transfer(self, payout_id: str) -> str | None:
        return next((id_ for id_, payout in self.transfers.items() if payout.id == payout_id), None)

    def transfer_now(self, transfer: str) -> Transfer:
        payout = self.transfers.get(transfer)
        if payout is None:
            raise StripeRefused("resource_missing", f"No such transfer: '{transfer}'")
        return Transfer(transfer, payout.id, payout.currency, payout.amount, self.reversed.get(transfer, 0))

    def reverse(self, transfer: str, amount: int) -> None:
        """The platform takes back so much of a transfer."""
        self.reversed[transfer] = self.reversed.get(transfer, 0) + amount
        source, code = f"trr_{transfer}_{self.reversed[transfer]}", self.transfers[transfer].currency
        self.moved.append(a_movement(MovementKind.TRANSFER_REVERSAL, source, amount, code, origin=transfer))

    def account_status(self, account: str) -> AccountStatus:
        expert = account.removeprefix("acct_")
        usual = AccountStatus(account, expert, TransfersCapability.ACTIVE, bank=f"bank_{expert}")
        return self.accounts.get(account, usual)

    def change_account(self, account: str, **fields: object) -> None:
        """What Stripe finds out about an account, or the expert changes."""
        self.accounts[account] = replace(self.account_status(account), **fields)  # type: ignore[arg-type]  # checked

    def bank_payout(self, account: str, bank_payout: str) -> BankPayout:
        found = self.bank_payouts.get(bank_payout)
        if found is None or found.account != account:
            raise StripeRefused("resource_missing", f"No such payout: '{bank_payout}'")
        return found

    def pay_out(self, id_: str, *transfers: str, **fields: object) -> BankPayout:
        """A connected account pays these transfers out to its bank, as it does every day, and the bank has them."""
        first = self.transfers[transfers[0]]
        amount = sum(self.transfers[transfer].amount for transfer in transfers)
        made = replace(self._bank_payout(id_, first, amount), status=BankPayoutStatus.PAID, transfers=transfers)
        self.bank_payouts[id_] = replace(made, **fields)  # type: ignore[arg-type]  # checked by replace
        return self.bank_payouts[id_]

    def end_bank_payout(self, bank_payout: str, status: BankPayoutStatus, failure_code: str | None = None) -> None:
        """The bank takes a payout or returns it; what it returned stays so."""
        before = self.bank_payouts[bank_payout]
        if before.status is not BankPayoutStatus.FAILED:
            self.bank_payouts[bank_payout] = replace(before, status=status, failure_code=failure_code)

    def pay_out_instantly(self, payout: Payout) -> str:
        id_, key = f"po_{payout.id}", f"{payout.id}:instant"
        if id_ in self.bank_payouts:
            return id_
        error, is_made = self._begin(key, (payout.amount, payout.currency, payout.stripe_account), self.fail_instant)
        if is_made:
            carried = (str(self.find_transfer(payout.id)),)
            made = self._bank_payout(id_, payout, payout.amount)
            self.bank_payouts[id_] = replace(made, transfers=carried, payout=payout.id)
        self._end(key, error)
        return id_

    def _bank_payout(self, id_: str, payout: Payout, amount: int) -> BankPayout:
        return BankPayout(
            id=id_,
            account=payout.stripe_account,
            status=BankPayoutStatus.PENDING,
            currency=payout.currency,
            amount=amount,
            created_at=datetime(2026, 3, 9, 12, tzinfo=UTC),
            arrives_on=_DAY,
            bank=self.account_status(payout.stripe_account).bank,
        )

    def top_up(self, name: str, amount: int, currency_code: Currency) -> str:
        self.top_ups[f"tu_{name}"] = (amount, currency_code)
        return f"tu_{name}"

    def movements(self, kinds: Collection[MovementKind] = (), since: date | None = None) -> Iterator[Movement]:
        for movement in self._all_movements():
            if (not kinds or movement.kind in kinds) and (since is None or movement.created_on >= since):
                yield movement

    def _all_movements(self) -> Iterator[Movement]:
        for id_, payout in self.transfers.items():
            made = a_movement(MovementKind.TRANSFER, id_, -payout.amount, payout.currency)
            yield replace(made, origin=payout.id)
        for id_, (amount, code) in self.top_ups.items():
            yield a_movement(MovementKind.TOP_UP, id_, amount, code)
        for stripe_invoice, payments in self.payments.items():
            code = self.issued[stripe_invoice].currency
            for it in payments:
                made = a_movement(MovementKind.PAYMENT, it.id, it.amount, code)
                days = {"created_on": it.paid_on, "available_on": it.available_on}
                yield replace(made, fee=it.fee, is_available=it.is_available, **days)  # type: ignore[arg-type]  # days
        yield from self.moved

    def balances(self) -> Sequence[StripeBalance]:
        sums: dict[Currency, list[int]] = {}
        for movement in self.movements():
            place = 0 if movement.is_available else 1
            sums.setdefault(movement.currency, [0, 0])[place] += movement.net
        return [StripeBalance(code, available, pending) for code, (available, pending) in sums.items()]
