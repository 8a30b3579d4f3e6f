"""What a request of API Gateway (format 2.0) says: the bytes that were sent, and when."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Request = Mapping[str, Any]


def body_of(event: Request) -> bytes:
    """The body, byte by byte; empty where none was sent. Raises ValueError for one that is neither base64 nor text."""
    body: str = event.get("body") or ""
    return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()


def received_at(event: Request) -> datetime:
    """When API Gateway got it, by its clock."""
    return datetime.fromtimestamp(event["requestContext"]["timeEpoch"] / 1000, UTC)
