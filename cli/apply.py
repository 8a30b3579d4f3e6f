"""`solvent apply`: bring a folder of terms into the registry, checked as a whole before anything is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.printing import DONE, FAILED, REFUSED, say
from cli.terms_files import read_folder
from cli.yaml_documents import BrokenFiles, FileProblem
from settlement.apply import Change, Kind, NewTerms, TermsRefused, count_unchanged, plan_changes
from settlement.ports import Contention
from settlement.price_changes import (
    PriceChange,
    PriceRegistry,
    content_hash,
    propose,
    sign_first_versions,
    split_price_changes,
)

_SIGNED = {Kind.CONTRACT, Kind.PAY_PLAN, Kind.PAYOUT_POLICY}
Identity = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the documents change: at once, and after a second person approved it."""

    terms: NewTerms
    at_once: tuple[Change, ...]
    waiting: tuple[PriceChange, ...]

    @property
    def is_recorded(self) -> bool:
        """Whether it is to be recorded who did this."""
        return bool(self.waiting) or any(change.kind in _SIGNED for change in self.at_once)


def nobody() -> None:
    """The identity of a caller who does not say who they are."""


def apply_folder(
    folder: Path,
    registry: PriceRegistry,
    as_of: date,
    console: Console,
    *,
    check_only: bool,
    identity: Identity = nobody,
) -> int:
    """Make the registry say what the files say, and print what changed; the exit code.

    0: done, or nothing to do. 2: the files have problems, one a line as `file:line: field: problem`, and nothing was
    written. 1: somebody else changed the registry meanwhile; applying again completes what was begun, as after a crash.
    Changes of agreed prices and pay are not written but wait for a second person; without an `identity` to propose them
    nothing is written, and the code is 2. With `check_only` nothing is written.
    """
    try:
        read = read_folder(folder)
    except BrokenFiles as broken:
        return refuse(broken.problems, console)
    current = registry.current_terms()
    try:
        changes = plan_changes(current, read.terms, as_of)
    except TermsRefused as refused:
        found = {read.problem(it.place, it.path, it.what, it.other) for it in refused.problems}
        return refuse(sorted(found), console)
    plan = _Plan(read.terms, *split_price_changes(current, changes))
    if not check_only:
        return _write(plan, registry, as_of, identity() if plan.is_recorded else None, console)
    _summarise(plan, console, check_only=True)
    return DONE


def _write(plan: _Plan, registry: PriceRegistry, as_of: date, by: str | None, console: Console) -> int:
    if plan.waiting and by is None:
        names = ", ".join(change.id for change in plan.waiting)
        say(f"The terms of {names} change: say who proposes that with --by NAME. Nothing was written.", console)
        return REFUSED
    try:
        registry.write(sign_first_versions(plan.at_once, by, as_of))
        proposal = propose(registry, plan.waiting, by, as_of) if plan.waiting and by is not None else None
    except Contention as contention:
        say(f"{contention}. Apply the folder again.", console)
        return FAILED
    _summarise(plan, console, check_only=False)
    if proposal is not None:
        name = "" if proposal.proposed_by.startswith("arn:") else " --by NAME"
        say(f"Proposed by {proposal.proposed_by} on {proposal.proposed_on}; a second person approves it with", console)
        say(f"solvent contract approve {proposal.id}{name}", console)
    return DONE


def refuse(problems: Sequence[FileProblem], console: Console, consequence: str = "; nothing was written") -> int:
    """Print every problem and what follows from that; the exit code."""
    for problem in problems:
        say(str(problem), console)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    say(f"{count}{consequence}.", console)
    return REFUSED


def _summarise(plan: _Plan, console: Console, *, check_only: bool) -> None:
    if plan.at_once:
        table = Table("kind", "id", "what would change" if check_only else "what changed")
        for change in plan.at_once:
            table.add_row(change.kind.replace("_", " "), Text(change.id), Text(change.what))
        console.print(table)
    if plan.waiting:
        table = Table("kind", "id", "what would change once a second person approves it")
        for waits in plan.waiting:
            table.add_row(waits.kind.replace("_", " "), Text(waits.id), Text(waits.what))
        console.print(table)
    unchanged = count_unchanged(plan.terms, plan.at_once) - len(plan.waiting)
    changed, waiting = ("would change", "would wait") if check_only else ("changed", "waiting")
    rest = f"{len(plan.waiting)} {waiting} for approval ({content_hash(plan.waiting)}), " if plan.waiting else ""
    say(f"{len(plan.at_once)} {changed}, {rest}{unchanged} unchanged.", console)
