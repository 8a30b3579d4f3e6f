"""Polling a helpdesk over HTTP: page by page behind a cursor, with patience, within bounds, never to another host."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from events.adapters.doors import Door
from events.adapters.payloads import MOST_BYTES
from events.adapters.polls import Cursor
from events.adapters.systems import System
from events.decode import decode
from events.facts import Rated
from functions import poll_ticketing as function
from functions import wiring
from infra.aws.tables import PollItem
from infra.helpdesks.asking import Answer, Busy, Refused, ask, wait_of
from infra.helpdesks.cursors import Poll, keep_poll, poll_of
from infra.helpdesks.polling import MOST_PAGES, Here, poll_listing
from settlement.ports import Contention
from tests.dynamo_tables import moto_tables
from tests.http_server import Heard, Reply, http_server
from tests.ticketing import NOW, PERSON, a_door

POLL = {"address": "https://acme.freshdesk.com", "key": "freshdesk-key"}
DOOR = a_door(System.FRESHDESK, poll=POLL)
START = Poll("acme-freshdesk", "ratings")


def ratings(first: int, number: int) -> bytes:
    """A page of Freshdesk's ratings; a full one has 100."""
    return json.dumps(
        [
            {
                "ticket_id": n,
                "ratings": {"default_question": 103},
                "feedback": PERSON,
                "created_at": (NOW - timedelta(days=2) + timedelta(minutes=n)).isoformat(),
                "updated_at": (NOW - timedelta(days=2) + timedelta(minutes=n)).isoformat(),
            }
            for n in range(first, first + number)
        ]
    ).encode()


