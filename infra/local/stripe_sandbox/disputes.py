"""Money that goes back to clients: refunds that the platform gives, and disputes that the client's bank decides.

Both may take the available balance below zero; Stripe would then debit the platform's bank, which is not modelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox.balances import Movement, move
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.store import changed_metadata, rendered
from infra.local.stripe_sandbox.world import DAY_SECONDS, Call, World, check_steps, positive_amount, required

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

DISPUTE_FEE_MINOR_UNITS = 1_500
EVIDENCE_DAYS = 7
_UNDECIDED = ("needs_response", "under_review")


def create_refund(world: World, call: Call) -> JsonObject:
    """A part of a charge given back, or all that is left of it. It leaves the balance that the charge is in.

    Stripe keeps the charge's fee. More than is left, and a charge that is disputed, are refused.
    """
    charge = world.store.get(required(call, "charge"), "charge", param="charge")
    left = charge["amount"] - charge["amount_refunded"]
    amount = positive_amount(call) if "amount" in call.params else left
    check_steps(amount, charge["currency"])
    if charge["disputed"]:
        raise ApiError(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if not left:
        raise ApiError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount > left:
        raise ApiError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).", param="amount"
        )
    refund = world.store.add(_new_refund(world, call, charge, amount))
    paid = world.store.kind_of("txn")[charge["balance_transaction"]]
    back = Movement(
        "refund", -amount, charge["currency"], refund["id"], available_at=max(paid["available_on"], world.now)
    )
    refund["balance_transaction"] = move(world, back)["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.emit("refund.created", refund)
    world.emit("charge.refunded", charge)
    return refund


def _new_refund(world: World, call: Call, charge: JsonObject, amount: int) -> JsonObject:
    return {
        "id": world.store.new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": world.now,
        "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "failure_balance_transaction": None,
        "failure_reason": None,
        "metadata": changed_metadata({}, call.params.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "reason": call.params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def fail_refund(world: World, call: Call) -> JsonObject:
    """The client's bank cannot take a refund: its money comes back to the balance."""
    refund = world.store.get(call.params["refund"], "refund", param="refund")
    if refund["status"] != "succeeded":
        raise ApiError(f"The refund {refund['id']} is {refund['status']}; it can't fail any more.")
    back = move(world, Movement("refund_failure", refund["amount"], refund["currency"], refund["id"]))
    refund |= {"status": "failed", "failure_reason": "unknown", "failure_balance_transaction": back["id"]}
    charge = world.store.kind_of("ch")[refund["charge"]]
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    world.emit("refund.failed", refund)
    world.emit("charge.refund.updated", refund)
    return refund


def open_dispute(world: World, call: Call) -> JsonObject:
    """The client's bank takes a charge back, or a part of it, with a fee; out of the balance from midnight UTC on."""
    charge = world.store.get(call.params["charge"], "charge", param="charge")
    amount = int(call.params["amount"] if "amount" in call.params else charge["amount"])
    if charge["disputed"] or not 1 <= amount <= charge["amount"]:
        raise ApiError(f"{charge['id']} can be disputed once, for 1 to {charge['amount']}.", param="charge")
    dispute = world.store.add(_new_dispute(world, charge, amount))
    charge["disputed"] = True
    _move(world, dispute, -amount, DISPUTE_FEE_MINOR_UNITS)
    world.emit("charge.dispute.created", dispute)
    world.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def _new_dispute(world: World, charge: JsonObject, amount: int) -> JsonObject:
    return {
        "id": world.store.new_id("dp"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": world.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": world.now + EVIDENCE_DAYS * DAY_SECONDS,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "general",
        "status": _UNDECIDED[0],
    }


def close_dispute(world: World, call: Call) -> JsonObject:
    """The bank decides: what the platform won comes back, with the fee if `fee_returned`."""
    dispute = world.store.get(call.params["dispute"], "dispute", param="dispute")
    if dispute["status"] not in _UNDECIDED:
        raise ApiError(f"The dispute {dispute['id']} is decided: {dispute['status']}.")
    dispute["status"] = "won" if call.params["won"] else "lost"
    if call.params["won"]:
        fee = DISPUTE_FEE_MINOR_UNITS if call.params.get("fee_returned", False) else 0
        _move(world, dispute, dispute["amount"], -fee)
        world.emit("charge.dispute.funds_reinstated", dispute)
    world.emit("charge.dispute.closed", dispute)
    return dispute


def _move(world: World, dispute: JsonObject, amount: int, fee: int) -> None:
    moved = Movement(
        "adjustment",
        amount,
        dispute["currency"],
        dispute["id"],
        fee=fee,
        available_at=(world.now // DAY_SECONDS + 1) * DAY_SECONDS,
        category="dispute" if amount < 0 else "dispute_reversal",
    )
    dispute["balance_transactions"].append(rendered(move(world, moved)))
