"""What goes over the wire to DynamoDB is what botocore and PynamoDB would send and give, only made faster."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from pynamodb.exceptions import VerboseClientError

from bench.replay import answered
from infra.aws.tables import BookItem, HoldItem, PeriodItem, bind
from infra.aws.wire import Attributes, decoded, delete, encoded, put, put_revision, read_together, scan, update
from tests.dynamo_tables import moto_tables

ITEM: Attributes = {"book": "client/acme", "seq": 7, "chain_hash": bytes(range(256)), "sums": 'Zoë "1"\n', "open": True}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")  # for which botocore would choose an endpoint of its own


def botocores_own() -> Any:  # noqa: ANN401  # boto3 makes its clients at run time
    """A client as boto3 makes it, of a session of its own, since the default one keeps its credentials."""
    return boto3.Session("testing", "testing", region_name="us-east-1").client("dynamodb")


class Wire:
    """Takes a client's requests, and gives the answer that it was told to give."""

    def __init__(self, client: Any, answer: object) -> None:  # noqa: ANN401  # boto3 makes its clients at run time
        self.requests: list[AWSPreparedRequest] = []
        self._answer = json.dumps(answer).encode()
        client.meta.events.register("before-send.dynamodb", self._send)

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        self.requests.append(request)
        return answered(request, self._answer)

    @property
    def sent(self) -> Any:  # noqa: ANN401  # any JSON
        return json.loads(self.requests[-1].body)  # type: ignore[arg-type]  # bytes, for DynamoDB


def test_a_transaction_goes_out_as_botocore_would_send_it() -> None:
    connection, plain = bind("test", region="us-east-1"), botocores_own()
    ours, theirs = Wire(connection.client, {}), Wire(plain, {})
    key, values = {"expert": "maya", "kind": "USD#available"}, {":added": {"N": "-5"}}
    with patch("uuid.uuid4", return_value="one-token"):
        connection.transact_write_items(
            condition_check_items=[],
            delete_items=[delete(HoldItem, key)],
            put_items=[put(BookItem, ITEM, "seq = :before", before=6)],
            update_items=[update(HoldItem, key, "ADD amount :added", "attribute_not_exists(released)", added=-5)],
            return_consumed_capacity="NONE",
        )
        wire_key = {name: {"S": value} for name, value in key.items()}
        plain.transact_write_items(
            ReturnConsumedCapacity="NONE",
            TransactItems=[
                {"Delete": {"TableName": "test-holds", "Key": wire_key}},
                {
                    "Put": {
                        "TableName": "test-books",
                        "Item": {
                            "book": {"S": "client/acme"},
                            "seq": {"N": "7"},
                            "chain_hash": {"B": bytes(range(256))},
                            "sums": {"S": 'Zoë "1"\n'},
                            "open": {"BOOL": True},
                        },
                        "ConditionExpression": "seq = :before",
                        "ExpressionAttributeValues": {":before": {"N": "6"}},
                    }
                },
                {
                    "Update": {
                        "TableName": "test-holds",
                        "Key": wire_key,
                        "UpdateExpression": "ADD amount :added",
                        "ConditionExpression": "attribute_not_exists(released)",
                        "ExpressionAttributeValues": values,
                    }
                },
            ],
        )
    assert ours.sent == theirs.sent
    [mine], [other] = ours.requests, theirs.requests
    for name in ("X-Amz-Target", "Content-Type"):
        assert mine.headers[name] == other.headers[name]


def test_calls_go_to_the_regions_endpoint_and_are_signed_for_it() -> None:
    wire = Wire(bind("test", region="eu-central-1").client, {"Responses": {}, "UnprocessedKeys": {}})
    read_together({BookItem: [("client/acme",)]})
    [request] = wire.requests
    assert request.url == "https://dynamodb.eu-central-1.amazonaws.com/"
    assert "/eu-central-1/dynamodb/aws4_request" in str(request.headers["Authorization"])


def test_other_calls_are_made_by_botocore_as_ever() -> None:
    wire = Wire(bind("test", region="us-east-1").client, {})
    BookItem(book="sums/acme", seq=0, chain_hash=b"\xff\x00").save()
    assert wire.sent["Item"]["chain_hash"] == {"B": b64encode(b"\xff\x00").decode()}


