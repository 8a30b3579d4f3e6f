"""What became of webhooks, and what can be told again: both are kept for 40 days."""

import json
from collections.abc import Iterator
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
        tried_at = datetime.fromisoformat(item.tried_at)
        yield Delivery(item.endpoint, item.webhook, item.type, state, int(item.attempts), item.why, tried_at)


def announcements() -> Iterator[Announcement]:
    """Everything that was announced in the last 40 days, in no order. For replays: it reads the whole table."""
    for item in AnnouncementItem.scan(consistent_read=True):
        at, data = datetime.fromisoformat(item.at), json.loads(item.data)
        yield Announcement(item.announcement_id, item.type, item.client, at, data, item.subject)
