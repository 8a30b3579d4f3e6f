"""The doors at their crash points: whoever got no answer sends again, and behind the door everything is there once.

Facts come by webhook, by the API and by polling; webhooks leave. What was put on the bus is metered in the end, so that
a fact that was put twice, as any door may, is seen to be charged once. Those whom the webhooks go to know them by id.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

from events.adapters.doors import Agents, Door
from events.adapters.signatures import digest_of
from events.adapters.systems import System
from events.facts import format_instant
from functions import receive_events, receive_ticketing, wiring
from functions.api.events import PATH as EVENTS
from infra.aws.bus import DOORS
from infra.outbound import Asked as Sent
from infra.outbound import Peer
from infra.webhooks import queueing
from settlement.announcements import Announcement, Audience
from settlement.apply import NewTerms, plan_changes
from settlement.web_addresses import target_of
from settlement.webhooks import Endpoint, new_secret, webhooks_for
from tests import ticketing
from tests.simulation.api_calls import CALLS, SEED, Asked, World, worlds
from tests.simulation.aws import Message
from tests.simulation.crash_points import Trial, TrialStage
from tests.simulation.scenes import Scene
from tests.simulation.simulation import Violation
from tests.simulation.stage import Event
from tests.simulation.tried import Tried

_CLIENT, _EXPERT = "client0", "expert-all"
# Between two attempts at the same: no worker of before lives, no helpdesk asks for more patience, no webhook waits.
_LATER = timedelta(minutes=15)
_IS_DOWN_FOR = timedelta(minutes=20)
_POLLS = 3
_ATTEMPTS = 10
# What says how often something was tried, and when.
_OF_ATTEMPTS = {"requests": {"calls"}, "deliveries": {"attempts", "tried_at"}}
# An event, and the ids of all that is known behind the door in the end.
Brought = tuple[Event, Sequence[str]]


class DoorStage(TrialStage):
    """A stage with helpdesks to be asked, servers that take webhooks, and a clock that trials move."""

    clock: datetime

    @contextmanager
    def installed(self) -> Iterator[None]:
        stage = self

        class Clock(datetime):
            @classmethod
            def now(cls, _zone: tzinfo | None = None) -> Any:  # noqa: ANN401  # a base's own type is not wanted
                return stage.clock

        with ExitStack() as stack:
            stack.enter_context(patch.dict("os.environ", {"SOLVENT_API_CALLS_PER_MINUTE": "600"}))
            stack.enter_context(patch("sys.stdout", self.log))  # metrics go there
            for function in ("poll_ticketing", "deliver_webhooks"):
                stack.enter_context(patch(f"functions.{function}.datetime", Clock))
            for module in ("infra.helpdesks.asking", "infra.webhooks.sending"):
                stack.enter_context(patch(f"{module}.find_peer", _peer_of))
                stack.enter_context(patch(f"{module}.answer_of", self._answer_of))
            stack.enter_context(patch("infra.aws.bus.ThreadPoolExecutor", _OneThread))
            stack.callback(_forget)
            stack.enter_context(super().installed())
            yield

    def set_up(self, world: bytes, now: datetime) -> None:
        super().set_up(world, now)
        self.clock = now

    def play(self, function: str, event: Event) -> Mapping[str, Any] | None:
        _forget()
        return super().play(function, event)

    @contextmanager
    def _answer_of(self, peer: Peer, sent: Sent, _seconds: float) -> Iterator[SimpleNamespace]:
        def apply(kind: str) -> SimpleNamespace:
            if kind == "drop_before":
                raise ConnectionError
            answer = _listed(sent) if sent.method == "GET" else self._take(peer, sent)
            if kind == "lost_answer":
                raise TimeoutError
            return answer

        kinds = ("drop_before", "lost_answer")
        yield self.faults.around(f"outside.{sent.method.title()} {peer.target.host}", kinds, apply)

    def _take(self, peer: Peer, sent: Sent) -> SimpleNamespace:
        """A webhook at its receiver, who may be down for a while, or want no more of them."""
        status = {"/ok": 200, "/gone": 410, "/down": 503}[peer.target.path]
        if status == 503 and self.clock > self.now + _IS_DOWN_FOR:
            status = 200
        if status == 200:
            taken = {"taken": sent.headers["webhook-id"], "body": (sent.body or b"").decode()}
            self.cloud.bus.append(json.dumps(taken))
        return SimpleNamespace(status=status)

    def seen(self, triggered: Collection[datetime]) -> dict[str, Counter[str]]:
        return super().seen({*triggered, *(self.now + _LATER * number for number in range(_ATTEMPTS))})

    # -- behind the doors ----------------------------------------------------------------------------------------------

    def meter(self) -> None:
        """Let everything on the bus come to settlement."""
        told = [it["Detail"] for it in map(json.loads, self.cloud.bus) if it.get("Source") == DOORS]
        bodies = [json.dumps({"detail": json.loads(detail)}) for detail in told]
        records = [Message(str(number), body, 0, 0).record() for number, body in enumerate(bodies)]
        answer = self.play("meter_resolutions", {"Records": records}) if records else {}
        if answer is None or answer.get("batchItemFailures"):
            raise Violation(f"settlement does not take what the door let in: {answer}")

    def known(self) -> Counter[str]:
        """Ids of facts, as often as they are in cases, of what is parked, and of webhooks that their receivers know."""
        facts = (fact["id"] for case in self.cloud.items("cases") for fact in json.loads(case["facts"]))
        parked = (item["parked_id"] for item in self.cloud.items("parked"))
        taken = {it["taken"] for it in map(json.loads, self.cloud.bus) if "taken" in it}
        return Counter([*facts, *parked, *taken])

    def _rows(self, table: str) -> Iterator[object]:
        of_attempts = _OF_ATTEMPTS.get(table, set())
        for row in super()._rows(table):
            yield {name: value for name, value in dict(row).items() if name not in of_attempts}  # type: ignore[call-overload]  # rows are


class _OneThread:
    """Calls that are made at once are made one after the other, so that they have an order to be cut in."""

    def __init__(self, _workers: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to wait for."""

    def map(self, do: Callable[[Any], None], of: Sequence[Any]) -> Iterator[None]:
        return map(do, of)


