"""Idempotency keys, as Stripe keeps them.

The first result of a key is kept for its life (v1 24 hours, v2 30 days, in sandbox time) and replayed, refusals and
500s included. Nothing is kept of a request that never began: bad parameters, 401, 409, 429.
Source: https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from infra.local.stripe_sandbox.errors import ApiError
from infra.local.stripe_sandbox.world import DAY_SECONDS

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject
    from infra.local.stripe_sandbox.world import World

LIFE_SECONDS = {"v1": DAY_SECONDS, "v2": 30 * DAY_SECONDS}


class IdempotencyKeys:
    """The keys in use and their kept results. Its user holds the sandbox's lock during every call."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._in_flight: set[str] = set()

    def begin(self, scope: str, fingerprint: str) -> JsonObject | None:
        """The kept result (`status`, `body`) of this key, or None: then the key is in use until `finish` or `abandon`.

        `scope` is API version, account and key, with a space between.
        A key in use is refused with 409, one with another fingerprint with 400.
        """
        key = scope.split(" ", 2)[-1]
        if scope in self._in_flight:
            raise ApiError(
                "There is currently another in-progress request using this idempotency key.",
                status=409,
                code="idempotency_key_in_use",
                kind="idempotency_error",
            )
        self._forget_expired(scope)
        kept = self._kept(scope).get(scope)
        if kept is None:
            self._in_flight.add(scope)
        elif kept["fingerprint"] != fingerprint:
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        return kept

    def finish(self, scope: str, fingerprint: str, status: int, body: str) -> None:
        """Keep the result, and free the key."""
        self._in_flight.discard(scope)
        self._kept(scope)[scope] = {"at": self._world.now, "fingerprint": fingerprint, "status": status, "body": body}

    def abandon(self, scope: str) -> None:
        """Free the key without keeping anything."""
        self._in_flight.discard(scope)

    def _forget_expired(self, scope: str) -> None:
        """Drop the results whose life has ended; they are in order of time, since the clock never goes back."""
        kept = self._kept(scope)
        while kept:
            oldest = next(iter(kept))
            if kept[oldest]["at"] + LIFE_SECONDS[scope[:2]] > self._world.now:
                return
            del kept[oldest]

    def _kept(self, scope: str) -> dict[str, JsonObject]:
        """The results kept for the API version that the scope starts with."""
        return cast("dict[str, JsonObject]", self._world.store.state["idempotency"].setdefault(scope[:2], {}))
