"""What Stripe's webhooks announced is read again at Stripe and posted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from functions.batches import each
from functions.environment import stack
from functions.stripe_wiring import stripe
from functions.wiring import logger, registry, store
from infra.aws.queues import queue
from settlement.follow_stripe import BALANCE_FOLLOWED, StripeEvent, follow_stripe
from settlement.ports import Contention
from settlement.stripe_port import StripeBusy, StripeUnclear


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:  # noqa: ARG001  # Lambda's signature
    """Follow each event; what is unclear or busy is delivered again."""
    return each(event, _follow, retry=(Contention, StripeBusy, StripeUnclear))


def _follow(message: Mapping[str, Any]) -> str:
    created = datetime.fromisoformat(message["created"])
    announced = StripeEvent(**{**message, "created": created})
    done = follow_stripe(store(), registry(), stripe(), announced)
    if done == BALANCE_FOLLOWED:
        _try_again(message["created"])
    return f"{announced.type} {announced.subject or announced.object}: {done}"


def _try_again(as_of: str) -> None:
    """There may be funds now for payouts that wait for them."""
    waiting = sorted(store().unfinished_payouts())
    queue(f"{stack()}-payouts").send({"payout": id_, "as_of": as_of} for id_ in waiting)
