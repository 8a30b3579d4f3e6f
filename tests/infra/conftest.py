"""What tests of the stores share."""

from collections.abc import Iterator

import pytest

from infra.aws.store import DynamoStore
from infra.local.emulator import Emulator
from tests.dynamo_tables import emulator_tables
from tests.infra.any_store import AnyStore
from tests.memory_store import MemoryStore


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(params=["memory", "dynamo"])
def store(request: pytest.FixtureRequest) -> Iterator[AnyStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    name = f"t{abs(hash(request.node.name)) % 10**9}"
    with emulator_tables(name, request.getfixturevalue("emulator")) as connection:
        yield DynamoStore(connection)
