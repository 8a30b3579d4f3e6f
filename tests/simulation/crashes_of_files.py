"""Crash points of what writes files: the process is killed before each operation on them, or overtaken there.

Which operations there are is heard from the interpreter, never listed. What a killed process had not handed to the
system is not in its files: they end in the middle.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from rich.console import Console

from billing.periods import Period
from cli.invoices import write_evidence
from infra.exports import export_ledger, read_manifests
from infra.exports.folders import LocalFolder
from infra.exports.manifests import by_path, manifest_names
from tests.signing import TestKey
from tests.simulation.tried import Tried
from tests.world import World, a_contract, per_unit

_ANOTHERS_PID = 4_194_305  # Linux gives none so high
MARCH = Period("2026-03")
Tree = dict[str, bytes]


class Killed(BaseException):
    """The process is gone: nothing of it may touch a file any more."""


@dataclass(frozen=True)
class Writer:
    """Something that writes below a folder; at `place` is nothing, what it wrote before, or what it writes now.

    `earlier` is the world of what it wrote before, `seen` what others see of it, if not all that is there.
    """

    place: str
    write: Callable[[Path, World], object]
    earlier: Callable[[], World] | None = None
    seen: Callable[[Path], Tree] | None = None


def _export(root: Path, world: World) -> None:
    export_ledger(world.store, root / "ledger", TestKey().sign, entries_per_slice=6)


def _evidence(root: Path, world: World) -> None:
    console = Console(file=StringIO())
    write_evidence(world.store, world.registry, ("acme", MARCH), root / "evidence", console)


def _exported(root: Path) -> Tree:
    """The manifests, and the files that they name: whatever else is there nobody reads."""
    folder = LocalFolder(root / "ledger")
    paths = [*manifest_names(folder), *by_path(read_manifests(folder))]
    return {path: folder.read(path) or b"is missing" for path in paths}


def _world(resolutions: int, *, is_closed: bool = True) -> World:
    """So many resolutions in March, which is closed, or not yet."""
    world = World(contract=a_contract(per_unit("1.00"), starts_on="2026-03-01"))
    world.solve(resolutions)
    if is_closed:
        world.close()
    return world


WRITERS = {
    "export": Writer("ledger", _export, lambda: _world(6, is_closed=False), _exported),
    "invoice evidence": Writer("evidence/invoice-acme-2026-03.csv", _evidence),
}


def try_files(name: str) -> Tried:
    """Every point of a writer, with nothing there before, and with what it wrote a while ago."""
    tried = Tried(name)
    for is_first in (True, False):
        with TemporaryDirectory() as folder:
            _FileTrial(WRITERS[name], Path(folder).resolve(), tried).run(is_first=is_first)
    return tried


# -- operations on files -----------------------------------------------------------------------------------------------


@dataclass
class _Watch:
    """Hears every operation below `root`, and lets the one of a number not be: the process is killed, or overtaken."""

    root: str
    at: int | None = None
    rival: Callable[[], None] | None = None
    heard: int = 0
    sizes: dict[Path, int] = field(default_factory=dict)
    is_dead: bool = False
    _is_off: bool = False

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_off or not (event.startswith(("os.", "shutil.", "fcntl.")) or self._is_below(arguments)):
            return
        if self.is_dead:
            raise Killed(event)
        self.heard += 1
        if self.heard - 1 == self.at:
            self._is_off = True
            if self.rival is None:
                self.is_dead, self.sizes = True, {path: path.stat().st_size for path in _files(Path(self.root))}
            else:
                self.rival()
            self._is_off = False
            if self.is_dead:
                raise Killed(event)

    def _is_below(self, arguments: tuple[object, ...]) -> bool:
        return bool(arguments) and str(arguments[0]).startswith(self.root)

    def cut(self) -> None:
        """Take from the files what was written to them only because Python closed them after the death."""
        for path, size in self.sizes.items():
            os.truncate(path, size)


_watching: list[_Watch] = []


@cache
def _listen() -> None:
    """The interpreter keeps a hook for as long as it runs; it is asked for once."""
    sys.addaudithook(lambda event, arguments: _watching[-1].hear(event, arguments) if _watching else None)


@contextmanager
def _watched(watch: _Watch) -> Iterator[_Watch]:
    _listen()
    _watching.append(watch)
    try:
        yield watch
    except Killed:
        if not watch.is_dead:
            raise
    finally:
        _watching.pop()
    watch.cut()


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def _tree(root: Path, place: str = "") -> Tree:
    """What is in the files whose paths begin so."""
    names = {str(path.relative_to(root)): path for path in _files(root)}
    return {name: path.read_bytes() for name, path in names.items() if name.startswith(place)}


# -- a writer, undisturbed and disturbed -------------------------------------------------------------------------------


class _FileTrial:
    def __init__(self, writer: Writer, folder: Path, tried: Tried) -> None:
        self._writer, self._folder, self._tried = writer, folder, tried
        self._root = folder / "root"
        self._world, self._earlier = _world(6), writer.earlier() if writer.earlier else _world(4)
        self._seen = writer.seen or partial(_tree, place=writer.place)

    def run(self, *, is_first: bool) -> None:
        self._before = self._folder / "before"
        self._before.mkdir()
        if not is_first:
            self._writer.write(self._before, self._earlier)
        self._allowed = [self._seen(self._before)]
        heard = self._play(_Watch(str(self._root)))
        self._wanted = _tree(self._root)
        self._allowed.append(self._seen(self._root))
        self._tried.calls += heard
        for number in range(heard):
            what = f"operation {number}{' of the first time' if is_first else ''}"
            self._note(f"killed before {what}", partial(self._killed, number))
            self._note(f"overtaken before {what}", partial(self._overtaken, number))

    def _play(self, watch: _Watch) -> int:
        """Write from the beginning; how many operations that took, or would have."""
        shutil.rmtree(self._root, ignore_errors=True)
        shutil.copytree(self._before, self._root)
        with _watched(watch):
            self._writer.write(self._root, self._world)
        return watch.heard

    def _killed(self, number: int) -> str:
        self._play(_Watch(str(self._root), number))
        if (standing := self._seen(self._root)) not in [*self._allowed, {}]:
            return f"{self._writer.place} is half one, half the other: {sorted(standing)}"
        self._write_elsewhere()
        return self._difference()

    def _overtaken(self, number: int) -> str:
        self._play(_Watch(str(self._root), number, self._write_elsewhere))
        return self._difference()

    def _write_elsewhere(self) -> None:
        """In another process, which may be told to wait."""
        with patch("os.getpid", return_value=_ANOTHERS_PID), suppress(FileExistsError):
            self._writer.write(self._root, self._world)

    def _difference(self) -> str:
        found = _tree(self._root)
        names = [name for name in found.keys() | self._wanted.keys() if found.get(name) != self._wanted.get(name)]
        return f"{', '.join(sorted(names))} differ from what an undisturbed process leaves" if names else ""

    def _note(self, what: str, act: Callable[[], str]) -> None:
        self._tried.points += 1
        try:
            problem = act()
        except Exception as error:  # noqa: BLE001  # whatever it says, it is what was found at this point
            problem = repr(error)
        if problem:
            self._tried.failed.append(f"{what}: {problem}")
