"""Calls of the API that are remembered for a while: how many a tenant made in a minute, and what POSTs answered.

Both are items of one table, which DynamoDB removes after `expiration`. What POSTs answered is Powertools' own to keep.
"""

from datetime import datetime, timedelta

from infra.aws.tables import RequestItem

_KEEP = timedelta(minutes=5)


def table_name() -> str:
    """The table's name in the stack that the tables are bound to."""
    return str(RequestItem.Meta.table_name)


def count_call(tenant: str, at: datetime) -> int:
    """Count one more call of a tenant in the minute of an instant; how many there were in it so far."""
    item = RequestItem(f"calls#{tenant}#{at:%Y-%m-%dT%H:%M}")
    expires = int((at + _KEEP).timestamp())
    item.update(actions=[RequestItem.calls.add(1), RequestItem.expiration.set(expires)])
    return int(item.calls or 0)
