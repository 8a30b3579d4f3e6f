"""The faster `dataclass` keeps every promise of the standard one."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from ledger import records


def make(dataclass: Callable[..., Any]) -> dict[str, Any]:
    """The same classes by one decorator or the other."""

    @dataclass(frozen=True, slots=True)
    class Point:
        """A place."""

        x: int
        y: int = 2
        tags: list[str] = dataclasses.field(default_factory=list)
        note: str = dataclasses.field(default="", compare=False, repr=False)
        total: int = dataclasses.field(init=False)
        kind: ClassVar[str] = "point"

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("x is below 0")
            object.__setattr__(self, "total", self.x + self.y)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Named:
        type: Literal["named"] = "named"
        name: str

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Titled(Named):
        title: str = dataclasses.field(init=False, default="none")
        marks: tuple[int, ...] = dataclasses.field(init=False, default_factory=tuple)
        owner: Any = None

        def __repr__(self) -> str:
            return f"<{self.name}>"

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @dataclass(frozen=True, slots=True)
    class One:
        only: tuple[str, ...]

    return {"Point": Point, "Named": Named, "Titled": Titled, "Nothing": Nothing, "One": One}


STANDARD, FAST = make(dataclasses.dataclass), make(records.dataclass)


@dataclasses.dataclass(frozen=True, slots=True)
class StandardPair:
    """At the top of a module, where pickle finds it."""

    left: int
    right: tuple[int, ...] = ()


@records.dataclass(frozen=True, slots=True)
class FastPair:
    """The same."""

    left: int
    right: tuple[int, ...] = ()


BUILT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "positions": lambda of: of["Point"](1, 3),
    "names and a default": lambda of: of["Point"](x=1, note="here"),
    "a factory's value": lambda of: of["Point"](4, tags=["a"]),
    "refused by __post_init__": lambda of: of["Point"](-1),
    "a field missing": lambda of: of["Point"](),
    "a field too many": lambda of: of["Nothing"](1),
    "a field that is not given": lambda of: of["Titled"](name="n", title="t"),
    "a name where names are asked": lambda of: of["Named"]("n"),
    "inherited fields": lambda of: of["Titled"](name="n", owner=3),
    "no fields": lambda of: of["Nothing"](),
    "one field": lambda of: of["One"](("a",)),
}


def shown(build: Callable[[dict[str, Any]], Any], classes: dict[str, Any]) -> object:
    """What became of it: its fields as text, or the error."""
    try:
        made = build(classes)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    values = [getattr(made, it.name) for it in dataclasses.fields(made)]
    return repr(made), values, [it.name for it in dataclasses.fields(made)]


def parameters(kind: Callable[..., Any]) -> list[tuple[str, object]]:
    """The names of an __init__'s parameters, and how each may be given."""
    return [(it.name, it.kind) for it in inspect.signature(kind).parameters.values()]


@pytest.mark.parametrize("how", BUILT)
def test_an_instance_is_made_or_refused_as_by_the_standard_dataclass(how: str) -> None:
    assert shown(BUILT[how], FAST) == shown(BUILT[how], STANDARD)


@pytest.mark.parametrize("name", STANDARD)
def test_a_class_says_the_same_about_itself(name: str) -> None:
    standard, fast = STANDARD[name], FAST[name]
    assert parameters(fast) == parameters(standard)
    assert fast.__match_args__ == standard.__match_args__
    assert fast.__slots__ == standard.__slots__
    assert inspect.get_annotations(fast.__init__) == inspect.get_annotations(standard.__init__)
    assert fast.__init__.__qualname__ == standard.__init__.__qualname__
    assert dataclasses.is_dataclass(fast)


def test_a_docstring_stays_and_a_missing_one_is_the_name() -> None:
    assert (FAST["Point"].__doc__, FAST["Nothing"].__doc__) == ("A place.", "Nothing")


@pytest.mark.parametrize("classes", [STANDARD, FAST], ids=["standard", "fast"])
def test_equal_fields_of_one_class_make_equals_with_equal_hashes(classes: dict[str, Any]) -> None:
    one, same, other = classes["One"](("a",)), classes["One"](("a",)), classes["One"](("b",))
    assert (one == same, one == other, hash(one) == hash(same)) == (True, False, True)
    assert classes["Nothing"]() == classes["Nothing"]()
    assert hash(classes["Nothing"]()) == hash(classes["Nothing"]())
    assert classes["Named"](name="n") != classes["Titled"](name="n")
    assert one.__eq__(3) is NotImplemented
    assert classes["Point"](1, note="a") == classes["Point"](1, note="b")
    with pytest.raises(TypeError, match="unhashable"):
        hash(classes["Point"](1))


