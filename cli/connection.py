"""To which stack a command talks: the embedded one that runs, or one in AWS that is named."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cli.options import instant
from infra.aws.identity import caller_identity
from infra.aws.queues import ask_to_send
from infra.aws.registry import DynamoRegistry
from infra.aws.secrets import stripe_keys
from infra.aws.store import DynamoStore
from infra.aws.tables import bind
from infra.local.stack import running_stack
from infra.stripe.gateway import StripeGateway

RUN_FOLDER = Path("build/run")


class CannotStart(Exception):
    """A command that cannot do its work here; the message says what to do."""


class NoStack(CannotStart):
    """There is no stack to talk to."""


class NameNotTaken(CannotStart):
    """In AWS nobody may say who they are."""


class TimeNotTaken(CannotStart):
    """In AWS nobody may say when something was decided."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A stack's tables; where its API is, if that is not what the stack says itself."""

    stack: str
    store: DynamoStore
    registry: DynamoRegistry
    is_embedded: bool = False
    api_url: str = ""

    def identity(self, by: str | None) -> str | None:
        """Who runs the command: in AWS what AWS says, on the embedded stack whoever they say they are, if they do.

        Raises NameNotTaken for a name given in AWS.
        """
        if self.is_embedded:
            return by
        if by is not None:
            raise NameNotTaken("--by is for the embedded stack; in AWS you are who your credentials say you are")
        return caller_identity()

    def decided_at(self, as_of: datetime | None) -> datetime:
        """When something is decided that is kept with its time: in AWS now, on the embedded stack as they say.

        Raises TimeNotTaken for a time given in AWS.
        """
        if as_of is not None and not self.is_embedded:
            raise TimeNotTaken("--as-of is for the embedded stack; in AWS it is decided now")
        return instant(as_of)

    def stripe(self) -> StripeGateway:
        """The platform's account at Stripe that the stack uses."""
        return StripeGateway(stripe_keys(self.stack).api_key, os.environ.get("SOLVENT_STRIPE_API_BASE") or None)

    def ask_to_send(self, payouts: Iterable[str], as_of: datetime) -> None:
        """Put payouts into the queue of those that may be sent; asking twice is safe. Raises NotSent."""
        ask_to_send(self.stack, payouts, as_of)


def connect(stack: str | None) -> Connection:
    """The stack of that name in AWS; without a name the embedded one. Raises NoStack if that does not run."""
    is_embedded, api_url = stack is None, ""
    if stack is None:
        address = running_stack(RUN_FOLDER)
        if address is None:
            raise NoStack("no stack runs here: start one with `make run`, or name one in AWS with --stack")
        address.enter()
        stack, api_url = address.stack_name, address.api_url
    return Connection(stack, DynamoStore(bind(stack)), DynamoRegistry(), is_embedded, api_url)
