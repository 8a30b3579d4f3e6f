"""What became of webhooks, and what can be told again: both are kept for 40 days."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from events.facts import format_instant
from infra.aws.tables import AnnouncementItem, DeliveryItem
from settlement.announcements import Announcement
from settlement.webhooks import Delivery, DeliveryState

_KEPT_FOR = timedelta(days=40)


def keep_delivery(delivery: Delivery) -> None:
    """Keep where a webhook stands in the place of what was kept before."""
    DeliveryItem(
        endpoint=delivery.endpoint,
        webhook=delivery.webhook,
        type=delivery.type,
        state=delivery.state.value,
        attempts=delivery.attempts,
        why=delivery.why,
        tried_at=format_instant(delivery.tried_at),
        expires_at=int((delivery.tried_at + _KEPT_FOR).timestamp()),
    ).save()


def deliveries(state: DeliveryState) -> Iterator[Delivery]:
    """Every webhook in a state, in no order. For the operator: it reads the whole table."""
    for item in DeliveryItem.scan(DeliveryItem.state == state.value, consistent_read=True):
        yield _delivery(item)


def _delivery(item: DeliveryItem) -> Delivery:
    state, tried_at = DeliveryState(item.state), datetime.fromisoformat(item.tried_at)
    return Delivery(item.endpoint, item.webhook, item.type, state, int(item.attempts), item.why, tried_at)


def undelivered_after(endpoint: str, webhook: str, most: int) -> tuple[Sequence[Delivery], str]:
    """So many webhooks of an endpoint that were given up or wait, behind that one, by id; and the last one read.

    That is "" at the end. `webhook` is "" for the first ones.
    """
    behind = DeliveryItem.webhook > webhook if webhook else None
    left = DeliveryItem.state != DeliveryState.DELIVERED.value
    pages = DeliveryItem.query(endpoint, behind, filter_condition=left, consistent_read=True, limit=most, page_size=500)
    found = [_delivery(item) for item in pages]
    return found, found[-1].webhook if len(found) == most else ""


def announcements(client: str | None = None) -> Iterator[Announcement]:
    """Everything that was announced in the last 40 days, or of it what is about a client, in no order.

    For replays: it reads the whole table.
    """
    about = None if client is None else AnnouncementItem.client == client
    for item in AnnouncementItem.scan(about, consistent_read=True):
        at, data = datetime.fromisoformat(item.at), json.loads(item.data)
        yield Announcement(item.announcement_id, item.type, item.client, at, data, item.subject)
