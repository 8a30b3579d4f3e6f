"""`solvent webhooks` over moto's tables, queue and secrets: single-threaded, and no transaction."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from typer.testing import CliRunner

from cli import webhooks
from cli.apply import apply_folder
from cli.connection import Connection
from cli.main import app
from infra.aws.items import announcement_item
from infra.aws.registry import DynamoRegistry
from infra.aws.secrets import webhook_secrets
from infra.aws.tables import AnnouncementItem, DeliveryItem, RegistryItem
from infra.webhooks import queueing
from infra.webhooks.deliveries import keep_delivery
from settlement.announcements import Announcement
from settlement.webhooks import Delivery, DeliveryState, webhook_id
from tests.commands import printed, said, write_yaml
from tests.dynamo_tables import moto_tables
from tests.terms_registry import FakeRegistry

AT = datetime(2026, 10, 5, 12, tzinfo=UTC)
ACME = """
id: acme
name: Acme
email: billing@acme.example
"""
BILLING = """
id: acme-billing
audience: client
client: acme
url: https://acme.example/hooks
events: [usage.cap_alert]
"""
GIGS = """
id: gigs
audience: experts
url: https://gigs.example/hooks
"""
CAP: dict[str, int | str] = {
    "period": "2026-10",
    "percent": 50,
    "currency": "USD",
    "charged_minor": 60,
    "cap_minor": 100,
}
TOLD = tuple(
    Announcement(f"cap:{n}", "usage.cap_alert", "acme", AT + timedelta(hours=n), CAP | {"percent": n}, "usage:acme")
    for n in range(3)
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Connection]:
    """A stack with two endpoints, and three alerts in the table."""
    with moto_tables("test", RegistryItem, AnnouncementItem, DeliveryItem):
        boto3.client("sqs").create_queue(QueueName="test-webhooks.fifo", Attributes={"FifoQueue": "true"})
        queueing._queue.cache_clear()  # noqa: SLF001  # each test has a queue of its own
        registry = DynamoRegistry()
        files = {"clients/acme": ACME, "webhooks/billing": BILLING, "webhooks/gigs": GIGS}
        assert apply(tmp_path, registry, files)[0] == 0
        for told in TOLD:
            AnnouncementItem(**cast("Any", announcement_item(told))).save()
        yield Connection("test", cast("Any", None), registry, is_embedded=True)
        queueing._queue.cache_clear()  # noqa: SLF001


def apply(folder: Path, registry: DynamoRegistry | FakeRegistry, files: dict[str, str]) -> tuple[int, str]:
    write_yaml(folder, files)
    return said(lambda console: apply_folder(folder, registry, date(2026, 10, 1), console, check_only=False))


def queued() -> list[dict[str, str]]:
    """What waits, in the order in which it is received."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="test-webhooks.fifo")["QueueUrl"]
    bodies: list[dict[str, str]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            bodies.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


# -- endpoints ---------------------------------------------------------------------------------------------------------


def test_endpoints_are_applied_with_the_other_terms_and_listed_without_their_secrets(here: Connection) -> None:
    made = printed(webhooks.make_secret, here, "gigs", rotate=False, finish=False).strip()

    shown = json.loads(printed(webhooks.list_endpoints, here, as_json=True))

    assert [(it["id"], it["for"], it["secrets"]) for it in shown] == [
        ("acme-billing", "acme", 0),
        ("gigs", "experts", 1),
    ]
    assert shown[0]["events"] == ["usage.cap_alert"]
    assert "payout.sent" in shown[1]["events"]
    table = printed(webhooks.list_endpoints, here, as_json=False)
    assert "no secret: run `solvent webhooks secret acme-billing`" in table
    assert made not in table


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BILLING.replace("client: acme\n", "client: globex\n"), "webhooks/a.yaml:4: client: there is no client globex"),
        (BILLING.replace("https", "http"), "webhooks/a.yaml:5: url: http://acme.example is not https"),
        (BILLING.replace("acme.example", "10.0.0.1").replace("https", "http"), "url: http://10.0.0.1 is not https"),
        (BILLING + "secret: whsec_1\n", "webhooks/a.yaml:7: secret: is not a field here"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_with_its_line(text: str, what: str, tmp_path: Path) -> None:
    code, said = apply(tmp_path, FakeRegistry(), {"clients/acme": ACME, "webhooks/a": text})

    assert code == 2
    assert what in said


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_during_a_rotation_two_are_valid(here: Connection) -> None:
    first = printed(webhooks.make_secret, here, "gigs", rotate=False, finish=False).strip()
    assert webhook_secrets("test", "gigs") == (first,)
    again = printed(webhooks.make_secret, here, "gigs", rotate=False, finish=False, code=2)
    assert "is shown only once; --rotate makes another" in again
    assert first not in again

    second = printed(webhooks.make_secret, here, "gigs", rotate=True, finish=False).strip()
    assert webhook_secrets("test", "gigs") == (second, first)
    assert "has 2 secrets" in printed(webhooks.make_secret, here, "gigs", rotate=True, finish=False, code=2)

    printed(webhooks.make_secret, here, "gigs", rotate=False, finish=True)
    assert webhook_secrets("test", "gigs") == (second,)
    assert second.startswith("whsec_")
    assert second != first


@pytest.mark.parametrize(
    ("endpoint", "options", "what"),
    [
        ("lost", {}, "there is no endpoint lost"),
        ("gigs", {"rotate": True}, "has 0 secrets, so there is nothing to rotate; make one"),
        ("gigs", {"finish": True}, "has 0 secrets, so there is nothing to finish"),
        ("gigs", {"rotate": True, "finish": True}, "not both"),
    ],
)
def test_a_rotation_that_makes_no_sense_changes_nothing(
    here: Connection, endpoint: str, options: dict[str, bool], what: str
) -> None:
    asked = {"rotate": False, "finish": False} | options

    assert what in printed(webhooks.make_secret, here, endpoint, code=2, **asked)
    assert webhook_secrets("test", endpoint) == ()


# -- what did not arrive -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_what_was_given_up_or_is_still_tried_is_listed_and_what_arrived_is_not() -> None:
    base = Delivery("acme-billing", "msg_1", "usage.cap_alert", DeliveryState.FAILED, 11, "answered 500", AT)
    for delivery in (
        base,
        replace(base, webhook="msg_2", state=DeliveryState.WAITING, attempts=2),
        replace(base, webhook="msg_3", state=DeliveryState.DELIVERED),
    ):
        keep_delivery(delivery)

    shown = json.loads(printed(webhooks.list_failed, as_json=True))

    assert [(it["webhook"], it["state"], it["attempts"]) for it in shown] == [
        ("msg_1", "failed", 11),
        ("msg_2", "waiting", 2),
    ]
    assert (shown[0]["why"], shown[0]["tried_at"]) == ("answered 500", "2026-10-05T12:00:00Z")
    assert "msg_1" in printed(webhooks.list_failed, as_json=False)


def test_a_webhook_is_replayed_by_its_id_with_the_same_id_and_body(here: Connection) -> None:
    wanted = webhook_id(TOLD[1])

    printed(webhooks.replay, here, "acme-billing", ([wanted], None))

    [message] = queued()
    assert (message["id"], message["endpoint"]) == (wanted, "acme-billing")
    assert json.loads(message["body"])["data"] == TOLD[1].data
    printed(webhooks.replay, here, "acme-billing", ([wanted], None))
    assert [it["id"] for it in queued()] == [wanted], "within five minutes, too"


def test_all_since_an_instant_is_replayed_in_the_order_in_which_it_happened(here: Connection) -> None:
    said = printed(webhooks.replay, here, "acme-billing", ([], AT + timedelta(hours=1)))

    assert "2 webhooks are sent again" in said
    assert [it["id"] for it in queued()] == [webhook_id(told) for told in TOLD[1:]]


def test_a_replay_never_tells_an_endpoint_what_is_not_for_it(here: Connection) -> None:
    assert "0 webhooks" in printed(webhooks.replay, here, "gigs", ([], AT))
    refused = printed(webhooks.replay, here, "gigs", ([webhook_id(TOLD[0])], None), code=2)

    assert "was told nothing in 40 days as msg_" in refused
    assert queued() == []


@pytest.mark.parametrize(
    ("endpoint", "which", "what"),
    [
        ("lost", ([], AT), "there is no endpoint lost"),
        ("gigs", ([], None), "say which"),
        ("gigs", (["msg_1"], AT), "say which"),
        ("gigs", (["msg_1"], None), "was told nothing in 40 days as msg_1"),
    ],
)
def test_a_replay_that_makes_no_sense_sends_nothing(
    here: Connection, endpoint: str, which: tuple[list[str], datetime | None], what: str
) -> None:
    assert what in printed(webhooks.replay, here, endpoint, which, code=2)
    assert queued() == []


def test_an_endpoint_that_is_not_enabled_is_enabled_before_anything_is_replayed(
    here: Connection, tmp_path: Path
) -> None:
    apply(tmp_path, here.registry, {"webhooks/gigs": GIGS + "enabled: false\n"})

    assert "set `enabled: true` in its file" in printed(webhooks.replay, here, "gigs", ([], AT), code=2)


def test_the_commands_are_there() -> None:
    shown = CliRunner().invoke(app, ["webhooks", "--help"]).output

    assert all(name in shown for name in ("list", "secret", "failed", "replay"))
