"""Where a request to somebody else's server goes: to an address that was judged, whatever the name stands for later."""

import socket
import ssl
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from infra.helpdesks.asking import Busy, ask
from infra.outbound import Asked, answer_of, find_peer
from infra.webhooks.sending import post

REACH: list[Callable[[str], object]] = [
    lambda url: post(url, {}, "{}", loopback_allowed=False),
    lambda url: ask(url, "/tickets", {}, {}, loopback_allowed=False),
]


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were resolved: the first time to public addresses, after that to one of our own network."""
    names: list[str] = []

    def rebinding(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        names.append(host)
        if len(names) > 1:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]
        six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700::1111", port, 0, 0))
        return [six, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    return names


@pytest.mark.parametrize("reach", REACH, ids=["webhooks", "polls"])
def test_a_name_is_resolved_once_and_what_was_judged_is_connected_to(
    reach: Callable[[str], object], resolved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[object] = []

    def refuse(address: object, _: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    reach("https://acme.example/hook")
    assert (resolved, connected) == (["acme.example"], [("1.1.1.1", 443)])


@pytest.mark.usefixtures("resolved")
def test_the_certificate_and_the_host_are_those_of_the_name_and_not_of_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = socket.socketpair()
    checked, heard = list[str](), list[bytes]()

    def wrap(plain: socket.socket, server_hostname: str) -> socket.socket:
        checked.append(server_hostname)
        return plain

    def serve() -> None:
        heard.append(there.recv(65_536))
        there.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    monkeypatch.setattr(socket, "create_connection", lambda *_: here)
    monkeypatch.setattr(ssl, "create_default_context", lambda: SimpleNamespace(wrap_socket=wrap))
    server = threading.Thread(target=serve)
    server.start()
    peer = find_peer("https://acme.example", loopback_allowed=False)
    with answer_of(peer, Asked("GET", "/tickets?page=2", {"authorization": "Bearer key"}), 5) as answer:
        assert answer.status == 204
    server.join()
    there.close()
    request, *headers = heard[0].decode().split("\r\n")
    assert (checked, request) == (["acme.example"], "GET /tickets?page=2 HTTP/1.1")
    assert {"Host: acme.example", "Connection: close", "authorization: Bearer key"} <= {*headers}


@pytest.mark.usefixtures("resolved")
@pytest.mark.parametrize("key", ["a\nsecret", "secret\u2026"])
def test_a_key_that_no_header_can_hold_is_told_without_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda *_: here)
    monkeypatch.setattr(ssl, "create_default_context", lambda: SimpleNamespace(wrap_socket=lambda it, **_: it))
    answered = ask("https://acme.example", "/tickets", {}, {"authorization": f"Bearer {key}"}, loopback_allowed=False)
    there.close()
    assert isinstance(answered, Busy)
    assert answered.why == "the connection failed: HTTPException"


def test_an_address_whose_host_is_no_name_is_refused_for_good() -> None:
    attempt = post(f"https://{'a' * 64}.example/", {}, "{}", loopback_allowed=False)
    assert (attempt.is_delivered, attempt.is_final) == (False, True)
