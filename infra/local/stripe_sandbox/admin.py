"""The sandbox's own controls under /_sandbox/: the clock, the customers' and banks' part, faults and webhooks.

They need no API key. Bodies are JSON; each TypedDict here is the shape of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired

from typing_extensions import TypedDict

from infra.local.stripe_sandbox import accounts, faults
from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.timeline import advance, epoch_seconds, iso

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject
    from infra.local.stripe_sandbox.webhooks import Webhooks
    from infra.local.stripe_sandbox.world import Call, World


class ClockBody(TypedDict):
    """Where to move the clock: ISO 8601 with an offset."""

    now: str


class PayInvoiceBody(TypedDict):
    """Which invoice is paid, and how much of it in minor units; without an amount, all that remains."""

    invoice: str
    amount: NotRequired[int]


class FailPaymentBody(TypedDict):
    """Which invoice's payment is declined, now or when /pay is called next."""

    invoice: str
    when: NotRequired[Literal["now", "next_pay"]]


class FailPayoutBody(TypedDict):
    """A payout that fails now, or an account whose next automatic payout fails `after_days` (0 to 5) after arriving."""

    payout: NotRequired[str]
    account: NotRequired[str]
    after_days: NotRequired[int]


class CapabilityBody(TypedDict):
    """An account and the status of its transfers capability: active, pending, rejected, restricted or unsupported."""

    account: str
    status: str


class AccountBody(TypedDict):
    """An account."""

    account: str


class BankBody(TypedDict):
    """An account and its new bank account for a currency (usd), the default one unless said otherwise.

    `number`: one that others may have had; `instant`: whether it takes instant payouts.
    """

    account: str
    currency: NotRequired[str]
    number: NotRequired[str]
    instant: NotRequired[bool]
    default: NotRequired[bool]


class RefundBody(TypedDict):
    """A refund."""

    refund: str


class DisputeBody(TypedDict):
    """A charge that the client's bank takes back, and how much of it in minor units; without an amount, all."""

    charge: str
    amount: NotRequired[int]


class DecisionBody(TypedDict):
    """How the bank decides a dispute, and whether Stripe returns its fee."""

    dispute: str
    won: bool
    fee_returned: NotRequired[bool]


class FeeBody(TypedDict):
    """A fee that Stripe takes from the platform, in minor units."""

    amount: int
    currency: str
    description: NotRequired[str]


class WebhooksBody(TypedDict):
    """How deliveries misbehave; what isn't named stays as it is.

    `duplicate`: extra copies of each; `shuffle`: a seed, or null for order; `hold`: keep all until flushed or released.
    """

    duplicate: NotRequired[int]
    shuffle: NotRequired[int | None]
    hold: NotRequired[bool]


class Admin:
    """The controls that reach beyond the world: clock source, webhooks, and the state as a whole."""

    def __init__(self, webhooks: Webhooks, *, started_at: int, wall_clock: bool) -> None:
        self._webhooks = webhooks
        self._started_at = started_at
        self._wall_clock = wall_clock

    def health(self, world: World, _call: Call) -> JsonObject:
        """That the sandbox answers, and its time."""
        return {"status": "ok", "now": iso(world.now)}

    def set_clock(self, world: World, call: Call) -> JsonObject:
        """Move the clock forward and do all that falls due on the way."""
        if self._wall_clock:
            raise ApiError("This sandbox follows the wall clock; start it with --now to move time yourself.")
        advance(world, epoch_seconds(call.params["now"]))
        return {"now": iso(world.now)}

    def flush(self, _world: World, _call: Call) -> JsonObject:
        """Deliver all pending webhooks and count them."""
        return dict(self._webhooks.flush())

    def set_webhooks(self, world: World, call: Call) -> JsonObject:
        """Change how deliveries misbehave; tells the mode from now on."""
        if call.params.get("duplicate", 0) < 0:
            raise ApiError("duplicate must not be negative", param="duplicate")
        mode: JsonObject = world.store.state["webhooks"]
        mode |= call.params
        return mode

    def state(self, world: World, _call: Call) -> JsonObject:
        """Everything that the sandbox holds, by id, private fields included, and a count of deliveries."""
        counts = {"delivered": 0, "failed": 0, "pending": 0}
        for delivery in world.store.kind_of("dlv").values():
            counts[delivery["status"]] += 1
        return {**world.store.state, "deliveries": counts}

    def reset(self, world: World, _call: Call) -> JsonObject:
        """Forget everything, endpoints and keys included, and go back to the first time."""
        self._webhooks.forget()
        world.store.clear(world.now if self._wall_clock else self._started_at)
        return {"now": iso(world.now)}


def queue_fault(world: World, call: Call) -> JsonObject:
    """Queue a fault; tells the queue."""
    return {"faults": faults.queue_fault(world, call.params)}


def clear_faults(world: World, _call: Call) -> JsonObject:
    """Empty the queue of faults."""
    return {"faults": faults.clear_faults(world)}


def set_capability(world: World, call: Call) -> JsonObject:
    """Change an account's transfers capability; tells the account."""
    return accounts.set_transfers_status(world, call.params["account"], call.params["status"])


def onboard(world: World, call: Call) -> JsonObject:
    """What opening an account link does: the capability becomes active."""
    return accounts.set_transfers_status(world, call.path["id"], "active")
