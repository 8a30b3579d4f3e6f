"""Polling a listing: page by page, from a cursor that moves on only behind facts that were put on the bus.

A run that dies in between repeats a page, and settlement knows repetitions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from events.adapters.doors import Door
from events.adapters.payloads import PayloadRefused
from events.adapters.polls import read_page, url_and_query
from events.adapters.signatures import SCHEMES, Shared
from events.decode import envelop
from events.facts import Party
from infra.helpdesks.asking import Answer, Busy, Refused
from infra.helpdesks.cursors import Poll
from ledger.records import dataclass

MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class Here:
    """What polling acts on. `ask` takes path, query and headers; `in_time` says whether there is time for a page."""

    ask: Callable[[str, Mapping[str, str], Mapping[str, str]], Answer | Busy | Refused]
    put_facts: Callable[[Sequence[Mapping[str, object]]], None]
    park: Callable[[Sequence[PayloadRefused]], None]
    keep: Callable[[Poll], None]
    in_time: Callable[[], bool]
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Polled:
    """What a run did of a listing: `why` it stopped before the end, if it did; `is_refused` if somebody has to act."""

    pages: int = 0
    facts: int = 0
    refused: int = 0
    why: str = ""
    is_refused: bool = False


def poll_listing(door: Door, key: str, poll: Poll, here: Here) -> Polled:
    """Read a listing from its cursor to its end, at most 50 pages of it; the next run goes on.

    A busy helpdesk is left alone for as long as it asks. Raises Contention if another run reads the same listing.
    """
    done = Polled()
    if poll.wait_until is not None and here.now() < poll.wait_until:
        return replace(done, why=f"waits until {poll.wait_until}")
    while done.pages < MOST_PAGES and here.in_time():
        answer = here.ask(*url_and_query(door, poll.listing, poll.cursor), _headers(door, key))
        now = here.now()
        if isinstance(answer, Refused):
            return replace(done, why=answer.why, is_refused=True)
        if isinstance(answer, Busy):
            here.keep(replace(poll, wait_until=now + answer.wait, revision=poll.revision + 1))
            return replace(done, why=answer.why)
        try:
            page = read_page(door, poll.listing, answer.body, poll.cursor, now)
        except PayloadRefused as refused:
            return replace(done, why=str(refused), is_refused=True)
        here.put_facts([envelop(door.client, Party.CLIENT, now, fact) for fact in page.facts])
        here.park(page.refused)
        poll = replace(poll, cursor=page.cursor, wait_until=None, revision=poll.revision + 1)
        here.keep(poll)
        done = replace(
            done,
            pages=done.pages + 1,
            facts=done.facts + len(page.facts),
            refused=done.refused + len(page.refused),
        )
        if not page.has_more:
            return done
    return replace(done, why="the next run goes on")


def _headers(door: Door, key: str) -> dict[str, str]:
    scheme = SCHEMES[door.table.key_scheme]
    if not isinstance(scheme, Shared):
        raise TypeError(f"{door.system}: {door.table.key_scheme} is no scheme of a shared secret")
    sent = scheme.prefix + scheme.encode(key.encode()).decode("latin-1")
    return {scheme.header: sent, "accept": "application/json", "user-agent": "Solvent"}
