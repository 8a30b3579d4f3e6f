"""A running embedded stack with a little history, and tokens for every role: what tests of the API over HTTP share.

Its clock is the machine's, for API Gateway's is: so the sample world's terms begin in 2020.
"""

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.message import Message
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console

from cli.apply import apply_folder
from cli.connection import connect
from events.decode import envelop
from events.facts import Party
from infra.aws.tokens import identity_of, machine_token, person_token
from infra.local.player import Player
from infra.local.sample_month import SAMPLE_WORLD
from infra.local.stack import LocalStack, local_stack
from settlement.onboard import onboard

FACTS: tuple[tuple[str, str, int], ...] = tuple(
    (client, f"{client}-{number}", score)
    for client in ("acme", "nordwind")
    for number, score in enumerate((5, 5, 1, 4))
)
EXPERTS = {"acme": "maya", "nordwind": "ines"}


@dataclass
class ApiStack:
    """`token` makes a token once for each grant."""

    stack: LocalStack
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    def token(self, grant: str, name: str = "", *, is_machine: bool = False) -> str:
        """A token of a person, or machine, of that name."""
        known = name or grant.replace(":", "-")
        if (grant, known) not in self.tokens:
            make = machine_token if is_machine else person_token
            self.tokens[grant, known] = make(identity_of(self.stack.address.stack_name), known, grant)
        return self.tokens[grant, known]

    def request(
        self, method: str, path: str, token: str | None, body: object = None, key: str = ""
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON and headers of one call."""
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.stack.address.api_url + path, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310  # loopback
                return answer.status, json.load(answer), _lowered(answer.headers)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused), _lowered(refused.headers)


def _lowered(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def api_stack(folder: Path) -> Iterator[ApiStack]:
    """The stack, for as long as it is needed."""
    now = datetime.now(UTC)
    with patch.dict(os.environ), local_stack(folder, now) as stack:
        stack.address.enter()
        here, console = connect(stack.address.stack_name), Console(file=StringIO())
        world, since = _since_2020(folder / "world"), date(2019, 12, 1)
        assert apply_folder(world, here.registry, since, console, check_only=False, identity=lambda: "t") == 0
        list(onboard(here.store, here.registry, stack.gateway(), now))
        player = Player(stack)
        player.send([message for fact in FACTS for message in _messages(*fact, now)])
        player.rest("facts")
        yield ApiStack(stack)


def _since_2020(folder: Path) -> Path:
    shutil.copytree(SAMPLE_WORLD, folder)
    for file in folder.rglob("*.yaml"):
        file.write_text(file.read_text().replace("2026-", "2020-"))
    return folder


def _messages(client: str, case: str, score: int, now: datetime) -> Iterator[dict[str, object]]:
    """A case that was solved an hour ago, and rated since."""
    solved = {"resolver": "expert", "expert": EXPERTS[client], "channel": "chat", "language": "en"}
    rated = {"score": score, "scale_min": 1, "scale_max": 5}
    for kind, ago, data in (("completed", 60, solved), ("rated", 30, rated)):
        at = (now - timedelta(minutes=ago)).isoformat()
        event = {
            "id": f"{case}-{kind}",
            "type": f"resolution.{kind}",
            "source": "helpdesk",
            "time": at,
            "subject": case,
        }
        yield envelop(client, Party.CLIENT, now, event | {"data": data})
