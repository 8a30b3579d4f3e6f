"""The doors on the embedded stack: every helpdesk's webhooks, and events with a token, from HTTP to settled cases."""

import csv
import gzip
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.apply import apply_folder
from cli.connection import Connection
from cli.import_events import events_api, import_csv
from events.adapters.doors import Agents, Door
from events.adapters.signatures import WINDOW, Request, Signed
from events.adapters.systems import System
from events.facts import CaseId
from infra.aws.registry import DynamoRegistry
from infra.aws.secrets import keep_door_secrets
from infra.aws.store import DynamoStore
from infra.aws.tables import TABLES, bind
from infra.exports import export_ledger, open_export
from infra.local.player import Player
from settlement.apply import NewTerms, plan_changes
from settlement.cases import SUPERSEDED, CycleStatus
from settlement.registry import Client
from tests import ticketing
from tests.end_to_end.api_stack import ApiStack, api_stack
from tests.ticketing import HELPDESKS, Helpdesk, Payload, a_door
from tests.world import a_contract, a_plan, an_expert

DESK = "desk"
ROOT = Path(__file__).parents[2]
LOG = ROOT.parent / "shared" / "samples" / "tickets" / "servicenow_incident_log.csv.gz"
EXAMPLE = ROOT / "docs" / "examples" / "helpdesk_import"
MARKERS = ("pii-test", "jane", "202-555")
ACKNOWLEDGED_WITHIN = 0.2


@dataclass
class Doors:
    """The stack with a door for every helpdesk, and everything that was put on its bus."""

    api: ApiStack
    store: DynamoStore
    tap: str

    def address(self, door: str) -> str:
        """Where a door is, as API Gateway tells the function, and as systems that sign addresses sign it."""
        api_id = self.api.stack.address.api_url.split("/execute-api/")[1].split("/")[0]
        return f"https://{api_id}.execute-api.127.0.0.1/webhooks/{door}"

    def request(self, helpdesk: Helpdesk, payload: object, ago: timedelta = timedelta(0)) -> Request:
        """What the helpdesk sends, signed for its door."""
        ticketing.URL = self.address(f"{DESK}-{helpdesk.system}")
        return ticketing.request(helpdesk.system, payload, datetime.now(UTC) - ago)

    def post(self, door: str, sent: Request) -> tuple[int, Any]:
        """Status and body."""
        address = f"{self.api.stack.address.api_url}/webhooks/{door}"
        request = urllib.request.Request(address, sent.body, dict(sent.headers), method="POST")  # noqa: S310  # loopback
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310  # see above
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def facts_of(self, case: str, client: str = DESK) -> list[str]:
        """The types of a case's facts, once everything that was sent is settled."""
        Player(self.api.stack).rest("facts")
        [found] = self.store.cases([(client, CaseId(case))]).values()
        return [fact.type.removeprefix("resolution.") for fact in found.facts]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with api_stack(tmp_path_factory.mktemp("doors")) as api:
        name = api.stack.address.stack_name
        store, registry = DynamoStore(bind(name)), DynamoRegistry()
        new = _terms()
        registry.write(plan_changes(registry.current_terms(), new, datetime.now(UTC).date()))
        for door in new.doors:
            keep_door_secrets(name, str(door.secret), ("the-one-before", ticketing.SECRET))
        yield Doors(api, store, _tap(api))


def _terms() -> NewTerms:
    """A client that buys whatever comes, so that no fact is parked, and who solves all of it."""
    return NewTerms(
        clients=(Client(id=DESK, name="Desk", email="billing@desk.example"),),
        contracts=(a_contract(client=DESK, starts_on="2020-01-01"),),
        plans=(a_plan(starts_on="2020-01-01"),),
        experts=(an_expert("max", assignments={DESK: "standard"}),),
        doors=tuple(_door(helpdesk.system) for helpdesk in HELPDESKS),
    )


def _door(system: System) -> Door:
    door = a_door(system, id=f"{DESK}-{system}", client=DESK)
    return door.model_copy(update={"agents": Agents(experts=dict.fromkeys(door.agents.experts, "max"))})


