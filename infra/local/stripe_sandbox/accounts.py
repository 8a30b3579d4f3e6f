"""Connected accounts (v2): experts who receive transfers, their capability, and their onboarding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.stripe_sandbox import balances, bank_accounts
from infra.local.stripe_sandbox.errors import ApiError, ResourceMissing
from infra.local.stripe_sandbox.store import changed_metadata, rendered
from infra.local.stripe_sandbox.world import Call, World, rfc3339

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

CAPABILITY_EVENT = "v2.core.account[configuration.recipient].capability_status_updated"
REQUIREMENTS_EVENT = "v2.core.account[requirements].updated"
INCLUDABLE = ("configuration", "defaults", "future_requirements", "identity", "requirements")
LINK_LIFE_SECONDS = 600
STRICTEST_FIRST = ("past_due", "currently_due", "eventually_due")
_STATUS_DETAILS = {
    "active": [],
    "pending": [{"code": "determining_status", "resolution": "no_resolution"}],
    "restricted": [{"code": "requirements_past_due", "resolution": "provide_info"}],
    "rejected": [{"code": "rejected_other", "resolution": "contact_stripe"}],
    "unsupported": [{"code": "unsupported_country", "resolution": "no_resolution"}],
}
# What is asked for, from whom and by when, while the transfers capability has this status.
_ASKED = {
    "active": ("identity.individual.id_numbers", "user", "eventually_due"),
    "pending": ("identity.individual.verification.document", "stripe", "currently_due"),
    "restricted": ("identity.individual.verification.document", "user", "past_due"),
}


def create_account(world: World, call: Call) -> JsonObject:
    """A new account; a requested transfers capability begins with the sandbox's `new_accounts` status."""
    params = call.params
    configuration = params.get("configuration", {})
    if set(configuration) - {"recipient"}:
        raise ApiError("This sandbox models the recipient configuration only.", code="sandbox_not_modelled")
    account: JsonObject = {
        "id": world.store.new_id("acct"),
        "object": "v2.core.account",
        "applied_configurations": list(configuration),
        "closed": False,
        "configuration": {"customer": None, "merchant": None, "recipient": None},
        "contact_email": params.get("contact_email"),
        "contact_phone": params.get("contact_phone"),
        "created": rfc3339(world.now),
        "dashboard": params.get("dashboard"),
        "defaults": params.get("defaults"),
        "display_name": params.get("display_name"),
        "future_requirements": None,
        "identity": params.get("identity"),
        "livemode": False,
        "metadata": changed_metadata({}, params.get("metadata")),
        "requirements": None,
        "_banks": {},
        "_payout_run_planned": False,
        "_not_paid_out": [],
        "_next_payout_fails_after_days": None,
    }
    if "recipient" in configuration:
        account["configuration"]["recipient"] = _recipient(world, configuration["recipient"])
    world.store.add(account)
    if transfers_status(account) == "active":
        bank_accounts.add(world, account)
    return _shown(world, account, params.get("include", []))


def _recipient(world: World, wanted: JsonObject) -> JsonObject:
    balance_wishes = wanted.get("capabilities", {}).get("stripe_balance", {})
    transfers: JsonObject | None = None
    if balance_wishes.get("stripe_transfers", {}).get("requested"):
        transfers = _capability(world.settings.new_accounts)
    return {"applied": True, "capabilities": {"stripe_balance": {"stripe_transfers": transfers}}}


def _capability(status: str) -> JsonObject:
    return {"status": status, "status_details": list(_STATUS_DETAILS[status])}


def retrieve_account(world: World, call: Call) -> JsonObject:
    """The account; the parts that v2 hides by default are null unless `include` names them."""
    account = world.store.get(call.path["id"], "v2.core.account")
    return _shown(world, account, call.params.get("include", []))


def update_account(world: World, call: Call) -> JsonObject:
    """The account with changed metadata, name, contact or identity."""
    account = world.store.get(call.path["id"], "v2.core.account")
    for name in ("contact_email", "contact_phone", "dashboard", "defaults", "display_name", "identity"):
        account[name] = call.params.get(name, account[name])
    account["metadata"] = changed_metadata(account["metadata"], call.params.get("metadata"))
    return _shown(world, account, call.params.get("include", []))


def _shown(world: World, account: JsonObject, include: list[str]) -> JsonObject:
    shown = rendered(account) | {"requirements": _requirements(world, account)}
    included = {path.split(".")[0] for path in include}
    for name in INCLUDABLE:
        if name not in included:
            shown[name] = None
    return shown


