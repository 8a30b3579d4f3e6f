"""The table of due buckets: which waiting cases to look at once their windows ended; see settlement/due_buckets.py."""

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from heapq import merge
from typing import TYPE_CHECKING
from zlib import crc32

from infra.aws.tables import DueItem, sortable
from settlement.due_buckets import DueBucket

if TYPE_CHECKING:
    from pynamodb.connection import Connection

DUE_SHARDS = 8
_DELETES_PER_CALL = 25


class DueBuckets:
    """All reads are consistent."""

    __slots__ = ()
    connection: "Connection"

    def due(self, as_of: datetime) -> Iterator[DueBucket]:
        """Each bucket whose last window ended at or before `as_of`, oldest first, until it is forgotten."""
        ended = DueItem.ends < f"{sortable(as_of)}$"  # `$` comes behind `#`, which ends the instant
        shards = (DueItem.query(str(shard), ended, consistent_read=True) for shard in range(DUE_SHARDS))
        yield from map(_bucket, merge(*shards, key=lambda item: item.ends))

    def forget(self, buckets: Collection[DueBucket]) -> None:
        """Remove buckets of which no case is due any more; those that DynamoDB has no time for come up again."""
        places = [{name: item[name] for name in ("shard", "ends")} for item in map(due_item, buckets)]
        for start in range(0, len(places), _DELETES_PER_CALL):
            some = places[start : start + _DELETES_PER_CALL]
            self.connection.batch_write_item(DueItem.Meta.table_name, delete_items=some)


def due_item(bucket: DueBucket) -> dict[str, str]:
    """The item of a bucket."""
    return {
        "shard": str(crc32(bucket.id.encode()) % DUE_SHARDS),
        "ends": f"{sortable(bucket.due_at)}#{bucket.id}",
        "client": bucket.client,
        "cases": json.dumps(bucket.cases, separators=(",", ":")),
    }


def _bucket(item: DueItem) -> DueBucket:
    due_at, _, id_ = item.ends.partition("#")
    return DueBucket(item.client, datetime.fromisoformat(due_at), id_, tuple(json.loads(item.cases)))
