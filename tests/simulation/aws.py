"""AWS inside this process: DynamoDB by the emulator's own code, SQS as a small deterministic queue, no sockets."""

import hashlib
import json
import pickle
import zlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from ministack.services import dynamodb  # type: ignore[import-untyped]

from infra.aws.tables import TABLES
from tests.simulation.faults import AwsError, Faults, aws_kinds, connection_error

# The services that functions call, as boto3 names them.
SERVICES = ("dynamodb", "sqs", "secretsmanager", "events")
_NAMED_OTHERWISE = {"eventbridge": "events"}
_BOTO3_CLIENT = boto3.client  # as it is before a simulation puts `model_client` in its place
RECEIVES = 5  # template.yaml's maxReceiveCount
# The emulator parses an expression anew for every item that it compares; there are some hundred of them.
for _parse in ("_tokenize", "_condition_syntax_error"):
    setattr(dynamodb, _parse, lru_cache(maxsize=4096)(getattr(dynamodb, _parse)))


@dataclass
class Message:
    """One message of a queue; it is seen again from `visible_at` (epoch seconds)."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    receives: int = 0

    def record(self) -> dict[str, object]:
        """As Lambda gets it."""
        attributes = {"SentTimestamp": str(int(self.sent_at * 1000)), "ApproximateReceiveCount": str(self.receives)}
        return {"messageId": self.id, "body": self.body, "attributes": attributes}


@dataclass
class Queue:
    """Messages in no order; one received five times without success goes to `dead`."""

    name: str
    messages: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)
    died: int = 0
    sent: int = 0

    def send(self, body: str, now: float) -> None:
        """Add a message."""
        self.sent += 1
        self.messages.append(Message(f"{self.name}-{self.sent}", body, now, now))

    def receive(self, most: int, now: float, rng: Random) -> list[Message]:
        """Up to so many visible messages, in an order of chance."""
        ready = [message for message in self.messages if message.visible_at <= now]
        batch = rng.sample(ready, min(most, len(ready)))
        for message in batch:
            message.receives += 1
        return batch

    def finish(self, batch: list[Message], failed: set[str], again_at: float) -> None:
        """Remove what succeeded; the rest is seen again later, or is dead."""
        done = {message.id for message in batch} - failed
        for message in batch:
            if message.id in failed:
                message.visible_at = again_at
                if message.receives >= RECEIVES:
                    done.add(message.id)
                    self.dead.append(message)
                    self.died += 1
        self.messages = [message for message in self.messages if message.id not in done]

    def redrive(self, now: float) -> None:
        """What an operator does with the dead-letter queue once the cause is mended."""
        for message in self.dead:
            message.receives, message.visible_at = 0, now
        self.messages += self.dead
        self.dead = []


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_options: object) -> Iterator[bytes]:
        yield self._body


@dataclass
class Cloud:
    """The AWS account of one simulation."""

    stack: str
    faults: Faults
    secret: str
    now: float = 0.0
    queues: dict[str, Queue] = field(default_factory=dict)
    bus: list[str] = field(default_factory=list)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: bytes = b""

    def __post_init__(self) -> None:
        dynamodb.reset()
        self.queues = {name: Queue(name) for name in ("facts", "payouts", "stripe-events")}

    def attach(self, client: Any) -> None:  # noqa: ANN401  # botocore's clients are made at run time
        """Answer the client's calls here until `detach`."""
        client.meta.events.register_first("before-send", self._answer, unique_id="simulation")

    def detach(self, client: Any) -> None:  # noqa: ANN401
        """Leave the client to the next simulation."""
        client.meta.events.unregister("before-send", unique_id="simulation")

    def create_tables(self) -> None:
        """Every table of the template."""
        for table in TABLES:
            table.create_table(billing_mode="PAY_PER_REQUEST", wait=False)

    def _answer(self, request: AWSPreparedRequest, event_name: str, **_other: object) -> AWSResponse:
        _, service, operation = event_name.split(".")
        service = service.replace("-", "")  # secrets-manager, as events name it
        service = _NAMED_OTHERWISE.get(service, service)
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        self.asked = body

        def apply(kind: str) -> AWSResponse:
            if kind.startswith("error "):
                error = AwsError(kind.removeprefix("error "))
                return _response(request, error.status, error.body(body))
            if kind == "drop_before":
                raise connection_error(kind, self.faults.rng)
            status, answer = self._served(service, operation, body, kind)
            if kind == "lost_answer":
                raise connection_error(kind, self.faults.rng)
            return _response(request, status, answer)

        kinds = aws_kinds(operation, _declared(service, operation))
        return self.faults.around(f"{service}.{operation}", kinds, apply)

    def _served(self, service: str, operation: str, body: bytes, kind: str) -> tuple[int, bytes]:
        if service == "dynamodb":
            return self._dynamodb(operation, body, kind)
        asked = json.loads(body or b"{}")
        if service == "secretsmanager":
            return self._secret(operation, asked)
        if operation == "GetQueueUrl":
            return 200, json.dumps({"QueueUrl": f"http://simulated/{asked['QueueName']}"}).encode()
        if operation == "ChangeMessageVisibility":  # of a webhook; whoever plays it brings it again
            return 200, b"{}"
        answer = self._put_events(asked, kind) if service == "events" else self._send(asked, kind)
        return 200, json.dumps(answer).encode()

    def _secret(self, operation: str, asked: Mapping[str, Any]) -> tuple[int, bytes]:
        """Stripe's keys, or the secrets of others, of which every version is kept: the last one counts."""
        name = asked.get("SecretId") or asked["Name"]
        if name.endswith("/stripe"):
            return 200, json.dumps({"Name": "stripe", "SecretString": self.secret}).encode()
        if operation == "CreateSecret":
            self.secrets.setdefault(name, {})
        known = self.secrets.get(name)
        version = asked.get("VersionId") or next(reversed(known or {}), "")
        if known is None or (operation == "GetSecretValue" and version not in known):
            return 400, json.dumps({"__type": "ResourceNotFoundException", "message": name}).encode()
        if operation == "DeleteSecret":
            del self.secrets[name]
        if "SecretString" in asked:
            known[asked.get("ClientRequestToken") or f"version-{len(known)}"] = asked["SecretString"]
        return 200, json.dumps({"Name": name, "SecretString": known.get(version)}).encode()

    def _put_events(self, asked: Mapping[str, Any], kind: str) -> dict[str, object]:
        entries = asked["Entries"]
        taken = entries[: len(entries) // 2] if kind == "partial" else entries
        self.bus += [json.dumps(entry, sort_keys=True) for entry in taken]
        refused = [{"ErrorCode": "InternalFailure"}] * (len(entries) - len(taken))
        return {"FailedEntryCount": len(refused), "Entries": [{"EventId": str(len(self.bus))}] * len(taken) + refused}

    def _send(self, asked: Mapping[str, Any], kind: str) -> dict[str, object]:
        if "MessageBody" in asked:  # one for the queue of webhooks, which nobody empties here
            self.bus.append(json.dumps([asked["MessageGroupId"], asked["MessageBody"]]))
            return {"MessageId": "1", "MD5OfMessageBody": _md5(asked["MessageBody"])}
        queue = self.queues[str(asked["QueueUrl"]).rpartition("/")[2].removeprefix(f"{self.stack}-")]
        entries = asked["Entries"]
        taken = entries[: len(entries) // 2] if kind == "partial" else entries
        for entry in taken:
            queue.send(entry["MessageBody"], self.now)
        failed = [{"Id": it["Id"], "Code": "InternalError", "SenderFault": False} for it in entries[len(taken) :]]
        sent = [{"Id": it["Id"], "MessageId": it["Id"], "MD5OfMessageBody": _md5(it["MessageBody"])} for it in taken]
        return {"Successful": sent, "Failed": failed}

    def _dynamodb(self, operation: str, body: bytes, kind: str) -> tuple[int, bytes]:
        left: dict[str, Any] = {}
        asked = json.loads(body) if kind in {"partial", "short_page"} else None
        if asked and kind == "partial":
            asked["RequestItems"], left = _half(asked["RequestItems"])
        elif asked and "Limit" not in asked:
            asked["Limit"] = self.faults.rng.randint(1, 3)
        sent = json.dumps(asked).encode() if asked else body
        status, answer = _call_emulator(operation, sent)
        if left:
            undone = "UnprocessedItems" if operation == "BatchWriteItem" else "UnprocessedKeys"
            answer = json.dumps({**json.loads(answer), undone: left}).encode()
        if kind == "stale_index" and status == 200 and b'"IndexName"' in body:
            found = json.loads(answer)
            found["Items"] = [item for item in found["Items"] if self.faults.rng.randrange(3)]
            answer = json.dumps({**found, "Count": len(found["Items"])}).encode()
        return status, answer

    # -- looking in from outside, without any call -----------------------------------------------------------------

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table as plain values, in order of their keys; packed documents as they were before."""
        kept = dynamodb._tables[f"{self.stack}-{table}"]["items"]  # noqa: SLF001  # the emulator has no other way in
        found = [(pk, sk, item) for pk, sorts in kept.items() for sk, item in sorts.items()]
        found.sort(key=lambda it: (str(it[0]), str(it[1])))
        return [_plain_item(item) for _, _, item in found]

    def item(self, table: str, partition: str, sort: str) -> dict[str, Any] | None:
        """One item by its key, None if there is none."""
        kept = dynamodb._tables[f"{self.stack}-{table}"]["items"]  # noqa: SLF001  # see items
        found = kept.get(partition, {}).get(sort)
        return None if found is None else _plain_item(found)

    def count(self, table: str) -> int:
        """How many items a table holds."""
        return sum(len(it) for it in dynamodb._tables[f"{self.stack}-{table}"]["items"].values())  # noqa: SLF001  # see items

    def saved(self) -> bytes:
        """All that the account holds."""
        tables = dynamodb._tables._data  # noqa: SLF001  # see items
        return pickle.dumps((tables, self.queues, self.bus, self.secrets), pickle.HIGHEST_PROTOCOL)

    def load(self, saved: bytes) -> None:
        """Make the account what it was when that was saved."""
        dynamodb.reset()
        tables, self.queues, self.bus, self.secrets = pickle.loads(saved)  # noqa: S301  # our own
        dynamodb._tables._data.update(tables)  # noqa: SLF001  # see items

    def digest(self) -> str:
        """SHA-256 over every item of every table, and every message that is left."""
        kept = {table.Meta.suffix: self.items(table.Meta.suffix) for table in TABLES}  # type: ignore[attr-defined]
        left = {name: [message.body for message in queue.messages] for name, queue in self.queues.items()}
        text = json.dumps([kept, left], sort_keys=True, default=bytes.hex)
        return hashlib.sha256(text.encode()).hexdigest()


def _half(requests: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is done of a batch of keys or of writes, one at least for each table, and what is not."""
    done: dict[str, Any] = {}
    left: dict[str, Any] = {}
    for table, asked in requests.items():
        parts = asked if isinstance(asked, list) else asked["Keys"]
        half = max(1, len(parts) // 2)
        for taken, some in ((done, parts[:half]), (left, parts[half:])):
            if some:
                taken[table] = some if isinstance(asked, list) else {**asked, "Keys": some}
    return done, left


def _call_emulator(operation: str, body: bytes) -> tuple[int, bytes]:
    headers = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
    call = dynamodb.handle_request("POST", "/", headers, body, {})
    try:
        call.send(None)
    except StopIteration as done:
        status, _, answer = done.value
        return status, answer if isinstance(answer, bytes) else str(answer).encode()
    raise RuntimeError(f"the emulator did not answer {operation} at once")


def _plain_item(item: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _plain(value) for name, value in item.items()}
    if packed := found.pop("packed", None):
        found["facts"], found["cycles"] = zlib.decompress(packed).decode().split("\n")
    return found


def _plain(value: Mapping[str, Any]) -> Any:  # noqa: ANN401  # what a table holds
    (kind, content), *_ = value.items()
    match kind:
        case "N":
            return int(content)
        case "B":
            return b64decode(content)
        case _:
            return content


def _response(request: AWSPreparedRequest, status: int, body: bytes) -> AWSResponse:
    headers: Any = {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "simulated"}
    return AWSResponse(request.url, status, headers, _Raw(body))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=256)
def _declared(service: str, operation: str) -> tuple[str, ...]:
    """The errors that botocore's own model declares for an operation."""
    model = model_client(service).meta.service_model.operation_model(operation)
    return tuple(shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes)


@lru_cache(maxsize=8)
def model_client(service: str) -> Any:  # noqa: ANN401  # see attach
    """A boto3 client of this process, made once: that takes longer than most simulations of a day."""
    if service not in SERVICES:
        raise NotImplementedError(f"nobody answers for {service} here; teach Cloud, and name it in SERVICES")
    attempts = 6 if service == "dynamodb" else 4  # as infra.aws.tables.bind has it, and as boto3 does by itself
    retries = {"mode": "standard", "total_max_attempts": attempts}
    # Working out its own name anew for each call would cost botocore a tenth of a simulation.
    settings = Config(retries=retries, parameter_validation=False, user_agent="simulation")  # type: ignore[arg-type]
    client = _BOTO3_CLIENT(
        service,  # type: ignore[call-overload]  # the stubs know names, not a variable
        region_name="us-east-1",
        aws_access_key_id="simulated",
        aws_secret_access_key="simulated",  # noqa: S106  # nobody checks it
        endpoint_url="http://simulated",
        config=settings,
    )
    client.meta.events.register_first("choose-signer", lambda **_: UNSIGNED)
    return client
