"""What finance gets out of an export: balances that agree with the journal, and proof that nobody touched it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from cli.finance import export_command, print_trial_balance, trial_balance_rows, verify_command, verify_export
from infra.exports import export_ledger, sha256_of
from ledger.accounts import BANK_CASH, COST_INCENTIVE, STRIPE_BALANCE, Kind, client_unbilled, expert_payable
from ledger.books import append
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, client_book, evidence, expert_book, postings
from ledger.posting_rules import Reason
from settlement.ports import Changes
from tests.world import World, at

MARCH_CSV = "csv/postings-2026-03.csv"
MARCH_PARQUET = "postings/month=2026-03/postings.parquet"


def post(world: World, *entries: Entry) -> None:
    for entry in entries:
        head = world.store.head(entry.book)
        sealed, after = append(head, [entry], at("2026-04-02T10:00:00"))
        world.store.commit(Changes(entries=sealed, heads=((head, after),)))


@pytest.fixture
def world() -> World:
    """A month with charges, one of them taken back, and entries in dollars, yen and dinars up to April."""
    world = World()
    world.solve(5)
    world.send(world.reopened("C1", "2026-03-03"), world.completed("C1", "2026-03-04", "noah"))
    told, on = evidence({"by": "dana"}), date(2026, 3, 31)
    yen = postings([(client_unbilled("tokyo"), 1870), (BANK_CASH, -1870)], "JPY")
    dinars = postings([(STRIPE_BALANCE, 12345), (BANK_CASH, -12345)], "BHD")
    quest = postings([(COST_INCENTIVE, 2500), (expert_payable("maya"), -2500)], "USD")
    post(
        world,
        Entry(EntryId("manual:1"), client_book("tokyo"), Reason.MANUAL, yen, on, told),
        Entry(EntryId("manual:2"), PLATFORM_BOOK, Reason.MANUAL, dinars, on, told),
        Entry(EntryId("quest:1"), expert_book("maya"), Reason.INCENTIVE, quest, date(2026, 4, 1), told),
        Entry(EntryId("manual:3"), client_book("tokyo"), Reason.MANUAL, yen, on, told),
    )
    return world


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """The export of that month."""
    export_ledger(world.store, tmp_path / "ledger")
    return tmp_path / "ledger"


def edit(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_bytes().decode()
    after = change(before)
    assert after != before
    path.write_bytes(after.encode())


def edit_parquet(path: Path, change: str) -> None:
    """`change` is SQL on the table `rows`."""
    with duckdb.connect() as connection:
        connection.read_parquet(str(path), hive_partitioning=False).to_table("rows")
        connection.execute(change)
        connection.table("rows").write_parquet(str(path))


def forge_manifest(folder: Path) -> None:
    """Make the manifest's sums those of the files, as somebody would who changes an export on purpose."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        path = folder / file["path"]
        file |= {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def printed(show: Callable[[Console], object]) -> tuple[object, str]:
    console = Console(file=StringIO(), width=120)
    result = show(console)
    assert isinstance(console.file, StringIO)
    return result, console.file.getvalue()


# -- trial balance -----------------------------------------------------------------------------------------------------


def test_trial_balance_of_the_files_is_that_of_the_journal(world: World, folder: Path) -> None:
    rows = trial_balance_rows(folder)

    assert {(row.account, row.currency): row.minor_units for row in rows} == world.trial_balance().balances
    assert {row.currency for row in rows} == {"USD", "JPY", "BHD"}


def test_trial_balance_is_exact_where_a_currency_has_no_decimals_or_three(folder: Path) -> None:
    found = {(str(row.account), str(row.currency)): row for row in trial_balance_rows(folder)}

    yen, dinars = found["client/tokyo/unbilled", "JPY"], found["bank/cash", "BHD"]
    assert (yen.kind, yen.minor_units, yen.debit, yen.credit) == (Kind.ASSET, 3740, Decimal(3740), Decimal(0))
    assert (dinars.minor_units, dinars.debit, dinars.credit) == (-12345, Decimal(0), Decimal("12.345"))


def test_account_that_came_back_to_zero_is_left_out(world: World, folder: Path, tmp_path: Path) -> None:
    back = postings([(COST_INCENTIVE, -2500), (expert_payable("maya"), 2500)], "USD")
    on, told = date(2026, 4, 2), evidence({})
    post(world, Entry(EntryId("quest:1/2"), expert_book("maya"), Reason.INCENTIVE_CORRECTED, back, on, told))
    export_ledger(world.store, tmp_path / "later")

    assert COST_INCENTIVE in {row.account for row in trial_balance_rows(folder)}
    assert COST_INCENTIVE not in {row.account for row in trial_balance_rows(tmp_path / "later")}


def test_printed_trial_balance_totals_each_currency(folder: Path) -> None:
    _, text = printed(lambda console: print_trial_balance(folder, console))

    totals = [line.replace("│", " ").split() for line in text.splitlines() if "Total" in line]
    assert totals == [
        ["Total", "BHD", "12.345", "12.345"],
        ["Total", "JPY", "3,740", "3,740"],
        ["Total", "USD", "32.90", "32.90"],
    ]


def test_empty_ledger_has_an_empty_trial_balance_and_proves_itself(tmp_path: Path) -> None:
    export_ledger(World().store, tmp_path / "ledger")

    assert trial_balance_rows(tmp_path / "ledger") == []
    assert verify_export(tmp_path / "ledger") == []


# -- proof -------------------------------------------------------------------------------------------------------------


def test_untouched_export_proves_itself(folder: Path) -> None:
    assert verify_export(folder) == []


@pytest.mark.parametrize("name", [MARCH_CSV, MARCH_PARQUET])
def test_removed_file_is_found(folder: Path, name: str) -> None:
    (folder / name).unlink()

    assert verify_export(folder) == [f"{name} is missing"]


@pytest.mark.parametrize("name", [MARCH_CSV, MARCH_PARQUET])
def test_truncated_file_is_found_even_with_a_forged_manifest(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-100])

    assert f"{name} has {len(whole) - 100} bytes, the manifest says {len(whole)}" in verify_export(folder)
    forge_manifest(folder)
    assert verify_export(folder)


