"""What the API asks first of every call: who calls, and how often."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from functions.api.errors import ApiError
from settlement.grants import Caller, TokenRefused, caller_of


def caller_in(event: Mapping[str, Any]) -> Caller:
    """Who calls, by the token that API Gateway has verified. Raises ApiError."""
    claims = event["requestContext"].get("authorizer", {}).get("jwt", {}).get("claims", {})
    try:
        return caller_of(claims)
    except TokenRefused as refused:
        raise ApiError("token_refused", str(refused)) from None


def check_rate(count_call: Callable[[str, datetime], int], most: int, caller: Caller, now: datetime) -> None:
    """Count a call, and raise ApiError for one too many in this minute.

    A tenant's tokens share one limit; whoever has no tenant has one of their own.
    """
    if count_call(caller.tenant_or_subject, now) > most:
        said = f"more than {most} calls in a minute"
        raise ApiError("rate_limited", said, headers={"Retry-After": str(60 - now.second)})
