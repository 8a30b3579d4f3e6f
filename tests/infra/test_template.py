"""What the templates promise, read as CloudFormation reads them: after SAM's transformation."""

import ast
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cfnlint.api import lint_file  # type: ignore[import-untyped]  # it ships no types
from pynamodb.models import Model
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]  # it ships no types

from infra.aws.tables import TABLES
from infra.local.deployment import LOCAL_PARAMETERS, packaged_template
from infra.local.packaging import PROJECT_ROOT
from settlement.webhooks import WAITS

Resource = dict[str, Any]

UNBOUND = {model: getattr(model.Meta, "suffix", model.Meta.table_name) for model in TABLES}  # binding prefixes names

READS_AND_APPENDS = {
    "dynamodb:PutItem",
    "dynamodb:GetItem",
    "dynamodb:BatchGetItem",
    "dynamodb:Query",
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}


@pytest.fixture(scope="module")
def resources() -> dict[str, Resource]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        template = packaged_template("s3://bucket/key")
        transformed: dict[str, Resource] = transform(template, {}, SimpleNamespace(load=dict))["Resources"]
    return transformed


def of_type(resources: dict[str, Resource], kind: str) -> dict[str, Resource]:
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def function_statements(resources: dict[str, Resource]) -> Iterator[tuple[str, Resource]]:
    """Every statement of every function's role, with the role's name."""
    for function in of_type(resources, "AWS::Lambda::Function").values():
        role = function["Properties"]["Role"]["Fn::GetAtt"][0]
        for policy in resources[role]["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield role, statement


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def alarmed(resources: dict[str, Resource], metric: str, referred: object) -> bool:
    return any(
        alarm["Properties"]["MetricName"] == metric
        and alarm["Properties"]["Dimensions"][0]["Value"] == referred
        and alarm["Properties"]["AlarmActions"] == [{"Ref": "Alarms"}]
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
    )


def keys(schema: list[dict[str, str]]) -> dict[str, str]:
    return {key["KeyType"]: key["AttributeName"] for key in schema}


def by_name(definitions: list[dict[str, str]]) -> dict[str, str]:
    return {attribute["AttributeName"]: attribute["AttributeType"] for attribute in definitions}


@pytest.mark.parametrize("template", ["template.yaml", "infra/aws-only.yaml", "infra/athena-views.yaml"])
def test_template_passes_the_linter(template: str) -> None:
    assert [str(match) for match in lint_file(PROJECT_ROOT / template)] == []


def test_every_table_can_be_restored_and_outlives_its_stack(resources: dict[str, Resource]) -> None:
    tables = of_type(resources, "AWS::DynamoDB::Table")

    assert len(tables) == 16
    for name, table in tables.items():
        properties = table["Properties"]
        assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain", name
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name
        assert properties["DeletionProtectionEnabled"] is True, name
        assert properties["BillingMode"] == "PAY_PER_REQUEST", name


@pytest.mark.parametrize("model", TABLES, ids=UNBOUND.values())
def test_table_has_the_keys_and_indexes_that_the_engine_uses(
    model: type[Model], resources: dict[str, Resource]
) -> None:
    schema: Any = model._get_schema()  # noqa: SLF001 - what PynamoDB's own create_table sends
    (table,) = (
        table["Properties"]
        for table in of_type(resources, "AWS::DynamoDB::Table").values()
        if table["Properties"]["TableName"]["Fn::Sub"] == f"${{AWS::StackName}}-{UNBOUND[model]}"
    )

    assert keys(table["KeySchema"]) == keys(schema["key_schema"])
    assert by_name(table["AttributeDefinitions"]) == by_name(schema["attribute_definitions"])
    indexes = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", [])}
    assert indexes.keys() == {index["index_name"] for index in schema["global_secondary_indexes"]}
    for used in schema["global_secondary_indexes"]:
        index = indexes[used["index_name"]]
        assert keys(index["KeySchema"]) == keys(used["key_schema"])
        assert index["Projection"] == used["projection"]


def test_tables_queues_exports_and_secret_are_encrypted_with_a_key_that_outlives_the_stack(
    resources: dict[str, Resource],
) -> None:
    key = {"Fn::GetAtt": ["Key", "Arn"]}

    for name, table in of_type(resources, "AWS::DynamoDB::Table").items():
        expected = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
        assert table["Properties"]["SSESpecification"] == expected, name
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        assert queue["Properties"]["KmsMasterKeyId"] == key, name
    assert resources["StripeSecret"]["Properties"]["KmsKeyId"] == key
    assert json.dumps(key) in json.dumps(resources["Exports"]["Properties"]["BucketEncryption"])
    assert resources["Key"]["DeletionPolicy"] == "Retain"


def test_no_function_can_change_or_remove_a_ledger_entry(resources: dict[str, Resource]) -> None:
    reaching = [
        (role, set(listed(statement["Action"])))
        for role, statement in function_statements(resources)
        if any("LedgerTable" in json.dumps(resource) or resource == "*" for resource in listed(statement["Resource"]))
    ]

    assert len(reaching) >= 9
    for role, actions in reaching:
        assert actions <= READS_AND_APPENDS, role


def test_no_function_can_delete_an_item_but_what_is_parked_due_or_asked_and_endpoints_of_webhooks(
    resources: dict[str, Resource],
) -> None:
    sweeping = []
    for role, statement in function_statements(resources):
        actions = set(listed(statement["Action"]))
        if "dynamodb:BatchWriteItem" in actions:
            sweeping.append(role)
            assert listed(statement["Resource"]) == [{"Fn::GetAtt": ["DueTable", "Arn"]}], role
        if "dynamodb:DeleteItem" in actions:
            named = {"RemembersRequests": "RequestsTable", "RemovesEndpoints": "RegistryTable"}
            kept = [named.get(statement["Sid"], "ParkedTable"), "Arn"]
            assert listed(statement["Resource"]) == [{"Fn::GetAtt": kept}], role
    assert sweeping == ["SweepDueRole"]


def test_functions_are_granted_single_actions_on_named_resources(resources: dict[str, Resource]) -> None:
    for role, statement in function_statements(resources):
        assert statement["Effect"] == "Allow", role
        assert not {"NotAction", "NotResource"} & statement.keys(), role
        assert not any("*" in action for action in listed(statement["Action"])), role
        assert all(isinstance(resource, dict) for resource in listed(statement["Resource"])), role


def test_functions_have_no_policy_besides_their_own_but_the_one_for_logs(resources: dict[str, Resource]) -> None:
    for function in of_type(resources, "AWS::Lambda::Function").values():
        role = resources[function["Properties"]["Role"]["Fn::GetAtt"][0]]
        (managed,) = role["Properties"]["ManagedPolicyArns"]
        assert managed.endswith(":policy/service-role/AWSLambdaBasicExecutionRole")


def test_every_handler_is_deployed_and_every_deployed_function_has_its_handler(resources: dict[str, Resource]) -> None:
    written = {
        f"functions.{file.stem}.handler"
        for file in (PROJECT_ROOT / "functions").glob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "handler"
    }
    deployed = {function["Properties"]["Handler"] for function in of_type(resources, "AWS::Lambda::Function").values()}

    assert deployed == written


def test_only_functions_that_call_stripe_know_its_address_and_they_may_read_its_keys(
    resources: dict[str, Resource],
) -> None:
    readers = {
        role
        for role, statement in function_statements(resources)
        if "secretsmanager:GetSecretValue" in listed(statement["Action"])
        and {"Fn::GetAtt": ["StripeSecret", "Id"]} in listed(statement["Resource"])
    }
    callers = {
        function["Properties"]["Role"]["Fn::GetAtt"][0]
        for function in of_type(resources, "AWS::Lambda::Function").values()
        if "SOLVENT_STRIPE_API_BASE" in function["Properties"]["Environment"]["Variables"]
    }

    assert callers == {"IssueInvoicesRole", "SendPayoutsRole", "SettleStripeEventRole", "ReconcileRole", "ServeApiRole"}
    assert readers == callers | {"ReceiveStripeEventRole"}  # which needs the secret to check signatures


def test_only_who_delivers_webhooks_and_the_api_read_what_they_are_signed_with_and_no_other_secret(
    resources: dict[str, Resource],
) -> None:
    reading = [
        (role, listed(statement["Resource"]))
        for role, statement in function_statements(resources)
        if "/webhooks/" in json.dumps(statement["Resource"])
    ]

    assert {role for role, _ in reading} == {"DeliverWebhooksRole", "ServeApiRole"}
    for _, [secrets] in reading:
        assert secrets["Fn::Sub"].endswith(":secret:${AWS::StackName}/webhooks/*")


def test_the_api_changes_nothing_in_the_registry_but_what_its_routes_say(resources: dict[str, Resource]) -> None:
    registry = {"Fn::GetAtt": ["RegistryTable", "Arn"]}
    allowed = {
        action: statement.get("Condition", {}).get("ForAllValues:StringEquals", {}).get("dynamodb:LeadingKeys")
        for role, statement in function_statements(resources)
        if role == "ServeApiRole" and registry in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }

    assert allowed["dynamodb:PutItem"] == ["payouts_stopped", "expert", "webhook"]
    assert allowed["dynamodb:DeleteItem"] == ["webhook"]
    assert not allowed.keys() & {"dynamodb:UpdateItem", "dynamodb:BatchWriteItem"}


@pytest.mark.parametrize(
    ("role", "kinds"),
    [
        ("ReceiveTicketingRole", ["door"]),
        ("PollTicketingRole", ["door"]),
        ("ReceiveEventsRole", ["client", "expert"]),
        ("AnnounceRole", ["webhook"]),
        ("DeliverWebhooksRole", ["webhook"]),
    ],
)
def test_who_faces_the_outside_reads_of_the_registry_only_what_it_needs(
    resources: dict[str, Resource], role: str, kinds: list[str]
) -> None:
    registry = {"Fn::GetAtt": ["RegistryTable", "Arn"]}
    (reads,) = (
        it for name, it in function_statements(resources) if name == role and registry in listed(it["Resource"])
    )

    assert reads["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": kinds}}
    assert set(listed(reads["Action"])) <= {"dynamodb:BatchGetItem", "dynamodb:Query"}


