"""Entries as the texts that their hashes are made of: what proves a book without building an object for each entry."""

import hashlib
from typing import NamedTuple

from ledger.books import chained_hash
from ledger.entries import Book, RecordedEntry, canonical_content, canonical_postings
from ledger.errors import BookBroken


class SealedEntry(NamedTuple):
    """An entry as it is stored.

    `postings` is JSON as `canonical_postings` writes it, `effective_on` an ISO date, `recorded_at` an instant in UTC
    that ends with Z.
    """

    seq: int
    id: str
    reason: str
    postings: str
    effective_on: str
    recorded_at: str
    evidence: str
    content_hash: str
    chain_hash: str


def sealed(recorded: RecordedEntry) -> SealedEntry:
    """The texts of an entry."""
    entry = recorded.entry
    return SealedEntry(
        recorded.seq,
        entry.id,
        entry.reason.value,
        canonical_postings(entry.postings).decode(),
        entry.effective_on.isoformat(),
        recorded.recorded_at.isoformat().replace("+00:00", "Z"),
        entry.evidence,
        entry.content_hash,
        recorded.chain_hash,
    )


def proven_content(book: Book, entry: SealedEntry, seq_before: int, chain_before: str) -> bytes:
    """The canonical content of an entry that follows another in its book and carries the hashes of what it says.

    `seq_before` and `chain_before` are the other's number and chain hash. Raises BookBroken for an entry that does not.
    """
    named = (entry.id, book, entry.reason, entry.effective_on)
    content = canonical_content(named, entry.postings.encode(), entry.evidence)
    content_hash = hashlib.sha256(content).hexdigest()
    recorded_at = entry.recorded_at.removesuffix("Z") + "+00:00"
    chain_hash = chained_hash(content_hash, entry.seq, recorded_at, chain_before)
    if entry.seq == seq_before + 1 and content_hash == entry.content_hash and chain_hash == entry.chain_hash:
        return content
    if entry.seq != seq_before + 1:
        raise BookBroken(f"{book}: sequence goes from {seq_before} to {entry.seq}")
    raise BookBroken(f"{book}: entry {entry.seq} ({entry.id}) does not carry the hash of its content")
