"""A month of facts from a seed: what happened to each case, and when each fact reaches the queue."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from events.decode import envelop
from events.facts import Party, format_instant
from tests.simulation.world import CHANNELS, LANGUAGES, STARTS_ON, UNSOLD, Terms, at

SPAN = timedelta(days=40)
# Stands in poison messages, where names and e-mail addresses of customers would be.
MARKER = "PII-MARKER"
_CLIENT, _EXPERT, _PLATFORM = Party.CLIENT, Party.EXPERT, Party.PLATFORM
_SCALES = ((1, 5), (0, 1), (0, 10), (-103, 103))


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery: when it comes to the queue, what it says, and the fact that it names, None for poison."""

    at: datetime
    message: dict[str, object]
    fact: tuple[str, str, str] | None

    @property
    def body(self) -> str:
        """As EventBridge puts it on the queue."""
        return json.dumps({"detail": self.message})


@dataclass(slots=True)
class _Teller:
    """Tells the facts of one case."""

    rng: Random
    terms: Terms
    client: str
    case: str
    number: int = 0

    def fact(self, kind: str, party: Party, time: datetime, **data: object) -> Iterator[Sent]:
        """A fact, as it is delivered: mostly soon, sometimes days later, twice, or under an id with other content."""
        self.number += 1
        event: dict[str, object] = {
            "id": f"{self.case}.{self.number}",
            "type": kind,
            "source": "helpdesk",
            "time": format_instant(time),
            "subject": self.case,
            "data": {name: value for name, value in data.items() if value is not None},
        }
        yield self._sent(party, time + self._delay(), event)
        while self.rng.randrange(20) == 0:
            yield self._sent(party, time + self._delay(), event)
        if self.rng.randrange(300) == 0:
            other = event | {"time": format_instant(time - timedelta(seconds=7))}
            yield self._sent(party, time + self._delay(), other)

    def _sent(self, party: Party, received_at: datetime, event: dict[str, object]) -> Sent:
        message = envelop(self.client, party, received_at, event)
        return Sent(received_at, message, (self.client, self.case, f"helpdesk#{event['id']}"))

    def _delay(self) -> timedelta:
        draw = self.rng.randrange(1000)
        if draw < 850:
            return timedelta(seconds=self.rng.randint(1, 90))
        if draw < 870:
            return timedelta(seconds=-self.rng.randint(1, 290))  # the sender's clock is fast
        if draw < 872:
            return timedelta(minutes=-self.rng.randint(6, 60))  # so fast that it is refused
        if draw < 960:
            return timedelta(minutes=self.rng.randint(2, 24 * 60))
        return timedelta(hours=self.rng.randint(24, 24 * 25))

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    def later(self, time: datetime, most_hours: int) -> datetime:
        """Up to so many hours later; now and then on the last instant of a window, or the one after."""
        if self.chance(8):
            edge = time + timedelta(hours=self.rng.choice((24, 72, 120, 168)))
            return edge + timedelta(microseconds=self.rng.randrange(2))
        return time + timedelta(seconds=self.rng.randint(1, most_hours * 3600))


def tell_history(rng: Random, terms: Terms, resolutions: int) -> tuple[list[Sent], int]:
    """All deliveries in order of time, and how many completions they tell; at least `resolutions`."""
    sent: list[Sent] = []
    told, number = 0, 0
    clients = [client.id for client in terms.clients]
    weights = [1 + rng.randrange(5) for _ in clients]
    while told < resolutions:
        number += 1
        client = rng.choices(clients, weights)[0]
        teller = _Teller(rng, terms, client, f"C{number}")
        case = list(_tell_case(teller))
        told += len({it.fact for it in case if _is_completion(it)})
        sent += case
        if rng.randrange(150) == 0:
            sent.append(_poison(rng, client, number))
    sent.sort(key=lambda it: (it.at, json.dumps(it.message, sort_keys=True)))
    return sent, told


def _is_completion(sent: Sent) -> bool:
    fact = sent.message["fact"]
    return isinstance(fact, dict) and fact.get("type") == "resolution.completed" and sent.fact is not None


