"""What a helpdesk sends: bounded, strict JSON, the paths of values in it, and why it is refused. Pure."""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, NoReturn

from events.decode import FactRefused

MOST_BYTES = 256 * 1024
DEEPEST = 32
_LONGEST_INTEGER = 20
_LONGEST_NUMBER = 40
_HUGE_EXPONENT = re.compile(r"[eE][+-]?0*[1-9]\d{2}")


class Refusal(StrEnum):
    """Why a payload, or one item of it, is refused. The codes are told to senders and counted by."""

    UNAUTHENTICATED = "unauthenticated"
    STALE = "stale"
    OTHER_ACCOUNT = "other_account"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    TOO_DEEP = "too_deep"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    DUPLICATE_FIELD = "duplicate_field"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    WRONG_TYPE = "wrong_type"
    INCOMPLETE = "incomplete"
    MISSING = "missing"
    NOT_AN_ID = "not_an_id"
    NOT_A_TIME = "not_a_time"
    NO_TIME_ZONE = "no_time_zone"
    NOT_A_LABEL = "not_a_label"
    NOT_ON_SCALE = "not_on_scale"


# What is wrong and what to do, and the HTTP status that says so.
REASONS: Mapping[Refusal, tuple[int, str]] = {
    Refusal.UNAUTHENTICATED: (401, "not signed with this door's secret; check the secret, header and scheme"),
    Refusal.STALE: (401, "signed more than five minutes away from now; send it again, signed anew"),
    Refusal.OTHER_ACCOUNT: (404, "of another account than this door's; send it to that account's door"),
    Refusal.TOO_LARGE: (413, f"more than {MOST_BYTES} bytes; send fewer events at once"),
    Refusal.TOO_MANY: (413, "more events than are taken at once; send fewer"),
    Refusal.TOO_DEEP: (400, f"nested more than {DEEPEST} deep; leave the deep parts out"),
    Refusal.NOT_UTF8: (400, "not text in UTF-8; send it in that encoding"),
    Refusal.NOT_JSON: (400, "not JSON as RFC 8259 has it; check the body's template"),
    Refusal.DUPLICATE_FIELD: (400, "a field is there twice in one object; send it once"),
    Refusal.NUMBER_OUT_OF_RANGE: (400, "a number beyond 20 digits or an exponent beyond 99; send ids as texts"),
    Refusal.WRONG_TYPE: (422, "not of the type it should be; compare the payload with the system's documentation"),
    Refusal.INCOMPLETE: (422, "the event says that something changed but not what; send the ticket itself"),
    Refusal.MISSING: (422, "missing; name its path in `fields` of the door if it is somewhere else"),
    Refusal.NOT_AN_ID: (422, "not an id: letters, digits and . _ : / + = - only, at most 128 with the door's prefix"),
    Refusal.NOT_A_TIME: (422, "not a time from 1970 on, in RFC 3339 or seconds or milliseconds since 1970"),
    Refusal.NO_TIME_ZONE: (422, "a time without a zone; set `time_zone` of the door"),
    Refusal.NOT_A_LABEL: (422, "not a short label; list its value in `maps` of the door"),
    Refusal.NOT_ON_SCALE: (422, "not on the rating scale; set `rating` of the door"),
}


class PayloadRefused(FactRefused):
    """A request or an item of it that no fact can be read from; nothing of it is kept. Retrying does not help.

    `code` says why, `status` is the HTTP status for it, `paths` name what is wrong and never hold a value of the
    payload; `digest` is the SHA-256 of what was refused.
    """

    def __init__(self, code: Refusal, paths: tuple[str, ...], digest: str) -> None:
        self.status, reason = REASONS[code]
        super().__init__(reason, paths, digest)
        self.code = code


class Unreadable(Exception):
    """Caught where it is known what was being read; it never leaves `events.adapters`."""

    def __init__(self, code: Refusal, path: str = "") -> None:
        super().__init__(code, path)
        self.code = code
        self.path = path


# -- JSON --------------------------------------------------------------------------------------------------------------


