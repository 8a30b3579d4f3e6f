"""A load on the doors of the embedded stack: 500 events a second for a minute, none lost, none doubled.

Four in five events come through POST /v1/events, fifty at a time; the others from HubSpot, in signed webhooks of
twenty-five. One in a hundred is one that no door may take. Every event is its own case, so that what is settled can be
compared with what was sent. What a door answers with 429 or 5xx its sender sends again, as senders do.
"""

import base64
import hmac
import http.client
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from bench.figures import Figure
from billing.contracts import Contract
from events.adapters.doors import Door
from events.facts import Completed, format_instant
from infra.aws.registry import DynamoRegistry
from infra.aws.secrets import keep_door_secrets
from infra.aws.store import DynamoStore
from infra.aws.tables import bind
from infra.aws.tokens import identity_of, person_token
from infra.local.player import NotAtRest, Player
from infra.local.stack import LocalStack, local_stack
from settlement.apply import NewTerms, plan_changes
from settlement.registry import Client

RATE, SECONDS = 500, 60
_CLIENT, _SECRET = "load", "made-up"
_BY_API, _BY_WEBHOOK = 50, 25
_ONE_IN = 100  # is no event that may be taken
_SENDERS = 4  # more would only start more copies of the functions
_TRIES = 20
_WAITS = 15
_AGAIN = {429, 500, 502, 503, 504}
_ACKNOWLEDGED = 0.2
_UNSIGNED: tuple[str, bytes, dict[str, str]] = ("/webhooks/load-hubspot", b"[]", {})


@dataclass(frozen=True, slots=True)
class Request:
    """Events to be sent together, and when, in seconds from the beginning."""

    at: float
    by_webhook: bool
    numbers: range