@dataclass
class Helpdesk:
    """Answers what it was told to, one after the other, and keeps what it was asked."""

    answers: list[Answer | Busy | Refused]
    asked: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = field(default_factory=list)
    facts: list[Mapping[str, object]] = field(default_factory=list)
    kept: list[Poll] = field(default_factory=list)
    refused: list[object] = field(default_factory=list)
    fails_to_keep: bool = False

    def ask(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer | Busy | Refused:
        self.asked.append((path, query, headers))
        return self.answers.pop(0)

    def keep(self, poll: Poll) -> None:
        if self.fails_to_keep:
            raise Contention("somebody else was faster")
        self.kept.append(poll)

    def here(self, in_time: Callable[[], bool] = lambda: True) -> Here:
        return Here(self.ask, self.facts.extend, self.refused.extend, self.keep, in_time, lambda: NOW)


def test_a_listing_is_read_to_its_end_and_the_cursor_moves_behind_each_page() -> None:
    desk = Helpdesk([Answer(ratings(0, 100)), Answer(ratings(100, 3))])

    polled = poll_listing(DOOR, "key:X", START, desk.here())

    assert (polled.pages, polled.facts, polled.why, polled.is_refused) == (2, 103, "", False)
    assert len({decode(message).fact.id for message in desk.facts}) == 103
    assert all(isinstance(decode(message).fact, Rated) for message in desk.facts)
    assert [(it.revision, it.cursor.page) for it in desk.kept] == [(1, "2"), (2, "")]
    assert [query["page"] for _, query, _ in desk.asked] == ["1", "2"]
    assert desk.kept[-1].cursor.since > desk.asked[0][1]["created_since"]
    assert PERSON not in json.dumps(desk.facts)


def test_a_run_that_could_not_keep_its_cursor_has_queued_the_page_and_repeats_it() -> None:
    desk = Helpdesk([Answer(ratings(0, 3)), Answer(ratings(0, 3))], fails_to_keep=True)
    with pytest.raises(Contention):
        poll_listing(DOOR, "key:X", START, desk.here())
    desk.fails_to_keep = False
    poll_listing(DOOR, "key:X", START, desk.here())
    assert len(desk.facts) == 6
    assert len({decode(message).fact.id for message in desk.facts}) == 3


def test_a_busy_helpdesk_is_left_alone_for_as_long_as_it_asks() -> None:
    desk = Helpdesk([Answer(ratings(0, 100)), Busy("it answered 429", timedelta(minutes=7))])

    polled = poll_listing(DOOR, "key:X", START, desk.here())

    assert (polled.pages, polled.why) == (1, "it answered 429")
    waiting = desk.kept[-1]
    assert (waiting.wait_until, waiting.cursor.page) == (NOW + timedelta(minutes=7), "2")
    assert poll_listing(DOOR, "key:X", waiting, desk.here()).pages == 0
    assert len(desk.asked) == 2


def test_a_run_has_bounds_of_pages_and_of_time_and_the_next_goes_on() -> None:
    desk = Helpdesk([Answer(ratings(n, 100)) for n in range(MOST_PAGES + 1)])
    polled = poll_listing(DOOR, "key:X", START, desk.here())
    assert (polled.pages, polled.why) == (MOST_PAGES, "the next run goes on")
    assert poll_listing(DOOR, "key:X", desk.kept[-1], desk.here(in_time=lambda: False)).pages == 0


@pytest.mark.parametrize("answer", [Refused("it answered 401"), Answer(b"<html>"), Answer(b"x" * (MOST_BYTES + 1))])
def test_what_is_no_listing_moves_no_cursor_and_calls_for_somebody(answer: Answer | Refused) -> None:
    desk = Helpdesk([answer])
    polled = poll_listing(DOOR, "key:X", START, desk.here())
    assert (polled.is_refused, desk.kept, desk.facts) == (True, [], [])
    assert polled.why


def test_an_item_that_cannot_be_read_is_reported_and_the_others_are_taken() -> None:
    page = json.loads(ratings(0, 2))
    page[0]["ratings"]["default_question"] = 7
    desk = Helpdesk([Answer(json.dumps(page).encode())])
    assert poll_listing(DOOR, "key:X", START, desk.here()).refused == len(desk.refused) == 1
    assert len(desk.facts) == 1


@pytest.mark.parametrize(("system", "sent"), [(System.FRESHDESK, "Basic a2V5Olg="), (System.HUBSPOT, "Bearer key:X")])
def test_the_key_goes_as_the_system_takes_it(system: System, sent: str) -> None:
    door = a_door(system, poll=POLL)
    desk = Helpdesk([Refused("enough")])
    poll_listing(door, "key:X", Poll(door.id, door.polled[0]), desk.here())
    assert desk.asked[0][2]["authorization"] == sent


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@dataclass
class HelpdeskServer:
    """Answers with `reply`, and keeps the paths."""

    url: str = ""
    reply: Reply = (200, {}, b"[]")
    paths: list[str] = field(default_factory=list)

    def answer(self, heard: Heard) -> Reply:
        self.paths.append(heard.path)
        return self.reply


@pytest.fixture
def server() -> Iterator[HelpdeskServer]:
    made = HelpdeskServer()
    with http_server(made.answer) as made.url:
        yield made


local = partial(ask, loopback_allowed=True)


def test_a_page_is_asked_for_with_its_query_and_read_only_as_far_as_is_taken(server: HelpdeskServer) -> None:
    server.reply = (200, {}, b"x" * (2 * MOST_BYTES))
    answer = local(server.url, "/api/ratings", {"since": "2026-03-02T00:00:00Z", "q": "a&b=c"}, {})
    assert isinstance(answer, Answer)
    assert len(answer.body) == MOST_BYTES + 1
    assert server.paths == ["/api/ratings?since=2026-03-02T00%3A00%3A00Z&q=a%26b%3Dc"]


@pytest.mark.parametrize(("status", "header", "wait"), [(429, "120", 120), (503, "", 300), (500, "999999", 3600)])
def test_a_helpdesk_that_asks_for_patience_gets_it(server: HelpdeskServer, status: int, header: str, wait: int) -> None:
    server.reply = (status, {"Retry-After": header} if header else {}, b"")
    assert local(server.url, "/x", {}, {}) == Busy(f"it answered {status}", timedelta(seconds=wait))


@pytest.mark.parametrize("status", [301, 307, 401, 404])
def test_neither_a_redirect_is_followed_nor_a_refusal_repeated(server: HelpdeskServer, status: int) -> None:
    server.reply = (status, {"Location": f"{server.url}/elsewhere"}, b"")
    assert local(server.url, "/x", {}, {"authorization": "Bearer key"}) == Refused(f"it answered {status}")
    assert server.paths == ["/x"]


@pytest.mark.parametrize("address", ["http://acme.freshdesk.com", "https://10.0.0.1", "https://169.254.169.254"])
def test_only_public_addresses_are_asked_and_only_over_https(address: str) -> None:
    assert isinstance(ask(address, "/x", {}, {}, loopback_allowed=True), Refused)


def test_this_very_machine_is_asked_only_on_the_embedded_stack(server: HelpdeskServer) -> None:
    assert isinstance(ask(server.url, "/x", {}, {}, loopback_allowed=False), Refused)
    assert server.paths == []


def test_a_connection_that_breaks_is_tried_again_later() -> None:
    assert local("http://127.0.0.1:1", "/x", {}, {}) == Busy(
        "the connection failed: ConnectionRefusedError", timedelta(minutes=5)
    )


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 1), ("30", 30), ("Mon, 02 Mar 2026 12:10:00 GMT", 600), ("Mon, 02 Mar 2026 11:00:00 GMT", 1), ("soon", 300)],
)
def test_how_long_to_wait_is_said_in_seconds_or_by_a_date(header: str, seconds: int) -> None:
    assert wait_of(header, NOW) == timedelta(seconds=seconds)


