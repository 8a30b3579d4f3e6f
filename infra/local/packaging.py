"""The archive that Lambda runs: the project's own runtime packages, and nothing that only tests or tools need."""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]

# The Makefile's build rule copies the same; infra/local never leaves the machine that it is named for.
RUNTIME_FOLDERS = (
    "billing",
    "events",
    "functions",
    "infra/aws",
    "infra/exports",
    "infra/stripe",
    "infra/webhooks",
    "ledger",
    "payouts",
    "settlement",
)
RUNTIME_FILES = ("infra/__init__.py", "infra/replacing.py")

_NOT_SHIPPED = (".md", ".pyc")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that the format can hold
_READABLE = 0o644 << 16


def build_archive(path: Path, root: Path = PROJECT_ROOT) -> str:
    """Write the archive to `path` and return its SHA-256: equal sources give equal bytes, wherever and whenever.

    Libraries are not in it: on AWS the build rule adds the locked ones, and the embedded stack runs functions in the
    environment that runs the stack. Raises FileNotFoundError if a runtime folder is missing under `root`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(_shipped_names(root)):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _READABLE
            archive.writestr(entry, (root / name).read_bytes())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shipped_names(root: Path) -> Iterator[str]:
    for folder in RUNTIME_FOLDERS:
        if not (root / folder).is_dir():
            raise FileNotFoundError(f"{root / folder} is missing: build the archive from a whole checkout")
        yield from _files_under(root, (root / folder).rglob("*"))
    yield from RUNTIME_FILES


def _files_under(root: Path, candidates: Iterable[Path]) -> Iterator[str]:
    for file in candidates:
        if file.is_file() and file.suffix not in _NOT_SHIPPED:
            yield file.relative_to(root).as_posix()
