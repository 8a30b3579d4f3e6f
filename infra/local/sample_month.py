"""The sample month: what the cases of three clients went through in October 2026, as the doors let it in.

Every case is planned as plain data first, then told as facts, then delivered: mostly at once, some of it late, twice or
before what it speaks of. The same seed gives the same month.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, StrEnum, auto
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TypeVar
from zoneinfo import ZoneInfo

from events.decode import envelop
from events.facts import Party, Resolver, format_instant

SAMPLE_WORLD = Path(__file__).with_name("sample_world")
"""The clients, contracts, pay plans, experts and payout policies of the sample month, one YAML file each."""

Message = dict[str, object]
T = TypeVar("T")

_FIRST_DAY = date(2026, 10, 1)
_LAST_TRIGGER_DAY = date(2026, 11, 16)
_SURGE_DAY = date(2026, 10, 13)
_LAST_REMARK = datetime(2026, 11, 2, 12, tzinfo=UTC)
_TUESDAY = 1
_RATING_WINDOW = timedelta(hours=72)  # the contracts' own; sakura's has none
_FEWEST_RESOLUTIONS = 100


class _Fate(Enum):
    """What becomes of a case."""

    PLAIN = auto()
    SOLVED_AGAIN = auto()  # reopened within the reopen window, then solved by the same
    HANDED_OVER = auto()  # reopened within the reopen window, then solved by another expert
    GIVEN_UP = auto()  # reopened within the reopen window, never solved again
    RETURNED = auto()  # reopened after the reopen window and solved again: a second cycle
    QA_FAILED = auto()
    CLIENT_WINS = auto()  # the client's dispute is upheld
    CLIENT_LOSES = auto()
    EXPERT_WINS = auto()  # the expert's dispute of a failed quality review is upheld
    EXPERT_LOSES = auto()
    UNKNOWN_EXPERT = auto()
    UNPRICED = auto()  # in a channel that no rate is for


_REOPENED = frozenset({_Fate.SOLVED_AGAIN, _Fate.HANDED_OVER, _Fate.GIVEN_UP})
_FAILS_QA = frozenset({_Fate.QA_FAILED, _Fate.EXPERT_WINS, _Fate.EXPERT_LOSES})
_CLIENT_DISPUTES = frozenset({_Fate.CLIENT_WINS, _Fate.CLIENT_LOSES})
_EXPERT_DISPUTES = frozenset({_Fate.EXPERT_WINS, _Fate.EXPERT_LOSES})
_UPHELD = frozenset({_Fate.CLIENT_WINS, _Fate.EXPERT_WINS})
_IS_PARKED = frozenset({_Fate.UNKNOWN_EXPERT, _Fate.UNPRICED})
_FOR_ANY_RESOLVER = _REOPENED | {_Fate.PLAIN}

_PER_THOUSAND = MappingProxyType({_Fate.SOLVED_AGAIN: 18, _Fate.HANDED_OVER: 18, _Fate.GIVEN_UP: 4})
_COUNT = MappingProxyType(
    {
        _Fate.RETURNED: 5,
        _Fate.QA_FAILED: 4,
        _Fate.CLIENT_WINS: 3,
        _Fate.CLIENT_LOSES: 3,
        _Fate.EXPERT_WINS: 2,
        _Fate.EXPERT_LOSES: 2,
        _Fate.UNKNOWN_EXPERT: 3,
        _Fate.UNPRICED: 3,
    }
)
# Days of October that leave the time in it which the fate takes; clients' disputes come late.
_OPENING_DAYS = MappingProxyType(
    dict.fromkeys(_REOPENED, range(1, 25))
    | dict.fromkeys(_FAILS_QA, range(1, 21))
    | dict.fromkeys(_CLIENT_DISPUTES, range(20, 28))
    | {_Fate.RETURNED: range(1, 19)}
)


@dataclass(frozen=True, slots=True)
class _Scale:
    """A rating scale from `lowest` up, and how often each score on it is given."""

    lowest: int
    weights: tuple[int, ...]

    @property
    def scores(self) -> range:
        return range(self.lowest, self.lowest + len(self.weights))


_STARS = _Scale(1, (4, 4, 8, 26, 58))
_THUMBS = _Scale(0, (14, 86))
_ZERO_TO_TEN = _Scale(0, (2, 1, 1, 1, 2, 3, 5, 10, 22, 25, 28))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """A client's support desk. Numbers beside names are weights."""

    client: str
    share: int
    time_zone: ZoneInfo
    first_case: int
    experts: Mapping[str, int]
    resolvers: Mapping[Resolver, int]
    channels: Mapping[str, int]
    unsold_channel: str
    languages: Mapping[str, int]
    scales: Mapping[str, _Scale]


