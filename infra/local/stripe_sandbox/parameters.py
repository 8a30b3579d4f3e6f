"""Request parameters, checked against the types that the SDK itself declares for them.

The SDK's `stripe.params` TypedDicts say which parameters an endpoint takes. Here they become pydantic-core schemas (the
validator behind pydantic's TypeAdapter) that forbid unknown fields, close the open enums, and leave out the request
options, which travel as headers. Form bodies carry text only, so integers and booleans are read from their text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Required, TypeAlias, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import stripe
from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, ValidationError, core_schema
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import is_typeddict

from infra.local.stripe_sandbox.errors import ParameterError

JsonObject: TypeAlias = dict[str, Any]

_INTEGER = re.compile(r"-?\d+")
_FORM_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_REQUEST_OPTIONS = frozenset(RequestOptions.__annotations__)
_CODES = {
    "missing": ("parameter_missing", "Missing required param: {param}."),
    "extra_forbidden": ("parameter_unknown", "Received unknown parameter: {param}"),
    "empty": ("parameter_invalid_empty", "You passed an empty string for '{param}', which cannot be unset."),
    "string_too_short": ("parameter_invalid_empty", "You passed an empty string for '{param}', which cannot be unset."),
    "invalid_integer": ("parameter_invalid_integer", "Invalid integer for {param}: {input}"),
    "int_type": ("parameter_invalid_integer", "Invalid integer for {param}: {input}"),
}


class Wire(StrEnum):
    """How a request carries its parameters: v1 as a form, v2 as JSON."""

    FORM = "form"
    JSON = "json"


def decode_form(text: str) -> JsonObject:
    """Nested parameters of a form body or query: `a[b]=c` is {"a": {"b": "c"}}, `a[0]=c` and `a[]=c` {"a": {"0": "c"}}.

    Whether {"0": ...} is a list is for the parameter's type to say. A repeated plain name keeps its last value.
    """
    decoded: JsonObject = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        matched = _FORM_KEY.fullmatch(name)
        if matched is None:
            raise ParameterError(f"Invalid parameter name: {name}", code="parameter_unknown", param=name)
        keys = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])]
        _place(decoded, keys, value, name)
    return decoded


def _place(target: JsonObject, keys: list[str], value: str, name: str) -> None:
    for key in keys[:-1]:
        target = target.setdefault(key or str(len(target)), {})
        if not isinstance(target, dict):
            raise ParameterError(f"Invalid object: {name}", code="parameter_invalid", param=name)
    target[keys[-1] or str(len(target))] = value


def validated(params_class: type, given: JsonObject, wire: Wire) -> JsonObject:
    """The parameters with their proper types, or a ParameterError that names the one at fault.

    Stripe gives no code for a wrong boolean or enum value; here it is `parameter_invalid`.
    """
    try:
        checked: JsonObject = _validator(params_class, wire).validate_python(given, strict=wire is Wire.JSON)
    except ValidationError as refused:
        raise _parameter_error(refused, given) from None
    return checked


@cache
def _validator(params_class: type, wire: Wire) -> SchemaValidator:
    return SchemaValidator(_fields_schema(params_class, wire))


def _fields_schema(params_class: type, wire: Wire) -> CoreSchema:
    hints = get_type_hints(
        params_class, localns={"Mapping": Mapping, "StripeContext": stripe.StripeContext}, include_extras=True
    )
    fields = {}
    options = _REQUEST_OPTIONS if _carries_request_options(params_class) else frozenset()
    for name, hint in hints.items():
        if name in options:
            continue
        optional = get_origin(hint) is NotRequired
        inner = get_args(hint)[0] if get_origin(hint) in (NotRequired, Required) else hint
        fields[name] = core_schema.typed_dict_field(_schema(inner, wire), required=not optional)
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid")


def _carries_request_options(params_class: type) -> bool:
    """Whether a v1 parameter class carries the request options beside its own fields (TypedDicts know no bases)."""
    return set(params_class.__annotations__) >= _REQUEST_OPTIONS


def _schema(hint: Any, wire: Wire) -> CoreSchema:  # noqa: ANN401 - a type hint has no narrower type
    origin, arguments = get_origin(hint), get_args(hint)
    if is_typeddict(hint):
        return _fields_schema(hint, wire)
    if origin in (Union, UnionType):
        return core_schema.union_schema([_schema(member, wire) for member in _closed(arguments)])
    if origin is Literal:
        return core_schema.literal_schema(list(arguments))
    if origin is list:
        items = core_schema.list_schema(_schema(arguments[0], wire))
        return core_schema.no_info_before_validator_function(_list_from_indexes, items) if wire is Wire.FORM else items
    if origin is dict:
        return core_schema.dict_schema(core_schema.str_schema(), core_schema.str_schema())
    return _scalar_schema(hint, wire)


def _closed(members: tuple[Any, ...]) -> list[Any]:
    """A union without the SDK's own object types, and without the `str` that leaves an enum open to future values."""
    values = {value for member in members if get_origin(member) is Literal for value in get_args(member)}
    kept = [member for member in members if get_origin(member) is not UntypedStripeObject]
    return [member for member in kept if member is not str] if values - {""} else kept


