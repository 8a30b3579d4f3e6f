"""Every interleaving of several workers, one step at a time: nothing is sampled, and no thread is needed.

A step is one call to the outside: the store, the registry or Stripe, reads too. After each, any worker may be next; so
others get their turn between what a call did there and the caller's going on with its answer.

A worker keeps nothing but the answers it got. So it is taken up at any step by running it from its beginning with those
answers. Two schedules that lead to the same world, with the same answers given to every worker, go on alike: from there
they are followed once, and counted as often as they are. `Explored.schedules` is the number of all of them.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

# Not steps: they neither read nor write.
_NO_STEPS = {"pause"}


@dataclass(frozen=True)
class Outside:
    """What workers share, as they see it. A state of it never changes: each step makes another one."""

    store: Any
    registry: Any
    stripe: Any


def _short(thing: object) -> str:
    """What one reads of a step: fields that say nothing are left out."""
    if is_dataclass(thing) and not isinstance(thing, type):
        shown = {it.name: getattr(thing, it.name) for it in fields(thing)}
        return f"{type(thing).__name__}({', '.join(f'{name}={_short(it)}' for name, it in shown.items() if it)})"
    return str(thing)


@dataclass(frozen=True, eq=False)
class Call:
    """A worker's next step: what it calls of which part of the outside."""

    port: str
    name: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.port}.{self.name}({', '.join(_short(it) for it in self.args)})"

    def __call__(self, part: object) -> object:
        return getattr(part, self.name)(*self.args, **self.kwargs)


class Died(Exception):
    """What a fault raises for a worker that ends here; it is delivered again."""


class Gone(Exception):
    """What a fault raises for a worker that ends here, and never comes back."""


Worker = Callable[[Outside], object]
# Something that goes wrong with a call: what happens to that part of the outside, and what is answered or raised.
Fault = Callable[[Any], object]
Faults = Callable[[Call], Sequence[Fault]]


@dataclass
class Explored:
    """How many schedules there are, how many different states they pass, and the different worlds they end in."""

    schedules: int
    states: int
    ends: list[Outside]


def no_faults(_: Call) -> Sequence[Fault]:
    return ()


def explore(
    start: Outside,
    workers: Sequence[Worker],
    check: Callable[[Outside], None],
    faults: Faults = no_faults,
    most_faults: int = 0,
    again: tuple[type[Exception], ...] = (),
) -> Explored:
    """Every schedule of the workers, with at most so many faults in each; `check` looks at every world on the way.

    A worker that dies, or ends with an error of `again`, is delivered again: it starts from its beginning, until it
    ends without. Raises AssertionError if a schedule comes back to where it was, for then it need never end.
    """
    return _Exploration(check, faults).run(start, [Place(worker, again) for worker in workers], most_faults)


def calls_of(start: Outside, worker: Worker) -> list[Call]:
    """Every call that a worker makes if it is alone and nothing fails."""
    place, world, calls = Place(worker), start, list[Call]()
    while place.call is not None:
        calls.append(place.call)
        part = copied(getattr(world, place.call.port))
        world, answer = replace(world, **{place.call.port: part}), answered(place.call, part)
        place = place.after(answer, 0)
    return calls


# -- a worker's place --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raised:
    """An answer that is an error."""

    error: Exception


@dataclass(frozen=True)
class _Many:
    """What an iterator yielded, to be iterated again."""

    items: tuple[object, ...]


def answered(act: Fault, part: object) -> object:
    """The answer to a call: what it returned, or the error that it raised."""
    try:
        answer = act(part)
    except Exception as error:  # noqa: BLE001  # every error is an answer to whoever called
        return Raised(error)
    return _Many(tuple(answer)) if isinstance(answer, Iterator) else answer


