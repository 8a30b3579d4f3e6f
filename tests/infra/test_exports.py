"""What the export of the ledger promises: every posting once, exact amounts, the same bytes for the same ledger."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from infra.exports import COLUMNS, ControlTotal, ExportedBook, export_ledger, read_manifest
from ledger.accounts import (
    BANK_CASH,
    COST_INCENTIVE,
    STRIPE_BALANCE,
    Account,
    client_receivable,
    client_unbilled,
    expert_payable,
)
from ledger.books import Head, append
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, client_book, evidence, expert_book, postings
from ledger.errors import BookBroken
from ledger.money import Currency
from ledger.posting_rules import Reason
from settlement.ports import Changes
from tests.memory_store import MemoryStore
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


def rows_of(folder: Path, month: str = "2026-03") -> list[dict[str, str]]:
    with (folder / f"csv/postings-{month}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def from_parquet(folder: Path, columns: str = "*") -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        rows = connection.read_parquet(str(folder / "postings/*/*.parquet"), hive_partitioning=True)
        found: list[tuple[object, ...]] = rows.select(columns).fetchall()
        return found


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


def test_every_posting_is_one_row_in_the_month_of_its_accounting_date(store: MemoryStore, tmp_path: Path) -> None:
    export_ledger(store, tmp_path / "ledger")

    march, april = rows_of(tmp_path / "ledger", "2026-03"), rows_of(tmp_path / "ledger", "2026-04")
    exported = [(row["book"], int(row["seq"]), int(row["line"]), row["account"], row["minor_units"]) for row in march]
    posted = [
        (book, recorded.seq, line, posting.account, str(posting.amount.minor_units))
        for book, journal in sorted(store.journal.items())
        for recorded in journal
        if recorded.entry.effective_on.month == 3
        for line, posting in enumerate(recorded.entry.postings, 1)
    ]
    assert exported == posted
    assert [row["entry_id"] for row in april] == ["incentive:maya/quest/1"] * 2


def test_a_row_says_everything_of_its_posting_and_entry(store: MemoryStore, tmp_path: Path) -> None:
    export_ledger(store, tmp_path / "ledger")

    recorded = store.journal[client_book("acme")][0]
    assert rows_of(tmp_path / "ledger")[2] == {
        "entry_id": "charge:acme/C1/1:1",
        "book": "client/acme",
        "seq": "1",
        "reason": "settled",
        "line": "3",
        "account": "expert/maya/payable",
        "account_kind": "liability",
        "currency": "USD",
        "minor_units": "-59",
        "amount": "-0.59",
        "debit": "0.00",
        "credit": "0.59",
        "effective_on": "2026-03-02",
        "month": "2026-03",
        "recorded_at": "2026-03-02T00:04:00Z",
        "client": "acme",
        "expert": "maya",
        "case_id": "C1",
        "cycle": "1",
        "evidence": recorded.entry.evidence,
        "content_hash": recorded.entry.content_hash,
        "chain_hash": recorded.chain_hash,
    }


def test_parquet_holds_the_rows_of_the_csv_with_types(store: MemoryStore, tmp_path: Path) -> None:
    export_ledger(store, tmp_path / "ledger")

    row = dict(zip(COLUMNS, from_parquet(tmp_path / "ledger", ", ".join(COLUMNS))[2], strict=True))
    assert (row["seq"], row["line"], row["minor_units"], row["cycle"]) == (1, 3, -59, 1)
    assert (row["amount"], row["debit"], row["credit"]) == (Decimal("-0.590"), Decimal("0.000"), Decimal("0.590"))
    assert (row["effective_on"], row["month"]) == (date(2026, 3, 2), "2026-03")
    assert row["recorded_at"] == datetime(2026, 3, 2, 0, 4)  # noqa: DTZ001  # TIMESTAMP has no zone; it is UTC
    assert row["evidence"] == store.journal[client_book("acme")][0].entry.evidence
    with duckdb.connect() as connection:
        file = tmp_path / "ledger/postings/month=2026-03/postings.parquet"
        parquet = connection.read_parquet(str(file), hive_partitioning=False)
        types = dict(zip(parquet.columns, map(str, parquet.types), strict=True))
    assert types | {"month": "VARCHAR"} == COLUMNS


def test_a_row_of_a_shared_account_names_the_only_client_and_expert_of_its_entry(
    store: MemoryStore, tmp_path: Path
) -> None:
    two = [(client_unbilled("acme"), 100), (client_unbilled("globex"), -150), (BANK_CASH, 50)]
    post(store, an_entry(*two, id="manual:two-clients"))

    export_ledger(store, tmp_path / "ledger")

    named = {(row["entry_id"], row["account"]): (row["client"], row["expert"]) for row in rows_of(tmp_path / "ledger")}
    assert named["charge:acme/C1/1:1", "cost/base"] == ("acme", "maya")
    assert named["charge:acme/C1/1:3", "revenue/resolutions"] == ("acme", "noah")
    assert named["topup:1", "bank/cash"] == ("", "")
    assert named["manual:two-clients", "client/globex/unbilled"] == ("globex", "")
    assert named["manual:two-clients", "bank/cash"] == ("", "")
    unknown = from_parquet(tmp_path / "ledger", "entry_id, client, expert, case_id, cycle")
    assert ("topup:1", None, None, None, None) in unknown


@pytest.mark.parametrize(
    ("currency", "minor_units", "text", "exact"),
    [
        ("JPY", 1870, "1870", Decimal("1870.000")),
        ("USD", 5, "0.05", Decimal("0.050")),
        ("BHD", 1001, "1.001", Decimal("1.001")),
        ("USD", 9_007_199_254_740_993, "90071992547409.93", Decimal("90071992547409.930")),
    ],
)
def test_amounts_are_exact_in_every_currency(
    tmp_path: Path, currency: str, minor_units: int, text: str, exact: Decimal
) -> None:
    store = MemoryStore()
    post(store, an_entry((STRIPE_BALANCE, minor_units), (BANK_CASH, -minor_units), currency=currency))

    export_ledger(store, tmp_path / "ledger")

    assert next((row["amount"], row["debit"]) for row in rows_of(tmp_path / "ledger")) == (text, text)
    assert from_parquet(tmp_path / "ledger", "minor_units, amount, debit - credit") == [
        (minor_units, exact, exact),
        (-minor_units, -exact, -exact),
    ]


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

    manifest = export_ledger(store, tmp_path / "ledger")

    assert manifest.totals == (
        ControlTotal(Currency("JPY"), debit=2370, credit=2370, entries=2, postings=4),
        ControlTotal(Currency("USD"), debit=1070, credit=1070, entries=3, postings=7),
    )


def test_manifest_describes_files_and_books(store: MemoryStore, tmp_path: Path) -> None:
    manifest = export_ledger(store, tmp_path / "ledger")

    assert read_manifest(tmp_path / "ledger") == manifest
    assert [(file.path, file.rows) for file in manifest.files] == [
        ("csv/postings-2026-03.csv", 30),
        ("csv/postings-2026-04.csv", 2),
        ("postings/month=2026-03/postings.parquet", 30),
        ("postings/month=2026-04/postings.parquet", 2),
    ]
    for file in manifest.files:
        written = (tmp_path / "ledger" / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(written), hashlib.sha256(written).hexdigest())
    assert manifest.books == tuple(
        ExportedBook(head.book, 1, head.seq, head.seq, head.chain_hash)
        for head in sorted(store.heads(), key=lambda head: head.book)
    )


def test_the_same_ledger_gives_the_same_bytes(store: MemoryStore, tmp_path: Path) -> None:
    export_ledger(store, tmp_path / "first")
    export_ledger(store, tmp_path / "second")
    export_ledger(store, tmp_path / "second")

    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_later_export_replaces_the_earlier_one_whole(store: MemoryStore, tmp_path: Path) -> None:
    export_ledger(store, tmp_path / "ledger")
    export_ledger(MemoryStore(), tmp_path / "ledger")

    manifest = read_manifest(tmp_path / "ledger")
    assert (manifest.files, manifest.books, manifest.totals) == ((), (), ())
    assert not list((tmp_path / "ledger").rglob("*.parquet"))


def test_export_stops_at_the_heads_it_found(store: MemoryStore, tmp_path: Path) -> None:
    @dataclass
    class WhileOthersPost(MemoryStore):
        def heads(self) -> Iterator[Head]:
            found = list(super().heads())
            post(self, an_entry(id="manual:later"))
            return iter(found)

    busy = WhileOthersPost(journal=store.journal, stored_heads=store.stored_heads)
    export_ledger(busy, tmp_path / "ledger")

    assert "manual:later" not in {row["entry_id"] for row in rows_of(tmp_path / "ledger")}


def test_broken_book_is_named_and_nothing_is_written(store: MemoryStore, tmp_path: Path) -> None:
    export_ledger(store, tmp_path / "ledger")
    before = contents(tmp_path / "ledger")
    acme = store.journal[client_book("acme")]
    acme[1] = replace(acme[1], entry=replace(acme[1].entry, effective_on=date(2026, 2, 1)))

    with pytest.raises(BookBroken, match=r"client/acme: entry 2 \(charge:acme/C2/1:1\) does not carry the hash"):
        export_ledger(store, tmp_path / "ledger")
    with pytest.raises(BookBroken, match="client/acme"):
        export_ledger(store, tmp_path / "new")

    assert contents(tmp_path / "ledger") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger"]


def test_book_shorter_than_its_head_is_broken(store: MemoryStore, tmp_path: Path) -> None:
    del store.journal[client_book("acme")][-1]

    with pytest.raises(BookBroken, match="client/acme: the head is at 7, the entries end at 6"):
        export_ledger(store, tmp_path / "ledger")


def test_interrupted_export_leaves_the_earlier_one(store: MemoryStore, tmp_path: Path) -> None:
    export_ledger(store, tmp_path / "ledger")
    before = contents(tmp_path / "ledger")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_ledger(store, tmp_path / "ledger", interrupt)

    assert contents(tmp_path / "ledger") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger"]


def test_export_that_cannot_be_put_in_place_leaves_the_earlier_one(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    earlier = export_ledger(store, tmp_path / "ledger")

    def refuse_the_new_one(path: Path, target: Path) -> Path:
        if path.name == "fresh":
            raise PermissionError(f"{target} is in use")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(PermissionError, match="in use"):
        export_ledger(store, tmp_path / "ledger")

    assert read_manifest(tmp_path / "ledger") == earlier
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_two_exports_at_once_to_one_folder_do_not_meet(store: MemoryStore, tmp_path: Path) -> None:
    refused: list[str] = []

    def export_too(_: int) -> None:
        with pytest.raises(FileExistsError) as told:
            export_ledger(MemoryStore(), tmp_path / "ledger")
        refused.append(str(told.value))

    first = export_ledger(store, tmp_path / "ledger", export_too)
    assert "another process is at work" in refused[0]
    assert read_manifest(tmp_path / "ledger") == first
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_what_a_killed_export_had_put_aside_is_brought_back_first(store: MemoryStore, tmp_path: Path) -> None:
    earlier = export_ledger(store, tmp_path / "ledger")
    aside = tmp_path / ".ledger.unfinished"
    (aside / "fresh").mkdir(parents=True)
    (tmp_path / "ledger").rename(aside / "earlier")
    del store.journal[client_book("acme")][-1]

    with pytest.raises(BookBroken):
        export_ledger(store, tmp_path / "ledger")
    assert read_manifest(tmp_path / "ledger") == earlier
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_folder_that_holds_other_things_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")

    with pytest.raises(FileExistsError, match=r"holds thesis\.txt, which is no part of an export"):
        export_ledger(store, tmp_path)

    assert (tmp_path / "thesis.txt").exists()


def test_progress_counts_every_entry_once(store: MemoryStore, tmp_path: Path) -> None:
    told: list[int] = []
    export_ledger(store, tmp_path / "ledger", told.append)

    assert sum(told) == sum(head.seq for head in store.heads())


def test_no_cell_runs_as_a_formula_and_parquet_keeps_the_text(tmp_path: Path) -> None:
    store = MemoryStore()
    ids = ['=HYPERLINK("x")', "+1", "-1", "@sum", "\ttab", "'quoted", "two\r\nlines", "a,b"]
    post(store, *(an_entry(id=text) for text in ids))

    export_ledger(store, tmp_path / "ledger")

    rows = rows_of(tmp_path / "ledger")
    numbers = {"minor_units", "amount"}
    assert not [
        row for row in rows for name, cell in row.items() if name not in numbers and cell[:1] in set("=+-@\t\r")
    ]
    assert [row["entry_id"] for row in rows[::2]] == [f"'{text}" for text in ids[:6]] + ids[6:]
    assert [row[0] for row in from_parquet(tmp_path / "ledger", "entry_id")[::2]] == ids


def test_more_months_than_files_may_be_open_are_exported_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("infra.exports._OPEN_FILES", 2)
    store = MemoryStore()
    days = [f"2026-{month:02d}-{day:02d}" for day in (1, 2) for month in range(1, 6)]
    post(store, *(an_entry(id=f"manual:{day}", on=day) for day in days))

    manifest = export_ledger(store, tmp_path / "ledger")

    for month in range(1, 6):
        ids = [row["entry_id"] for row in rows_of(tmp_path / "ledger", f"2026-{month:02d}")]
        assert ids == [f"manual:2026-{month:02d}-{day}" for day in ("01", "01", "02", "02")]
    assert {file.rows for file in manifest.files} == {4}
