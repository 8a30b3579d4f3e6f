"""Resolutions of the sample world's client acme as its queue delivers them: each by an expert, and each rated.

Names are as long as those that ticketing systems give: case numbers of ten digits, UUIDs for events.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from bench.world import CLIENT, sample_terms
from billing.contracts import Contract
from events.decode import envelop
from events.facts import Party, format_instant
from infra.aws.registry import DynamoRegistry
from infra.aws.tables import RegistryItem
from payouts.plans import PayPlan
from settlement.expert_status import ExpertStatus
from settlement.registry import Client, Expert, Gate
from settlement.stripe_port import TransfersCapability

BATCH = 25
# A hundred a day, twenty seconds apart: what a busy client's queue holds at a time, or what a poll of its desk brings.
_PER_DAY = 100
_SECONDS_BETWEEN = 20
_FIRST = datetime(2026, 10, 5, 14, tzinfo=UTC)
_PLANS = ("us-share", "us-senior")
_SOURCE = "zendesk/acme"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The two messages of a resolution: that it was completed, and how it was rated."""

    completed: dict[str, object]
    rated: dict[str, object]


def resolutions(number: int, experts: int, seed: int = 20261005) -> Iterator[Resolution]:
    """So many resolutions one after the other, by experts drawn at random; the same for the same seed."""
    rng = Random(seed)  # noqa: S311  # sample data, no secret
    for place in range(number):
        day, of_day = divmod(place, _PER_DAY)
        resolved_at = _FIRST + timedelta(days=day, seconds=of_day * _SECONDS_BETWEEN)
        subject = f"ZD-{4_071_000_000 + place}"
        data = {
            "resolver": "expert",
            "expert": expert_name(rng.randrange(experts)),
            "channel": rng.choices(("chat", "email", "phone"), (60, 30, 10))[0],
            "language": "en",
            "skill": "orders",
            "priority": "normal",
            "opened_at": format_instant(resolved_at - timedelta(minutes=50)),
            "first_response_at": format_instant(resolved_at - timedelta(minutes=45)),
            "resolved_at": format_instant(resolved_at),
        }
        score = rng.choices(range(1, 6), (4, 4, 8, 26, 58))[0]
        rating = {"score": score, "scale_min": 1, "scale_max": 5}
        yield Resolution(
            _message(rng, "resolution.completed", subject, resolved_at, data),
            _message(rng, "resolution.rated", subject, resolved_at + timedelta(minutes=40), rating),
        )


def _message(rng: Random, kind: str, subject: str, at: datetime, data: dict[str, Any]) -> dict[str, object]:
    id_ = str(UUID(int=rng.getrandbits(128), version=4))
    event = {"id": id_, "type": kind, "source": _SOURCE, "time": format_instant(at), "subject": subject, "data": data}
    return envelop(CLIENT, Party.CLIENT, at + timedelta(seconds=8), event)


def expert_name(place: int) -> str:
    """The id of an expert."""
    return f"expert-{place:05d}"


def together(batch: Sequence[Resolution]) -> list[dict[str, Any]]:
    """One event: every resolution with its rating."""
    return [_event([message for it in batch for message in (it.completed, it.rated)])]


def apart(batch: Sequence[Resolution]) -> list[dict[str, Any]]:
    """Two events: all resolutions, and later all ratings."""
    return [_event([it.completed for it in batch]), _event([it.rated for it in batch])]


def batches(number: int, experts: int, size: int = BATCH) -> list[list[Resolution]]:
    """So many batches of resolutions."""
    every = list(resolutions(number * size, experts))
    return [every[start : start + size] for start in range(0, len(every), size)]


def _event(messages: Sequence[dict[str, object]]) -> dict[str, Any]:
    """What the event source hands to the function: SQS records that hold what the event bus put there."""
    return {"Records": [_record(place, message) for place, message in enumerate(messages)]}


def _record(place: int, message: dict[str, object]) -> dict[str, Any]:
    bus_event = {
        "version": "0",
        "id": str(UUID(int=place)),
        "detail-type": "fact",
        "source": "solvent.doors",
        "account": "123456789012",
        "time": message["received_at"],
        "region": "us-east-1",
        "resources": [],
        "detail": message,
    }
    sent = int(datetime.fromisoformat(str(message["received_at"])).timestamp() * 1000)
    return {
        "messageId": str(UUID(int=place)),
        "body": json.dumps(bus_event),
        "attributes": {"SentTimestamp": str(sent), "ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
    }


def register(experts: int) -> None:
    """The client, its contract, two pay plans (one counts weeks for a quest), and experts who can be paid."""
    terms = sample_terms()
    versions = TypeAdapter(tuple[Contract, ...]).dump_json(terms.contracts.versions, exclude_none=True)
    client = Client(id=CLIENT, name="Acme Outdoor Inc.", email="billing@acme.example", stripe_customer="cus_acme")
    _put("client", CLIENT, client.model_dump_json(exclude_none=True).encode())
    _put("contract", CLIENT, versions)
    plans = TypeAdapter(tuple[PayPlan, ...])
    for plan in _PLANS:
        _put("pay_plan", plan, plans.dump_json(terms.plans[plan].versions, exclude_none=True))
    for place in range(experts):
        name = expert_name(place)
        expert = Expert(
            id=name,
            country="US",
            email=f"{name}@experts.example",
            assignments={CLIENT: _PLANS[place % len(_PLANS)]},
            gates=dict.fromkeys(Gate, date(2026, 1, 1)),
            stripe_account=f"acct_{name}",
        )
        _put("expert", name, expert.model_dump_json(exclude_none=True).encode())
        status = ExpertStatus(name, transfers=TransfersCapability.ACTIVE, bank=f"bank_{name}", revision=1)
        DynamoRegistry().set_status(status)


def _put(kind: str, id_: str, document: bytes) -> None:
    RegistryItem(kind=kind, id=id_, document=document.decode(), revision=1).save()
