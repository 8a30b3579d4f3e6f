"""Calls to AWS recorded once, then answered again from memory, so that only the caller's own CPU time is measured."""

from base64 import b64decode
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from zlib import crc32

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

WRITE = "TransactWriteItems"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call with the parameters that the client was given, and the body that the service answered with."""

    operation: str
    params: dict[str, Any]
    answer: bytes


def as_boto3_takes_them(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the store's call: it gives binary values as base64 text, boto3 wants bytes."""
    return {name: _with_bytes(value) for name, value in params.items() if name != "ClientRequestToken"}


def _with_bytes(value: Any) -> Any:  # noqa: ANN401  # any part of the parameters
    match value:
        case {"B": str(text)}:
            return {"B": b64decode(text)}
        case dict():
            return {name: _with_bytes(part) for name, part in value.items()}
        case list():
            return [_with_bytes(part) for part in value]
        case _:
            return value


@contextmanager
def recorded(client: Any) -> Iterator[list[Exchange]]:  # noqa: ANN401  # boto3 makes its clients at run time
    """Every call of a DynamoDB client meanwhile. Raises AssertionError for one that is refused."""
    exchanges: list[Exchange] = []
    asked: list[dict[str, Any]] = []

    def ask(params: dict[str, Any], **_: object) -> None:
        asked.append(as_boto3_takes_them(params))

    def answer(response_dict: dict[str, Any], model: Any = None, **context: Any) -> None:  # noqa: ANN401  # botocore's
        if response_dict["status_code"] != 200:
            raise AssertionError(f"a recorded call was refused: {response_dict['body']!r}")
        operation = context["event_name"].rpartition(".")[2] if model is None else model.name
        exchanges.append(Exchange(operation, asked.pop(), response_dict["body"]))

    events = client.meta.events
    events.register("provide-client-params.dynamodb", ask)
    events.register("response-received.dynamodb", answer)
    try:
        yield exchanges
    finally:
        events.unregister("provide-client-params.dynamodb", ask)
        events.unregister("response-received.dynamodb", answer)


class _Body(BytesIO):
    """The network's end of an answer, as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class Replayed:
    """Answers a client's calls at once, in the order in which they were recorded, for as long as it is open."""

    def __init__(self, client: Any, exchanges: Sequence[Exchange]) -> None:  # noqa: ANN401  # see above
        self._events = client.meta.events
        self._left = deque((it.operation, _headers(it.answer), it.answer) for it in exchanges)

    def __enter__(self) -> None:
        self._events.register("before-send.dynamodb", self._answer)

    def __exit__(self, *_: object) -> None:
        self._events.unregister("before-send.dynamodb", self._answer)
        if self._left:
            raise AssertionError(f"{len(self._left)} calls were recorded and not made, first {self._left[0][0]}")

    def _answer(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse:
        operation, headers, body = self._left.popleft()
        if not event_name.endswith(operation):
            raise AssertionError(f"{event_name} was called where {operation} was recorded")
        return AWSResponse(request.url, 200, headers, _Body(body))


def answered(request: AWSPreparedRequest, body: bytes) -> AWSResponse:
    """What botocore takes for DynamoDB's answer to a request."""
    return AWSResponse(request.url, 200, _headers(body), _Body(body))


def _headers(body: bytes) -> HTTPHeaders:
    """As DynamoDB sends them, with the checksum that botocore compares."""
    return HTTPHeaders.from_pairs([("Content-Type", "application/x-amz-json-1.0"), ("x-amz-crc32", str(crc32(body)))])
