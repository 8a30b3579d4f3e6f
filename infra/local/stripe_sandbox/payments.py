"""Payments of invoices: payment intents, charges, invoice payments, and the fee that Stripe keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox.balances import Movement, card_fee, move
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.world import DAY_SECONDS, Call, World

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

PAYABLE = ("open", "uncollectible")


def request_payment(world: World, invoice: JsonObject) -> None:
    """Give the invoice its default payment intent, which asks for all that remains."""
    intent = _new_intent(world, invoice, invoice["amount_remaining"])
    payment = _new_invoice_payment(world, invoice, intent, is_default=True)
    invoice["_default_payment"] = payment["id"]


def _new_intent(world: World, invoice: JsonObject, amount: int) -> JsonObject:
    intent_id = world.store.new_id("pi")
    return world.store.add(
        {
            "id": intent_id,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic",
            "client_secret": f"{intent_id}_secret_sandbox",
            "confirmation_method": "automatic",
            "created": world.now,
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "description": f"Payment for Invoice {invoice['number'] or ''}".strip(),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": {},
            "payment_method": None,
            "payment_method_types": ["card"],
            "status": "requires_payment_method",
            "transfer_group": None,
        }
    )


def _new_invoice_payment(world: World, invoice: JsonObject, intent: JsonObject, *, is_default: bool) -> JsonObject:
    return world.store.add(
        {
            "id": world.store.new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": intent["amount"],
            "created": world.now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": is_default,
            "livemode": False,
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def pay(world: World, call: Call) -> JsonObject:
    """The invoice paid in full, by card or `paid_out_of_band`; a prepared failure answers 402 card_declined."""
    invoice = _payable(world, call.path["id"])
    if call.params.get("paid_out_of_band"):
        invoice["amount_paid"] += invoice["amount_remaining"]
        cancel_request(world, invoice)
        set_remaining(world, invoice)
        mark_paid_if_settled(world, invoice)
        return invoice
    if invoice.get("_next_payment_fails"):
        invoice["_next_payment_fails"] = False
        decline(world, invoice)
        raise ApiError("Your card was declined.", status=402, code="card_declined", kind="card_error")
    settle_by_charge(world, invoice, invoice["amount_remaining"])
    return invoice


def pay_invoice(world: World, call: Call) -> JsonObject:
    """The customer pays the invoice from outside, all that remains or a part of it."""
    invoice = _payable(world, call.params["invoice"])
    amount = call.params["amount"] if "amount" in call.params else invoice["amount_remaining"]
    if not 1 <= amount <= invoice["amount_remaining"]:
        raise ApiError(f"amount must be 1 to {invoice['amount_remaining']}", param="amount")
    settle_by_charge(world, invoice, amount)
    return invoice


def fail_payment(world: World, call: Call) -> JsonObject:
    """The customer's payment is declined now, or with `when` = `next_pay` at the next /pay."""
    invoice = _payable(world, call.params["invoice"])
    if call.params.get("when", "now") == "next_pay":
        invoice["_next_payment_fails"] = True
    else:
        decline(world, invoice)
    return invoice


