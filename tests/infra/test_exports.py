"""What the export of the ledger promises: every entry once, exact amounts, the same bytes for the same ledger."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from infra.exports import export_ledger, mirror, open_export, read_manifests
from infra.exports.folders import LocalFolder
from infra.exports.manifests import ControlTotal, Cursor, ExportedBook, SignedManifest
from infra.exports.rows import ENTRY_COLUMNS, POSTING_COLUMNS
from infra.exports.runs import ExportChanged
from ledger.accounts import (
    BANK_CASH,
    COST_INCENTIVE,
    STRIPE_BALANCE,
    Account,
    client_receivable,
    client_unbilled,
    expert_payable,
)
from ledger.books import GENESIS, Head, append
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, Evidence, client_book, evidence, expert_book, postings
from ledger.errors import BookBroken
from ledger.money import Currency
from ledger.posting_rules import Reason
from settlement.ports import Changes
from tests.memory_store import MemoryStore
from tests.signing import TestKey
from tests.world import World, at


def an_entry(
    *lines: tuple[Account, int],
    id: str = "manual:1",  # noqa: A002  # the field's name
    book: Book = PLATFORM_BOOK,
    currency: str = "USD",
    reason: Reason = Reason.MANUAL,
    on: str = "2026-03-02",
) -> Entry:
    told = postings(lines or [(STRIPE_BALANCE, 500), (BANK_CASH, -500)], currency)
    return Entry(
        EntryId(id), book, reason, told, date.fromisoformat(on), evidence({"by": "dana", "why": 'the "float"'})
    )


def post(store: MemoryStore, *entries: Entry, recorded_at: str = "2026-03-05T10:00:00") -> None:
    for entry in entries:
        head = store.head(entry.book)
        sealed, after = append(head, [entry], at(recorded_at))
        store.commit(Changes(entries=sealed, heads=((head, after),)))


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with open_export(folder) as views:
        return views.sql(query).fetchall()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def store() -> MemoryStore:
    """A month with a charge taken back, an incentive and money of the platform's own; its last day is in April."""
    world = World()
    world.solve(5)
    world.send(world.reopened("C1", "2026-03-03"), world.completed("C1", "2026-03-04", "noah"))
    post(
        world.store,
        an_entry(id="topup:1", reason=Reason.TOP_UP),
        an_entry(
            (COST_INCENTIVE, 2500),
            (expert_payable("maya"), -2500),
            id="incentive:maya/quest/1",
            book=expert_book("maya"),
            reason=Reason.INCENTIVE,
            on="2026-04-01",
        ),
    )
    return world.store


@pytest.fixture
def folder(store: MemoryStore, tmp_path: Path) -> Path:
    """The export of that month."""
    export_ledger(store, tmp_path / "ledger")
    return tmp_path / "ledger"


# -- rows --------------------------------------------------------------------------------------------------------------


def test_every_posting_is_one_row_in_the_month_of_its_accounting_date(store: MemoryStore, folder: Path) -> None:
    posted = [
        (recorded.entry.effective_on.isoformat()[:7], book, recorded.seq, line, it.account, it.amount.minor_units)
        for book, journal in sorted(store.journal.items())
        for recorded in journal
        for line, it in enumerate(recorded.entry.postings, 1)
    ]

    assert {row[0] for row in posted} == {"2026-03", "2026-04"}
    assert rows(folder, "SELECT month, book, seq, line, account, minor_units FROM postings ORDER BY ALL") == sorted(
        posted
    )
    counted = "SELECT month, book, count(*) FROM entries GROUP BY ALL ORDER BY ALL"
    assert rows(folder, counted) == [
        ("2026-03", "client/acme", 7),
        ("2026-03", "platform", 1),
        ("2026-04", "expert/maya", 1),
    ]


def test_rows_of_a_file_stand_in_the_order_of_the_books(folder: Path) -> None:
    with duckdb.connect() as connection:
        file = str(folder / "postings/month=2026-03/000001-0001.parquet")
        found = connection.read_parquet(file, hive_partitioning=False).select("book, seq, line").fetchall()

    assert found == sorted(found)