def _peer_of(url: str, *, loopback_allowed: bool) -> Peer:  # noqa: ARG001  # as what it stands for
    return Peer(target_of(url), "192.0.2.1")


def _forget() -> None:
    """What these functions keep for the life of their process."""
    receive_events._backend.cache_clear()  # noqa: SLF001  # a cold start has no cache either
    receive_ticketing._known.clear()  # noqa: SLF001  # see above
    queueing._queue.cache_clear()  # noqa: SLF001  # see above


# -- what is sent to the API -------------------------------------------------------------------------------------------


def _posted(stage: DoorStage, group: str, client: str, events: Sequence[Mapping[str, object]]) -> Brought:
    query = {"queryStringParameters": {"client": client}}
    event = {**Asked(group, EVENTS).event(stage.now), **query, "body": json.dumps(events)}
    return event, [str(it["id"]) for it in events]


def _event(stage: DoorStage, kind: str, case: str, **data: object) -> dict[str, object]:
    at = format_instant(stage.now - timedelta(hours=1))
    fact_id = f"{case}-{kind.rpartition('.')[2]}"
    return {"id": fact_id, "type": kind, "source": "helpdesk", "time": at, "subject": case, "data": data}


def _from_client(stage: DoorStage) -> Brought:
    """More than the bus takes at once."""
    solved = {"resolver": "expert", "expert": _EXPERT, "channel": "chat"}
    events = [_event(stage, "resolution.completed", f"new-{number}", **solved) for number in range(8)]
    rated = {"score": 1, "scale_min": 0, "scale_max": 1}
    events += [_event(stage, "resolution.rated", f"new-{number}", **rated) for number in range(4)]
    return _posted(stage, f"client:{_CLIENT}", _CLIENT, events)


def _charged(stage: DoorStage) -> tuple[str, str, str] | None:
    """An expert who may dispute, the case, and its client."""
    asked = CALLS["/v1/disputes", "expert"](stage)
    return None if asked is None else (asked.group, str(asked.body["case"]), str(asked.body["client"]))


def _from_expert(stage: DoorStage) -> Brought | None:
    if (charged := _charged(stage)) is None:
        return None
    group, case, client = charged
    return _posted(stage, group, client, [_event(stage, "resolution.disputed", case, dispute="expert/d-1")])


