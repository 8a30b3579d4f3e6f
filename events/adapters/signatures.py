"""Is a request from the system whose door it comes to? Each scheme is a row of a table. Pure."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from events.adapters.payloads import Refusal, Unreadable
from ledger.records import dataclass

WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request as it arrived. `url` is the whole address that the sender called, with its query.

    Header names may be in any case; `body` is the raw bytes, before any decoding.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class SchemeName(StrEnum):
    """How a sender proves itself."""

    ZENDESK = "zendesk"
    ZENDESK_BODY_FIRST = "zendesk_body_first"
    INTERCOM = "intercom"
    HUBSPOT = "hubspot"
    JIRA = "jira"
    BEARER = "bearer"
    BASIC = "basic"
    TOKEN = "token"  # noqa: S105  # the name of a scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An HMAC over `parts` of the request, in `header`. With a time among them, the window holds around it."""

    header: str
    algorithm: str
    encode: Callable[[bytes], bytes]
    parts: tuple[str, ...]
    prefix: str = ""
    time_header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The secret itself in `header`, for systems that sign nothing; a replay cannot be told from a repetition."""

    header: str
    prefix: str = ""
    encode: Callable[[bytes], bytes] = bytes


def _hex(digest: bytes) -> bytes:
    return digest.hex().encode()


# Sources: Zendesk "Verifying webhooks" (an older page of theirs signs the body first), Intercom "Signed notifications",
# HubSpot "Validate the v3 request signature" (its v1 and v2 are plain hashes without a time, and not taken here),
# Atlassian "Secure your webhooks". Freshdesk, Gorgias and Salesforce sign nothing: they send a header that you choose.
SCHEMES: Mapping[SchemeName, Signed | Shared] = {
    SchemeName.ZENDESK: Signed(
        header="x-zendesk-webhook-signature",
        algorithm="sha256",
        encode=base64.b64encode,
        parts=("time", "body"),
        time_header="x-zendesk-webhook-signature-timestamp",
    ),
    SchemeName.ZENDESK_BODY_FIRST: Signed(
        header="x-zendesk-webhook-signature",
        algorithm="sha256",
        encode=base64.b64encode,
        parts=("body", "time"),
        time_header="x-zendesk-webhook-signature-timestamp",
    ),
    SchemeName.INTERCOM: Signed(
        header="x-hub-signature", algorithm="sha1", encode=_hex, parts=("body",), prefix="sha1="
    ),
    SchemeName.HUBSPOT: Signed(
        header="x-hubspot-signature-v3",
        algorithm="sha256",
        encode=base64.b64encode,
        parts=("method", "url", "body", "time"),
        time_header="x-hubspot-request-timestamp",
    ),
    SchemeName.JIRA: Signed(
        header="x-hub-signature", algorithm="sha256", encode=_hex, parts=("body",), prefix="sha256="
    ),
    SchemeName.BEARER: Shared(header="authorization", prefix="Bearer "),
    SchemeName.BASIC: Shared(header="authorization", prefix="Basic ", encode=base64.b64encode),
    SchemeName.TOKEN: Shared(header="x-solvent-token"),
}


def authenticate(
    scheme: Signed | Shared, secrets: Sequence[str], request: Request, now: datetime, header: str | None = None
) -> datetime | None:
    """When the request was signed; None where the scheme signs no time.

    Any of `secrets` may fit, so that one can be exchanged for another; an empty one never does. For `basic` a secret is
    `user:password`. `header` takes the place of a shared secret's header. Compares in constant time.

    Raises Unreadable: UNAUTHENTICATED without a fitting signature, STALE for a genuine one more than five minutes
    before or after `now`.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    name = (header or scheme.header).lower()
    given = headers.get(name, "").strip()
    if isinstance(scheme, Shared):
        wanted = (scheme.prefix.encode() + scheme.encode(secret.encode()) for secret in secrets if secret)
        _compare(wanted, given, name)
        return None
    stamp = headers.get(scheme.time_header, "").strip() if scheme.time_header else ""
    signed = b"".join(_part(part, request, stamp) for part in scheme.parts)
    digests = (hmac.digest(secret.encode(), signed, scheme.algorithm) for secret in secrets if secret)
    _compare((scheme.prefix.encode() + scheme.encode(digest) for digest in digests), given, name)
    if not scheme.time_header:
        return None
    sent_at = _sent_at(stamp, scheme.time_header)
    if abs(now - sent_at) > WINDOW:
        raise Unreadable(Refusal.STALE, scheme.time_header)
    return sent_at


def _compare(wanted: Iterable[bytes], given: str, header: str) -> None:
    value = given.encode(errors="replace")
    if not any([hmac.compare_digest(one, value) for one in wanted]):  # noqa: C419  # the time must not tell which
        raise Unreadable(Refusal.UNAUTHENTICATED, header)


def _part(part: str, request: Request, stamp: str) -> bytes:
    match part:
        case "body":
            return request.body
        case "time":
            return stamp.encode(errors="replace")
        case "method":
            return request.method.upper().encode()
        case _:
            return _DECODED.sub(lambda found: _PLAIN[found[0].upper()], request.url).encode(errors="replace")


# HubSpot signs the address with these characters decoded, and all others as they were sent.
_PLAIN = {f"%{ord(character):02X}": character for character in ":/?@!$'()*,;"}
_DECODED = re.compile("|".join(_PLAIN), re.IGNORECASE)


def _sent_at(stamp: str, header: str) -> datetime:
    """A signed time: RFC 3339 with a zone, or milliseconds since 1970."""
    try:
        at = (
            datetime.fromtimestamp(int(stamp) // 1000, UTC)
            if stamp.isascii() and stamp.isdigit()
            else datetime.fromisoformat(stamp)
        )
    except (ValueError, OverflowError, OSError):
        raise Unreadable(Refusal.UNAUTHENTICATED, header) from None
    if at.tzinfo is None:
        raise Unreadable(Refusal.UNAUTHENTICATED, header)
    return at


def digest_of(content: bytes) -> str:
    """The SHA-256 by which refused content is known: nothing else of it is kept."""
    return hashlib.sha256(content).hexdigest()
