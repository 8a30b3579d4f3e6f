"""Entries as the texts that their hashes are made of: what proves a book without building an object for each entry."""

from typing import NamedTuple

from ledger.books import chained_hash
from ledger.entries import Book, RecordedEntry, canonical_heading, canonical_postings, hash_of_content
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
        canonical_postings(entry.postings),
        entry.effective_on.isoformat(),
        recorded.recorded_at.isoformat().replace("+00:00", "Z"),
        entry.evidence,
        entry.content_hash,
        recorded.chain_hash,
    )


def proven_heading(book: Book, entry: SealedEntry, seq_before: int, chain_before: str) -> str:
    """The canonical heading of an entry that follows another in its book and carries the hashes of what it says.

    `seq_before` and `chain_before` are the other's number and chain hash. Raises BookBroken for an entry that does not.
    Runs for every entry that is exported or verified.
    """
    seq, id_, reason, postings, effective_on, recorded_at, evidence, content_hash, chain_hash = entry
    if seq != seq_before + 1:
        raise BookBroken(f"{book}: sequence goes from {seq_before} to {seq}")
    heading = canonical_heading(id_, book, reason, effective_on)
    content = hash_of_content(heading, postings, evidence)
    chain = chained_hash(content, seq, recorded_at.removesuffix("Z") + "+00:00", chain_before)
    if content != content_hash or chain != chain_hash:
        raise BookBroken(f"{book}: entry {seq} ({id_}) does not carry the hash of its content")
    return heading