def _from_operator(stage: DoorStage) -> Brought | None:
    if (charged := _charged(stage)) is None:
        return None
    _, case, client = charged
    return _posted(stage, "operator", client, [_event(stage, "resolution.qa_reviewed", case, passed=False)])


# -- what helpdesks send, and list -------------------------------------------------------------------------------------


def _open_door(stage: DoorStage, door: Door, *secrets: str) -> None:
    for name in secrets:
        stage.cloud.secrets[f"{stage.cloud.stack}/doors/{name}"] = {"kept": json.dumps([ticketing.SECRET])}
    _apply(stage, NewTerms(doors=(door,)))


def _apply(stage: DoorStage, new: NewTerms) -> None:
    registry = wiring.registry()
    registry.write(plan_changes(registry.current_terms(), new, stage.now.date()))


def _from_helpdesk(stage: DoorStage) -> Brought:
    """A solution that is rated, and a rating that is none."""
    door = ticketing.a_door(
        System.SALESFORCE, id="desk", client=_CLIENT, agents=Agents(experts={"005XX000000000AAAA": _EXPERT})
    )
    _open_door(stage, door, "doors/salesforce")
    at = stage.now - timedelta(hours=1)
    solved = ticketing.salesforce({"Status": "Closed", "IsClosed": True, "Origin": "Phone", "CSAT__c": 4}, at)
    unreadable = ticketing.salesforce({"CSAT__c": 9}, at, key="0002e9d9")
    sent = ticketing.request(System.SALESFORCE, [solved, unreadable], stage.now)
    event = {
        **Asked("", "/webhooks/desk").event(stage.now),
        "headers": {name.lower(): value for name, value in sent.headers.items()},
        "pathParameters": {"door": "desk"},
        "body": sent.body.decode(),
    }
    event["requestContext"]["domainName"] = "api.example.com"
    case = "salesforce-500XX0000000001AAA"
    rated = f"{case}:rated:{format_instant(at)}"
    return event, [f"{case}:completed:0002e9d8-1", rated, f"refused:{_digest(unreadable)}"]


def _digest(item: object) -> str:
    """Under which an item is parked that cannot be read."""
    return digest_of(json.dumps(item, sort_keys=True).encode())


_RATED_AT = "2026-10-01T10:00:00Z"
_FRESHDESK = [
    {"ticket_id": ticket, "ratings": {"default_question": score}, "created_at": _RATED_AT}
    for ticket, score in ((11, 103), (12, 7), (13, -103))
]


def _hubspot(page: str) -> dict[str, object]:
    """Two pages, the second one the last."""
    result = {
        "properties": {"hs_survey_type": "CSAT", "hs_value": "2", "hs_createdate": _RATED_AT},
        "associations": {"tickets": {"results": [{"id": page or "1"}]}},
    }
    return {"results": [result], "paging": {} if page else {"next": {"after": "2"}}}


def _listed(sent: Sent) -> SimpleNamespace:
    """What a helpdesk lists."""
    address = urlsplit(sent.path)
    page = next(iter(parse_qs(address.query).get("after", [])), "")
    body = json.dumps(_FRESHDESK if "satisfaction" in address.path else _hubspot(page)).encode()
    return SimpleNamespace(status=200, read=lambda _most: body, getheader=lambda _name, _else: "")


def _listings(stage: DoorStage) -> Brought:
    """Of two helpdesks; an item of one cannot be read."""
    for system in (System.FRESHDESK, System.HUBSPOT):
        poll = {"address": f"https://{system}.example", "key": f"{system}-key"}
        _open_door(stage, ticketing.a_door(system, client=_CLIENT, poll=poll), f"{system}-key")
    rated = [f"{case}:rated:{_RATED_AT}" for case in ("freshdesk-11", "freshdesk-13", "hubspot-1", "hubspot-2")]
    refused = f"refused:{_digest(_FRESHDESK[1])}"
    return {"time": format_instant(stage.now)}, [*rated, refused]


# -- what leaves -------------------------------------------------------------------------------------------------------