def _tap(api: ApiStack) -> str:
    """A queue that gets what the queue of facts gets."""
    sqs, events = api.stack.client("sqs"), api.stack.client("events")
    url = sqs.create_queue(QueueName="tap")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = api.stack.address.stack_name
    events.put_rule(Name="tap", EventBusName=bus, EventPattern='{"source": ["solvent.doors"]}')
    events.put_targets(Rule="tap", EventBusName=bus, Targets=[{"Id": "tap", "Arn": arn}])
    return str(url)


def _sent(helpdesk: Helpdesk) -> list[tuple[Payload, int]]:
    """What it sends of its case, in no good order, and how many facts each payload tells of."""
    rated = [(helpdesk.rated, 1)] if helpdesk.rated is not None else []
    return [(helpdesk.reopened, 1), (helpdesk.solved, 1), (helpdesk.ignored, 0), *rated]


@pytest.mark.parametrize("helpdesk", HELPDESKS, ids=str)
def test_a_helpdesks_events_become_facts_once_whatever_their_order(doors: Doors, helpdesk: Helpdesk) -> None:
    sent = _sent(helpdesk)
    for payload, facts in [*sent, *reversed(sent)]:
        answered = doors.post(f"{DESK}-{helpdesk.system}", doors.request(helpdesk, payload))
        assert answered == (202, {"facts": facts})
    wanted = ["completed", "rated", "reopened"] if helpdesk.rated is not None else ["completed", "reopened"]
    assert sorted(doors.facts_of(helpdesk.case)) == wanted


@pytest.mark.parametrize("helpdesk", HELPDESKS, ids=str)
def test_what_was_changed_on_its_way_or_comes_too_late_is_not_let_in(doors: Doors, helpdesk: Helpdesk) -> None:
    door, scheme = f"{DESK}-{helpdesk.system}", a_door(helpdesk.system).authenticity
    genuine = doors.request(helpdesk, helpdesk.solved)
    assert doors.post(door, replace(genuine, headers={"Content-Type": "application/json"}))[0] == 401
    if not isinstance(scheme, Signed):
        return  # it sends its secret, and signs nothing
    status, body = doors.post(door, ticketing.tampered(genuine))
    assert (status, body["error"]["type"], body["error"]["code"]) == (401, "authentication_error", "unauthenticated")
    assert body["error"]["request_id"]
    if scheme.time_header:
        late = doors.request(helpdesk, helpdesk.solved, WINDOW + timedelta(minutes=1))
        status, body = doors.post(door, late)
        assert (status, body["error"]["code"]) == (401, "stale")


