"""Stripe's balance transactions as movements: which of its many types is which kind, and what each is about."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from ledger.money import currency
from settlement.stripe_port import Movement, MovementKind

if TYPE_CHECKING:  # naming a type of the SDK imports its module
    import stripe as sdk
    from stripe.params import BalanceTransactionListParams

# https://docs.stripe.com/reports/balance-transaction-types; any other type is OTHER, which nothing books.
_KINDS = {
    "charge": MovementKind.PAYMENT,
    "payment": MovementKind.PAYMENT,
    "refund": MovementKind.REFUND,
    "refund_failure": MovementKind.REFUND,
    "payment_refund": MovementKind.REFUND,
    "payment_failure_refund": MovementKind.REFUND,
    "transfer": MovementKind.TRANSFER,
    "transfer_cancel": MovementKind.TRANSFER_REVERSAL,
    "transfer_failure": MovementKind.TRANSFER_REVERSAL,
    "transfer_refund": MovementKind.TRANSFER_REVERSAL,
    "topup": MovementKind.TOP_UP,
    "topup_reversal": MovementKind.TOP_UP,
    "payout": MovementKind.PLATFORM_PAYOUT,
    "payout_cancel": MovementKind.PLATFORM_PAYOUT,
    "payout_failure": MovementKind.PLATFORM_PAYOUT,
    "stripe_fee": MovementKind.FEE,
    "stripe_fx_fee": MovementKind.FEE,
    "tax_fee": MovementKind.FEE,
}
# What an adjustment is, its reporting category tells (https://docs.stripe.com/reports/reporting-categories).
_ADJUSTMENT = "adjustment"
_ADJUSTMENTS = {
    "dispute": MovementKind.DISPUTE,
    "dispute_reversal": MovementKind.DISPUTE,
    "refund_failure": MovementKind.REFUND,
    "fee": MovementKind.FEE,
}
# The field of the source that names what it takes back, or whom it is for.
_ORIGINS = {
    MovementKind.REFUND: "charge",
    MovementKind.DISPUTE: "charge",
    MovementKind.TRANSFER: "transfer_group",
    MovementKind.TRANSFER_REVERSAL: "transfer",
}


def requests(kinds: Collection[MovementKind], since: date | None) -> Iterator[BalanceTransactionListParams]:
    """What to ask for: one list for each type of these kinds, or one of everything if none is named."""
    for type_ in _types(kinds):
        asked: BalanceTransactionListParams = {"limit": 100, "expand": ["data.source"]}
        if type_ is not None:
            asked["type"] = type_
        if since is not None:
            asked["created"] = {"gte": int(datetime.combine(since, time(), UTC).timestamp())}
        yield asked


def _types(kinds: Collection[MovementKind]) -> list[str | None]:
    if not kinds:
        return [None]
    types: list[str | None] = [type_ for type_, kind in _KINDS.items() if kind in kinds]
    return [*types, _ADJUSTMENT] if any(kind in kinds for kind in _ADJUSTMENTS.values()) else types


def movement_of(found: sdk.BalanceTransaction) -> Movement:
    """The movement that a balance transaction, read with its source, stands for. Days are in UTC."""
    kinds, name = (_ADJUSTMENTS, found.reporting_category) if found.type == _ADJUSTMENT else (_KINDS, found.type)
    kind = kinds.get(name, MovementKind.OTHER)
    return Movement(
        id=found.id,
        kind=kind,
        source=str(getattr(found.source, "id", found.source) or found.id),
        currency=currency(found.currency.upper()),
        gross=found.amount,
        fee=found.fee,
        is_available=found.status == "available",
        created_on=_day(found.created),
        available_on=_day(found.available_on),
        origin=_origin(kind, found.source),
    )


def _origin(kind: MovementKind, source: object) -> str | None:
    """A payment or transfer that failed after all is its own origin: it is the source of both movements."""
    if kind not in _ORIGINS:
        return None
    own = None if kind is MovementKind.TRANSFER else getattr(source, "id", None)
    named = getattr(source, _ORIGINS[kind], None) or own
    return None if named is None else str(named)


def _day(epoch_seconds: int) -> date:
    return datetime.fromtimestamp(epoch_seconds, UTC).date()
