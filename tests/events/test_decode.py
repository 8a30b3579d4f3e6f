"""The door: what is allowed passes, everything else is refused by path or never seen."""

import json

import pytest

from events.decode import AUTHORITY, DATA_FIELDS, Delivery, FactRefused, decode, encode, envelop
from events.facts import FACTS, Completed, Party, Rated, Resolver
from tests.world import at

NOW = at("2026-03-02T12:00:00")


def an_event(**changes: object) -> dict[str, object]:
    data = {"resolver": "expert", "expert": "maya", "channel": "chat"}
    event = {"id": "e1", "type": "resolution.completed", "source": "zendesk", "time": "2026-03-02T11:00:00Z"}
    return event | {"subject": "C-1", "data": data} | changes


def delivered(event: dict[str, object], party: Party = Party.CLIENT) -> Delivery:
    return decode(json.loads(json.dumps(envelop("acme", party, NOW, event))))


def test_a_completion_is_read_whole() -> None:
    fact = delivered(an_event()).fact
    assert isinstance(fact, Completed)
    assert (fact.resolver, fact.expert, fact.channel) == (Resolver.EXPERT, "maya", "chat")
    assert fact.time == at("2026-03-02T11:00:00")


def test_times_are_kept_in_utc_and_resolved_at_goes_before_the_time_of_the_event() -> None:
    data = {"resolver": "ai", "resolved_at": "2026-03-02T10:30:00+02:00"}
    assert delivered(an_event(data=data)).fact.time == at("2026-03-02T08:30:00")


def test_a_delivery_survives_being_queued_again() -> None:
    delivery = delivered(an_event())
    assert decode(json.loads(json.dumps(encode(delivery)))) == delivery


def test_facts_come_back_from_storage_as_they_went_in() -> None:
    facts = (delivered(an_event()).fact, Rated(id="r", source="zendesk", time=NOW, score=4, scale_min=1, scale_max=5))
    assert FACTS.validate_json(FACTS.dump_json(facts, exclude_none=True)) == facts


def test_personal_data_is_dropped_before_it_is_queued() -> None:
    data = {"resolver": "ai", "customer": "PII-TEST Jane", "email": "jane.doe@example.com", "comment": "PII-TEST"}
    event = an_event(data=data, requester={"name": "PII-TEST"}, extension="jane.doe@example.com")
    queued = json.dumps(envelop("acme", Party.CLIENT, NOW, event))
    assert "PII-TEST" not in queued
    assert "jane.doe" not in queued


@pytest.mark.parametrize("field", ["channel", "language", "skill", "priority", "route"])
def test_free_text_cannot_hide_in_an_attribute(field: str) -> None:
    with pytest.raises(FactRefused) as refused:
        delivered(an_event(data={"resolver": "ai", field: "jane.doe@example.com"}))
    assert refused.value.paths == (field,)
    assert "jane" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": 7}, "id"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-03-02T11:00:00"}, "time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "time"),
        ({"time": "2026-03-02T12:05:01Z"}, "time"),
        ({"subject": "Jane Doe"}, "subject"),
        ({"subject": None}, "subject"),
        ({"type": "resolution.closed"}, "type"),
        ({"type": ["x"]}, "type"),
        ({"data": {"resolver": "human"}}, "resolver"),
        ({"data": {"resolver": "expert"}}, "data"),
        ({"data": {"resolver": "ai", "expert": "maya"}}, "data"),
        ({"data": "text"}, "resolver"),
        ({"type": "resolution.rated", "data": {"score": 4.5, "scale_min": 1, "scale_max": 5}}, "score"),
        ({"type": "resolution.rated", "data": {"score": True, "scale_min": 0, "scale_max": 1}}, "score"),
        ({"type": "resolution.rated", "data": {"score": 6, "scale_min": 1, "scale_max": 5}}, "data"),
        ({"type": "resolution.rated", "data": {"score": 1, "scale_min": 1, "scale_max": 1}}, "data"),
    ],
)
def test_a_malformed_fact_is_refused_by_path(changes: dict[str, object], path: str) -> None:
    with pytest.raises(FactRefused) as refused:
        delivered(an_event(**changes))
    assert path in refused.value.paths


@pytest.mark.parametrize("message", [None, 5, "text", [], {}, {"client": "acme"}, {"fact": {}}])
def test_what_is_no_delivery_is_refused_and_named_by_its_hash(message: object) -> None:
    with pytest.raises(FactRefused) as refused:
        decode(message)
    assert len(refused.value.digest) == 64


def test_five_minutes_ahead_of_the_door_is_still_now() -> None:
    assert delivered(an_event(time="2026-03-02T12:05:00Z")).fact.time == at("2026-03-02T12:05:00")


@pytest.mark.parametrize("party", list(Party))
@pytest.mark.parametrize("kind", list(DATA_FIELDS))
def test_each_party_says_only_what_it_may(party: Party, kind: str) -> None:
    data: dict[str, object] = {
        "resolver": "ai",
        "score": 1,
        "scale_min": 0,
        "scale_max": 1,
        "reviewer": "noah",
        "passed": True,
        "dispute": "D1",
        "upheld": True,
    }
    event = an_event(type=kind, data=data)
    if kind in AUTHORITY[party]:
        assert delivered(event, party).fact.type == kind
    else:
        with pytest.raises(FactRefused, match=f"not for {party} to say"):
            delivered(event, party)


@pytest.mark.parametrize(
    ("score", "low", "high", "points"), [(4, 1, 5, 7500), (1, 0, 1, 10000), (2, 1, 4, 3333), (-103, -103, 103, 0)]
)
def test_a_rating_is_its_place_on_its_own_scale(score: int, low: int, high: int, points: int) -> None:
    assert Rated(id="r", source="s", time=NOW, score=score, scale_min=low, scale_max=high).basis_points == points
