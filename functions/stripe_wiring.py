"""The composition root of the functions that call Stripe; the others never import its SDK."""

import os
from functools import cache

from functions.environment import stack
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
