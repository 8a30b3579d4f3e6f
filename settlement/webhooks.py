"""Webhooks: who asked for them, what each gets, how it is signed, and when it is tried again. Pure.

Signatures are those of the Standard Webhooks specification (github.com/standard-webhooks/standard-webhooks).
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from events.facts import OwnerId, Slug, format_instant
from ledger.records import dataclass
from ledger.terms import Terms
from settlement.announcements import TOLD, Announcement, Audience
from settlement.web_addresses import target_of

# -- who asked ---------------------------------------------------------------------------------------------------------


def _check_url(url: str) -> str:
    target_of(url)
    return url


class Endpoint(Terms):
    """Where somebody wants to be told. Its secret is kept elsewhere, under its id.

    `audience` is `client`, for events of that client, or `experts`, for payouts of all experts. Without `events` it
    gets every type that its audience may see. While it is not `enabled` nothing is queued for it; what came in the
    last 40 days can be replayed once it is.
    """

    id: Slug
    audience: Audience
    client: OwnerId | None = None
    url: Annotated[str, Field(max_length=2000), AfterValidator(_check_url)]
    events: tuple[str, ...] = ()
    enabled: bool = True

    @model_validator(mode="after")
    def _fits_its_audience(self) -> Self:
        if (self.client is None) is (self.audience is Audience.CLIENT):
            raise ValueError("an endpoint has a `client` if, and only if, its audience is `client`")
        known = types_for(self.audience)
        for event in self.events:
            if event not in known:
                raise ValueError(f"{event!r} is not told to {self.audience}; there are {', '.join(known)}")
        return self

    def wants(self, told: Announcement) -> bool:
        """Whether it is to be told of something."""
        is_its_own = self.audience is not Audience.CLIENT or self.client == told.client
        return self.enabled and is_its_own and (not self.events or told.type in self.events)


def types_for(audience: Audience) -> tuple[str, ...]:
    """The types that an audience may be told of."""
    return tuple(type_ for type_, shown in TOLD.items() if audience in shown)


# -- what it gets ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Webhook:
    """One announcement for one endpoint, as it waits in the queue: `body` is what is signed and sent, byte by byte.

    The id follows from the announcement, so that a replay has the same. Webhooks of one `group`, an endpoint and a
    subject, are delivered in their order.
    """

    endpoint: str
    id: str
    type: str
    group: str
    body: str


def webhooks_for(told: Announcement, endpoints: Iterable[Endpoint]) -> Iterator[Webhook]:
    """What each of the endpoints that want it gets of an announcement."""
    for endpoint in endpoints:
        seen = told.seen_by(endpoint.audience) if endpoint.wants(told) else None
        if seen is not None:
            content = {"type": told.type, "timestamp": format_instant(told.at), "data": dict(seen)}
            body = json.dumps(content, separators=(",", ":"))
            yield Webhook(endpoint.id, webhook_id(told), told.type, _digest(endpoint.id, told.subject), body)


def replayed(
    told: Iterable[Announcement], endpoint: Endpoint, ids: Collection[str], since: datetime | None
) -> list[tuple[str, Webhook]]:
    """What an endpoint gets again, in order: the webhooks of these ids, or all since an instant (inclusive).

    Each comes with a text that says its place in the order.
    """
    wanted = [one for one in told if (one.at >= since if since else webhook_id(one) in ids)]
    places = sorted((f"{one.at.astimezone(UTC).isoformat(timespec='microseconds')} {one.id}", one) for one in wanted)
    return [(place, webhook) for place, one in places for webhook in webhooks_for(one, [endpoint])]


def webhook_id(told: Announcement) -> str:
    """The id that receivers know a webhook by: `msg_` and 32 hexadecimal digits, the same for every endpoint."""
    return f"msg_{_digest(told.id)[:32]}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


# -- how it is signed --------------------------------------------------------------------------------------------------

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


class SecretInvalid(ValueError):
    """A signing secret that is none; the message never shows it."""


def new_secret(random_bytes: bytes) -> str:
    """A signing secret as it is shown to whoever verifies: `whsec_` and base64, of 24 to 64 random bytes."""
    secret = _PREFIX + base64.b64encode(random_bytes).decode()
    _key(secret)
    return secret


def signature_header(secrets: Sequence[str], id_: str, sent_at: datetime, body: str) -> str:
    """The header `webhook-signature`: `v1,<base64 HMAC-SHA256 of id.timestamp.body>` for each secret, blanks between.

    During a rotation there are two secrets. Raises SecretInvalid for one that is none, and if there is none at all.
    """
    if not secrets:
        raise SecretInvalid("there is no secret to sign with")
    content = f"{id_}.{int(sent_at.timestamp())}.{body}".encode()
    macs = (hmac.digest(_key(secret), content, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise SecretInvalid(
            f"a signing secret is {_PREFIX} and base64 of {_SHORTEST} to {_LONGEST} bytes; make another"
        )
    return key


# -- when it is tried again --------------------------------------------------------------------------------------------

# Seconds between attempts: more than 25 hours together, and none beyond the 12 hours for which SQS hides a message.
WAITS = (2, 10, 60, 300, 900, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 10 * 3600)
TRIED_FOR = timedelta(days=1)
_GONE = 410


class DeliveryState(StrEnum):
    """What became of a webhook: taken, to be tried again, or given up until somebody replays it."""

    DELIVERED = "delivered"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt went. `why` is empty, or says what happened in words that hold nothing of the answer's body.

    `is_final` is for what another attempt cannot mend.
    """

    is_delivered: bool
    why: str = ""
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a webhook stands at an endpoint: `attempts` so far, the newest at `tried_at`."""

    endpoint: str
    webhook: str
    type: str
    state: DeliveryState
    attempts: int
    why: str
    tried_at: datetime


def answered(status: int) -> Attempt:
    """What a status means: 2xx took it, 410 wants no more of them, everything else, redirects too, is tried again."""
    if 200 <= status < 300:
        return Attempt(is_delivered=True)
    if 300 <= status < 400:
        return Attempt(
            is_delivered=False, why=f"answered {status}; redirects are not followed, so name the new address"
        )
    return Attempt(is_delivered=False, why=f"answered {status}", is_final=status == _GONE)


def wait_seconds(attempts: int, tried_for: timedelta) -> int | None:
    """How long to wait after so many attempts; None once all waits are over and it was tried for at least a day.

    A queue may count attempts that never happened, so the time decides.
    """
    if attempts <= len(WAITS):
        return WAITS[attempts - 1]
    return None if tried_for >= TRIED_FOR else WAITS[-1]


def after_attempt(
    webhook: Webhook, attempt: Attempt, attempts: int, first_at: datetime, now: datetime
) -> tuple[Delivery, int | None]:
    """Where a webhook stands after its attempt number `attempts`, and in how many seconds to try again, if at all."""
    wait = None if attempt.is_delivered or attempt.is_final else wait_seconds(attempts, now - first_at)
    if attempt.is_delivered:
        state = DeliveryState.DELIVERED
    else:
        state = DeliveryState.FAILED if wait is None else DeliveryState.WAITING
    return Delivery(webhook.endpoint, webhook.id, webhook.type, state, attempts, attempt.why, now), wait
