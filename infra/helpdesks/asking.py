"""One GET at a helpdesk's API, within bounds: of where it goes, of time, and of what is read."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlencode

from events.adapters.payloads import MOST_BYTES
from infra.outbound import Asked, answer_of, find_peer
from ledger.records import dataclass
from settlement.web_addresses import AddressRefused

_SECONDS = 20.0  # a run that begins a page has half a minute
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=1), timedelta(hours=1)
_USUAL_WAIT = timedelta(minutes=5)
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer of 200."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """The helpdesk, or the way to it, asks for patience; `wait` is at most an hour."""

    why: str
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Refused:
    """The helpdesk does not answer that, or may not be asked at that address; asking again does not help."""

    why: str


def ask(
    address: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], *, loopback_allowed: bool
) -> Answer | Busy | Refused:
    """The answer to one GET. No redirect is followed, for the key would go with it."""
    try:
        peer = find_peer(address, loopback_allowed=loopback_allowed)
    except AddressRefused as refused:
        return Refused(str(refused))
    except OSError:
        return Busy("the host's name is not known", _USUAL_WAIT)
    asked = Asked("GET", f"{path}?{urlencode(query)}" if query else path, headers)
    try:
        with answer_of(peer, asked, _SECONDS) as answer:
            return _read(answer)
    except (OSError, HTTPException) as broken:
        return Busy(f"the connection failed: {type(broken).__name__}", _USUAL_WAIT)


def _read(answer: HTTPResponse) -> Answer | Busy | Refused:
    if answer.status == 200:
        return Answer(answer.read(MOST_BYTES + 1))  # one byte more than is taken, so that too much is refused
    if answer.status == _TOO_MANY or answer.status >= 500:
        wait = wait_of(answer.getheader("retry-after", ""), datetime.now(UTC))
        return Busy(f"it answered {answer.status}", wait)
    return Refused(f"it answered {answer.status}")


def wait_of(retry_after: str, now: datetime) -> timedelta:
    """How long `Retry-After` asks to wait, in seconds or until a date; five minutes if it does not say."""
    try:
        wait = (
            timedelta(seconds=int(retry_after)) if retry_after.isdigit() else parsedate_to_datetime(retry_after) - now
        )
    except (ValueError, TypeError, OverflowError):
        return _USUAL_WAIT
    return min(max(wait, _SHORTEST_WAIT), _LONGEST_WAIT)
