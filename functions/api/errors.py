"""Errors as callers see them: `{"error": {type, code, message, param, doc_url, request_id}}`.

ApiError
├── unauthorized         401  a token whose bearer nobody can be
├── forbidden            403  no role for this
├── unknown              404  not there, or another tenant's: the answer is the same
├── invalid              400  a parameter that cannot be meant
├── too large            413  more than is taken at once
├── conflict             409  not as things stand now; look again
├── idempotency          400  Idempotency-Key missing, or used for something else
├── in progress          409  the same key is being dealt with
├── too many             429  Retry-After says when
└── unavailable          503  Stripe or a rival is busy; the same call again is safe
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DOCUMENT = "/v1/openapi.json"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """A code with its HTTP status, its type, and what a caller does about it."""

    status: int
    type: str
    advice: str


# The codes are part of the API and stay.
KINDS: Mapping[str, Kind] = {
    "token_refused": Kind(401, "authentication_error", "Get a new access token for one role and tenant."),
    "role_missing": Kind(403, "permission_error", "Ask an operator for a token with one of the roles of this route."),
    "not_found": Kind(404, "invalid_request_error", "Check the id; another tenant's things are not found either."),
    "parameter_invalid": Kind(400, "invalid_request_error", "Mend the parameter that `param` names."),
    "cursor_invalid": Kind(400, "invalid_request_error", "Use the next_cursor of an answer of the same list."),
    "too_large": Kind(413, "invalid_request_error", "Send fewer events at once: at most 100, in at most 256 KB."),
    "body_unreadable": Kind(400, "invalid_request_error", "Send one JSON object of at most 64 KB, in UTF-8."),
    "media_type": Kind(415, "invalid_request_error", "Send application/json."),
    "method_not_allowed": Kind(405, "invalid_request_error", "Use a method that the path has; Allow names them."),
    "not_as_it_stands": Kind(409, "invalid_request_error", "Read it again, and decide on what it is now."),
    "second_person": Kind(403, "permission_error", "Somebody else than who planned it has to approve it."),
    "event_refused": Kind(422, "invalid_request_error", "Mend the field that `param` names, and send the event again."),
    "idempotency_key_missing": Kind(400, "idempotency_error", "Send an Idempotency-Key of your own with every POST."),
    "idempotency_key_reused": Kind(400, "idempotency_error", "Use another key for another request."),
    "idempotency_in_progress": Kind(409, "idempotency_error", "Wait a moment, then send the same request again."),
    "rate_limited": Kind(429, "rate_limit_error", "Wait for the seconds that Retry-After says."),
    "try_again": Kind(503, "api_error", "Send the same request again, with the same Idempotency-Key."),
    "internal": Kind(500, "api_error", "Tell the operator the request_id."),
}


class ApiError(Exception):
    """What a call is refused with; `code` is one of KINDS."""

    def __init__(
        self, code: str, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.code].status

    def body(self, request_id: str) -> dict[str, Any]:
        """The error object."""
        told = {
            "type": KINDS[self.code].type,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "doc_url": f"{DOCUMENT}#/x-errors/{self.code}",
            "request_id": request_id,
        }
        return {"error": told}


def refusal_answer(error: ApiError, request_id: str) -> dict[str, Any]:
    """A refusal as an answer for API Gateway."""
    headers = {"Content-Type": "application/json", **error.headers}
    return {"statusCode": error.status, "headers": headers, "body": json.dumps(error.body(request_id))}


def no_route(path: str) -> ApiError:
    """Nothing is at this path, or nothing that is told."""
    return ApiError("not_found", f"there is no {path[:_SHOWN]}; see {DOCUMENT}")


def not_found(what: str) -> ApiError:
    """Nothing of that name is the caller's; whether it is somebody else's is not told."""
    return ApiError("not_found", f"there is no {what}")