# -- what is kept, and the function ------------------------------------------------------------------------------------


@pytest.fixture
def table() -> Iterator[None]:
    with moto_tables("polls", PollItem):
        yield


@pytest.mark.usefixtures("table")
def test_a_poll_is_kept_over_the_one_before_and_over_no_other() -> None:
    assert poll_of("acme-freshdesk", "ratings") == START
    first = Poll("acme-freshdesk", "ratings", Cursor("s", "2", "n"), None, 1)
    keep_poll(first)
    assert poll_of("acme-freshdesk", "ratings") == first
    second = Poll("acme-freshdesk", "ratings", Cursor("s"), NOW, 2)
    keep_poll(second)
    for rival in (first, second):
        with pytest.raises(Contention):
            keep_poll(rival)
    assert poll_of("acme-freshdesk", "ratings") == second
    assert poll_of("acme-freshdesk", "others") == Poll("acme-freshdesk", "others")


class Registry:
    def __init__(self, *doors: Door) -> None:
        self._doors = {door.id: door for door in doors}

    def doors(self) -> Mapping[str, Door]:
        return self._doors


@pytest.mark.usefixtures("table")
def test_the_function_polls_what_doors_ask_for_and_one_that_fails_stops_no_other(
    server: HelpdeskServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    page = [{"ticket_id": 7, "ratings": {"default_question": 103}, "created_at": now.isoformat()}]
    server.reply = (200, {}, json.dumps(page).encode())
    reached = a_door(System.FRESHDESK, poll=POLL | {"address": server.url})
    without = a_door(System.FRESHDESK, id="a-first", account="other", case_prefix="o-", poll=POLL | {"key": "none"})
    put: list[Mapping[str, object]] = []

    def keep(_: str, facts: Sequence[Mapping[str, object]]) -> None:
        put.extend(facts)

    monkeypatch.setenv("SOLVENT_STACK", "s")
    monkeypatch.setenv("SOLVENT_POLLS_TO_LOOPBACK", "allowed")
    monkeypatch.setattr(function, "registry", lambda: Registry(reached, without, a_door(System.ZENDESK)))
    monkeypatch.setattr(function, "door_secrets", lambda _, name: () if name == "none" else ("key:X", "old:X"))
    monkeypatch.setattr(function, "put_facts", keep)
    monkeypatch.setattr(wiring, "store", lambda: pytest.fail("nothing is refused"))
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 300_000)
    done: Any = function.handler.__wrapped__({}, context)  # type: ignore[attr-defined]
    assert done == {"facts": {"a-first/ratings": 0, "acme-freshdesk/ratings": 1}}
    assert [decode(message).case_id for message in put] == ["freshdesk-7"]
    assert poll_of("acme-freshdesk", "ratings").revision == 1
