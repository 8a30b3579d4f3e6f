"""Stripe's keys, as the operator keeps them in Secrets Manager."""

import json
from dataclasses import dataclass

import boto3

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
    text = boto3.client("secretsmanager").get_secret_value(SecretId=f"{stack}/stripe")["SecretString"]
    values = json.loads(text)
    keys = StripeKeys(**{name: values.get(name, UNSET) for name in StripeKeys.__dataclass_fields__})
    if keys.api_key == UNSET:
        raise KeysMissing(f"put Stripe's api_key and webhook secrets into the secret {stack}/stripe (see README)")
    return keys
