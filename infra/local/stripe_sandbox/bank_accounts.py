"""External accounts (v1): the bank accounts that connected accounts are paid out to.

An account has a default one for each currency; a new one takes the place of the old. Stripe lets only the expert change
them (Express), so there is no endpoint for it here but a control. A payout that failed leaves its bank account
`errored`: nothing is paid out to it until the expert mends or replaces it
(https://support.stripe.com/questions/managing-connect-payout-failures).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.listing import page

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject
    from infra.local.stripe_sandbox.world import Call, World

ERRORED = "errored"


def list_bank_accounts(world: World, call: Call) -> JsonObject:
    """The account's bank accounts, newest first."""
    account = world.store.get(call.path["account"], "v2.core.account", param="account")
    kept = world.store.newest_first("ba", account=account["id"])
    return page(call, [bank for bank in kept if "deleted" not in bank])


def add(
    world: World,
    account: JsonObject,
    *,
    currency: str = "usd",
    number: str | None = None,
    instant: bool = True,
    default: bool = True,
) -> None:
    """Give the account a bank account for this currency, in place of the default one it has or, if not so, beside it.

    Equal numbers have equal fingerprints; without a number it is one that nobody had before. With `instant` it can
    receive instant payouts.
    """
    bank_id = world.store.new_id("ba")
    number = number or f"000{bank_id[-6:]}"
    country = (account["identity"] or {}).get("country") or "us"
    bank: JsonObject = {
        "id": bank_id,
        "object": "bank_account",
        "account": account["id"],
        "account_holder_name": None,
        "account_holder_type": "individual",
        "account_type": None,
        "available_payout_methods": ["standard", "instant"] if instant else ["standard"],
        "bank_name": "STRIPE TEST BANK",
        "country": country.upper(),
        "currency": currency,
        "default_for_currency": default,
        "fingerprint": hashlib.sha256(number.encode()).hexdigest()[:16],
        "future_requirements": None,
        "last4": number[-4:],
        "metadata": {},
        "requirements": None,
        "routing_number": "110000000",
        "status": "new",
        "_account": account["id"],
    }
    replaced = account["_banks"].get(currency) if default else None
    if default:
        account["_banks"][currency] = bank_id
    world.emit("account.external_account.created", world.store.add(bank), account["id"])
    if replaced is not None:
        _remove(world, replaced)


def _remove(world: World, bank_id: str) -> None:
    """Tell that it is gone, and leave what Stripe shows in its place."""
    bank = world.store.kind_of("ba")[bank_id]
    world.emit("account.external_account.deleted", bank, bank["_account"])
    world.store.add({"id": bank_id, "object": "bank_account", "deleted": True, "_account": bank["_account"]})


def mark(world: World, bank_id: str, status: str) -> None:
    """Change the status of a bank account that is still there: `errored` stops its payouts, `new` resumes them."""
    bank = world.store.kind_of("ba").get(bank_id)
    if bank is None or "deleted" in bank or bank["status"] == status:
        return
    bank["status"] = status
    world.emit("account.external_account.updated", bank, bank["_account"])


def bank_for(world: World, account: JsonObject, currency: str) -> JsonObject | None:
    """Where money in this currency goes: its own default or, where the account has none for it, the first one."""
    banks: dict[str, str] = account["_banks"]
    bank_id = banks.get(currency) or next(iter(banks.values()), None)
    return None if bank_id is None else world.store.kind_of("ba")[bank_id]


def payable_bank(world: World, account: JsonObject, currency: str, method: str) -> JsonObject:
    """Where a payout in this currency goes, or Stripe's refusal: none there, out of order, or not for instant payouts.

    That a missing one is refused without a code is unverified.
    """
    bank = bank_for(world, account, currency)
    if bank is None:
        raise ApiError(f"Sorry, you don't have any external accounts in that currency ({currency}).")
    if bank["status"] == ERRORED:
        raise ApiError("The bank account provided cannot be used for payouts.", code="bank_account_unusable")
    if method not in bank["available_payout_methods"]:
        raise ApiError("The bank account does not support instant payouts.", code="instant_payouts_unsupported")
    return bank


def are_payable(world: World, account: JsonObject) -> bool:
    """Whether there is a bank account, and none is errored."""
    banks = [world.store.kind_of("ba")[bank_id] for bank_id in account["_banks"].values()]
    return bool(banks) and all(bank["status"] != ERRORED for bank in banks)