_DESKS = (
    _Desk(
        client="acme",
        share=55,
        time_zone=ZoneInfo("America/New_York"),
        first_case=10001,
        experts={"maya": 300, "noah": 250, "omar": 180, "luis": 120, "ines": 80, "yuki": 65, "grace": 5},
        resolvers={Resolver.EXPERT: 80, Resolver.AI: 14, Resolver.EMPLOYEE: 6},
        channels={"chat": 60, "email": 30, "phone": 10},
        unsold_channel="social",
        languages={"en": 85, "es": 15},
        scales={"chat": _STARS, "email": _STARS, "phone": _ZERO_TO_TEN, "social": _STARS},
    ),
    _Desk(
        client="nordwind",
        share=27,
        time_zone=ZoneInfo("Europe/Berlin"),
        first_case=4001,
        experts={"lena": 350, "jonas": 300, "ines": 200, "luis": 140, "tomasz": 10},
        resolvers={Resolver.EXPERT: 1},
        channels={"chat": 55, "email": 45},
        unsold_channel="phone",
        languages={"de": 80, "en": 20},
        scales={"chat": _THUMBS, "email": _THUMBS, "phone": _THUMBS},
    ),
    _Desk(
        client="sakura",
        share=18,
        time_zone=ZoneInfo("Asia/Tokyo"),
        first_case=70001,
        experts={"yuki": 500, "haruto": 480, "mei": 20},
        resolvers={Resolver.EXPERT: 60, Resolver.AI: 32, Resolver.EMPLOYEE: 8},
        channels={"chat": 80, "email": 20},
        unsold_channel="social",
        languages={"ja": 90, "en": 10},
        scales={"chat": _STARS, "email": _STARS, "social": _STARS},
    ),
)


class TriggerKind(StrEnum):
    """What a schedule starts; named as the functions are."""

    SWEEP_DUE = "sweep_due"
    AWARD_INCENTIVES = "award_incentives"
    RUN_PAYOUTS = "run_payouts"
    CLOSE_PERIODS = "close_periods"
    ISSUE_INVOICES = "issue_invoices"
    RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A scheduled event, to be played between the messages."""

    kind: TriggerKind
    at: datetime


@dataclass(frozen=True, slots=True)
class ClientCounts:
    """What was sent for one client. `facts_sent` counts every delivery of a valid fact, `distinct_facts` each once.

    `cycles` are those of DESIGN.md section 2, also where the completion is to be parked; `reopened_cycles` are those
    that were reopened within the reopen window, solved again or not.
    """

    facts_sent: int
    distinct_facts: int
    cases: int
    cycles: int
    reopened_cycles: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What the month holds, counted where it was made up; messages are `facts_sent` plus `malformed`."""

    clients: Mapping[str, ClientCounts]
    malformed: int
    unknown_expert: int
    unpriced: int

    @property
    def facts_sent(self) -> int:
        """Deliveries of valid facts, duplicates included."""
        return sum(counts.facts_sent for counts in self.clients.values())

    @property
    def distinct_facts(self) -> int:
        """Valid facts, each counted once."""
        return sum(counts.distinct_facts for counts in self.clients.values())

    @property
    def cases(self) -> int:
        """Cases of all clients."""
        return sum(counts.cases for counts in self.clients.values())

    @property
    def cycles(self) -> int:
        """Cycles of all clients."""
        return sum(counts.cycles for counts in self.clients.values())

    @property
    def reopened_cycles(self) -> int:
        """Cycles that were reopened within the reopen window."""
        return sum(counts.reopened_cycles for counts in self.clients.values())


@dataclass(frozen=True, slots=True)
class SampleMonth:
    """The messages in order of delivery, what they hold, and the days on which schedules are to be played."""

    messages: tuple[Message, ...]
    expected: Expected
    first_day: date
    last_day: date


