"""Reading what many of Stripe's objects have in common."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # naming a type of the SDK imports its module
    import stripe as sdk


def tag(metadata: sdk.StripeObject | None, name: str) -> str | None:
    """One entry of an object's metadata."""
    return metadata.to_dict().get(name) if metadata else None


def instant(epoch_seconds: int) -> datetime:
    """A time of Stripe's, in UTC."""
    return datetime.fromtimestamp(epoch_seconds, UTC)


def day(epoch_seconds: int) -> date:
    """The day of a time of Stripe's, in UTC."""
    return instant(epoch_seconds).date()
