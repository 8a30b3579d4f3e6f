"""Onboarding: every expert gets a connected account at Stripe, and a link to finish it."""

from collections.abc import Iterator
from datetime import datetime

from settlement.bank_leg import follow_account
from settlement.ports import PayoutStore, WritableRegistry
from settlement.registry import Expert
from settlement.stripe_port import Stripe, TransfersCapability


def onboard(
    store: PayoutStore, registry: WritableRegistry, stripe: Stripe, as_of: datetime
) -> Iterator[tuple[str, str]]:
    """Make an account for each expert that has none; expert and account, one by one. Safe to repeat.

    Of every account that cannot take transfers, as far as is known, Stripe is asked again.
    """
    for expert in registry.experts().values():
        account = account_of(registry, stripe, expert)
        if expert.stripe_account is None:
            yield expert.id, account
        if registry.statuses([expert.id])[expert.id].transfers is not TransfersCapability.ACTIVE:
            follow_account(store, registry, stripe, account, as_of)


def account_of(registry: WritableRegistry, stripe: Stripe, expert: Expert) -> str:
    """The expert's account at Stripe, made if there is none. Raises Contention if somebody else kept another one."""
    if expert.stripe_account is not None:
        return expert.stripe_account
    account = stripe.account(expert)
    registry.set_stripe_account(expert.id, account)
    return account
