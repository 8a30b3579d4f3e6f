"""The sandbox as a process: one line of output, a clean end, and a state that outlives it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import stripe

from infra.local.stripe_sandbox import Settings, StripeSandbox
from infra.local.stripe_sandbox.store import StateOutdated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sandbox.conftest import ClientMaker, InvoiceMaker, Receiver

COMMAND = [sys.executable, "-m", "infra.local.stripe_sandbox", "--api-key", "sk_test_process"]
STARTED_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@contextmanager
def process(state: Path, end_by: signal.Signals) -> Iterator[stripe.StripeClient]:
    """A sandbox process and its client; ended by the signal, and expected to end well."""
    command = [*COMMAND, "--state", str(state), "--now", "2026-03-02T09:00:00Z", "--new-accounts", "active"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - our own module
        try:
            assert running.stdout is not None
            url = json.loads(running.stdout.readline())["url"]
            yield stripe.StripeClient("sk_test_process", base_addresses={"api": url})
        finally:
            running.send_signal(end_by)
            assert running.wait(timeout=10) == 0


def test_a_restart_keeps_objects_balances_ids_and_idempotency_keys(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    with process(state, signal.SIGTERM) as client:
        first = client.v1.topups.create({"amount": 500, "currency": "usd"}, {"idempotency_key": "top-up-1"})

    with process(state, signal.SIGINT) as client:
        replayed = client.v1.topups.create({"amount": 500, "currency": "usd"}, {"idempotency_key": "top-up-1"})
        second = client.v1.topups.create({"amount": 70, "currency": "usd"}, {"idempotency_key": "top-up-2"})
        balance = client.v1.balance.retrieve().available[0].amount

    assert replayed.id == first.id == "tu_sandbox000001"
    assert second.id == "tu_sandbox000002"
    assert balance == 570
    assert not (tmp_path / "stripe.json.new").exists()


def test_a_restart_keeps_the_clock_the_agenda_and_pending_webhooks(
    tmp_path: Path, client_of: ClientMaker, receiver: Receiver
) -> None:
    state = tmp_path / "stripe.json"
    with StripeSandbox(now=STARTED_AT, state_file=state, settings=Settings(topup_days=1)) as sandbox:
        client = client_of(sandbox)
        client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["topup.created"]})
        sandbox.control("webhooks", {"hold": True})
        sandbox.control("clock", {"now": "2026-03-05T09:00:00Z"})
        client.v1.topups.create({"amount": 500, "currency": "usd"})
    assert receiver.received == []

    with StripeSandbox(now=STARTED_AT, state_file=state) as sandbox:
        client = client_of(sandbox)
        assert sandbox.control("health", method="GET")["now"] == "2026-03-05T09:00:00Z"
        assert sandbox.control("webhooks/flush") == {"delivered": 1, "failed": 0, "pending": 0}
        assert client.v1.balance.retrieve().available[0].amount == 0
        sandbox.control("clock", {"now": "2026-03-06T09:00:00Z"})
        assert client.v1.balance.retrieve().available[0].amount == 500


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    state.write_text('{"version": 0}', encoding="utf-8")

    with pytest.raises(StateOutdated, match="another version"):
        StripeSandbox(now=STARTED_AT, state_file=state)


def test_equal_runs_give_equal_states(client_of: ClientMaker) -> None:
    states = []
    for _run in range(2):
        with StripeSandbox(now=STARTED_AT) as sandbox:
            client = client_of(sandbox)
            customer = client.v1.customers.create({"name": "Acme"}, {"idempotency_key": "c"})
            client.v1.invoices.create({"customer": customer.id}, {"idempotency_key": "i"})
            states.append(sandbox.control("state", method="GET"))

    assert states[0] == states[1]


def test_a_reset_forgets_everything_and_returns_to_the_first_time(
    sandbox: StripeSandbox, client: stripe.StripeClient, open_invoice: InvoiceMaker
) -> None:
    open_invoice(1_000)
    sandbox.control("clock", {"now": "2026-04-01T00:00:00Z"})

    sandbox.control("reset")

    assert sandbox.control("health", method="GET")["now"] == "2026-03-02T09:00:00Z"
    assert not client.v1.invoices.list().data
    assert client.v1.customers.create({}).id == "cus_sandbox000001"


def test_without_a_time_the_sandbox_follows_the_wall_clock(client_of: ClientMaker) -> None:
    before = int(datetime.now(UTC).timestamp())
    with StripeSandbox() as sandbox:
        created = client_of(sandbox).v1.customers.create({}).created
        with pytest.raises(ValueError, match="wall clock"):
            sandbox.control("clock", {"now": "2030-01-01T00:00:00Z"})

    assert before <= created <= int(datetime.now(UTC).timestamp())
