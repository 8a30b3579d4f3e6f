"""The tables of a stack, empty: in moto for what runs alone and needs no transaction, else on the emulator."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from moto import mock_aws
from pynamodb.connection import Connection
from pynamodb.models import Model

from infra.aws.tables import TABLES, bind
from infra.local.emulator import REGION, Emulator

_MOTO = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}


@contextmanager
def moto_tables(stack: str, *tables: type[Model]) -> Iterator[None]:
    """These tables of a stack; all of AWS is moto's meanwhile."""
    with patch.dict(os.environ, _MOTO), mock_aws():
        bind(stack, region=REGION)
        for table in tables:
            table.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        yield


@contextmanager
def emulator_tables(stack: str, emulator: Emulator) -> Iterator[Connection]:
    """All tables of a stack, through this connection; a stack of another name has others on the same emulator."""
    with patch.dict(os.environ, emulator.environment):
        connection = bind(stack, region=REGION, host=emulator.endpoint_url)
        for table in TABLES:
            table.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        yield connection
