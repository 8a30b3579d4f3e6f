"""Onboarding: every expert gets a connected account at Stripe, and a link to finish it."""

from collections.abc import Iterator
from datetime import datetime

from settlement.bank_leg import follow_account
from settlement.ports import PayoutStore, WritableRegistry
from settlement.stripe_port import Stripe, TransfersCapability


def onboard(
    store: PayoutStore, registry: WritableRegistry, stripe: Stripe, as_of: datetime
) -> Iterator[tuple[str, str]]:
    """Make an account for each expert that has none; expert and account, one by one. Safe to repeat.

    Of every account that cannot take transfers, as far as is known, Stripe is asked again.
    """
    for expert in registry.experts().values():
        account = expert.stripe_account
        if account is None:
            account = stripe.account(expert)
            registry.set_stripe_account(expert.id, account)
            yield expert.id, account
        if registry.statuses([expert.id])[expert.id].transfers is not TransfersCapability.ACTIVE:
            follow_account(store, registry, stripe, account, as_of)
