"""An audit pack: one archive of the files that prove the close of a month, with a manifest of all of them.

The same files give the same bytes. `manifest.json` in it names each file with its size and SHA-256.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from infra.replacing import replacing

MANIFEST = "manifest.json"
# What is compressed in itself already.
_COMPRESSED = frozenset({".parquet"})
_SOME_DAY = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP archive can name
_AT_ONCE = 1 << 20


def write_pack(place: Path, about: Mapping[str, str], files: Mapping[str, bytes | Path]) -> str:
    """Write the archive in the place of an earlier one; its SHA-256. `about` is what the manifest says of the pack.

    Files are named by their paths in the archive; one that is a path is copied a piece at a time. Raises
    FileExistsError while another process writes the same archive.
    """
    listed = {name: _described(content) for name, content in sorted(files.items())}
    manifest = json.dumps(dict(about) | {"files": listed}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    with replacing(place) as fresh:
        with ZipFile(fresh, "w") as archive:
            for name, content in sorted({**files, MANIFEST: manifest.encode()}.items()):
                _add(archive, name, content)
        return _sha256(fresh)


def _add(archive: ZipFile, name: str, content: bytes | Path) -> None:
    entry = ZipInfo(name, _SOME_DAY)
    entry.compress_type = ZIP_STORED if Path(name).suffix in _COMPRESSED else ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    entry.file_size = len(content) if isinstance(content, bytes) else content.stat().st_size
    with archive.open(entry, "w") as target:
        if isinstance(content, bytes):
            target.write(content)
        else:
            with content.open("rb") as source:
                while piece := source.read(_AT_ONCE):
                    target.write(piece)


def _described(content: bytes | Path) -> dict[str, int | str]:
    if isinstance(content, bytes):
        return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {"bytes": content.stat().st_size, "sha256": _sha256(content)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
