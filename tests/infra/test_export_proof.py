"""What `verify_export` finds: anything that is not what a run wrote, and signed, from the ledger's own entries."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest

from infra.exports import export_ledger, mirror, open_export, read_manifests
from infra.exports.folders import LocalFolder
from infra.exports.manifests import FIRST, ExportedFile, Manifest, SignedManifest, manifest_path
from infra.exports.proof import verify_export
from ledger.accounts import BANK_CASH, COST_INCENTIVE, STRIPE_BALANCE, client_unbilled, expert_payable
from ledger.books import GENESIS, Head, append, chained_hash
from ledger.entries import (
    PLATFORM_BOOK,
    Book,
    Entry,
    EntryId,
    canonical_heading,
    client_book,
    evidence,
    expert_book,
    hash_of_content,
    postings,
)
from ledger.posting_rules import Reason
from ledger.sealed import SealedEntry
from settlement.ports import Changes
from tests.signing import TestKey
from tests.world import World, at

KEY, THIEF = TestKey(1), TestKey(2)
POSTINGS = "postings/month=2026-03/000001-0001.parquet"
ENTRIES = "entries/month=2026-03/000001-0001.parquet"
APRIL = "entries/month=2026-04/000001-0001.parquet"
SIGNED_BY_OTHERS = "the signature is not this key's"


def post(world: World, *entries: Entry) -> None:
    for entry in entries:
        head = world.store.head(entry.book)
        sealed, after = append(head, [entry], at("2026-04-02T10:00:00"))
        world.store.commit(Changes(entries=sealed, heads=((head, after),)))


def manual(number: int, book: Book, on: date = date(2026, 3, 31)) -> Entry:
    yen = postings([(client_unbilled("tokyo"), 1870), (BANK_CASH, -1870)], "JPY")
    return Entry(EntryId(f"manual:{number}"), book, Reason.MANUAL, yen, on, evidence({"by": "dana"}))


@pytest.fixture
def world() -> World:
    """A month with charges, one of them taken back, and entries in dollars, yen and dinars up to April."""
    world = World()
    world.solve(5)
    world.send(world.reopened("C1", "2026-03-03"), world.completed("C1", "2026-03-04", "noah"))
    told, on = evidence({"by": "dana"}), date(2026, 3, 31)
    dinars = postings([(STRIPE_BALANCE, 12345), (BANK_CASH, -12345)], "BHD")
    quest = postings([(COST_INCENTIVE, 2500), (expert_payable("maya"), -2500)], "USD")
    post(
        world,
        manual(1, client_book("tokyo")),
        Entry(EntryId("manual:2"), PLATFORM_BOOK, Reason.MANUAL, dinars, on, told),
        Entry(EntryId("quest:1"), expert_book("maya"), Reason.INCENTIVE, quest, date(2026, 4, 1), told),
        manual(3, client_book("tokyo")),
    )
    return world


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """Two runs of that month, the second with one more entry."""
    export_ledger(world.store, tmp_path / "ledger", KEY.sign)
    post(world, manual(4, client_book("tokyo")))
    export_ledger(world.store, tmp_path / "ledger", KEY.sign)
    return tmp_path / "ledger"


def problems(folder: Path, expect_run: int | None = None) -> list[str]:
    return verify_export(folder, KEY.public_key(), expect_run)


def edit(path: Path, change: str) -> None:
    """`change` is SQL on the table `rows`."""
    with duckdb.connect() as connection:
        connection.read_parquet(str(path), hive_partitioning=False).to_table("rows")
        before = connection.table("rows").fetchall()
        connection.execute(change)
        assert connection.table("rows").fetchall() != before
        connection.table("rows").write_parquet(str(path))


def make_anew(folder: Path, key: TestKey, change: Callable[[Manifest], Manifest] = lambda it: it) -> None:
    """Manifests that fit the files as they are now, changed besides, linked and signed."""
    previous = FIRST
    for manifest in read_manifests(LocalFolder(folder)):
        files = tuple(as_it_is(folder, file) for file in manifest.files)
        made = change(replace(manifest, files=files, previous=previous))
        signed = SignedManifest(made, key.sign(made.content()))
        (folder / manifest_path(manifest.run)).write_bytes(signed.text())
        previous = made.sha256()


def as_it_is(folder: Path, file: ExportedFile) -> ExportedFile:
    content = (folder / file.path).read_bytes()
    try:
        rows = duckdb.read_parquet(str(folder / file.path)).count("*").fetchall()[0][0]
    except duckdb.Error:
        rows = file.rows
    return ExportedFile(file.path, rows, len(content), hashlib.sha256(content).hexdigest())


# -- untouched ---------------------------------------------------------------------------------------------------------


def test_untouched_export_proves_itself(folder: Path) -> None:
    assert problems(folder) == problems(folder, 2) == []


def test_export_in_many_slices_and_runs_proves_itself(world: World, tmp_path: Path) -> None:
    for number in range(4, 7):
        export_ledger(world.store, tmp_path / "ledger", KEY.sign, entries_per_slice=2)
        post(world, manual(number, client_book("tokyo")), manual(number + 10, PLATFORM_BOOK, date(2026, 2, 1)))

    assert problems(tmp_path / "ledger", 3) == []


def test_empty_ledger_has_an_export_that_proves_itself(tmp_path: Path) -> None:
    export_ledger(World().store, tmp_path / "ledger", KEY.sign)

    assert problems(tmp_path / "ledger", 1) == []


# -- the list of issue 7 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["minor_units = 1", "amount = 19.87", "debit = 3"])
def test_changed_amount_is_found(folder: Path, change: str) -> None:
    edit(folder / POSTINGS, f"UPDATE rows SET {change} WHERE entry_id = 'manual:1' AND line = 1")  # noqa: S608  # our own

    assert any(it.startswith(f"{POSTINGS} ") for it in problems(folder))
    make_anew(folder, THIEF)
    assert f"manifests/000001.json: {SIGNED_BY_OTHERS}" in problems(folder)
    make_anew(folder, KEY)
    found = problems(folder)
    assert any(
        "rows of postings are not what their entries give, such as those of entry manual:1" in it for it in found
    )
    sealed = "client/tokyo: entry 1 (manual:1) does not carry the hash of its content"
    assert (sealed in found) == change.startswith("minor_units")


def test_amount_changed_on_both_sides_breaks_the_hash(folder: Path) -> None:
    edit(
        folder / POSTINGS,
        "UPDATE rows SET minor_units = sign(minor_units), amount = sign(amount), debit = if(debit > 0, 1, 0),"
        " credit = if(credit > 0, 1, 0) WHERE currency = 'JPY'",
    )
    make_anew(folder, KEY)

    found = problems(folder)

    assert "client/tokyo: entry 1 (manual:1) does not carry the hash of its content" in found
    assert any(it.startswith("run 1: JPY: the postings come to 2 debit and 2 credit in 2 entries") for it in found)


def test_currency_that_is_none_is_found(folder: Path) -> None:
    edit(folder / POSTINGS, "UPDATE rows SET currency = 'XXX' WHERE currency = 'JPY'")
    make_anew(folder, KEY)

    assert any("'XXX' is not an active ISO 4217 currency code" in it for it in problems(folder))


def test_entry_without_postings_or_with_the_id_of_another_is_found_though_it_is_sealed(tmp_path: Path) -> None:
    book, day = PLATFORM_BOOK, "2026-03-05"
    told = [("manual:1", '[["stripe/balance","USD",5],["bank/cash","USD",-5]]')] * 2 + [("manual:2", "[]")]
    entries, chain = list[SealedEntry](), GENESIS
    for seq, (id_, lines) in enumerate(told, 1):
        content_hash = hash_of_content(canonical_heading(id_, book, "manual", day), lines, "{}")
        chain = chained_hash(content_hash, seq, f"{day}T10:00:00+00:00", chain)
        entries.append(SealedEntry(seq, id_, "manual", lines, day, f"{day}T10:00:00Z", "{}", content_hash, chain))

    class Forged:
        def heads(self) -> Iterator[Head]:
            yield Head(book, len(entries), chain)

        def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]:  # noqa: ARG002  # as others have it
            return iter(entries[after:last])

    export_ledger(Forged(), tmp_path / "ledger", KEY.sign)

    why = "the id comes twice in its book, or there are no postings"
    assert problems(tmp_path / "ledger") == [f"manual:1: {why}", f"manual:2: {why}"]


def test_removed_entry_leaves_a_gap(folder: Path) -> None:
    for file in (ENTRIES, POSTINGS):
        edit(folder / file, "DELETE FROM rows WHERE entry_id LIKE 'charge:acme/C3/%'")
    assert any(it.startswith(f"{ENTRIES} ") for it in problems(folder))

    make_anew(folder, KEY)
    assert "client/acme: sequence goes from 2 to 4" in problems(folder)


def test_duplicated_file_is_found(folder: Path) -> None:
    copy = "entries/month=2026-03/000001-0002.parquet"
    (folder / copy).write_bytes((folder / ENTRIES).read_bytes())
    assert problems(folder) == [f"{copy} is not in any manifest"]

    def name_it(manifest: Manifest) -> Manifest:
        more = (replace(manifest.files[0], path=copy),) if manifest.run == 1 else ()
        return replace(manifest, files=(*manifest.files, *more))

    make_anew(folder, KEY, name_it)
    found = problems(folder)
    assert "client/acme: sequence goes from 7 to 1" in found


def test_swapped_sequence_is_found(folder: Path) -> None:
    for file in (ENTRIES, POSTINGS):
        edit(folder / file, "UPDATE rows SET seq = 5 - seq WHERE book = 'client/acme' AND seq IN (2, 3)")
    make_anew(folder, KEY)

    found = problems(folder)

    assert "client/acme: entry 2 (charge:acme/C3/1:1) does not carry the hash of its content" in found
    assert "client/acme: entry 3 (charge:acme/C2/1:1) does not carry the hash of its content" in found


@pytest.mark.parametrize("name", [POSTINGS, ENTRIES])
def test_truncated_file_is_found(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-100])

    assert f"{name} has {len(whole) - 100} bytes, its manifest says {len(whole)}" in problems(folder)
    make_anew(folder, KEY)
    assert any(it.startswith("the files 000001-0001.parquet cannot be read") for it in problems(folder))


def test_last_entries_removed_with_the_manifest_made_anew_are_found_by_the_signature(
    world: World, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    export_ledger(world.store, whole, KEY.sign)
    for book in world.store.journal:
        shorter = world.store.journal[book][:-1] or world.store.journal[book]
        world.store.journal[book] = shorter
        head = world.store.head(book)
        world.store.stored_heads[book] = replace(head, seq=shorter[-1].seq, chain_hash=shorter[-1].chain_hash)

    export_ledger(world.store, cut, THIEF.sign)  # whoever can write files, but not sign, can do no better

    assert verify_export(cut, THIEF.public_key()) == []
    assert problems(cut) == [f"manifests/000001.json: {SIGNED_BY_OTHERS}"]


def test_edited_manifest_is_found(folder: Path) -> None:
    path = folder / manifest_path(1)
    for before, after, said in (
        (b'"debit":3740', b'"debit":3741', SIGNED_BY_OTHERS),
        (b'"run":1', b'"run":1 ', "cannot be read: it is not written as a run writes it"),
        (b'"run":1', b'"run":"x"', "cannot be read"),
    ):
        text = path.read_bytes()
        path.write_bytes(text.replace(before, after, 1))
        assert path.read_bytes() != text
        assert any(it.startswith("manifests/000001.json") and said in it for it in problems(folder))
        path.write_bytes(text)
    assert problems(folder) == []


def test_removed_last_run_is_found_only_by_who_knows_how_many_there_were(folder: Path) -> None:
    (folder / manifest_path(2)).unlink()
    for file in folder.rglob("000002-*.parquet"):
        file.unlink()

    assert problems(folder) == []
    assert problems(folder, 2) == ["the last run is 1, but there were 2: manifests and files are missing"]


def test_copy_without_the_last_run_is_found_by_the_bucket_that_it_came_from(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    mirror(LocalFolder(folder), copy)
    for file in (copy / manifest_path(2), *copy.rglob("000002-*.parquet")):
        file.unlink()

    assert verify_export(copy, KEY.public_key(), anchor=LocalFolder(folder)) == ["manifests/000002.json was not copied"]
    (copy / manifest_path(1)).write_bytes((folder / manifest_path(2)).read_bytes())
    found = verify_export(copy, KEY.public_key(), anchor=LocalFolder(folder))
    assert "manifests/000001.json is not what it is where the export was copied from" in found


# -- manifests ---------------------------------------------------------------------------------------------------------


def test_removed_first_run_is_found(folder: Path) -> None:
    (folder / manifest_path(1)).unlink()

    assert "manifests/000002.json is that of run 2, where run 1 should come: a manifest is missing" in problems(folder)


def test_exchanged_manifest_does_not_link(world: World, folder: Path, tmp_path: Path) -> None:
    export_ledger(world.store, tmp_path / "other", KEY.sign)
    (folder / manifest_path(1)).write_bytes((tmp_path / "other" / manifest_path(1)).read_bytes())

    assert "manifests/000002.json does not follow the manifest before it, which was changed or exchanged" in problems(
        folder
    )


def test_without_a_key_or_a_signature_nothing_is_proved(world: World, folder: Path, tmp_path: Path) -> None:
    export_ledger(world.store, tmp_path / "unsigned")

    assert verify_export(folder, None) == ["signatures were not checked, for no public key was given"]
    assert problems(tmp_path / "unsigned") == ["manifests/000001.json: the signature is missing"]


def test_what_is_no_public_key_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="PEM"):
        verify_export(folder, b"no key")


def test_folder_without_a_manifest_is_no_export(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"{tmp_path} holds no manifest, so there is no export"]


def test_run_that_was_not_finished_is_told(world: World, folder: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    post(world, manual(5, client_book("tokyo")))
    with pytest.raises(KeyboardInterrupt):
        export_ledger(world.store, folder, KEY.sign, interrupt)

    assert problems(folder) == ["a run was begun and not finished: run `solvent finance export` again"]


# -- files and rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [POSTINGS, ENTRIES])
def test_removed_file_is_found(folder: Path, name: str) -> None:
    (folder / name).unlink()

    assert f"{name} is missing" in problems(folder)


def test_file_named_twice_is_found(folder: Path) -> None:
    make_anew(folder, KEY, lambda it: replace(it, files=(*it.files, it.files[0])))

    assert f"{ENTRIES} is named twice by manifests" in problems(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: replace(it, cursors=it.cursors[1:]), "run 1: client/acme: the manifest ends at entry 0"),
        (lambda it: replace(it, books=it.books[1:]), "run 1: client/acme: first, last or count of its entries"),
        (
            lambda it: replace(it, totals=tuple(replace(total, debit=1) for total in it.totals)),
            "run 1: BHD: the postings come to 12.345 debit and 12.345 credit in 1 entries, 2 postings, the manifest",
        ),
        (
            lambda it: replace(it, files=tuple(replace(file, rows=1) for file in it.files)),
            f"{ENTRIES} has 10 rows, its manifest says 1",
        ),
    ],
)
def test_manifest_that_is_signed_and_says_what_the_files_do_not_is_found(
    folder: Path, change: Callable[[Manifest], Manifest], said: str
) -> None:
    make_anew(folder, KEY, change)

    assert any(it.startswith(said) for it in problems(folder))


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (POSTINGS, "account_kind = 'asset' WHERE account = 'cost/base'", "7 rows of postings"),
        (POSTINGS, "client = 'globex' WHERE entry_id = 'charge:acme/C2/1:1'", "4 rows of postings"),
        (ENTRIES, "case_id = 'C9' WHERE case_id = 'C2'", "1 rows of entries"),
        (ENTRIES, "evidence = '{}' WHERE entry_id = 'manual:2'", "platform: entry 1 (manual:2) does not carry"),
        (ENTRIES, "chain_hash = content_hash WHERE entry_id = 'manual:2'", "platform: entry 1 (manual:2) does not"),
        (POSTINGS, "account = 'cost/bonus' WHERE account = 'cost/base'", "client/acme: entry 1 (charge:acme/C1/1:1)"),
        (POSTINGS, "account = 'cost/tea' WHERE account = 'cost/base'", "'cost/tea' is not in the chart of accounts"),
        (POSTINGS, "account = 'bank/cash' WHERE account = 'cost/base'", "an entry for settled debits bank/cash, which"),
        (POSTINGS, "minor_units = 1 WHERE line = 1 AND book = 'platform'", "manual:2: debits and credits of manual"),
        (POSTINGS, "minor_units = 0 WHERE book = 'platform'", "manual:2: bank/cash appears twice in BHD, or with"),
        (POSTINGS, "account = 'client/globex/unbilled' WHERE book = 'client/acme' AND line = 1", "an entry in book"),
        (POSTINGS, "seq = 9 WHERE book = 'platform'", "manual:2: there are postings without their entry"),
    ],
)
def test_row_that_the_ledger_could_not_have_given_is_found(folder: Path, file: str, change: str, said: str) -> None:
    edit(folder / file, f"UPDATE rows SET {change}")  # noqa: S608  # our own
    make_anew(folder, KEY)

    assert any(it.startswith(said) for it in problems(folder)), problems(folder)


def test_entry_moved_to_another_month_is_found(folder: Path) -> None:
    with open_export(folder) as views:
        [row] = views.sql("SELECT * EXCLUDE (month) FROM entries WHERE entry_id = 'quest:1'").fetchall()
    with duckdb.connect() as connection:
        connection.read_parquet(str(folder / ENTRIES), hive_partitioning=False).to_table("rows")
        connection.execute(f"INSERT INTO rows VALUES ({', '.join('?' * len(row))})", list(row))  # noqa: S608  # marks
        connection.table("rows").write_parquet(str(folder / ENTRIES))
    edit(folder / APRIL, "DELETE FROM rows")
    make_anew(folder, KEY)

    assert "1 rows of entries are not what their entries give, such as those of entry quest:1" in problems(folder)
