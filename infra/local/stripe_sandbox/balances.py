"""Balances and their transactions: what came in, what went out, and from when it can be used.

Every movement is one balance transaction of the platform or of a connected account. Available and pending are kept as
running sums per account and currency; they always equal the sums over the transactions. Minor units; out is negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.listing import page
from infra.local.stripe_sandbox.store import rendered
from infra.local.stripe_sandbox.world import DAY_SECONDS, Call, World

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

FEE_RATE_PER_THOUSAND = 29
FEE_FIXED_MINOR_UNITS = 30
INSTANT_FEE_MINIMUM_MINOR_UNITS = 50
REPORTING_CATEGORIES = {
    "charge": "charge",
    "payment": "charge",
    "payment_refund": "refund",
    "refund": "refund",
    "refund_failure": "refund_failure",
    "transfer": "transfer",
    "transfer_refund": "transfer_reversal",
    "topup": "topup",
    "payout": "payout",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "stripe_fee": "fee",
}


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moves on one account: `amount` before `fee`, both in minor units, `amount` negative when it leaves.

    Without `available_at` (epoch seconds) it is available at once. `category` tells what an adjustment is.
    """

    type: str
    amount: int
    currency: str
    source: str | None
    account: str | None = None
    fee: int = 0
    available_at: int | None = None
    description: str | None = None
    category: str | None = None


def card_fee(amount: int) -> int:
    """Stripe's fee on a charge: 2.9 % rounded half up, and 30; minor units, whatever the currency's decimals."""
    return (2 * FEE_RATE_PER_THOUSAND * amount + 1000) // 2000 + FEE_FIXED_MINOR_UNITS


def instant_fee(amount: int) -> int:
    """The sandbox's fee on an instant payout: 1 % rounded half up, at least 50; minor units."""
    return max((2 * amount + 100) // 200, INSTANT_FEE_MINIMUM_MINOR_UNITS)


def move(world: World, movement: Movement) -> JsonObject:
    """The new balance transaction; pending money is put on the agenda to settle."""
    available_at = movement.available_at if movement.available_at is not None else world.now
    pending = available_at > world.now
    net = movement.amount - movement.fee
    transaction: JsonObject = {
        "id": world.store.new_id("txn"),
        "object": "balance_transaction",
        "amount": movement.amount,
        "available_on": available_at,
        "balance_type": "payments",
        "created": world.now,
        "currency": movement.currency,
        "description": movement.description,
        "exchange_rate": None,
        "fee": movement.fee,
        "fee_details": _fee_details(movement),
        "net": net,
        "reporting_category": movement.category or REPORTING_CATEGORIES[movement.type],
        "source": movement.source,
        "status": "pending" if pending else "available",
        "type": movement.type,
    }
    if movement.account is not None:
        transaction["_account"] = movement.account
        world.store.kind_of("acct")[movement.account]["_not_paid_out"].append(transaction["id"])
    world.store.add(transaction)
    sums = _sums(world, movement.account, movement.currency)
    sums["pending" if pending else "available"] += net
    if pending:
        world.schedule(available_at, "settle_transaction", transaction["id"])
    elif net > 0:
        plan_payout_run(world, movement.account)
    return transaction


def _fee_details(movement: Movement) -> list[JsonObject]:
    if not movement.fee:
        return []
    detail = {"amount": movement.fee, "currency": movement.currency, "type": "stripe_fee", "application": None}
    return [detail | {"description": "Stripe processing fees"}]


def settle(world: World, transaction_id: str) -> str | None:
    """Make a pending transaction available; tells whose balance grew."""
    transaction = world.store.kind_of("txn")[transaction_id]
    account = transaction.get("_account")
    transaction["status"] = "available"
    sums = _sums(world, account, transaction["currency"])
    sums["pending"] -= transaction["net"]
    sums["available"] += transaction["net"]
    plan_payout_run(world, account)
    return str(account) if account is not None else None


def plan_payout_run(world: World, account_id: str | None) -> None:
    """Have the account's daily payout made at the next midnight UTC, once. The platform's payouts are manual."""
    if account_id is None:
        return
    account = world.store.kind_of("acct")[account_id]
    if not account["_payout_run_planned"]:
        account["_payout_run_planned"] = True
        world.schedule((world.now // DAY_SECONDS + 1) * DAY_SECONDS, "pay_out_account", account_id)


def available(world: World, account: str | None, currency: str) -> int:
    """What the account could send now; minor units, below zero after reversals."""
    return _sums(world, account, currency)["available"]


def require_available(world: World, account: str | None, currency: str, amount: int) -> None:
    """Refuse with `balance_insufficient` if the account has less than the amount available."""
    if available(world, account, currency) < amount:
        raise ApiError("You have insufficient available funds in your Stripe account.", code="balance_insufficient")


def available_by_currency(world: World, account: str | None) -> dict[str, int]:
    """What the account has available in each currency that it ever held."""
    sums = world.store.state["balances"].get(account or "platform", {})
    return {currency: parts["available"] for currency, parts in sums.items()}


def _sums(world: World, account: str | None, currency: str) -> dict[str, int]:
    owner = world.store.state["balances"].setdefault(account or "platform", {})
    sums: dict[str, int] = owner.setdefault(currency, {"available": 0, "pending": 0})
    return sums


def list_transactions(world: World, call: Call) -> JsonObject:
    """The account's transactions, newest first; with `payout` those that it paid out, and its own.

    Refused until Stripe knows them, and for a manual payout, of which it never knows
    (https://docs.stripe.com/payouts/reconciliation). The codes of these refusals are unverified.
    """
    if "payout" in call.params:
        payout = world.store.get(call.params["payout"], "payout", account=call.account, param="payout")
        if not payout["automatic"]:
            raise ApiError("Balance transaction history can only be filtered on automatic payouts.", param="payout")
        if payout["reconciliation_status"] != "completed":
            raise ApiError("The payout is not reconciled yet.", code="payout_reconciliation_not_ready", param="payout")
    return page(call, world.store.newest_first("txn", account=call.account))


def retrieve_balance(world: World, call: Call) -> JsonObject:
    """The balance object of the platform, or of the connected account in the header."""
    return balance_object(world, call.account)


def balance_object(world: World, account: str | None) -> JsonObject:
    """Stripe's balance object; an account that never held money shows 0 usd."""
    sums = world.store.state["balances"].get(account or "platform") or {"usd": {"available": 0, "pending": 0}}
    shown: JsonObject = {"object": "balance", "livemode": False}
    for part in ("available", "pending"):
        shown[part] = [
            {"amount": amounts[part], "currency": currency, "source_types": {"card": amounts[part]}}
            for currency, amounts in sums.items()
        ]
    if account is None:
        shown["connect_reserved"] = [{"amount": 0, "currency": currency} for currency in sums]
    return shown


def announce_available(world: World, account: str | None) -> None:
    """Emit balance.available for the account."""
    world.emit("balance.available", rendered(balance_object(world, account)), account)


def charge_platform_fee(world: World, call: Call) -> JsonObject:
    """Take one of Stripe's own fees (Connect, Billing) from the platform's balance, as Stripe does at month end."""
    amount, currency = int(call.params["amount"]), str(call.params["currency"])
    description = call.params.get("description", "Stripe fees")
    return move(world, Movement("stripe_fee", -amount, currency, None, description=description))