def _tell_case(teller: _Teller) -> Iterator[Sent]:
    time = at(STARTS_ON) + timedelta(seconds=teller.rng.randint(12 * 3600, int(SPAN.total_seconds())))
    time += timedelta(microseconds=teller.rng.choice((0, 1, 500_000)))
    for _ in range(4):
        yield from _tell_solution(teller, time)
        if not teller.chance(12):
            return
        reopened_at = teller.later(time, 200)
        yield from teller.fact("resolution.reopened", _CLIENT, reopened_at)
        if teller.chance(20):
            return
        time = teller.later(reopened_at, 60)


def _tell_solution(teller: _Teller, time: datetime) -> Iterator[Sent]:
    resolver = teller.rng.choices(("expert", "ai", "employee"), (80, 14, 6))[0]
    expert = _draw_expert(teller) if resolver == "expert" else None
    opened_at = time - timedelta(seconds=teller.rng.randint(60, 90_000))
    attributes = {
        "resolver": resolver,
        "expert": expert,
        "channel": UNSOLD if teller.rng.randrange(200) == 0 else teller.rng.choice(CHANNELS),
        "language": teller.rng.choice((*LANGUAGES, None)),
        "opened_at": format_instant(opened_at),
        "first_response_at": format_instant(opened_at + timedelta(seconds=teller.rng.randint(0, 200))),
    }
    yield from teller.fact("resolution.completed", _CLIENT, time, **attributes)
    if teller.chance(2):
        again = attributes | {"expert": _draw_expert(teller)} if expert else attributes
        yield from teller.fact("resolution.completed", _CLIENT, teller.later(time, 10), **again)
    while teller.chance(40):
        yield from teller.fact("resolution.rated", _CLIENT, teller.later(time, 110), **_score(teller.rng))
    if teller.chance(6):
        reviewer = teller.rng.choice(teller.terms.experts).id
        data = _score(teller.rng) | {"reviewer": reviewer}
        yield from teller.fact("resolution.peer_reviewed", _EXPERT, teller.later(time, 90), **data)
    while teller.chance(5):
        passed = teller.chance(35)
        yield from teller.fact("resolution.qa_reviewed", _PLATFORM, teller.later(time, 400), passed=passed)
    if teller.chance(4):
        yield from _tell_dispute(teller, time)


def _tell_dispute(teller: _Teller, time: datetime) -> Iterator[Sent]:
    party, dispute = teller.rng.choice((_CLIENT, _CLIENT, _EXPERT)), f"D{teller.case}.{teller.number}"
    disputed_at = teller.later(time, 700)
    yield from teller.fact("resolution.disputed", party, disputed_at, dispute=dispute)
    if teller.chance(80):
        decided = {"dispute": dispute, "upheld": teller.chance(50)}
        yield from teller.fact("dispute.decided", _PLATFORM, teller.later(disputed_at, 300), **decided)


def _draw_expert(teller: _Teller) -> str:
    draw = teller.rng.randrange(400)
    if draw < 2:
        return teller.terms.missing.id
    if draw < 3:
        return "expert-unassigned" if teller.chance(50) else teller.terms.experts[0].id
    return teller.rng.choice(teller.terms.experts_of(teller.client))


def _score(rng: Random) -> dict[str, object]:
    low, high = rng.choice(_SCALES)
    return {"score": rng.choice((high, high, rng.randint(low, high))), "scale_min": low, "scale_max": high}


def _poison(rng: Random, client: str, number: int) -> Sent:
    """A message that no door of ours would send, with a customer's data in it."""
    received_at = at(STARTS_ON) + timedelta(seconds=rng.randint(0, int(SPAN.total_seconds())))
    event: dict[str, object] = {"id": f"x{number}", "source": "helpdesk", "time": "yesterday", "subject": MARKER}
    fact = rng.choice(
        (
            event | {"type": "resolution.completed", "data": {"customer": MARKER, "resolver": MARKER}},
            event | {"type": MARKER, "data": {}},
            {"text": f"{MARKER} <jane@{MARKER.lower()}.example>"},
            event | {"type": "resolution.rated", "data": {"score": MARKER, "scale_min": 1, "scale_max": 5}},
        )
    )
    stamp = {"client": client, "party": "client", "received_at": format_instant(received_at.astimezone(UTC))}
    return Sent(received_at, stamp | {"fact": fact}, None)
