"""The Stripe port over the stripe SDK. Every write has a derived idempotency key; every error is one of four."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import stripe as sdk
from stripe import StripeClient

from billing.invoices import CreditNote, Invoice, InvoiceStatus, LineKind, Payment, PaymentFailure
from infra.stripe import balance_transactions
from infra.stripe.errors import stripe_errors
from infra.stripe.experts import StripeExperts
from infra.stripe.fields import day, tag
from infra.stripe.pacing import PacedClient, Pacer
from ledger.money import Currency, Money, currency, minor_unit_exponent, round_half_away
from settlement.registry import Client
from settlement.stripe_port import (
    IssuedCreditNote,
    IssuedInvoice,
    Movement,
    MovementKind,
    StripeBalance,
    StripeUnclear,
)

if TYPE_CHECKING:  # naming a type of the SDK imports its module
    from stripe.params import CreditNoteCreateParamsLine

TIMEOUT_SECONDS = 20
_STATUS = {
    "draft": InvoiceStatus.PLANNED,
    "open": InvoiceStatus.OPEN,
    "paid": InvoiceStatus.PAID,
    "void": InvoiceStatus.VOID,
    "uncollectible": InvoiceStatus.UNCOLLECTIBLE,
}


class StripeGateway(StripeExperts):
    """The platform's account at Stripe, or at the sandbox if `api_base` names it.

    It makes at most `calls_per_second` requests a second, retries included and from all its threads together.
    """

    def __init__(self, api_key: str, api_base: str | None = None, calls_per_second: int | None = None) -> None:
        http = sdk.RequestsClient(timeout=TIMEOUT_SECONDS)
        if calls_per_second is not None:
            http = PacedClient(Pacer(calls_per_second), timeout=TIMEOUT_SECONDS)
        client = StripeClient(
            api_key,
            base_addresses={"api": api_base} if api_base else None,
            max_network_retries=2,
            http_client=http,
        )
        self._v1, self._core = client.v1, client.v2.core

    # -- clients and invoices --------------------------------------------------------------------------------------

    @stripe_errors()
    def customer(self, client: Client) -> str:
        """The id of the client's customer, made if there is none."""
        for found in self._v1.customers.list({"email": client.email, "limit": 100}).auto_paging_iter():
            if tag(found.metadata, "solvent_client") == client.id:
                return found.id
        made = self._v1.customers.create(
            {"name": client.name, "email": client.email, "metadata": {"solvent_client": client.id}},
            {"idempotency_key": f"customer:{client.id}"},
        )
        return made.id

    @stripe_errors()
    def issue_invoice(self, invoice: Invoice, customer: str) -> IssuedInvoice:
        """The invoice, drafted, filled and finalized; what of it exists already is found and finished."""
        draft = self._find_invoice(invoice, customer) or self._draft(invoice, customer)
        if draft.status == "draft":
            self._fill(invoice, customer, draft.id)
            key = f"{invoice.attempt_id}:finalize"
            self._v1.invoices.finalize_invoice(draft.id, {}, {"idempotency_key": key})
        return self.invoice(draft.id)

    def _find_invoice(self, invoice: Invoice, customer: str) -> sdk.Invoice | None:
        """An earlier try's invoice: its key may be forgotten after a day, its metadata is not."""
        for found in self._v1.invoices.list({"customer": customer, "limit": 100}).auto_paging_iter():
            if tag(found.metadata, "solvent_invoice") == invoice.attempt_id:
                return found
        return None

    def _draft(self, invoice: Invoice, customer: str) -> sdk.Invoice:
        return self._v1.invoices.create(
            {
                "customer": customer,
                "currency": invoice.currency.lower(),
                "auto_advance": False,
                "collection_method": "send_invoice",
                "days_until_due": invoice.net_days,
                "pending_invoice_items_behavior": "exclude",
                "metadata": {"solvent_invoice": invoice.attempt_id},
            },
            {"idempotency_key": f"{invoice.attempt_id}:draft"},
        )

    def _fill(self, invoice: Invoice, customer: str, stripe_invoice: str) -> None:
        items = self._v1.invoice_items.list({"invoice": stripe_invoice, "limit": 100})
        present = {tag(item.metadata, "solvent_line") for item in items.auto_paging_iter()}
        for place, (line, amount) in enumerate(zip(invoice.lines, _item_amounts(invoice), strict=True)):
            if str(place) in present:
                continue
            text = f"{line.quantity} x {line.text}" if line.kind is LineKind.USAGE else f"{line.kind}: {line.text}"
            text += "" if amount == line.amount else f" (exactly {Money(line.amount, invoice.currency)})"
            self._v1.invoice_items.create(
                {
                    "customer": customer,
                    "invoice": stripe_invoice,
                    "currency": invoice.currency.lower(),
                    "amount": amount,
                    "description": text,
                    "metadata": {"solvent_line": str(place)},
                },
                {"idempotency_key": f"{invoice.attempt_id}:line:{place}"},
            )

    @stripe_errors()
    def invoice(self, stripe_invoice: str) -> IssuedInvoice:
        """The invoice as it is now, with every payment made and credit note given so far.

        Raises StripeUnclear while Stripe's list of credit notes does not sum to what the invoice says.
        """
        found = self._v1.invoices.retrieve(stripe_invoice)
        if found.status is None:
            raise StripeUnclear(f"invoice {stripe_invoice} came back without a status")
        notes = tuple(self._credit_notes(found.id))
        if sum(note.amount for note in notes) < found.pre_payment_credit_notes_amount:
            raise StripeUnclear(f"not all credit notes of invoice {stripe_invoice} are listed yet")
        return IssuedInvoice(
            id=found.id,
            status=_STATUS[found.status],
            status_since=_since(found),
            total=found.total,
            remaining=found.amount_remaining,
            payments=tuple(self._payments(found.id)),
            credit_notes=notes,
            due_on=day(found.due_date) if found.due_date else None,
            last_failure=self._last_failure(found.id) if found.status == "open" else None,
        )

    def _credit_notes(self, stripe_invoice: str) -> Iterator[IssuedCreditNote]:
        """Those that lowered what was to be paid; what is given after payment moves money, not the receivable."""
        for found in self._v1.credit_notes.list({"invoice": stripe_invoice, "limit": 100}).auto_paging_iter():
            if found.status == "issued" and found.pre_payment_amount:
                ours = tag(found.metadata, "solvent_credit_note")
                yield IssuedCreditNote(found.id, ours, found.pre_payment_amount, day(found.created))

    @stripe_errors()
    def issue_credit_note(self, invoice: Invoice, note: CreditNote) -> None:
        """Give the credit note, unless an earlier try did: its key may be forgotten after a day, its metadata is not.

        The tax is a line of its own, since it is one on the invoice.
        """
        on_invoice = str(invoice.stripe_invoice)
        if any(given.ours == note.id for given in self._credit_notes(on_invoice)):
            return
        lines: list[CreditNoteCreateParamsLine] = [
            {"type": "custom_line_item", "description": text, "quantity": 1, "unit_amount": amount}
            for text, amount in (("resolutions taken back", note.net), ("tax", note.tax))
            if amount
        ]
        self._v1.credit_notes.create(
            {
                "invoice": on_invoice,
                "lines": lines,
                "metadata": {"solvent_credit_note": note.id, "solvent_invoice": invoice.attempt_id},
            },
            {"idempotency_key": note.id},
        )

    @stripe_errors()
    def void_invoice(self, invoice: Invoice) -> None:
        """Make the invoice void; Stripe refuses it for one that was partly paid."""
        self._v1.invoices.void_invoice(
            str(invoice.stripe_invoice), {}, {"idempotency_key": f"{invoice.attempt_id}:void"}
        )

    def _last_failure(self, stripe_invoice: str) -> PaymentFailure | None:
        """The newest charge that failed for a payment that is still asked for."""
        failures = []
        for asked in self._v1.invoice_payments.list({"invoice": stripe_invoice, "status": "open"}).auto_paging_iter():
            if asked.payment.payment_intent is not None:
                intent = self._v1.payment_intents.retrieve(
                    str(asked.payment.payment_intent), {"expand": ["latest_charge"]}
                )
                charge = intent.latest_charge
                if isinstance(charge, sdk.Charge) and charge.status == "failed":
                    failures.append((charge.created, charge.failure_code or "unknown"))
        if not failures:
            return None
        created, code = max(failures)
        return PaymentFailure(code, day(created))

    def _payments(self, stripe_invoice: str) -> Iterator[Payment]:
        page = self._v1.invoice_payments.list({"invoice": stripe_invoice, "status": "paid"})
        for paid in page.auto_paging_iter():
            intent_id = paid.payment.payment_intent
            if intent_id is None:
                continue  # paid outside Stripe: finance books it by hand
            expand = ["latest_charge.balance_transaction"]
            charge = self._v1.payment_intents.retrieve(str(intent_id), {"expand": expand}).latest_charge
            if not isinstance(charge, sdk.Charge) or not isinstance(charge.balance_transaction, sdk.BalanceTransaction):
                raise StripeUnclear(f"payment {intent_id} has no balance transaction yet")
            moved = charge.balance_transaction
            yield Payment(
                id=charge.id,
                amount=moved.amount,
                fee=moved.fee,
                paid_on=day(charge.created),
                available_on=day(moved.available_on),
                is_available=moved.status == "available",
            )

    # -- the platform's balance ------------------------------------------------------------------------------------

    @stripe_errors()
    def top_up(self, name: str, amount: int, currency_code: Currency) -> str:
        """The id of a top-up of the platform's balance from its bank; the same for every repetition of `name`."""
        for found in self._v1.topups.list({"limit": 100}).auto_paging_iter():
            if found.description == name:  # its key may be forgotten after a day, its name is not
                return found.id
        made = self._v1.topups.create(
            {"amount": amount, "currency": currency_code.lower(), "description": name},
            {"idempotency_key": f"topup:{name}"},
        )
        return made.id

    def movements(self, kinds: Collection[MovementKind] = (), since: date | None = None) -> Iterator[Movement]:
        """The platform's balance transactions: of these kinds, or of all if none is named; made on `since` or later."""
        with stripe_errors():
            for asked in balance_transactions.requests(kinds, since):
                for found in self._v1.balance_transactions.list(asked).auto_paging_iter():
                    movement = balance_transactions.movement_of(found)
                    if not kinds or movement.kind in kinds:
                        yield movement

    @stripe_errors()
    def balances(self) -> Sequence[StripeBalance]:
        """The platform's balance per currency."""
        balance = self._v1.balance.retrieve()
        sums: dict[Currency, list[int]] = {}
        for fund in balance.available:
            sums.setdefault(currency(fund.currency.upper()), [0, 0])[0] += fund.amount
        for waiting in balance.pending:
            sums.setdefault(currency(waiting.currency.upper()), [0, 0])[1] += waiting.amount
        return [StripeBalance(code, available, pending) for code, (available, pending) in sorted(sums.items())]


def _item_amounts(invoice: Invoice) -> list[int]:
    """What Stripe is asked for each line: in currencies with three decimals multiples of ten, and the same in all.

    Sums of lines are rounded, half away from zero, not the lines: the invoice's total is such a multiple already.
    """
    step = 10 if minor_unit_exponent(invoice.currency) == 3 else 1
    through = accumulate(line.amount for line in invoice.lines)
    rounded = [step * round_half_away(Fraction(minor, step)) for minor in through]
    return [after - before for before, after in pairwise([0, *rounded])]


def _since(found: sdk.Invoice) -> date:
    """When the invoice came into its status; a draft, when it was made."""
    times = found.status_transitions
    changed = {
        "open": times.finalized_at,
        "paid": times.paid_at,
        "void": times.voided_at,
        "uncollectible": times.marked_uncollectible_at,
    }.get(str(found.status))
    return day(changed or found.created)
