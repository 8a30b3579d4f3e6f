"""The composition root of the functions that do not call Stripe: what they share is made once per process."""

from functools import cache

from functions.environment import logger
from functions.registry_wiring import connection, registry
from infra.aws.store import DynamoStore

__all__ = ["logger", "registry", "store"]


@cache
def store() -> DynamoStore:
    """The tables of this stack."""
    return DynamoStore(connection())
