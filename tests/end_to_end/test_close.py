"""The close of the sample month on the embedded stack, by the real commands: two people, and a bad day at Stripe."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest

from billing.invoices import InvoiceStatus
from billing.periods import Period
from cli.connection import RUN_FOLDER, Connection, connect
from docs.close_transcript import (
    BANK_FEE,
    CLOSED_AT,
    MONTH,
    PAGE,
    Finance,
    close_the_month,
    month_before_its_close,
    steady,
)
from infra.aws.export_bucket import signing_key
from infra.exports.proof import verify_export
from infra.local.player import Player
from ledger.entries import PLATFORM_BOOK
from settlement.month_close import Step
from settlement.reconcile import reconcile


@dataclass
class Closed:
    """A stack on which finance closed October, and what it saw."""

    finance: Finance
    here: Connection
    transcript: str
    folder: Path


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("close")
    with month_before_its_close(folder) as finance:
        transcript = close_the_month(finance)
        yield Closed(finance, connect(finance.stack.address.stack_name), transcript, folder / RUN_FOLDER)


def test_the_whole_close_runs_and_remembers_who_did_what(closed: Closed) -> None:
    close = closed.here.store.month_close(Period(MONTH))
    assert [done.step for done in close.done] == list(Step)
    assert {done.by for done in close.done} == {"ann"}
    assert close.approval is not None
    assert close.approval.by == "bob"
    parked = close.of(Step.PARKED)
    assert parked is not None
    assert len(parked.accepted) == 10


def test_the_page_shows_what_finance_really_sees(closed: Closed) -> None:
    [shown] = re.findall(r"<!-- generated: close -->\n```text\n(.*?)```\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert steady(shown.strip()) == steady(closed.transcript.strip())


def test_a_step_that_failed_half_way_went_on_and_every_invoice_is_at_stripe_once(closed: Closed) -> None:
    assert "sending did not come to its end" in closed.transcript
    invoices = {it.id: it for it in closed.here.store.invoices()}
    assert {it.client for it in invoices.values()} == {"acme", "nordwind", "sakura"}
    objects = closed.finance.stack.sandbox.control("state", method="GET")["objects"]["in"]
    assert sorted(objects) == sorted(str(it.stripe_invoice) for it in invoices.values())


def test_the_books_agree_and_the_export_proves_itself(closed: Closed) -> None:
    assert reconcile(closed.here.store, closed.here.stripe(), CLOSED_AT).is_clean
    key = signing_key(closed.here.stack).public_key()
    assert verify_export(closed.folder / "export", key) == []


def test_every_book_is_locked_and_what_came_by_hand_is_in_the_month(closed: Closed) -> None:
    heads = list(closed.here.store.heads())
    assert len(heads) >= 10
    assert {head.locked_through for head in heads} == {closed.here.store.locked_through()} == {MONTH}
    [fee] = closed.here.store.manual_entries()
    [entry] = closed.here.store.entries_at(PLATFORM_BOOK, [fee.seq])
    assert entry.entry.effective_on == date(2026, 10, 31)


def test_nothing_more_is_dated_in_the_month_by_hand(closed: Closed) -> None:
    path = closed.folder / "late.yaml"
    path.write_text(BANK_FEE.read_text().replace("line 41", "line 42"))
    said = closed.finance.call(f"finance entry propose {path} --by ann", code=2)
    assert "late.yaml:4: effective_on: 2026-10-31 is in a locked month" in said


def test_facts_that_come_late_are_settled_behind_the_lock(closed: Closed) -> None:
    before = {head.book: head.seq for head in closed.here.store.heads()}
    asked = sorted(str(it.stripe_invoice) for it in closed.here.store.invoices() if it.status is InvoiceStatus.OPEN)
    closed.finance.stack.sandbox.control("pay_invoice", {"invoice": asked[0]})
    Player(closed.finance.stack).settle_webhooks()
    new = [
        recorded.entry
        for head in closed.here.store.heads()
        for recorded in closed.here.store.entries(head.book, after=before.get(head.book, 0))
    ]
    assert {entry.reason for entry in new} == {"invoice_paid"}
    assert all(entry.effective_on >= date(2026, 11, 1) for entry in new)


def test_closing_again_changes_nothing_and_shows_the_same_list(closed: Closed) -> None:
    before = {head.book: head.seq for head in closed.here.store.heads()}
    again = closed.finance.call(f"close {MONTH} --by carl").splitlines()
    shown = closed.finance.call(f"close {MONTH} --status").splitlines()
    assert again == [line for line in shown if not line.startswith("      ")]
    assert len([line for line in again if ". Done by ann" in line]) == len(Step)
    assert {head.book: head.seq for head in closed.here.store.heads()} == before


def test_the_pack_holds_what_proves_the_close(closed: Closed) -> None:
    with ZipFile(closed.folder / f"audit-{MONTH}.zip") as pack:
        names = set(pack.namelist())
        manifest = json.loads(pack.read("manifest.json"))
        invoices = json.loads(pack.read("invoices.json"))
        fees = json.loads(pack.read("manual_entries.json"))
    assert names - {"manifest.json"} == set(manifest["files"])
    assert {f"evidence/invoice-{it['client']}-{MONTH}.csv" for it in invoices} <= names
    assert [fee["decided_by"] for fee in fees] == ["bob"]
    assert any(name.startswith(f"export/postings/month={MONTH}/") for name in names)
    assert not any("month=2026-11" in name for name in names)
