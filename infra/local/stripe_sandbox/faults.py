"""Faults to order: what a network or a bad day at Stripe does to a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NotRequired, cast

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject
    from infra.local.stripe_sandbox.world import World

DEFAULT_DELAY_MILLISECONDS = 200
DEFAULT_TIMEOUT_MILLISECONDS = 120_000


class FaultKind(StrEnum):
    """What goes wrong. `before`: nothing was done; `after_commit`: it was done, and the answer is lost or wrong."""

    TIMEOUT_AFTER_COMMIT = "timeout_after_commit"
    DROP_BEFORE = "drop_before"
    DROP_AFTER_COMMIT = "drop_after_commit"
    STATUS_500_BEFORE = "status_500_before"
    STATUS_500_AFTER_COMMIT = "status_500_after_commit"
    RATE_LIMIT_429 = "rate_limit_429"
    CONFLICT_409 = "conflict_409"
    DELAY = "delay_ms"


class FaultMatch(TypedDict):
    """Which requests a fault is for; without a method, any."""

    method: NotRequired[str]
    path_prefix: NotRequired[str]


class FaultOrder(TypedDict):
    """One entry of the queue: it strikes the next `times` requests that match.

    `delay_ms` is the length of a delay (200), or how long a timed-out request hangs (120,000) before it is dropped.
    `should_retry` is sent as the Stripe-Should-Retry header of a 429, 409 or 500; without it, no such header.
    """

    fault: Literal[
        "timeout_after_commit",
        "drop_before",
        "drop_after_commit",
        "status_500_before",
        "status_500_after_commit",
        "rate_limit_429",
        "conflict_409",
        "delay_ms",
    ]
    match: NotRequired[FaultMatch]
    times: NotRequired[int]
    delay_ms: NotRequired[int]
    should_retry: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that strikes one request."""

    kind: FaultKind
    delay_milliseconds: int | None
    should_retry: bool | None

    def headers(self) -> dict[str, str]:
        """The Stripe-Should-Retry header, if one was asked for."""
        return {} if self.should_retry is None else {"Stripe-Should-Retry": str(self.should_retry).lower()}


def queue_fault(world: World, order: JsonObject) -> list[JsonObject]:
    """Add the fault at the end of the queue; tells the whole queue."""
    _queue(world).append({"times": 1, "match": {}, **order})
    return _queue(world)


def clear_faults(world: World) -> list[JsonObject]:
    """Empty the queue."""
    _queue(world).clear()
    return _queue(world)


def take_fault(world: World, method: str, path: str) -> Fault | None:
    """The first queued fault that matches the request, counted down; None if there is none."""
    for order in _queue(world):
        match = order["match"]
        if match.get("method", method).upper() == method and path.startswith(match.get("path_prefix", "")):
            order["times"] -= 1
            if order["times"] <= 0:
                _queue(world).remove(order)
            return Fault(FaultKind(order["fault"]), order.get("delay_ms"), order.get("should_retry"))
    return None


def _queue(world: World) -> list[JsonObject]:
    return cast("list[JsonObject]", world.store.state["faults"])
