"""Customers, invoices and their items, and credit notes, from draft to paid, void or uncollectible.

`total` is the sum of the items; `amount_due` is what the customer was asked for, less credit notes given before
payment; `amount_remaining` is `amount_due` less `amount_paid`. Minor units of the invoice's currency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox import payments
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.listing import page
from infra.local.stripe_sandbox.store import changed_metadata, rendered
from infra.local.stripe_sandbox.world import DAY_SECONDS, Call, World, check_steps, currency_of, required

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

MOST_ITEMS = 250
AUTO_FINALIZE_SECONDS = 3_600
# Stripe's documented minimum charges, minor units; a smaller total goes to the customer's balance instead.
MINIMUM_CHARGES = {
    **dict.fromkeys(("usd", "eur", "aud", "cad", "chf", "nzd", "sgd", "brl", "inr", "jpy"), 50),
    "gbp": 30,
    "dkk": 250,
    "nok": 300,
    "sek": 300,
    "hkd": 400,
    "mxn": 1000,
    "pln": 200,
}
_EMBEDDED_LINES = 10


def create_customer(world: World, call: Call) -> JsonObject:
    """A new customer with a zero balance."""
    params = call.params
    customer = {
        "id": world.store.new_id("cus"),
        "object": "customer",
        "address": params.get("address") or None,
        "balance": 0,
        "created": world.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description"),
        "discount": None,
        "email": params.get("email"),
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None},
        "livemode": False,
        "metadata": changed_metadata({}, params.get("metadata")),
        "name": params.get("name"),
        "phone": params.get("phone"),
        "preferred_locales": params.get("preferred_locales", []),
        "shipping": None,
        "tax_exempt": params.get("tax_exempt") or "none",
        "test_clock": None,
    }
    return world.store.add(customer)


def create_invoice(world: World, call: Call) -> JsonObject:
    """A draft; `auto_advance` finalizes it an hour later, otherwise somebody has to."""
    params = call.params
    customer = world.store.get(required(call, "customer"), "customer", param="customer")
    if params.get("pending_invoice_items_behavior", "exclude") != "exclude":
        raise ApiError("This sandbox models pending_invoice_items_behavior=exclude only.", code="sandbox_not_modelled")
    method = _collection_method(params)
    invoice: JsonObject = {
        "id": world.store.new_id("in"),
        "object": "invoice",
        "account_country": "US",
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": params.get("auto_advance", False),
        "automatic_tax": {"enabled": False, "liability": None, "status": None},
        "billing_reason": "manual",
        "collection_method": method,
        "created": world.now,
        "currency": params.get("currency", "usd").lower(),
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_tax_exempt": customer["tax_exempt"],
        "default_payment_method": None,
        "description": params.get("description"),
        "due_date": params.get("due_date") or _due_date(world, params.get("days_until_due")),
        "effective_at": None,
        "footer": params.get("footer"),
        "livemode": False,
        "metadata": changed_metadata({}, params.get("metadata")),
        "number": None,
        "period_end": world.now,
        "period_start": world.now,
        "status": "draft",
        "_days_until_due": params.get("days_until_due"),
        "_lines": [],
    }
    invoice |= _no_amounts(invoice["id"])
    world.store.add(invoice)
    if invoice["auto_advance"]:
        world.schedule(world.now + AUTO_FINALIZE_SECONDS, "finalize_invoice", invoice["id"])
    world.emit("invoice.created", invoice)
    return invoice


def _collection_method(params: JsonObject) -> str:
    """How the invoice is collected; one that is sent must say when it is due."""
    method = str(params.get("collection_method", "charge_automatically"))
    if method == "send_invoice" and not {"days_until_due", "due_date"} & set(params):
        raise ApiError(
            "You must pass either `days_until_due` or `due_date` when using `collection_method` 'send_invoice'."
        )
    return method


def _no_amounts(invoice_id: str) -> JsonObject:
    amounts = ("due", "overpaid", "paid", "remaining", "shipping")
    return {
        **{f"amount_{name}": 0 for name in amounts},
        "ending_balance": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "lines": {"object": "list", "data": [], "has_more": False, "url": f"/v1/invoices/{invoice_id}/lines"},
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_taxes": [],
    }


def _due_date(world: World, days_until_due: int | None) -> int | None:
    return None if days_until_due is None else world.now + days_until_due * DAY_SECONDS


def update_invoice(world: World, call: Call) -> JsonObject:
    """The invoice with changed metadata, description or footer."""
    invoice = world.store.get(call.path["id"], "invoice")
    invoice["metadata"] = changed_metadata(invoice["metadata"], call.params.get("metadata"))
    invoice["description"] = call.params.get("description", invoice["description"])
    invoice["footer"] = call.params.get("footer", invoice["footer"])
    world.emit("invoice.updated", invoice)
    return invoice


def create_item(world: World, call: Call) -> JsonObject:
    """A line on a draft invoice, of any sign; the currency and customer must be the invoice's."""
    params = call.params
    invoice = world.store.get(required(call, "invoice"), "invoice", param="invoice")
    _require_status(invoice, "draft")
    required(call, "amount")
    currency = currency_of(call) if "currency" in params else invoice["currency"]
    amount = check_steps(params["amount"], currency)
    if currency != invoice["currency"]:
        raise ApiError(f"The invoice is in {invoice['currency']}, the item in {currency}.", param="currency")
    if params.get("customer", invoice["customer"]) != invoice["customer"]:
        raise ApiError("The customer of the item is not the customer of the invoice.", param="customer")
    if len(invoice["_lines"]) >= MOST_ITEMS:
        raise ApiError(f"An invoice holds at most {MOST_ITEMS} items.", param="invoice")
    item: JsonObject = {
        "id": world.store.new_id("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": invoice["customer"],
        "date": world.now,
        "description": params.get("description"),
        "discountable": params.get("discountable", amount > 0),
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": changed_metadata({}, params.get("metadata")),
        "net_amount": amount,
        "parent": None,
        "period": params.get("period", {"start": world.now, "end": world.now}),
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "tax_rates": [],
        "test_clock": None,
    }
    world.store.add(item)
    _add_line(world, invoice, item)
    return item


def _add_line(world: World, invoice: JsonObject, item: JsonObject) -> None:
    kept = (
        "amount",
        "currency",
        "description",
        "discountable",
        "discounts",
        "livemode",
        "metadata",
        "period",
        "quantity",
    )
    details = {"invoice_item": item["id"], "proration": False, "proration_details": None, "subscription": None}
    line = world.store.add(
        {
            "id": world.store.new_id("il"),
            "object": "line_item",
            **{name: item[name] for name in kept},
            "invoice": invoice["id"],
            "parent": {"type": "invoice_item_details", "invoice_item_details": details},
            "pricing": None,
            "subtotal": item["amount"],
            "taxes": [],
        }
    )
    invoice["_lines"].append(line["id"])
    if len(invoice["_lines"]) <= _EMBEDDED_LINES:
        invoice["lines"]["data"].append(rendered(line))
    else:
        invoice["lines"]["has_more"] = True
    for name in ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"):
        invoice[name] += item["amount"]
    invoice["amount_due"] = invoice["amount_remaining"] = max(invoice["total"], 0)


def list_lines(world: World, call: Call) -> JsonObject:
    """All lines of an invoice in the order in which they were added."""
    invoice = world.store.get(call.path["id"], "invoice")
    return page(call, [world.store.kind_of("il")[line_id] for line_id in invoice["_lines"]])


def finalize_invoice(world: World, call: Call) -> JsonObject:
    """The invoice made open: number, due date and payment intent; paid at once if nothing is due."""
    invoice = world.store.get(call.path["id"], "invoice")
    if invoice["status"] != "draft":
        raise ApiError("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    finalize(world, invoice)
    return invoice


def finalize_when_due(world: World, invoice_id: str) -> None:
    """Finalize an auto-advancing draft; nothing to do if somebody did before."""
    invoice = world.store.kind_of("in")[invoice_id]
    if invoice["status"] == "draft" and invoice["auto_advance"]:
        finalize(world, invoice)


def finalize(world: World, invoice: JsonObject) -> None:
    """Fix the amounts. The customer's balance is applied, and takes what is negative or below the minimum charge."""
    customer = world.store.kind_of("cus")[invoice["customer"]]
    invoice["starting_balance"] = customer["balance"]
    due = invoice["total"] + customer["balance"]
    if due < MINIMUM_CHARGES.get(invoice["currency"], 1):
        customer["balance"], due = due, 0
    else:
        customer["balance"] = 0
    number = world.store.new_id("number").removeprefix("number_sandbox")
    invoice |= {
        "amount_due": due,
        "amount_remaining": due,
        "due_date": _due_date(world, invoice["_days_until_due"]) or invoice["due_date"],
        "effective_at": world.now,
        "ending_balance": customer["balance"],
        "hosted_invoice_url": f"{world.base_url}/_sandbox/hosted_invoices/{invoice['id']}",
        "number": f"SANDBOX-{number}",
        "status": "open",
    }
    invoice["status_transitions"]["finalized_at"] = world.now
    if due:
        payments.request_payment(world, invoice)
    world.emit("invoice.finalized", invoice)
    payments.mark_paid_if_settled(world, invoice)


def void_invoice(world: World, call: Call) -> JsonObject:
    """The invoice made void: it can no longer be paid. One that was partly paid is refused."""
    invoice = world.store.get(call.path["id"], "invoice")
    _require_status(invoice, "open", "uncollectible")
    if invoice["amount_paid"]:
        raise ApiError("This invoice was partly paid; it can't be voided.", code="invoice_not_editable")
    invoice["status"] = "void"
    invoice["status_transitions"]["voided_at"] = world.now
    payments.cancel_request(world, invoice)
    world.emit("invoice.voided", invoice)
    return invoice


def mark_uncollectible(world: World, call: Call) -> JsonObject:
    """The invoice written off; it can still be paid or voided."""
    invoice = world.store.get(call.path["id"], "invoice")
    _require_status(invoice, "open")
    invoice["status"] = "uncollectible"
    invoice["status_transitions"]["marked_uncollectible_at"] = world.now
    world.emit("invoice.marked_uncollectible", invoice)
    return invoice


def _require_status(invoice: JsonObject, *statuses: str) -> None:
    if invoice["status"] not in statuses:
        raise ApiError(
            f"The invoice {invoice['id']} is {invoice['status']}; this needs it to be {' or '.join(statuses)}.",
            code="invoice_not_editable",
        )


def create_credit_note(world: World, call: Call) -> JsonObject:
    """A credit on a finalized invoice.

    Before payment it lowers what remains to be paid, and more than that is refused. After payment it is at most what
    was paid and not yet credited, and goes to the customer's balance (`credit_amount`) or outside Stripe
    (`out_of_band_amount`).
    """
    params = call.params
    invoice = world.store.get(params["invoice"], "invoice", param="invoice")
    _require_status(invoice, "open", "paid", "uncollectible")
    amount = _credit_amount(call)
    check_steps(amount, invoice["currency"])
    metadata = changed_metadata({}, params.get("metadata"))
    before_payment = invoice["status"] != "paid"
    left = (
        invoice["amount_remaining"]
        if before_payment
        else invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
    )
    if amount > left:
        raise ApiError(f"The credit note's amount ({amount}) is more than is left to credit ({left}).", param="amount")
    if before_payment:
        if {"credit_amount", "out_of_band_amount"} & set(params):
            raise ApiError("A credit note before payment only lowers what remains to be paid.", param="credit_amount")
        invoice["pre_payment_credit_notes_amount"] += amount
        invoice["amount_due"] -= amount
        payments.set_remaining(world, invoice)
    else:
        _credit_after_payment(world, call, invoice, amount)
    note = world.store.add(_credit_note(world, call, invoice, amount, metadata))
    note["type"] = "pre_payment" if before_payment else "post_payment"
    note[f"{note['type']}_amount"] = amount
    world.emit("credit_note.created", note)
    world.emit("invoice.updated", invoice)
    payments.mark_paid_if_settled(world, invoice)
    return note


def _credit_amount(call: Call) -> int:
    """The note's amount, which is also the sum of its lines if both are given."""
    lines = call.params.get("lines", [])
    for line in lines:
        if line["type"] != "custom_line_item" or "unit_amount" not in line:
            raise ApiError("This sandbox models custom_line_item with unit_amount only.", code="sandbox_not_modelled")
    of_lines = sum(line["unit_amount"] * line.get("quantity", 1) for line in lines)
    amount = call.params.get("amount", of_lines)
    if amount < 1 or (lines and amount != of_lines):
        raise ApiError("Pass a positive `amount`, or `lines` that sum to it.", param="amount")
    return int(amount)


def _credit_after_payment(world: World, call: Call, invoice: JsonObject, amount: int) -> None:
    to_balance, elsewhere = call.params.get("credit_amount", 0), call.params.get("out_of_band_amount", 0)
    if to_balance + elsewhere != amount:
        raise ApiError("credit_amount and out_of_band_amount must sum to the credit note's amount.", param="amount")
    world.store.kind_of("cus")[invoice["customer"]]["balance"] -= to_balance
    invoice["post_payment_credit_notes_amount"] += amount


def _credit_note(world: World, call: Call, invoice: JsonObject, amount: int, metadata: dict[str, str]) -> JsonObject:
    note_id = world.store.new_id("cn")
    lines = call.params.get("lines", [{"description": call.params.get("memo"), "unit_amount": amount}])
    data = [
        {
            "id": world.store.new_id("cnli"),
            "object": "credit_note_line_item",
            "amount": line["unit_amount"] * line.get("quantity", 1),
            "description": line.get("description"),
            "livemode": False,
            "quantity": line.get("quantity", 1),
            "type": "custom_line_item",
            "unit_amount": line["unit_amount"],
        }
        for line in lines
    ]
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": amount,
        "created": world.now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "discount_amount": 0,
        "effective_at": world.now,
        "invoice": invoice["id"],
        "lines": {"object": "list", "data": data, "has_more": False, "url": f"/v1/credit_notes/{note_id}/lines"},
        "livemode": False,
        "memo": call.params.get("memo"),
        "metadata": metadata,
        "number": f"{invoice['number']}-CN-{note_id.removeprefix('cn_sandbox')}",
        "out_of_band_amount": call.params.get("out_of_band_amount"),
        "post_payment_amount": 0,
        "pre_payment_amount": 0,
        "reason": call.params.get("reason"),
        "refunds": [],
        "status": "issued",
        "subtotal": amount,
        "total": amount,
        "total_taxes": [],
        "voided_at": None,
    }
