"""One request to somebody else's server, within bounds: of where it goes, and of how long it takes.

The addresses behind the host's name are judged, and one of those that were judged is connected to, so that a name which
resolves to something else a moment later changes nothing. No redirect is followed.
"""

import io
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

from ledger.records import dataclass
from settlement.web_addresses import Target, check_addresses, target_of

CONNECT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A server as it was asked for, and the one address of it that is connected to."""

    target: Target
    address: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a peer is asked; `path` begins with a slash and has its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None


def find_peer(url: str, *, loopback_allowed: bool) -> Peer:
    """The server behind an address; its name is resolved once, here, and nowhere else.

    Raises AddressRefused for an address, or one of those behind the name, that nothing may be sent to, and OSError for
    a name that nobody knows.
    """
    target = target_of(url)
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    # IPv4 first, since functions may have no IPv6.
    addresses = [str(it[0]) for family, *_, it in sorted(found, key=lambda it: it[0] != socket.AF_INET)]
    check_addresses(target.host, addresses, loopback_allowed=loopback_allowed)
    return Peer(target, addresses[0])


@contextmanager
def answer_of(peer: Peer, asked: Asked, seconds: float) -> Iterator[HTTPResponse]:
    """The answer, its status read and its body not yet, until the block ends.

    Connecting takes at most 3 seconds, and everything together, reading the body too, at most `seconds`: TimeoutError.
    Raises ConnectionError, ssl.SSLError, OSError or HTTPException for what goes wrong otherwise.
    """
    ends_at = time.monotonic() + seconds
    with _connect(peer, ends_at) as connected:
        request = HTTPConnection(peer.target.host, peer.target.port)
        if peer.target.scheme == "https":
            request.default_port = HTTPSConnection.default_port  # so that `Host` has no port where it needs none
        request.sock = connected
        connected.settimeout(_left(ends_at))
        try:
            request.request(asked.method, asked.path, asked.body, {"Connection": "close", **asked.headers})
        except ValueError:  # it quotes what no header can hold, and that may be a key
            raise HTTPException("a header has what none can hold") from None
        answer = HTTPResponse(_Timed(connected, ends_at), method=asked.method)  # type: ignore[arg-type]  # all it asks a socket for
        answer.begin()
        yield answer


def _connect(peer: Peer, ends_at: float) -> socket.socket:
    try:
        plain = socket.create_connection((peer.address, peer.target.port), CONNECT_SECONDS)
    except TimeoutError:
        raise ConnectionError from None
    if peer.target.scheme != "https":
        return plain
    try:
        plain.settimeout(_left(ends_at))
        return ssl.create_default_context().wrap_socket(plain, server_hostname=peer.target.host)
    except BaseException:
        plain.close()
        raise


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
