"""Money to and from banks: top-ups of the platform, payouts of the platform and of connected accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox import accounts, balances
from infra.local.stripe_sandbox.balances import Movement, move
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.store import changed_metadata
from infra.local.stripe_sandbox.world import DAY_SECONDS, Call, World, currency_of, positive_amount

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

# Stripe: a payout that was reported paid may still fail within five business days; here, five days.
LATE_FAILURE_DAYS = 5
INSTANT_ARRIVAL_SECONDS = 1_800


def create_topup(world: World, call: Call) -> JsonObject:
    """Money from the platform's bank, available after `Settings.topup_days`."""
    amount, currency = positive_amount(call), currency_of(call)
    available_at = world.now + world.settings.topup_days * DAY_SECONDS
    topup: JsonObject = {
        "id": world.store.new_id("tu"),
        "object": "topup",
        "amount": amount,
        "balance_transaction": None,
        "created": world.now,
        "currency": currency,
        "description": call.params.get("description"),
        "expected_availability_date": available_at,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": changed_metadata({}, call.params.get("metadata")),
        "source": None,
        "statement_descriptor": call.params.get("statement_descriptor"),
        "status": "pending",
        "transfer_group": call.params.get("transfer_group"),
    }
    credited = move(
        world,
        Movement(
            "topup",
            amount,
            currency,
            topup["id"],
            available_at=available_at,
            description=call.params.get("description"),
        ),
    )
    topup["balance_transaction"] = credited["id"]
    world.store.add(topup)
    world.emit("topup.created", topup)
    if available_at > world.now:
        world.schedule(available_at, "topup_succeeds", topup["id"])
    else:
        topup_succeeds(world, topup["id"])
    return topup


def topup_succeeds(world: World, topup_id: str) -> None:
    """Mark the top-up as succeeded; its money settled at the same instant."""
    topup = world.store.kind_of("tu")[topup_id]
    topup["status"] = "succeeded"
    world.emit("topup.succeeded", topup)


def create_payout(world: World, call: Call) -> JsonObject:
    """Money from the available balance to the bank; an instant one takes half an hour and costs a fee on top."""
    params = call.params
    amount, currency = positive_amount(call), currency_of(call)
    method = params.get("method", "standard")
    fee = balances.instant_fee(amount) if method == "instant" else 0
    metadata = changed_metadata({}, params.get("metadata"))
    balances.require_available(world, call.account, currency, amount + fee)
    payout = _new_payout(world, call.account, currency, amount)
    payout |= {"automatic": False, "method": method, "metadata": metadata, "description": params.get("description")}
    payout["statement_descriptor"] = params.get("statement_descriptor")
    if method == "instant":
        payout["arrival_date"] = world.now + INSTANT_ARRIVAL_SECONDS
    return _send(world, payout, fee)


def _new_payout(world: World, account: str | None, currency: str, amount: int) -> JsonObject:
    payout: JsonObject = {
        "id": world.store.new_id("po"),
        "object": "payout",
        "amount": amount,
        "arrival_date": world.now + world.settings.payout_days * DAY_SECONDS,
        "automatic": True,
        "balance_transaction": None,
        "created": world.now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": f"ba_{account or 'platform'}",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "type": "bank_account",
    }
    return payout if account is None else payout | {"_account": account}


def _send(world: World, payout: JsonObject, fee: int = 0) -> JsonObject:
    account = payout.get("_account")
    out = move(world, Movement("payout", -payout["amount"], payout["currency"], payout["id"], account, fee))
    payout["balance_transaction"] = out["id"]
    world.store.add(payout)
    world.emit("payout.created", payout, account)
    world.schedule(payout["arrival_date"], "payout_arrives", payout["id"])
    return payout


def pay_out_account(world: World, account_id: str) -> None:
    """The account's daily payout: all that is available, one payout a currency, unless its payouts are stopped."""
    account = world.store.kind_of("acct")[account_id]
    account["_payout_run_planned"] = False
    if not account["_payouts_enabled"]:
        return
    for currency, amount in balances.available_by_currency(world, account_id).items():
        if amount > 0:
            payout = _new_payout(world, account_id, currency, amount)
            payout["reconciliation_status"] = "completed"
            payout["_fails_after_days"] = account["_next_payout_fails_after_days"]
            account["_next_payout_fails_after_days"] = None
            _mark_paid_out(world, payout)
            _send(world, payout)


def _mark_paid_out(world: World, payout: JsonObject) -> None:
    """Tie the transactions that this payout empties to it, for the `payout` filter of their list."""
    account = world.store.kind_of("acct")[payout["_account"]]
    transactions = [world.store.kind_of("txn")[transaction_id] for transaction_id in account["_not_paid_out"]]
    for transaction in transactions:
        if transaction["currency"] == payout["currency"]:
            transaction["_payout"] = payout["id"]
    account["_not_paid_out"] = [transaction["id"] for transaction in transactions if "_payout" not in transaction]


def payout_arrives(world: World, payout_id: str) -> None:
    """The bank's first word: paid, or failed at once if that was asked for."""
    payout = world.store.kind_of("po")[payout_id]
    if payout["status"] != "in_transit":
        return
    if payout.get("_fails_after_days") == 0:
        payout_fails(world, payout_id)
        return
    payout["status"] = "paid"
    world.emit("payout.paid", payout, payout.get("_account"))
    if payout.get("_fails_after_days"):
        world.schedule(world.now + payout["_fails_after_days"] * DAY_SECONDS, "payout_fails", payout_id)


def payout_fails(world: World, payout_id: str) -> None:
    """The bank sent the money back: it returns to the account's balance, whose automatic payouts then stop."""
    payout = world.store.kind_of("po")[payout_id]
    if payout["status"] == "failed":
        return
    account = payout.get("_account")
    if account is not None:
        accounts.set_payouts_enabled(world, account, enabled=False)
    returned = move(world, Movement("payout_failure", payout["amount"], payout["currency"], payout_id, account))
    payout |= {
        "status": "failed",
        "failure_balance_transaction": returned["id"],
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
    }
    world.emit("payout.failed", payout, account)


def fail_payout(world: World, call: Call) -> JsonObject:
    """Make a payout fail now, or the account's next automatic one `after_days` after it was paid (0: instead of)."""
    if "payout" in call.params:
        payout = world.store.find(call.params["payout"])
        if payout is None or payout["object"] != "payout":
            raise ApiError(f"No such payout: {call.params['payout']}", status=404, code="resource_missing")
        if payout["status"] == "paid" and world.now > payout["arrival_date"] + LATE_FAILURE_DAYS * DAY_SECONDS:
            raise ApiError(f"{payout['id']} was paid more than {LATE_FAILURE_DAYS} days ago; it can no longer fail")
        payout_fails(world, payout["id"])
        return payout
    if "account" not in call.params:
        raise ApiError("Pass a payout, or an account whose next payout shall fail", code="parameter_missing")
    after_days = int(call.params.get("after_days", 0))
    if not 0 <= after_days <= LATE_FAILURE_DAYS:
        raise ApiError(f"after_days must be 0 to {LATE_FAILURE_DAYS}", param="after_days")
    account = world.store.get(call.params["account"], "v2.core.account", param="account")
    account["_next_payout_fails_after_days"] = after_days
    return {"account": account["id"], "after_days": after_days}
