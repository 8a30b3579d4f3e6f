"""Bodies at the edge of what is taken, and beyond; and that nothing but a typed refusal ever comes of any body."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.adapters.payloads import DEEPEST, MOST_BYTES, PayloadRefused, Refusal, Unreadable, find, parse, parse_path
from events.adapters.systems import SYSTEMS, System
from events.adapters.webhooks import Reading, read_webhook
from events.decode import FactRefused, decode, envelop
from events.facts import Party
from tests.ticketing import HELPDESKS, NOW, SECRET, Helpdesk, Json, a_door, request


def nested(depth: int, open_: str = "[", close: str = "]") -> bytes:
    return (open_ * depth + close * depth).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b" " * (MOST_BYTES + 1), Refusal.TOO_LARGE),
        (nested(DEEPEST + 1), Refusal.TOO_DEEP),
        (nested(DEEPEST + 1, '{"a":', "}").replace(b":}", b":1}"), Refusal.TOO_DEEP),
        (nested(100_000), Refusal.TOO_DEEP),
        (b"\xff\xfe{\x00}\x00", Refusal.NOT_UTF8),
        ('{"a": "\u00e9"}'.encode("latin-1"), Refusal.NOT_UTF8),
        (rb'{"a": "\ud800"}', Refusal.NOT_UTF8),
        (rb'{"\udfff": 1}', Refusal.NOT_UTF8),
        ("\ufeff{}".encode(), Refusal.NOT_JSON),
        (b"", Refusal.NOT_JSON),
        (b"{", Refusal.NOT_JSON),
        (b"{'a': 1}", Refusal.NOT_JSON),
        (b"ticket=5&status=solved", Refusal.NOT_JSON),
        (b"[NaN]", Refusal.NOT_JSON),
        (b"[-Infinity]", Refusal.NOT_JSON),
        (b"{} {}", Refusal.NOT_JSON),
        (b'{"a": 1, "b": {"a": 1, "a": 2}}', Refusal.DUPLICATE_FIELD),
        (b"[" + b"9" * 21 + b"]", Refusal.NUMBER_OUT_OF_RANGE),
        (b"[" + b"9" * 10_000 + b"]", Refusal.NUMBER_OUT_OF_RANGE),
        (b"[1e999]", Refusal.NUMBER_OUT_OF_RANGE),
        (b"[1E-0100]", Refusal.NUMBER_OUT_OF_RANGE),
        (b"[0." + b"1" * 40 + b"]", Refusal.NUMBER_OUT_OF_RANGE),
    ],
)
def test_body_that_is_no_strict_json_is_refused_with_its_code(body: bytes, code: Refusal) -> None:
    with pytest.raises(Unreadable) as unreadable:
        parse(body)

    assert unreadable.value.code == code


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (nested(DEEPEST), json.loads(nested(DEEPEST))),
        (b'"' + b"x" * (MOST_BYTES - 2) + b'"', "x" * (MOST_BYTES - 2)),
        ('{"a": "\u00e9\U0001f600"}'.encode(), {"a": "\u00e9\U0001f600"}),
        (rb'["\ud83d\ude00"]', ["\U0001f600"]),
        (b"[" + b"9" * 20 + b"]", [10**20 - 1]),
        (b"[4.50, 1e99, -0]", ["4.50", "1e99", 0]),
    ],
)
def test_body_at_the_edge_is_taken_and_fractions_stay_as_they_were_written(body: bytes, value: object) -> None:
    assert parse(body) == value


def outcome(system: System, payload: object) -> Reading | PayloadRefused:
    """What comes of a genuine request; anything but facts or a refusal breaks the test."""
    try:
        return read_webhook(a_door(system), [SECRET], request(system, payload), NOW)
    except PayloadRefused as refused:
        return refused


@pytest.mark.parametrize("body", [b"7", b'"text"', b"null", b"true"])
@pytest.mark.parametrize("desk", HELPDESKS, ids=str)
def test_json_that_is_no_object_is_refused(desk: Helpdesk, body: bytes) -> None:
    refused = outcome(desk.system, body)

    assert isinstance(refused, PayloadRefused)
    assert (refused.code, refused.status) == (Refusal.WRONG_TYPE, 422)


@pytest.mark.parametrize("body", [b"[]", b"{}"])
@pytest.mark.parametrize("desk", HELPDESKS, ids=str)
def test_empty_body_of_json_tells_nothing(desk: Helpdesk, body: bytes) -> None:
    assert outcome(desk.system, body) == Reading(())


@pytest.mark.parametrize("refusal", Refusal)
def test_refusal_says_what_to_do_with_a_status_of_the_clients_own_mistake(refusal: Refusal) -> None:
    refused = PayloadRefused(refusal, ("detail.id",), "0" * 64)

    assert 400 <= refused.status < 500
    assert str(refused).endswith(": detail.id")
    assert isinstance(refused, FactRefused)


# Paths

DOCUMENT = {
    "a": {"b": [{"n": "x", "v": 1}, {"n": "y", "v": 2}, {"n": "x", "v": 3}]},
    "tags": [{"name": "one"}, {"name": 2}, "three"],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("", DOCUMENT),
        ("a.b[0].v", 1),
        ("a.b[-1].v", 3),
        ("a.b[3].v", None),
        ("a.b[-4]", None),
        ("a.b[n=x].v", 3),
        ("a.b[n=z].v", None),
        ("a.b[].v", [1, 2, 3]),
        ("tags[].name", ["one", 2, None]),
        ("a.b.v", None),
        ("a[0]", None),
        ("a[]", []),
        ("tags[n=x]", None),
    ],
)
def test_path_finds_what_it_names(path: str, value: object) -> None:
    assert find(DOCUMENT, path) == value


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a[", "a[1", "a[x]", "a[=x]", "[0]", "a[12345]", "a]b"])
def test_path_that_is_none_says_what_one_looks_like(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        parse_path(path)


def test_every_path_of_every_system_is_one() -> None:
    feeds = [it for table in SYSTEMS.values() for it in (table.feed, *(one.feed for one in table.listings.values()))]

    paths = [path for feed in feeds if feed for path in feed.paths.values()]

    assert len(paths) > 80
    for path in paths:
        for one in path.replace("+", "|").split("|") if path else ():  # an empty one is the door's to say
            assert parse_path(one.strip())


# Whatever comes: a fact that decodes, a fact that is refused by name, or a refusal

_WORDS = st.sampled_from(
    sorted(
        {
            step
            for table in SYSTEMS.values()
            for path in (table.feed.paths.values() if table.feed else ())
            for step in path.replace("|", ".").replace(" ", "").replace("[", ".").replace("]", "").split(".")
            if step
        }
    )
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.text(max_size=20),
    st.sampled_from(["SOLVED", "OPEN", "Case", "UPDATE", "good", "2026-03-02T11:00:00Z", "0-5", "@", "4", "csat"]),
)
_JSON: st.SearchStrategy[Json] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=5), inner, max_size=6),
)


def check_outcome(system: System, payload: object) -> None:
    reading = outcome(system, payload)
    for fact in () if isinstance(reading, PayloadRefused) else reading.facts:
        try:
            delivery = decode(envelop("acme", Party.CLIENT, NOW, fact))
        except FactRefused as refused:
            assert refused.reason == "from the future"  # noqa: PT017  # the only thing that is left to find
        else:
            assert delivery.fact.id == fact["id"]


@given(st.sampled_from(HELPDESKS), _JSON)
def test_any_json_is_read_or_refused(desk: Helpdesk, payload: Json) -> None:
    check_outcome(desk.system, payload)


@given(st.sampled_from(HELPDESKS), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(desk: Helpdesk, body: bytes) -> None:
    check_outcome(desk.system, body)


@given(desk=st.sampled_from(HELPDESKS), data=st.data())
def test_event_with_any_value_in_place_of_one_of_its_own_is_read_or_refused(
    desk: Helpdesk, data: st.DataObject
) -> None:
    payload: Json = json.loads(json.dumps(data.draw(st.sampled_from([desk.solved, desk.reopened, desk.rated or {}]))))
    around, way = payload, []
    while isinstance(around, dict | list) and around:
        names = sorted(around) if isinstance(around, dict) else range(len(around))
        way.append((around, data.draw(st.sampled_from(list(names)))))
        around = around[way[-1][1]]
    if way:
        parent, name = data.draw(st.sampled_from(way))
        parent[name] = data.draw(_JSON)

    check_outcome(desk.system, payload)


@given(st.text(max_size=40))
@example("١٢٣٤٥٦٧٨٩")
@example("2026-W10-1")
@example("1772449200.5")
@example("99999999999999")
def test_any_text_in_place_of_a_time_is_read_or_refused(text: str) -> None:
    payload: Json = HELPDESKS[0].solved

    check_outcome(System.ZENDESK, payload | {"time": text})
