"""What goes into the archive that Lambda runs."""

import os
import zipfile
from pathlib import Path

import pytest

from infra.local.packaging import RUNTIME_FILES, RUNTIME_FOLDERS, build_archive


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one module, one page and one left-over in every folder."""
    root = tmp_path / "checkout"
    for folder in (*RUNTIME_FOLDERS, "infra/local", "cli", "tests"):
        for name in ("module.py", "README.md", "__pycache__/module.pyc"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).write_text(f"# {folder}")
    for name in RUNTIME_FILES:
        (root / name).touch()
    return root


def test_equal_sources_give_equal_archives_whenever_they_were_written(checkout: Path, tmp_path: Path) -> None:
    first = build_archive(tmp_path / "first.zip", checkout)
    os.utime(checkout / "ledger/module.py", (0, 0))
    second = build_archive(tmp_path / "second.zip", checkout)

    assert first == second
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_changed_source_gives_another_hash(checkout: Path, tmp_path: Path) -> None:
    before = build_archive(tmp_path / "code.zip", checkout)
    (checkout / "ledger/module.py").write_text("# changed")

    assert build_archive(tmp_path / "code.zip", checkout) != before


def test_archive_holds_the_runtime_modules_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    build_archive(tmp_path / "code.zip", checkout)

    with zipfile.ZipFile(tmp_path / "code.zip") as archive:
        assert set(archive.namelist()) == {f"{folder}/module.py" for folder in RUNTIME_FOLDERS} | set(RUNTIME_FILES)


def test_incomplete_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="billing is missing"):
        build_archive(tmp_path / "code.zip", tmp_path)
