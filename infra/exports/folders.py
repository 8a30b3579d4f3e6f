"""Where an export is: a folder of this machine, or whatever else keeps files by their paths."""

import os
from pathlib import Path
from typing import Protocol


class Folder(Protocol):
    """Files by path, such as manifests/000001.json."""

    def read(self, path: str) -> bytes | None:
        """What a file holds; None if there is none."""

    def put_once(self, path: str, content: bytes) -> bytes:
        """Write a file, whole, unless there is one already; what it holds now."""

    def names(self, prefix: str) -> list[str]:
        """The paths that begin so, in no order."""


class LocalFolder:
    """A folder of this machine, for one process at a time."""

    def __init__(self, root: Path, scratch: Path | None = None) -> None:
        self._root, self._scratch = root, scratch or root

    def read(self, path: str) -> bytes | None:
        """What a file holds; None if there is none."""
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put_once(self, path: str, content: bytes) -> bytes:
        """Write a file, whole even if the process is killed, unless there is one already; what it holds now."""
        there = self.read(path)
        if there is not None:
            return there
        place, unfinished = self._root / path, self._scratch / f"{path.replace('/', '-')}.unfinished"
        for parent in (place.parent, unfinished.parent):
            parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(place)
        return content

    def names(self, prefix: str) -> list[str]:
        """The paths that begin so, in no order."""
        below = self._root / prefix.rpartition("/")[0]
        files = (path for path in below.rglob("*") if path.is_file())
        return [name for name in (path.relative_to(self._root).as_posix() for path in files) if name.startswith(prefix)]
