"""The chart of accounts. An account is its code; its kind follows from the code.

Codes are stored for ever: see docs/decisions/account_codes.md before adding one.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NewType

from ledger.errors import PostingRuleBroken

Account = NewType("Account", str)

OWNER_ID = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")


class Kind(StrEnum):
    """What an account counts as; assets and expenses grow by debits, the others by credits."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"

    @property
    def grows_by_debit(self) -> bool:
        """Whether the account's usual balance is a debit."""
        return self in {Kind.ASSET, Kind.EXPENSE}


CLIENT_KINDS = {"unbilled": Kind.ASSET, "receivable": Kind.ASSET, "prepaid": Kind.LIABILITY}
EXPERT_KINDS = {"payable": Kind.LIABILITY, "in_transit": Kind.LIABILITY}

STRIPE_CLEARING = Account("stripe/clearing")
STRIPE_BALANCE = Account("stripe/balance")
BANK_CASH = Account("bank/cash")
REVENUE_RESOLUTIONS = Account("revenue/resolutions")
REVENUE_MINIMUM = Account("revenue/minimum")
REVENUE_CREDITS = Account("revenue/credits")
COST_BASE = Account("cost/base")
COST_BONUS = Account("cost/bonus")
COST_INCENTIVE = Account("cost/incentive")
COST_FEES = Account("cost/fees")
COST_BAD_DEBT = Account("cost/bad_debt")
ROUNDING = Account("rounding")
TAX_PAYABLE = Account("tax/payable")
TAX_WITHHELD = Account("tax/withheld")

PLATFORM_KINDS: dict[Account, Kind] = {
    STRIPE_CLEARING: Kind.ASSET,
    STRIPE_BALANCE: Kind.ASSET,
    BANK_CASH: Kind.ASSET,
    REVENUE_RESOLUTIONS: Kind.INCOME,
    REVENUE_MINIMUM: Kind.INCOME,
    REVENUE_CREDITS: Kind.INCOME,
    COST_BASE: Kind.EXPENSE,
    COST_BONUS: Kind.EXPENSE,
    COST_INCENTIVE: Kind.EXPENSE,
    COST_FEES: Kind.EXPENSE,
    COST_BAD_DEBT: Kind.EXPENSE,
    ROUNDING: Kind.EXPENSE,
    TAX_PAYABLE: Kind.LIABILITY,
    TAX_WITHHELD: Kind.LIABILITY,
}


def client_unbilled(client: str) -> Account:
    """Charged, not yet invoiced."""
    return Account(f"client/{client}/unbilled")


def client_receivable(client: str) -> Account:
    """Invoiced, not yet paid."""
    return Account(f"client/{client}/receivable")


def client_prepaid(client: str) -> Account:
    """Credits bought, not yet used."""
    return Account(f"client/{client}/prepaid")


def expert_payable(expert: str) -> Account:
    """Earned, not yet reserved for a payout."""
    return Account(f"expert/{expert}/payable")


def expert_in_transit(expert: str) -> Account:
    """Reserved for a payout whose transfer is not confirmed."""
    return Account(f"expert/{expert}/in_transit")


@lru_cache(maxsize=65536)
def role_of(account: Account) -> str:
    """The account with its owner taken out, as posting rules name it: client/acme/unbilled is client/unbilled.

    Raises PostingRuleBroken for a code that is not in the chart.
    """
    if account in PLATFORM_KINDS:
        return account
    match account.split("/"):
        case ["client", owner, name] if name in CLIENT_KINDS and OWNER_ID.fullmatch(owner):
            return f"client/{name}"
        case ["expert", owner, name] if name in EXPERT_KINDS and OWNER_ID.fullmatch(owner):
            return f"expert/{name}"
    raise PostingRuleBroken(f"{account!r} is not in the chart of accounts (ledger/README.md)")


def kind_of(account: Account) -> Kind:
    """Asset, liability, income or expense; raises PostingRuleBroken for an unknown code."""
    role = role_of(account)
    side, _, name = role.partition("/")
    if side == "client":
        return CLIENT_KINDS[name]
    if side == "expert":
        return EXPERT_KINDS[name]
    return PLATFORM_KINDS[account]
