"""The API over a world in memory: requests as API Gateway passes them on, with tokens it has verified."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from billing.contracts import ContractHistory
from functions.api.application import answer
from functions.api.backend import Backend
from functions.api.events import PATH as EVENTS
from functions.api.events import EventsBackend, answer_events
from settlement.registry import Client
from tests.fake_stripe import FakeStripe
from tests.paying import MONDAY, a_paying_world, with_policy
from tests.world import World, a_contract

CALLS_PER_MINUTE = 600
CONTEXT = SimpleNamespace(
    function_name="api", memory_limit_in_mb=512, invoked_function_arn="arn:api", aws_request_id="r-1"
)
CONTEXT.get_remaining_time_in_millis = lambda: 20_000


class MemoryRepetitions(BasePersistenceLayer):
    """Powertools' store of answers, kept in memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's own
        self.records: dict[str, DataRecord] = {}

    def _get_record(self, idempotency_key: str) -> DataRecord:
        if idempotency_key not in self.records:
            raise IdempotencyItemNotFoundError
        return self.records[idempotency_key]

    def _put_record(self, data_record: DataRecord) -> None:
        known = self.records.get(data_record.idempotency_key)
        if known is not None:
            self._validate_payload(data_payload=data_record, stored_data_record=known)
            raise IdempotencyItemAlreadyExistsError(old_data_record=known)
        self.records[data_record.idempotency_key] = data_record

    def _update_record(self, data_record: DataRecord) -> None:
        self.records[data_record.idempotency_key] = data_record

    def _delete_record(self, data_record: DataRecord) -> None:
        del self.records[data_record.idempotency_key]


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The error's code; empty where it is no error."""
        return str(self.body.get("error", {}).get("code", ""))


@dataclass
class ApiWorld:
    """Clients acme and globex; maya and noah, who solved cases of acme's only. Maya can be paid at once."""

    world: World
    stripe: FakeStripe = field(default_factory=FakeStripe)
    now: datetime = MONDAY
    facts: list[Mapping[str, object]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    repetitions: MemoryRepetitions = field(default_factory=MemoryRepetitions)
    keys: Any = field(default_factory=lambda: count(1))

    @property
    def backend(self) -> Backend:
        return Backend(
            store=self.world.store,
            registry=self.world.registry,
            stripe=lambda: self.stripe,
            put_facts=self._put,
            ask_to_send=self._ask,
            repetitions=self.repetitions,
            count_call=self._count,
            calls_per_minute=CALLS_PER_MINUTE,
        )

    def _put(self, messages: Sequence[Mapping[str, object]]) -> None:
        self.facts += messages

    def _ask(self, payouts: Iterable[str], _: datetime) -> None:
        self.asked += payouts

    def _count(self, tenant: str, at: datetime) -> int:
        key = (tenant, f"{at:%H:%M}")
        self.calls[key] = self.calls.get(key, 0) + 1
        return self.calls[key]

    def answer(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of the function that API Gateway asks."""
        if event["rawPath"] != EVENTS:
            return answer(self.backend, event, CONTEXT)
        registry, store = self.world.registry, self.world.store
        backend = EventsBackend(lambda: registry, lambda: store, self._put, self._count, CALLS_PER_MINUTE)
        return answer_events(backend, event)

    def get(self, path: str, groups: str, **query: object) -> Answered:
        """A GET by somebody in these groups."""
        return self.request("GET", path, groups, query={name: str(value) for name, value in query.items()})

    def post(
        self,
        path: str,
        groups: str,
        body: object,
        key: str | None = None,
        sub: str = "user-1",
        query: Mapping[str, str] | None = None,
    ) -> Answered:
        """A POST with a key of its own, if none is given."""
        headers = {"idempotency-key": key or f"k{next(self.keys)}", "content-type": "application/json"}
        text = None if body is None else json.dumps(body)
        return self.request("POST", path, groups, body=text, headers=headers, sub=sub, query=query)

    def request(
        self,
        method: str,
        path: str,
        groups: str,
        *,
        query: Mapping[str, str] | None = None,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        sub: str = "user-1",
        claims: Mapping[str, str] | None = None,
        is_encoded: bool = False,
    ) -> Answered:
        """Any request; `groups` are separated by blanks."""
        known = {"sub": sub, "token_use": "access", "cognito:groups": f"[{groups}]"}
        event = {
            "version": "2.0",
            "routeKey": "ANY /v1/{proxy+}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": dict(headers or {}),
            "queryStringParameters": dict(query or {}),
            "requestContext": {
                "requestId": "req-1",
                "timeEpoch": int(self.now.timestamp() * 1000),
                "stage": "$default",
                "http": {"method": method, "path": path},
                "authorizer": {"jwt": {"claims": known | dict(claims or {}), "scopes": []}},
            },
            "body": body,
            "isBase64Encoded": is_encoded,
        }
        found = self.answer(event)
        return Answered(found["statusCode"], json.loads(found["body"]), found.get("headers", {}))


def an_api(**policy: object) -> ApiWorld:
    """The world with what its routes show: charges, an invoice, payouts planned and waiting, something parked."""
    offer: dict[str, object] = {"instant_fee_percent": "1.5", "instant_fee_minimum": "0.50"}
    world = with_policy(a_paying_world("maya", "noah"), **(offer | policy))
    world.registry.all_clients["globex"] = Client(id="globex", name="Globex", email="billing@globex.example")
    world.registry.contract_histories["globex"] = ContractHistory(
        "globex", (a_contract(client="globex", starts_on="2026-03-01"),)
    )
    world.send(world.completed("lost", "2026-03-03", "nobody"))
    return ApiWorld(world)
