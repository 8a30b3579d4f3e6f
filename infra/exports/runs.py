"""A run: planned once, written slice by slice by whoever comes, and sealed by whoever finishes the last one.

Each step is safe to repeat, and rivals at one step do no harm: the plan and what a slice wrote are put once, slices are
the same bytes whoever makes them, and only a run of which all slices are written gets a manifest.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from infra.exports.folders import Folder, LocalFolder
from infra.exports.manifests import (
    MANIFESTS,
    PLAN,
    WRITTEN,
    ExportedFile,
    Manifest,
    Plan,
    Sign,
    SignedManifest,
    Written,
    by_path,
    manifest_names,
    manifest_of,
    manifest_path,
    parse_manifest,
    plan_run,
    read_manifest,
    read_manifests,
)
from infra.exports.rows import ENTRIES, POSTINGS
from infra.exports.slices import Journal, make_slice
from infra.replacing import locked

WORK = "work"
ENTRIES_PER_SLICE = 50_000

Progress = Callable[[int, int], None]


class ExportChanged(RuntimeError):
    """Something in the export is not what a run wrote there; look at it with `solvent finance verify`."""


# What an export may end with: a broken ledger or manifest, a folder of another kind, no space, no memory.
EXPORT_FAILS = (ExportChanged, ValueError, OSError, duckdb.Error)


class RunNotBegun(LookupError):
    """Nobody planned this run here: its plan was removed, or the message is another stack's."""

    def __init__(self, run: int) -> None:
        super().__init__(f"run {run} has no plan; the next event of the schedule makes one")


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of an export; `work` keeps what is planned and what is written of those that are under way."""

    folder: Folder
    work: Folder

    def last(self) -> Manifest | None:
        """The manifest of the last run."""
        names = manifest_names(self.folder)
        return read_manifest(self.folder, names[-1]) if names else None

    def begin(self, journal: Journal, entries_per_slice: int = ENTRIES_PER_SLICE) -> Plan | None:
        """The plan of the run that is under way, else of the next one; None if there is nothing to export.

        Raises BookBroken for a ledger that is not the one that was exported before.
        """
        begun = self.under_way()
        plan = begun or plan_run(self.last(), journal.heads(), entries_per_slice)
        if begun or plan is None:
            return plan
        return PLAN.validate_json(self.work.put_once(_plan_path(plan.run), PLAN.dump_json(plan)))

    def under_way(self) -> Plan | None:
        """The plan of the run that was begun and has no manifest yet."""
        last = self.last()
        return self.plan(last.run + 1 if last else 1)

    def plan(self, run: int) -> Plan | None:
        """The plan of a run; None if it was not begun."""
        found = self.work.read(_plan_path(run))
        return PLAN.validate_json(found) if found else None

    def missing(self, plan: Plan) -> list[int]:
        """The slices that are not written yet, counted from 1."""
        there = set(self.work.names(f"{plan.run:06d}/"))
        return [number for number in range(1, len(plan.slices) + 1) if _written_path(plan.run, number) not in there]

    def write_slice(
        self, journal: Journal, plan: Plan, number: int, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Write the files of a slice, then what they are. Raises BookBroken, or ExportChanged for others there."""
        with TemporaryDirectory() as scratch:
            made = make_slice(journal, plan.slices[number - 1], Path(scratch), progress)
            files = []
            for file in made.files:
                path = f"{file.kind}/month={file.month}/{plan.run:06d}-{number:04d}.parquet"
                content = file.path.read_bytes()
                if self.folder.put_once(path, content) != content:
                    raise ExportChanged(f"{path} was there with another content; compare it, remove it, and go on")
                files.append(ExportedFile(path, file.rows, len(content), hashlib.sha256(content).hexdigest()))
        written = Written(tuple(files), made.books, made.totals)
        self.work.put_once(_written_path(plan.run, number), WRITTEN.dump_json(written))

    def seal(self, plan: Plan, sign: Sign | None) -> Manifest:
        """Sign and write the manifest of a run of which all slices are written. Raises BookBroken if not."""
        there = self.folder.read(manifest_path(plan.run))
        if there is None:
            paths = (_written_path(plan.run, number) for number in range(1, len(plan.slices) + 1))
            manifest = manifest_of(plan, [WRITTEN.validate_json(self.work.read(path) or b"") for path in paths])
            signed = SignedManifest(manifest, sign(manifest.content()) if sign else b"")
            there = self.folder.put_once(manifest_path(plan.run), signed.text())
        return parse_manifest(there).manifest


