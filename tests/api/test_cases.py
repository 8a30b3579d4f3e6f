"""Made-up requests, many for each route, over memory: a few of them go to the running stack in tests/end_to_end."""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

import pytest
import schemathesis
from schemathesis import GenerationMode

from tests.api.api_world import ApiWorld, an_api
from tests.api.made_up import DOCUMENT, OPERATIONS, grant_for, try_out
from tests.world import at

Start = Callable[[str, list[tuple[str, str]]], object]


def a_world() -> ApiWorld:
    api = an_api(approve_above="10.00")
    api.world.close("2026-03-10")
    api.world.plan_payouts()
    api.now = at("2026-03-17")
    return api


class Gateway:
    """What API Gateway does, as a WSGI application: the request becomes an event, and the answer a response."""

    def __init__(self) -> None:
        self.api, self.groups = a_world(), ""

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        self.api.calls.clear()
        if environ["PATH_INFO"] == "/v1/openapi.json":
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(DOCUMENT).encode()]
        found = self.api.answer(self._event(environ))
        start(f"{found['statusCode']} X", [("Content-Type", "application/json")])
        return [str(found["body"]).encode()]

    def _event(self, environ: dict[str, Any]) -> dict[str, Any]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        names = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
        headers = {name.removeprefix("HTTP_").replace("_", "-").lower(): value for name, value in names.items()}
        claims = {"sub": "u-1", "token_use": "access", "cognito:groups": f"[{self.groups}]"}
        return {
            "version": "2.0",
            "routeKey": "ANY /v1/{proxy+}",
            "rawPath": path,
            "headers": headers | {"content-type": environ.get("CONTENT_TYPE", "")},
            "queryStringParameters": dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)),
            "requestContext": {
                "requestId": "req-1",
                "timeEpoch": int(self.api.now.timestamp() * 1000),
                "stage": "$default",
                "http": {"method": environ["REQUEST_METHOD"], "path": path},
                "authorizer": {"jwt": {"claims": claims, "scopes": []}},
            },
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }


GATEWAY = Gateway()
SCHEMA = schemathesis.openapi.from_wsgi("/v1/openapi.json", GATEWAY)


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_every_answer_is_as_the_document_says(path: str, method: str, mode: GenerationMode) -> None:
    GATEWAY.api, GATEWAY.groups = a_world(), grant_for(path, method)
    try_out(SCHEMA[path][method], mode, 20)
    GATEWAY.api.world.check()
