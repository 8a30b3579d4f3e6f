"""How finance gets an export and proves it: from the tables or from the stack's bucket, and against its public key."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.printing import DONE, FAILED, REFUSED, refused, say
from infra.exports.folders import Folder
from infra.exports.manifests import Manifest, Sign, add_up
from infra.exports.proof import verify_export
from infra.exports.runs import EXPORT_FAILS, export_ledger, mirror
from infra.exports.slices import Journal
from ledger.money import format_minor_units

SHOWN_PROBLEMS = 20
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def export_command(journal: Journal, folder: Path, sign: Sign | None, console: Console) -> int:
    """Bring an export up to date, with a progress bar; 1 when a book is broken or the folder is taken.

    Ctrl-C ends it with 1; what was written stays, and the next export goes on from there.
    """
    with Progress(*_COLUMNS, console=console) as bar:
        task = bar.add_task("Exporting entries", total=None)

        def advance(more: int, entries: int) -> None:
            bar.update(task, total=entries, advance=more)

        try:
            added = export_ledger(journal, folder, sign, advance)
        except EXPORT_FAILS as wrong:
            bar.stop()
            return refused(f"The export was not finished. {wrong}", console, FAILED)
        except KeyboardInterrupt:
            bar.stop()
            return refused("Stopped. The same command goes on from here.", console, FAILED)
    _print_added(added, folder, console)
    return DONE


def mirror_command(bucket: Folder, folder: Path, console: Console) -> int:
    """Copy what a folder lacks of the export in the bucket; 1 when a file is not what its manifest says."""
    try:
        added = mirror(bucket, folder)
    except EXPORT_FAILS as wrong:
        return refused(f"The copy was not finished. {wrong}", console, FAILED)
    _print_added(added, folder, console)
    return DONE


def _print_added(added: Sequence[Manifest], folder: Path, console: Console) -> None:
    if not added:
        say(f"Nothing new: {folder} is up to date.", console)
        return
    table = Table("Currency", title="Control totals")
    for name in ("Entries", "Postings", "Debit", "Credit"):
        table.add_column(name, justify="right")
    for total in add_up(manifest.totals for manifest in added):
        amounts = (format_minor_units(minor_units, total.currency) for minor_units in (total.debit, total.credit))
        table.add_row(total.currency, f"{total.entries:,}", f"{total.postings:,}", *amounts)
    console.print(table)
    entries, files = sum(it.entries for it in added), sum(len(it.files) for it in added)
    books = {book.book for manifest in added for book in manifest.books}
    runs = f"run {added[0].run}" if len(added) == 1 else f"runs {added[0].run} to {added[-1].run}"
    say(f"{entries:,} entries of {len(books):,} books in {files:,} files, {runs}: {folder}", console)


def verify_command(
    folder: Path, key: bytes | None, console: Console, *, expect_run: int | None = None, anchor: Folder | None = None
) -> int:
    """Say whether an export proves itself; 1 and what is wrong if it does not."""
    try:
        problems = verify_export(folder, key, expect_run, anchor)
    except ValueError as no_key:
        return refused(no_key, console, REFUSED)
    if not problems:
        say(f"{folder} proves itself: signatures, files, books, posting rules and control totals.", console)
        return DONE
    for problem in problems[:SHOWN_PROBLEMS]:
        refused(problem, console)
    if len(problems) > SHOWN_PROBLEMS:
        refused(f"and {len(problems) - SHOWN_PROBLEMS:,} more", console)
    return FAILED
