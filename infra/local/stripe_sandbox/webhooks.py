"""Webhooks: endpoints, and signed deliveries that may come late, twice and out of order."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infra.local.stripe_sandbox.errors import ApiError, ResourceMissing
from infra.local.stripe_sandbox.store import changed_metadata, rendered
from infra.local.stripe_sandbox.world import Call, World, rfc3339

if TYPE_CHECKING:
    from infra.local.stripe_sandbox.parameters import JsonObject

MOST_ATTEMPTS = 5
FIRST_RETRY_SECONDS = 0.05
RECEIVER_TIMEOUT_SECONDS = 15
IDLE_SECONDS = 0.5
# How long a shuffling sender waits for company, so that there is something to reorder.
SHUFFLE_WINDOW_SECONDS = 0.05


def create_endpoint(world: World, call: Call) -> JsonObject:
    """A new endpoint; its signing secret is told here and never again. `connect` endpoints hear of accounts only."""
    endpoint: JsonObject = {
        "id": world.store.new_id("we"),
        "object": "webhook_endpoint",
        "api_version": call.params.get("api_version"),
        "application": None,
        "created": world.now,
        "description": call.params.get("description") or None,
        "enabled_events": call.params["enabled_events"],
        "livemode": False,
        "metadata": changed_metadata({}, call.params.get("metadata")),
        "status": "enabled",
        "url": _loopback(call.params["url"], "url"),
    }
    endpoint |= {"_connect": call.params.get("connect", False), "_secret": _secret(endpoint["id"])}
    world.store.add(endpoint)
    return rendered(endpoint) | {"secret": endpoint["_secret"]}


def delete_endpoint(world: World, call: Call) -> JsonObject:
    """The endpoint gone; what was pending for it is dropped."""
    endpoint = world.store.get(call.path["id"], "webhook_endpoint")
    del world.store.kind_of("we")[endpoint["id"]]
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def create_event_destination(world: World, call: Call) -> JsonObject:
    """A v2 destination for thin events at a webhook URL."""
    params = call.params
    if (params["type"], params["event_payload"]) != ("webhook_endpoint", "thin"):
        raise ApiError("This sandbox models webhook_endpoint destinations of thin events.", code="sandbox_not_modelled")
    if "webhook_endpoint" not in params:
        raise ApiError("Missing required param: webhook_endpoint.", code="parameter_missing", param="webhook_endpoint")
    destination: JsonObject = {
        "id": world.store.new_id("ed"),
        "object": "v2.core.event_destination",
        "created": rfc3339(world.now),
        "description": params.get("description", ""),
        "enabled_events": params["enabled_events"],
        "event_payload": "thin",
        "events_from": params.get("events_from", ["@self"]),
        "livemode": False,
        "metadata": changed_metadata({}, params.get("metadata")),
        "name": params["name"],
        "status": "enabled",
        "type": "webhook_endpoint",
        "url": _loopback(params["webhook_endpoint"]["url"], "webhook_endpoint[url]"),
        "_connect": False,
    }
    destination["_secret"] = _secret(destination["id"])
    world.store.add(destination)
    shown = rendered(destination)
    included = params.get("include", [])
    url = shown.pop("url")
    shown["webhook_endpoint"] = {
        "signing_secret": destination["_secret"] if "webhook_endpoint.signing_secret" in included else None,
        "url": url if "webhook_endpoint.url" in included else None,
    }
    return shown


def retrieve_thin_event(world: World, call: Call) -> JsonObject:
    """A v2 event with its data."""
    event = world.store.find(call.path["id"])
    if event is None or event["object"] != "v2.core.event":
        raise ResourceMissing("v2.core.event", call.path["id"], param="id")
    return event


def _loopback(url: str, param: str) -> str:
    """The URL itself, if it is plain HTTP to this machine: the sandbox calls nobody else."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    here = host in {"localhost", "::1"} or host.endswith(".localhost") or host.startswith("127.")
    if parts.scheme != "http" or not here:
        raise ApiError(
            f"Invalid URL: {url}. The sandbox delivers to http on loopback only.", code="url_invalid", param=param
        )
    return url


def _secret(endpoint_id: str) -> str:
    return "whsec_" + hashlib.sha256(endpoint_id.encode()).hexdigest()[:32]


