"""How far each polled listing was read: one item for each door and listing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, field
from datetime import datetime

from pynamodb.exceptions import DoesNotExist, PutError

from events.adapters.polls import Cursor
from events.facts import format_instant
from infra.aws.tables import PollItem
from ledger.records import dataclass
from settlement.ports import Contention


@dataclass(frozen=True, slots=True)
class Poll:
    """How far a listing of a door was read; it is not asked for again before `wait_until`."""

    door: str
    listing: str
    cursor: Cursor = field(default_factory=Cursor)
    wait_until: datetime | None = None
    revision: int = 0


def poll_of(door: str, listing: str) -> Poll:
    """How far a listing was read; a poll from the beginning where nothing is known."""
    try:
        item = PollItem.get(door, listing, consistent_read=True)
    except DoesNotExist:
        return Poll(door, listing)
    wait_until = datetime.fromisoformat(item.wait_until) if item.wait_until else None
    cursor: Mapping[str, str] = json.loads(item.cursor)
    return Poll(door, listing, Cursor(**cursor), wait_until, int(item.revision))


def keep_poll(poll: Poll) -> None:
    """Keep a poll over the revision before its own; raises Contention if somebody else wrote."""
    stored = PollItem.revision
    item = PollItem(
        door=poll.door,
        listing=poll.listing,
        cursor=json.dumps(asdict(poll.cursor)),
        wait_until=format_instant(poll.wait_until) if poll.wait_until else None,
        revision=poll.revision,
    )
    try:
        item.save(condition=stored == poll.revision - 1 if poll.revision > 1 else stored.does_not_exist())
    except PutError as refused:
        if refused.cause_response_code == "ConditionalCheckFailedException":
            raise Contention(f"{poll.door}/{poll.listing} is being polled by somebody else") from refused
        raise
