"""The composition root of the functions that call Stripe; the others never import its SDK."""

import os
from functools import cache

from functions.environment import stack
from infra.aws.secrets import stripe_keys
from infra.stripe.gateway import StripeGateway


@cache
def stripe() -> StripeGateway:
    """The platform's account at Stripe, or the sandbox if the template's parameter names one. The key is read once."""
    return StripeGateway(stripe_keys(stack()).api_key, os.environ.get("SOLVENT_STRIPE_API_BASE") or None)