def test_an_item_is_received_as_botocore_would_give_it() -> None:
    stored = encoded(ITEM)
    answer = {"Responses": {"test-books": [stored]}, "UnprocessedKeys": {}}
    connection, plain = bind("test", region="us-east-1"), botocores_own()
    Wire(connection.client, answer)
    Wire(plain, answer)
    asked: Any = {"RequestItems": {"test-books": {"Keys": [{"book": {"S": "client/acme"}}]}}}
    [ours] = connection.dispatch("BatchGetItem", asked)["Responses"]["test-books"]
    [theirs] = plain.batch_get_item(**asked)["Responses"]["test-books"]
    assert ours == theirs
    assert decoded(ours) == ITEM


def test_what_is_none_is_left_out_and_what_dynamodb_would_round_is_refused() -> None:
    assert encoded({"a": None, "b": False, "c": 0, "d": ""}) == {"b": {"BOOL": False}, "c": {"N": "0"}, "d": {"S": ""}}
    assert decoded(encoded({"b": False, "c": -(10**20), "d": ""})) == {"b": False, "c": -(10**20), "d": ""}
    with pytest.raises(TypeError, match=r"\{'amount': 0\.5\} cannot be stored"):
        encoded({"a": 1, "amount": 0.5})  # type: ignore[dict-item]  # what a type checker refuses, too


@pytest.mark.parametrize(
    ("revision", "condition"),
    [
        (1, {"ConditionExpression": "attribute_not_exists(revision)"}),
        (
            2,
            {"ConditionExpression": "revision = :before", "ExpressionAttributeValues": {":before": {"N": "1"}}},
        ),
    ],
)
def test_a_revision_is_put_only_over_the_one_before(revision: int, condition: dict[str, object]) -> None:
    bind("test", region="us-east-1")
    assert put_revision(PeriodItem, {"client": "acme"}, revision) == {
        "TableName": "test-periods",
        "Item": {"client": {"S": "acme"}, "revision": {"N": str(revision)}},
        **condition,
    }


@pytest.fixture
def tables() -> Iterator[None]:
    with moto_tables("test", BookItem, HoldItem):
        yield


@pytest.mark.usefixtures("tables")
def test_items_of_several_tables_are_read_together_however_many_and_whatever_is_asked_twice() -> None:
    for number in range(130):
        BookItem(book=f"client/c{number}", seq=number).save()
    HoldItem(expert="maya", kind="USD#available", amount=-5).save()
    books = [(f"client/c{number}",) for number in range(140)]
    found = read_together({BookItem: [*books, *books], HoldItem: [("maya", "USD#available")], PeriodItem: []})
    assert sorted(it["seq"] for it in found[BookItem]) == list(range(130))
    assert found[HoldItem] == [{"expert": "maya", "kind": "USD#available", "amount": -5}]
    assert found[PeriodItem] == []
    assert sorted(it["seq"] for it in scan(BookItem, BookItem.seq > 99)) == list(range(100, 130))


def test_what_dynamodb_had_no_time_for_is_asked_for_again() -> None:
    connection = bind("test", region="us-east-1")
    places = [(f"client/c{number}",) for number in range(3)]

    def partly(_: object, asked: Any) -> object:  # noqa: ANN401  # DynamoDB's JSON
        keys = asked["RequestItems"]["test-books"]["Keys"]
        rest = {"test-books": {"ConsistentRead": True, "Keys": keys[1:]}} if keys[1:] else {}
        return {"Responses": {"test-books": keys[:1]}, "UnprocessedKeys": rest}

    with patch.object(type(connection), "dispatch", lambda _, name, asked: partly(name, asked)):
        found = read_together({BookItem: places})[BookItem]
    assert [it["book"] for it in found] == [book for (book,) in places]


@pytest.mark.usefixtures("tables")
def test_a_read_that_is_refused_says_why_and_of_what() -> None:
    with pytest.raises(VerboseClientError, match=r"ResourceNotFoundException.*test-periods"):
        read_together({PeriodItem: [("acme", "2026-10")]})
