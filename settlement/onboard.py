"""Onboarding: every expert gets a connected account at Stripe, and a link to finish it."""

from collections.abc import Iterator

from settlement.ports import WritableRegistry
from settlement.stripe_port import Stripe


def onboard(registry: WritableRegistry, stripe: Stripe) -> Iterator[tuple[str, str]]:
    """Make an account for each expert that has none; expert and account, one by one. Safe to repeat."""
    for expert in registry.experts().values():
        if expert.stripe_account is None:
            account = stripe.account(expert)
            registry.set_stripe_account(expert.id, account)
            yield expert.id, account