def _plan_path(run: int) -> str:
    return f"{run:06d}/plan.json"


def _written_path(run: int, number: int) -> str:
    return f"{run:06d}/{number:04d}.json"


# -- in a folder of this machine ---------------------------------------------------------------------------------------


def export_ledger(
    journal: Journal,
    folder: Path,
    sign: Sign | None = None,
    progress: Progress = lambda _, __: None,
    entries_per_slice: int = ENTRIES_PER_SLICE,
) -> list[Manifest]:
    """Bring the export in `folder` up to the heads that the books have now; the manifests of the runs that were added.

    A run that was interrupted goes on first, with the slices that it lacks. `progress` is told how many more entries
    were read, and how many the run has. Without `sign` manifests are not signed, and `verify_export` says so.
    Raises BookBroken for a book that does not prove itself, and FileExistsError for a folder that holds anything but an
    export, or that another process is at.
    """
    folder = folder.resolve()
    _refuse_other_folder(folder)
    work = folder / WORK
    runs = Runs(LocalFolder(folder, work), LocalFolder(work))
    added: list[Manifest] = []
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as at_end:
        at_end.callback(os.close, locked(work))
        for find in (runs.under_way, lambda: runs.begin(journal, entries_per_slice)):
            if plan := find():
                for number in runs.missing(plan):
                    runs.write_slice(journal, plan, number, _of(plan, progress))
                added.append(runs.seal(plan, sign))
        shutil.rmtree(work)
    return added


def _of(plan: Plan, progress: Progress) -> Callable[[int], None]:
    return lambda more: progress(more, plan.entries)


def _refuse_other_folder(folder: Path) -> None:
    if folder.exists():
        others = sorted({path.name for path in folder.iterdir()} - {MANIFESTS, ENTRIES, POSTINGS, WORK})
        if others:
            raise FileExistsError(f"{folder} holds {others[0]}, which is no part of an export; name another folder")


def mirror(source: Folder, folder: Path) -> list[Manifest]:
    """Copy to `folder` what its manifests name and it lacks; the manifests that were added.

    Manifests come last, so that an interrupted copy is what it was before, and more. Raises ExportChanged for a file
    that is not what its manifest says, and, before anything is touched, for a folder that holds other runs.
    """
    folder = folder.resolve()
    _refuse_other_folder(folder)
    work, manifests = folder / WORK, read_manifests(source)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as at_end:
        at_end.callback(os.close, locked(work))
        target = LocalFolder(folder, work)
        _refuse_other_runs(source, target, manifests)
        for path, file in by_path(manifests).items():
            there = folder / path
            if not there.exists() or there.stat().st_size != file.bytes:
                there.unlink(missing_ok=True)
                _expect(file, target.put_once(path, source.read(path) or b""))
            else:
                _expect(file, there.read_bytes())
        added = [it for it in manifests if target.read(manifest_path(it.run)) is None]
        for manifest in manifests:
            path = manifest_path(manifest.run)
            target.put_once(path, source.read(path) or b"")
        shutil.rmtree(work)
    return added


def _refuse_other_runs(source: Folder, target: Folder, manifests: Sequence[Manifest]) -> None:
    for path in (manifest_path(manifest.run) for manifest in manifests):
        if target.read(path) not in {None, source.read(path)}:
            raise ExportChanged(
                f"{path} is another one in this folder, which holds an export of its own or of another stack: name"
                " another folder"
            )


def _expect(file: ExportedFile, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ExportChanged(f"{file.path} is not what its manifest says; remove it if it is the copy, then try again")
