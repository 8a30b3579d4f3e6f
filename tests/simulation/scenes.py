"""Invocations of functions, taken from a history without faults: together they show all that functions do in it."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.simulation.aws import Cloud
from tests.simulation.faults import Faults
from tests.simulation.simulation import ENOUGH, STACK
from tests.simulation.stage import Event, Stage, items_of
from tests.simulation.world import SCALES

SEED, RESOLUTIONS = 10, 100
# A scene costs as much as its calls, and this many besides.
_CALLS_OF_A_SCENE = 10
_TABLE = re.compile(rb'"%s-([a-z-]+)"' % STACK.encode())
Shown = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A function is about to be called with an event, in a world that was saved; it will make so many calls.

    `shows` is what there is to see: which call follows which, with the tables it names, and the entries' reasons.
    """

    function: str
    event: Event
    now: datetime
    world: bytes
    calls: int
    shows: Shown


@dataclass
class _Listening(Faults):
    """No fault at all: it notes the calls of an invocation."""

    cloud: Cloud | None = None
    heard: list[str] = field(default_factory=list)

    def _draw(self, call: str, kinds: object) -> str:  # noqa: ARG002  # nothing goes wrong
        asked = self.cloud.asked if self.cloud and call.startswith("dynamodb") else b""
        tables = sorted({found.decode() for found in _TABLE.findall(asked)})
        self.heard.append(" ".join([call, *tables]))
        return ""


class _Rehearsal(Stage):
    """Plays a history, and keeps the invocations that show what none of their function showed before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.faults = self.cloud.faults = self.listening = _Listening(self.faults.rng, cloud=self.cloud)
        self.scenes: dict[str, list[Scene]] = defaultdict(list)
        self._shown: dict[str, set[tuple[str, ...]]] = defaultdict(set)

    def _call(self, function: str, event: Event) -> dict[str, Any] | None:
        world, before = self.saved(), _reasons()
        self.listening.heard = []
        answer = super()._call(function, event)
        calls = self.listening.heard
        posted = {("posted", reason) for entry, reason in _reasons().items() if entry not in before}
        shows = frozenset({*pairwise(["begins", *calls, "ends"]), *posted})
        if shows - self._shown[function]:
            self._shown[function] |= shows
            self.scenes[function].append(Scene(function, event, self.now, world, len(calls), shows))
        return answer

    def _top_up(self) -> None:
        """With too little money it would matter which payout comes first."""
        self._top_up_by(dict.fromkeys(SCALES, ENOUGH))

    def _come_to_rest(self) -> None:
        super()._come_to_rest()
        for function, events in _OF_STREAMS.items():
            for event in events():
                self.invoke(function, event)


def _reasons() -> dict[str, str]:
    """The reason of each entry, by its id."""
    return {item["id"]["S"]: item["reason"]["S"] for item in items_of("ledger")}


# -- streams: the history does not play them, so that functions which hear them are called at its end ------------------


def _announcements() -> Iterator[Event]:
    records = [{"eventName": "INSERT", "dynamodb": {"NewImage": item}} for item in items_of("announcements")]
    yield from ({"Records": part} for part in (records[:1], records))


def _tampering() -> Iterator[Event]:
    keys = {"book_shard": {"S": "platform#1"}, "seq": {"N": "1"}}
    yield {"Records": [{"eventName": "MODIFY", "dynamodb": {"Keys": keys}}]}


_OF_STREAMS: Mapping[str, Callable[[], Iterator[Event]]] = {"announce": _announcements, "watch_ledger": _tampering}


def rehearsed() -> list[Scene]:
    """Few scenes of each function that show all that any of its invocations in the history showed."""
    history = _Rehearsal(SEED, RESOLUTIONS, 0)
    history.run()
    return [scene for function in sorted(history.scenes) for scene in _fewest(history.scenes[function])]


def _fewest(scenes: list[Scene]) -> Iterator[Scene]:
    left = set[tuple[str, ...]]().union(*(scene.shows for scene in scenes))
    while left:
        best = max(scenes, key=lambda scene: len(scene.shows & left) / (scene.calls + _CALLS_OF_A_SCENE))
        left -= best.shows
        yield best