@pytest.mark.parametrize("classes", [STANDARD, FAST], ids=["standard", "fast"])
def test_no_field_is_set_or_deleted(classes: dict[str, Any]) -> None:
    point = classes["Point"](1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    assert point.x == 1


@pytest.mark.parametrize("classes", [STANDARD, FAST], ids=["standard", "fast"])
def test_a_replacement_is_made_and_checked_like_any_other(classes: dict[str, Any]) -> None:
    changed = dataclasses.replace(classes["Point"](1, 5, note="kept"), x=2)
    assert (changed.x, changed.y, changed.note, changed.total) == (2, 5, "kept", 7)
    with pytest.raises(ValueError, match="below 0"):
        dataclasses.replace(changed, x=-1)


REPLACED: dict[str, Callable[[dict[str, Any], Callable[..., Any]], Any]] = {
    "some fields": lambda of, replace: replace(of["Pair"](1, (2,)), left=3),
    "all fields": lambda of, replace: replace(of["Pair"](1, (2,)), right=(4,), left=3),
    "no field": lambda of, replace: replace(of["Pair"](1, (2,))),
    "the only field": lambda of, replace: replace(of["One"](("a",)), only=("b",)),
    "an unknown field": lambda of, replace: replace(of["Pair"](1), middle=2),
    "a field that is not given": lambda of, replace: replace(of["Point"](1, 5, note="kept"), x=2),
    "fields given by name": lambda of, replace: replace(of["Named"](name="n"), name="m"),
    "refused by __post_init__": lambda of, replace: replace(of["Point"](1), x=-1),
}


@pytest.mark.parametrize("how", REPLACED)
def test_replace_gives_or_refuses_what_the_standard_one_does(how: str) -> None:
    def replaced(of: dict[str, Any], replace: Callable[..., Any]) -> object:
        named = shown(lambda classes: REPLACED[how](classes, replace), of)
        return repr(named).replace("FastPair", "Pair").replace("StandardPair", "Pair")

    fast, standard = FAST | {"Pair": FastPair}, STANDARD | {"Pair": StandardPair}
    assert replaced(fast, records.replace) == replaced(standard, dataclasses.replace)


def test_each_instance_has_a_factorys_value_of_its_own() -> None:
    assert FAST["Point"](1).tags is not FAST["Point"](1).tags


@pytest.mark.parametrize("kind", [StandardPair, FastPair])
def test_a_copy_and_a_pickle_are_equal(kind: Callable[..., Any]) -> None:
    pair = kind(1, (2, 3))
    again: object = pickle.loads(pickle.dumps(pair))  # noqa: S301  # our own
    assert [copy.copy(pair), copy.deepcopy(pair), again] == [pair] * 3


def test_match_takes_an_instance_apart() -> None:
    match FastPair(1, (2,)):
        case FastPair(left, right):
            assert (left, right) == (1, (2,))
        case _:
            pytest.fail("it has no __match_args__")


def test_pydantic_reads_checks_and_writes_it() -> None:
    pairs = TypeAdapter(FastPair)
    assert pairs.validate_json('{"left": 1, "right": [2]}') == FastPair(1, (2,))
    assert pairs.dump_json(FastPair(1, (2,))) == b'{"left":1,"right":[2]}'
    with pytest.raises(ValidationError, match="left"):
        pairs.validate_json('{"left": "one"}')
    with pytest.raises(ValidationError, match="x is below 0"):
        TypeAdapter(FAST["Point"]).validate_python({"x": -1})


@pytest.mark.parametrize(
    "options", [{}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True, "order": True}]
)
def test_other_forms_are_left_to_the_standard_decorator(options: dict[str, bool]) -> None:
    class Plain:
        a: int

    Plain.__annotations__ = {"a": int}
    made: Any = records.dataclass(**options)(Plain)
    assert made.__dataclass_params__.frozen == options.get("frozen", False)
    assert ("__lt__" in vars(made)) == options.get("order", False)
    assert repr(made(1)).endswith("Plain(a=1)")


def test_the_bare_decorator_is_the_standard_one() -> None:
    @records.dataclass
    class Plain:
        a: int = 1

    plain = Plain()
    plain.a = 2
    assert plain == Plain(2)
