"""What is kept in Secrets Manager: Stripe's keys, what webhooks are signed with, and what helpdesks prove."""

import json
from contextlib import suppress

from infra.aws import clients
from ledger.records import dataclass

UNSET = "unset"


@dataclass(frozen=True, slots=True)
class StripeKeys:
    """The API key and the secret of each webhook endpoint; the two endpoints never share one."""

    api_key: str
    webhook_secret_platform: str
    webhook_secret_connect: str


class KeysMissing(RuntimeError):
    """The secret was never filled in."""


def stripe_keys(stack: str) -> StripeKeys:
    """The keys in the secret `<stack>/stripe`; raises KeysMissing while the template's placeholder is there."""
    text = clients.client("secretsmanager").get_secret_value(SecretId=f"{stack}/stripe")["SecretString"]
    values = json.loads(text)
    keys = StripeKeys(**{name: values.get(name, UNSET) for name in StripeKeys.__dataclass_fields__})
    if keys.api_key == UNSET:
        raise KeysMissing(f"put Stripe's api_key and webhook secrets into the secret {stack}/stripe (see README)")
    return keys


def webhook_secrets(stack: str, endpoint: str) -> tuple[str, ...]:
    """What webhooks to an endpoint are signed with, the newest first: none before the first, two during a rotation."""
    return _kept(f"{stack}/webhooks/{endpoint}")


def webhook_secrets_made_by(stack: str, endpoint: str, request: str) -> tuple[str, ...]:
    """The secrets as a request kept them, whatever was kept since, for a day at least; none if it kept none."""
    return _kept(f"{stack}/webhooks/{endpoint}", VersionId=request)


def keep_webhook_secrets(stack: str, endpoint: str, secrets: tuple[str, ...], request: str = "") -> None:
    """Sign webhooks to an endpoint with these from now on, encrypted with the stack's key.

    `request` names who keeps them, in 32 to 64 characters.
    """
    _keep(f"{stack}/webhooks/{endpoint}", secrets, f"alias/{stack}", request)


def forget_webhook_secrets(stack: str, endpoint: str) -> None:
    """Sign nothing more for an endpoint; it may get other secrets later."""
    client = clients.client("secretsmanager")
    with suppress(client.exceptions.ResourceNotFoundException):
        client.delete_secret(SecretId=f"{stack}/webhooks/{endpoint}", ForceDeleteWithoutRecovery=True)


def door_secrets(stack: str, name: str) -> tuple[str, ...]:
    """What helpdesks prove themselves with, or are asked with: newest first, two during a rotation, none if unknown."""
    return _kept(f"{stack}/doors/{name}")


def keep_door_secrets(stack: str, name: str, secrets: tuple[str, ...]) -> None:
    """Take these at the doors that name them, encrypted with the stack's key."""
    _keep(f"{stack}/doors/{name}", secrets, f"alias/{stack}")


def _kept(name: str, **version: str) -> tuple[str, ...]:
    client = clients.client("secretsmanager")
    try:
        text = client.get_secret_value(SecretId=name, **version)["SecretString"]
    except client.exceptions.ResourceNotFoundException:
        return ()
    return tuple(json.loads(text))


def _keep(name: str, secrets: tuple[str, ...], key: str, request: str = "") -> None:
    client, text = clients.client("secretsmanager"), json.dumps(secrets)
    version = {"ClientRequestToken": request} if request else {}
    try:
        client.put_secret_value(SecretId=name, SecretString=text, **version)
    except client.exceptions.ResourceNotFoundException:
        client.create_secret(Name=name, KmsKeyId=key, SecretString="[]")  # none yet
        client.put_secret_value(SecretId=name, SecretString=text, **version)
