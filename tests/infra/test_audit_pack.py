"""The archive of a close: what is in it, that its manifest says so, and that equal files give equal bytes."""

import hashlib
import json
import os
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from infra.audit_pack import write_pack
from infra.replacing import locked

ABOUT = {"month": "2026-03"}


def test_every_file_is_in_it_with_its_size_and_hash(tmp_path: Path) -> None:
    table, place = tmp_path / "table.parquet", tmp_path / "packs" / "audit.zip"
    table.write_bytes(b"P" * 3_000_000)
    files: dict[str, bytes | Path] = {"close.json": b"{}", "export/table.parquet": table}
    sha256 = write_pack(place, ABOUT, files)
    assert hashlib.sha256(place.read_bytes()).hexdigest() == sha256
    with ZipFile(place) as archive:
        assert archive.namelist() == ["close.json", "export/table.parquet", "manifest.json"]
        assert archive.read("export/table.parquet") == table.read_bytes()
        assert archive.getinfo("export/table.parquet").compress_type == ZIP_STORED
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["month"] == "2026-03"
    assert manifest["files"] == {
        "close.json": {"bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()},
        "export/table.parquet": {"bytes": 3_000_000, "sha256": hashlib.sha256(table.read_bytes()).hexdigest()},
    }


def test_the_same_files_in_any_order_and_at_any_time_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    table = tmp_path / "table"
    table.write_bytes(b"rows")
    first = write_pack(one, ABOUT, {"a": b"1", "b": b"2", "c": table})
    table.touch()
    assert write_pack(two, ABOUT, {"c": table, "b": b"2", "a": b"1"}) == first
    assert one.read_bytes() == two.read_bytes()


def test_another_file_gives_another_archive_in_the_place_of_the_first(tmp_path: Path) -> None:
    place = tmp_path / "audit.zip"
    first = write_pack(place, ABOUT, {"a": b"1"})
    assert write_pack(place, ABOUT, {"a": b"2"}) != first
    with ZipFile(place) as archive:
        assert archive.read("a") == b"2"


def test_an_archive_that_cannot_be_made_leaves_the_earlier_one(tmp_path: Path) -> None:
    place = tmp_path / "audit.zip"
    sha256 = write_pack(place, ABOUT, {"a": b"1"})
    with pytest.raises(FileNotFoundError):
        write_pack(place, ABOUT, {"a": b"2", "gone": tmp_path / "gone"})
    lock = locked(place.with_name(".audit.zip.unfinished"))
    with pytest.raises(FileExistsError):
        write_pack(place, ABOUT, {"a": b"3"})
    assert hashlib.sha256(place.read_bytes()).hexdigest() == sha256
    os.close(lock)
