"""The sandbox's world: its clock and agenda, the events it emits, and what one request asks of it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from infra.local.stripe_sandbox.errors import ApiError, ParameterError
from infra.local.stripe_sandbox.store import Store, rendered

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.stripe_sandbox.parameters import JsonObject

API_VERSION = "2026-10-28.endive"
DAY_SECONDS = 86_400
# Stripe wants charges and payouts in these currencies to end in 0, though they have three decimals.
THREE_DECIMAL_CURRENCIES = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How long things take, in days of sandbox time, and how connected accounts begin.

    `new_accounts` is the status of a newly requested transfers capability: `pending`, `active` or `restricted`.
    With `topup_days` 0 a top-up is available at once.
    """

    new_accounts: str = "pending"
    settlement_days: int = 2
    topup_days: int = 0
    payout_days: int = 2


@dataclass(slots=True)
class Call:
    """One request: its checked parameters, the ids in its path, and whom it concerns.

    `account` is the connected account of the Stripe-Account header, None for the platform.
    """

    params: JsonObject
    path: dict[str, str] = field(default_factory=dict)
    account: str | None = None
    url_path: str = ""
    request_id: str | None = None
    idempotency_key: str | None = None


class World:
    """State, clock and events together. Whoever uses it holds the sandbox's lock."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.call = Call({})
        self.base_url = ""
        self.on_event: Callable[[JsonObject], None] = lambda _event: None

    @property
    def now(self) -> int:
        """The sandbox's time in epoch seconds."""
        return int(self.store.state["now"])

    def schedule(self, at: int, task: str, object_id: str) -> None:
        """Have a task of `timeline.TASKS` run when the clock reaches that time; money settles before anything else."""
        order = self.store.state["counters"].get("agenda", 0) + 1
        self.store.state["counters"]["agenda"] = order
        rank = 0 if task == "settle_transaction" else 1
        heapq.heappush(self.store.state["agenda"], [at, rank, order, task, object_id])

    def emit(self, event_type: str, subject: JsonObject, account: str | None = None) -> None:
        """Record a snapshot event about the object as it is now, and hand it to the webhooks.

        `account` is the connected account that it happened to; only Connect endpoints hear of those.
        """
        event: JsonObject = {
            "id": self.store.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": {"object": rendered(subject)},
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self.call.request_id, "idempotency_key": self.call.idempotency_key},
            "type": event_type,
        }
        if account is not None:
            event |= {"account": account, "_account": account}
        self.on_event(self.store.add(event))

    def emit_thin(self, event_type: str, subject: JsonObject, data: JsonObject) -> None:
        """Record a v2 event, which tells the id of its object only, and hand it to the event destinations."""
        event: JsonObject = {
            "id": self.store.new_id("evtv2"),
            "object": "v2.core.event",
            "created": rfc3339(self.now),
            "livemode": False,
            "context": None,
            "type": event_type,
            "related_object": {
                "id": subject["id"],
                "type": subject["object"],
                "url": f"/v2/core/accounts/{subject['id']}",
            },
            "data": data,
        }
        self.on_event(self.store.add(event))


def rfc3339(epoch_seconds: int) -> str:
    """Epoch seconds as v2 endpoints write times: UTC with milliseconds."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def required(call: Call, name: str) -> str:
    """A parameter that the SDK's types leave optional and Stripe doesn't."""
    if name not in call.params:
        raise ParameterError(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return str(call.params[name])


def positive_amount(call: Call) -> int:
    """The parameter `amount`: at least 1 minor unit, in steps of 10 for three-decimal currencies; minor units."""
    amount = int(required(call, "amount"))
    if amount < 1:
        sentence = "This value must be greater than or equal to 1."
        raise ParameterError(sentence, code="parameter_invalid_integer", param="amount")
    return check_steps(amount, call.params.get("currency", ""))


def check_steps(amount: int, currency: str) -> int:
    """The amount itself, unless the currency has three decimals and the last digit isn't 0."""
    if currency.lower() in THREE_DECIMAL_CURRENCIES and amount % 10:
        raise ApiError(f"Amounts in {currency} must end in 0.", code="invalid_charge_amount", param="amount")
    return amount


def currency_of(call: Call) -> str:
    """The lower-case currency code of the request."""
    code = required(call, "currency").lower()
    if len(code) != 3 or not code.isalpha():
        raise ApiError(f"Invalid currency: {code}.", param="currency")
    return code
