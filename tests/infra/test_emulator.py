"""The embedded AWS: the real template on it, with placeholder handlers under the roles that the template gives them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from infra.local import emulator as emulator_module
from infra.local.deployment import DeployedStack, DeploymentFailed, deploy, packaged_template
from infra.local.emulator import HOST, Emulator, PortTaken, StateFolderInUse

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UniversalAttributeValueTypeDef


STACK = "solvent-test"
ENTRY: dict[str, "UniversalAttributeValueTypeDef"] = {"book_shard": {"S": "client/acme#0"}, "seq": {"N": "1"}}

PLACEHOLDER = '''
"""Says what it got; makes the AWS call that an invocation asks for, and says how that went."""
import json, time
import boto3
from botocore.exceptions import ClientError

ANSWER = "{answer}"

def handler(event, context):
    print("got", json.dumps(event))
    if "Records" in event:
        return {{"batchItemFailures": []}}
    if "busy_file" in event:
        open(event["busy_file"], "w").close()
        time.sleep(60)
    if "call" in event:
        service, operation, arguments = event["call"]
        try:
            getattr(boto3.client(service), operation)(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "done"
    return {{"statusCode": 200, "body": ANSWER}}
'''


def placeholder_archive(path: Path, answer: str = "first") -> Path:
    """An archive with a placeholder for every function of the template."""
    functions = [r["Properties"] for r in packaged_template("s3://b/k")["Resources"].values()]
    handlers = [properties["Handler"] for properties in functions if "Handler" in properties]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("functions/__init__.py", "")
        for handler in handlers:
            archive.writestr(
                handler.removesuffix(".handler").replace(".", "/") + ".py", PLACEHOLDER.format(answer=answer)
            )
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("state"), enforce_policies=True) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def stack(running: Emulator, tmp_path_factory: pytest.TempPathFactory) -> DeployedStack:
    archive = placeholder_archive(tmp_path_factory.mktemp("archive") / "code.zip")
    return deploy(running, STACK, {}, archive, stripe_secret={"api_key": "sk_test"})


def post(url: str) -> tuple[int, str]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("POST", address.path, body=b"{}")
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def eventually(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def logged(emulator: Emulator, function: str, text: str) -> Callable[[], bool]:
    """Whether the function's log group holds the text by now."""
    logs = emulator.client("logs")
    group = f"/aws/lambda/{STACK}-{function}"
    return lambda: any(text in event["message"] for event in logs.filter_log_events(logGroupName=group)["events"])


def invoke(emulator: Emulator, function: str, event: dict[str, Any]) -> object:
    answer = emulator.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def put_fact(emulator: Emulator, fact_id: str, source: str = "solvent.doors") -> None:
    detail = json.dumps({"id": fact_id})
    event = {"EventBusName": STACK, "Source": source, "DetailType": "resolution.rated", "Detail": detail}
    assert emulator.client("events").put_events(Entries=[event])["FailedEntryCount"] == 0


def change_entry(emulator: Emulator, amount: str) -> None:
    dynamodb: DynamoDBClient = emulator.client("dynamodb")
    dynamodb.put_item(TableName=f"{STACK}-ledger", Item={**ENTRY, "amount": {"N": amount}})


def group_is_gone(process_id: int) -> bool:
    try:
        os.killpg(process_id, 0)
    except ProcessLookupError:
        return True
    return False


def test_webhook_route_reaches_its_function(stack: DeployedStack) -> None:
    assert post(f"{stack.api_url}/stripe/webhooks/connect") == (200, "first")
    assert post(f"{stack.api_url}/stripe/elsewhere") == post(f"{stack.api_url}/anything"), (
        "both reach the default route"
    )


def test_fact_on_the_bus_reaches_metering_and_other_events_do_not(running: Emulator, stack: DeployedStack) -> None:
    put_fact(running, "from-elsewhere", source="somebody.else")
    put_fact(running, f"fact-of-{stack.stack_name}")

    assert eventually(logged(running, "meter-resolutions", "fact-of-"))
    assert not logged(running, "meter-resolutions", "from-elsewhere")()


def test_messages_of_the_other_queues_reach_their_functions(running: Emulator, stack: DeployedStack) -> None:
    sqs = running.client("sqs")
    sqs.send_message(QueueUrl=stack.outputs["PayoutsQueueUrl"], MessageBody="payout-1")
    sqs.send_message(QueueUrl=stack.outputs["StripeEventsQueueUrl"], MessageBody="evt-1")

    assert eventually(logged(running, "send-payouts", "payout-1"))
    assert eventually(logged(running, "settle-stripe-event", "evt-1"))


