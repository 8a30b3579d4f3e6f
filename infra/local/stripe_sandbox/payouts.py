"""Money to and from banks: top-ups of the platform, payouts of the platform and of connected accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox import accounts, balances, bank_accounts
from infra.local.stripe_sandbox.balances import Movement, move
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.store import changed_metadata
from infra.local.stripe_sandbox.world import DAY_SECONDS, Call, World, currency_of, positive_amount

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

# Stripe: a payout that was reported paid may still fail within five business days; here, five days.
LATE_FAILURE_DAYS = 5
INSTANT_ARRIVAL_SECONDS = 1_800
# How long a manual payout is pending, and can be cancelled; and when the transactions of an automatic one are known.
SUBMISSION_SECONDS = 600
RECONCILIATION_SECONDS = 3_600


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
    """Money from the available balance to the bank; an instant one takes half an hour and costs a fee on top.

    The platform pays that fee where it collects the account's fees (`fees_collector`), else the account does
    (https://docs.stripe.com/connect/direct-charges-fee-payer-behavior). That it is taken at once, as a `stripe_fee`
    of the platform, is unverified.
    """
    params = call.params
    amount, currency = positive_amount(call), currency_of(call)
    method = params.get("method", "standard")
    fee = balances.instant_fee(amount) if method == "instant" else 0
    platform_pays = call.account is not None and _fees_collector(world, call.account) != "stripe"
    metadata = changed_metadata({}, params.get("metadata"))
    destination = _destination(world, call.account, currency, method)
    balances.require_available(world, call.account, currency, amount if platform_pays else amount + fee)
    payout = _new_payout(world, call.account, destination, currency, amount)
    payout |= {"automatic": False, "method": method, "metadata": metadata, "description": params.get("description")}
    payout |= {"status": "pending", "reconciliation_status": "not_applicable"}
    payout["statement_descriptor"] = params.get("statement_descriptor")
    if method == "instant":
        payout["arrival_date"] = world.now + INSTANT_ARRIVAL_SECONDS
    _send(world, payout, 0 if platform_pays else fee)
    if fee and platform_pays:
        description = f"Instant payout fee ({payout['id']})"
        move(world, Movement("stripe_fee", -fee, currency, None, description=description))
    world.schedule(world.now + SUBMISSION_SECONDS, "payout_submitted", payout["id"])
    return payout


def _fees_collector(world: World, account_id: str) -> str:
    """Who collects Stripe's fees from the account; Stripe itself where nobody was named."""
    defaults = world.store.kind_of("acct")[account_id]["defaults"] or {}
    return str(defaults.get("responsibilities", {}).get("fees_collector", "stripe"))


def _destination(world: World, account_id: str | None, currency: str, method: str) -> str:
    if account_id is None:
        return "ba_platform"
    account = world.store.kind_of("acct")[account_id]
    return str(bank_accounts.payable_bank(world, account, currency, method)["id"])


def _new_payout(world: World, account: str | None, destination: str, currency: str, amount: int) -> JsonObject:
    payout: JsonObject = {
        "id": world.store.new_id("po"),
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": world.now + world.settings.payout_days * DAY_SECONDS,
        "automatic": True,
        "balance_transaction": None,
        "created": world.now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": destination,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }
    return payout if account is None else payout | {"_account": account}


def _send(world: World, payout: JsonObject, fee: int = 0) -> None:
    account = payout.get("_account")
    out = move(world, Movement("payout", -payout["amount"], payout["currency"], payout["id"], account, fee))
    payout["balance_transaction"] = out["id"]
    world.store.add(payout)
    world.emit("payout.created", payout, account)
    world.schedule(payout["arrival_date"], "payout_arrives", payout["id"])


def pay_out_account(world: World, account_id: str) -> None:
    """The account's daily payout: all that is available, one payout a currency, unless its bank account is errored."""
    account = world.store.kind_of("acct")[account_id]
    account["_payout_run_planned"] = False
    for currency, amount in balances.available_by_currency(world, account_id).items():
        bank = bank_accounts.bank_for(world, account, currency)
        if amount <= 0 or bank is None or bank["status"] == bank_accounts.ERRORED:
            continue
        payout = _new_payout(world, account_id, bank["id"], currency, amount)
        payout["_fails_after_days"] = account["_next_payout_fails_after_days"]
        account["_next_payout_fails_after_days"] = None
        _send(world, payout)
        _mark_paid_out(world, payout)
        world.schedule(world.now + RECONCILIATION_SECONDS, "payout_reconciled", payout["id"])


def _mark_paid_out(world: World, payout: JsonObject) -> None:
    """Tie what this payout empties, and its own transaction, to it, for the `payout` filter of their list."""
    account = world.store.kind_of("acct")[payout["_account"]]
    transactions = [world.store.kind_of("txn")[transaction_id] for transaction_id in account["_not_paid_out"]]
    for transaction in transactions:
        if transaction["currency"] == payout["currency"]:
            transaction["_payout"] = payout["id"]
    account["_not_paid_out"] = [transaction["id"] for transaction in transactions if "_payout" not in transaction]


def payout_submitted(world: World, payout_id: str) -> None:
    """A manual payout goes to the bank: from now on it can't be cancelled."""
    payout = world.store.kind_of("po")[payout_id]
    if payout["status"] == "pending":
        payout["status"] = "in_transit"
        world.emit("payout.updated", payout, payout.get("_account"))


def payout_reconciled(world: World, payout_id: str) -> None:
    """Stripe knows which transactions an automatic payout carries."""
    payout = world.store.kind_of("po")[payout_id]
    payout["reconciliation_status"] = "completed"
    world.emit("payout.reconciliation_completed", payout, payout.get("_account"))


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
    """The bank sent the money back: it returns to the account's balance; nothing more is paid out to that bank account.

    A payout that failed or was cancelled before stays as it is.
    """
    payout = world.store.kind_of("po")[payout_id]
    if payout["status"] in {"failed", "canceled"}:
        return
    if (account := payout.get("_account")) is not None:
        bank_accounts.mark(world, payout["destination"], bank_accounts.ERRORED)
        accounts.announce(world, world.store.kind_of("acct")[account])
    _give_back(world, payout, "payout_failure")
    failure = {"failure_code": "account_closed", "failure_message": "The bank account has been closed."}
    payout |= failure | {"status": "failed"}
    world.emit("payout.failed", payout, account)


def _give_back(world: World, payout: JsonObject, kind: str) -> None:
    returned = move(world, Movement(kind, payout["amount"], payout["currency"], payout["id"], payout.get("_account")))
    payout["failure_balance_transaction"] = returned["id"]


def cancel_payout(world: World, call: Call) -> JsonObject:
    """A manual payout taken back while it is pending; its money returns. Cancelling instant ones is not modelled."""
    payout = world.store.get(call.path["id"], "payout", account=call.account)
    if payout["method"] == "instant":
        raise ApiError("The sandbox doesn't model the cancelling of instant payouts.", code="sandbox_not_modelled")
    if payout["status"] != "pending":
        raise ApiError("Payouts can only be canceled while they are pending.")
    _give_back(world, payout, "payout_cancel")
    payout["status"] = "canceled"
    world.emit("payout.canceled", payout, call.account)
    return payout


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