def _payable(world: World, invoice_id: str) -> JsonObject:
    invoice = world.store.get(invoice_id, "invoice")
    if invoice["status"] == "paid":
        raise ApiError("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in PAYABLE:
        raise ApiError(f"The invoice is {invoice['status']}, it can't be paid.", code="invoice_not_editable")
    return invoice


def settle_by_charge(world: World, invoice: JsonObject, amount: int) -> None:
    """Charge the amount: payment intent, charge, and a balance transaction that is pending for some days.

    The full remainder is paid by the invoice's default intent, a part by an intent of its own.
    """
    if amount == invoice["amount_remaining"]:
        payment = world.store.kind_of("inpay")[invoice["_default_payment"]]
        intent = world.store.kind_of("pi")[payment["payment"]["payment_intent"]]
    else:
        intent = _new_intent(world, invoice, amount)
        payment = _new_invoice_payment(world, invoice, intent, is_default=False)
    charge = _charge(world, invoice, intent, amount)
    paid_at = {"latest_charge": charge["id"], "amount_received": amount, "status": "succeeded"}
    intent |= paid_at
    payment |= {"amount_paid": amount, "status": "paid"}
    payment["status_transitions"]["paid_at"] = world.now
    invoice["amount_paid"] += amount
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    set_remaining(world, invoice)
    world.emit("charge.succeeded", charge)
    world.emit("payment_intent.succeeded", intent)
    world.emit("invoice_payment.paid", payment)
    if invoice["amount_remaining"]:
        world.emit("invoice.updated", invoice)
    mark_paid_if_settled(world, invoice)


def _charge(world: World, invoice: JsonObject, intent: JsonObject, amount: int) -> JsonObject:
    charge = _new_charge(world, intent, amount)
    available_at = world.now + world.settings.settlement_days * DAY_SECONDS
    fee = card_fee(amount)
    movement = Movement(
        "charge",
        amount,
        invoice["currency"],
        charge["id"],
        fee=fee,
        available_at=available_at,
        description=intent["description"],
    )
    charge["balance_transaction"] = move(world, movement)["id"]
    return charge


def _new_charge(world: World, intent: JsonObject, amount: int) -> JsonObject:
    return world.store.add(
        {
            "id": world.store.new_id("ch"),
            "object": "charge",
            "amount": amount,
            "amount_captured": amount,
            "amount_refunded": 0,
            "balance_transaction": None,
            "captured": True,
            "created": world.now,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_code": None,
            "failure_message": None,
            "livemode": False,
            "metadata": {},
            "outcome": {"network_status": "approved_by_network", "type": "authorized"},
            "paid": True,
            "payment_intent": intent["id"],
            "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
            "refunded": False,
            "source_transfer": None,
            "status": "succeeded",
            "transfer_group": None,
        }
    )


def decline(world: World, invoice: JsonObject) -> None:
    """A failed charge on the invoice's default intent; no money moves."""
    payment = world.store.kind_of("inpay")[invoice["_default_payment"]]
    intent = world.store.kind_of("pi")[payment["payment"]["payment_intent"]]
    charge = _new_charge(world, intent, intent["amount"])
    charge |= {
        "amount_captured": 0,
        "captured": False,
        "failure_code": "card_declined",
        "failure_message": "Your card was declined.",
        "outcome": {"network_status": "declined_by_network", "type": "issuer_declined"},
        "paid": False,
        "status": "failed",
    }
    intent["latest_charge"] = charge["id"]
    intent["last_payment_error"] = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    world.emit("charge.failed", charge)
    world.emit("payment_intent.payment_failed", intent)
    world.emit("invoice.payment_failed", invoice)


def set_remaining(world: World, invoice: JsonObject) -> None:
    """Recompute what remains, and ask the default payment intent for just that."""
    invoice["amount_remaining"] = invoice["amount_due"] - invoice["amount_paid"]
    payment = world.store.find(invoice.get("_default_payment", ""))
    if payment is None or payment["status"] != "open":
        return
    if invoice["amount_remaining"] == 0:
        cancel_request(world, invoice)
        return
    payment["amount_requested"] = invoice["amount_remaining"]
    world.store.kind_of("pi")[payment["payment"]["payment_intent"]]["amount"] = invoice["amount_remaining"]


def cancel_request(world: World, invoice: JsonObject) -> None:
    """Withdraw the default payment intent, when nothing is asked for any more."""
    payment = world.store.find(invoice.get("_default_payment", ""))
    if payment is None or payment["status"] != "open":
        return
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = world.now
    intent = world.store.kind_of("pi")[payment["payment"]["payment_intent"]]
    intent |= {"status": "canceled", "canceled_at": world.now, "cancellation_reason": "void_invoice"}


def mark_paid_if_settled(world: World, invoice: JsonObject) -> None:
    """Make a finalized invoice with nothing left to pay `paid`, and tell it once."""
    if invoice["amount_remaining"] or invoice["status"] not in PAYABLE:
        return
    invoice["status"] = "paid"
    invoice["status_transitions"]["paid_at"] = world.now
    world.emit("invoice.paid", invoice)
    if invoice["amount_paid"]:
        world.emit("invoice.payment_succeeded", invoice)