def _requirements(world: World, account: JsonObject) -> JsonObject:
    """What Stripe asks for: papers, as the capability says, and a bank account while there is no working one."""
    entries = []
    if asked := _ASKED.get(str(transfers_status(account))):
        entries.append(_requirement("stripe_balance.stripe_transfers", *asked))
    if not bank_accounts.are_payable(world, account):
        entries.append(_requirement("stripe_balance.payouts", "external_account", "user", "past_due"))
    deadlines = sorted((entry["minimum_deadline"]["status"] for entry in entries), key=STRICTEST_FIRST.index)
    summary = {"minimum_deadline": {"status": deadlines[0], "time": None}} if deadlines else None
    return {"alternatives": [], "entries": entries, "summary": summary}


def _requirement(capability: str, description: str, awaiting: str, deadline: str) -> JsonObject:
    impact = {"capability": capability, "configuration": "recipient", "deadline": {"status": deadline}}
    return {
        "awaiting_action_from": awaiting,
        "description": description,
        "errors": [],
        "impact": {"restricts_capabilities": [impact]},
        "minimum_deadline": {"status": deadline},
        "reference": None,
        "requested_reasons": [{"code": "routine_onboarding"}],
    }


def create_account_link(world: World, call: Call) -> JsonObject:
    """A link that, when opened, completes the onboarding: the transfers capability becomes active."""
    account_id = call.params["account"]
    if world.store.find(account_id) is None:
        raise ResourceMissing("account", account_id, param="account")
    return {
        "object": "v2.core.account_link",
        "account": account_id,
        "created": rfc3339(world.now),
        "expires_at": rfc3339(world.now + LINK_LIFE_SECONDS),
        "livemode": False,
        "url": f"{world.base_url}/_sandbox/onboarding/{account_id}",
        "use_case": call.params["use_case"],
    }


def transfers_status(account: JsonObject) -> str | None:
    """The status of the account's transfers capability, None if it was never requested."""
    recipient = account["configuration"]["recipient"]
    capability = recipient and recipient["capabilities"]["stripe_balance"]["stripe_transfers"]
    return str(capability["status"]) if capability else None


def set_transfers_status(world: World, account_id: str, status: str) -> JsonObject:
    """Change the transfers capability, and tell it by snapshot and thin events.

    Whoever becomes active for the first time has been onboarded, and gave a bank account on the way.
    """
    account = world.store.get(account_id, "v2.core.account", param="account")
    if status not in _STATUS_DETAILS:
        raise ApiError(f"Invalid status: must be one of {', '.join(_STATUS_DETAILS)}", param="status")
    if transfers_status(account) is None:
        raise ApiError(f"{account_id} never requested the transfers capability", param="account")
    if status == "active" and not account["_banks"]:
        bank_accounts.add(world, account)
    account["configuration"]["recipient"]["capabilities"]["stripe_balance"]["stripe_transfers"] = _capability(status)
    world.emit_thin(CAPABILITY_EVENT, account, {"updated_capability": "stripe_balance.stripe_transfers"})
    announce(world, account)
    return rendered(account)


def replace_bank(world: World, call: Call) -> JsonObject:
    """The expert gives a new bank account; tells its default ones by currency."""
    params = call.params
    account = world.store.get(params["account"], "v2.core.account", param="account")
    wanted = {name: params[name] for name in ("currency", "number", "instant", "default") if name in params}
    bank_accounts.add(world, account, **wanted)
    announce(world, account)
    _plan_payouts(world, account)
    return {"account": account["id"], "banks": account["_banks"]}


def mend_banks(world: World, call: Call) -> JsonObject:
    """The expert corrects the bank accounts that are errored; automatic payouts go on."""
    account = world.store.get(call.params["account"], "v2.core.account", param="account")
    for bank_id in account["_banks"].values():
        bank_accounts.mark(world, bank_id, "new")
    announce(world, account)
    _plan_payouts(world, account)
    return {"account": account["id"], "banks": account["_banks"]}


def _plan_payouts(world: World, account: JsonObject) -> None:
    if any(amount > 0 for amount in balances.available_by_currency(world, account["id"]).values()):
        balances.plan_payout_run(world, account["id"])


def announce(world: World, account: JsonObject) -> None:
    """Emit account.updated with the v1 view of the account, and the thin event that its requirements changed."""
    status = transfers_status(account)
    asked = [
        entry["description"]
        for entry in _requirements(world, account)["entries"]
        if entry["awaiting_action_from"] == "user" and entry["minimum_deadline"]["status"] != "eventually_due"
    ]
    view = {
        "id": account["id"],
        "object": "account",
        "capabilities": {"transfers": "active" if status == "active" else "inactive"},
        "charges_enabled": False,
        "details_submitted": bool(account["_banks"]),
        "email": account["contact_email"],
        "livemode": False,
        "metadata": account["metadata"],
        "payouts_enabled": status == "active" and bank_accounts.are_payable(world, account),
        "requirements": {"currently_due": asked, "past_due": asked},
    }
    world.emit("account.updated", view, account["id"])
    world.emit_thin(REQUIREMENTS_EVENT, account, {})
