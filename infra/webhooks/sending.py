"""One signed POST to somebody else's server, within bounds: of time, of where it goes, and of what is read of it.

The addresses behind the host's name are judged, and one of those that were judged is connected to, so that a name which
resolves to something else a moment later changes nothing. Only the status of the answer is looked at.
"""

import io
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from settlement.web_addresses import AddressRefused, Target, check_addresses, target_of
from settlement.webhooks import Attempt, answered

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0


def post(url: str, headers: Mapping[str, str], body: str, *, loopback_allowed: bool) -> Attempt:
    """How sending went. Connecting takes at most 3 seconds, and all after the name is resolved at most 10."""
    try:
        target = target_of(url)
        addresses = _resolve(target)
        check_addresses(target.host, addresses, loopback_allowed=loopback_allowed)
    except AddressRefused as refused:
        return Attempt(is_delivered=False, why=str(refused), is_final=True)
    except OSError:
        return Attempt(is_delivered=False, why="the host's name is not known")
    ends_at = time.monotonic() + TOTAL_SECONDS
    try:
        with _connect(target, addresses[0], ends_at) as connected:
            return answered(_exchange(connected, target, headers, body.encode(), ends_at))
    except TimeoutError:
        return Attempt(is_delivered=False, why=f"no answer within {TOTAL_SECONDS:.0f} seconds")
    except ssl.SSLError as broken:
        return Attempt(is_delivered=False, why=f"TLS failed: {broken.reason or 'no reason given'}")
    except (OSError, HTTPException) as broken:
        return Attempt(is_delivered=False, why=f"the connection failed: {type(broken).__name__}")


def _resolve(target: Target) -> list[str]:
    """The addresses behind a host, IPv4 first, since functions may have no IPv6."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return [str(address[0]) for family, *_, address in sorted(found, key=lambda it: it[0] != socket.AF_INET)]


def _connect(target: Target, address: str, ends_at: float) -> socket.socket:
    try:
        plain = socket.create_connection((address, target.port), CONNECT_SECONDS)
    except TimeoutError:
        raise ConnectionError from None
    if target.scheme != "https":
        return plain
    try:
        plain.settimeout(_left(ends_at))
        return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
    except BaseException:
        plain.close()
        raise


def _exchange(connected: socket.socket, target: Target, headers: Mapping[str, str], body: bytes, ends_at: float) -> int:
    request = HTTPConnection(target.host, target.port)
    request.sock = connected
    connected.settimeout(_left(ends_at))
    request.request("POST", target.path, body, {"Connection": "close", **headers})
    answer = HTTPResponse(_Timed(connected, ends_at), method="POST")  # type: ignore[arg-type]  # all it asks a socket for
    answer.begin()
    return answer.status


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Timed(io.RawIOBase):
    """What is read of a socket until a point in time, however slowly the other side writes."""

    def __init__(self, connected: socket.socket, ends_at: float) -> None:
        self._socket, self._ends_at = connected, ends_at

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # whatever has a buffer
        self._socket.settimeout(_left(self._ends_at))
        return self._socket.recv_into(buffer)
