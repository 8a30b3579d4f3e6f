"""Stripe inside this process: the real SDK against the sandbox's WSGI application, with webhooks handed over."""

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import stripe as sdk
from werkzeug.test import create_environ

from infra.local.stripe_sandbox.admin import Admin
from infra.local.stripe_sandbox.application import Application
from infra.local.stripe_sandbox.store import Store
from infra.local.stripe_sandbox.timeline import advance
from infra.local.stripe_sandbox.webhooks import Webhooks, signature_header
from infra.local.stripe_sandbox.world import Settings, World
from tests.simulation.faults import STRIPE_KINDS, STRIPE_KINDS_OF_A_READ, Faults

API_KEY = "sk_test_sandbox"
BASE = "http://stripe.simulated"
SECRETS = {"platform": "whsec_platform", "connect": "whsec_connect"}
_OF_THE_SANDBOX = set(STRIPE_KINDS) - {"crash_before", "crash_after", "slow", "rival"}


class _NoSocket:
    def shutdown(self, _how: int) -> None:
        """There is none to shut."""


class StripeDouble:
    """The sandbox's world and application; `on_event` hears of every event that Stripe would tell by webhook."""

    def __init__(self, now: datetime, on_event: Callable[[dict[str, Any]], None]) -> None:
        lock, closing = threading.RLock(), threading.Event()
        closing.set()  # what hangs or is delayed ends at once
        self.world = World(Store(int(now.timestamp())), Settings(new_accounts="active"))
        controls = Admin(Webhooks(self.world, lock, closing), started_at=0, wall_clock=False)
        self.world.on_event = on_event
        self._application = Application(self.world, controls, api_key=API_KEY, lock=lock, closing=closing)

    def set_clock(self, now: datetime) -> None:
        """Move Stripe's time on, with all that falls due on the way."""
        advance(self.world, max(self.world.now, int(now.timestamp())))

    def serve(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[bytes, int, dict[str, str]]:
        """One request and its answer; ConnectionAbortedError if the connection is lost as ordered."""
        parts = urlsplit(url)
        environ = create_environ(
            parts.path, BASE, query_string=parts.query, method=method, input_stream=BytesIO(body), headers=dict(headers)
        )
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["werkzeug.socket"] = _NoSocket()
        answered: dict[str, Any] = {}

        def start_response(
            status: str, response_headers: list[tuple[str, str]], *_: object
        ) -> Callable[[bytes], object]:
            answered.update(status=int(status.split(maxsplit=1)[0]), headers=dict(response_headers))
            return lambda _data: None

        content = b"".join(self._application(environ, start_response))
        return content, answered["status"], answered["headers"]

    def act(self, action: str, **body: object) -> dict[str, Any]:
        """The customers', banks' and experts' part: a control of the sandbox. A refusal is a ValueError."""
        content, status, _ = self.serve("POST", f"{BASE}/_sandbox/{action}", {}, json.dumps(body).encode())
        if status != 200:
            raise ValueError(f"{action} {body}: {content.decode()}")
        return dict(json.loads(content))

    def objects(self, prefix: str) -> list[dict[str, Any]]:
        """Every object of a kind, by the prefix of its ids."""
        return list(self.world.store.kind_of(prefix).values())

    def available(self) -> dict[str, int]:
        """The platform's available balance by currency code, zeros left out."""
        sums = self.world.store.state["balances"].get("platform", {})
        return {code.upper(): it["available"] for code, it in sums.items() if it["available"]}


def client_class(double: StripeDouble, faults: Faults) -> type[sdk.HTTPClient]:
    """The SDK's HTTP client whose requests are served here, with what goes wrong on the way."""

    class InProcess(sdk.HTTPClient):
        name = "simulated"

        def __init__(self, **_: object) -> None:
            super().__init__()

        def _sleep_time_seconds(self, *_arguments: object, **_options: object) -> float:
            return 0.0

        def request(
            self,
            method: str,
            url: str,
            headers: Mapping[str, str] | None,
            post_data: Any = None,  # noqa: ANN401  # the SDK's
            **_: object,
        ) -> tuple[str, int, Mapping[str, str]]:
            body = post_data if isinstance(post_data, bytes) else str(post_data or "").encode()

            def apply(kind: str) -> tuple[str, int, Mapping[str, str]]:
                queued = double.world.store.state["faults"]
                if kind in _OF_THE_SANDBOX:
                    queued.append({"fault": kind, "times": 1, "match": {}})
                try:
                    content, status, answered = double.serve(method.upper(), url, headers or {}, body)
                except ConnectionAbortedError as lost:
                    raise _connection_error() from lost
                finally:
                    queued.clear()
                return content.decode(), status, answered

            kinds = STRIPE_KINDS if method == "post" else STRIPE_KINDS_OF_A_READ
            return faults.around(f"stripe.{method} {_shape(url)}", kinds, apply)

        def close(self) -> None:
            """Nothing is open."""

    return InProcess


def _connection_error() -> Exception:
    return sdk.APIConnectionError("lost as ordered", should_retry=True)  # type: ignore[no-untyped-call]  # the SDK's


def webhook_call(event: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The call of the HTTP API that brings a webhook event."""
    shown = {name: value for name, value in event.items() if not name.startswith("_")}
    payload, scope = json.dumps(shown), "connect" if event.get("account") else "platform"
    seconds = int(at.astimezone(UTC).timestamp())
    return {
        "headers": {"stripe-signature": signature_header(SECRETS[scope], payload, seconds)},
        "pathParameters": {"scope": scope},
        "body": payload,
        "requestContext": {"timeEpoch": seconds * 1000},
    }


def _shape(url: str) -> str:
    """The path without ids."""
    steps = urlsplit(url).path.split("/")
    return "/".join("*" if "_sandbox" in step else step for step in steps)
