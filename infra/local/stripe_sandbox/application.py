"""One request from the wire to the answer: route, key, faults, parameters, idempotency, handler."""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from infra.local.stripe_sandbox.errors import ApiError, ParameterError
from infra.local.stripe_sandbox.faults import (
    DEFAULT_DELAY_MILLISECONDS,
    DEFAULT_TIMEOUT_MILLISECONDS,
    Fault,
    FaultKind,
    take_fault,
)
from infra.local.stripe_sandbox.idempotency import IdempotencyKeys
from infra.local.stripe_sandbox.parameters import decode_form
from infra.local.stripe_sandbox.routes import route_map
from infra.local.stripe_sandbox.store import expanded
from infra.local.stripe_sandbox.timeline import advance
from infra.local.stripe_sandbox.world import Call

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from infra.local.stripe_sandbox.admin import Admin
    from infra.local.stripe_sandbox.parameters import JsonObject
    from infra.local.stripe_sandbox.routes import Route
    from infra.local.stripe_sandbox.world import World

_SERVER_ERROR = ApiError("An unknown error occurred (ordered from the sandbox).", status=500)
_RATE_LIMITED = ApiError("Too many requests (ordered from the sandbox).", status=429, code="rate_limit")
_CONFLICT = ApiError("This object cannot be accessed right now (ordered).", status=409, code="lock_timeout")


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: a status, a JSON text and headers; or nothing at all, when the connection is `lost`."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False


LOST = Reply(0, "", lost=True)


