"""`solvent finance`: what it answers from an export, in which form, and with which exit code."""

import csv
import json
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from cli import finance_answers
from cli.connection import CannotStart
from cli.finance_app import Format, finance_app
from cli.printing import ROWS_SHOWN
from infra.exports import export_ledger, open_export
from infra.exports.folders import LocalFolder
from infra.exports.proof import verify_export
from infra.formats import FORMATS
from ledger.accounts import BANK_CASH, REVENUE_CREDITS, STRIPE_BALANCE, client_unbilled, expert_in_transit
from ledger.books import append
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, client_book, evidence, postings
from ledger.posting_rules import Reason
from settlement.ports import Changes
from tests.world import World, a_contract, an_expert, at


def post(world: World, *entries: Entry) -> None:
    for entry in entries:
        head = world.store.head(entry.book)
        sealed, after = append(head, [entry], at("2026-04-02T10:00:00"))
        world.store.commit(Changes(entries=sealed, heads=((head, after),)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed month of acme in dollars, and entries in yen and dinars in April."""
    world = World(contract=a_contract(tax_percent="19"))
    world.solve(100)
    world.send(world.completed("C200", "2026-03-05", "noah", skill="tax"))
    world.close("2026-04-02")
    told, on = evidence({"by": "dana"}), date(2026, 4, 3)
    yen = postings([(client_unbilled("tokyo"), 1870), (BANK_CASH, -1870)], "JPY")
    dinars = postings([(STRIPE_BALANCE, 12345), (BANK_CASH, -12345)], "BHD")
    post(
        world,
        Entry(EntryId("manual:1"), client_book("tokyo"), Reason.MANUAL, yen, on, told),
        Entry(EntryId("=manual:2"), PLATFORM_BOOK, Reason.MANUAL, dinars, on, told),
    )
    target = tmp_path_factory.mktemp("finance") / "export"
    export_ledger(world.store, target)
    return target


def run(folder: Path | str, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(finance_app, [*words, "--export", str(folder)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def rows(folder: Path, *words: str) -> list[dict[str, Any]]:
    """What a command says as JSON; that it says the same as CSV."""
    code, text = run(folder, *words, "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(text)
    _, as_csv = run(folder, *words, "--csv")
    told = list(csv.DictReader(StringIO(as_csv)))
    unguarded = [{name: cell.removeprefix("'") for name, cell in row.items()} for row in told]
    assert unguarded == [{name: "" if it is None else str(it) for name, it in row.items()} for row in found]
    return found


def test_trial_balance_has_the_decimals_of_each_currency_and_balances(folder: Path) -> None:
    found = {(row["account"], row["currency"]): (row["debit"], row["credit"]) for row in rows(folder, "trial-balance")}

    assert found["client/tokyo/unbilled", "JPY"] == ("1870", "0")
    assert found["bank/cash", "BHD"] == ("0.000", "12.345")
    assert found["client/acme/receivable", "USD"] == ("118.99", "0.00")
    _, text = run(folder, "trial-balance")
    assert "Total BHD: 12.345 debit, 12.345 credit" in text


def test_trial_balance_as_of_a_day_leaves_out_what_came_later(folder: Path) -> None:
    assert {row["currency"] for row in rows(folder, "trial-balance", "--as-of", "2026-04-02")} == {"USD"}


def test_trial_balance_that_does_not_balance_exits_with_one(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    for path in (it for it in folder.rglob("*") if it.is_file()):
        (broken / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        (broken / path.relative_to(folder)).write_bytes(path.read_bytes())
    (april,) = (broken / "postings/month=2026-04").glob("*.parquet")
    with duckdb.connect() as connection:
        connection.read_parquet(str(april), hive_partitioning=False).to_table("rows")
        connection.execute("UPDATE rows SET amount = amount + 1 WHERE account = 'stripe/balance'")
        connection.table("rows").write_parquet(str(april))

    code, text = run(broken, "trial-balance")

    assert code == 1
    assert "Debits and credits differ in BHD" in text


def test_statement_runs_from_its_opening_balance(folder: Path) -> None:
    whole = rows(folder, "statement", "expert/maya/payable")
    later = rows(folder, "statement", "expert/maya/payable", "--from", "2026-03-03", "--to", "2026-03-31")

    assert [row["balance"] for row in whole[:2]] == ["-0.59", "-1.18"]
    assert (whole[-1]["balance"], len(whole)) == ("-59.00", 100)
    assert [(row["reason"], row["balance"]) for row in later] == [("opening", "-59.00")]


def test_statement_without_span_opens_with_its_first_posting_in_each_currency(folder: Path) -> None:
    found = rows(folder, "statement", "bank/cash")

    assert [(row["currency"], row["credit"], row["balance"]) for row in found] == [
        ("BHD", "12.345", "-12.345"),
        ("JPY", "1870", "-1870"),
    ]


def test_statement_of_an_account_that_cannot_be_is_refused(folder: Path) -> None:
    code, text = run(folder, "statement", "client/acme/receivables")

    assert code == 2
    assert "'client/acme/receivables' is not in the chart of accounts" in " ".join(text.split())


def test_statement_from_a_day_behind_its_last_is_refused(folder: Path) -> None:
    code, text = run(folder, "statement", "bank/cash", "--from", "2026-04-02", "--to", "2026-04-01")

    assert (code, text) == (2, "--from 2026-04-02 is behind --to 2026-04-01; exchange them\n")
    assert run(folder, "statement", "bank/cash", "--from", "2026-04-03", "--to", "2026-04-03")[0] == 0


def test_query_reads_tables_and_views(folder: Path) -> None:
    found = rows(folder, "query", "SELECT reason, count(*) AS n FROM entries WHERE month = '2026-04' GROUP BY reason")

    assert found == [{"reason": "manual", "n": 2}]
    assert rows(folder, "query", "SELECT client, bucket FROM ageing", "--as-of", "2026-05-03") == [
        {"client": "acme", "bucket": "1 to 30"}
    ]


def test_columns_of_one_name_are_all_there(folder: Path) -> None:
    assert rows(folder, "query", "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a") == [
        {"a": 1, "a_2": 2, "a_2_2": 3, "a_3": 4}
    ]


def test_query_without_a_question_is_refused(folder: Path) -> None:
    for nothing in ("", " ", "/* nothing */"):
        assert run(folder, "query", nothing) == (2, "there is no question; give a SELECT\n")


def test_query_that_is_no_sql_is_refused(folder: Path) -> None:
    code, text = run(folder, "query", "SELECT nothing FROM nowhere")

    assert code == 2
    assert "nowhere" in text


def test_cell_that_a_spreadsheet_would_run_is_guarded_in_csv(folder: Path) -> None:
    _, text = run(folder, "query", "SELECT entry_id FROM entries WHERE book = 'platform'", "--csv")

    assert text.splitlines() == ["entry_id", "'=manual:2"]


def test_long_table_says_how_many_rows_it_leaves_out(folder: Path) -> None:
    _, text = run(folder, "query", f"FROM range({ROWS_SHOWN + 234})")

    assert "and 234 rows more; --csv and --json print all of them" in " ".join(text.split())


def test_margins_are_told_by_month_with_their_percentage(folder: Path) -> None:
    (acme,) = rows(folder, "margin", "--month", "2026-03")
    by_skill = {row["skill"]: row["revenue"] for row in rows(folder, "margin", "--by", "skill")}
    by_expert = {row["expert"]: (row["pay"], row["margin_percent"]) for row in rows(folder, "margin", "--by", "expert")}

    assert (acme["client"], acme["revenue"], acme["pay"]) == ("acme", "99.99", "59.59")
    assert (acme["margin"], acme["margin_percent"]) == ("40.40", "40.4")
    assert by_skill == {None: "99.00", "tax": "0.99"}
    assert by_expert == {"maya": ("59.00", "40.4"), "noah": ("0.59", "40.4")}


def test_there_is_no_percentage_of_what_was_given_back(tmp_path: Path) -> None:
    world, on = World(), date(2026, 4, 3)
    back = postings([(client_unbilled("acme"), -100), (REVENUE_CREDITS, 100)], "USD")
    post(world, Entry(EntryId("manual:1"), client_book("acme"), Reason.MANUAL, back, on, evidence({})))
    export_ledger(world.store, tmp_path / "export")

    (acme,) = rows(tmp_path / "export", "margin")

    assert (acme["revenue"], acme["margin"], acme["margin_percent"]) == ("-1.00", "-1.00", None)


def test_accruals_ageing_and_liabilities_are_the_views(folder: Path) -> None:
    accruals = {row["client"]: (row["accrued"], row["deferred"]) for row in rows(folder, "accruals")}
    (owed,) = rows(folder, "ageing", "--as-of", "2026-05-02")

    assert accruals == {"acme": ("0.00", "0.00"), "tokyo": ("1870", "0")}
    assert (owed["amount"], owed["due_on"], owed["days_past_due"]) == ("118.99", "2026-05-02", 0)
    assert {row["expert"]: row["owed"] for row in rows(folder, "liabilities")} == {"maya": "59.00", "noah": "0.59"}
    assert "There is nothing." in run(folder, "ageing", "--as-of", "2026-03-30")[1]


def test_tax_of_clients_is_told_by_rate(folder: Path) -> None:
    assert rows(folder, "tax", "--year", "2026") == [
        {"client": "acme", "percent": "19%", "currency": "USD", "net": "99.99", "tax": "19.00", "gross": "118.99"}
    ]
    assert rows(folder, "tax", "--year", "2025") == []


def test_tax_of_experts_counts_what_was_sent_in_the_year(tmp_path: Path) -> None:
    world = World()
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    world.solve(4000)
    world.plan_payouts()
    (reserved,) = (it for it in world.entries() if it.reason is Reason.PAYOUT_RESERVED)
    amount = max(it.amount.minor_units for it in reserved.postings)
    moved = postings([(expert_in_transit("maya"), amount), (STRIPE_BALANCE, -amount)], "USD")
    id_, on = EntryId(reserved.id.rpartition(":")[0] + ":sent"), date(2026, 3, 17)
    post(world, Entry(id_, reserved.book, Reason.PAYOUT_SENT, moved, on, evidence({})))
    export_ledger(world.store, tmp_path / "export")

    (maya,) = rows(tmp_path / "export", "tax", "--year", "2026", "--of", "experts")

    assert (maya["expert"], maya["gross"], maya["payments"], maya["activities"]) == ("maya", "2360.00", 1, 4000)
    assert (maya["reportable_in_us"], maya["reportable_in_eu"]) == ("yes", "yes")
    assert rows(tmp_path / "export", "tax", "--year", "2027", "--of", "experts") == []


def test_formats_prints_what_it_wrote(folder: Path, tmp_path: Path) -> None:
    code, text = run(folder, "formats", "--format", "jsonl", "--to", str(tmp_path / "books"))

    assert code == 0
    assert text.split() == [str(tmp_path / f"books/entries-{month}.jsonl") for month in ("2026-03", "2026-04")]
    code, text = run(folder, "formats", "--format", "netsuite", "--to", str(tmp_path / "books"))
    assert (code, "BHD has 3 decimals" in text) == (1, True)


def test_formats_of_an_empty_ledger_says_that_there_is_nothing(tmp_path: Path) -> None:
    export_ledger(World().store, tmp_path / "export")

    code, text = run(tmp_path / "export", "formats", "--format", "csv", "--to", str(tmp_path / "books"))

    assert (code, text) == (0, "The ledger is empty; nothing was written.\n")


def test_report_reads_the_export_that_the_environment_names(folder: Path, tmp_path: Path) -> None:
    page, words = tmp_path / "report.html", ["report", "--month", "2026-03", "--to", str(tmp_path / "report.html")]

    result = CliRunner().invoke(finance_app, words, env={"SOLVENT_EXPORT": str(folder)})

    assert (result.exit_code, "March 2026" in page.read_text()) == (0, True)


def test_every_format_has_its_name_on_the_command_line() -> None:
    assert [it.value for it in Format] == list(FORMATS)


def test_folder_without_an_export_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="holds no export; make one with `solvent finance export"):
        run(tmp_path, "ageing")


def test_export_in_a_bucket_is_copied_and_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[str, str]]()

    def bucket(name: str, prefix: str) -> LocalFolder:
        asked.append((name, prefix))
        return LocalFolder(folder)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finance_answers, "BucketFolder", bucket)

    result = CliRunner().invoke(finance_app, ["query", "FROM entries", "--csv", "--export", "s3://books/ledger"])

    assert (result.exit_code, len(result.output.splitlines())) == (0, len(rows(folder, "query", "FROM entries")) + 1)
    assert asked == [("books", "ledger/")]
    assert verify_export(tmp_path / "build/mirrors/books/ledger", None) == verify_export(folder, None)

    monkeypatch.setattr(finance_answers, "BucketFolder", lambda *_: LocalFolder(tmp_path / "nothing"))
    with pytest.raises(CannotStart, match=r"s3://empty/ledger holds no export; a stack writes one"):
        run("s3://empty/ledger", "ageing")


def test_json_and_csv_at_once_is_bad_usage(folder: Path) -> None:
    assert run(folder, "ageing", "--json", "--csv")[0] == 2
    with open_export(folder) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchall() != [(0,)]