def test_webhooks_are_received_one_by_one_in_the_order_of_their_groups(resources: dict[str, Resource]) -> None:
    queue, mapping = resources["WebhooksQueue"]["Properties"], resources["WebhooksToDeliverWebhooks"]["Properties"]

    assert (queue["FifoQueue"], mapping["BatchSize"]) == (True, 1)
    assert queue["RedrivePolicy"]["maxReceiveCount"] > 2 * (len(WAITS) + 1)
    assert max(WAITS) < 12 * 3600  # the longest for which SQS hides a message
    assert queue["MessageRetentionPeriod"] == 14 * 86400


def test_every_webhook_that_is_given_up_alarms(resources: dict[str, Resource]) -> None:
    found, alarm = resources["WebhooksGivenUpFound"]["Properties"], resources["WebhooksGivenUp"]["Properties"]
    (metric,) = found["MetricTransformations"]

    assert found["LogGroupName"] == resources["DeliverWebhooks"]["Properties"]["LoggingConfig"]["LogGroup"]
    assert found["FilterPattern"] == '{ $.message = "webhook given up" }'
    assert 'logger.error("webhook given up",' in (PROJECT_ROOT / "functions/deliver_webhooks.py").read_text()
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])


def test_webhooks_may_go_to_the_own_machine_and_say_when_they_came_on_the_embedded_stack_only() -> None:
    parameters = packaged_template("s3://bucket/key")["Parameters"]

    for name, safe, local in (("WebhooksToLoopback", "refused", "allowed"), ("ClockOfRequests", "ignored", "taken")):
        assert (parameters[name]["Default"], LOCAL_PARAMETERS[name]) == (safe, local)


