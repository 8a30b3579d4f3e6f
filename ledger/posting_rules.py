"""Posting rules: what each reason may debit and credit. A balanced entry that breaks its rule is refused.

A rule is a list of flows. In each flow debits equal credits, so that a client's charge can never be booked
against an expert's pay, which a sum over the whole entry would let pass.
"""

from enum import StrEnum

from ledger.records import dataclass


class Reason(StrEnum):
    """Why an entry was posted. The codes are stored for ever."""

    SETTLED = "settled"
    CORRECTED = "corrected"
    REVERSED = "reversed"
    CREDITED = "credited"
    TRUE_UP = "true_up"
    SHORTFALL = "shortfall"
    TAX = "tax"
    INVOICED = "invoiced"
    PREPAID_BOUGHT = "prepaid_bought"
    PREPAID_APPLIED = "prepaid_applied"
    PREPAID_EXPIRED = "prepaid_expired"
    PREPAID_REFUNDED = "prepaid_refunded"
    INVOICE_PAID = "invoice_paid"
    INVOICE_CLEARED = "invoice_cleared"
    INVOICE_VOIDED = "invoice_voided"
    INVOICE_WRITTEN_OFF = "invoice_written_off"
    INVOICE_RECOVERED = "invoice_recovered"
    INVOICE_REFUNDED = "invoice_refunded"
    INVOICE_CHARGED_BACK = "invoice_charged_back"
    CREDIT_NOTE = "credit_note"
    CREDIT_NOTE_WITHDRAWN = "credit_note_withdrawn"
    INCENTIVE = "incentive"
    INCENTIVE_CORRECTED = "incentive_corrected"
    PAYOUT_RESERVED = "payout_reserved"
    PAYOUT_SENT = "payout_sent"
    PAYOUT_RELEASED = "payout_released"
    PAYOUT_REVERSED = "payout_reversed"
    PAYOUT_FEE = "payout_fee"
    WITHHELD = "withheld"
    TOP_UP = "top_up"
    PLATFORM_PAYOUT = "platform_payout"
    STRIPE_FEE = "stripe_fee"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Flow:
    """Accounts (by role) whose debits and credits balance among themselves; `either_sign` lets them swap sides."""

    debit: frozenset[str]
    credit: frozenset[str]
    either_sign: bool = False


def _flow(debit: str, credit: str, *, either_sign: bool = False) -> Flow:
    return Flow(frozenset(debit.split()), frozenset(credit.split()), either_sign)


_CHARGE = "client/unbilled", "revenue/resolutions revenue/credits"
_PAY = "cost/base cost/bonus", "expert/payable"

POSTING_RULES: dict[Reason, tuple[Flow, ...]] = {
    Reason.SETTLED: (_flow("client/unbilled", "revenue/resolutions"), _flow(*_PAY)),
    Reason.CORRECTED: (_flow(*_CHARGE, either_sign=True), _flow(*_PAY, either_sign=True)),
    Reason.REVERSED: (_flow("revenue/resolutions", "client/unbilled"), _flow("expert/payable", "cost/base cost/bonus")),
    Reason.CREDITED: (_flow("revenue/credits", "client/unbilled"), _flow("expert/payable", "cost/base cost/bonus")),
    Reason.TRUE_UP: (_flow("client/unbilled", "revenue/resolutions", either_sign=True),),
    Reason.SHORTFALL: (_flow("client/unbilled", "revenue/minimum"),),
    Reason.TAX: (_flow("client/unbilled", "tax/payable"),),
    Reason.INVOICED: (_flow("client/receivable", "client/unbilled"),),
    Reason.PREPAID_BOUGHT: (_flow("client/receivable stripe/clearing bank/cash", "client/prepaid"),),
    Reason.PREPAID_APPLIED: (_flow("client/prepaid", "client/unbilled"),),
    Reason.PREPAID_EXPIRED: (_flow("client/prepaid", "revenue/resolutions"),),
    Reason.PREPAID_REFUNDED: (_flow("client/prepaid", "stripe/balance bank/cash"),),
    Reason.INVOICE_PAID: (_flow("stripe/clearing bank/cash", "client/receivable"),),
    Reason.INVOICE_CLEARED: (_flow("stripe/balance cost/fees", "stripe/clearing stripe/balance"),),
    Reason.INVOICE_VOIDED: (_flow("client/unbilled", "client/receivable"),),
    Reason.INVOICE_WRITTEN_OFF: (_flow("cost/bad_debt", "client/receivable"),),
    Reason.INVOICE_RECOVERED: (_flow("client/receivable", "cost/bad_debt"),),
    Reason.INVOICE_REFUNDED: (_flow("client/receivable cost/fees", "stripe/balance", either_sign=True),),
    Reason.INVOICE_CHARGED_BACK: (_flow("client/receivable cost/fees", "stripe/balance", either_sign=True),),
    Reason.CREDIT_NOTE: (_flow("client/unbilled revenue/credits tax/payable", "client/receivable"),),
    Reason.CREDIT_NOTE_WITHDRAWN: (_flow("client/receivable", "client/unbilled tax/payable"),),
    Reason.INCENTIVE: (_flow("cost/incentive", "expert/payable"),),
    Reason.INCENTIVE_CORRECTED: (_flow("cost/incentive", "expert/payable", either_sign=True),),
    Reason.PAYOUT_RESERVED: (_flow("expert/payable", "expert/in_transit"),),
    Reason.PAYOUT_SENT: (_flow("expert/in_transit", "stripe/balance"),),
    Reason.PAYOUT_RELEASED: (_flow("expert/in_transit", "expert/payable"),),
    Reason.PAYOUT_REVERSED: (_flow("stripe/balance", "expert/payable"),),
    Reason.PAYOUT_FEE: (_flow("expert/payable expert/in_transit", "cost/fees"),),
    Reason.WITHHELD: (_flow("expert/payable expert/in_transit", "tax/withheld"),),
    Reason.TOP_UP: (_flow("stripe/balance cost/fees", "bank/cash", either_sign=True),),
    Reason.PLATFORM_PAYOUT: (_flow("bank/cash cost/fees", "stripe/balance", either_sign=True),),
    Reason.STRIPE_FEE: (_flow("cost/fees", "stripe/balance", either_sign=True),),
    Reason.MANUAL: (
        _flow(
            "client/unbilled client/receivable client/prepaid expert/payable expert/in_transit stripe/clearing "
            "stripe/balance bank/cash revenue/resolutions revenue/minimum revenue/credits cost/base cost/bonus "
            "cost/incentive cost/fees cost/bad_debt rounding tax/payable tax/withheld",
            "",
            either_sign=True,
        ),
    ),
}
