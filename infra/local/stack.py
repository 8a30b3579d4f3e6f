"""The embedded stack: emulator, Stripe sandbox and the deployed template, together for as long as they are needed."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import stripe

from infra.local.deployment import deploy
from infra.local.emulator import Emulator
from infra.local.packaging import build_archive
from infra.local.stripe_sandbox import Settings, StripeSandbox
from infra.stripe.gateway import StripeGateway

STACK_NAME = "solvent"


@dataclass(frozen=True, slots=True)
class StackAddress:
    """How another process reaches a running stack; kept in a file beside its state while it runs."""

    stack_name: str
    environment: Mapping[str, str]
    api_url: str
    stripe_url: str
    stripe_key: str

    def enter(self) -> None:
        """Let every AWS SDK of this process talk to the stack, and to nothing else."""
        os.environ.update(self.environment)
        os.environ["SOLVENT_STACK"] = self.stack_name
        os.environ["SOLVENT_STRIPE_API_BASE"] = self.stripe_url


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A running embedded stack."""

    emulator: Emulator
    sandbox: StripeSandbox
    address: StackAddress

    def client(self, service: str) -> Any:  # noqa: ANN401  # boto3 makes its clients at run time
        """A boto3 client of the emulator."""
        return self.emulator.client(service)

    def gateway(self) -> StripeGateway:
        """The gateway to the sandbox, as the functions have it."""
        return StripeGateway(self.address.stripe_key, self.address.stripe_url)


def address_file(folder: Path) -> Path:
    """Where the address of the stack in a folder is kept while it runs."""
    return folder / "stack.json"


def running_stack(folder: Path) -> StackAddress | None:
    """The address of the stack that runs in a folder, if one does."""
    try:
        return StackAddress(**json.loads(address_file(folder).read_text()))
    except FileNotFoundError:
        return None


@contextmanager
def local_stack(folder: Path, now: datetime, *, enforce_policies: bool = True) -> Iterator[LocalStack]:
    """A stack with its state in `folder`; a later one in the same folder goes on with it.

    The sandbox's clock starts at `now` if it has no state yet. Functions may do only what their roles in the template
    allow. Everything is stopped at the end, whatever happens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "functions.zip"
    build_archive(archive)
    settings = Settings(new_accounts="active")
    with (
        Emulator(folder / "aws", enforce_policies=enforce_policies) as emulator,
        StripeSandbox(now=now, state_file=folder / "stripe.json", settings=settings) as sandbox,
    ):
        # Two workers keep two cores busy; more would only get into each other's way on three clients' heads.
        parameters = {"StripeApiBase": sandbox.url, "MeteringConcurrency": "2", "ApiCallsPerMinute": "6000"}
        deployed = deploy(emulator, STACK_NAME, parameters, archive)
        secrets = _register_webhooks(sandbox, deployed.api_url)
        emulator.client("secretsmanager").put_secret_value(
            SecretId=deployed.outputs["StripeSecretArn"], SecretString=json.dumps(secrets)
        )
        address = StackAddress(STACK_NAME, emulator.environment, deployed.api_url, sandbox.url, sandbox.api_key)
        address_file(folder).write_text(json.dumps(asdict(address)))
        try:
            yield LocalStack(emulator, sandbox, address)
        finally:
            address_file(folder).unlink(missing_ok=True)


def _register_webhooks(sandbox: StripeSandbox, api_url: str) -> dict[str, str]:
    """Register this stack's two webhook endpoints in the place of an earlier one's, whose port may have changed."""
    client = stripe.StripeClient(sandbox.api_key, base_addresses={"api": sandbox.url})
    for endpoint in client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter():
        client.v1.webhook_endpoints.delete(endpoint.id)
    secrets = {"api_key": sandbox.api_key}
    for scope in ("platform", "connect"):
        made = client.v1.webhook_endpoints.create(
            {"url": f"{api_url}/stripe/webhooks/{scope}", "enabled_events": ["*"], "connect": scope == "connect"}
        )
        secrets[f"webhook_secret_{scope}"] = str(made.secret)
    return secrets
