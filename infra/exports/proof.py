"""Proof of an export from its files alone, and a public key that never comes from among them.

Manifests: numbered without gaps, each naming the hash of the one before, each signed. Files: those that manifests name,
to the byte. Entries: every book from its first entry to its cursor, each sealed by its hashes, balanced and allowed by
its posting rule. Rows: each column what the sealed entry gives, all together the control totals.

What only an anchor shows: that the last runs are missing, with their manifests. Say how many runs there were, or give
the bucket that the export was copied from: where it has Object Lock nobody can remove a manifest.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from infra.exports.folders import Folder, LocalFolder
from infra.exports.manifests import (
    FIRST,
    ControlTotal,
    Cursor,
    ExportedBook,
    ExportedFile,
    Manifest,
    SignedManifest,
    add_up,
    by_path,
    manifest_names,
    manifest_path,
    parse_manifest,
)
from infra.exports.rows import ENTRIES, POSTINGS
from infra.exports.runs import WORK
from infra.exports.signatures import is_signed
from infra.exports.sliced_proof import prove_slice
from infra.exports.slices import connection
from ledger.entries import Book
from ledger.money import Currency, format_minor_units


@dataclass(slots=True)
class _Read:
    """What the entries that were read so far come to."""

    cursors: dict[Book, Cursor] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def verify_export(
    folder: Path, public_key: bytes | None, expect_run: int | None = None, anchor: Folder | None = None
) -> list[str]:
    """What is wrong with an export; nothing if it proves itself.

    `public_key` is PEM; without it signatures are not checked, and that is the first problem. `expect_run` is the
    number of the last run, as somebody else knows it; `anchor` is where the manifests were copied from.
    Raises ValueError for a key that is none on P-256.
    """
    if not manifest_names(LocalFolder(folder)):
        return [f"{folder} holds no manifest, so there is no export"]
    problems = [] if public_key else ["signatures were not checked, for no public key was given"]
    manifests = []
    for signed in _manifests(folder, problems):
        manifests.append(signed.manifest)
        if public_key and not is_signed(signed.manifest.content(), signed.signature, public_key):
            is_there = "is not this key's" if signed.signature else "is missing"
            problems.append(f"{manifest_path(signed.manifest.run)}: the signature {is_there}")
    if expect_run is not None and len(manifests) != expect_run:
        problems.append(
            f"the last run is {len(manifests)}, but there were {expect_run}: manifests and files are missing"
        )
    problems += _not_anchored(folder, anchor) if anchor else []
    problems += _changed_files(folder, manifests)
    read = _Read()
    with TemporaryDirectory() as scratch, connection(Path(scratch)) as made:
        for manifest in manifests:
            _prove_run(made, folder, manifest, read)
    return problems + read.problems


def _manifests(folder: Path, problems: list[str]) -> Iterator[SignedManifest]:
    """The manifests that can be read; what is wrong with their numbers and links is added to the problems."""
    kept, previous = LocalFolder(folder), FIRST
    for run, name in enumerate(manifest_names(kept), 1):
        try:
            signed = parse_manifest(kept.read(name) or b"")
        except ValueError as unreadable:
            problems.append(f"{name} cannot be read: {unreadable}")
            continue
        manifest = signed.manifest
        if (name, manifest.run) != (manifest_path(run), run):
            problems.append(f"{name} is that of run {manifest.run}, where run {run} should come: a manifest is missing")
        if manifest.previous != previous:
            problems.append(f"{name} does not follow the manifest before it, which was changed or exchanged")
        previous = manifest.sha256()
        yield signed


def _not_anchored(folder: Path, anchor: Folder) -> Iterator[str]:
    here = LocalFolder(folder)
    for name in manifest_names(anchor):
        there, found = anchor.read(name), here.read(name)
        if found != there:
            yield f"{name} is not what it is where the export was copied from" if found else f"{name} was not copied"


def _changed_files(folder: Path, manifests: Sequence[Manifest]) -> Iterator[str]:
    named: dict[str, ExportedFile] = dict(by_path(manifests))
    times = Counter(file.path for manifest in manifests for file in manifest.files)
    yield from (f"{path} is named twice by manifests" for path in sorted(times) if times[path] > 1)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    known = named.keys() | {manifest_path(it.run) for it in manifests} | set(manifest_names(LocalFolder(folder)))
    if any(path.startswith(f"{WORK}/") for path in found):
        yield "a run was begun and not finished: run `solvent finance export` again"
    yield from (f"{path} is missing" for path in sorted(named.keys() - found))
    yield from (f"{it} is not in any manifest" for it in sorted(found - known) if not it.startswith(f"{WORK}/"))
    for path in sorted(named.keys() & found):
        size = (folder / path).stat().st_size
        if size != named[path].bytes:
            yield f"{path} has {size} bytes, its manifest says {named[path].bytes}"
        elif _sha256_of(folder / path) != named[path].sha256:
            yield f"{path} was changed: its SHA-256 is not its manifest's"


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- what a run wrote --------------------------------------------------------------------------------------------------


def _prove_run(made: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest, read: _Read) -> None:
    """Prove the entries and rows of a run slice by slice, and that they are those that its manifest tells of."""
    before = dict(read.cursors)
    totals: list[tuple[ControlTotal, ...]] = []
    slices: dict[str, dict[str, list[ExportedFile]]] = defaultdict(lambda: defaultdict(list))
    for file in manifest.files:
        kind = file.path.partition("/")[0]
        slices[Path(file.path).name][kind].append(file)
    for name, files in sorted(slices.items()):
        if any(not (folder / file.path).is_file() for of_kind in files.values() for file in of_kind):
            continue  # it is said already that they are missing
        try:
            proved = prove_slice(made, folder, files[ENTRIES], files[POSTINGS], read.cursors)
        except (duckdb.Error, ValueError) as unreadable:
            read.problems.append(f"the files {name} cannot be read: {str(unreadable).splitlines()[0]}")
            continue
        read.problems += proved.problems
        totals.append(proved.totals)
    run = f"run {manifest.run}"
    read.problems += [f"{run}: {it}" for it in _untrue_books(manifest, before, read.cursors)]
    read.problems += [f"{run}: {it}" for it in _untrue_totals(manifest, {it.currency: it for it in add_up(totals)})]


def _untrue_books(manifest: Manifest, before: Mapping[Book, Cursor], after: Mapping[Book, Cursor]) -> Iterator[str]:
    """Where the books of a manifest or its cursors are not what was read."""
    said = {cursor.book: cursor for cursor in manifest.cursors}
    for book in sorted(said.keys() | after.keys()):
        cursor, found = said.get(book, Cursor(book)), after.get(book, Cursor(book))
        if cursor.seq != found.seq:
            yield f"{book}: the manifest ends at entry {cursor.seq}, the entries at {found.seq}"
        elif cursor != found:
            yield f"{book}: entry {found.seq} has another chain hash than the manifest"
    wanted = tuple(
        ExportedBook(book, was.seq + 1, now.seq, now.seq - was.seq, was.chain_hash, now.chain_hash)
        for book, now in sorted(after.items())
        if (was := before.get(book, Cursor(book))) != now
    )
    if wanted != manifest.books:
        differing = {book.book for book in {*wanted} ^ {*manifest.books}} or {book.book for book in wanted}
        yield f"{min(differing)}: first, last or count of its entries is not what the manifest says"


def _untrue_totals(manifest: Manifest, found: Mapping[Currency, ControlTotal]) -> Iterator[str]:
    said = {total.currency: total for total in manifest.totals}
    for code in sorted(found.keys() | said.keys()):
        if found.get(code) != said.get(code):
            yield f"{code}: the postings come to {_told(found.get(code))}, the manifest says {_told(said.get(code))}"


def _told(total: ControlTotal | None) -> str:
    if total is None:
        return "nothing"
    amounts = (format_minor_units(minor_units, total.currency) for minor_units in (total.debit, total.credit))
    return f"{' debit and '.join(amounts)} credit in {total.entries} entries, {total.postings} postings"
