"""Transfers to connected accounts, and their reversals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox.accounts import transfers_status
from infra.local.stripe_sandbox.balances import Movement, move, require_available
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.listing import page
from infra.local.stripe_sandbox.store import changed_metadata, rendered
from infra.local.stripe_sandbox.world import Call, World, check_steps, currency_of, positive_amount

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject


def create_transfer(world: World, call: Call) -> JsonObject:
    """Money from the platform's available balance to the account's, at once.

    Refused with `insufficient_capabilities_for_transfer` unless the destination's capability is active, and with
    `balance_insufficient` beyond what is available in that currency.
    """
    params = call.params
    amount, currency = positive_amount(call), currency_of(call)
    metadata = changed_metadata({}, params.get("metadata"))
    destination = world.store.get(params["destination"], "v2.core.account", param="destination")
    if transfers_status(destination) != "active":
        raise ApiError(
            "Your destination account needs to have at least one of the following capabilities enabled: transfers.",
            code="insufficient_capabilities_for_transfer",
        )
    require_available(world, None, currency, amount)
    transfer: JsonObject = {
        "id": world.store.new_id("tr"),
        "object": "transfer",
        "amount": amount,
        "amount_reversed": 0,
        "balance_transaction": None,
        "created": world.now,
        "currency": currency,
        "description": params.get("description"),
        "destination": destination["id"],
        "destination_payment": None,
        "livemode": False,
        "metadata": metadata,
        "reversals": None,
        "reversed": False,
        "source_transaction": None,
        "source_type": params.get("source_type", "card"),
        "transfer_group": params.get("transfer_group"),
    }
    transfer["reversals"] = _first_reversals(transfer, [])
    out = move(world, Movement("transfer", -amount, currency, transfer["id"], description=transfer["description"]))
    transfer["balance_transaction"] = out["id"]
    transfer["destination_payment"] = _pay_destination(world, transfer)
    world.store.add(transfer)
    world.emit("transfer.created", transfer)
    return transfer


def _pay_destination(world: World, transfer: JsonObject) -> str:
    """The id of the payment by which the connected account sees the transfer."""
    payment_id = world.store.new_id("py")
    account = transfer["destination"]
    credited = move(world, Movement("payment", transfer["amount"], transfer["currency"], payment_id, account))
    world.store.add(
        {
            "id": payment_id,
            "object": "charge",
            "amount": transfer["amount"],
            "amount_captured": transfer["amount"],
            "amount_refunded": 0,
            "balance_transaction": credited["id"],
            "captured": True,
            "created": world.now,
            "currency": transfer["currency"],
            "livemode": False,
            "metadata": {},
            "paid": True,
            "refunded": False,
            "source_transfer": transfer["id"],
            "status": "succeeded",
            "transfer_group": transfer["transfer_group"],
            "_account": account,
        }
    )
    return payment_id


def update_transfer(world: World, call: Call) -> JsonObject:
    """The transfer with a changed description or metadata; its money never changes."""
    transfer = world.store.get(call.path["id"], "transfer")
    transfer["metadata"] = changed_metadata(transfer["metadata"], call.params.get("metadata"))
    transfer["description"] = call.params.get("description", transfer["description"])
    world.emit("transfer.updated", transfer)
    return transfer


def create_reversal(world: World, call: Call) -> JsonObject:
    """Money back from the account's available balance; without an amount, all that isn't reversed yet."""
    transfer = world.store.get(call.path["id"], "transfer")
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = positive_amount(call) if "amount" in call.params else left
    check_steps(amount, transfer["currency"])
    if amount > left or left == 0:
        raise ApiError(
            f"Reversal amount ({amount}) is greater than the unreversed amount of the transfer ({left}).",
            param="amount",
        )
    metadata = changed_metadata({}, call.params.get("metadata"))
    require_available(world, transfer["destination"], transfer["currency"], amount)
    reversal: JsonObject = {
        "id": world.store.new_id("trr"),
        "object": "transfer_reversal",
        "amount": amount,
        "balance_transaction": None,
        "created": world.now,
        "currency": transfer["currency"],
        "destination_payment_refund": world.store.new_id("pyr"),
        "metadata": metadata,
        "source_refund": None,
        "transfer": transfer["id"],
    }
    _refund_destination(world, transfer, reversal)
    back = move(world, Movement("transfer_refund", amount, transfer["currency"], reversal["id"]))
    reversal["balance_transaction"] = back["id"]
    world.store.add(reversal)
    _count_reversal(world, transfer, reversal)
    return reversal


def _refund_destination(world: World, transfer: JsonObject, reversal: JsonObject) -> None:
    """The refund by which the connected account sees the reversal."""
    refund_id, account = reversal["destination_payment_refund"], transfer["destination"]
    taken = move(world, Movement("payment_refund", -reversal["amount"], reversal["currency"], refund_id, account))
    world.store.add(
        {
            "id": refund_id,
            "object": "refund",
            "amount": reversal["amount"],
            "balance_transaction": taken["id"],
            "charge": transfer["destination_payment"],
            "created": world.now,
            "currency": reversal["currency"],
            "metadata": {},
            "reason": None,
            "source_transfer_reversal": reversal["id"],
            "status": "succeeded",
            "transfer_reversal": None,
            "_account": account,
        }
    )


def _count_reversal(world: World, transfer: JsonObject, reversal: JsonObject) -> None:
    transfer["amount_reversed"] += reversal["amount"]
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    transfer["reversals"] = _first_reversals(transfer, _reversals(world, transfer["id"]))
    payment = world.store.kind_of("py")[transfer["destination_payment"]]
    payment["amount_refunded"] = transfer["amount_reversed"]
    payment["refunded"] = transfer["reversed"]
    world.emit("transfer.reversed", transfer)


def list_reversals(world: World, call: Call) -> JsonObject:
    """The reversals of one transfer, newest first."""
    transfer = world.store.get(call.path["id"], "transfer")
    return page(call, _reversals(world, transfer["id"]))


def _reversals(world: World, transfer_id: str) -> list[JsonObject]:
    return [reversal for reversal in world.store.newest_first("trr") if reversal["transfer"] == transfer_id]


def _first_reversals(transfer: JsonObject, reversals: list[JsonObject]) -> JsonObject:
    """The list embedded in a transfer: the ten newest reversals, as Stripe embeds them."""
    return {
        "object": "list",
        "data": [rendered(reversal) for reversal in reversals[:10]],
        "has_more": len(reversals) > 10,
        "url": f"/v1/transfers/{transfer['id']}/reversals",
    }
