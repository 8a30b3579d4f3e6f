"""The blocks of what template.yaml deploys: functions and tables."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from docs.markdown import table
from infra.aws.tables import TABLES
from infra.local.deployment import packaged_template

_Resource = dict[str, Any]
_DELETES = {"dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
_WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem", "sqs:SendMessage", "events:PutEvents"} | _DELETES


@cache
def _resources() -> dict[str, _Resource]:
    resources: dict[str, _Resource] = packaged_template("")["Resources"]
    return resources


def _of_type(kind: str) -> dict[str, _Resource]:
    found = _resources().items()
    return {name: resource["Properties"] for name, resource in found if resource["Type"] == f"AWS::{kind}"}


def functions_block() -> str:
    """Every function of the template: what starts it, what it is for, what its role lets it write."""
    rows = [
        (
            f"`{str(function['Handler']).split('.')[1]}`",
            ", ".join(_triggers(name, function)),
            function["Description"],
            ", ".join(_writes(function)) or "nothing",
            "yes" if "SOLVENT_STRIPE_API_BASE" in function["Environment"]["Variables"] else "",
        )
        for name, function in _of_type("Serverless::Function").items()
    ]
    return table(("function", "trigger", "what it does", "may write", "calls Stripe"), rows)


def _triggers(name: str, function: _Resource) -> Iterator[str]:
    for event in function.get("Events", {}).values():
        yield f"`{event['Properties']['Schedule']}`"
    for mapping in _of_type("Lambda::EventSourceMapping").values():
        if mapping["FunctionName"] == {"Ref": name}:
            source = mapping["EventSourceArn"]["Fn::GetAtt"][0]
            kind = "queue" if source in _of_type("SQS::Queue") else "changes and removals in the stream of"
            yield f"{kind} `{_short_name(source)}`"
    for integration, properties in _of_type("ApiGatewayV2::Integration").items():
        if properties["IntegrationUri"] == {"Fn::GetAtt": [name, "Arn"]}:
            for route in _of_type("ApiGatewayV2::Route").values():
                if integration in route["Target"]["Fn::Sub"]:
                    yield f"`{route['RouteKey']}`"


def _writes(function: _Resource) -> Iterator[str]:
    for statement in (it for policy in function["Policies"] for it in policy["Statement"]):
        actions = _WRITES & set(statement["Action"])
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in resources if actions else ():
            if "Fn::GetAtt" in resource:
                yield _writing(resource["Fn::GetAtt"][0], actions)


def _writing(resource: str, actions: set[str]) -> str:
    if resource in _of_type("SQS::Queue"):
        return f"queue `{_short_name(resource)}`"
    if resource in _of_type("Events::EventBus"):
        return "event bus"
    if _DELETES & actions:
        return f"`{_short_name(resource)}` (puts, deletes)"
    return f"`{_short_name(resource)}`" + ("" if "dynamodb:UpdateItem" in actions else " (puts only)")


def _short_name(resource: str) -> str:
    properties = _resources()[resource]["Properties"]
    name: str = (properties.get("TableName") or properties["QueueName"])["Fn::Sub"]
    return name.removeprefix("${AWS::StackName}-")


def tables_block() -> str:
    """Every DynamoDB table: keys, indexes, and what an item stands for."""
    meaning = {getattr(it.Meta, "suffix", it.Meta.table_name): " ".join((it.__doc__ or "").split()) for it in TABLES}
    rows = []
    for resource, found in _of_type("DynamoDB::Table").items():
        indexes = [f"`{it['IndexName']}`: {_keys(it['KeySchema'])}" for it in found.get("GlobalSecondaryIndexes", [])]
        name = _short_name(resource)
        rows.append((f"`{name}`", _keys(found["KeySchema"]), "<br>".join(indexes), meaning[name]))
    return table(("table", "key", "index", "an item"), rows)


def _keys(schema: Iterable[Mapping[str, str]]) -> str:
    return " + ".join(f"`{key['AttributeName']}`" for key in schema)
