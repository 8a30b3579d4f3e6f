"""The sample month on the embedded stack: the real template, queues, functions and stripe SDK."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from cli.connection import Connection, connect
from cli.report import Report
from cli.run import play, set_up
from docs.generate import run_block
from infra.aws.tables import AnnouncementItem
from infra.exports import export_ledger, open_export
from infra.formats import write_format
from infra.local.player import Player
from infra.local.sample_month import SampleMonth, sample_month
from infra.local.stack import LocalStack, local_stack, running_stack
from ledger.balances import trial_balance
from settlement.announcements import Announcement
from settlement.ports import Changes
from settlement.release import release
from tests.bean_counting import bean_balances, in_beancount

RESOLUTIONS = 3000
START = datetime(2026, 10, 1, tzinfo=UTC)


@dataclass
class Played:
    """A stack on which the month was played."""

    stack: LocalStack
    here: Connection
    month: SampleMonth
    report: Report
    folder: Path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("run")
    month = sample_month(RESOLUTIONS)
    with patch.dict(os.environ), local_stack(folder, START) as stack:
        stack.address.enter()
        report = play(stack, month, folder, Console(file=StringIO()), 0)
        yield Played(stack, connect(stack.address.stack_name), month, report, folder)


def everything(here: Connection) -> object:
    """All that may not change when nothing new happened."""
    entries = [recorded.entry for head in here.store.heads() for recorded in here.store.entries(head.book)]
    return (
        trial_balance(entries).balances,
        len(entries),
        here.store.payable(),
        sorted(here.store.payouts(), key=lambda payout: payout.id),
        sorted(here.store.invoices(), key=lambda invoice: invoice.id),
    )


def test_the_month_ends_with_everything_accounted_for(played: Played) -> None:
    assert played.report.problems() == []
    assert played.report.resolutions == RESOLUTIONS
    assert played.report.reconciled
    assert played.report.books_verified == len(list(played.here.store.heads()))
    assert {invoice["client"] for invoice in played.report.invoices} == {"acme", "nordwind", "sakura"}


def test_the_readme_shows_what_the_month_really_ends_with(played: Played) -> None:
    """But for payouts: which expert's resolution takes which tier depends on the order of settlement within a day."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    lines = run_block(played.report).splitlines()
    shown = [
        line for line in lines if line.startswith(("acme ", "nordwind ", "sakura ", "charged ", "waived", "reversed "))
    ]
    assert len(shown) == 8
    assert [line for line in shown if line not in readme] == []


def test_beancount_accepts_the_journal_of_the_run_and_comes_to_the_same_balances(
    played: Played, tmp_path: Path
) -> None:
    export_ledger(played.here.store, tmp_path / "export")
    with open_export(tmp_path / "export") as export:
        journal, *_ = write_format(export, "beancount", tmp_path / "books")

    entries = [it.entry for head in played.here.store.heads() for it in played.here.store.entries(head.book)]
    assert bean_balances(journal) == in_beancount(entries)


def test_what_was_parked_is_exactly_what_the_month_holds_to_be_parked(played: Played) -> None:
    expected = played.month.expected
    assert played.report.parked == {
        "malformed": expected.malformed,
        "unknown_expert": expected.unknown_expert,
        "no_matching_rate": expected.unpriced,
    }


def test_every_payout_has_a_transfer_of_its_own_at_stripe(played: Played) -> None:
    objects = played.stack.sandbox.control("state", method="GET")["objects"]["tr"]
    made = {(id_, it["amount"], it["transfer_group"]) for id_, it in objects.items()}
    assert made == {(it.stripe_transfer, it.amount, it.id) for it in played.here.store.payouts()}
    assert made