class _Paused(BaseException):
    """The worker comes to a call that has no answer yet. No use case may catch it."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.call = call


class _Tape:
    """The answers that a worker got before, then a pause."""

    def __init__(self, answers: Sequence[object]) -> None:
        self._answers = iter(answers)

    def answer(self, call: Call) -> object:
        try:
            answer = next(self._answers)
        except StopIteration:
            raise _Paused(call) from None
        if isinstance(answer, Raised):
            raise answer.error.with_traceback(None)  # or it would grow with every raise
        return iter(answer.items) if isinstance(answer, _Many) else answer


class _Port:
    def __init__(self, tape: _Tape, port: str) -> None:
        self._tape, self._port = tape, port

    def __getattr__(self, name: str) -> Callable[..., object]:
        if name in _NO_STEPS:
            return lambda *_: None
        return lambda *args, **kwargs: self._tape.answer(Call(self._port, name, args, kwargs))


class Place:
    """How far a worker came: the call that it makes next, None at its end. It follows from the answers it got."""

    def __init__(
        self, worker: Worker, again: tuple[type[Exception], ...] = (), answers: tuple[object, ...] = ()
    ) -> None:
        self._worker, self._again, self._answers = worker, again, answers
        self._next: dict[int, Place] = {}
        self.call: Call | None = None
        last = answers[-1].error if answers and isinstance(answers[-1], Raised) else None
        self.is_to_be_repeated = isinstance(last, Died)
        if not isinstance(last, Died | Gone):
            self._run()

    def _run(self) -> None:
        tape = _Tape(self._answers)
        try:
            self._worker(Outside(*(_Port(tape, part.name) for part in fields(Outside))))
        except _Paused as paused:
            self.call = paused.call
        except self._again:
            self.is_to_be_repeated = True

    def after(self, answer: object, number: int) -> "Place":
        """The place once it got an answer; equal answers have equal numbers."""
        found = self._next.get(number)
        if found is None:
            found = self._next[number] = Place(self._worker, self._again, (*self._answers, answer))
        return found


# -- the search --------------------------------------------------------------------------------------------------------


class _Exploration:
    """Each part of a world is kept once per content, and each place once per answers: equal ones are the same."""

    def __init__(self, check: Callable[[Outside], None], faults: Faults) -> None:
        self._check, self._faults = check, faults
        self._numbers = _Numbers()
        self._parts: dict[Hashable, object] = {}
        self._done: dict[tuple[int, int, int], tuple[object, object]] = {}
        self._counted: dict[tuple[int, ...], int] = {}
        self._worlds: set[tuple[int, ...]] = set()
        self._ends: dict[tuple[int, ...], Outside] = {}
        self._way: list[tuple[int, Call | None, object]] = []

    def run(self, start: Outside, places: Sequence[Place], most_faults: int) -> Explored:
        world = Outside(*(self._kept(getattr(start, part.name)) for part in fields(Outside)))
        schedules = self._count(world, tuple(places), tuple(places), most_faults)
        return Explored(schedules, len(self._counted), list(self._ends.values()))

    def _count(self, world: Outside, first: tuple[Place, ...], places: tuple[Place, ...], faults_left: int) -> int:
        """The number of schedules from here on."""
        known = (id(world.store), id(world.registry), id(world.stripe))
        key = (*known, faults_left, *map(id, places))
        counted = self._counted.get(key)
        if counted is not None:
            assert counted, "a schedule that need never end"
            return counted
        self._counted[key] = 0
        if known not in self._worlds:
            self._worlds.add(known)
            self._look_at(world)
        total = 0
        for number, place in enumerate(places):
            for after, there, left, answer in self._steps(world, first[number], place, faults_left):
                self._way.append((number, place.call, answer))
                total += self._count(after, first, (*places[:number], there, *places[number + 1 :]), left)
                self._way.pop()
        if not any(place.call for place in places):
            self._ends[known], total = world, 1
        self._counted[key] = total
        return total

    def _look_at(self, world: Outside) -> None:
        try:
            self._check(world)
        except AssertionError as broken:
            way = (f"worker {number}: {call} -> {_short(answer)}" for number, call, answer in self._way)
            broken.add_note("\n".join(["after this schedule:", *way]))
            raise

    def _steps(
        self, world: Outside, first: Place, place: Place, faults_left: int
    ) -> Iterator[tuple[Outside, Place, int, object]]:
        call = place.call
        if call is None:
            return
        acts: list[Fault] = [call, *(self._faults(call) if faults_left else ())]
        for number, act in enumerate(acts):
            part = getattr(world, call.port)
            key = (id(part), id(place), number)
            if key not in self._done:
                changed = copied(part)
                answer = answered(act, changed)
                self._done[key] = (self._kept(changed), answer)
            after, answer = self._done[key]
            there = place.after(answer, self._numbers.of(answer))
            now = first if there.is_to_be_repeated else there
            yield replace(world, **{call.port: after}), now, faults_left - min(number, 1), answer

    def _kept(self, part: object) -> object:
        return self._parts.setdefault(self._numbers.content(part), part)


class _Numbers:
    """Small numbers for what is equal, so that states are compared quickly; each object is looked into once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, int]] = {}
        self._numbers: dict[Hashable, int] = {}

    def of(self, thing: object) -> int:
        known = self._known.get(id(thing))
        if known is None:
            number = self._numbers.setdefault(self.content(thing), len(self._numbers))
            known = self._known[id(thing)] = (thing, number)  # keeps `thing`, so that its id is not used again
        return known[1]

    def content(self, thing: object) -> Hashable:
        """What makes a thing equal to another."""
        if isinstance(thing, Raised):
            return type(thing.error), str(thing.error)
        if isinstance(thing, dict):
            return frozenset((key, self._field(value)) for key, value in thing.items())
        if isinstance(thing, set):
            return frozenset(thing)
        if isinstance(thing, list | tuple):
            return type(thing), tuple(self.of(item) for item in thing)
        if is_dataclass(thing) and type(thing).__hash__ is None:
            return tuple(self._field(getattr(thing, it.name)) for it in fields(thing))
        return type(thing), thing if _is_hashable(thing) else repr(thing)

    def _field(self, value: object) -> Hashable:
        """Containers of a double are copied with it: they are looked into, and not kept."""
        return self.content(value) if isinstance(value, dict | set | list) else self.of(value)


def _is_hashable(thing: object) -> bool:
    """Whether all of it is: a frozen dataclass may hold something that is not."""
    try:
        hash(thing)
    except TypeError:
        return False
    return True


def copied(double: Any) -> Any:  # noqa: ANN401  # any of the doubles
    """A double that may go on without the other; what it holds does not change, so only its containers are copied."""
    return replace(double, **{it.name: _copied(getattr(double, it.name)) for it in fields(double)})


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value.copy() if isinstance(value, list | set) else value
