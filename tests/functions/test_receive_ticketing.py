"""The function behind helpdesks' webhooks: what it keeps for how long, answers, and tells of refusals."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from events.adapters.doors import Door
from events.adapters.signatures import Request
from events.adapters.systems import System
from events.decode import decode
from functions import receive_ticketing as function
from functions import serve_api, wiring
from functions.api.errors import no_route
from settlement.ports import Changes
from tests import ticketing
from tests.ticketing import HELPDESKS, MARKERS, NOW, a_door

ZENDESK = HELPDESKS[0]
URL = "https://abc.execute-api.us-east-1.amazonaws.com/webhooks/acme-zendesk"


class Stack:
    """A registry, secrets, a bus and a store; `reads` counts how often the first two were asked."""

    def __init__(self) -> None:
        self.known = {"acme-zendesk": a_door(System.ZENDESK)}
        self.secrets: tuple[str, ...] = (ticketing.SECRET,)
        self.put: list[Mapping[str, object]] = []
        self.parked: list[Any] = []
        self.reads = 0
        self.clock = 1000.0

    def doors(self, ids: Sequence[str]) -> Mapping[str, Door]:
        self.reads += 1
        return {id_: self.known[id_] for id_ in ids if id_ in self.known}

    def commit(self, changes: Changes) -> None:
        self.parked += changes.parked


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack()
    monkeypatch.setenv("SOLVENT_STACK", "s")
    monkeypatch.setattr(function, "_known", {})
    monkeypatch.setattr(function, "registry", lambda: made)
    monkeypatch.setattr(wiring, "store", lambda: made)
    monkeypatch.setattr(function, "door_secrets", lambda _, name: made.secrets if name == "doors/zendesk" else ())
    monkeypatch.setattr(function, "put_facts", lambda _, facts: made.put.extend(facts))
    monkeypatch.setattr(function.time, "monotonic", lambda: made.clock)  # type: ignore[attr-defined]  # the module
    return made


def call(door: str, sent: Request, *, is_encoded: bool = False, clock: str = "") -> tuple[int, Any]:
    body = base64.b64encode(sent.body).decode() if is_encoded else sent.body.decode(errors="replace")
    event = {
        "rawPath": f"/webhooks/{door}",
        "rawQueryString": "",
        "headers": {name.lower(): value for name, value in sent.headers.items()}
        | ({"x-solvent-clock": clock} if clock else {}),
        "pathParameters": {"door": door},
        "requestContext": {
            "requestId": "req-1",
            "timeEpoch": int(NOW.timestamp() * 1000),
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "http": {"method": "POST"},
        },
        "body": body,
        "isBase64Encoded": is_encoded,
    }
    answered = function.handler.__wrapped__(event, None)  # type: ignore[attr-defined]
    return answered["statusCode"], json.loads(answered["body"])


def solved() -> Request:
    return ticketing.request(System.ZENDESK, ZENDESK.solved)


@pytest.mark.parametrize("is_encoded", [False, True])
def test_a_genuine_webhook_is_put_on_the_bus_as_its_doors_client_and_acknowledged(
    stack: Stack, *, is_encoded: bool
) -> None:
    assert call("acme-zendesk", solved(), is_encoded=is_encoded) == (202, {"facts": 1})
    [delivered] = map(decode, stack.put)
    assert (delivered.client, delivered.case_id, delivered.received_at) == ("acme", "zendesk-5158", NOW)


def test_a_door_that_signs_its_address_is_checked_with_the_one_that_was_called(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.known = {"hubs": a_door(System.HUBSPOT, secret="doors/zendesk")}  # noqa: S106  # a name
    monkeypatch.setattr(ticketing, "URL", URL.replace("acme-zendesk", "hubs"))
    [hubspot] = [helpdesk for helpdesk in HELPDESKS if helpdesk.system is System.HUBSPOT]
    assert call("hubs", ticketing.request(System.HUBSPOT, hubspot.solved)) == (202, {"facts": 1})
    monkeypatch.setattr(ticketing, "URL", URL)
    assert call("hubs", ticketing.request(System.HUBSPOT, hubspot.solved))[0] == 401


def test_a_door_and_its_secrets_are_kept_for_a_minute_so_that_both_values_of_a_rotation_must_hold_longer(
    stack: Stack,
) -> None:
    assert [call("acme-zendesk", solved())[0] for _ in range(3)] == [202] * 3
    assert stack.reads == 1
    stack.secrets = ("the-new-one",)
    assert call("acme-zendesk", solved())[0] == 202
    stack.clock += 61
    assert call("acme-zendesk", solved())[0] == 401
    stack.secrets = ("the-new-one", ticketing.SECRET)
    stack.clock += 61
    assert call("acme-zendesk", solved())[0] == 202
    stack.known.clear()
    stack.clock += 61
    assert call("acme-zendesk", solved())[0] == 404


@pytest.mark.parametrize("door", ["globex", "", "..", "a" * 3000, "acme zendesk", "Acme-Zendesk"])
def test_what_is_no_door_is_answered_as_what_is_no_route(stack: Stack, door: str) -> None:
    path = f"/webhooks/{door}"
    assert call(door, solved()) == (404, no_route(path).body("req-1"))
    asked = {"routeKey": "$default", "rawPath": path, "requestContext": {"requestId": "req-1"}}
    assert serve_api.handler(asked, None)["body"] == json.dumps(no_route(path).body("req-1"))
    assert stack.put == []


def test_a_door_without_a_secret_and_one_whose_secret_was_never_kept_let_nobody_in(stack: Stack) -> None:
    stack.known = {"archive": Door.model_validate(ARCHIVE), "new": a_door(System.ZENDESK, secret="none-yet")}  # noqa: S106
    assert call("archive", solved())[0] == 404
    assert call("new", solved())[0] == 401


ARCHIVE = {
    "id": "archive",
    "client": "acme",
    "system": "csv",
    "account": "old",
    "time_zone": "UTC",
    "fields": {"case": "Ticket", "reopened_at": "Reopened"},
}


def test_a_refusal_has_the_form_of_the_apis_errors_and_is_counted_with_its_code(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    status, body = call("acme-zendesk", ticketing.tampered(solved()))
    error = body["error"]
    assert (status, error["type"], error["code"]) == (401, "authentication_error", "unauthenticated")
    assert error["request_id"] == "req-1"
    [counted] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert counted["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["stack", "code"]]
    assert (counted["RefusedWebhooks"], counted["code"], counted["door"]) == ([1.0], "unauthenticated", "acme-zendesk")
    assert (stack.put, stack.parked) == ([], [])


def test_what_is_genuine_and_unreadable_is_parked_by_its_hash_and_nothing_of_it_is_told(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = json.loads(json.dumps(ZENDESK.solved))
    broken["detail"]["id"] = ticketing.PERSON
    status, body = call("acme-zendesk", ticketing.request(System.ZENDESK, broken))
    assert (status, body["error"]["code"]) == (422, "not_an_id")
    [parked] = stack.parked
    assert (parked.client, parked.message, parked.id.partition(":")[0]) == ("acme", None, "refused")
    told = (json.dumps(body) + repr(parked) + capsys.readouterr().out).lower()
    assert [marker for marker in MARKERS if marker in told] == []


def test_of_a_batch_the_unreadable_are_parked_once_each_and_the_others_let_in(stack: Stack) -> None:
    stack.known = {"hubs": a_door(System.HUBSPOT, secret="doors/zendesk")}  # noqa: S106  # a name
    ticketing.URL, before = URL.replace("acme-zendesk", "hubs"), ticketing.URL
    bad = ticketing.hubspot("4", ticketing.SOLVED_AT) | {"objectId": "no id"}
    good = ticketing.hubspot("4", ticketing.SOLVED_AT)
    status, body = call("hubs", ticketing.request(System.HUBSPOT, [bad, good, bad]))
    ticketing.URL = before
    assert (status, body) == (202, {"facts": 1})
    assert len(stack.put) == len(stack.parked) == 1


def test_the_clock_of_a_request_counts_only_where_the_template_says_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = "2026-03-02T13:00:00Z"
    assert call("acme-zendesk", solved(), clock=later)[0] == 202
    assert decode(stack.put[-1]).received_at == NOW
    monkeypatch.setenv("SOLVENT_CLOCK_OF_REQUESTS", "taken")
    assert call("acme-zendesk", solved(), clock=later)[1]["error"]["code"] == "stale"
