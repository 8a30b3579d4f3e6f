"""Crash points: every call of every scene goes wrong in every way, and whoever comes next has to mend it.

Which calls there are is found by playing a scene, never listed. A process that dies leaves nothing but what it wrote,
so that all deaths between two writes are one world: it is recovered from once, and that counts for each of them.
"""

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from random import Random
from typing import Any

from events.facts import format_instant
from tests.simulation.crashes_of_files import WRITERS, try_files
from tests.simulation.faults import Faults
from tests.simulation.invariants import Checker
from tests.simulation.scenes import Scene, rehearsed
from tests.simulation.simulation import Violation
from tests.simulation.stage import RIVAL_COMES_AFTER, Event, Stage, triggers_of
from tests.simulation.tried import Tried

# What goes wrong with a call and leaves its worker alive: the first of `kinds` (faults.py) that the call knows, and how
# many of the SDK's own tries after that fail as well.
_OFTEN = 8
_LOST = ("lost_answer", "drop_after_commit")
_WAYS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "is refused": (("drop_before",), _OFTEN),
    "is done in part": (("partial", "short_page"), 0),
}
_WAYS_OF_A_WRITE: Mapping[str, tuple[tuple[str, ...], int]] = {
    "is done without an answer": (_LOST, _OFTEN),
    "is done twice": (_LOST, 0),
}
_READS = re.compile(r"\w+\.(Get|BatchGet|Query|Scan|Describe|List)|stripe\.get ")
_DELIVERIES = 8
_SHOWN = 200