def test_a_row_says_everything_of_its_posting_and_entry(store: MemoryStore, folder: Path) -> None:
    with open_export(folder) as views:
        posting = views.sql("FROM postings WHERE entry_id = 'charge:acme/C1/1:1' AND line = 3")
        entry = views.sql("FROM entries WHERE entry_id = 'charge:acme/C1/1:1'")
        [posted], [recorded] = posting.fetchall(), entry.fetchall()
        told_posting, told_entry = (
            dict(zip(posting.columns, posted, strict=True)),
            dict(zip(entry.columns, recorded, strict=True)),
        )

    original = store.journal[client_book("acme")][0]
    both = {
        "entry_id": "charge:acme/C1/1:1",
        "book": "client/acme",
        "seq": 1,
        "reason": "settled",
        "effective_on": date(2026, 3, 2),
        "recorded_at": datetime(2026, 3, 2, 0, 4),  # noqa: DTZ001  # TIMESTAMP has no zone; it is UTC
        "client": "acme",
        "expert": "maya",
        "case_id": "C1",
        "cycle": 1,
        "month": "2026-03",
    }
    assert told_posting == both | {
        "line": 3,
        "account": "expert/maya/payable",
        "account_kind": "liability",
        "currency": "USD",
        "minor_units": -59,
        "amount": Decimal("-0.590"),
        "debit": Decimal("0.000"),
        "credit": Decimal("0.590"),
    }
    assert told_entry == both | {
        "evidence": original.entry.evidence,
        "content_hash": original.entry.content_hash,
        "chain_hash": original.chain_hash,
    }


@pytest.mark.parametrize(("kind", "columns"), [("postings", POSTING_COLUMNS), ("entries", ENTRY_COLUMNS)])
def test_columns_have_their_types_even_where_there_are_no_rows(
    folder: Path, tmp_path: Path, kind: str, columns: dict[str, str]
) -> None:
    export_ledger(MemoryStore(), tmp_path / "empty")

    for place in (folder, tmp_path / "empty"):
        with open_export(place) as views:
            found = views.table(kind)
            assert dict(zip(found.columns, map(str, found.types), strict=True)) == {**columns, "month": "VARCHAR"}
            assert bool(found.fetchall()) == (place == folder)


def test_a_row_of_a_shared_account_names_the_only_client_and_expert_of_its_entry(
    store: MemoryStore, tmp_path: Path
) -> None:
    two = [(client_unbilled("acme"), 100), (client_unbilled("globex"), -150), (BANK_CASH, 50)]
    post(store, an_entry(*two, id="manual:two-clients"))

    export_ledger(store, tmp_path / "ledger")

    found = rows(tmp_path / "ledger", "SELECT entry_id, account, client, expert, case_id, cycle FROM postings")
    named = {(row[0], row[1]): row[2:] for row in found}
    assert named["charge:acme/C1/1:1", "cost/base"] == ("acme", "maya", "C1", 1)
    assert named["charge:acme/C1/1:3", "revenue/resolutions"] == ("acme", "noah", "C1", 1)
    assert named["incentive:maya/quest/1", "cost/incentive"] == (None, "maya", None, None)
    assert named["topup:1", "bank/cash"] == (None, None, None, None)
    assert named["manual:two-clients", "client/globex/unbilled"] == ("globex", None, None, None)
    assert named["manual:two-clients", "bank/cash"] == (None, None, None, None)


@pytest.mark.parametrize(
    ("currency", "minor_units", "exact"),
    [
        ("JPY", 1870, Decimal("1870.000")),
        ("USD", 5, Decimal("0.050")),
        ("BHD", 1001, Decimal("1.001")),
        ("USD", 10**18 - 1, Decimal("9999999999999999.990")),
        ("JPY", 10**18 - 1, Decimal("999999999999999999.000")),
    ],
)
def test_amounts_are_exact_in_every_currency(tmp_path: Path, currency: str, minor_units: int, exact: Decimal) -> None:
    store = MemoryStore()
    post(store, an_entry((STRIPE_BALANCE, minor_units), (BANK_CASH, -minor_units), currency=currency))

    export_ledger(store, tmp_path / "ledger")

    assert rows(tmp_path / "ledger", "SELECT minor_units, amount, debit, credit FROM postings ORDER BY line") == [
        (minor_units, exact, exact, 0),
        (-minor_units, -exact, 0, exact),
    ]


