"""Serving the sandbox on loopback, saving its state, and stopping cleanly."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING, Self

from werkzeug.serving import WSGIRequestHandler, make_server

from infra.local.stripe_sandbox.admin import Admin
from infra.local.stripe_sandbox.application import Application
from infra.local.stripe_sandbox.store import Store
from infra.local.stripe_sandbox.timeline import advance
from infra.local.stripe_sandbox.webhooks import Webhooks
from infra.local.stripe_sandbox.world import Settings, World

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from infra.local.stripe_sandbox.parameters import JsonObject

HEARTBEAT_SECONDS = 1.0
SHUTDOWN_POLL_SECONDS = 0.02
CONTROL_TIMEOUT_SECONDS = 60


class StripeSandbox:
    """A sandbox that serves from `start` (or `with`) to `close`.

    `now` (aware) is where its clock begins, and only POST /_sandbox/clock moves it; without `now` it follows the wall
    clock. With `state_file` the state is taken up from there (its clock too), written each second while it changes, and
    on closing. Port 0 picks a free one. `url` and `api_key` are what a StripeClient needs.
    """

    def __init__(
        self,
        *,
        now: datetime | None = None,
        api_key: str = "sk_test_sandbox",
        port: int = 0,
        state_file: Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        if now is not None and now.tzinfo is None:
            raise ValueError("now must be an aware datetime")
        self.api_key = api_key
        self._state_file = state_file
        self._wall_clock = now is None
        started_at = int(now.timestamp()) if now is not None else int(time.time())
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._world = World(Store(started_at), settings or Settings())
        if state_file is not None and state_file.exists():
            self._world.store.load(state_file)
        self._webhooks = Webhooks(self._world, self._lock, self._closing)
        controls = Admin(self._webhooks, started_at=started_at, wall_clock=self._wall_clock)
        application = Application(self._world, controls, api_key=api_key, lock=self._lock, closing=self._closing)
        if self._wall_clock:
            application.wall_clock = _wall_time
        self._server = make_server("127.0.0.1", port, application, threaded=True, request_handler=_QuietHandler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._world.base_url = self.url
        self._serving = threading.Thread(
            target=self._server.serve_forever, args=(SHUTDOWN_POLL_SECONDS,), name="sandbox-http", daemon=True
        )
        self._heart = threading.Thread(target=self._beat, name="sandbox-heartbeat", daemon=True)

    def start(self) -> Self:
        """Begin to answer; the port is already listening."""
        self._webhooks.start()
        self._serving.start()
        self._heart.start()
        return self

    def close(self) -> None:
        """Stop answering, end what hangs, and save the state."""
        self._closing.set()
        self._server.shutdown()
        self._serving.join()
        self._webhooks.stop()
        self._heart.join()
        self._save()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def control(self, action: str, body: JsonObject | None = None, *, method: str = "POST") -> JsonObject:
        """What /_sandbox/<action> answers, over HTTP as any other process would ask; a refusal is a ValueError."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=CONTROL_TIMEOUT_SECONDS)
        try:
            connection.request(method, f"/_sandbox/{action}", json.dumps(body or {}))
            response = connection.getresponse()
            answer: JsonObject = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ValueError(f"{method} /_sandbox/{action}: {answer['error']['message']}")
        return answer

    def _beat(self) -> None:
        rest_seconds = HEARTBEAT_SECONDS
        while not self._closing.wait(rest_seconds):
            if self._wall_clock:
                with self._lock:
                    advance(self._world, max(_wall_time(), self._world.now))
            began = time.monotonic()
            if self._world.store.dirty:
                self._save()
            # A large state takes long to write, with the lock held: then write it less often.
            rest_seconds = max(HEARTBEAT_SECONDS, 10 * (time.monotonic() - began))

    def _save(self) -> None:
        """Write the state beside its file and rename it there, so that no reader ever sees half of it."""
        if self._state_file is None:
            return
        with self._lock:
            text = self._world.store.as_text()
        fresh = self._state_file.with_name(self._state_file.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self._state_file)


class _QuietHandler(WSGIRequestHandler):
    """Logs errors only. Werkzeug closes each connection after its answer, which leaves no idle sockets in clients."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing about ordinary requests."""


def _wall_time() -> int:
    return int(time.time())
