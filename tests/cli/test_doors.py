"""`solvent door` and `solvent import csv`: doors and secrets over moto, the API over a server of the test's own."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli import doors, import_events
from cli.apply import apply_folder
from cli.connection import Connection
from cli.doors import Secret
from cli.import_events import EventsApi, import_csv
from cli.main import app
from events.adapters.doors import Door
from infra.aws.registry import DynamoRegistry
from infra.aws.secrets import door_secrets
from infra.aws.tables import RegistryItem
from tests.commands import printed, write_yaml
from tests.dynamo_tables import moto_tables
from tests.http_server import Heard, Reply, http_server

ACME = "{id: acme, name: Acme, email: billing@acme.example}"
ZENDESK = "{id: acme-zendesk, client: acme, system: zendesk, account: acme, secret: zendesk}"
FRESHDESK = """{id: acme-freshdesk, client: acme, system: freshdesk, account: acme, secret: freshdesk,
poll: {address: "https://acme.freshdesk.com", key: freshdesk-key}}"""
ARCHIVE = """{id: archive, client: acme, system: csv, account: old, time_zone: UTC, export: {delimiter: ";"},
fields: {case: Ticket, completed_at: Solved, agent: Agent}, agents: {others: employee}}"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Connection]:
    """A stack with three doors and no secret."""
    with moto_tables("test", RegistryItem):
        registry = DynamoRegistry()
        files = {"clients/acme": ACME, "doors/z": ZENDESK, "doors/f": FRESHDESK, "doors/a": ARCHIVE}
        write_yaml(tmp_path / "terms", files)
        console = Console(file=StringIO())
        assert apply_folder(tmp_path / "terms", registry, date(2026, 10, 1), console, check_only=False) == 0
        yield Connection("test", cast("Any", None), registry, is_embedded=True)


def secret(value: str = "", *, key: bool = False, rotate: bool = False, finish: bool = False) -> Secret:
    return Secret(value, key, rotate, finish)


def test_doors_are_listed_with_what_they_lack_and_without_their_secrets(here: Connection) -> None:
    printed(doors.keep_secret, here, "acme-zendesk", secret("hush-hush"))
    shown = json.loads(printed(doors.list_doors, here, as_json=True))
    assert [(it["id"], it["webhooks"], it["polled"], it["state"]) for it in shown] == [
        ("acme-freshdesk", "/webhooks/acme-freshdesk", "ratings", "has no secret freshdesk, secret freshdesk-key"),
        ("acme-zendesk", "/webhooks/acme-zendesk", "", "ready"),
        ("archive", "", "", "ready"),
    ]
    table = printed(doors.list_doors, here, as_json=False)
    assert "acme-freshdesk" in table
    assert "hush-hush" not in table + json.dumps(shown)


def test_a_secret_is_exchanged_while_both_are_valid(here: Connection) -> None:
    printed(doors.keep_secret, here, "acme-zendesk", secret(" first \n"))
    assert door_secrets("test", "zendesk") == ("first",)
    printed(doors.keep_secret, here, "acme-zendesk", secret("second", rotate=True))
    assert door_secrets("test", "zendesk") == ("second", "first")
    printed(doors.keep_secret, here, "acme-zendesk", secret(finish=True))
    assert door_secrets("test", "zendesk") == ("second",)
    printed(doors.keep_secret, here, "acme-freshdesk", secret("key:X", key=True))
    assert (door_secrets("test", "freshdesk"), door_secrets("test", "freshdesk-key")) == ((), ("key:X",))
    kept = boto3.client("secretsmanager").list_secrets()["SecretList"]
    assert {it["Name"] for it in kept} == {"test/doors/zendesk", "test/doors/freshdesk-key"}


@pytest.mark.parametrize(
    ("door", "given", "said"),
    [
        ("nobody", secret("x"), "there is no door nobody; apply one"),
        ("archive", secret("x"), "archive names no `secret`"),
        ("acme-zendesk", secret("x", key=True), "acme-zendesk is not polled"),
        ("acme-zendesk", secret("  "), "the secret is empty"),
        ("acme-zendesk", secret("x", rotate=True), "zendesk has 0 values, so there is nothing to rotate"),
        ("acme-zendesk", secret(finish=True), "zendesk has 0 values, so there is nothing to finish"),
        ("acme-zendesk", secret("x", rotate=True, finish=True), "give --rotate or --finish, not both"),
        ("acme-freshdesk", secret("x"), "freshdesk has a value already; --rotate takes another"),
    ],
)
def test_a_secret_that_cannot_be_kept_is_refused_with_what_to_do(
    here: Connection, door: str, given: Secret, said: str
) -> None:
    printed(doors.keep_secret, here, "acme-freshdesk", secret("there"))
    assert said in printed(doors.keep_secret, here, door, given, code=2)
    assert door_secrets("test", "freshdesk") == ("there",)