def test_a_refusal_is_counted_and_logged_without_what_was_refused(doors: Doors) -> None:
    doors.post("desk-zendesk", ticketing.tampered(doors.request(HELPDESKS[0], HELPDESKS[0].solved)))
    lines = [json.loads(line) for line in _log(doors, "receive-ticketing") if line.startswith("{")]
    counted = [line for line in lines if line.get("code") == "unauthenticated" and "_aws" in line]
    assert counted
    assert counted[-1]["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] == "RefusedWebhooks"
    assert counted[-1]["door"] == "desk-zendesk"


def test_no_door_and_no_path_are_answered_alike(doors: Doors) -> None:
    genuine = doors.request(HELPDESKS[0], HELPDESKS[0].solved)
    for path in ("globex-zendesk", "desk-zendesk/x"):
        status, body = doors.post(path, genuine)
        told = body["error"]
        assert (status, told["code"], path in told["message"]) == (404, "not_found", True)
    assert doors.post("..%2Fregistry", genuine)[0] == 404


def test_what_is_genuine_and_cannot_be_read_is_refused_with_its_paths_and_parked_as_a_hash(doors: Doors) -> None:
    zendesk = HELPDESKS[0]
    broken: dict[str, Any] = json.loads(json.dumps(zendesk.solved))
    broken["detail"]["id"] = ticketing.PERSON
    status, body = doors.post("desk-zendesk", doors.request(zendesk, broken))
    assert (status, body["error"]["code"], body["error"]["param"]) == (422, "not_an_id", "detail.id | ticket_id")
    parked = [it for it in doors.store.parked() if it.client == DESK and "detail.id" in it.detail]
    assert [(it.message, it.id.partition(":")[0]) for it in parked] == [(None, "refused")]
    huge = doors.request(zendesk, b'"' + b"x" * 300_000 + b'"')
    assert doors.post("desk-zendesk", huge)[0] == 413


def test_a_helpdesk_is_acknowledged_within_200_milliseconds(doors: Doors) -> None:
    """The 95th percentile of a warm function, in the best of five rounds: others may use this machine, too."""
    sent = doors.request(HELPDESKS[0], HELPDESKS[0].solved)
    percentiles = []
    for _ in range(5):
        took = []
        for _ in range(20):
            began = time.perf_counter()
            assert doors.post("desk-zendesk", sent)[0] == 202
            took.append(time.perf_counter() - began)
        percentiles.append(sorted(took)[18])
    assert min(percentiles) < ACKNOWLEDGED_WITHIN, percentiles


def _event(id_: str, kind: str, case: str, **data: object) -> dict[str, object]:
    at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    return {"id": id_, "type": kind, "source": "desk", "time": at, "subject": case, "data": data}


def test_events_with_a_token_are_judged_one_by_one_and_taken_once(doors: Doors) -> None:
    api, rating = doors.api, {"score": 5, "scale_min": 1, "scale_max": 5, "comment": ticketing.PERSON}
    solved = _event("e1", "resolution.completed", "E-1", resolver="expert", expert="maya", channel="chat")
    rated = _event("e2", "resolution.rated", "E-1", **rating)
    passed = _event("e3", "resolution.qa_reviewed", "E-1", passed=True)
    broken = _event("e4", "resolution.rated", "E-1", score=9, scale_min=1, scale_max=5)
    for _ in range(2):
        status, body, _ = api.request("POST", "/v1/events", api.token("client:acme"), [solved, rated, passed, broken])
        assert (status, [it["status"] for it in body["data"]]) == (200, ["accepted", "accepted", "refused", "refused"])
        assert [it["error"]["param"] for it in body["data"] if it["error"]] == ["type", "data"]
    review = _event("r1", "resolution.peer_reviewed", "E-1", reviewer="omar", score=4, scale_min=1, scale_max=5)
    for expert, wanted in (("omar", "accepted"), ("maya", "refused")):
        _, body, _ = api.request("POST", "/v1/events?client=acme", api.token(f"expert:{expert}"), review)
        assert [it["status"] for it in body["data"]] == [wanted]
    assert api.request("POST", "/v1/events?client=acme", api.token("operator"), passed)[0] == 200
    assert sorted(doors.facts_of("E-1", "acme")) == ["completed", "peer_reviewed", "qa_reviewed", "rated"]


def test_events_need_a_token_of_their_own_tenant(doors: Doors) -> None:
    api, event = doors.api, _event("e9", "resolution.reopened", "E-9")
    assert api.request("POST", "/v1/events", None, event)[0] == 401
    assert api.request("POST", "/v1/events", api.token("approver"), event)[0] == 403
    assert api.request("POST", "/v1/events?client=acme", api.token("client:nordwind"), event)[0] == 404
    assert api.request("POST", "/v1/events?client=nordwind", api.token("expert:maya"), event)[0] == 404
    assert api.request("POST", "/v1/events", api.token("client:acme"), [event] * 101)[0] == 413
    assert doors.facts_of("E-9", "acme") == []


EXPORT = f"""Ticket;Solved;Agent;Stars;Rated;Urgency;Subject
1;03/10/2016 09:00;{ticketing.PERSON};5;03/10/2016 10:00;3 - Moderate;{ticketing.PERSON}
2;soon;Ann;4;03/10/2016 10:00;3 - Moderate;{ticketing.PERSON}
3;04/10/2016 09:00;Ann;;;3 - Moderate;{ticketing.PERSON}
"""


def test_an_audit_log_and_an_export_are_imported_through_the_api(doors: Doors, tmp_path: Path) -> None:
    here = Connection(
        doors.api.stack.address.stack_name, doors.store, DynamoRegistry(), True, doors.api.stack.address.api_url
    )
    out = StringIO()
    console = Console(file=out, width=200)
    assert apply_folder(EXAMPLE, here.registry, date(2026, 11, 1), console, check_only=False, identity=lambda: "t") == 0
    api = events_api(here, "citydesk", None)
    assert import_csv(here, LOG, "citydesk", api, console, skip=0) == 0
    assert "912 facts sent, 0 of them refused, 0 rows not readable" in out.getvalue()
    assert import_csv(here, LOG, "citydesk", api, console, skip=900) == 0
    assert "12 facts sent" in out.getvalue()
    (tmp_path / "export.csv").write_text(EXPORT)
    assert import_csv(here, tmp_path / "export.csv", "citydesk-surveys", api, console, skip=0) == 1
    assert "export.csv:3: Solved: not a time" in out.getvalue()
    player = Player(doors.api.stack)
    player.rest("facts")
    player.trigger("sweep_due", datetime.now(UTC))
    with gzip.open(LOG, "rt") as lines:
        resolved = {row["number"] for row in csv.DictReader(lines) if row["incident_state"] == "Resolved"}
    states = {it.case_id: it.cycles for it in doors.store.all_cases() if it.client == "citydesk"}
    assert states.keys() == resolved | {"SURVEY-1", "SURVEY-3"}
    charged = Counter(it.status for found in states.values() for it in found if it.why != SUPERSEDED)
    assert charged == {CycleStatus.CHARGED: len(states)}


def test_nothing_personal_is_in_any_table_queue_log_or_export(doors: Doors, tmp_path: Path) -> None:
    """All that this and the tests before it sent was full of it; it stands without them."""
    for helpdesk in HELPDESKS:
        door = f"{DESK}-{helpdesk.system}"
        for payload, _ in _sent(helpdesk):
            assert doors.post(door, doors.request(helpdesk, payload))[0] == 202
        assert doors.post(door, ticketing.tampered(doors.request(helpdesk, helpdesk.solved)))[0] in {202, 401}
    told = {helpdesk.case: len(doors.facts_of(helpdesk.case)) for helpdesk in HELPDESKS}
    assert told == {helpdesk.case: sum(facts for _, facts in _sent(helpdesk)) for helpdesk in HELPDESKS}
    export_ledger(doors.store, tmp_path / "export")
    with open_export(tmp_path / "export") as views:
        exported = [str(row) for kind in ("entries", "postings") for row in views.table(kind).fetchall()]
    everything = [*_items(doors), *_messages(doors), *_log(doors, ""), *exported]
    assert len(_messages_seen) >= 2 * len(HELPDESKS)
    assert [text[:200] for text in everything if any(marker in text.lower() for marker in MARKERS)] == []
    assert any(ticketing.PERSON.lower()[:8] in marker for marker in MARKERS)


_messages_seen: list[str] = []


def _items(doors: Doors) -> Iterator[str]:
    """Every item of every table, and every case as it is read, since long ones are packed."""
    database = doors.api.stack.client("dynamodb")
    for table in TABLES:
        for page in database.get_paginator("scan").paginate(TableName=table.Meta.table_name):
            yield from (json.dumps(item, default=str) for item in page["Items"])
    yield from map(repr, doors.store.all_cases())


def _messages(doors: Doors) -> Iterator[str]:
    """What was put on the bus for the queue of facts, and what is in any queue still."""
    sqs = doors.api.stack.client("sqs")
    for url in sqs.list_queues()["QueueUrls"]:
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600).get("Messages"):
            _messages_seen.extend(it["Body"] for it in found if url == doors.tap)
            yield from (it["Body"] for it in found)


def _log(doors: Doors, function: str) -> Iterator[str]:
    logs = doors.api.stack.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        if function in group["logGroupName"]:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
            yield from (event["message"] for page in pages for event in page["events"])
