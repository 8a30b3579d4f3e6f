"""`dataclass`, made faster: a function imports a hundred records before it does anything, and then makes thousands.

The standard library compiles six methods for each frozen class. Here one is compiled, `__init__`, and the others are
closures over the fields: a class takes a third of the time, and making an instance half of it, since `__init__` sets
slots directly. What comes out is a dataclass like any other to `fields`, `replace`, `match`, `pickle` and pydantic, and
type checkers see the standard decorator.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from dataclasses import dataclass as standard_dataclass
from dataclasses import replace as standard_replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

__all__ = ["dataclass", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:  # noqa: ANN401  # as the standard one
        """The standard decorator, in its place: what is not `frozen=True, slots=True` (and `kw_only`) is left to it."""
        if set(options) - {"kw_only"} == {"frozen", "slots"} and all(options.values()):
            return lambda plain: _record(plain, kw_only="kw_only" in options)
        return standard_dataclass(cls, **options)

    def replace(record: Any, /, **changes: Any) -> Any:  # noqa: ANN401  # as the standard one
        """The standard function, in its place; what has fields that are not positional is left to it."""
        names, values_of = _POSITIONAL.get(type(record), (None, None))
        if names is None:
            return standard_replace(record, **changes)
        values = list(values_of(record))
        try:
            for name, value in changes.items():
                values[names.index(name)] = value
        except ValueError:
            return standard_replace(record, **changes)  # which says what is wrong
        return type(record)(*values)


_T = TypeVar("_T")
_Fields = Sequence[Field[Any]]
# Of each record whose fields are all positional: their names, and what reads them.
_POSITIONAL: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {}


def _record(plain: type[_T], *, kw_only: bool) -> type[_T]:
    """The class with slots and methods; those that it defines itself stay."""
    plain.__doc__ = plain.__doc__ or plain.__name__  # or the standard library writes one, which takes long
    record = standard_dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(plain)
    known = fields(record)  # type: ignore[arg-type]  # it is a dataclass now
    methods: dict[str, Callable[..., Any]] = {
        "__init__": _init(record, known),
        **_compared(known),
        **_frozen(record, known),
        "__repr__": _repr(known),
    }
    for name, method in methods.items():
        if name not in plain.__dict__ or plain.__dict__[name] is None:
            setattr(record, name, method)
    if len(known) > 1 and all(field.init and not field.kw_only for field in known):
        names = tuple(field.name for field in known)
        _POSITIONAL[record] = (names, attrgetter(*names))
    return record


def _init(record: type, known: _Fields) -> Callable[..., None]:
    """`__init__`: the only method whose code depends on the names of the fields."""
    scope: dict[str, Any] = {"_missing": MISSING}
    positional, by_name, lines = ["self"], list[str](), list[str]()
    for place, field in enumerate(known):
        name = field.name
        default, value = _default(field, place, scope)
        if field.init:
            (by_name if field.kw_only else positional).append(f"{name}={default}" if default else name)
            value = f"{name} if {name} is not _missing else {value}" if default == "_missing" else name
        if value:
            scope[f"_set{place}"] = getattr(record, name).__set__
            lines.append(f"_set{place}(self, {value})")
    if hasattr(record, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *by_name] if by_name else [])])
    code = f"def __init__({parameters}): {'; '.join(lines) or 'pass'}"
    exec(code, scope)  # noqa: S102  # names of fields, as in the standard library
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{record.__qualname__}.__init__"
    init.__annotations__ = {field.name: field.type for field in known if field.init} | {"return": None}
    return init


def _default(field: Field[Any], place: int, scope: dict[str, Any]) -> tuple[str, str]:
    """How a field's default is written as a parameter's, and as the value of a field without one; "" for none."""
    if field.default_factory is not MISSING:
        scope[f"_factory{place}"] = field.default_factory
        return "_missing", f"_factory{place}()"
    if field.default is not MISSING:
        scope[f"_default{place}"] = field.default
        return f"_default{place}", f"_default{place}"
    return "", ""


def _compared(known: _Fields) -> Mapping[str, Callable[..., Any]]:
    """Equal if of the same class with equal fields."""
    names = [field.name for field in known if field.compare]
    key: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def equal(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_(self: object) -> int:
        return hash(key(self))

    return {"__eq__": equal, "__hash__": hash_}


def _frozen(record: type, known: _Fields) -> Mapping[str, Callable[..., Any]]:
    """No field is set or deleted; copies and pickles put theirs into the slots."""
    names = [field.name for field in known]
    slots = [getattr(record, name) for name in names]

    def set_(_: object, name: str, __: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def delete(_: object, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def state(self: object) -> list[object]:
        return [getattr(self, name) for name in names]

    def restore(self: object, values: Sequence[object]) -> None:
        for slot, value in zip(slots, values, strict=True):
            slot.__set__(self, value)

    return {"__setattr__": set_, "__delattr__": delete, "__getstate__": state, "__setstate__": restore}


def _repr(known: _Fields) -> Callable[[object], str]:
    names = [field.name for field in known if field.repr]

    def repr_(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return repr_