def crash_points(workers: int, workflow: str = "") -> Iterator[Tried]:
    """Every point of every workflow, or of one, spread over so many processes; scenes come as they are done."""
    scenes = sorted(rehearsed(), key=lambda scene: -scene.calls)
    jobs = [partial(try_scene, scene) for scene in scenes if workflow in {"", scene.function}]
    jobs += [partial(try_files, name) for name in WRITERS if workflow in {"", name}]
    if workers <= 1:
        yield from map(_do, jobs)
        return
    with get_context("spawn").Pool(workers, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from pool.imap_unordered(_do, jobs)


def _do(job: Callable[[], Tried]) -> Tried:
    return job()


def try_scene(scene: Scene, *, only_deaths: bool = False) -> Tried:
    """Every point of a scene; without those at which the worker lives on, if only deaths are asked for."""
    stage = TrialStage(0, 1, 0)
    with stage.installed():
        return Trial(stage, scene).run(only_deaths=only_deaths)


# -- one call goes wrong -----------------------------------------------------------------------------------------------


@dataclass
class _OneFault(Faults):
    """Lets the call of a number go wrong; `made` are the calls so far, with the kinds that each knows."""

    at: int | None = None
    kind: str = ""
    again: int = 0
    made: list[tuple[str, Sequence[str]]] = field(default_factory=list)
    after: Callable[[str], None] = lambda _call: None
    _same: str = ""

    def arm(self, at: int | None = None, kind: str = "", again: int = 0) -> None:
        """From now on calls are counted from 0; None for no fault."""
        self.at, self.kind, self.again, self.made, self._same = at, kind, again, [], ""
        self.rng = Random(0)  # noqa: S311  # no secret

    def around(self, call: str, kinds: Sequence[str], apply: Callable[[str], Any]) -> Any:  # noqa: ANN401  # as its base
        answer = super().around(call, kinds, apply)
        self.after(call)
        return answer

    def _draw(self, call: str, kinds: Sequence[str]) -> str:
        self.made.append((call, kinds))
        if len(self.made) - 1 == self.at:
            self._same = call
            return self.kind
        if call == self._same and self.again:
            self.again -= 1
            return "drop_before"
        self._same = ""
        return ""


@dataclass
class Passage:
    """An invocation in which nothing went wrong: its calls, and around each of them the numbers of two `worlds`."""

    calls: list[tuple[str, Sequence[str]]]
    worlds: list[bytes]
    moments: list[tuple[int, int]]
    left: Event | None


class TrialStage(Stage):
    """A stage on which one call may go wrong, and nobody hears of webhooks: what they lead to has scenes of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.faults = self.cloud.faults = self.fault = _OneFault(self.rng)

    def _hear_webhook(self, event: dict[str, Any]) -> None:
        """It is not delivered."""

    def begin(self, scene: Scene, at: int | None = None, kind: str = "", again: int = 0) -> None:
        """Set up a scene in which the call of that number is to go wrong; none for None."""
        self.set_up(scene.world, scene.now)
        self.fault.arm(at, kind, again)

    def pass_through(self, scene: Scene) -> Passage:
        """Play a scene; after each call that may write, the world is kept."""
        worlds, moments = [scene.world], list[tuple[int, int]]()

        def after(call: str) -> None:
            before = len(worlds) - 1
            if not _READS.match(call):
                worlds.append(self.saved())
            moments.append((before, len(worlds) - 1))

        self.begin(scene)
        self.fault.after = after
        left = left_of(scene.event, self.play(scene.function, scene.event))
        self.fault.after = lambda _call: None
        return Passage(self.fault.made[:], worlds, moments, left)


# -- a scene, undisturbed and disturbed --------------------------------------------------------------------------------


class Trial:
    """Plays a scene undisturbed, then once for each point; what is recovered from is remembered by its world."""

    def __init__(self, stage: TrialStage, scene: Scene) -> None:
        self._stage, self._scene = stage, scene
        self._at = datetime.fromisoformat(scene.event["time"]) if "time" in scene.event else scene.now
        self._rival = rival_of(scene.event)
        self._after_rival: dict[str, bytes] = {}
        self._ends: dict[tuple[str, tuple[str, ...] | None], str] = {}
        self._goal = ""
        self._wanted: dict[str, Counter[str]] | None = None
        self._tried = Tried(scene.function)

    def run(self, *, only_deaths: bool) -> Tried:
        try:
            passed = self._stage.pass_through(self._scene)
        except Violation as violation:
            self._fail("nothing goes wrong", str(violation))
            return self._tried
        self._tried.calls = len(passed.calls)
        self._note("nothing goes wrong", partial(self._come_to_rest, passed.left))
        for number, (call, kinds) in enumerate(passed.calls):
            what = f"call {number} ({call})"
            worlds = [passed.worlds[place] for place in passed.moments[number]]
            for end, world in zip(("before", "after"), worlds, strict=True):
                self._recover(f"its worker dies {end} {what}", world, self._scene.event)
            if not only_deaths:
                ways = _WAYS if _READS.match(call) else {**_WAYS, **_WAYS_OF_A_WRITE}
                for way, (wanted, again) in ways.items():
                    if kind := next((it for it in wanted if it in kinds), None):
                        self._disturb(f"{what} {way}", number, kind, again)
                self._note(f"a rival comes before {what}", partial(self._overtaken, number, worlds[0]))
        return self._tried

    def _play(self, event: Event) -> Event | None:
        """What is to be delivered again."""
        return left_of(event, self._stage.play(self._scene.function, event))

    def _disturb(self, what: str, number: int, kind: str, again: int) -> None:
        self._stage.begin(self._scene, number, kind, again)
        try:
            left = self._play(self._scene.event)
        except Violation as violation:
            self._fail(what, str(violation))
        else:
            self._stage.fault.arm()
            self._recover(what, self._stage.saved(), left)

    def _overtaken(self, number: int, world: bytes) -> str:
        """A rival does everything between two calls of a worker, who then goes on."""
        self._stage.set_up(world, self._scene.now)
        self._let_rival_work()
        after_rival = self._stage.saved()
        self._stage.fault.rival = partial(self._stage.set_up, after_rival, self._scene.now)
        self._stage.begin(self._scene, number, "rival")
        left = self._play(self._scene.event)
        self._stage.fault.arm()
        return self._come_to_rest(left)

    def _recover(self, what: str, world: bytes, left: Event | None) -> None:
        """What is left is delivered again; or a rival comes before that."""
        for how in ("", ", then a rival comes"):
            self._note(what + how, partial(self._recovered, world, left, by_rival=bool(how)))

    def _recovered(self, world: bytes, left: Event | None, *, by_rival: bool) -> str:
        self._stage.set_up(world, self._scene.now)
        if by_rival:
            self._let_rival_work()
        return self._come_to_rest(left)

    def _let_rival_work(self) -> None:
        mark = self._stage.mark()
        if mark in self._after_rival:
            self._stage.set_up(self._after_rival[mark], self._scene.now)
            return
        self._stage.play(self._scene.function, self._rival)
        self._after_rival[mark] = self._stage.saved()

    def _come_to_rest(self, left: Event | None) -> str:
        """Deliver again until nothing is left, or nothing changes any more; what is wrong then."""
        passed: list[tuple[str, tuple[str, ...] | None]] = []
        problem = f"something is left after {_DELIVERIES} deliveries"
        for _ in range(_DELIVERIES):
            here = (self._stage.mark(), _messages(left))
            if here in self._ends or left is None or here in passed:
                problem = self._ends[here] if here in self._ends else self._verdict(here[0])
                passed.append(here)
                break
            passed.append(here)
            is_as_a_rival_does, left = left == self._rival, self._play(left)
            if is_as_a_rival_does:
                self._after_rival[here[0]] = self._stage.saved()
        self._ends |= dict.fromkeys(passed, problem)
        return problem

    def _verdict(self, mark: str) -> str:
        """What is wrong with the world: it has to be what it is if nothing goes wrong, and every invariant to hold."""
        if mark == self._goal:
            return ""
        seen = self._stage.seen(triggers_of(self._scene.event, self._scene.now))
        if self._wanted is None:
            self._goal, self._wanted = mark, seen
        Checker()(self._stage, False)
        for kind, things in self._wanted.items():
            if things != seen[kind]:
                missing, more = (next(iter(it), "nothing") for it in (things - seen[kind], seen[kind] - things))
                return f"{kind} has {more[:_SHOWN]}, not {missing[:_SHOWN]}"
        return ""

    def _note(self, what: str, end: Callable[[], str]) -> None:
        """One point more, and whether it ended well."""
        self._tried.points += 1
        try:
            problem = end()
        except Violation as violation:
            problem = f"{violation} {violation.__cause__ or ''}"
        if problem:
            self._fail(what, problem)

    def _fail(self, what: str, problem: str) -> None:
        self._tried.failed.append(f"{self._scene.function} of {self._at:%Y-%m-%d %H:%M}, {what}: {problem}")


# -- how functions are called again ------------------------------------------------------------------------------------


def left_of(event: Event, answer: Mapping[str, Any] | None) -> Event | None:
    """What the function is called with again once it answered so, None for an error; None for nothing."""
    if answer is None or "time" in event:  # a schedule comes again whatever was answered
        return repeated(event, "again")
    if "Records" in event:
        failed = {it["itemIdentifier"] for it in answer.get("batchItemFailures", ())}
        records = [record for record in event["Records"] if record.get("messageId") in failed]
        return {**event, "Records": records} if records else None
    return None if answer["statusCode"] < 300 else repeated(event, "again")


def repeated(event: Event, by: str) -> Event:
    """A call of the API as its caller sends it again a second later, with the same key; any other event as it is."""
    if "routeKey" not in event:
        return event
    at = event["requestContext"]["timeEpoch"] // 60_000 * 60_000 + int(RIVAL_COMES_AFTER.total_seconds() * 1000)
    return {**event, "requestContext": {**event["requestContext"], "timeEpoch": at, "requestId": by}}


def rival_of(event: Event) -> Event:
    """With what another worker is called meanwhile: a trigger of its own, or the same messages or call."""
    if "time" in event:
        later = datetime.fromisoformat(event["time"]) + RIVAL_COMES_AFTER
        return {**event, "time": format_instant(later)}
    return repeated(event, "rival")


def _messages(event: Event | None) -> tuple[str, ...] | None:
    if event is not None and "routeKey" in event:
        return (event["requestContext"]["requestId"],)
    return None if event is None else tuple(record.get("messageId", "") for record in event.get("Records", ()))
