"""One request from API Gateway to an answer: who calls, how often, which route; and every refusal in one form."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
    ResponseValidationError,
)

from events.adapters.payloads import REASONS, Unreadable, parse
from functions.api import clients, experts, finance, operators, webhooks
from functions.api.backend import Backend
from functions.api.callers import caller_in, check_rate
from functions.api.errors import ApiError, no_route, refusal_answer
from functions.api.routes import REMEMBERED
from functions.environment import logger
from functions.requests import body_of, received_at
from infra.aws.bus import NotPut
from infra.aws.queues import NotSent
from settlement.ports import Contention
from settlement.stripe_port import StripeBusy, StripeUnclear

MOST_BYTES = 64 * 1024
_JSON = "application/json"


@cache
def resolver() -> APIGatewayHttpResolver:
    """All routes, made once per process."""
    app = APIGatewayHttpResolver(enable_validation=True, response_validation_error_http_code=500)
    for routes in (clients.routes, experts.routes, finance.routes, operators.routes, webhooks.routes):
        app.include_router(routes)
    handlers = {
        ApiError: lambda error: error,
        RequestValidationError: _invalid,
        ResponseValidationError: _broken_answer,
        RequestUnsupportedContentType: lambda _: ApiError("media_type", "a body is JSON: send application/json"),
        NotFoundError: lambda _: _no_route(app),
        Contention: lambda _: ApiError("try_again", "somebody else wrote first"),
        NotPut: lambda _: ApiError("try_again", "the event bus asks for patience"),
        NotSent: lambda _: ApiError("try_again", "the queue of payouts asks for patience"),
        StripeBusy: lambda _: ApiError("try_again", "Stripe asks for patience"),
        StripeUnclear: lambda _: ApiError("try_again", "Stripe did not answer"),
    }
    for kind, told in handlers.items():
        app.exception_handler(kind)(lambda error, told=told: _refusal(app, told(error)))
    return app


def answer(backend: Backend, event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  # Lambda's own
    """The answer to one request in API Gateway's format 2.0."""
    request = event["requestContext"]
    try:
        caller = caller_in(event)
        now = received_at(event)
        check_rate(backend.count_call, backend.calls_per_minute, caller, now)
        _readable(event)
        REMEMBERED.register_lambda_context(context)
        resolver().append_context(caller=caller, now=now, backend=backend)  # type: ignore[no-untyped-call]  # the library's own
        answered = resolver().resolve(dict(event), context)
        logger.info("answered", extra={"route": event["routeKey"], "status": answered["statusCode"]})
    except ApiError as error:
        return refusal_answer(error, request["requestId"])
    except Exception:  # noqa: BLE001  # the outermost edge: nobody else would say it in our form
        logger.exception("failed")
        return refusal_answer(ApiError("internal", "this should not have happened"), request["requestId"])
    return answered


def _readable(event: Mapping[str, Any]) -> None:
    """Refuse a body that is not one short JSON object: nobody reads it behind this."""
    try:
        read = body_of(event)
        if len(read) > MOST_BYTES:
            raise ApiError("body_unreadable", f"the body is longer than {MOST_BYTES // 1024} KB")
        if read and not isinstance(parse(read), dict):
            raise ApiError("body_unreadable", "the body is not a JSON object")
    except Unreadable as unreadable:
        raise ApiError("body_unreadable", f"the body is {REASONS[unreadable.code][1]}") from None
    except ValueError:
        raise ApiError("body_unreadable", "the body is not text in UTF-8") from None


def _invalid(error: RequestValidationError) -> ApiError:
    """The first thing that is wrong, by its name; never its value."""
    first = error.errors()[0]
    place, *path = (str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return ApiError("body_unreadable", "the body is not JSON")
    name = ".".join(path) or place
    if name.lower() in {"idempotency-key", "idempotency_key"} and first["type"] == "missing":
        return ApiError("idempotency_key_missing", "a POST needs an Idempotency-Key", "Idempotency-Key")
    return ApiError("parameter_invalid", f"{name}: {first['msg']}", name)


def _broken_answer(error: ResponseValidationError) -> ApiError:
    """A bug: an answer that is not what its view says."""
    logger.error("failed", extra={"fields": [".".join(map(str, it["loc"])) for it in error.errors()]})
    return ApiError("internal", "this should not have happened")


def _no_route(app: APIGatewayHttpResolver) -> ApiError:
    path, method = app.current_event.path, app.current_event.http_method
    methods = sorted({it.method for it in _routes(app) if it.rule.match(path)} - {method})
    if methods:
        allowed = ", ".join(methods)
        return ApiError("method_not_allowed", f"{path} takes {allowed}", headers={"Allow": allowed})
    return no_route(path)


def _routes(app: APIGatewayHttpResolver) -> list[Any]:
    return [*app._static_routes, *app._dynamic_routes]  # noqa: SLF001  # it has no other way to say which there are


def _refusal(app: APIGatewayHttpResolver, error: ApiError) -> Response[str]:
    request_id = app.current_event.raw_event["requestContext"]["requestId"]
    logger.info("refused", extra={"code": error.code})
    return Response(error.status, _JSON, json.dumps(error.body(request_id)), headers=dict(error.headers))