def signature_header(secret: str, payload: str, at: int) -> str:
    """The Stripe-Signature header: HMAC-SHA256 of `t.payload`; `at` is in epoch seconds of the wall clock."""
    digest = hmac.new(secret.encode(), f"{at}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Webhooks:
    """The deliveries and the thread that makes them, in order of events unless told to shuffle.

    A delivery that isn't answered with 2xx is retried up to five attempts in all, then it is `failed`. Every delivery
    is kept, and seen in the state, under `dlv`.
    """

    def __init__(self, world: World, lock: threading.RLock, closing: threading.Event) -> None:
        self._world = world
        self._lock = lock
        self._closing = closing
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._due_at: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="sandbox-webhooks", daemon=True)
        world.on_event = self._enqueue

    def start(self) -> None:
        """Take up what was pending in the state, and begin to deliver."""
        pending = [
            delivery for delivery in self._world.store.kind_of("dlv").values() if delivery["status"] == "pending"
        ]
        self._due_at = {delivery["id"]: 0.0 for delivery in pending}
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Finish the delivery under way and end the thread; the rest stays pending."""
        self._wake.set()
        self._thread.join()

    def forget(self) -> None:
        """Drop all that is pending."""
        self._due_at.clear()

    def _enqueue(self, event: JsonObject) -> None:
        """Plan the event's deliveries; runs under the lock, as everything that emits events does."""
        store = self._world.store
        thin = event["object"] == "v2.core.event"
        for endpoint in store.kind_of("ed" if thin else "we").values():
            wanted = {"*", event["type"]} & set(endpoint["enabled_events"])
            if not wanted or endpoint["_connect"] != ("account" in event):
                continue
            for _copy in range(1 + store.state["webhooks"]["duplicate"]):
                delivery = {"id": store.new_id("dlv"), "object": "sandbox.delivery", "event": event["id"]}
                delivery |= {"endpoint": endpoint["id"], "status": "pending", "attempts": 0, "last_answer": None}
                store.add(delivery)
                self._due_at[delivery["id"]] = 0.0
                event["pending_webhooks"] = event.get("pending_webhooks", 0) + 1
        self._wake.set()

    def flush(self) -> dict[str, int]:
        """Deliver everything that is pending, held or not, with its retries, and what it causes meanwhile.

        Returns how many were delivered and failed here, and how many are left pending (0, unless closing). Call it
        without the lock; a receiver must not call it.
        """
        counts = {"delivered": 0, "failed": 0, "pending": 0}
        with self._sending:
            while (soonest := self._soonest()) is not None and not self._closing.is_set():
                self._closing.wait(max(0.0, soonest - time.monotonic()))
                for outcome in self._send_due():
                    counts[outcome] = counts.get(outcome, 0) + 1
        counts["pending"] = len(self._due_at)
        return counts

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._idle_seconds())
            self._wake.clear()
            mode = self._world.store.state["webhooks"]
            if mode["hold"] or not self._due_at:
                continue
            if mode["shuffle"] is not None:
                self._closing.wait(SHUFFLE_WINDOW_SECONDS)
            with self._sending:
                self._send_due()

    def _idle_seconds(self) -> float:
        if self._world.store.state["webhooks"]["hold"] or (soonest := self._soonest()) is None:
            return IDLE_SECONDS
        return max(0.0, soonest - time.monotonic())

    def _soonest(self) -> float | None:
        with self._lock:
            return min(self._due_at.values(), default=None)

    def _send_due(self) -> list[str]:
        with self._lock:
            now = time.monotonic()
            due = [delivery_id for delivery_id, at in self._due_at.items() if at <= now]
            seed = self._world.store.state["webhooks"]["shuffle"]
        if seed is not None:
            random.Random(seed).shuffle(due)  # noqa: S311 - an order to test with, not a secret
        return [self._deliver(delivery_id) for delivery_id in due if not self._closing.is_set()]

    def _deliver(self, delivery_id: str) -> str:
        """One attempt; tells the delivery's status after it (`delivered`, `failed` or `pending` for a retry)."""
        with self._lock:
            store = self._world.store
            delivery = store.find(delivery_id)
            endpoint = store.find(delivery["endpoint"]) if delivery is not None else None
            if delivery is None or endpoint is None:
                self._due_at.pop(delivery_id, None)
                return "failed"
            event = rendered(self._event_of(delivery))
            if event["object"] == "v2.core.event":
                event = {name: value for name, value in event.items() if name not in {"data", "pending_webhooks"}}
            payload, url, secret = json.dumps(event), endpoint["url"], endpoint["_secret"]
        answer = _post(url, payload, signature_header(secret, payload, int(time.time())))
        with self._lock:
            return self._record(delivery, answer)

    def _record(self, delivery: JsonObject, answer: int | str) -> str:
        delivery["attempts"] += 1
        delivery["last_answer"] = answer
        delivered = isinstance(answer, int) and 200 <= answer < 300
        if not delivered and delivery["attempts"] < MOST_ATTEMPTS:
            self._due_at[delivery["id"]] = time.monotonic() + FIRST_RETRY_SECONDS * 2 ** (delivery["attempts"] - 1)
        else:
            delivery["status"] = "delivered" if delivered else "failed"
            self._due_at.pop(delivery["id"], None)
            self._event_of(delivery)["pending_webhooks"] -= 1
        self._world.store.dirty = True
        return str(delivery["status"])

    def _event_of(self, delivery: JsonObject) -> JsonObject:
        event_id = str(delivery["event"])
        return self._world.store.kind_of(event_id)[event_id]


def _post(url: str, payload: str, signature: str) -> int | str:
    """The receiver's status, or why there is none."""
    parts = urlsplit(url)
    host = "127.0.0.1" if (parts.hostname or "").endswith("localhost") else parts.hostname or ""
    connection = HTTPConnection(host, parts.port or 80, timeout=RECEIVER_TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json; charset=utf-8", "Host": parts.netloc, "Stripe-Signature": signature}
    try:
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), payload, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as failure:
        return f"{type(failure).__name__}: {failure}"
    else:
        return response.status
    finally:
        connection.close()
