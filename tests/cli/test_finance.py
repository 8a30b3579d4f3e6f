"""What `solvent finance export`, `verify` and `key` say, and with which codes they exit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.connection import NoStack
from cli.finance import export_command, mirror_command, verify_command
from cli.finance_app import finance_app
from infra.exports import export_ledger
from infra.exports.folders import LocalFolder
from infra.exports.proof import verify_export
from ledger.entries import Book, client_book
from ledger.sealed import SealedEntry
from tests.memory_store import MemoryStore
from tests.signing import TestKey
from tests.world import World, at

KEY = TestKey()


@pytest.fixture
def world() -> World:
    world = World()
    world.solve(5)
    return world


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    export_ledger(world.store, tmp_path / "ledger", KEY.sign)
    return tmp_path / "ledger"


def printed(show: Callable[[Console], int]) -> tuple[int, str]:
    console = Console(file=StringIO(), width=120)
    code = show(console)
    assert isinstance(console.file, StringIO)
    return code, console.file.getvalue()


def test_export_says_what_it_added_and_when_there_was_nothing_new(world: World, tmp_path: Path) -> None:
    code, text = printed(lambda console: export_command(world.store, tmp_path / "ledger", KEY.sign, console))

    assert code == 0
    assert "5 entries of 1 books in 2 files, run 1: " in text
    assert ["USD", "5", "20", "7.90", "7.90"] in [line.replace("│", " ").split() for line in text.splitlines()]
    assert verify_export(tmp_path / "ledger", KEY.public_key()) == []
    code, text = printed(lambda console: export_command(world.store, tmp_path / "ledger", KEY.sign, console))
    assert (code, "Nothing new" in text) == (0, True)


def test_export_names_the_broken_book(world: World, tmp_path: Path) -> None:
    acme = world.store.journal[client_book("acme")]
    acme[2] = replace(acme[2], recorded_at=at("2026-05-01"))

    code, text = printed(lambda console: export_command(world.store, tmp_path / "ledger", KEY.sign, console))

    assert code == 1
    assert "The export was not finished. client/acme: entry 3 (charge:acme/C3/1:1) does not carry the hash" in text


def test_export_names_an_edited_manifest_and_what_is_no_folder(world: World, folder: Path, tmp_path: Path) -> None:
    manifest = folder / "manifests/000001.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")

    code, text = printed(lambda console: export_command(world.store, folder, KEY.sign, console))
    assert (code, "manifests/000001.json cannot be read" in text) == (1, True)

    (tmp_path / "file").write_text("mine")
    code, text = printed(lambda console: export_command(world.store, tmp_path / "file", KEY.sign, console))
    assert (code, "The export was not finished" in text) == (1, True)


def test_export_that_is_stopped_says_how_to_go_on(world: World, tmp_path: Path) -> None:
    class Stopped(MemoryStore):
        def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]:  # noqa: ARG002  # as others have it
            raise KeyboardInterrupt

    stopped = Stopped(journal=world.store.journal, stored_heads=world.store.stored_heads)
    code, text = printed(lambda console: export_command(stopped, tmp_path / "ledger", KEY.sign, console))

    assert (code, "The same command goes on from here" in text) == (1, True)
    assert printed(lambda console: export_command(world.store, tmp_path / "ledger", KEY.sign, console))[0] == 0


def test_copy_of_the_bucket_says_what_it_added_or_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    code, text = printed(lambda console: mirror_command(LocalFolder(folder), tmp_path / "copy", console))
    assert (code, "5 entries of 1 books in 2 files, run 1" in text) == (0, True)

    next(folder.rglob("entries/*/*.parquet")).write_bytes(b"PAR1")
    code, text = printed(lambda console: mirror_command(LocalFolder(folder), tmp_path / "other", console))
    assert (code, "is not what its manifest says" in text) == (1, True)


def test_verify_exits_with_one_for_what_it_finds_and_with_two_for_what_is_no_key(folder: Path) -> None:
    code, text = printed(lambda console: verify_command(folder, KEY.public_key(), console, expect_run=1))
    assert (code, "proves itself" in text) == (0, True)

    code, text = printed(lambda console: verify_command(folder, KEY.public_key(), console, expect_run=2))
    assert (code, "the last run is 1, but there were 2" in text) == (1, True)
    assert printed(lambda console: verify_command(folder, b"no key", console))[0] == 2


def test_verify_without_key_or_stack_says_that_signatures_were_not_checked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here(_: str | None) -> None:
        raise NoStack("no stack runs here")

    monkeypatch.setattr("cli.finance_app.connect", none_here)
    run, pem = CliRunner(), tmp_path / "key.pem"
    pem.write_bytes(KEY.public_key())

    unchecked = run.invoke(finance_app, ["verify", str(folder)])
    assert (unchecked.exit_code, "signatures were not checked" in unchecked.output) == (1, True)
    assert run.invoke(finance_app, ["verify", str(folder), "--key", str(pem)]).exit_code == 0
    assert run.invoke(finance_app, ["verify", str(folder), "--key", str(tmp_path / "none.pem")]).exit_code == 2


def test_only_so_many_problems_are_shown(folder: Path) -> None:
    for number in range(30):
        (folder / f"entries/{number}.parquet").write_bytes(b"")

    code, text = printed(lambda console: verify_command(folder, KEY.public_key(), console))

    assert (code, "and 10 more" in text) == (1, True)
