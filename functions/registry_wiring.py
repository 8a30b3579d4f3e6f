"""The composition root of the functions that read the registry and have no use for the store."""

from functools import cache

from pynamodb.connection import Connection

from functions.environment import stack
from infra.aws.registry import DynamoRegistry
from infra.aws.tables import bind


@cache
def connection() -> Connection:
    """The one connection to the tables of this stack."""
    return bind(stack())


@cache
def registry() -> DynamoRegistry:
    """The registry of this stack."""
    connection()
    return DynamoRegistry()
