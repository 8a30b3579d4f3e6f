"""Stripe's webhook: is the signature right, and what of the event may pass the door. Pure."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(minutes=5)
_OWN_IDS = ("solvent_invoice", "solvent_payout")


class WebhookRefused(ValueError):
    """A body that Stripe did not sign, signed too long ago, or that is no event."""


def check_signature(payload: bytes, header: str, secret: str, now: datetime) -> None:
    """Raise WebhookRefused unless one v1 signature fits and its time is within five minutes of `now`.

    The scheme is Stripe's: HMAC-SHA256 over "<t>.<payload>" (https://docs.stripe.com/webhooks#verify-manually). It is
    compared in constant time, and a time in the future is refused as well, which Stripe's SDK does not do.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in parts if name == "t" and value.isdigit()]
    if len(stamps) != 1:
        raise WebhookRefused("the Stripe-Signature header has no time")
    wanted = hmac.new(secret.encode(), f"{stamps[0]}.".encode() + payload, hashlib.sha256).hexdigest()
    given = [value for name, _, value in parts if name == "v1"]
    if not any(hmac.compare_digest(wanted.encode(), value.encode()) for value in given):
        raise WebhookRefused("no signature fits the body and this endpoint's secret")
    if abs(now.timestamp() - int(stamps[0])) > TOLERANCE.total_seconds():
        raise WebhookRefused("the signature is more than five minutes away from now")


def read_event(payload: bytes) -> dict[str, str]:
    """The part of an event that is queued: its id, type, time, and our own id of what it is about ("" if none).

    Raises WebhookRefused for anything that is not an event.
    """
    try:
        event = json.loads(payload)
        created = datetime.fromtimestamp(event["created"], UTC) if isinstance(event["created"], int) else None
        subject = _own_id(event.get("data", {}).get("object", {}))
        parts = {"id": event["id"], "type": event["type"], "subject": subject}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise WebhookRefused("the body is not a Stripe event") from None
    if created is None or not all(isinstance(value, str) for value in parts.values()):
        raise WebhookRefused("the body is not a Stripe event")
    return parts | {"created": created.isoformat()}


def _own_id(subject: dict[str, object]) -> str:
    metadata = subject.get("metadata")
    tags = metadata if isinstance(metadata, dict) else {}
    return str(next((tags[name] for name in _OWN_IDS if name in tags), ""))
