"""`solvent run`: the sample month on the embedded stack, from an empty folder to invoices, payouts and books."""

import json
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.apply import apply_folder
from cli.connection import CannotStart, Connection, connect
from cli.finance import export_command
from cli.report import Report, collect, show
from events.facts import format_instant
from infra.aws.export_bucket import signing_key
from infra.aws.secrets import keep_door_secrets
from infra.local.helpdesks import secret_of
from infra.local.player import FunctionFailed, NotAtRest, Player
from infra.local.sample_month import SAMPLE_WORLD, SampleMonth, Trigger, TriggerKind, sample_month, trigger_times
from infra.local.stack import LocalStack, local_stack
from infra.local.stripe_sandbox.store import StateOutdated
from ledger.money import Currency, to_minor_units
from settlement.onboard import onboard
from settlement.plan_payouts import NotPaid, preview

# What the platform puts into its Stripe balance before any client has paid, in major units.
TOP_UPS = {"USD": 5_000, "EUR": 2_500, "JPY": 500_000}
PAYING_CLIENTS = ("acme", "nordwind")
PAYMENT_DAY = date(2026, 11, 10)


class OtherMonth(CannotStart):
    """The folder holds the state of a month of another size."""


def run_month(folder: Path, console: Console, *, serve: bool, fresh: bool, resolutions: int) -> int:
    """Play the sample month in `folder` and report; 0 if everything is accounted for, 1 with the reasons if not.

    A run that was interrupted goes on where it stopped when it is started again, for every step knows what was done;
    `fresh` forgets it instead. Raises OtherMonth if the folder holds a month of another size.
    """
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)  # a polite kill stops everything in order, as Ctrl-C does
    month = sample_month(resolutions)
    _claim(folder, resolutions, fresh=fresh)
    with _started(folder, month) as stack:
        stack.address.enter()
        try:
            report = play(stack, month, folder, console, started)
        except (FunctionFailed, NotAtRest) as error:
            console.print(f"[red]{error}[/red]\nStart it again to go on from here.", soft_wrap=True)
            return 1
        show(report, console)
        console.print(f"Report: {folder / 'report.json'}\nExport: {folder / 'export'}", soft_wrap=True)
        problems = report.problems()
        for problem in problems:
            console.print(f"[red]{problem}[/red]", soft_wrap=True)
        console.print(f"Done in {report.seconds} s")
        if serve:
            _serve(stack, console)
    return 1 if problems else 0


def _claim(folder: Path, resolutions: int, *, fresh: bool) -> None:
    note = folder / "month.json"
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    if note.exists() and json.loads(note.read_text()) != {"resolutions": resolutions}:
        raise OtherMonth(f"{folder} holds another month; start with --fresh to forget it")
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"resolutions": resolutions}))


@contextmanager
def _started(folder: Path, month: SampleMonth) -> Iterator[LocalStack]:
    try:
        with local_stack(folder, datetime.combine(month.first_day, datetime.min.time(), UTC)) as stack:
            yield stack
    except StateOutdated as outdated:
        raise CannotStart(str(outdated)) from None


def play(stack: LocalStack, month: SampleMonth, folder: Path, console: Console, started: float) -> Report:
    """Set the world up, play the month, export the ledger, and write the report."""
    here, player = connect(stack.address.stack_name), Player(stack)
    set_up(stack, here, player, console)
    outcome = play_triggers(stack, here, player, month, trigger_times(month), console)
    export_command(here.store, folder / "export", signing_key(here.stack).sign, console)
    came_in = (len(month.messages), month.expected.cycles)
    seconds = time.monotonic() - started
    end = trigger_times(month)[-1].at
    held = [it for it in preview(here.store, here.registry, end) if isinstance(it, NotPaid)]
    report = collect(here.store, outcome[TriggerKind.RECONCILE], held, came_in, seconds)
    report.write(folder / "report.json")
    return report


def set_up(stack: LocalStack, here: Connection, player: Player, console: Console) -> None:
    """Apply the sample world, share secrets with its helpdesks, give experts Stripe accounts, top up the balance."""
    console.print("Setting up clients, contracts, pay plans, experts, payout policies and doors")
    day = date(2026, 9, 30)
    if apply_folder(SAMPLE_WORLD, here.registry, day, console, check_only=False, identity=lambda: "solvent run"):
        raise SystemExit(2)
    for name in {door.secret for door in here.registry.doors().values() if door.secret}:
        keep_door_secrets(here.stack, name, (secret_of(name),))
    list(onboard(here.store, here.registry, stack.gateway(), datetime(2026, 9, 30, tzinfo=UTC)))
    _top_up(stack, player)


def _top_up(stack: LocalStack, player: Player) -> None:
    """Experts are paid before the first client has paid, so the platform brings money of its own."""
    gateway = stack.gateway()
    for code, amount in TOP_UPS.items():
        minor_units = int(to_minor_units(Fraction(amount), Currency(code)))
        gateway.top_up(f"sample-month:{code}", minor_units, Currency(code))
    player.settle_webhooks()


def play_triggers(  # what is played, and where
    stack: LocalStack,
    here: Connection,
    player: Player,
    month: SampleMonth,
    triggers: Iterable[Trigger],
    console: Console,
) -> dict[TriggerKind, dict[str, Any]]:
    """Fire triggers, which are in order of time, and send what came in before each; the last answer of each kind."""
    outcomes: dict[TriggerKind, dict[str, Any]] = {}
    sent = 0
    with _progress(console) as progress:
        task = progress.add_task("Playing October 2026", total=len(month.messages))
        for trigger in triggers:
            now = format_instant(trigger.at)
            due = [it for it in month.messages[sent : sent + len(month.messages)] if str(it["received_at"]) <= now]
            if due:
                player.play(due, lambda number: progress.advance(task, number))
                sent += len(due)
                player.rest("facts")
            progress.update(task, description=f"Playing {trigger.at:%d %B}")
            outcomes[trigger.kind] = _fire(stack, here, player, trigger)
    return outcomes


def _fire(stack: LocalStack, here: Connection, player: Player, trigger: Trigger) -> dict[str, Any]:
    player.set_clock(trigger.at)
    if trigger.kind is TriggerKind.ISSUE_INVOICES and trigger.at.date() == PAYMENT_DAY:
        _pay_invoices(stack, here)
        player.settle_webhooks()
    answer = player.trigger(trigger.kind.value, trigger.at)
    if answer.get("failed"):
        raise FunctionFailed(f"{trigger.kind} at {trigger.at}: {answer['failed']}")
    if trigger.kind in {TriggerKind.RUN_PAYOUTS, TriggerKind.RECONCILE}:
        player.rest("payouts")
    if trigger.kind is not TriggerKind.SWEEP_DUE:
        player.settle_webhooks()
    return answer


def _pay_invoices(stack: LocalStack, here: Connection) -> None:
    for invoice in here.store.invoices():
        if invoice.client in PAYING_CLIENTS and invoice.stripe_invoice and invoice.status.value == "open":
            stack.sandbox.control("pay_invoice", {"invoice": invoice.stripe_invoice})


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        yield progress


def _serve(stack: LocalStack, console: Console) -> None:
    """Keep the stack up until Ctrl-C or a polite kill."""
    console.print(f"Serving at {stack.address.api_url} until Ctrl-C. In another terminal: .venv/bin/solvent --help")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("Stopping")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
