"""Deploys the real template to the embedded AWS, through CloudFormation, as `sam deploy` would on AWS.

As `sam package` does, it replaces only CodeUri, by the place of the uploaded archive, and drops the build metadata.
"""

import contextlib
import hashlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from botocore.exceptions import ClientError

from infra.local.emulator import REGION, Emulator
from infra.local.packaging import PROJECT_ROOT

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.literals import CapabilityType
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

TEMPLATE = PROJECT_ROOT / "template.yaml"

LOCAL_PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "SchedulesState": "DISABLED",
        "QueueVisibilitySeconds": "3",
        "WebhooksToLoopback": "allowed",
        "ClockOfRequests": "taken",
    }
)
"""What differs on the embedded stack: the caller sends the schedules' events, and a failed message returns at once."""

_ARTIFACTS = "solvent-artifacts"
_DEPLOY_SECONDS = 120
_POLL_SECONDS = 0.1
_CAPABILITIES: Sequence["CapabilityType"] = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
_WORKS = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
_NEVER_WORKED = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


class DeploymentFailed(Exception):
    """The stack is not as the template says; `reasons` name the resources that failed. Deploying again may be tried."""

    def __init__(self, stack_name: str, reasons: tuple[str, ...]) -> None:
        self.stack_name = stack_name
        self.reasons = reasons
        super().__init__(f"Stack {stack_name} was not deployed: {'; '.join(reasons)}")


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """Where a deployed stack is found; every other name in it follows from `stack_name`."""

    stack_name: str
    region: str
    endpoint_url: str
    api_url: str
    outputs: Mapping[str, str]


def deploy(
    emulator: Emulator,
    stack_name: str,
    parameters: Mapping[str, str],
    archive: Path,
    *,
    stripe_secret: Mapping[str, str] | None = None,
) -> DeployedStack:
    """Return the stack once it is complete and its route answers: created, updated, or as it was if nothing changed.

    `parameters` go before LOCAL_PARAMETERS. `stripe_secret` holds `api_key`, `webhook_secret_platform` and
    `webhook_secret_connect`; without it the secret stays as it is. Raises DeploymentFailed.
    """
    code_uri = _upload(emulator, archive.read_bytes(), ".zip")
    template = json.dumps(packaged_template(code_uri), separators=(",", ":")).encode()
    # By its address in the bucket, since a template in the request itself may have 51,200 bytes only.
    template_url = _upload(emulator, template, ".json").replace("s3://", f"{emulator.endpoint_url}/")
    _apply(emulator.client("cloudformation"), stack_name, template_url, {**LOCAL_PARAMETERS, **parameters})
    _mend_concurrency(emulator.client("lambda"), stack_name)
    outputs = _outputs(emulator.client("cloudformation"), stack_name)
    # It refuses whoever comes without TLS, and the emulator has none; who may do what is enforced all the same.
    emulator.client("s3").delete_bucket_policy(Bucket=outputs["ExportsBucket"])
    if stripe_secret is not None:
        emulator.client("secretsmanager").put_secret_value(
            SecretId=outputs["StripeSecretArn"], SecretString=json.dumps(dict(stripe_secret))
        )
    api_url = f"{emulator.endpoint_url}/_aws/execute-api/{outputs['ApiId']}/$default"
    _expect_route(stack_name, f"{api_url}/stripe/webhooks/platform")
    return DeployedStack(stack_name, REGION, emulator.endpoint_url, api_url, outputs)


def packaged_template(code_uri: str) -> dict[str, Any]:
    """The SAM template as `sam package` leaves it: its code is at `code_uri`, an s3:// address."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _TemplateLoader)  # noqa: S506 - a SafeLoader's subclass
    template["Globals"]["Function"]["CodeUri"] = code_uri
    for resource in template["Resources"].values():
        resource.pop("Metadata", None)
    return template


class _TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (!Sub, !GetAtt) as their long ones; a class of its own leaves others alone."""


def _long_form(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if name == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]  # what is left is a mapping
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": value}


_TemplateLoader.add_multi_constructor("!", _long_form)


def _upload(emulator: Emulator, content: bytes, suffix: str) -> str:
    """Store under a key made of the content's hash: CloudFormation sees new code only under a new key."""
    s3: S3Client = emulator.client("s3")
    key = f"{hashlib.sha256(content).hexdigest()}{suffix}"
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=_ARTIFACTS)
    s3.put_object(Bucket=_ARTIFACTS, Key=key, Body=content)
    return f"s3://{_ARTIFACTS}/{key}"


def _apply(cloudformation: "CloudFormationClient", stack_name: str, template_url: str, values: dict[str, str]) -> None:
    if _status(cloudformation, stack_name) in _NEVER_WORKED:
        cloudformation.delete_stack(StackName=stack_name)
        _settled_status(cloudformation, stack_name)
    parameters: list[ParameterTypeDef] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in sorted(values.items())
    ]
    change = cloudformation.update_stack if _status(cloudformation, stack_name) else cloudformation.create_stack
    try:
        change(StackName=stack_name, TemplateURL=template_url, Parameters=parameters, Capabilities=_CAPABILITIES)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" in message:
            return
        raise DeploymentFailed(stack_name, (message,)) from error
    status = _settled_status(cloudformation, stack_name)
    if status not in _WORKS:
        raise DeploymentFailed(stack_name, tuple(_failures(cloudformation, stack_name)) or (f"it is {status}",))


def _status(cloudformation: "CloudFormationClient", stack_name: str) -> str:
    """Return the stack's status, or an empty text if there is no such stack."""
    try:
        stacks = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return ""
        raise
    return "" if stacks[0]["StackStatus"] == "DELETE_COMPLETE" else stacks[0]["StackStatus"]


def _settled_status(cloudformation: "CloudFormationClient", stack_name: str) -> str:
    deadline = time.monotonic() + _DEPLOY_SECONDS
    while (status := _status(cloudformation, stack_name)).endswith("_IN_PROGRESS"):
        if time.monotonic() > deadline:
            raise DeploymentFailed(stack_name, (f"it is still {status} after {_DEPLOY_SECONDS} seconds",))
        time.sleep(_POLL_SECONDS)
    return status


def _failures(cloudformation: "CloudFormationClient", stack_name: str) -> Iterator[str]:
    for event in cloudformation.describe_stack_events(StackName=stack_name)["StackEvents"]:
        if event.get("ResourceStatus", "").endswith("_FAILED"):
            yield f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason', 'no reason given')}"


def _mend_concurrency(functions: "LambdaClient", stack_name: str) -> None:
    """The emulator passes a Number parameter on as text, on which its poller of all queues trips: set a number."""
    for page in functions.get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            scaling = mapping.get("ScalingConfig", {})
            if "MaximumConcurrency" in scaling and f":function:{stack_name}-" in mapping["FunctionArn"]:
                functions.update_event_source_mapping(
                    UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(scaling["MaximumConcurrency"])}
                )


def _outputs(cloudformation: "CloudFormationClient", stack_name: str) -> Mapping[str, str]:
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    return MappingProxyType({output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])})


def _expect_route(stack_name: str, url: str) -> None:
    """A stack can complete whose routes are all unknown, so ask one; refusing the empty body is an answer, too."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        connection.request("POST", address.path, body=b"")
        status = connection.getresponse().status
    except OSError as error:
        raise DeploymentFailed(stack_name, (f"{url} does not answer: {error}",)) from error
    finally:
        connection.close()
    if status == http.client.NOT_FOUND or status >= http.client.INTERNAL_SERVER_ERROR:
        raise DeploymentFailed(stack_name, (f"{url} answered {status}: the route or its function is broken",))