def test_added_file_is_found(folder: Path) -> None:
    added = folder / "postings/month=2026-05"
    added.mkdir()
    (added / "postings.parquet").write_bytes((folder / MARCH_PARQUET).read_bytes())

    assert verify_export(folder) == ["postings/month=2026-05/postings.parquet is not in the manifest"]


def test_changed_byte_is_found(folder: Path) -> None:
    edit(folder / MARCH_CSV, lambda text: text.replace("dana", "dora", 1))

    assert f"{MARCH_CSV} was changed: its SHA-256 is not the manifest's" in verify_export(folder)


def test_missing_or_unreadable_manifest_is_found(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")
    assert "manifest.json cannot be read" in verify_export(folder)[0]

    (folder / "manifest.json").unlink()
    assert verify_export(folder) == ["manifest.json is missing"]


def test_changed_amount_is_found_though_the_manifest_was_forged(folder: Path) -> None:
    edit(folder / MARCH_CSV, lambda text: text.replace(",JPY,1870,1870,1870,0,", ",JPY,1970,1970,1970,0,", 1))
    forge_manifest(folder)

    problems = verify_export(folder)

    assert any("entry manual:1 client/tokyo 1: manual:1: debits and credits" in problem for problem in problems)
    assert "1 rows of 2026-03 differ between Parquet and CSV, first in entry manual:1" in problems


def test_amount_changed_on_both_sides_and_in_both_files_breaks_the_chain(folder: Path) -> None:
    def cheapen(text: str) -> str:
        return text.replace(",JPY,1870,1870,1870,0,", ",JPY,1,1,1,0,").replace(
            ",JPY,-1870,-1870,0,1870,", ",JPY,-1,-1,0,1,"
        )

    edit(folder / MARCH_CSV, cheapen)
    sign = "CASE WHEN minor_units > 0 THEN 1 ELSE -1 END"
    edit_parquet(
        folder / MARCH_PARQUET,
        f"UPDATE rows SET minor_units = {sign}, amount = {sign}, debit = if(debit > 0, 1, 0), "  # noqa: S608  # constants
        "credit = if(credit > 0, 1, 0) WHERE currency = 'JPY'",
    )
    forge_manifest(folder)

    problems = verify_export(folder)

    assert "client/tokyo: entry 1 (manual:1) does not carry the hash of its content" in problems
    assert any(
        problem.startswith("JPY: the postings come to 2 debit and 2 credit in 2 entries") for problem in problems
    )


def test_derived_cell_that_contradicts_its_posting_is_found(folder: Path) -> None:
    edit(folder / MARCH_CSV, lambda text: text.replace(",JPY,1870,1870,1870,0,", ",JPY,1870,1970,1870,0,", 1))
    forge_manifest(folder)

    assert "postings-2026-03.csv: entry manual:1: amount says '1970', its postings '1870'" in verify_export(folder)


def test_removed_row_is_found_though_the_manifest_was_forged(folder: Path) -> None:
    edit(folder / MARCH_CSV, lambda text: "".join(text.splitlines(keepends=True)[:-1]))
    edit_parquet(folder / MARCH_PARQUET, "DELETE FROM rows WHERE entry_id = 'manual:2' AND line = 2")
    forge_manifest(folder)

    problems = verify_export(folder)

    assert f"{MARCH_PARQUET} has 33 rows, the manifest says 34" in problems
    assert f"{MARCH_CSV} has 33 rows, the manifest says 34" in problems
    assert any("manual:2: debits and credits" in problem for problem in problems)


def test_removed_entry_leaves_a_gap(folder: Path) -> None:
    def without_third_entry(text: str) -> str:
        lines = text.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith('"charge:acme/C3/'))

    edit(folder / MARCH_CSV, without_third_entry)
    forge_manifest(folder)

    assert "client/acme: sequence goes from 2 to 4" in verify_export(folder)


