"""Runs that many work on: whatever a crash or a rival does between two steps, the export is the same in the end."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from infra.aws.export_bucket import BucketFolder
from infra.exports import mirror
from infra.exports.folders import Folder, LocalFolder
from infra.exports.manifests import Slice, Span, _cut
from infra.exports.proof import verify_export
from infra.exports.runs import ExportChanged, Runs
from infra.exports.slices import Journal, MadeSlice, make_slice
from tests.memory_store import MemoryStore
from tests.signing import TestKey
from tests.world import World

KEY = TestKey()


class Crash(Exception):
    """The worker is gone."""


@dataclass
class Bucket:
    """Files in memory; before the operation of a number something happens once."""

    files: dict[str, bytes] = field(default_factory=dict)
    happens: Callable[[], None] | None = None
    before: int = -1
    operations: int = 0

    def _count(self) -> None:
        self.operations += 1
        if self.operations - 1 == self.before and self.happens:
            self.happens()

    def read(self, path: str) -> bytes | None:
        self._count()
        return self.files.get(path)

    def put_once(self, path: str, content: bytes) -> bytes:
        self._count()
        return self.files.setdefault(path, content)

    def names(self, prefix: str) -> list[str]:
        self._count()
        return [name for name in self.files if name.startswith(prefix)]


def work(bucket: Bucket, store: MemoryStore) -> None:
    """As the function does it: plan or go on, write what is missing, seal."""
    runs = Runs(bucket, Within(bucket))
    if plan := runs.begin(store, entries_per_slice=3):
        for number in runs.missing(plan):
            runs.write_slice(store, plan, number)
        runs.seal(plan, KEY.sign)


@dataclass
class Within:
    """The work below its own prefix of the bucket."""

    bucket: Bucket

    def read(self, path: str) -> bytes | None:
        return self.bucket.read(f"work/{path}")

    def put_once(self, path: str, content: bytes) -> bytes:
        return self.bucket.put_once(f"work/{path}", content)

    def names(self, prefix: str) -> list[str]:
        return [name.removeprefix("work/") for name in self.bucket.names(f"work/{prefix}")]


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    world = World()
    world.solve(4)
    return world.store


@pytest.fixture(scope="module", autouse=True)
def _each_slice_is_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """It is the same bytes whenever it is made, which takes long; tests/infra/test_exports.py holds it to that."""
    made: dict[Slice, MadeSlice] = {}

    def once(journal: Journal, spans: Slice, _: Path, progress: Callable[[int], None]) -> MadeSlice:
        if spans not in made:
            made[spans] = make_slice(journal, spans, tmp_path_factory.mktemp("slice"), progress)
        return made[spans]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.exports.runs.make_slice", once)
        yield


@pytest.fixture(scope="module")
def undisturbed(store: MemoryStore) -> Bucket:
    bucket = Bucket()
    work(bucket, store)
    return bucket


@pytest.mark.parametrize("how", ["crash", "rival"])
def test_crash_or_rival_before_any_operation_leaves_the_same_export(
    store: MemoryStore, undisturbed: Bucket, how: str
) -> None:
    def crash() -> None:
        raise Crash

    assert undisturbed.operations > 10
    for number in range(undisturbed.operations):
        bucket = Bucket(before=number)
        bucket.happens = crash if how == "crash" else partial(work, Bucket(bucket.files), store)
        with suppress(Crash):
            work(bucket, store)
        work(bucket, store)
        assert bucket.files == undisturbed.files, number


def test_export_of_a_bucket_proves_itself_once_copied(undisturbed: Bucket, tmp_path: Path) -> None:
    assert [it.entries for it in mirror(undisturbed, tmp_path / "copy")] == [4]

    assert verify_export(tmp_path / "copy", KEY.public_key(), expect_run=1) == []


def test_slice_that_is_there_with_another_content_is_never_described(store: MemoryStore) -> None:
    bucket = Bucket()
    runs = Runs(bucket, Within(bucket))
    plan = runs.begin(store)
    assert plan is not None
    bucket.files["entries/month=2026-03/000001-0001.parquet"] = b"something else"

    with pytest.raises(ExportChanged, match="was there with another content"):
        runs.write_slice(store, plan, 1)
    assert runs.missing(plan) == [1]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (5, [[("a", 1, 5)], [("a", 6, 7), ("b", 3, 5)], [("b", 6, 6), ("c", 1, 1)]]),
        (12, [[("a", 1, 7), ("b", 3, 6), ("c", 1, 1)]]),
        (7, [[("a", 1, 7)], [("b", 3, 6), ("c", 1, 1)]]),
    ],
)
def test_slices_are_full_but_for_the_last(most: int, expected: list[list[tuple[str, int, int]]]) -> None:
    spans = [Span(book, first, last) for book, first, last in (("a", 1, 7), ("b", 3, 6), ("c", 1, 1))]  # type: ignore[arg-type]  # short names

    cut = _cut(spans, most)

    assert [[(it.book, it.first_seq, it.last_seq) for it in part] for part in cut] == expected


# -- folders -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["local", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    if request.param == "local":
        yield LocalFolder(tmp_path / "export", tmp_path / "work")
        return
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="exports")
        yield BucketFolder("exports", "ledger/")


def test_file_is_written_once_and_found_below_its_prefix(folder: Folder) -> None:
    assert (folder.read("manifests/000001.json"), folder.names("manifests/")) == (None, [])

    assert folder.put_once("manifests/000001.json", b"one") == b"one"
    assert folder.put_once("manifests/000001.json", b"two") == b"one"
    folder.put_once("entries/month=2026-03/000001-0001.parquet", b"rows")
    folder.put_once("manifests/000002.json", b"two")

    assert folder.read("manifests/000001.json") == b"one"
    assert sorted(folder.names("manifests/")) == ["manifests/000001.json", "manifests/000002.json"]
    assert folder.names("manifests/000002") == ["manifests/000002.json"]
    assert folder.names("entries/") == ["entries/month=2026-03/000001-0001.parquet"]