def test_every_queue_gives_up_into_a_dead_letter_queue_that_alarms(resources: dict[str, Resource]) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    dead = {name for name in queues if name.endswith("Dead")}

    for name in queues.keys() - dead:
        target = queues[name]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        assert target in dead, name
        assert alarmed(resources, "ApproximateAgeOfOldestMessage", {"Fn::GetAtt": [name, "QueueName"]}), name
    for name in dead:
        assert alarmed(resources, "ApproximateNumberOfMessagesVisible", {"Fn::GetAtt": [name, "QueueName"]}), name


def test_every_function_keeps_logs_for_a_while_and_alarms_when_it_fails(resources: dict[str, Resource]) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        log = resources[function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert log["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name
        assert alarmed(resources, "Errors", {"Ref": name}), name


def test_every_difference_that_reconcile_logs_alarms(resources: dict[str, Resource]) -> None:
    found = resources["DifferencesFound"]["Properties"]
    (metric,) = found["MetricTransformations"]
    alarm = resources["Differences"]["Properties"]

    assert found["LogGroupName"] == resources["Reconcile"]["Properties"]["LoggingConfig"]["LogGroup"]
    assert found["FilterPattern"] == '{ $.message = "difference" }'
    assert 'logger.error("difference",' in (PROJECT_ROOT / "functions/reconcile.py").read_text()
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])
    assert alarm["AlarmActions"] == [{"Ref": "Alarms"}]