def test_removed_last_entry_is_found_by_the_head(folder: Path) -> None:
    def without_last_entry(text: str) -> str:
        lines = text.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith('"charge:acme/C1/1:3"'))

    edit(folder / MARCH_CSV, without_last_entry)
    forge_manifest(folder)

    assert "client/acme: the head is at 7, the entries end at 6" in verify_export(folder)


def test_entry_moved_to_another_month_is_found(folder: Path) -> None:
    moved = (folder / "csv/postings-2026-04.csv").read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    edit(folder / MARCH_CSV, lambda text: text + "".join(f"{line.rstrip()}\r\n" for line in moved))
    edit(folder / "csv/postings-2026-04.csv", lambda text: text.splitlines(keepends=True)[0])
    forge_manifest(folder)

    assert "postings-2026-03.csv: entry quest:1 belongs to 2026-04" in verify_export(folder)


def test_removed_book_is_found(folder: Path) -> None:
    edit(
        folder / MARCH_CSV,
        lambda text: "".join(it for it in text.splitlines(keepends=True) if "client/tokyo" not in it),
    )
    forge_manifest(folder)

    assert "client/tokyo: all entries are missing" in verify_export(folder)


def test_parquet_that_says_something_else_than_the_csv_is_found(folder: Path) -> None:
    edit_parquet(folder / MARCH_PARQUET, "UPDATE rows SET account = 'cost/bonus' WHERE account = 'cost/base'")
    forge_manifest(folder)

    assert verify_export(folder) == [
        "7 rows of 2026-03 differ between Parquet and CSV, first in entry charge:acme/C1/1:1"
    ]


def test_control_totals_that_the_postings_do_not_sum_to_are_found(folder: Path) -> None:
    edit(folder / "manifest.json", lambda text: text.replace('"debit": 3740', '"debit": 3741'))

    entries = "credit in 2 entries, 4 postings"
    said = f"JPY: the postings come to 3740 debit and 3740 {entries}, the manifest says 3741 debit and 3740 {entries}"
    assert verify_export(folder) == [said]


# -- commands ----------------------------------------------------------------------------------------------------------


def test_export_command_says_what_it_wrote(world: World, tmp_path: Path) -> None:
    code, text = printed(lambda console: export_command(world.store, tmp_path / "ledger", console))

    assert code == 0
    assert "11 entries of 4 books in 4 files" in text
    assert verify_export(tmp_path / "ledger") == []


def test_export_command_names_the_broken_book(world: World, tmp_path: Path) -> None:
    acme = world.store.journal[client_book("acme")]
    acme[2] = replace(acme[2], recorded_at=at("2026-05-01"))

    code, text = printed(lambda console: export_command(world.store, tmp_path / "ledger", console))

    assert code == 1
    assert "Nothing was exported. client/acme: entry 3 (charge:acme/C3/1:1) does not carry the hash" in text
    assert not (tmp_path / "ledger").exists()


def test_verify_command_exits_with_one_for_a_changed_export(folder: Path) -> None:
    assert printed(lambda console: verify_command(folder, console))[0] == 0

    edit(folder / MARCH_CSV, lambda text: text.replace("1870", "1871"))
    code, text = printed(lambda console: verify_command(folder, console))

    assert code == 1
    assert f"{MARCH_CSV} was changed" in text