def test_files_of_doors_are_checked_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(ZENDESK)
    (tmp_path / "bad.yaml").write_text(ZENDESK.replace("zendesk, account", "zendex, account"))
    run = CliRunner().invoke(app, ["door", "check", str(tmp_path / "good.yaml")])
    assert (run.exit_code, run.stdout) == (0, "1 doors, nothing to mend.\n")
    run = CliRunner().invoke(app, ["door", "check", str(tmp_path / "bad.yaml")])
    assert run.exit_code == 2
    assert "bad.yaml:1: system" in run.stdout.replace("\n", "")


# -- solvent import csv ------------------------------------------------------------------------------------------------


@dataclass
class Api:
    """Takes events; `answers` are statuses to give first, with Retry-After, before it does."""

    answers: list[int] = field(default_factory=list)
    taken: list[Mapping[str, Any]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    refuse: str = ""
    waited: list[float] = field(default_factory=list)

    def answer(self, events: list[Mapping[str, Any]]) -> tuple[int, Any]:
        self.calls.append(len(events))
        if self.answers:
            return self.answers.pop(0), {"error": {"message": "not now"}}
        self.taken += events
        error = {"code": "event_refused", "message": "malformed: time"}
        return 200, {"data": [{"id": it["id"], "error": error if it["id"] == self.refuse else None} for it in events]}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Api, EventsApi]]:
    made = Api()

    def answer(heard: Heard) -> Reply:
        assert (heard.path, heard.headers["authorization"]) == ("/v1/events", "Bearer token")
        status, body = made.answer(json.loads(heard.body))
        return status, {"Retry-After": "3"}, json.dumps(body).encode()

    monkeypatch.setattr(import_events.time, "sleep", made.waited.append)  # type: ignore[attr-defined]  # the module
    with http_server(answer) as url:
        yield made, EventsApi(url, "token")


def export(folder: Path, rows: int, *more: str) -> Path:
    lines = [f"T{n};2026-03-02T10:00:00Z;Ann" for n in range(rows)]
    (folder / "export.csv").write_text("\n".join(["Ticket;Solved;Agent", *lines, *more, ""]))
    return folder / "export.csv"


def test_an_export_is_sent_a_hundred_events_at_a_time(
    here: Connection, api: tuple[Api, EventsApi], tmp_path: Path
) -> None:
    server, client = api
    said = printed(import_csv, here, export(tmp_path, 230), "archive", client, skip=0)
    assert "230 facts sent, 0 of them refused, 0 rows not readable" in said
    assert server.calls == [100, 100, 30]
    assert [it["subject"] for it in server.taken] == [f"T{n}" for n in range(230)]
    assert server.taken[0]["data"] == {"resolver": "employee"}


def test_rows_that_cannot_be_read_and_facts_that_are_refused_are_told_and_stop_nothing(
    here: Connection, api: tuple[Api, EventsApi], tmp_path: Path
) -> None:
    server, client = api
    server.refuse = "T1:completed:2026-03-02T10:00:00Z"
    said = printed(import_csv, here, export(tmp_path, 3, "T3;soon;Ann", "T4"), "archive", client, skip=0, code=1)
    assert "export.csv:5: Solved: not a time" in said
    assert "export.csv:6: row: 1 columns" in said
    assert "T1:completed:2026-03-02T10:00:00Z: malformed: time" in said
    assert "3 facts sent, 1 of them refused, 2 rows not readable" in said


def test_a_busy_api_is_asked_again_and_one_that_stays_so_ends_with_where_to_go_on(
    here: Connection, api: tuple[Api, EventsApi], tmp_path: Path
) -> None:
    server, client = api
    server.answers = [429, 503]
    printed(import_csv, here, export(tmp_path, 150), "archive", client, skip=0)
    assert server.waited == [3, 3]
    server.taken.clear()
    server.answers = [503] * 6
    said = printed(import_csv, here, tmp_path / "export.csv", "archive", client, skip=100, code=1)
    assert "the API answered 503: not now. 100 facts were sent; go on with --skip 100" in said
    printed(import_csv, here, tmp_path / "export.csv", "archive", client, skip=100)
    assert [it["subject"] for it in server.taken] == [f"T{n}" for n in range(100, 150)]


def test_what_is_no_export_of_the_door_is_refused(here: Connection, api: tuple[Api, EventsApi], tmp_path: Path) -> None:
    client = api[1]
    (tmp_path / "other.csv").write_text("Id;Date\n1;2\n")
    assert "no column Ticket" in printed(import_csv, here, tmp_path / "other.csv", "archive", client, skip=0, code=2)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    printed(import_csv, here, tmp_path / "binary.csv", "archive", client, skip=0, code=2)
    assert "there is no door x" in printed(import_csv, here, tmp_path / "other.csv", "x", client, skip=0, code=2)
    zendesk = printed(import_csv, here, tmp_path / "other.csv", "acme-zendesk", client, skip=0, code=2)
    assert "other.csv" in zendesk
    assert isinstance(here.registry.doors()["archive"], Door)