@pytest.mark.usefixtures("stack")
def test_function_may_append_to_the_ledger_but_neither_change_nor_remove_an_entry(running: Emulator) -> None:
    table = {"TableName": f"{STACK}-ledger"}
    entry = {"book_shard": {"S": "expert/eve#0"}, "seq": {"N": "1"}}
    delete = {"Delete": {**table, "Key": entry}}

    def attempt(operation: str, arguments: dict[str, Any]) -> object:
        return invoke(running, "sweep-due", {"call": ["dynamodb", operation, arguments]})

    assert attempt("put_item", {**table, "Item": entry}) == "done"
    assert attempt("delete_item", {**table, "Key": entry}) == "AccessDeniedException"
    assert attempt("transact_write_items", {"TransactItems": [delete]}) == "AccessDeniedException"
    update = {"UpdateExpression": "SET amount = :a", "ExpressionAttributeValues": {":a": {"N": "1"}}}
    assert attempt("update_item", {**table, "Key": entry, **update}) == "AccessDeniedException"


@pytest.mark.usefixtures("stack")
def test_only_functions_that_need_stripes_keys_can_read_them(running: Emulator) -> None:
    read = {"call": ["secretsmanager", "get_secret_value", {"SecretId": f"{STACK}/stripe"}]}

    assert invoke(running, "issue-invoices", read) == "done"
    assert invoke(running, "close-periods", read) == "AccessDeniedException"


@pytest.mark.usefixtures("stack")
def test_changed_entry_runs_the_watcher_and_a_new_one_does_not(running: Emulator) -> None:
    change_entry(running, "41")
    change_entry(running, "42")

    assert eventually(logged(running, "watch-ledger", "MODIFY"))
    assert not logged(running, "watch-ledger", "INSERT")()


def test_new_code_replaces_the_old_and_unchanged_code_is_deployed_in_peace(
    running: Emulator, stack: DeployedStack, tmp_path: Path
) -> None:
    archive = placeholder_archive(tmp_path / "code.zip", answer="second")

    assert deploy(running, STACK, {}, archive) == stack
    assert deploy(running, STACK, {}, archive) == stack
    assert post(f"{stack.api_url}/stripe/webhooks/platform") == (200, "second")


def test_deployment_that_fails_names_what_was_wrong(running: Emulator, tmp_path: Path) -> None:
    archive = placeholder_archive(tmp_path / "code.zip")

    with pytest.raises(DeploymentFailed, match="SchedulesState"):
        deploy(running, "solvent-refused", {"SchedulesState": "SOMETIMES"}, archive)


def test_stack_goes_on_after_a_restart_on_another_port(tmp_path: Path) -> None:
    with Emulator(tmp_path / "state") as first:
        deploy(first, STACK, {}, placeholder_archive(tmp_path / "code.zip"))
        change_entry(first, "41")
        change_entry(first, "42")
        assert eventually(logged(first, "watch-ledger", "MODIFY"))
    with socket.socket() as taken:
        taken.bind((HOST, first.port))
        with Emulator(tmp_path / "state") as second:
            dynamodb: DynamoDBClient = second.client("dynamodb")
            assert dynamodb.get_item(TableName=f"{STACK}-ledger", Key=ENTRY)["Item"]["amount"] == {"N": "42"}
            put_fact(second, "after-restart")
            change_entry(second, "43")
            assert eventually(logged(second, "meter-resolutions", "after-restart"))
            assert eventually(logged(second, "watch-ledger", '"43"'))
            again = deploy(second, STACK, {}, placeholder_archive(tmp_path / "code.zip", answer="second"))
            assert post(f"{again.api_url}/stripe/webhooks/platform") == (200, "second")
    assert second.port != first.port


def test_stop_ends_every_process_also_of_a_busy_function(
    running: Emulator, stack: DeployedStack, tmp_path: Path
) -> None:
    process_id = running.process_id
    assert process_id is not None
    event = json.dumps({"busy_file": str(tmp_path / "busy")})
    function = f"{stack.stack_name}-reconcile"
    running.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=event)
    assert eventually((tmp_path / "busy").exists)

    running.stop()

    assert group_is_gone(process_id)
    assert not (running.state_dir / "tmp").exists()


def test_emulator_saves_and_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from infra.local.emulator import Emulator\n"
        "emulator = Emulator(Path(sys.argv[1])); emulator.start()\n"
        "emulator.client('sqs').create_queue(QueueName='kept')\n"
        "print(emulator.process_id, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)  # noqa: S603 - ours
    assert parent.stdout is not None
    process_id = int(parent.stdout.readline())

    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    assert eventually(lambda: group_is_gone(process_id))
    with Emulator(tmp_path) as resumed:
        assert "QueueUrl" in resumed.client("sqs").get_queue_url(QueueName="kept")


def test_taken_port_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"Port {port} on 127.0.0.1 is taken by another program: stop it, or"):
            Emulator(tmp_path, port).start()


def test_folder_of_a_running_emulator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator_module, "_LOCK_SECONDS", 0)

    with Emulator(tmp_path), pytest.raises(StateFolderInUse, match="Another emulator runs in"):
        Emulator(tmp_path).start()


def test_callers_own_aws_settings_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "a-profile-that-does-not-exist")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1")
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1")

    with Emulator(tmp_path) as emulator:
        assert emulator.client("sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
