"""The items of the ledger as the texts that their hashes are made of: an export proves them, and needs no more."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from infra.aws.wire import Item, decoded
from ledger.sealed import SealedEntry

# What is read of an EntryItem.
SEALED = (
    "seq",
    "id",
    "reason",
    "postings",
    "effective_on",
    "recorded_at",
    "evidence",
    "content_hash",
    "chain_hash",
)
_cells = itemgetter(*SEALED)


def sealed_entry(item: Item) -> SealedEntry:
    """The entry in an item as DynamoDB gives it."""
    return from_decoded(decoded(item))


def from_decoded(item: Mapping[str, Any]) -> SealedEntry:
    """The entry in a decoded item."""
    seq, id_, reason, lines, day, recorded_at, proof, content_hash, chain_hash = _cells(item)
    return SealedEntry(seq, id_, reason, lines, day, recorded_at, proof, content_hash.hex(), chain_hash.hex())