@dataclass
class Outcome:
    """What became of the events, by number. `took` is how long each answer took, in seconds."""

    accepted: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    unanswered: set[int] = field(default_factory=set)
    took: list[float] = field(default_factory=list)
    late: float = 0.0
    settled: Counter[int] = field(default_factory=Counter)
    charged: int = 0
    given_up: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Events that were acknowledged and are nowhere."""
        return len(self.accepted - self.settled.keys())

    @property
    def doubled(self) -> int:
        """Events that are there twice, or were charged more than once."""
        return sum(number > 1 for number in self.settled.values()) + max(0, self.charged - len(self.settled))

    @property
    def unaccounted(self) -> int:
        """Events that were neither acknowledged nor refused with a reason, or are settled though refused."""
        return len(self.unanswered) + len(self.refused.keys() & self.settled.keys())


def measure() -> list[Figure]:
    """The whole load."""
    found = load(RATE, SECONDS)
    sent = RATE * SECONDS
    detail = {
        "events": sent,
        "refused with a reason": len(found.refused),
        "seconds behind at worst": round(found.late, 1),
    }
    slowest = sorted(found.took)[len(found.took) * 95 // 100]
    return [
        Figure("events acknowledged and lost", found.lost, unit="events", target=0, detail=detail),
        Figure("events doubled", found.doubled, unit="events", target=0),
        Figure("events neither acknowledged nor refused", found.unaccounted, unit="events", target=0),
        Figure("95th percentile of an acknowledgement under load", round(slowest, 3), unit="s", target=_ACKNOWLEDGED),
    ]


def load(rate: int, seconds: int) -> Outcome:
    """Send that many events a second for so long into a stack of its own, and look what became of each."""
    with TemporaryDirectory() as folder, patch.dict(os.environ), local_stack(Path(folder), datetime.now(UTC)) as stack:
        stack.address.enter()
        _set_up(stack)
        name = stack.address.stack_name
        token = person_token(identity_of(name), "load", f"client:{_CLIENT}")
        outcome = Outcome()
        _play(_Sender(stack.address.api_url, token, outcome), planned(rate, seconds))
        player = Player(stack)
        _drain(player)
        _count(DynamoStore(bind(name)), outcome)
        outcome.given_up = player.given_up()
        return outcome


def planned(rate: int, seconds: int) -> list[Request]:
    """Every request in the order of time: of each 250 events, 200 for the API, and 50 for webhooks."""
    requests, first, turn = list[Request](), 0, 0
    while first < rate * seconds:
        by_webhook = turn % 6 >= 4
        last = min(first + (_BY_WEBHOOK if by_webhook else _BY_API), rate * seconds)
        requests.append(Request(first / rate, by_webhook, range(first, last)))
        first, turn = last, turn + 1
    return requests


def _set_up(stack: LocalStack) -> None:
    contract = {
        "client": _CLIENT,
        "starts_on": "2020-01-01",
        "currency": "USD",
        "time_zone": "UTC",
        "rates": [{"id": "all", "price": {"model": "per_unit", "unit": "0.99"}}],
    }
    door = {
        "id": "load-hubspot",
        "client": _CLIENT,
        "system": "hubspot",
        "account": "62515",
        "secret": "load",
        "case_prefix": "L-",
        "agents": {"others": "ai", "unassigned": "ai"},
    }
    new = NewTerms(
        clients=(Client(id=_CLIENT, name="Load", email="billing@load.example"),),
        contracts=(Contract.model_validate(contract),),
        doors=(Door.model_validate(door),),
    )
    bind(stack.address.stack_name)
    registry = DynamoRegistry()
    registry.write(plan_changes(registry.current_terms(), new, date(2019, 12, 1)))
    keep_door_secrets(stack.address.stack_name, "load", (_SECRET,))


# -- sending -----------------------------------------------------------------------------------------------------------


class _Sender:
    """Sends requests over connections of its threads' own, and notes what was answered."""

    def __init__(self, api_url: str, token: str, outcome: Outcome) -> None:
        self._url, self._token, self._outcome = urlsplit(api_url), token, outcome
        api_id = self._url.path.split("/execute-api/")[1].split("/")[0]
        self._signed_url = f"https://{api_id}.execute-api.{self._url.hostname}/webhooks/load-hubspot"
        self._lock = threading.Lock()

    def send(self, request: Request) -> None:
        """Until it is answered with anything but patience."""
        send = self._webhook if request.by_webhook else self._events
        for tried in range(_TRIES):
            began = time.perf_counter()
            status, body = send(request)
            took = time.perf_counter() - began
            if status not in _AGAIN:
                with self._lock:
                    self._outcome.took.append(took)
                    self._note(request, status, body)
                return
            time.sleep(0.1 * 2 ** min(tried, 5))
        with self._lock:
            self._outcome.unanswered.update(request.numbers)

    def wake(self, turn: int) -> None:
        """Send what is refused: events of nobody, or a webhook of nobody."""
        self._post(*(("/v1/events", b"[]", {"Authorization": f"Bearer {self._token}"}), _UNSIGNED)[turn % 2])

    def _note(self, request: Request, status: int, body: Any) -> None:  # noqa: ANN401  # the JSON of an answer
        if status == 200:
            for number, result in zip(request.numbers, body["data"], strict=True):
                if result["status"] == "accepted":
                    self._outcome.accepted.add(number)
                else:
                    self._outcome.refused[number] = result["error"]["code"]
        elif status == 202:
            self._outcome.accepted.update(request.numbers)
        else:
            self._outcome.refused.update(dict.fromkeys(request.numbers, body["error"]["code"]))

    def _events(self, request: Request) -> tuple[int, Any]:
        body = json.dumps([_event(number) for number in request.numbers]).encode()
        return self._post("/v1/events", body, {"Authorization": f"Bearer {self._token}"})

    def _webhook(self, request: Request) -> tuple[int, Any]:
        """As HubSpot signs it; a batch that is to be refused is signed with something else."""
        at = int(time.time() * 1000)
        body = json.dumps([_change(number) for number in request.numbers]).encode()
        is_forged = request.numbers[0] % 1000 == 4 * _BY_API  # one in eight of these batches
        secret = "another" if is_forged else _SECRET
        mac = hmac.digest(secret.encode(), b"POST" + self._signed_url.encode() + body + str(at).encode(), "sha256")
        headers = {
            "X-HubSpot-Signature-v3": base64.b64encode(mac).decode(),
            "X-HubSpot-Request-Timestamp": str(at),
        }
        return self._post("/webhooks/load-hubspot", body, headers)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port, timeout=60)
        try:
            connection.request("POST", self._url.path + path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except OSError:
            return 503, None
        finally:
            connection.close()


def _event(number: int) -> dict[str, object]:
    """A resolution of a case of its own; one in a hundred is solved by an expert that it does not name."""
    return {
        "id": f"l-{number}",
        "type": "resolution.completed",
        "source": "load",
        "time": format_instant(datetime.now(UTC)),
        "subject": f"L-{number}",
        "data": {"resolver": "expert" if number % _ONE_IN == 0 else "ai", "channel": "chat"},
    }


def _change(number: int) -> dict[str, object]:
    change = {"propertyName": "hs_pipeline_stage", "propertyValue": "4", "subscriptionType": "ticket.propertyChange"}
    known = {"eventId": number, "portalId": 62515, "objectId": number, "sourceId": "userId:1"}
    return {**change, **known, "occurredAt": int(time.time() * 1000), "attemptNumber": 0}


def _play(sender: _Sender, requests: Sequence[Request]) -> None:
    """Send each request at its time, or as soon after it as a sender is free."""
    with ThreadPoolExecutor(_SENDERS) as senders:  # cold starts are measured elsewhere
        list(senders.map(sender.wake, range(2 * _SENDERS)))
    began = time.monotonic()

    def on_time(request: Request) -> float:
        behind = time.monotonic() - began - request.at
        if behind < 0:
            time.sleep(-behind)
        sender.send(request)
        return max(0.0, behind)

    with ThreadPoolExecutor(_SENDERS) as senders:
        sender._outcome.late = max(senders.map(on_time, requests))  # noqa: SLF001  # its own, in this module


def _drain(player: Player) -> None:
    """Wait until all is settled: a long queue takes the emulator minutes."""
    for waited in range(_WAITS):
        try:
            return player.rest("facts")
        except NotAtRest:
            if waited == _WAITS - 1:
                raise
    return None


# -- looking -----------------------------------------------------------------------------------------------------------


def _count(store: DynamoStore, outcome: Outcome) -> None:
    """What is settled: the facts of each case, and the resolutions that are charged."""
    for case in store.all_cases():
        outcome.settled[int(case.case_id.removeprefix("L-"))] += sum(isinstance(it, Completed) for it in case.facts)
        outcome.charged += sum(state.charge is not None for state in case.cycles)


def main() -> None:
    """`python -m bench.doors [RATE SECONDS]`."""
    rate, seconds = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (RATE, SECONDS)
    found = load(rate, seconds)
    print(*_told(found, rate * seconds), sep="\n")  # noqa: T201  # a command


def _told(found: Outcome, sent: int) -> Iterator[str]:
    yield f"{sent} events: {len(found.accepted)} acknowledged, {len(found.refused)} refused"
    yield f"refused for: {dict(Counter(found.refused.values()))}"
    yield f"{found.lost} lost, {found.doubled} doubled, {found.unaccounted} neither acknowledged nor refused"
    took = sorted(found.took)
    yield f"answers: median {took[len(took) // 2]:.3f} s, 95% {took[len(took) * 95 // 100]:.3f} s"
    yield f"at worst {found.late:.1f} s behind; given up: {dict(found.given_up)}"


if __name__ == "__main__":
    main()
