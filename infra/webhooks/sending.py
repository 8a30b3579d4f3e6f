"""One signed POST to somebody else's server, of whose answer only the status is looked at."""

import ssl
from collections.abc import Mapping
from http.client import HTTPException

from infra.outbound import Asked, answer_of, find_peer
from settlement.web_addresses import AddressRefused
from settlement.webhooks import Attempt, answered

TOTAL_SECONDS = 10.0


def post(url: str, headers: Mapping[str, str], body: str, *, loopback_allowed: bool) -> Attempt:
    """How sending went. Connecting takes at most 3 seconds, and all after the name is resolved at most 10."""
    try:
        peer = find_peer(url, loopback_allowed=loopback_allowed)
    except AddressRefused as refused:
        return Attempt(is_delivered=False, why=str(refused), is_final=True)
    except OSError:
        return Attempt(is_delivered=False, why="the host's name is not known")
    try:
        with answer_of(peer, Asked("POST", peer.target.path, headers, body.encode()), TOTAL_SECONDS) as answer:
            return answered(answer.status)
    except TimeoutError:
        return Attempt(is_delivered=False, why=f"no answer within {TOTAL_SECONDS:.0f} seconds")
    except ssl.SSLError as broken:
        return Attempt(is_delivered=False, why=f"TLS failed: {broken.reason or 'no reason given'}")
    except (OSError, HTTPException) as broken:
        return Attempt(is_delivered=False, why=f"the connection failed: {type(broken).__name__}")
