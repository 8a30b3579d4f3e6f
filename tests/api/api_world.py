"""The API over a world in memory: requests as API Gateway passes them on, with tokens it has verified."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from settlement.announcements import Announcement, Audience
from settlement.reconcile import reconcile
from settlement.registry import Client
from settlement.webhooks import Delivery, DeliveryState, Endpoint, Webhook, webhook_id
from tests.fake_stripe import FakeStripe
from tests.paying import MONDAY, a_paying_world, with_policy
from tests.world import World, a_contract

CALLS_PER_MINUTE = 600
ENDPOINT = Endpoint(id="acme-billing", audience=Audience.CLIENT, client="acme", url="https://acme.example/hooks")
CAP_ALERT = Announcement(
    id="usage:acme:2026-03:cap:50",
    type="usage.cap_alert",
    client="acme",
    at=MONDAY,
    data={"period": "2026-03", "percent": 50, "currency": "USD", "charged_minor": 60, "cap_minor": 100},
    subject="usage:acme",
)
GIVEN_UP = Delivery(
    endpoint=ENDPOINT.id,
    webhook=webhook_id(CAP_ALERT),
    type=CAP_ALERT.type,
    state=DeliveryState.FAILED,
    attempts=11,
    why="answered 500",
    tried_at=MONDAY,
)
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
class MemoryWebhooks:
    """Secrets and their versions, deliveries and announcements; what is queued is kept with its mark."""

    told: list[Announcement] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    queued: list[tuple[Webhook, str]] = field(default_factory=list)
    kept: dict[str, list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: count(1))

    def secrets(self, endpoint: str) -> tuple[str, ...]:
        return self.kept[endpoint][-1][1] if endpoint in self.kept else ()

    def make_secret(self, endpoint: str, request: str) -> None:
        if self.secret_made_by(endpoint, request) is None:
            self._keep(endpoint, request, (f"whsec_{next(self.numbers)}", *self.secrets(endpoint)[:1]))

    def secret_made_by(self, endpoint: str, request: str) -> str | None:
        return next((made[0] for by, made in self.kept.get(endpoint, ()) if by == request), None)

    def keep_newest_secret(self, endpoint: str) -> None:
        self._keep(endpoint, "", self.secrets(endpoint)[:1])

    def _keep(self, endpoint: str, request: str, secrets: tuple[str, ...]) -> None:
        self.kept.setdefault(endpoint, []).append((request, secrets))

    def forget_secrets(self, endpoint: str) -> None:
        self.kept.pop(endpoint, None)

    def undelivered_after(self, endpoint: str, webhook: str, most: int) -> tuple[Sequence[Delivery], str]:
        mine = [it for it in self.deliveries if it.endpoint == endpoint and it.state is not DeliveryState.DELIVERED]
        behind = sorted((it for it in mine if it.webhook > webhook), key=lambda it: it.webhook)
        return behind[:most], behind[most - 1].webhook if len(behind) > most else ""

    def announcements(self, client: str) -> Iterator[Announcement]:
        return iter([it for it in self.told if it.client == client])

    def queue(self, webhooks: Iterable[Webhook], mark: str) -> None:
        self.queued += [(it, mark) for it in webhooks]


@dataclass
class ApiWorld:
    """Clients acme and globex; maya and noah, who solved cases of acme's only. Maya can be paid at once."""

    world: World
    stripe: FakeStripe = field(default_factory=FakeStripe)
    webhooks: MemoryWebhooks = field(default_factory=MemoryWebhooks)
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
            webhooks=self.webhooks,
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

    def delete(self, path: str, groups: str) -> Answered:
        """A DELETE by somebody in these groups."""
        return self.request("DELETE", path, groups)

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
    world.store.keep_reconciliation(reconcile(world.store, FakeStripe(), MONDAY))
    world.registry.add_endpoint(ENDPOINT)
    api = ApiWorld(world)
    api.webhooks.make_secret(ENDPOINT.id, "")
    api.webhooks.told.append(CAP_ALERT)
    api.webhooks.deliveries.append(GIVEN_UP)
    return api


def everything(api: ApiWorld, path: str, groups: str, **query: object) -> list[Any]:
    """All items of a list, page by page."""
    found, cursor = [], None
    while True:
        page = api.get(path, groups, **query, **({"cursor": cursor} if cursor else {})).body
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = page["next_cursor"]
