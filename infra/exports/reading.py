"""An export as tables, for whatever is made from it."""

from pathlib import Path

import duckdb

from infra.exports.folders import LocalFolder
from infra.exports.manifests import by_path, read_manifests
from infra.exports.rows import COLUMNS, rows_of


def open_export(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the views `postings` and `entries`: the files that the manifests name, and their `month`.

    Close it, or use it in a `with`. Nothing is checked but that the files are there; `verify_export` proves them.
    Raises FileNotFoundError where there is no export or a file of it is missing, ValueError for a broken manifest.
    """
    manifests = read_manifests(LocalFolder(folder))
    if not manifests:
        raise FileNotFoundError(f"{folder} holds no export; make one with `solvent finance export --to {folder}`")
    paths = sorted(by_path(manifests))
    missing = [path for path in paths if not (folder / path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder / missing[0]} is missing from the export; ask `solvent finance verify {folder}`"
        )
    connection = duckdb.connect()
    for kind in COLUMNS:
        files = [folder / path for path in paths if path.startswith(f"{kind}/")]
        connection.execute(f"CREATE VIEW {kind} AS {rows_of(kind, files)}")
    return connection
