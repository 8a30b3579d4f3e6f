"""Stripe's webhook: is the signature right, and what of the event may pass the door. Pure."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

TOLERANCE = timedelta(minutes=5)
_OWN_IDS = ("solvent_invoice", "solvent_payout")
_LONGEST_OWN_ID = 500  # as long as Stripe lets metadata be
_ID = re.compile(r"[a-z][a-z0-9]*_[A-Za-z0-9_]{1,250}")
_TYPE = re.compile(r"[a-z0-9_.\[\]]{1,150}")


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
    """The part of an event that is queued; nothing else of it leaves this door.

    `id`, `type`, `created`; `subject`: our own id of what it is about; `object`: Stripe's id of it; `account`: the
    connected account that it happened in. The last three are "" where there is none, or none that has the form of an
    id. Both of Stripe's shapes are read: snapshots (v1) and thin events (v2), which carry no subject.

    Raises WebhookRefused for anything that is not an event.
    """
    try:
        event = json.loads(payload)
        parts = _thin(event) if event.get("object") == "v2.core.event" else _snapshot(event)
        is_event = _ID.fullmatch(event["id"]) and _TYPE.fullmatch(event["type"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise WebhookRefused("the body is not a Stripe event") from None
    if not is_event:
        raise WebhookRefused("the body is not a Stripe event")
    return {"id": event["id"], "type": event["type"], **parts}


def _snapshot(event: Mapping[str, Any]) -> dict[str, str]:
    about = event["data"]["object"]
    return {
        "created": datetime.fromtimestamp(event["created"], UTC).isoformat(),
        "subject": _own_id(about),
        "object": _stripe_id(about.get("id")),
        "account": _stripe_id(event.get("account")),
    }


def _thin(event: Mapping[str, Any]) -> dict[str, str]:
    """An event about an account happened in it; any other names it as the last step of its context, if at all."""
    created = datetime.fromisoformat(event["created"])
    if created.tzinfo is None:
        raise WebhookRefused("the body is not a Stripe event")
    about = event.get("related_object") or {}
    context = str(event.get("context") or "").rpartition("/")[2]
    is_account = about.get("type") == "v2.core.account"
    return {
        "created": created.astimezone(UTC).isoformat(),
        "subject": "",
        "object": _stripe_id(about.get("id")),
        "account": _stripe_id(about.get("id") if is_account else context),
    }


def _own_id(subject: Mapping[str, Any]) -> str:
    metadata = subject.get("metadata")
    tags = metadata if isinstance(metadata, dict) else {}
    own = next((tags[name] for name in _OWN_IDS if name in tags), "")
    return own if isinstance(own, str) and len(own) <= _LONGEST_OWN_ID else ""


def _stripe_id(value: object) -> str:
    """The value itself if it has the form of Stripe's own ids; ids that people may choose, of a plan say, have not."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