def _webhook(path: str) -> Callable[[DoorStage], Brought]:
    def bring(stage: DoorStage) -> Brought:
        endpoint = Endpoint(id="hooks", audience=Audience.CLIENT, client=_CLIENT, url=f"https://hooks.example/{path}")
        wiring.registry().add_endpoint(endpoint)
        kept = json.dumps([new_secret(bytes(32))])
        stage.cloud.secrets[f"{stage.cloud.stack}/webhooks/hooks"] = {"kept": kept}
        data = {"invoice": "i-1", "period": "2026-10", "currency": "USD", "due_on": "2026-11-14"}
        [webhook] = webhooks_for(Announcement("i:1", "invoice.issued", _CLIENT, stage.now, data, "i-1"), [endpoint])
        record = {
            "messageId": "m-1",
            "receiptHandle": "r-1",
            "body": json.dumps({name: getattr(webhook, name) for name in ("endpoint", "id", "type", "group", "body")}),
            "attributes": {
                "ApproximateReceiveCount": "1",
                "ApproximateFirstReceiveTimestamp": str(int(stage.now.timestamp() * 1000)),
            },
        }
        return {"Records": [record]}, [] if path == "gone" else [webhook.id]

    return bring


# By the function, and what makes a difference.
DOOR_CALLS: Mapping[tuple[str, str], Callable[[DoorStage], Brought | None]] = {
    ("receive_events", "client"): _from_client,
    ("receive_events", "expert"): _from_expert,
    ("receive_events", "operator"): _from_operator,
    ("receive_ticketing", "in part"): _from_helpdesk,
    ("poll_ticketing", "two helpdesks"): _listings,
    ("deliver_webhooks", "taken"): _webhook("ok"),
    ("deliver_webhooks", "down at first"): _webhook("down"),
    ("deliver_webhooks", "unwanted"): _webhook("gone"),
}


# -- how they are brought again, and what must hold in the end ---------------------------------------------------------


class DoorTrial(Trial):
    """Plays a call undisturbed, then once for each point; time passes between attempts, and in the end facts settle."""

    def __init__(self, stage: DoorStage, scene: Scene, told: Sequence[str]) -> None:
        super().__init__(stage, scene)
        self._doors, self._told = stage, told

    def _play(self, event: Event) -> Event | None:
        self._doors.clock += _LATER
        left = super()._play(_counted(event))
        if left is None or "time" not in event:
            return left
        polls = event.get("polls", 0) + 1  # a schedule goes on for ever
        return {**event, "polls": polls} if polls < _POLLS else None

    def _verdict(self, mark: str) -> str:  # noqa: ARG002  # metering makes another world of it
        self._doors.meter()
        known = self._doors.known()
        if wrong := {it: known[it] for it in self._told if known[it] != 1}:
            return f"behind the door {next(iter(wrong))} is known {next(iter(wrong.values()))} times"
        return super()._verdict(self._doors.mark())


def _counted(event: Event) -> Event:
    """A record of a queue as it is received once more."""
    if "Records" not in event:
        return event
    [record] = event["Records"]
    attributes = record["attributes"]
    received = str(int(attributes["ApproximateReceiveCount"]) + 1)
    return {"Records": [{**record, "attributes": {**attributes, "ApproximateReceiveCount": received}}]}


def door_scene(name: tuple[str, str], history: Sequence[World]) -> tuple[Scene, Sequence[str]]:
    """The call in the first world that it makes sense in. Raises LookupError where there is none."""
    function, _ = name
    stage = DoorStage(SEED, 1, 0)
    with stage.installed():
        for now, world in history[len(history) // 2 :]:
            stage.set_up(world, now)
            if brought := DOOR_CALLS[name](stage):
                event, told = brought
                return Scene(function, event, now, stage.saved(), 0, frozenset()), told
    raise LookupError(f"nothing in the history to bring {name} for; take another seed")


def try_door(name: tuple[str, str], history: Sequence[World], *, only_deaths: bool = False) -> Tried:
    """Every point of a call."""
    scene, told = door_scene(name, history)
    stage = DoorStage(SEED, 1, 0)
    with stage.installed():
        return DoorTrial(stage, scene, told).run(only_deaths=only_deaths)


def try_doors(function: str = "") -> Iterator[Tried]:
    """Every point of every call, or of those of a function, one after the other."""
    names = [name for name in DOOR_CALLS if function in {"", name[0]}]
    history = worlds() if names else ()
    yield from (try_door(name, history) for name in names)
