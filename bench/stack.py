"""The tables on an emulator of their own, and the metering function upon them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from infra.aws.tables import TABLES, bind
from infra.local.emulator import REGION, Emulator

NAME = "bench"
_CONTEXT = SimpleNamespace(function_name=NAME, memory_limit_in_mb=512, invoked_function_arn="", aws_request_id="1")


@dataclass(frozen=True, slots=True)
class Stack:
    """Empty tables under the name `bench`, with a store and a registry upon them."""

    emulator: Emulator
    store: DynamoStore
    registry: DynamoRegistry

    @property
    def client(self) -> Any:  # noqa: ANN401  # boto3 makes its clients at run time
        """The one botocore client that all the store's calls go through."""
        return self.store.connection.client


@contextmanager
def tables() -> Iterator[Stack]:
    """An emulator with the tables, for as long as it is needed."""
    with (
        TemporaryDirectory() as folder,
        Emulator(Path(folder)) as emulator,
        patch.dict(os.environ, emulator.environment),
    ):
        connection = bind(NAME, region=REGION, host=emulator.endpoint_url)
        create_tables()
        yield Stack(emulator, DynamoStore(connection), DynamoRegistry())


def create_tables() -> None:
    """The tables that the models are bound to now."""
    for table in TABLES:
        table.create_table(billing_mode="PAY_PER_REQUEST", wait=True)


@contextmanager
def metering(stack: Stack) -> Iterator[Callable[[dict[str, Any]], None]]:
    """The function that settles, whole: it decodes, settles and logs. An event whose cases fail is an error.

    What it logs is written into memory.
    """
    from functions import meter_resolutions, wiring  # noqa: PLC0415  # its logger takes the name at import

    def call(event: dict[str, Any]) -> None:
        answer = meter_resolutions.handler(event, _CONTEXT)
        if answer["batchItemFailures"]:
            raise AssertionError(f"the batch was not settled: {answer}")

    handler = wiring.logger.registered_handler
    with (
        patch.object(meter_resolutions, "store", lambda: stack.store),
        patch.object(meter_resolutions, "registry", lambda: stack.registry),
        patch.object(handler, "stream", StringIO()),
    ):
        yield call
