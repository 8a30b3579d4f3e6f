"""The Stripe port over the stripe SDK. Every write has a derived idempotency key; every error is one of four."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime

import stripe as sdk
from stripe import StripeClient
from stripe.params import CreditNoteCreateParamsLine

from billing.invoices import CreditNote, Invoice, InvoiceStatus, LineKind, Payment, PaymentFailure
from ledger.money import Currency, currency
from payouts.payouts import Payout
from settlement.registry import Client, Expert
from settlement.stripe_port import (
    IssuedCreditNote,
    IssuedInvoice,
    Movement,
    MovementKind,
    NotEnoughFunds,
    StripeBalance,
    StripeBusy,
    StripeRefused,
    StripeUnclear,
)

# Only these codes of a 4xx prove that a transfer did not and will not happen (https://docs.stripe.com/error-codes).
DEFINITIVE_REFUSALS = frozenset(
    {
        "account_closed",
        "account_invalid",
        "amount_too_large",
        "amount_too_small",
        "insufficient_capabilities_for_transfer",
        "invalid_charge_amount",
        "no_account",
        "parameter_invalid_empty",
        "parameter_invalid_integer",
        "parameter_missing",
        "parameter_unknown",
        "resource_missing",
        "transfers_not_allowed",
    }
)
TIMEOUT_SECONDS = 20
_STATUS = {
    "draft": InvoiceStatus.PLANNED,
    "open": InvoiceStatus.OPEN,
    "paid": InvoiceStatus.PAID,
    "void": InvoiceStatus.VOID,
    "uncollectible": InvoiceStatus.UNCOLLECTIBLE,
}
_KINDS = {
    "charge": MovementKind.PAYMENT,
    "payment": MovementKind.PAYMENT,
    "transfer": MovementKind.TRANSFER,
    "topup": MovementKind.TOP_UP,
}


@contextmanager
def _errors() -> Iterator[None]:
    """Around every request: raises StripeUnclear, StripeBusy, StripeRefused or NotEnoughFunds instead of the SDK's own.

    The first that fits: no answer, 5xx: unclear. 401, 403, 409, 429, a reused key: busy. A listed code: refused. Any
    other 4xx proves nothing, so it is busy too: the state stays, and the error is seen in the logs until it is listed.
    """
    try:
        yield
    except sdk.APIConnectionError as error:
        raise StripeUnclear(f"no answer from Stripe: {error.user_message or error}") from error
    except sdk.InvalidRequestError as error:
        if error.code == "balance_insufficient":
            raise NotEnoughFunds(error.code, str(error)) from error
        if error.code in DEFINITIVE_REFUSALS:
            raise StripeRefused(str(error.code), str(error)) from error
        raise StripeBusy(str(error)) from error
    except (sdk.AuthenticationError, sdk.PermissionError, sdk.RateLimitError, sdk.IdempotencyError) as error:
        raise StripeBusy(str(error)) from error
    except sdk.APIError as error:
        if (error.http_status or 500) < 500:
            raise StripeBusy(str(error)) from error
        replayed = dict(error.headers or {}).get("Idempotent-Replayed") == "true"
        raise StripeUnclear(f"Stripe answered {error.http_status}: {error}", replayed=replayed) from error


class StripeGateway:
    """The platform's account at Stripe, or at the sandbox if `api_base` names it."""

    def __init__(self, api_key: str, api_base: str | None = None) -> None:
        client = StripeClient(
            api_key,
            base_addresses={"api": api_base} if api_base else None,
            max_network_retries=2,
            http_client=sdk.RequestsClient(timeout=TIMEOUT_SECONDS),
        )
        self._v1, self._core = client.v1, client.v2.core

    # -- clients and invoices --------------------------------------------------------------------------------------

    @_errors()
    def customer(self, client: Client) -> str:
        """The id of the client's customer, made if there is none."""
        for found in self._v1.customers.list({"email": client.email, "limit": 100}).auto_paging_iter():
            if _tag(found.metadata, "solvent_client") == client.id:
                return found.id
        made = self._v1.customers.create(
            {"name": client.name, "email": client.email, "metadata": {"solvent_client": client.id}},
            {"idempotency_key": f"customer:{client.id}"},
        )
        return made.id

    @_errors()
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
            if _tag(found.metadata, "solvent_invoice") == invoice.attempt_id:
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
        present = {_tag(item.metadata, "solvent_line") for item in items.auto_paging_iter()}
        for place, line in enumerate(invoice.lines):
            if str(place) in present:
                continue
            text = f"{line.quantity} x {line.text}" if line.kind is LineKind.USAGE else f"{line.kind}: {line.text}"
            self._v1.invoice_items.create(
                {
                    "customer": customer,
                    "invoice": stripe_invoice,
                    "currency": invoice.currency.lower(),
                    "amount": line.amount,
                    "description": text,
                    "metadata": {"solvent_line": str(place)},
                },
                {"idempotency_key": f"{invoice.attempt_id}:line:{place}"},
            )

    @_errors()
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
            due_on=_day(found.due_date) if found.due_date else None,
            last_failure=self._last_failure(found.id) if found.status == "open" else None,
        )

    def _credit_notes(self, stripe_invoice: str) -> Iterator[IssuedCreditNote]:
        """Those that lowered what was to be paid; what is given after payment moves money, not the receivable."""
        for found in self._v1.credit_notes.list({"invoice": stripe_invoice, "limit": 100}).auto_paging_iter():
            if found.status == "issued" and found.pre_payment_amount:
                ours = _tag(found.metadata, "solvent_credit_note")
                yield IssuedCreditNote(found.id, ours, found.pre_payment_amount, _day(found.created))

    @_errors()
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

    @_errors()
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
        return PaymentFailure(code, _day(created))

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
                paid_on=_day(charge.created),
                available_on=_day(moved.available_on),
                is_available=moved.status == "available",
            )

    # -- experts and transfers -------------------------------------------------------------------------------------

    @_errors()
    def account(self, expert: Expert) -> str:
        """The id of the expert's connected account (Accounts v2, recipient), made if there is none.

        Stripe keeps the key of a v2 request for 30 days; the registry keeps the id for good.
        """
        made = self._core.accounts.create(
            {
                "contact_email": expert.email,
                "display_name": expert.id,
                "dashboard": "express",
                "identity": {"country": expert.country.lower()},
                "configuration": {
                    "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}
                },
                "defaults": {"responsibilities": {"fees_collector": "application", "losses_collector": "application"}},
                "metadata": {"solvent_expert": expert.id},
            },
            {"idempotency_key": f"account:{expert.id}"},
        )
        return made.id

    @_errors()
    def onboarding_link(self, account: str, return_url: str) -> str:
        """Where the expert gives Stripe what it asks for; the link works once and for a few minutes."""
        link = self._core.account_links.create(
            {
                "account": account,
                "use_case": {
                    "type": "account_onboarding",
                    "account_onboarding": {
                        "refresh_url": return_url,
                        "return_url": return_url,
                    },
                },
            }
        )
        return link.url

    @_errors()
    def transfer(self, payout: Payout) -> str:
        """The id of the one transfer of the payout's current attempt."""
        made = self._v1.transfers.create(
            {
                "amount": payout.amount,
                "currency": payout.currency.lower(),
                "destination": payout.stripe_account,
                "transfer_group": payout.id,
                "metadata": {"solvent_payout": payout.id},
            },
            {"idempotency_key": payout.idempotency_key},
        )
        return made.id

    @_errors()
    def find_transfer(self, payout_id: str) -> str | None:
        """The transfer of any attempt of a payout, if there is one."""
        found = self._v1.transfers.list({"transfer_group": payout_id, "limit": 1})
        return found.data[0].id if found.data else None

    # -- the platform's balance ------------------------------------------------------------------------------------

    @_errors()
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

    def movements(self, kind: MovementKind | None = None) -> Iterator[Movement]:
        """Every balance transaction of the platform, or those of one kind, newest first."""
        with _errors():
            for found in self._v1.balance_transactions.list({"limit": 100}).auto_paging_iter():
                movement = _movement(found)
                if kind is None or movement.kind is kind:
                    yield movement

    @_errors()
    def balances(self) -> Sequence[StripeBalance]:
        """The platform's balance per currency."""
        balance = self._v1.balance.retrieve()
        sums: dict[Currency, list[int]] = {}
        for fund in balance.available:
            sums.setdefault(currency(fund.currency.upper()), [0, 0])[0] += fund.amount
        for waiting in balance.pending:
            sums.setdefault(currency(waiting.currency.upper()), [0, 0])[1] += waiting.amount
        return [StripeBalance(code, available, pending) for code, (available, pending) in sorted(sums.items())]


def _tag(metadata: sdk.StripeObject | None, name: str) -> str | None:
    return metadata.to_dict().get(name) if metadata else None


def _since(found: sdk.Invoice) -> date:
    """When the invoice came into its status; a draft, when it was made."""
    times = found.status_transitions
    changed = {
        "open": times.finalized_at,
        "paid": times.paid_at,
        "void": times.voided_at,
        "uncollectible": times.marked_uncollectible_at,
    }.get(str(found.status))
    return _day(changed or found.created)


def _movement(found: sdk.BalanceTransaction) -> Movement:
    source = found.source if isinstance(found.source, str) else getattr(found.source, "id", "")
    return Movement(
        id=found.id,
        kind=_KINDS.get(found.type, MovementKind.OTHER),
        source=source or found.id,
        currency=currency(found.currency.upper()),
        gross=found.amount,
        fee=found.fee,
        is_available=found.status == "available",
        created_on=_day(found.created),
    )


def _day(epoch_seconds: int) -> date:
    return datetime.fromtimestamp(epoch_seconds, UTC).date()