class Application:
    """The WSGI application. Handlers run one at a time under the lock; delays and webhooks happen outside of it."""

    def __init__(
        self, world: World, controls: Admin, *, api_key: str, lock: threading.RLock, closing: threading.Event
    ) -> None:
        self._world = world
        self._routes = route_map(controls)
        self._api_key = api_key
        self._lock = lock
        self._closing = closing
        self._keys = IdempotencyKeys(world)
        self.wall_clock: Callable[[], int] | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer over WSGI; a lost connection is shut before anything is written."""
        request = Request(environ)
        with self._lock:
            request_id = self._world.store.new_id("req")
        reply = self._answer(request, request_id)
        if reply.lost:
            cast("socket.socket", environ["werkzeug.socket"]).shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError("lost as ordered")
        response = Response(reply.body, reply.status, {"Request-Id": request_id, **reply.headers})
        response.content_type = "application/json"
        return response(environ, start_response)

    def _answer(self, request: Request, request_id: str) -> Reply:
        try:
            route, path = self._match(request)
            call = Call({}, path, url_path=request.path, request_id=request_id)
            if route.version == "_sandbox":
                call.params = route.checked(_given(request, route))
                return self._handled(route, call)
            self._authenticate(request)
            call.account = self._account(request, route)
            call.idempotency_key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
            with self._lock:
                fault = take_fault(self._world, request.method, request.path)
            return self._served(route, call, request, fault)
        except ApiError as refusal:
            return _refused(refusal)

    def _match(self, request: Request) -> tuple[Route, dict[str, str]]:
        try:
            route, path = self._routes.bind_to_environ(request.environ).match()
        except HTTPException:
            raise ApiError(f"Unrecognized request URL ({request.method}: {request.path}).", status=404) from None
        return cast("Route", route), dict(path)

    def _authenticate(self, request: Request) -> None:
        authorization = request.authorization
        if authorization is None:
            raise ApiError("You did not provide an API key.", status=401)
        given = authorization.token if authorization.type == "bearer" else authorization.username
        if given != self._api_key:
            raise ApiError(f"Invalid API Key provided: {(given or '')[:8]}***", status=401)

    def _account(self, request: Request, route: Route) -> str | None:
        account: str | None = request.headers.get("Stripe-Account") or request.headers.get("Stripe-Context")
        if account is None:
            return None
        with self._lock:
            known = self._world.store.find(account)
        if known is None or known["object"] != "v2.core.account":
            raise ApiError(
                f"The provided key does not have access to account '{account}' (or that account does not exist).",
                status=403,
                code="account_invalid",
            )
        if not route.connected:
            raise ApiError(
                f"The sandbox models {route.method} {route.rule} for the platform only.", code="sandbox_not_modelled"
            )
        return account

    def _served(self, route: Route, call: Call, request: Request, fault: Fault | None) -> Reply:
        """The answer to an API request, with what the fault does before and after it."""
        kind = fault.kind if fault else None
        headers = fault.headers() if fault else {}
        if kind is FaultKind.DROP_BEFORE:
            return LOST
        if kind is FaultKind.RATE_LIMIT_429:
            return _refused(_RATE_LIMITED, headers)
        if kind is FaultKind.CONFLICT_409:
            return _refused(_CONFLICT, headers)
        given = _given(request, route)
        if call.idempotency_key is None:
            self._prepare(route, call, given, fault)
            reply = self._outcome(route, call, fault)
        else:
            reply = self._executed_once(route, call, given, fault)
        if kind is FaultKind.TIMEOUT_AFTER_COMMIT and fault is not None:
            self._closing.wait((fault.delay_milliseconds or DEFAULT_TIMEOUT_MILLISECONDS) / 1000)
            return LOST
        return LOST if kind is FaultKind.DROP_AFTER_COMMIT else reply

    def _executed_once(self, route: Route, call: Call, given: JsonObject, fault: Fault | None) -> Reply:
        """The kept answer of the idempotency key, or a new one, kept in the same instant as what it did."""
        scope = f"{route.version} {call.account or 'platform'} {call.idempotency_key}"
        fingerprint = hashlib.sha256(json.dumps([call.url_path, given], sort_keys=True).encode()).hexdigest()
        with self._lock:
            kept = self._keys.begin(scope, fingerprint)
        if kept is not None:
            return Reply(kept["status"], kept["body"], {"Idempotent-Replayed": "true"})
        try:
            self._prepare(route, call, given, fault)
            with self._lock:
                reply = self._outcome(route, call, fault)
                self._keys.finish(scope, fingerprint, reply.status, reply.body)
        except BaseException:
            with self._lock:
                self._keys.abandon(scope)
            raise
        return reply

    def _prepare(self, route: Route, call: Call, given: JsonObject, fault: Fault | None) -> None:
        """Check the parameters, and wait if a delay was ordered; the idempotency key is in use meanwhile."""
        call.params = route.checked(given)
        if fault is not None and fault.kind is FaultKind.DELAY:
            self._closing.wait((fault.delay_milliseconds or DEFAULT_DELAY_MILLISECONDS) / 1000)

    def _outcome(self, route: Route, call: Call, fault: Fault | None) -> Reply:
        """What the handler answers or refuses, or the 500 that was ordered in its place."""
        kind = fault.kind if fault else None
        headers = fault.headers() if fault else {}
        if kind is FaultKind.STATUS_500_BEFORE:
            return _refused(_SERVER_ERROR, headers)
        try:
            reply = self._handled(route, call)
        except ParameterError:
            raise
        except ApiError as refusal:
            return _refused(refusal)
        return _refused(_SERVER_ERROR, headers) if kind is FaultKind.STATUS_500_AFTER_COMMIT else reply

    def _handled(self, route: Route, call: Call) -> Reply:
        """The handler's object as JSON, with the expansions asked for."""
        if not route.locked:
            return Reply(200, json.dumps(route.handler(self._world, call)))
        with self._lock:
            if self.wall_clock is not None:
                advance(self._world, max(self.wall_clock(), self._world.now))
            self._world.call = call
            self._world.store.dirty |= route.method != "GET"
            result = route.handler(self._world, call)
            if route.version == "_sandbox":
                return Reply(200, json.dumps(result))
            return Reply(200, json.dumps(expanded(self._world.store, result, call.params.get("expand", []))))


def _refused(refusal: ApiError, headers: dict[str, str] | None = None) -> Reply:
    return Reply(refusal.status, json.dumps(refusal.body()), headers or {})


def _given(request: Request, route: Route) -> JsonObject:
    """The raw parameters: the query of a GET, else a form (v1) or a JSON object (v2 and /_sandbox)."""
    if request.method == "GET":
        given = decode_form(request.query_string.decode())
        return {name.removesuffix("[]"): value for name, value in given.items()}
    text = request.get_data(as_text=True)
    if route.version == "v1":
        return decode_form(text)
    try:
        body = json.loads(text or "{}")
    except json.JSONDecodeError:
        raise ParameterError("Invalid JSON in the request body.", code="parameter_invalid") from None
    if not isinstance(body, dict):
        raise ParameterError("The request body must be a JSON object.", code="parameter_invalid")
    return body
