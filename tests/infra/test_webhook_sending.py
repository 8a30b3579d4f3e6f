"""One POST to a receiver on loopback: what counts as taken, what is refused, and that nothing takes too long."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from infra import outbound
from infra.webhooks import sending
from infra.webhooks.sending import post
from settlement.webhooks import Attempt
from tests.http_server import Heard, Reply, http_server


@contextmanager
def a_receiver(status: int, **headers: str) -> Iterator[tuple[str, list[Heard]]]:
    """A server that answers everything with a status; its address, and what it got."""
    received: list[Heard] = []

    def answer(heard: Heard) -> Reply:
        received.append(heard)
        return status, headers, b"PII-TEST jane.doe@example.com"

    with http_server(answer) as url:
        yield url, received


@contextmanager
def a_raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with one connection whatever a test wants."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connected, _ = listening.accept()
            with connected, suppress(OSError):
                talk(connected)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join()


def send(url: str, *, loopback_allowed: bool = True) -> Attempt:
    return post(url, {"webhook-id": "msg_1"}, '{"type":"é"}', loopback_allowed=loopback_allowed)


def resolved_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name stands for these addresses."""
    found = [
        (socket.AF_INET6 if ":" in it else socket.AF_INET, socket.SOCK_STREAM, 6, "", (it, 443)) for it in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def connecting_is_a_bug(*_: object) -> None:
    raise AssertionError("it connected")


def test_body_and_headers_arrive_as_they_were_signed_and_a_200_is_enough() -> None:
    with a_receiver(200) as (url, received):
        attempt = send(f"{url}/hooks?a=b")

    assert attempt == Attempt(is_delivered=True)
    [heard] = received
    assert (heard.path, heard.headers["webhook-id"]) == ("/hooks?a=b", "msg_1")
    assert heard.body == '{"type":"é"}'.encode()
    assert heard.headers["host"] == url.removeprefix("http://")


def test_a_refusal_is_told_by_its_status_and_never_by_its_body() -> None:
    with a_receiver(500) as (url, _):
        attempt = send(url)

    assert attempt == Attempt(is_delivered=False, why="answered 500")


def test_a_redirect_is_not_followed() -> None:
    with a_receiver(200) as (elsewhere, received), a_receiver(307, Location=elsewhere) as (url, _):
        attempt = send(url)

    assert not attempt.is_delivered
    assert attempt.why.startswith("answered 307; redirects are not followed")
    assert received == []


def test_the_own_machine_is_called_on_the_embedded_stack_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "_connect", connecting_is_a_bug)

    attempt = send("http://127.0.0.1:9/", loopback_allowed=False)

    assert (attempt.is_delivered, attempt.is_final) == (False, True)
    assert "not a public address" in attempt.why


@pytest.mark.parametrize("behind", [("169.254.169.254",), ("1.1.1.1", "10.0.0.1"), ("::ffff:127.0.0.1",), ("fd00::1",)])
def test_a_name_that_stands_for_the_own_network_is_refused_before_anything_is_connected(
    behind: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved_to(monkeypatch, *behind)
    monkeypatch.setattr(outbound, "_connect", connecting_is_a_bug)

    attempt = send("https://acme.example/hook", loopback_allowed=False)

    assert attempt.is_final
    assert attempt.why == "what acme.example stands for is not a public address; give one that is"


def test_a_name_that_nobody_knows_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert send("https://acme.example/") == Attempt(is_delivered=False, why="the host's name is not known")


def test_a_port_at_which_nobody_listens_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    attempt = send(f"http://127.0.0.1:{port}/")

    assert attempt == Attempt(is_delivered=False, why="the connection failed: ConnectionRefusedError")


def drip(connected: socket.socket) -> None:
    connected.recv(65_536)
    for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 100:
        connected.send(bytes([letter]))
        time.sleep(0.05)


def stay_silent(connected: socket.socket) -> None:
    while connected.recv(65_536):
        pass


@pytest.mark.parametrize("talk", [drip, stay_silent])
def test_however_slowly_a_receiver_answers_it_is_left_after_the_total_time(
    talk: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.5)
    begun = time.monotonic()
    with a_raw_server(talk) as url:
        attempt = send(url)

    assert not attempt.is_delivered
    assert attempt.why.startswith("no answer within")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 " + b"x" * 100_000, b"\x00" * 10])
def test_what_is_no_http_is_no_success(answer: bytes) -> None:
    def talk(connected: socket.socket) -> None:
        connected.recv(65_536)
        connected.sendall(answer)

    with a_raw_server(talk) as url:
        attempt = send(url)

    assert not attempt.is_delivered
    assert attempt.why.startswith("the connection failed")


def test_a_server_that_does_not_speak_tls_is_no_success() -> None:
    def talk(connected: socket.socket) -> None:
        connected.recv(65_536)
        connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with a_raw_server(talk) as url:
        attempt = send(url.replace("http://", "https://"))

    assert not attempt.is_delivered
    assert attempt.why.startswith("TLS failed")
