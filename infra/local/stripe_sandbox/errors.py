"""Stripe's refusals.

ApiError                   any answer of status 400 and above
├── ParameterError         the request never reached an endpoint; an idempotency key doesn't keep it
└── ResourceMissing        an id that nothing answers to: 404 in the path, 400 in a parameter
"""

from __future__ import annotations


class ApiError(Exception):
    """A refusal, with what Stripe's error object tells: type, code, message and the parameter at fault."""

    def __init__(
        self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None, kind: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.kind = kind or ("api_error" if status >= 500 else "invalid_request_error")

    def body(self) -> dict[str, dict[str, str]]:
        """Stripe's error object; fields without a value are left out, as Stripe does."""
        fields = {"type": self.kind, "code": self.code, "message": self.message, "param": self.param}
        return {"error": {name: value for name, value in fields.items() if value is not None}}


class ParameterError(ApiError):
    """A parameter that is unknown, missing or not of its type."""


class ResourceMissing(ApiError):
    """Nothing of that kind has that id, as far as the asking account can see."""

    def __init__(self, kind: str, object_id: str, *, param: str) -> None:
        super().__init__(
            f"No such {kind if param == 'id' else param}: '{object_id}'",
            status=404 if param == "id" else 400,
            code="resource_missing",
            param=param,
        )