def test_paid_invoices_reached_the_balance_less_stripes_fee(played: Played) -> None:
    paid = [invoice for invoice in played.here.store.invoices() if invoice.status == "paid"]
    assert [payment.is_available for invoice in paid for payment in invoice.payments] == [True, True]
    fees = {invoice.currency: sum(payment.fee for payment in invoice.payments) for invoice in paid}
    entries = [it.entry for head in played.here.store.heads() for it in played.here.store.entries(head.book)]
    booked = {
        code: minor for (account, code), minor in trial_balance(entries).balances.items() if account == "cost/fees"
    }
    assert booked == fees


def test_no_personal_data_is_in_any_table(played: Played) -> None:
    client = played.stack.client("dynamodb")
    for table in client.list_tables()["TableNames"]:
        text = json.dumps(client.scan(TableName=table)["Items"], default=str)
        assert "PII-TEST" not in text
        assert "jane.doe" not in text


def test_a_usage_alert_is_on_the_event_bus_once_half_of_the_cap_is_used(played: Played) -> None:
    events, sqs = played.stack.client("events"), played.stack.client("sqs")
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = played.stack.address.stack_name
    pattern = json.dumps({"source": ["solvent.engine"]})
    events.put_rule(Name="listen", EventBusName=bus, EventPattern=pattern, State="ENABLED")
    events.put_targets(Rule="listen", EventBusName=bus, Targets=[{"Id": "listener", "Arn": arn}])
    [kept] = [it for it in AnnouncementItem.scan() if it.announcement_id == "usage:acme:2026-10:cap:50"]
    data = json.loads(kept.data)
    assert (data["cap_minor"], data["percent"]) == (200_000, 50)
    assert 100_000 <= data["charged_minor"] < 101_000
    told = Announcement("test:1", "usage.cap_alert", "acme", START, data, "test")
    played.here.store.commit(Changes(announcements=(told,)))
    deadline = time.monotonic() + 20
    bodies: list[str] = []
    while not bodies and time.monotonic() < deadline:
        bodies = [it["Body"] for it in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])]
    assert [json.loads(body)["detail"]["id"] for body in bodies] == ["test:1"]
    assert json.loads(bodies[0])["detail"]["data"] == data


def test_no_message_was_given_up(played: Played) -> None:
    assert Player(played.stack).given_up() == {}


def test_playing_the_same_month_again_into_the_same_stack_changes_nothing(played: Played) -> None:
    before = everything(played.here)
    again = play(played.stack, played.month, played.folder, Console(file=StringIO()), 0)
    assert everything(played.here) == before
    assert again.problems() == []


def test_a_forged_webhook_is_refused_and_queues_nothing(played: Played) -> None:
    import urllib.error  # noqa: PLC0415  # only this test speaks HTTP itself
    import urllib.request  # noqa: PLC0415

    url = f"{played.stack.address.api_url}/stripe/webhooks/platform"
    for headers in ({}, {"Stripe-Signature": "t=1,v1=00"}):
        request = urllib.request.Request(url, b"{}", headers)  # noqa: S310  # loopback
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)  # noqa: S310  # loopback
        assert refused.value.code == 401
        refused.value.close()


def test_an_unknown_expert_is_paid_once_applied_and_released(played: Played) -> None:
    store, registry = played.here.store, played.here.registry
    parked = next(item for item in store.parked() if item.reason == "unknown_expert")
    assert release(store, registry, parked.id, datetime(2026, 11, 16, tzinfo=UTC)).parked == 1
    assert store.find_parked(parked.id) is not None


def test_a_run_that_was_stopped_half_way_goes_on_when_it_is_started_again(tmp_path: Path) -> None:
    month, console = sample_month(100), Console(file=StringIO())
    with patch.dict(os.environ), local_stack(tmp_path, START) as stack:
        stack.address.enter()
        player = Player(stack)
        set_up(stack, connect(stack.address.stack_name), player, console)
        player.play(month.messages[: len(month.messages) // 2])  # and stop at once, with facts in the queue
    assert running_stack(tmp_path) is None
    with patch.dict(os.environ), local_stack(tmp_path, START) as stack:
        stack.address.enter()
        report = play(stack, month, tmp_path, console, 0)
    assert report.problems() == []
    assert report.resolutions == 100