def test_texts_of_any_kind_come_out_as_they_went_in(tmp_path: Path) -> None:
    store = MemoryStore()
    ids = [
        '=HYPERLINK("x")',
        "\ttab",
        "'quoted",
        "two\r\nlines",
        "a,b",
        "\x1f|\x00|\\",
        "日本 é 😀",
        "charge:acme/a/b\n:c/2:1",
    ]
    post(store, *(an_entry(id=text) for text in ids))

    export_ledger(store, tmp_path / "ledger")

    assert [row[0] for row in rows(tmp_path / "ledger", "SELECT entry_id FROM entries ORDER BY seq")] == ids
    assert rows(tmp_path / "ledger", "SELECT DISTINCT evidence FROM entries") == [(an_entry().evidence,)]


@pytest.mark.parametrize(
    "proof",
    [
        "a\x1fb",
        "a\nb",
        "a\rb",
        '{}\x1f1\x1f2026-03-05T10:00:00Z\x1fh\x1fc\n["forged","platform","manual","2026-03-05"]\x1f[["rounding","USD",5]]\x1f{}',
    ],
    ids=["separator", "line-break", "carriage-return", "whole-line"],
)
def test_evidence_that_is_not_json_of_the_ledger_cannot_forge_a_row(tmp_path: Path, proof: str) -> None:
    store = MemoryStore()
    post(store, replace(an_entry(), evidence=Evidence(proof)))

    with pytest.raises(BookBroken, match="JSON"):
        export_ledger(store, tmp_path / "ledger")

    assert not list((tmp_path / "ledger").glob("*/*/*.parquet"))


def test_case_and_cycle_come_from_the_id_of_what_a_cycle_posted(tmp_path: Path) -> None:
    store = MemoryStore()
    post(
        store,
        *(an_entry(id=text) for text in ("charge:acme/a/b:c/2:1", "charge:acme/C1/1", "true-up:acme/2026-03/1:1")),
    )

    export_ledger(store, tmp_path / "ledger")

    found = rows(tmp_path / "ledger", "SELECT case_id, cycle FROM entries ORDER BY seq")
    assert found == [("a/b:c", 2), (None, None), (None, None)]


# -- manifests ---------------------------------------------------------------------------------------------------------


def test_control_totals_are_the_sums_of_what_was_posted(tmp_path: Path) -> None:
    store = MemoryStore()
    post(
        store,
        an_entry(id="manual:1"),
        an_entry((STRIPE_BALANCE, 70), (BANK_CASH, -50), (COST_INCENTIVE, -20), id="manual:2"),
        an_entry((client_receivable("tokyo"), 1870), (BANK_CASH, -1870), id="manual:3", currency="JPY"),
    )
    both = an_entry(id="manual:4")
    post(store, replace(both, postings=(*both.postings, *an_entry(currency="JPY").postings)))

    [manifest] = export_ledger(store, tmp_path / "ledger", entries_per_slice=3)

    assert manifest.totals == (
        ControlTotal(Currency("JPY"), debit=2370, credit=2370, entries=2, postings=4),
        ControlTotal(Currency("USD"), debit=1070, credit=1070, entries=3, postings=7),
    )


def test_manifest_describes_files_and_books(store: MemoryStore, folder: Path) -> None:
    [manifest] = read_manifests(LocalFolder(folder))

    assert [(file.path, file.rows) for file in manifest.files] == [
        ("entries/month=2026-03/000001-0001.parquet", 8),
        ("entries/month=2026-04/000001-0001.parquet", 1),
        ("postings/month=2026-03/000001-0001.parquet", 30),
        ("postings/month=2026-04/000001-0001.parquet", 2),
    ]
    for file in manifest.files:
        written = (folder / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(written), hashlib.sha256(written).hexdigest())
    heads = sorted(store.heads(), key=lambda head: head.book)
    assert manifest.books == tuple(
        ExportedBook(head.book, 1, head.seq, head.seq, GENESIS, head.chain_hash) for head in heads
    )
    assert manifest.cursors == tuple(Cursor(head.book, head.seq, head.chain_hash) for head in heads)
    assert (manifest.run, manifest.entries) == (1, 9)


def test_next_run_adds_what_is_new_and_leaves_the_rest_alone(store: MemoryStore, folder: Path) -> None:
    [first], before = read_manifests(LocalFolder(folder)), contents(folder)
    chain = store.head(PLATFORM_BOOK).chain_hash
    post(store, an_entry(id="topup:2", reason=Reason.TOP_UP), an_entry(id="topup:3", reason=Reason.TOP_UP))

    [second] = export_ledger(store, folder)

    head = store.head(PLATFORM_BOOK)
    assert (second.run, second.previous) == (2, first.sha256())
    assert second.books == (ExportedBook(PLATFORM_BOOK, 2, 3, 2, chain, head.chain_hash),)
    assert {it.book for it in second.cursors} == {it.book for it in first.cursors}
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 3
    assert rows(folder, "SELECT count(*), count(DISTINCT entry_id) FROM entries") == [(11, 11)]
    assert export_ledger(store, folder) == []
    assert contents(folder) == after