def sample_month(resolutions: int = 3000, seed: int = 20261001) -> SampleMonth:
    """A month of exactly `resolutions` cycles, at least 100; the same for the same arguments."""
    if resolutions < _FEWEST_RESOLUTIONS:
        raise ValueError(f"a sample month has at least {_FEWEST_RESOLUTIONS} resolutions, not {resolutions}")
    rng = Random(seed)  # noqa: S311  # sample data, no secret
    cases = _plan_cases(rng, resolutions)
    facts = [event for case in cases for event in _tell(case)]
    sent = [*(_deliver(rng, event) for event in facts), *_deliver_again(rng, facts)]
    malformed = list(_malformed(rng, cases))
    apart = Random(seed + 1)  # noqa: S311  # drawn apart, so that what peers say changes nothing else
    reviews = list(_peer_reviews(apart, cases))
    facts, sent = [*facts, *reviews], [*sent, *(_deliver(apart, event) for event in reviews)]
    messages = sorted((*sent, *malformed), key=lambda message: (message.received_at, message.id))
    return SampleMonth(
        messages=tuple(message.enveloped() for message in messages),
        expected=_expect(cases, facts, sent, len(malformed)),
        first_day=_FIRST_DAY,
        last_day=_LAST_TRIGGER_DAY,
    )


def trigger_times(month: SampleMonth) -> tuple[Trigger, ...]:
    """Every scheduled event from the month's first day until its earnings have matured, in order of time."""
    daily = {
        TriggerKind.SWEEP_DUE: time(0, 10, tzinfo=UTC),
        TriggerKind.AWARD_INCENTIVES: time(2, 0, tzinfo=UTC),
        TriggerKind.RUN_PAYOUTS: time(6, 0, tzinfo=UTC),
        TriggerKind.CLOSE_PERIODS: time(6, 30, tzinfo=UTC),
        TriggerKind.ISSUE_INVOICES: time(6, 40, tzinfo=UTC),
        TriggerKind.RECONCILE: time(7, 0, tzinfo=UTC),
    }
    weekly = {TriggerKind.RUN_PAYOUTS, TriggerKind.RECONCILE}
    days = [month.first_day + timedelta(days=n) for n in range((month.last_day - month.first_day).days + 1)]
    return tuple(
        Trigger(kind, datetime.combine(day, at))
        for day in days
        for kind, at in daily.items()
        if kind not in weekly or day.weekday() == 0
    )


# Planning ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Remark:
    """Something that was said of a case at `time`, by whom."""

    type: str
    party: Party
    time: datetime
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Case:
    """One case, planned: all that happens to it. It has no number yet; the earlier opened has the lower one."""

    desk: _Desk
    fate: _Fate
    opened_at: datetime
    remarks: tuple[_Remark, ...]
    id: str = ""

    @property
    def cycles(self) -> int:
        return 2 if self.fate is _Fate.RETURNED else 1


@dataclass(frozen=True, slots=True)
class _Solver:
    resolver: Resolver
    expert: str | None