def parse(body: bytes) -> object:
    """The JSON value in `body`; fractions stay the texts they were written as.

    Raises Unreadable for more than 256 KB, nesting beyond 32, anything but UTF-8, lone surrogates, fields given twice,
    NaN and the infinities, and numbers of more digits or a larger exponent than any system sends.
    """
    if len(body) > MOST_BYTES:
        raise Unreadable(Refusal.TOO_LARGE)
    try:
        document: object = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_constant,
        )
    except UnicodeDecodeError:
        raise Unreadable(Refusal.NOT_UTF8) from None
    except RecursionError:
        raise Unreadable(Refusal.TOO_DEEP) from None
    except ValueError:
        raise Unreadable(Refusal.NOT_JSON) from None
    _check(document)
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable(Refusal.DUPLICATE_FIELD)
    return fields


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise Unreadable(Refusal.NUMBER_OUT_OF_RANGE)
    return int(text)


def _fraction(text: str) -> str:
    if len(text) > _LONGEST_NUMBER or _HUGE_EXPONENT.search(text):
        raise Unreadable(Refusal.NUMBER_OUT_OF_RANGE)
    return text


def _constant(_: str) -> NoReturn:
    raise Unreadable(Refusal.NOT_JSON)


def _check(document: object) -> None:
    """Refuse what is nested too deep, and texts that no UTF-8 can hold."""
    level, depth = [document], 0
    while level:
        inner, is_nested = list[object](), False
        for value in level:
            if isinstance(value, str):
                if not value.isascii():
                    _check_text(value)
            elif isinstance(value, dict):
                is_nested = True
                inner += value
                inner += value.values()
            elif isinstance(value, list):
                is_nested = True
                inner += value
        depth += is_nested
        if depth > DEEPEST:
            raise Unreadable(Refusal.TOO_DEEP)
        level = inner


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unreadable(Refusal.NOT_UTF8) from None


# -- paths -------------------------------------------------------------------------------------------------------------

_Step = str | int | tuple[str, str] | None
_SEGMENT = re.compile(r"([^\[\].|]+)((?:\[[^\[\]]*\])*)")
_BRACKET = re.compile(r"\[(?:(-?\d{1,4})|([\w-]+)=([^\[\]]+)|)\]")


@lru_cache(maxsize=4096)
def parse_path(path: str) -> tuple[_Step, ...]:
    """The steps of a path such as `data.parts[-1].author.id`, `changelog.items[field=status].to` or `tags[].name`.

    `[n]` takes the n-th of a list (from the end if negative), `[name=value]` the last whose field has that value, and
    `[]` each of them. The empty path is the document itself. Raises ValueError for anything else.
    """
    steps: list[_Step] = []
    for segment in path.split(".") if path else ():
        found = _SEGMENT.fullmatch(segment)
        if found is None:
            raise ValueError(f"{path!r} is not a path such as data.parts[-1].author.id")
        steps.append(found[1])
        consumed = 0
        for bracket in _BRACKET.finditer(found[2]):
            consumed += len(bracket[0])
            index, name, value = bracket.groups()
            steps.append(int(index) if index else (name, value) if name else None)
        if consumed != len(found[2]):
            raise ValueError(f"{path!r} is not a path: between [ and ] stands an index, name=value or nothing")
    return tuple(steps)


def find(document: object, path: str) -> object:
    """The value at a path; None where there is none. A path with `[]` gives a list."""
    return _follow(document, parse_path(path))


def _follow(value: object, steps: tuple[_Step, ...]) -> object:
    for position, step in enumerate(steps):
        match step:
            case str():
                value = value.get(step) if isinstance(value, dict) else None
            case int():
                value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
            case (name, wanted):
                items: list[Any] = value if isinstance(value, list) else []
                named = (item for item in reversed(items) if isinstance(item, dict))
                value = next((item for item in named if text_of(item.get(name)) == wanted), None)
            case None:
                items = value if isinstance(value, list) else []
                return [_follow(item, steps[position + 1 :]) for item in items]
        if value is None:
            return None
    return value


def text_of(value: object) -> str:
    """A text, whole number or truth value as text; "" for anything else, and for what is not there."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value.strip()
        case int():
            return str(value)
        case _:
            return ""
