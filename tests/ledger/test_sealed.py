"""Entries as texts: they prove themselves by the same hashes as the entries that they came from."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.accounts import BANK_CASH, STRIPE_BALANCE
from ledger.books import GENESIS, Head, append
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, Evidence, RecordedEntry, client_book, postings
from ledger.errors import BookBroken
from ledger.posting_rules import Reason
from ledger.sealed import proven_heading, sealed

AT = datetime(2026, 3, 5, 10, tzinfo=UTC)


def recorded(
    id_: str = "manual:1", proof: str = '{"by":"dana"}', minor: int = 500, at: datetime = AT
) -> tuple[RecordedEntry, ...]:
    """Two entries of the platform's book."""
    told = postings([(STRIPE_BALANCE, minor), (BANK_CASH, -minor)], "USD")
    entries = [
        Entry(EntryId(name), PLATFORM_BOOK, Reason.MANUAL, told, date(2026, 3, 2), Evidence(proof))
        for name in (id_, f"{id_}/2")
    ]
    return append(Head(PLATFORM_BOOK), entries, at)[0]


texts = st.text(st.characters(codec="utf-8"), max_size=20)
amounts = st.integers(1, 10**18 - 1)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # made aware


def test_an_entry_is_sealed_as_it_is_stored() -> None:
    first, second = recorded()

    assert sealed(first)[:7] == (
        1,
        "manual:1",
        "manual",
        '[["stripe/balance","USD",500],["bank/cash","USD",-500]]',
        "2026-03-02",
        "2026-03-05T10:00:00Z",
        '{"by":"dana"}',
    )
    assert sealed(first)[7:] == (first.entry.content_hash, first.chain_hash)
    heading = proven_heading(PLATFORM_BOOK, sealed(second), 1, first.chain_hash)
    assert heading == '["manual:1/2","platform","manual","2026-03-02"]'


@given(texts, texts, amounts, instants)
def test_what_was_recorded_proves_itself_as_texts(id_: str, proof: str, minor: int, at: datetime) -> None:
    first, second = recorded(id_, proof, minor, at)

    heading = proven_heading(PLATFORM_BOOK, sealed(first), 0, GENESIS)
    proven_heading(PLATFORM_BOOK, sealed(second), 1, first.chain_hash)

    assert json.loads(heading) == [id_, PLATFORM_BOOK, "manual", "2026-03-02"]
    assert not set(map(chr, range(0x20))) & set(heading), "a control character would end its cell in an export"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "manual:2"},
        {"reason": "top_up"},
        {"postings": '[["stripe/balance","USD",501],["bank/cash","USD",-501]]'},
        {"postings": '[["stripe/balance","USD", 500],["bank/cash","USD",-500]]'},
        {"effective_on": "2026-03-03"},
        {"recorded_at": "2026-03-05T10:00:01Z"},
        {"evidence": "{}"},
        {"content_hash": "0" * 64},
        {"chain_hash": "0" * 64},
    ],
)
def test_any_changed_text_is_found(change: dict[str, Any]) -> None:
    entry = sealed(recorded()[0])._replace(**change)

    with pytest.raises(BookBroken, match=r"platform: entry 1 \(.*\) does not carry the hash of its content"):
        proven_heading(PLATFORM_BOOK, entry, 0, GENESIS)


def test_entry_of_another_book_or_behind_another_entry_is_found() -> None:
    first, second = recorded()

    with pytest.raises(BookBroken, match="client/acme: entry 1"):
        proven_heading(client_book("acme"), sealed(first), 0, GENESIS)
    with pytest.raises(BookBroken, match="platform: entry 2"):
        proven_heading(PLATFORM_BOOK, sealed(second), 1, GENESIS)
    with pytest.raises(BookBroken, match="platform: sequence goes from 0 to 2"):
        proven_heading(PLATFORM_BOOK, sealed(second), 0, first.chain_hash)
