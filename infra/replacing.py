"""A file or a folder that is replaced whole, by one process at a time, whenever that is killed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_FRESH, _EARLIER = "fresh", "earlier"


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """Where to make what shall stand at `place`, which stays as it is until the end, and for good after an error.

    A process that is killed leaves `place` as it was or as it was to be. For a folder there is a moment between the
    two when it is not there; the next process then brings the earlier one back first. Raises FileExistsError while
    another process is at work on the same place.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{place.name}.unfinished")
    with ExitStack() as at_end:
        at_end.callback(os.close, locked(scratch))
        at_end.callback(shutil.rmtree, scratch)
        fresh, earlier = scratch / _FRESH, scratch / _EARLIER
        if earlier.exists() and not place.exists():
            earlier.rename(place)
        for left in scratch.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield fresh
        _put_in_place(fresh, place, earlier)


def locked(scratch: Path) -> int:
    """A descriptor of that folder, locked until it is closed; the system closes that of a killed process.

    Raises FileExistsError while another process has it.
    """
    while True:
        scratch.mkdir(exist_ok=True)
        # A process that ends just now may take the folder away.
        with suppress(FileNotFoundError), ExitStack() as unless_locked:
            lock = os.open(scratch, os.O_RDONLY)
            unless_locked.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FileExistsError(f"another process is at work in {scratch}; try again once it ended") from None
            if os.path.samestat(os.fstat(lock), scratch.stat()):
                unless_locked.pop_all()
                return lock


def _put_in_place(fresh: Path, place: Path, earlier: Path) -> None:
    """A file is replaced in one step, a folder in two."""
    if place.is_dir():
        place.rename(earlier)
    try:
        fresh.rename(place)
    finally:
        if earlier.exists() and not place.exists():
            earlier.rename(place)
