"""What becomes of a transfer afterwards: taken back, paid out to the bank, or returned by the bank."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from payouts.payouts import Payout, PayoutStatus, moved
from settlement.expert_status import ExpertStatus, with_account, with_bank_payout
from settlement.movements import RECENT
from settlement.ports import Changes, PayoutStore, WritableRegistry
from settlement.send_payouts import existing, send_payout, take_back, tell
from settlement.stripe_port import BankPayout, BankPayoutStatus, MovementKind, Stripe
from settlement.writing import until_written

_BACK = {BankPayoutStatus.FAILED, BankPayoutStatus.CANCELED}


def follow_transfer(
    store: PayoutStore, registry: WritableRegistry, stripe: Stripe, payout_id: str, as_of: datetime
) -> Payout:
    """Book what Stripe says about a payout's transfer: that it exists, or that some of it was reversed."""

    def attempt() -> Payout:
        payout = existing(store, payout_id)
        if not payout.has_transfer:
            payout = send_payout(store, registry, stripe, payout_id, as_of)
        if payout.stripe_transfer is None:
            return payout
        return take_back(store, payout, stripe.transfer_now(payout.stripe_transfer).reversed, as_of)

    return until_written(store, payout_id, attempt)


def follow_reversals(
    store: PayoutStore, registry: WritableRegistry, stripe: Stripe, as_of: datetime
) -> tuple[str, ...]:
    """Book what was reversed in the 30 days before `as_of`, should its webhook be lost; the payouts looked at."""
    since = (as_of.astimezone(UTC) - RECENT).date()
    reversals = stripe.movements({MovementKind.TRANSFER_REVERSAL}, since)
    named = (stripe.transfer_now(transfer).payout for transfer in sorted({str(it.origin) for it in reversals}))
    ids = tuple(id_ for id_ in named if id_ is not None and store.payout(id_) is not None)
    for id_ in ids:
        follow_transfer(store, registry, stripe, id_, as_of)
    return ids


def follow_account(
    store: PayoutStore, registry: WritableRegistry, stripe: Stripe, account: str, as_of: datetime
) -> str | None:
    """Keep what Stripe says about a connected account; the expert whose it is, None if it is nobody's.

    Stripe is asked once the status was read that is written over, so that nothing older is written over anything newer.
    """
    expert, day = stripe.account_status(account).expert, as_of.astimezone(UTC).date()
    if expert is not None:
        _keep(store, registry, expert, lambda status: with_account(status, stripe.account_status(account), day))
    return expert


def follow_bank_payout(
    store: PayoutStore, registry: WritableRegistry, stripe: Stripe, account: str, bank_payout: str, as_of: datetime
) -> tuple[str, ...]:
    """Keep what became of a payout from a connected account to its bank; our payouts whose money it carries.

    It never touches what the expert is owed: money that the bank returned is in the expert's account at Stripe.
    """
    seen = stripe.bank_payout(account, bank_payout)
    expert = stripe.account_status(account).expert
    if expert is not None:
        _keep(store, registry, expert, lambda status: with_bank_payout(status, seen))
    carried = [seen.payout] if seen.payout else [stripe.transfer_now(it).payout for it in seen.transfers]
    ids = tuple(id_ for id_ in carried if id_ is not None)
    for id_ in ids:
        until_written(store, id_, lambda id_=id_: _follow_one(store, id_, seen, as_of))  # type: ignore[misc]  # a bound default
    return ids


def _follow_one(store: PayoutStore, id_: str, seen: BankPayout, as_of: datetime) -> None:
    payout = existing(store, id_)
    if payout.status not in {PayoutStatus.SENT, PayoutStatus.PAID} or not _is_news(payout, seen):
        return
    is_back = seen.status in _BACK
    failure = (seen.failure_code or str(seen.status)) if is_back else None
    status = PayoutStatus.PAID if seen.status is BankPayoutStatus.PAID else PayoutStatus.SENT
    after = moved(payout, status, bank_payout=seen.id, bank_payout_at=seen.created_at, bank_failure=failure)
    what = "payout.bank_failed" if is_back else "payout.paid"
    told = (tell(after, what, seen.id, as_of),) if is_back or status is PayoutStatus.PAID else ()
    store.commit(Changes(payouts=(after,), announcements=told))


def _is_news(payout: Payout, seen: BankPayout) -> bool:
    """Whether it is about a newer bank payout than is known, or says more of the same: on its way, paid, returned."""
    if payout.bank_payout_at is None:
        return True
    known = 2 if payout.bank_failure else 1 if payout.status is PayoutStatus.PAID else 0
    said = 2 if seen.status in _BACK else 1 if seen.status is BankPayoutStatus.PAID else 0
    return (seen.created_at, said) > (payout.bank_payout_at, known)


def _keep(
    store: PayoutStore, registry: WritableRegistry, expert: str, change: Callable[[ExpertStatus], ExpertStatus]
) -> None:
    """Write the changed status, even if it is as it was: so whoever read it before cannot write something older."""

    def attempt() -> None:
        before = registry.statuses([expert])[expert]
        registry.set_status(replace(change(before), revision=before.revision + 1))

    until_written(store, expert, attempt)