def test_same_ledger_gives_the_same_bytes_and_the_same_rows_in_slices_of_any_size(
    store: MemoryStore, tmp_path: Path
) -> None:
    key = TestKey()
    for name, size in (("first", 100), ("second", 100), ("sliced", 2)):
        export_ledger(store, tmp_path / name, key.sign, entries_per_slice=size)

    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    [whole], [sliced] = (read_manifests(LocalFolder(tmp_path / name)) for name in ("first", "sliced"))
    assert (whole.books, whole.totals, whole.cursors) == (sliced.books, sliced.totals, sliced.cursors)
    assert len(sliced.files) == 12
    for kind in ("postings", "entries"):
        query = f"FROM {kind} ORDER BY ALL"
        assert rows(tmp_path / "first", query) == rows(tmp_path / "sliced", query)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_export_stops_at_the_heads_it_found(store: MemoryStore, tmp_path: Path) -> None:
    @dataclass
    class WhileOthersPost(MemoryStore):
        def heads(self) -> Iterator[Head]:
            found = list(super().heads())
            post(self, an_entry(id="manual:later"))
            return iter(found)

    busy = WhileOthersPost(journal=store.journal, stored_heads=store.stored_heads)
    export_ledger(busy, tmp_path / "ledger")

    assert rows(tmp_path / "ledger", "FROM entries WHERE entry_id = 'manual:later'") == []


def test_broken_book_is_named_and_what_was_exported_before_stays(store: MemoryStore, folder: Path) -> None:
    post(store, an_entry(id="topup:2", book=client_book("acme")), an_entry(id="topup:3", book=client_book("acme")))
    acme = store.journal[client_book("acme")]
    acme[8] = replace(acme[8], entry=replace(acme[8].entry, effective_on=date(2026, 2, 1)))

    with pytest.raises(BookBroken, match=r"client/acme: entry 9 \(topup:3\) does not carry the hash"):
        export_ledger(store, folder)

    assert rows(folder, "SELECT count(*) FROM entries") == [(9,)]


def test_book_shorter_than_its_head_is_broken(store: MemoryStore, tmp_path: Path) -> None:
    del store.journal[client_book("acme")][-1]

    with pytest.raises(BookBroken, match="client/acme: the head is at 7, the entries end at 6"):
        export_ledger(store, tmp_path / "ledger")


@pytest.mark.parametrize("is_longer", [False, True])
def test_another_ledger_is_never_added_to_an_export(folder: Path, *, is_longer: bool) -> None:
    other = World()
    other.solve(9 if is_longer else 2)
    book = "client/acme" if not is_longer else "expert/maya"

    with pytest.raises(BookBroken, match=f"{book}: the export ends at entry"):
        export_ledger(other.store, folder)


def test_entries_that_do_not_follow_those_of_the_run_before_are_refused(store: MemoryStore, folder: Path) -> None:
    other = MemoryStore()
    for book, journal in store.journal.items():
        post(other, *(it.entry for it in journal), recorded_at="2026-03-06T10:00:00")
        post(other, an_entry(id=f"manual:{book}", book=book))

    with pytest.raises(BookBroken, match="client/acme: entry 7 is not the one that the run before exported"):
        export_ledger(other, folder)


def test_interrupted_export_goes_on_where_it_was(store: MemoryStore, tmp_path: Path) -> None:
    read: list[int] = []

    def interrupt(more: int, _: int) -> None:
        read.append(more)
        if sum(read) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_ledger(store, tmp_path / "ledger", progress=interrupt, entries_per_slice=2)
    with pytest.raises(FileNotFoundError, match="holds no export"):
        open_export(tmp_path / "ledger")
    before = contents(tmp_path / "ledger")
    read.clear()
    export_ledger(store, tmp_path / "ledger", progress=lambda more, _: read.append(more), entries_per_slice=100)
    export_ledger(store, tmp_path / "undisturbed", entries_per_slice=2)

    assert sum(read) == 5  # the first two slices are not read again
    assert contents(tmp_path / "ledger") == contents(tmp_path / "undisturbed")
    assert len([name for name in before if name.startswith("entries/")]) == 2


