"""`solvent close`: the checklist of a month, run as far as it goes, shown, and approved by the second person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import TypeAdapter
from rich.console import Console

from billing.periods import Period
from cli.close_pack import PackedRegistry, PackedStore, pack_month
from cli.printing import DONE, FAILED, refused, say
from infra.exports import export_ledger
from infra.exports.manifests import Sign
from infra.exports.proof import verify_export
from infra.exports.runs import EXPORT_FAILS
from infra.exports.slices import Journal
from settlement.month_close import (
    Blocker,
    CloseRefused,
    MonthClose,
    Outcome,
    Person,
    Ran,
    Step,
    approve_invoices,
    run_close,
    transcript,
)
from settlement.month_steps import Closing
from settlement.ports import Contention
from settlement.stripe_port import Stripe

_CLOSE: TypeAdapter[MonthClose] = TypeAdapter(MonthClose)


class ClosedStore(PackedStore, Journal, Protocol):
    """What a close reads and writes, its export included."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A month to close: by whom, as of when, up to which step, and what is accepted with which reason.

    `folder` is where the export and the pack are.
    """

    month: Period
    by: str | None
    as_of: datetime
    folder: Path
    until: Step = Step.PACK
    accepts: Mapping[Step, str] = field(default_factory=dict)

    @property
    def export(self) -> Path:
        """The export, of all months."""
        return self.folder / "export"

    @property
    def pack(self) -> Path:
        """The archive of this month."""
        return self.folder / f"audit-{self.month}.zip"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a month is closed; manifests are signed by `sign`, and proven with `public_key` (PEM)."""

    store: ClosedStore
    registry: PackedRegistry
    stripe: Stripe
    sign: Sign
    public_key: bytes


def close_month(desk: Desk, wanted: Wanted, console: Console) -> int:
    """Run what is not done yet and print the whole checklist; 1 if a step is blocked, 2 for what cannot be asked."""
    if wanted.by is None or not wanted.by.strip():
        return refused("Say who you are with --by NAME; it is kept with every step. Nothing was done.", console)
    steps = _closing(desk, wanted).steps()
    person = Person(wanted.by, wanted.as_of, wanted.accepts)
    try:
        ran = list(run_close(desk.store, wanted.month, steps, person, wanted.until))
    except CloseRefused as wrong:
        return refused(wrong, console)
    except Contention as contention:
        return refused(f"{contention}. Run the close again.", console, FAILED)
    _show(desk.store.month_close(wanted.month), ran, console)
    return DONE if all(it.done for it in ran) else FAILED


def show_close(store: PackedStore, month: Period, console: Console, *, as_json: bool = False) -> int:
    """Print what is done of a month, and by whom; nothing is run. 1 while a step is not done."""
    close = store.month_close(month)
    if as_json:
        console.print_json(_CLOSE.dump_json(close).decode())
    else:
        _show(close, None, console)
    return DONE if close.next_step is None else FAILED


def approve(store: PackedStore, month: Period, approved: str, by: str | None, as_of: datetime, console: Console) -> int:
    """Approve the drafted invoices of a month as the second person."""
    if by is None or not by.strip():
        return refused("Say who approves this with --by NAME. Nothing was written.", console)
    try:
        approve_invoices(store, month, approved, by, as_of)
    except CloseRefused as wrong:
        return refused(wrong, console)
    except Contention as contention:
        return refused(f"{contention}. Approve it again.", console, FAILED)
    say(f"The invoices of {month} are approved by {by}; `solvent close {month}` goes on.", console)
    return DONE


def _show(close: MonthClose, ran: Sequence[Ran] | None, console: Console) -> None:
    say(f"Close of {close.month}", console)
    for line in transcript(close, ran):
        say(line, console)


# -- the steps that write files ----------------------------------------------------------------------------------------


def _closing(desk: Desk, wanted: Wanted) -> Closing:
    def pack(close: MonthClose) -> Outcome:
        sha256 = pack_month(closing, desk.store, desk.registry, close, wanted.pack, wanted.export)
        return Outcome((f"{wanted.pack.name}, SHA-256 {sha256}",))

    closing = Closing(
        desk.store, desk.registry, desk.stripe, wanted.month, wanted.as_of, lambda: _export(desk, wanted), pack
    )
    return closing


def _export(desk: Desk, wanted: Wanted) -> Outcome:
    """Bring the export up to the heads of the books, and prove all of it."""
    try:
        added = export_ledger(desk.store, wanted.export, desk.sign)
        problems = verify_export(wanted.export, desk.public_key)
    except (*EXPORT_FAILS, BotoCoreError, ClientError) as wrong:
        problems = [f"the export was not finished: {wrong}"]
        added = []
    look = f"`solvent finance verify {wanted.export}` says the same; mend it, and run the close again"
    said = [f"run {it.run}: {it.entries:,} entries of {len(it.books):,} books" for it in added]
    said += [] if problems else ["the export proves itself"]
    return Outcome(tuple(said), tuple(Blocker(problem, look) for problem in problems))
