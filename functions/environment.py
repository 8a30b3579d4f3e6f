"""What every function has: the name of its stack, and a log."""

import os

from aws_lambda_powertools import Logger

logger = Logger()


def stack() -> str:
    """The name of the stack that this function is part of."""
    return os.environ["SOLVENT_STACK"]
