"""What the template tells every function."""

import os


def stack() -> str:
    """The name of the stack that this function is part of."""
    return os.environ["SOLVENT_STACK"]
