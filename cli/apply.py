"""`solvent apply`: bring a folder of terms into the registry, checked as a whole before anything is written."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.terms_files import BrokenFiles, FileProblem, read_folder
from settlement.apply import Change, NewTerms, TermsRefused, TermsRegistry, count_unchanged, plan_changes
from settlement.ports import Contention

DONE, UNEXPECTED, REFUSED = 0, 1, 2


def apply_folder(folder: Path, registry: TermsRegistry, as_of: date, console: Console, *, check_only: bool) -> int:
    """Make the registry say what the files say, and print what changed; the exit code.

    0: done, or nothing to do. 2: the files have problems, one a line as `file:line: field: problem`, and nothing was
    written. 1: somebody else changed the registry meanwhile; applying again completes what was begun, as after a crash.
    With `check_only` nothing is written.
    """
    try:
        read = read_folder(folder)
    except BrokenFiles as broken:
        return _refuse(broken.problems, console)
    try:
        changes = plan_changes(registry.current_terms(), read.terms, as_of)
    except TermsRefused as refused:
        found = {read.problem(it.place, it.path, it.what, it.other) for it in refused.problems}
        return _refuse(sorted(found), console)
    try:
        if not check_only:
            registry.write(changes)
    except Contention as contention:
        _say(f"{contention}. Apply the folder again.", console)
        return UNEXPECTED
    _summarise(changes, read.terms, console, check_only=check_only)
    return DONE


def _refuse(problems: Sequence[FileProblem], console: Console) -> int:
    for problem in problems:
        _say(str(problem), console)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    _say(f"{count}; nothing was written.", console)
    return REFUSED


def _summarise(changes: Sequence[Change], terms: NewTerms, console: Console, *, check_only: bool) -> None:
    if changes:
        table = Table("kind", "id", "what would change" if check_only else "what changed")
        for change in changes:
            table.add_row(change.kind.replace("_", " "), Text(change.id), Text(change.what))
        console.print(table)
    verb = "would change" if check_only else "changed"
    _say(f"{len(changes)} {verb}, {count_unchanged(terms, changes)} unchanged.", console)


def _say(line: str, console: Console) -> None:
    """Print as it is: no markup, since fields have brackets, and no wrapping, since tools read the lines."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
