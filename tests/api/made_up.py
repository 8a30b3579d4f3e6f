"""Made-up requests for every route, and what must hold of their answers: no 500, and all as the document says.

SOLVENT_API_CASES says how many for each route, of valid requests and of invalid ones; `make api-cases` takes 500 each.
"""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from requests import Request
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from functions.api.openapi import document
from settlement.grants import TENANTS, Role, grant

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# Without its security: every request has a good token. What those without get is tested by itself.
DOCUMENT: dict[str, Any] = {**document(), "security": []}
# A route that takes nothing cannot be asked wrongly.
OPERATIONS = [
    (path, method, mode)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.get("parameters") or operation.get("requestBody")
]
_AS_WHOM = {Role.CLIENT: "acme", Role.EXPERT: "maya"}


def grant_for(path: str, method: str) -> str:
    """A grant with which the route answers."""
    role = Role(DOCUMENT["paths"][path][method]["x-roles"][0])
    return grant(role, _AS_WHOM[role] if role in TENANTS else "")


def try_out(operation: Any, mode: GenerationMode, cases: int, **call: Any) -> None:  # noqa: ANN401  # schemathesis's own
    """Send that many requests of one route, the same ones every time, and check each answer."""
    wanted = int(os.environ.get("SOLVENT_API_CASES", cases))
    # 413 is as good a refusal as those that schemathesis expects by itself; a 5xx is none.
    operation.schema.config.checks.negative_data_rejection.expected_statuses = ["4xx"]

    @settings(
        max_examples=wanted,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def conforms(case: Any) -> None:  # noqa: ANN401  # schemathesis's own
        assume(_is_sent(case.query))
        case.call_and_validate(checks=CHECKS, **call)

    conforms()


def _is_sent(query: Mapping[str, Any]) -> bool:
    """Whether a request has everything that was made up for it: of an empty list nothing is sent."""
    sent = Request("GET", "http://127.0.0.1", params=query).prepare().url
    names = {name for name, _ in parse_qsl(urlsplit(sent or "").query, keep_blank_values=True)}
    return names == set(query)