def test_ledger_watcher_sees_only_changed_and_removed_entries_and_its_running_alarms(
    resources: dict[str, Resource],
) -> None:
    mapping = resources["LedgerToWatchLedger"]["Properties"]
    (pattern,) = mapping["FilterCriteria"]["Filters"]

    assert json.loads(pattern["Pattern"]) == {"eventName": ["MODIFY", "REMOVE"]}
    assert alarmed(resources, "Invocations", {"Ref": "WatchLedger"})


def test_every_queue_consumer_returns_single_messages_and_has_time_before_they_reappear(
    resources: dict[str, Resource],
) -> None:
    default = packaged_template("s3://bucket/key")["Parameters"]["QueueVisibilitySeconds"]["Default"]
    mappings = [
        mapping["Properties"]
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if mapping["Properties"]["EventSourceArn"]["Fn::GetAtt"][0].endswith("Queue")
    ]

    assert len(mappings) == 5
    for mapping in mappings:
        consumer = mapping["FunctionName"]["Ref"]
        told = resources[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]["VisibilityTimeout"]
        hidden_seconds = default if told == {"Ref": "QueueVisibilitySeconds"} else told
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], consumer
        assert hidden_seconds >= 6 * resources[consumer]["Properties"]["Timeout"], consumer


def test_only_the_exporting_function_signs_manifests_with_a_key_that_outlives_the_stack(
    resources: dict[str, Resource],
) -> None:
    signing = [
        (role, listed(statement["Resource"]))
        for role, statement in function_statements(resources)
        if "kms:Sign" in listed(statement["Action"])
    ]

    assert signing == [("ExportLedgerRole", [{"Fn::GetAtt": ["ExportKey", "Arn"]}])]
    key = resources["ExportKey"]
    assert (key["Properties"]["KeySpec"], key["Properties"]["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    assert key["DeletionPolicy"] == "Retain"


def test_exports_are_kept_from_everybody_for_years_where_that_is_asked_for(resources: dict[str, Resource]) -> None:
    template = packaged_template("s3://bucket/key")
    bucket = resources["Exports"]["Properties"]
    condition, locked, otherwise = bucket["ObjectLockConfiguration"]["Fn::If"]

    assert template["Parameters"]["ExportLockYears"]["Default"] == 0
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExportLockYears"}, 0]}]}
    assert bucket["ObjectLockEnabled"]["Fn::If"][:2] == [condition, True]
    retention = {"Mode": "COMPLIANCE", "Years": {"Ref": "ExportLockYears"}}
    assert locked == {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    assert otherwise == {"Ref": "AWS::NoValue"}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_every_route_of_the_api_asks_for_a_token_but_its_description(resources: dict[str, Resource]) -> None:
    routes = [it["Properties"] for it in of_type(resources, "AWS::ApiGatewayV2::Route").values()]
    asking = {it["RouteKey"]: it["AuthorizationType"] for it in routes if "/v1/" in it["RouteKey"]}
    open_to_all = {key for key, kind in asking.items() if kind == "NONE"}

    assert asking["ANY /v1/{proxy+}"] == "JWT"
    assert "GET /v1/openapi.json" in open_to_all
    assert all(it["AuthorizerId"] == {"Ref": "ApiAuthorizer"} for it in routes if it["AuthorizationType"] == "JWT")


def test_every_schedule_can_be_switched_off_and_reports_what_it_could_not_run(resources: dict[str, Resource]) -> None:
    schedules = [
        rule["Properties"]
        for rule in of_type(resources, "AWS::Events::Rule").values()
        if "ScheduleExpression" in rule["Properties"]
    ]
    dead = {"Fn::GetAtt": ["SchedulesDead", "Arn"]}
    reporting = {
        config["Properties"]["FunctionName"]["Ref"]: config["Properties"]["DestinationConfig"]["OnFailure"]
        for config in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    }
    (allowed,) = resources["SchedulesReportFailures"]["Properties"]["PolicyDocument"]["Statement"]
    senders = [sender["Fn::Sub"] for sender in allowed["Condition"]["ArnEquals"]["aws:SourceArn"]]

    assert len(schedules) == 8
    for schedule in schedules:
        (target,) = schedule["Targets"]
        assert schedule["State"] == {"Ref": "SchedulesState"}
        assert target["DeadLetterConfig"]["Arn"] == dead
        assert reporting[target["Arn"]["Fn::GetAtt"][0]] == {"Destination": dead}
        assert sum(sender.endswith(f"rule/{schedule['Name']['Fn::Sub']}") for sender in senders) == 1


def test_only_the_rule_for_facts_may_send_to_the_queue_of_facts(resources: dict[str, Resource]) -> None:
    (statement,) = resources["FactsRuleSends"]["Properties"]["PolicyDocument"]["Statement"]

    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["FactsRule", "Arn"]}}}
    assert resources["FactsRule"]["Properties"]["EventPattern"] == {"source": ["solvent.doors"]}


def test_alarms_of_the_second_template_exist_in_the_first(resources: dict[str, Resource]) -> None:
    named = {
        alarm["Properties"]["AlarmName"]["Fn::Sub"].replace("AWS::StackName", "EngineStack")
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
    }
    rule = (PROJECT_ROOT / "infra/aws-only.yaml").read_text().split("AlarmRule: !Sub", 1)[1].split("AlarmActions", 1)[0]
    watched = {part.split('")')[0] for part in rule.split('ALARM("')[1:]}

    assert len(watched) == 5
    assert watched <= named


def test_archives_are_built_and_compiled_for_the_runtime_of_the_functions(resources: dict[str, Resource]) -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    [runtime] = {it["Properties"]["Runtime"] for it in of_type(resources, "AWS::Lambda::Function").values()}
    version = runtime.removeprefix("python")
    assert f"LAMBDA_PYTHON ?= {runtime}\n" in makefile
    assert f"--python-version {version} " in makefile
    assert f"sys.version_info[:2] != ({version.replace('.', ', ')})" in makefile
