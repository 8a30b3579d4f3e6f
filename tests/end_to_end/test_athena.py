"""Finance asks the exported ledger through Athena on the embedded stack, and gets what DuckDB and DynamoDB say.

The emulator's Athena knows no views: the SELECT of each is sent as a query. That Athena itself takes the views of
infra/athena-views.yaml is not shown by it; that the template's JSON is that very SELECT is.
"""

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import boto3
import pytest

from infra.aws.export_bucket import LEDGER, BucketFolder, exports_bucket
from infra.aws.store import DynamoStore
from infra.aws.tables import bind
from infra.exports import export_ledger
from infra.ledger_views import AS_OF, VIEWS, open_views, view_sql
from infra.local.packaging import PROJECT_ROOT
from infra.local.stack import LocalStack, local_stack
from ledger.balances import trial_balance
from ledger.money import minor_unit_exponent
from settlement.ports import Changes
from tests.world import World, a_contract

NOW = datetime(2026, 4, 30, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with patch.dict(os.environ), local_stack(tmp_path_factory.mktemp("athena") / "run", NOW) as running:
        running.address.enter()
        yield running


@pytest.fixture(scope="module")
def folder(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a client's month with its invoice: in DynamoDB, in a folder, and in the stack's bucket."""
    world = World(contract=a_contract(tax_percent="19", net_days=14, minimum="200.00"))
    world.solve(60)
    world.send(world.completed("C99", "2026-03-05", skill="tax"), world.reopened("C1", "2026-03-06"))
    world.plan_payouts()
    world.close("2026-04-02")
    store = DynamoStore(bind(stack.address.stack_name))
    for book, recorded in world.store.journal.items():
        for first in range(0, len(recorded), 50):
            part = recorded[first : first + 50]
            head = store.head(book)
            after = type(head)(book, part[-1].seq, part[-1].chain_hash)
            store.commit(Changes(entries=tuple(part), heads=((head, after),)))
    target = tmp_path_factory.mktemp("athena") / "export"
    export_ledger(store, target)
    bucket = BucketFolder(exports_bucket(stack.address.stack_name), LEDGER)
    for path in sorted(target.rglob("*.parquet")):
        bucket.put_once(path.relative_to(target).as_posix(), path.read_bytes())
    return target


def database_of(stack: LocalStack) -> str:
    return stack.address.stack_name.replace("-", "_")


def group_of(stack: LocalStack) -> str:
    return f"{stack.address.stack_name}-finance"


def ask(stack: LocalStack, sql: str) -> list[dict[str, str | None]]:
    """What Athena answers in the workgroup of finance."""
    athena = boto3.client("athena")
    asked = athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": database_of(stack)},
        WorkGroup=group_of(stack),
    )["QueryExecutionId"]
    ends = time.monotonic() + 30
    while (status := athena.get_query_execution(QueryExecutionId=asked)["QueryExecution"]["Status"])["State"] in {
        "QUEUED",
        "RUNNING",
    }:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert status["State"] == "SUCCEEDED", status
    columns, *rows = (
        [it.get("VarCharValue") for it in row["Data"]]
        for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=asked)
        for row in page["ResultSet"]["Rows"]
    )
    return [dict(zip(map(str, columns), row, strict=True)) for row in rows]


def from_duckdb(folder: Path, view: str, as_of: date | None) -> list[dict[str, str | None]]:
    with open_views(folder, as_of) as connection:
        found = connection.execute(f"SELECT * FROM {view}")  # noqa: S608  # one of VIEWS
        columns = [column[0] for column in found.description or ()]
        rows = found.fetchall()
    return [dict(zip(columns, (None if it is None else str(it) for it in row), strict=True)) for row in rows]


def in_athena(view: str, as_of: date | None) -> str:
    """A view as one query, with the view of the day in it."""
    day = f"SELECT DATE '{as_of}' AS day" if as_of else view_sql(AS_OF)
    return f"WITH {AS_OF} AS ({day}), asked AS ({view_sql(view)}) SELECT * FROM asked"  # noqa: S608  # files of ours


def in_order(rows: list[dict[str, str | None]]) -> list[list[tuple[str, str | None]]]:
    return sorted(([*row.items()] for row in rows), key=str)


@pytest.mark.parametrize("as_of", [None, date(2026, 3, 31), date(2026, 6, 1)])
@pytest.mark.parametrize("view", VIEWS)
def test_athena_answers_what_duckdb_does(stack: LocalStack, folder: Path, view: str, as_of: date | None) -> None:
    found = ask(stack, in_athena(view, as_of))

    assert found
    assert in_order(found) == in_order(from_duckdb(folder, view, as_of))


def test_athena_answers_what_dynamodb_holds(stack: LocalStack, folder: Path) -> None:
    assert folder.exists()
    store = DynamoStore(bind(stack.address.stack_name))
    entries = [it.entry for head in store.heads() for it in store.entries(head.book)]

    found = ask(stack, in_athena("trial_balance", None))

    assert {(row["account"], row["currency"]): int(str(row["minor_units"])) for row in found} == {
        key: minor for key, minor in trial_balance(entries).balances.items() if minor
    }
    for row in found:
        amount = Decimal(str(row["debit"])) - Decimal(str(row["credit"]))
        assert amount == Decimal(str(row["minor_units"])).scaleb(-minor_unit_exponent(row["currency"]))  # type: ignore[arg-type]


def test_partitions_are_projected_and_folders_are_those_of_an_export(stack: LocalStack, folder: Path) -> None:
    glue, database = boto3.client("glue"), database_of(stack)
    for name in ("postings", "entries"):
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
        with open_views(folder) as connection:
            columns = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
        assert [*(it["Name"] for it in table["StorageDescriptor"]["Columns"]), "month"] == columns
        place = table["Parameters"]["storage.location.template"]
        assert place == f"{table['StorageDescriptor']['Location']}month=${{month}}"
        months = {path.parent.name for path in (folder / name).rglob("*.parquet")}
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        found = BucketFolder(bucket, "").names(prefix.removesuffix("month=${month}"))
        assert {path.split("/")[-2] for path in found} == months


def test_views_for_athena_are_deployed_as_the_selects_of_their_files(stack: LocalStack) -> None:
    cloudformation, database = boto3.client("cloudformation"), database_of(stack)

    cloudformation.create_stack(
        StackName="athena-views",
        TemplateBody=(PROJECT_ROOT / "infra" / "athena-views.yaml").read_text(),
        Parameters=[{"ParameterKey": "LedgerDatabase", "ParameterValue": database}],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="athena-views", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )

    for name in (AS_OF, *VIEWS):
        table = boto3.client("glue").get_table(DatabaseName=database, Name=name)["Table"]
        encoded = re.fullmatch(r"/\* Presto View: (\S+) \*/", table["ViewOriginalText"])
        assert encoded is not None
        view = json.loads(base64.b64decode(encoded[1]))
        assert view["schema"] == database
        lines = " ".join(line.strip() for line in view_sql(name).splitlines() if not line.startswith("--"))
        assert lines in view["originalSql"]
        assert [it["name"] for it in view["columns"]] == [it["Name"] for it in table["StorageDescriptor"]["Columns"]]


def test_what_athena_is_asked_stays_below_the_results_bucket(stack: LocalStack, folder: Path) -> None:
    assert folder.exists()
    group = boto3.client("athena").get_work_group(WorkGroup=group_of(stack))["WorkGroup"]

    settings = group["Configuration"]

    assert settings["EnforceWorkGroupConfiguration"] is True
    account = boto3.client("sts").get_caller_identity()["Account"]
    assert settings["ResultConfiguration"]["OutputLocation"] == f"s3://{stack.address.stack_name}-athena-{account}/"
