"""Lists, a page at a time: an opaque cursor says where the next page begins.

A cursor holds the name of its list and a position. It grants nothing: whatever it says, a page is read from what is the
caller's own. So it is checked for its form, and not signed.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from functions.api.errors import ApiError

MOST = 100
Position = int | str


def cursor_at(name: str, position: Position) -> str:
    """The cursor of a position in a list."""
    return base64.urlsafe_b64encode(json.dumps([name, position]).encode()).decode().rstrip("=")


def position_in(name: str, text: str | None, kind: type[Position]) -> Any:  # noqa: ANN401  # of `kind`, or None
    """The position that a cursor says, None without one. Raises ApiError for another list's, or none at all."""
    if text is None:
        return None
    try:
        read = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        json.dumps(read, ensure_ascii=False).encode()  # a lone surrogate is in no key
    except (binascii.Error, ValueError, RecursionError):
        read = None
    if not isinstance(read, list) or len(read) != 2 or read[0] != name or type(read[1]) is not kind:
        raise ApiError("cursor_invalid", "the cursor is not one that this list gave", "cursor")
    if isinstance(read[1], int) and not 0 <= read[1] < 2**53:
        raise ApiError("cursor_invalid", "the cursor is not one that this list gave", "cursor")
    return read[1]


def page(data: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """A page as callers see it."""
    return {"object": "list", "data": list(data), "has_more": next_cursor is not None, "next_cursor": next_cursor}


def sliced(name: str, items: Sequence[Any], text: str | None, limit: int) -> dict[str, Any]:
    """A page of what is there as a whole, and does not change but at its end."""
    start = position_in(name, text, int) or 0
    end = start + limit
    return page(items[start:end], cursor_at(name, end) if end < len(items) else None)
