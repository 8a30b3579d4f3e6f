"""Planned payouts become transfers, exactly one each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from functions.batches import each
from functions.stripe_wiring import stripe
from functions.wiring import logger, registry, store
from settlement.ports import Contention
from settlement.send_payouts import send_payout
from settlement.stripe_port import StripeBusy, StripeUnclear


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Send each payout, or find out what became of it; what is unclear or busy is delivered again."""
    return each(event, _send, retry=(Contention, StripeBusy, StripeUnclear))


def _send(message: Mapping[str, str]) -> str:
    payout = send_payout(store(), registry(), stripe(), message["payout"], datetime.fromisoformat(message["as_of"]))
    return f"{payout.id} {payout.status} {payout.why}".strip()
