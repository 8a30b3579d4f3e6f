"""What Stripe's webhooks announced is read again at Stripe and posted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from functions.batches import each
from functions.stripe_wiring import stripe
from functions.wiring import logger, registry, store
from settlement.follow_stripe import StripeEvent, follow_stripe
from settlement.ports import Contention
from settlement.stripe_port import StripeBusy, StripeUnclear


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Follow each event; what is unclear or busy is delivered again."""
    return each(event, _follow, retry=(Contention, StripeBusy, StripeUnclear))


def _follow(message: Mapping[str, str]) -> str:
    created = datetime.fromisoformat(message["created"])
    announced = StripeEvent(message["id"], message["type"], created, message["subject"])
    return f"{announced.type} {announced.subject}: {follow_stripe(store(), registry(), stripe(), announced)}"
