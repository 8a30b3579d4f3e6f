"""Facts go in, webhooks come out: the real template with its policies, and a receiver that is not always well."""

import base64
import hashlib
import hmac
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from cli import webhooks
from cli.apply import apply_folder
from cli.connection import Connection, connect
from events.decode import envelop
from events.facts import Party
from infra.aws.secrets import webhook_secrets
from infra.local.player import Player
from infra.local.stack import LocalStack, local_stack
from infra.webhooks.deliveries import deliveries
from settlement.webhooks import DeliveryState
from tests.commands import write_yaml
from tests.http_server import http_server

START = datetime(2026, 10, 5, 9, tzinfo=UTC)
CLIENT = "id: acme\nname: Acme\nemail: billing@acme.example\n"
CONTRACT = """
client: acme
starts_on: 2026-10-01
currency: USD
time_zone: UTC
cap: {amount: "10.00", action: alert}
rates:
  - id: all
    price: {model: per_unit, unit: "1.00"}
"""
ENDPOINT = "id: acme-{name}\naudience: client\nclient: acme\nurl: {url}/{name}\n"


@dataclass
class Receiver:
    """A receiver of webhooks that checks signatures, and answers each webhook's attempts as it was told to."""

    secrets: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Callable[[dict[str, object], int], int]] = field(default_factory=dict)
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: dict[str, list[dict[str, object]]] = field(default_factory=lambda: defaultdict(list))
    bad: list[str] = field(default_factory=list)

    def receive(self, name: str, headers: Mapping[str, str], body: bytes) -> int:
        id_, stamp = headers["webhook-id"], headers["webhook-timestamp"]
        key = base64.b64decode(self.secrets[name].removeprefix("whsec_"))
        mac = hmac.new(key, f"{id_}.{stamp}.".encode() + body, hashlib.sha256).digest()
        if f"v1,{base64.b64encode(mac).decode()}" not in headers["webhook-signature"].split(" "):
            self.bad.append(f"{name} {id_}: the signature is wrong")
        if abs(int(stamp) - time.time()) > 60:
            self.bad.append(f"{name} {id_}: the attempt's time is wrong")
        self.attempts[name, id_] += 1
        content = json.loads(body)
        status = self.answers[name](content, self.attempts[name, id_])
        if status == 200:
            self.taken[name].append({"id": id_} | content)
        return status

    def told(self, name: str) -> list[object]:
        """What it took, in a word each, in the order in which it took it."""
        return [it["data"].get("percent") or it["data"].get("case") for it in self.taken[name]]  # type: ignore[attr-defined]  # JSON


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    made = Receiver()
    with http_server(lambda it: (made.receive(it.path[1:], it.headers, it.body), {}, b"")) as url:
        yield made, url


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    with patch.dict(os.environ), local_stack(tmp_path / "run", START) as running:
        running.address.enter()
        yield running


def set_up(here: Connection, folder: Path, receiver: tuple[Receiver, str], *names: str) -> None:
    """A client, its contract, and an endpoint of it for each name, with a secret that the receiver knows."""
    made, url = receiver
    files = {"clients/acme": CLIENT, "contracts/acme": CONTRACT}
    files |= {f"webhooks/{name}": ENDPOINT.format(name=name, url=url) for name in names}
    write_yaml(folder, files)
    out = Console(file=StringIO())
    identity = lambda: "somebody"  # noqa: E731  # who applies it
    assert apply_folder(folder, here.registry, date(2026, 10, 1), out, check_only=False, identity=identity) == 0
    for name in names:
        assert webhooks.make_secret(here, f"acme-{name}", out, rotate=False, finish=False) == 0
        [made.secrets[name]] = webhook_secrets(here.stack, f"acme-{name}")


def fact(kind: str, case: str, minutes: int, **data: object) -> dict[str, object]:
    at = START + timedelta(minutes=minutes)
    event = {"id": f"{kind}:{case}", "type": kind, "source": "helpdesk", "time": at.isoformat(), "subject": case}
    return envelop("acme", Party.CLIENT, at, event | {"data": data})


def solved(*numbers: int) -> list[dict[str, object]]:
    return [fact("resolution.completed", f"C{it}", it, resolver="ai") for it in numbers]


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_a_receiver_that_fails_twice_gets_everything_in_order_and_other_subjects_do_not_wait(
    stack: LocalStack, receiver: tuple[Receiver, str], tmp_path: Path
) -> None:
    made, _ = receiver
    here, player = connect(stack.address.stack_name), Player(stack)
    set_up(here, tmp_path / "terms", receiver, "ill")
    made.answers["ill"] = lambda it, attempt: 503 if it["data"].get("percent") == 50 and attempt <= 2 else 200  # type: ignore[attr-defined]  # JSON

    for numbers in ((1, 2, 3, 4, 5), (6, 7, 8)):
        player.send(solved(*numbers))
        player.rest("facts")
    player.send([fact("resolution.reopened", "C1", 60)])
    until(lambda: len(made.taken["ill"]) == 3)

    assert made.bad == []
    assert made.told("ill") == ["C1", 50, 80], "the reversal did not wait for the alerts, which kept their order"
    assert sorted(made.attempts.values()) == [1, 1, 3]
    until(lambda: len(list(deliveries(DeliveryState.DELIVERED))) == 3)
    assert sorted(it.attempts for it in deliveries(DeliveryState.DELIVERED)) == [1, 1, 3]
    assert list(deliveries(DeliveryState.WAITING)) == []
    reversal = made.taken["ill"][0]
    assert reversal["type"] == "charge.reversed"
    assert reversal["data"] == {
        "case": "C1",
        "cycle": 1,
        "period": "2026-10",
        "currency": "USD",
        "reversed_minor": 100,
        "charged_minor": 0,
        "why": "reopened",
    }


def test_what_was_given_up_is_listed_and_replayed_with_the_same_id(
    stack: LocalStack, receiver: tuple[Receiver, str], tmp_path: Path
) -> None:
    made, _ = receiver
    here, player = connect(stack.address.stack_name), Player(stack)
    set_up(here, tmp_path / "terms", receiver, "gone", "well")
    made.answers |= {"gone": lambda _, __: 410, "well": lambda _, __: 200}
    player.send(solved(1, 2, 3, 4, 5))
    player.rest("facts")
    until(lambda: bool(made.taken["well"]) and bool(list(deliveries(DeliveryState.FAILED))))

    [failed] = deliveries(DeliveryState.FAILED)
    assert (failed.endpoint, failed.attempts, failed.why) == ("acme-gone", 1, "answered 410")
    assert failed.webhook == made.taken["well"][0]["id"]
    out = Console(file=StringIO())
    made.answers["gone"] = lambda _, __: 200
    assert webhooks.replay(here, "acme-gone", ([failed.webhook], None), out) == 0
    until(lambda: bool(made.taken["gone"]))
    assert made.taken["gone"] == made.taken["well"]
    until(lambda: not list(deliveries(DeliveryState.FAILED)))

    assert webhooks.replay(here, "acme-well", ([], START), out) == 0
    until(lambda: len(made.taken["well"]) == 2)
    assert made.taken["well"][0] == made.taken["well"][1]
    assert made.bad == []
