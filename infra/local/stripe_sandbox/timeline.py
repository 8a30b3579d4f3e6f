"""What happens as time passes: money settles, connected accounts are paid out, payouts arrive or fail."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from infra.local.stripe_sandbox import balances, invoices, payouts
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.world import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.stripe_sandbox.world import World

SETTLE = "settle_transaction"
TASKS: dict[str, Callable[[World, str], None]] = {
    "finalize_invoice": invoices.finalize_when_due,
    "pay_out_account": payouts.pay_out_account,
    "payout_arrives": payouts.payout_arrives,
    "payout_fails": payouts.payout_fails,
    "payout_reconciled": payouts.payout_reconciled,
    "payout_submitted": payouts.payout_submitted,
    "topup_succeeds": payouts.topup_succeeds,
}


def epoch_seconds(text: str) -> int:
    """Epoch seconds of an ISO 8601 time; one without an offset is refused."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError(f"Not an ISO 8601 time: {text}", param="now") from None
    if moment.tzinfo is None:
        raise ApiError(f"The time needs an offset, such as Z: {text}", param="now")
    return int(moment.timestamp())


def iso(seconds: int) -> str:
    """An ISO 8601 time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def advance(world: World, to: int) -> None:
    """Move the clock forward, doing everything on the agenda up to and including that time in its order.

    Each instant's settlements come first, with one balance.available per account, then its other tasks. The clock never
    goes back.
    """
    if to < world.now:
        raise ApiError(f"The clock is at {iso(world.now)} and can't go back to {iso(to)}", param="now")
    agenda = world.store.state["agenda"]
    world.call = Call({})
    while agenda and agenda[0][0] <= to:
        world.store.state["now"] = max(agenda[0][0], world.now)
        world.store.dirty = True
        _run_instant(world, agenda[0][0])
    if to > world.now:
        world.store.state["now"] = to
        world.store.dirty = True


def _run_instant(world: World, at: int) -> None:
    agenda = world.store.state["agenda"]
    settled: dict[str | None, None] = {}
    while agenda and agenda[0][0] == at and agenda[0][3] == SETTLE:
        settled[balances.settle(world, heapq.heappop(agenda)[4])] = None
    for account in settled:
        balances.announce_available(world, account)
    while agenda and agenda[0][0] == at and agenda[0][3] != SETTLE:
        _at, _rank, _order, task, object_id = heapq.heappop(agenda)
        TASKS[task](world, object_id)