def _scalar_schema(hint: object, wire: Wire) -> CoreSchema:
    from_text = wire is Wire.FORM
    if hint is str:
        return core_schema.str_schema(min_length=1 if from_text else 0)
    if hint is NoneType:
        return core_schema.none_schema()
    if hint is Decimal:
        return core_schema.decimal_schema()
    if hint is int:
        whole = core_schema.int_schema(strict=True)
        return core_schema.no_info_before_validator_function(_integer_from_text, whole) if from_text else whole
    if hint is bool:
        truth = core_schema.bool_schema(strict=True)
        return core_schema.no_info_before_validator_function(_boolean_from_text, truth) if from_text else truth
    raise TypeError(f"no schema for the parameter type {hint!r}; add it to parameters.py")


def _integer_from_text(text: object) -> int:
    if text == "":
        raise PydanticCustomError("empty", "empty")
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise PydanticCustomError("invalid_integer", "not an integer")
    return int(text)


def _boolean_from_text(text: object) -> bool:
    if text not in ("true", "false"):
        raise PydanticCustomError("invalid_boolean", "must be true or false")
    return text == "true"


def _list_from_indexes(given: object) -> object:
    if isinstance(given, dict) and all(str(key).isdigit() for key in given):
        return [given[key] for key in sorted(given, key=int)]
    return given


def _parameter_error(refused: ValidationError, given: JsonObject) -> ParameterError:
    """The deepest complaint: in a union, the branch that understood most of what was sent."""
    complaints = [(_path(complaint["loc"], given), complaint) for complaint in refused.errors(include_url=False)]
    path, complaint = max(complaints, key=lambda pair: len(pair[0]))
    param = path[0] + "".join(f"[{step}]" for step in path[1:]) if path else ""
    code, sentence = _CODES.get(complaint["type"], ("parameter_invalid", "Invalid {param}: {reason}"))
    message = sentence.format(param=param, input=complaint["input"], reason=complaint["msg"])
    return ParameterError(message, code=code, param=param)


def _path(location: tuple[int | str, ...], given: JsonObject) -> list[str]:
    """The steps of a location that are names or indexes in the request; the rest are tags of union branches."""
    path: list[str] = []
    here: object = given
    for position, step in enumerate(location):
        last = position == len(location) - 1
        if isinstance(here, dict) and str(step) in here:
            here = here[str(step)]
        elif isinstance(here, list) and isinstance(step, int):
            here = here[step]
        elif not (last and isinstance(here, dict) and _is_field_name(step)):
            continue
        path.append(str(step))
    return path


def _is_field_name(step: int | str) -> bool:
    return isinstance(step, str) and step.isidentifier() and step == step.lower() and step not in {"int", "str", "bool"}
