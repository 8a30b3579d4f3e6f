"""The composition root of the functions that do not call Stripe: what they share is made once per process."""

from functools import cache

from aws_lambda_powertools import Logger

from functions.environment import stack
from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from infra.aws.tables import bind

logger = Logger()


@cache
def store() -> DynamoStore:
    """The tables of this stack."""
    return DynamoStore(bind(stack()))


@cache
def registry() -> DynamoRegistry:
    """The registry of this stack."""
    store()
    return DynamoRegistry()