def test_two_exports_at_once_to_one_folder_do_not_meet(store: MemoryStore, tmp_path: Path) -> None:
    refused: list[str] = []

    def export_too(_: int, __: int) -> None:
        with pytest.raises(FileExistsError) as told:
            export_ledger(MemoryStore(), tmp_path / "ledger")
        refused.append(str(told.value))

    added = export_ledger(store, tmp_path / "ledger", progress=export_too)
    assert "another process is at work" in refused[0]
    assert read_manifests(LocalFolder(tmp_path / "ledger")) == added


def test_folder_that_holds_other_things_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")

    with pytest.raises(FileExistsError, match=r"holds thesis\.txt, which is no part of an export"):
        export_ledger(store, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_progress_counts_every_entry_once(store: MemoryStore, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export_ledger(store, tmp_path / "ledger", progress=lambda *it: told.append(it), entries_per_slice=2)

    entries = sum(head.seq for head in store.heads())
    assert sum(more for more, _ in told) == entries
    assert {of for _, of in told} == {entries}


def test_export_with_a_missing_file_is_not_opened(folder: Path) -> None:
    (folder / "entries/month=2026-04/000001-0001.parquet").unlink()

    with pytest.raises(FileNotFoundError, match=r"2026-04/000001-0001\.parquet is missing from the export"):
        open_export(folder)


def test_only_files_that_manifests_name_are_read(folder: Path) -> None:
    file = folder / "entries/month=2026-04/000001-0001.parquet"
    (file.parent / "000002-0001.parquet").write_bytes(file.read_bytes())

    assert rows(folder, "SELECT count(*) FROM entries") == [(9,)]


# -- copies ------------------------------------------------------------------------------------------------------------


def test_copy_gets_only_what_it_lacks(store: MemoryStore, folder: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    class Source(LocalFolder):
        def read(self, path: str) -> bytes | None:
            asked.append(path)
            return super().read(path)

    copy = tmp_path / "copy"
    assert [it.run for it in mirror(Source(folder), copy)] == [1]
    post(store, an_entry(id="topup:2", reason=Reason.TOP_UP))
    export_ledger(store, folder)
    asked.clear()
    assert [it.run for it in mirror(Source(folder), copy)] == [2]

    assert contents(copy) == contents(folder)
    assert [path for path in asked if path.endswith(".parquet")] == [
        "entries/month=2026-03/000002-0001.parquet",
        "postings/month=2026-03/000002-0001.parquet",
    ]
    assert mirror(LocalFolder(folder), copy) == []


def test_copy_refuses_what_its_manifest_does_not_say(folder: Path, tmp_path: Path) -> None:
    file = folder / "entries/month=2026-04/000001-0001.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")

    with pytest.raises(ExportChanged, match=r"2026-04/000001-0001\.parquet is not what its manifest says"):
        mirror(LocalFolder(folder), tmp_path / "copy")

    assert not (tmp_path / "copy/manifests").exists()


def test_copy_into_a_folder_with_other_runs_is_refused_and_changes_nothing(
    store: MemoryStore, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    mirror(LocalFolder(folder), copy)
    post(store, an_entry(id="topup:2", reason=Reason.TOP_UP))
    export_ledger(store, copy)
    post(store, an_entry(id="topup:3", reason=Reason.TOP_UP))
    export_ledger(store, folder)
    before = contents(copy)

    with pytest.raises(ExportChanged, match=r"manifests/000002\.json is another one in this folder"):
        mirror(LocalFolder(folder), copy)

    assert contents(copy) == before


def test_manifest_that_names_a_file_outside_of_the_export_is_refused(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("precious")
    [manifest] = read_manifests(LocalFolder(folder))
    for path in ("../mine.txt", str(mine), "entries/month=2026-03/../../../mine.txt"):
        file = replace(manifest.files[0], path=path)
        forged = SignedManifest(replace(manifest, files=(file, *manifest.files[1:])), b"")
        (folder / "manifests/000001.json").write_bytes(forged.text())

        with pytest.raises(ValueError, match=r"manifests/000001\.json cannot be read: it names .* no run writes"):
            mirror(LocalFolder(folder), tmp_path / "copy")

    assert mine.read_text() == "precious"
