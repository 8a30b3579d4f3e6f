"""The composition root of the functions that call Stripe; the others never import its SDK."""

import os
from collections.abc import Callable
from functools import cache

from billing.periods import Period
from functions.environment import stack
from functions.wiring import store
from infra.aws.secrets import stripe_keys
from infra.stripe.gateway import StripeGateway


@cache
def stripe() -> StripeGateway:
    """The platform's account at Stripe, or the sandbox if the template's parameter names one. The key is read once.

    Where the template gives a rate, this worker takes its share of it.
    """
    rate = int(os.environ.get("SOLVENT_STRIPE_CALLS_PER_SECOND", "0"))
    share = rate // int(os.environ.get("SOLVENT_STRIPE_WORKERS", "1")) or None
    api_base = os.environ.get("SOLVENT_STRIPE_API_BASE") or None
    return StripeGateway(stripe_keys(stack()).api_key, api_base, calls_per_second=share)


def may_issue() -> Callable[[Period], bool] | None:
    """Whether invoices of a month may be issued, where they wait for its close; None where nothing waits."""
    if os.environ.get("SOLVENT_INVOICES_WAIT", "no") == "no":
        return None
    from settlement.month_close import is_approved  # noqa: PLC0415  # most stacks have no use for it

    return lambda month: is_approved(store(), month)