def _plan_cases(rng: Random, resolutions: int) -> list[_Case]:
    """Planned cases that hold that many cycles, numbered per client in order of opening."""
    number = resolutions - _COUNT[_Fate.RETURNED]
    fates = [fate for fate, per_thousand in _PER_THOUSAND.items() for _ in range(resolutions * per_thousand // 1000)]
    fates += [fate for fate, count in _COUNT.items() for _ in range(count)]
    fates += [_Fate.PLAIN] * (number - len(fates))
    rng.shuffle(fates)
    desks = rng.choices(_DESKS, [desk.share for desk in _DESKS], k=number)
    planned = [_plan_case(rng, desk, fate) for desk, fate in zip(desks, fates, strict=True)]
    return [case for desk in _DESKS for case in _numbered(desk, planned)]


def _numbered(desk: _Desk, planned: Iterable[_Case]) -> Iterator[_Case]:
    own = sorted((case for case in planned if case.desk is desk), key=lambda case: case.opened_at)
    for number, case in enumerate(own, desk.first_case):
        yield _Case(desk, case.fate, case.opened_at, case.remarks, id=f"{desk.client.upper()}-{number}")


def _plan_case(rng: Random, desk: _Desk, fate: _Fate) -> _Case:
    channel = desk.unsold_channel if fate is _Fate.UNPRICED else _draw(rng, desk.channels)
    traits = {
        "channel": channel,
        "language": _draw(rng, desk.languages),
        "skill": _draw(rng, {"orders": 50, "billing": 30, "technical": 20}),
        "priority": _draw(rng, {"normal": 85, "high": 15}),
    }
    opened_at = _office_time(rng, desk, _opening_day(rng, fate))
    solver = _solver(rng, desk, fate)
    solved = _solve(rng, solver, opened_at, traits)
    if fate in _REOPENED or fate is _Fate.RETURNED:
        remarks = _reopen(rng, desk, fate, solved, solver)
    elif fate in _CLIENT_DISPUTES:
        remarks = (solved, *_dispute(rng, desk, fate, solved))
    elif fate in _FAILS_QA:
        failed = _review(rng, desk, solved, passed=False)
        disputes = _dispute(rng, desk, fate, failed) if fate in _EXPERT_DISPUTES else ()
        remarks = (solved, *_rate(rng, desk, solved), failed, *disputes)
    else:
        remarks = (solved, *_rate(rng, desk, solved), *_sample_quality(rng, desk, solver, solved))
    return _Case(desk, fate, opened_at, remarks)


def _draw(rng: Random, weights: Mapping[T, int]) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]


def _opening_day(rng: Random, fate: _Fate) -> date:
    """Busy on weekdays, most of all on the surge day."""
    dates = [_FIRST_DAY.replace(day=day) for day in _OPENING_DAYS.get(fate, range(1, 31))]
    return _draw(rng, {day: 40 if day == _SURGE_DAY else 4 if day.weekday() >= 5 else 10 for day in dates})


def _office_time(rng: Random, desk: _Desk, day: date) -> datetime:
    """An instant between 9 and 18 o'clock of the desk's day, in UTC."""
    opens = datetime.combine(day, time(9), desk.time_zone)
    return (opens + timedelta(seconds=rng.randrange(9 * 3600))).astimezone(UTC)


def _office_time_after(rng: Random, desk: _Desk, instant: datetime, days: int) -> datetime:
    return _office_time(rng, desk, instant.astimezone(desk.time_zone).date() + timedelta(days=days))


def _solver(rng: Random, desk: _Desk, fate: _Fate) -> _Solver:
    if fate is _Fate.UNKNOWN_EXPERT:
        return _Solver(Resolver.EXPERT, "zoe")
    resolver = _draw(rng, desk.resolvers) if fate in _FOR_ANY_RESOLVER else Resolver.EXPERT
    return _Solver(resolver, _draw(rng, desk.experts) if resolver is Resolver.EXPERT else None)


def _solve(rng: Random, solver: _Solver, opened_at: datetime, traits: Mapping[str, object]) -> _Remark:
    is_ai = solver.resolver is Resolver.AI
    first_response_at = opened_at + timedelta(seconds=rng.randint(1, 5) if is_ai else rng.randint(20, 1500))
    resolved_at = first_response_at + timedelta(seconds=rng.randint(60, 900) if is_ai else rng.randint(240, 10800))
    who: dict[str, object] = {"resolver": solver.resolver.value}
    if solver.expert is not None:
        who["expert"] = solver.expert
    times = {"opened_at": format_instant(opened_at), "first_response_at": format_instant(first_response_at)}
    return _Remark("resolution.completed", Party.CLIENT, resolved_at, who | dict(traits) | times)


def _reopen(rng: Random, desk: _Desk, fate: _Fate, solved: _Remark, solver: _Solver) -> tuple[_Remark, ...]:
    """A solution, its ratings, the reopening and, unless it was given up, the next solution with its own."""
    days = rng.randint(9, 11) if fate is _Fate.RETURNED else rng.randint(1, 5)
    reopened_at = _office_time_after(rng, desk, solved.time, days)
    first = (solved, *(rated for rated in _rate(rng, desk, solved) if rated.time < reopened_at))
    reopened = _Remark("resolution.reopened", Party.CLIENT, reopened_at, {})
    if fate is _Fate.GIVEN_UP:
        return (*first, reopened)
    if fate is _Fate.HANDED_OVER:
        others = {expert: weight for expert, weight in desk.experts.items() if expert != solver.expert}
        solver = _Solver(Resolver.EXPERT, _draw(rng, others))
    traits = {name: solved.data[name] for name in ("channel", "language", "skill", "priority")}
    again = _solve(rng, solver, reopened_at, traits)
    return (*first, reopened, again, *_rate(rng, desk, again))


def _rate(rng: Random, desk: _Desk, solved: _Remark) -> Iterator[_Remark]:
    """No rating, one within the rating window or after it, or two of which the second is a change of mind."""
    how = _draw(rng, {"unrated": 25, "in_time": 67, "twice": 3, "too_late": 5})
    if how == "unrated":
        return
    soon = timedelta(minutes=2) + timedelta(seconds=int(rng.expovariate(1 / 36_000)))
    late = _RATING_WINDOW + timedelta(seconds=rng.randint(3600, 200_000))
    after = [late] if how == "too_late" else [min(soon, _RATING_WINDOW - timedelta(hours=1))]
    if how == "twice":
        after.append(after[0] + timedelta(seconds=rng.randint(600, 36_000)))
    scale = desk.scales[str(solved.data["channel"])]
    for delay in after:
        data = {
            "score": rng.choices(scale.scores, scale.weights)[0],
            "scale_min": scale.scores[0],
            "scale_max": scale.scores[-1],
        }
        if solved.time + delay <= _LAST_REMARK:
            yield _Remark("resolution.rated", Party.CLIENT, solved.time + delay, data)


def _sample_quality(rng: Random, desk: _Desk, solver: _Solver, solved: _Remark) -> Iterator[_Remark]:
    """A quality review of one in sixteen experts' solutions, passed."""
    if solver.expert is not None and rng.randrange(16) == 0:
        reviewed = _review(rng, desk, solved, passed=True)
        if reviewed.time <= _LAST_REMARK:
            yield reviewed


def _review(rng: Random, desk: _Desk, solved: _Remark, *, passed: bool) -> _Remark:
    reviewed_at = _office_time_after(rng, desk, solved.time, rng.randint(1, 3))
    return _Remark("resolution.qa_reviewed", Party.PLATFORM, reviewed_at, {"passed": passed})


def _dispute(rng: Random, desk: _Desk, fate: _Fate, contested: _Remark) -> tuple[_Remark, _Remark]:
    """A dispute of what was said, and its decision on the next Tuesday but the same day's.

    For a dispute at the end of October that Tuesday comes after the close.
    """
    party = Party.CLIENT if fate in _CLIENT_DISPUTES else Party.EXPERT
    disputed_at = _office_time_after(rng, desk, contested.time, rng.randint(1, 3))
    name = {"dispute": f"dispute-{disputed_at:%Y%m%d%H%M%S}"}
    disputed = _Remark("resolution.disputed", party, disputed_at, name)
    weekday = disputed_at.astimezone(desk.time_zone).weekday()
    decided_at = _office_time_after(rng, desk, disputed_at, (_TUESDAY - weekday - 1) % 7 + 1)
    decided = _Remark("dispute.decided", Party.PLATFORM, decided_at, name | {"upheld": fate in _UPHELD})
    return disputed, decided


# Telling and delivering ----------------------------------------------------------------------------------------------

_SOURCES = MappingProxyType(
    {Party.CLIENT: "helpdesk", Party.EXPERT: "expert-portal", Party.PLATFORM: "quality-desk"},
)


@dataclass(frozen=True, slots=True)
class _Event:
    """A CloudEvent before it is sent."""

    case: _Case
    id: str
    remark: _Remark

    @property
    def body(self) -> dict[str, object]:
        return {
            "id": self.id,
            "type": self.remark.type,
            "source": f"{_SOURCES[self.remark.party]}/{self.case.desk.client}",
            "time": format_instant(self.remark.time),
            "subject": self.case.id,
            "data": dict(self.remark.data),
        }


@dataclass(frozen=True, slots=True)
class _Sent:
    """An event at a door."""

    client: str
    party: Party
    received_at: datetime
    id: str
    body: Mapping[str, object]

    def enveloped(self) -> Message:
        return envelop(self.client, self.party, self.received_at, self.body)


def _tell(case: _Case) -> Iterator[_Event]:
    """The events of a case; ids count them in order of time."""
    for number, remark in enumerate(sorted(case.remarks, key=lambda remark: remark.time), 1):
        yield _Event(case, f"{case.id}.{number}", remark)


def _peer_reviews(rng: Random, cases: Iterable[_Case]) -> Iterator[_Event]:
    """A review by a peer of one in ten of nordwind's solutions that stand.

    Mostly by the next expert of the desk, now and then by the one before, which makes a review mutual, or by oneself.
    """
    for case in cases:
        peers, solved = list(case.desk.experts), case.remarks[0]
        if case.desk.client != "nordwind" or case.fate is not _Fate.PLAIN or rng.randrange(10):
            continue
        place = peers.index(str(solved.data["expert"]))
        step = _draw(rng, {1: 16, -1: 2, 0: 2})
        score = rng.choices(_STARS.scores, _STARS.weights)[0]
        data = {"reviewer": peers[(place + step) % len(peers)], "score": score, "scale_min": 1, "scale_max": 5}
        reviewed_at = _office_time_after(rng, case.desk, solved.time, rng.randint(1, 3))
        if reviewed_at <= _LAST_REMARK:
            yield _Event(case, f"{case.id}.peer", _Remark("resolution.peer_reviewed", Party.EXPERT, reviewed_at, data))


def _deliver(rng: Random, event: _Event) -> _Sent:
    return _send(event, event.remark.time + timedelta(seconds=_delay_seconds(rng, event.remark.party)))


def _send(event: _Event, received_at: datetime) -> _Sent:
    return _Sent(event.case.desk.client, event.remark.party, received_at, event.id, event.body)


def _delay_seconds(rng: Random, party: Party) -> int:
    """Mostly seconds; a client's system is now and then hours late, or its clock up to 200 seconds fast."""
    usual = rng.randint(1, 40)
    if party is not Party.CLIENT:
        return usual
    ranges = {(usual, usual): 96, (3600, 48 * 3600): 3, (-200, -1): 1}
    return rng.randint(*_draw(rng, ranges))


def _deliver_again(rng: Random, events: Sequence[_Event]) -> Iterator[_Sent]:
    """A second delivery of about 3% of the events, up to six hours after the usual one."""
    for event in events:
        if event.case.fate not in _IS_PARKED and rng.randrange(100) < 3:
            yield _send(event, event.remark.time + timedelta(seconds=rng.randint(60, 6 * 3600)))


def _malformed(rng: Random, cases: Sequence[_Case]) -> Iterator[_Sent]:
    """Messages that cannot be decoded, each wrong in a way of its own."""
    wrong: tuple[dict[str, object], ...] = (
        {"type": "resolution.rated", "data": {"score": 7, "scale_min": 1, "scale_max": 5}},
        {"type": "resolution.completed", "data": {"resolver": "expert", "channel": "chat"}},
        {"type": "resolution.escalated"},
        {"type": "resolution.reopened", "time": "2026-10-09T10:00:00"},
    )
    chosen = rng.sample([case for case in cases if case.fate is _Fate.PLAIN], len(wrong))
    for case, fields in zip(chosen, wrong, strict=True):
        event = _Event(case, f"{case.id}.x", case.remarks[0])
        yield _Sent(case.desk.client, Party.CLIENT, event.remark.time, event.id, event.body | {"data": {}} | fields)


def _expect(cases: Sequence[_Case], facts: Sequence[_Event], sent: Sequence[_Sent], malformed: int) -> Expected:
    def count(client: str) -> ClientCounts:
        own = [case for case in cases if case.desk.client == client]
        return ClientCounts(
            facts_sent=sum(message.client == client for message in sent),
            distinct_facts=sum(event.case.desk.client == client for event in facts),
            cases=len(own),
            cycles=sum(case.cycles for case in own),
            reopened_cycles=sum(case.fate in _REOPENED for case in own),
        )

    return Expected(
        clients={desk.client: count(desk.client) for desk in _DESKS},
        malformed=malformed,
        unknown_expert=sum(case.fate is _Fate.UNKNOWN_EXPERT for case in cases),
        unpriced=sum(case.fate is _Fate.UNPRICED for case in cases),
    )
