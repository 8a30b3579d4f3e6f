"""Helpdesks that do not send everything are asked for it, listing by listing."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from events.adapters.doors import Door
from functions.batches import has_time
from functions.doors import report_refused
from functions.environment import logger, stack
from functions.registry_wiring import registry
from infra.aws.bus import put_facts
from infra.aws.secrets import door_secrets
from infra.helpdesks.asking import ask
from infra.helpdesks.cursors import keep_poll, poll_of
from infra.helpdesks.polling import Here, Polled, poll_listing
from settlement.ports import Contention


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: Any) -> dict[str, object]:  # noqa: ANN401, ARG001  # Lambda's own
    """Read every polled listing of every door on from where it was; one that fails keeps no other from being read."""
    done: dict[str, int] = {}
    for door in sorted(registry().doors().values(), key=lambda it: it.id):
        for listing in door.polled:
            polled = _poll(door, listing, context)
            said = {"door": door.id, "listing": listing, "pages": polled.pages, "why": polled.why}
            tell = logger.error if polled.is_refused else logger.info
            tell("not polled" if polled.is_refused else "polled", extra=said | {"facts": polled.facts})
            done[f"{door.id}/{listing}"] = polled.facts
    logger.info("polled all", extra={"listings": len(done)})
    return {"facts": done}


def _poll(door: Door, listing: str, context: Any) -> Polled:  # noqa: ANN401  # Lambda's own
    keys = door_secrets(stack(), door.poll.key) if door.poll else ()
    if door.poll is None or not keys:
        return Polled(why="its key is missing; keep it with `solvent door secret`", is_refused=True)
    is_embedded = os.environ.get("SOLVENT_POLLS_TO_LOOPBACK") == "allowed"
    here = Here(
        ask=partial(ask, door.poll.address, loopback_allowed=is_embedded),
        put_facts=partial(put_facts, stack()),
        park=lambda refused: report_refused(door, refused, datetime.now(UTC)),
        keep=keep_poll,
        in_time=has_time(context),
        now=lambda: datetime.now(UTC),
    )
    try:
        return poll_listing(door, keys[0], poll_of(door.id, listing), here)
    except Contention as rival:
        return Polled(why=str(rival))
