"""The OpenAPI 3.1 document: made from the routes, with every error, role and header that Powertools leaves out."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from functions.api.application import resolver
from functions.api.errors import DOCUMENT, KINDS
from functions.api.events import OPERATION as SEND_EVENTS
from functions.api.events import PATH as EVENTS

__all__ = ["DOCUMENT", "document", "document_answer"]

_ABOUT = (
    "Amounts are whole minor units of the ISO 4217 currency beside them; times are RFC 3339 in UTC. Lists have pages: "
    "give next_cursor as cursor. Every POST but that of events needs an Idempotency-Key. What belongs to another "
    "tenant is not found. A 401 comes from API Gateway itself, as may a 429, a 500 or a 503: those say no more than a "
    "message."
)
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "message", "param", "doc_url", "request_id"],
            "properties": {
                "type": {"type": "string", "enum": sorted({kind.type for kind in KINDS.values()})},
                "code": {"type": "string", "enum": sorted(KINDS)},
                "message": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "doc_url": {"type": "string"},
                "request_id": {"type": "string"},
            },
        }
    },
}
_BY_GATEWAY_TOO = {
    "anyOf": [
        {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}},
        {"$ref": "#/components/schemas/Error"},
    ]
}
_BY_ANY_ROUTE = dict.fromkeys((400, 403, 404, 409), "Refused") | dict.fromkeys((429, 503), "Busy")
_FOR_A_BODY = dict.fromkeys((413, 415), "Refused")
_TAGS = {
    "clients": "What a client asks: usage, charges with their evidence, invoices. Disputes, of experts, too.",
    "events": "What happened to cases: from clients, experts and the platform.",
    "experts": "What an expert asks: earnings with their trace, balance, payouts, statements; and to be paid at once.",
    "finance": "What finance asks: the ledger, runs and who approves them, what is parked or held, reconciliation.",
    "operators": "Who and what is registered; and the kill switch.",
    "webhooks": "Where a client is told, how that is signed, what did not arrive, and to send it again.",
}


@cache
def document() -> dict[str, Any]:
    """The document, as GET /v1/openapi.json answers it."""
    made: dict[str, Any] = json.loads(
        resolver().get_openapi_json_schema(title="Solvent", version="1", openapi_version="3.1.0", description=_ABOUT)
    )
    made["servers"] = [{"url": "/"}]
    made["tags"] = [{"name": name, "description": about} for name, about in _TAGS.items()]
    made["paths"][EVENTS] = {"post": dict(SEND_EVENTS)}  # a function of its own answers it
    schemas = {name: it for name, it in made["components"]["schemas"].items() if "ValidationError" not in name}
    made["components"] = {
        "schemas": dict(sorted((schemas | {"Error": _ERROR}).items())),
        "responses": {
            "NoToken": _json(
                "No valid token: API Gateway's own answer, or a token that nobody can be.", _BY_GATEWAY_TOO
            ),
            "Busy": _json("Asked to wait, by this API or by API Gateway itself.", _BY_GATEWAY_TOO),
            "Refused": _json("Refused; x-errors says what each code means.", {"$ref": "#/components/schemas/Error"}),
        },
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
    }
    made["security"] = [{"token": []}]
    made["x-errors"] = {
        code: {"status": kind.status, "type": kind.type, "advice": kind.advice} for code, kind in sorted(KINDS.items())
    }
    for operation in _operations(made):
        operation["responses"] = {"200": operation["responses"]["200"]} | _refusals(operation)
    made["paths"] = dict(sorted(made["paths"].items()))
    return made


def document_answer() -> dict[str, Any]:
    """The document, for API Gateway."""
    headers = {"Content-Type": "application/json", "Cache-Control": "public, max-age=300"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(document())}


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in made["paths"].values():
        yield from path.values()


def _refusals(operation: dict[str, Any]) -> dict[str, Any]:
    kinds = _BY_ANY_ROUTE | (_FOR_A_BODY if "requestBody" in operation else {})
    return {"401": _ref("NoToken")} | {str(status): _ref(name) for status, name in sorted(kinds.items())}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{name}"}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
