"""What helpdesks send, in the documented shapes with values of our own, and signed as they sign it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from events.adapters.doors import Agents, Door
from events.adapters.rules import Attribute, Field, Scale
from events.adapters.signatures import Request
from events.adapters.systems import System

SECRET = "made-up-secret"  # noqa: S105  # that is what it is
URL = "https://api.example.com/v1/hooks/acme"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SOLVED_AT = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
REOPENED_AT = SOLVED_AT + timedelta(minutes=20)
RATED_AT = SOLVED_AT + timedelta(minutes=10)
MARKERS = ("pii-test", "jane", "doe", "202-555")
PERSON = "PII-TEST Jane Doe, jane.doe@example.com, 202-555-0100"

Payload = dict[str, object] | list[dict[str, object]]
Json: TypeAlias = Any


def epoch(at: datetime) -> int:
    return int(at.timestamp())


def rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


# -- how they sign -----------------------------------------------------------------------------------------------------


def _mac(algorithm: str, content: bytes) -> bytes:
    return hmac.new(SECRET.encode(), content, algorithm).digest()


def _zendesk(body: bytes, at: datetime) -> dict[str, str]:
    stamp = rfc3339(at)
    signature = base64.b64encode(_mac("sha256", stamp.encode() + body)).decode()
    return {"X-Zendesk-Webhook-Signature": signature, "X-Zendesk-Webhook-Signature-Timestamp": stamp}


def _hubspot(body: bytes, at: datetime) -> dict[str, str]:
    stamp = str(epoch(at) * 1000)
    signature = base64.b64encode(_mac("sha256", b"POST" + URL.encode() + body + stamp.encode())).decode()
    return {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": stamp}


_HEADERS: Mapping[System, Callable[[bytes, datetime], dict[str, str]]] = {
    System.ZENDESK: _zendesk,
    System.HUBSPOT: _hubspot,
    System.INTERCOM: lambda body, _: {"X-Hub-Signature": "sha1=" + _mac("sha1", body).hex()},
    System.JIRA: lambda body, _: {"X-Hub-Signature": "sha256=" + _mac("sha256", body).hex()},
    System.FRESHDESK: lambda _, __: {"Authorization": f"Bearer {SECRET}"},
    System.SALESFORCE: lambda _, __: {"X-Solvent-Token": SECRET},
    System.GORGIAS: lambda _, __: {"X-Engine-Token": SECRET},
}


def request(system: System, payload: object, at: datetime = NOW) -> Request:
    """A request of a helpdesk, genuine and made at that time."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", **_HEADERS[system](body, at)}
    return Request(method="POST", url=URL, headers=headers, body=body)


def tampered(sent: Request) -> Request:
    """The same request with one more blank in its body, which means the same to a parser."""
    return replace(sent, body=sent.body + b" ")


def body_hash(sent: Request) -> str:
    return hashlib.sha256(sent.body).hexdigest()


# -- what they send ----------------------------------------------------------------------------------------------------


def zendesk(current: str, previous: str, at: datetime, event: str = "evt-1") -> Payload:
    detail = {"id": "5158", "status": current, "priority": "HIGH", "assignee_id": "900100", "group_id": "700"}
    people = {"subject": PERSON, "description": PERSON, "requester_id": "555001", "external_id": PERSON}
    more = {"tags": ["vip", "lang_es"], "via": {"channel": "web"}, "created_at": "2026-03-02T10:00:00Z"}
    return {
        "type": "zen:event-type:ticket.status_changed",
        "account_id": 22129848,
        "id": event,
        "time": rfc3339(at),
        "subject": "zen:ticket:5158",
        "detail": {**detail, **people, **more},
        "event": {"meta": {"sequence": {"id": "01HS", "position": 1}}, "current": current, "previous": previous},
    }


def zendesk_rating(rating: str) -> Payload:
    at = rfc3339(RATED_AT)
    return {"event": "ticket.rated", "ticket_id": "5158", "rating": rating, "rated_at": at, "comment": PERSON}


def intercom(topic: str, part: str, at: datetime, author: str = "admin", **more: object) -> Payload:
    person = {"type": "contact", "id": "5ba682d2", "external_id": PERSON}
    item: dict[str, object] = {
        "type": "conversation",
        "id": "21322009097",
        "created_at": epoch(SOLVED_AT) - 3600,
        "updated_at": epoch(at),
        "title": PERSON,
        "source": {"type": "conversation", "body": PERSON, "author": {"name": PERSON, "email": PERSON}},
        "admin_assignee_id": 1957471,
        "team_assignee_id": "5017691",
        "contacts": {"type": "contact.list", "contacts": [person]},
        "tags": {"type": "tag.list", "tags": [{"type": "tag", "id": "1", "name": "lang_es"}]},
        "statistics": {"first_admin_reply_at": epoch(SOLVED_AT) - 3500, "last_close_at": epoch(SOLVED_AT)},
        "conversation_parts": {
            "conversation_parts": [
                {
                    "part_type": part,
                    "body": PERSON,
                    "created_at": epoch(at),
                    "author": {"type": author, "id": "1957471", "name": PERSON},
                }
            ]
        },
    }
    return {"type": "notification_event", "app_id": "abc123", "topic": topic, "data": {"item": {**item, **more}}}


def intercom_rating(score: int | None) -> Payload:
    teammate = {"type": "admin", "id": 1957471}
    rating = {"rating": score, "remark": PERSON, "created_at": epoch(RATED_AT), "teammate": teammate}
    return intercom("conversation.rating.added", "close", SOLVED_AT, conversation_rating=rating)


def freshdesk(event: str, at: datetime, status: str = "Resolved") -> Payload:
    people = {"ticket_subject": PERSON, "requester_name": PERSON, "requester_email": PERSON, "ticket_url": PERSON}
    ticket = {
        "ticket_id": "11",
        "triggered_event": event,
        "ticket_status": status,
        "ticket_priority": "Low",
        "ticket_agent_id": "31",
        "ticket_group_id": "700",
        "ticket_updated_at": rfc3339(at),
    }
    return {"freshdesk_webhook": {**ticket, **people}}


def salesforce(changes: Mapping[str, object], at: datetime, change: str = "UPDATE", key: str = "0002e9d8") -> Payload:
    header = {
        "entityName": "Case",
        "recordIds": ["500XX0000000001AAA"],
        "changeType": change,
        "transactionKey": key,
        "sequenceNumber": 1,
        "commitTimestamp": epoch(at) * 1000,
        "commitUser": "005XX000000000AAAA",
        "changedFields": list(changes),
    }
    return {"ChangeEventHeader": header, "Subject": PERSON, "SuppliedEmail": PERSON, "Comments": PERSON, **changes}


def gorgias(event: str, status: str, at: datetime, score: int | None = None, rated_at: str | None = None) -> Payload:
    ticket = {
        "id": 500,
        "status": status,
        "channel": "email",
        "language": "es",
        "subject": PERSON,
        "assignee_user": {"id": 77, "name": PERSON, "email": PERSON},
        "assignee_team": {"id": 700},
        "tags": [{"name": PERSON}],
        "customer": {"id": 120, "name": PERSON, "email": PERSON},
        "closed_datetime": at.replace(tzinfo=None).isoformat() if status == "closed" else None,
        "updated_datetime": at.replace(tzinfo=None).isoformat(),
        "satisfaction_survey": {"score": score, "scored_datetime": rated_at, "body_text": PERSON},
    }
    return {"event_type": event, "ticket": ticket}


def hubspot(stage: str, at: datetime, ticket: int = 123) -> dict[str, object]:
    event = {"eventId": 100, "portalId": 62515, "occurredAt": epoch(at) * 1000, "attemptNumber": 0, "objectId": ticket}
    change = {"propertyName": "hs_pipeline_stage", "propertyValue": stage}
    return {**event, **change, "subscriptionType": "ticket.propertyChange", "sourceId": "userId:12345", "note": PERSON}


def jira(change: Mapping[str, object], at: datetime, history: str = "10124") -> Payload:
    issue = {
        "id": "25201",
        "key": "SUP-154",
        "fields": {
            "summary": PERSON,
            "description": PERSON,
            "reporter": {"displayName": PERSON, "emailAddress": PERSON},
            "assignee": {"accountId": "557058:aaaa", "displayName": PERSON},
            "priority": {"name": "Highest"},
            "components": [{"name": "Consoles"}],
            "labels": ["lang_es"],
            "created": "2026-03-02T10:00:00.000+0000",
        },
    }
    items = [{"field": "status", "from": "3", "to": "10001"}, {"field": "resolution", **change}]
    return {
        "timestamp": epoch(at) * 1000,
        "webhookEvent": "jira:issue_updated",
        "user": {"accountId": "557058:bbbb", "displayName": PERSON},
        "issue": issue,
        "changelog": {"id": history, "items": items},
        "comment": {"body": PERSON},
    }


def jira_rating(score: int) -> Payload:
    """What an automation sends once a customer rated."""
    return {"type": "csat", "issue": {"key": "SUP-154"}, "rating": score, "rated_at": rfc3339(RATED_AT), "c": PERSON}


# -- whose they are ----------------------------------------------------------------------------------------------------

_LANGUAGES = {"lang_es": "es", "*": "en"}


def a_door(system: System, **changes: object) -> Door:
    """A door of acme's, as `HELPDESKS` uses it unless changed."""
    skills = {"700": "consoles", "5017691": "consoles", "Consoles": "consoles"}
    known: dict[str, object] = {
        "id": f"acme-{system}",
        "client": "acme",
        "system": system,
        "account": {System.INTERCOM: "abc123", System.HUBSPOT: "62515"}.get(system, "acme"),
        "secret": f"doors/{system}",
        "agents": Agents(experts=dict.fromkeys(_AGENTS[system], "maya")),
        "maps": {Attribute.SKILL: skills},
    }
    if system in {System.ZENDESK, System.INTERCOM, System.JIRA}:
        known["maps"] = {Attribute.SKILL: skills, Attribute.LANGUAGE: _LANGUAGES}
    if system is System.GORGIAS:
        known |= {"time_zone": "UTC", "header": "X-Engine-Token"}
    if system is System.SALESFORCE:
        known |= {"fields": {Field.RATING: "CSAT__c"}, "rating": Scale(scale_min=1, scale_max=5)}
    return Door.model_validate(known | changes)


_AGENTS: Mapping[System, tuple[str, ...]] = {
    System.ZENDESK: ("900100",),
    System.INTERCOM: ("1957471",),
    System.FRESHDESK: ("31",),
    System.SALESFORCE: ("005XX000000000AAAA",),
    System.GORGIAS: ("77",),
    System.HUBSPOT: ("userId:12345",),
    System.JIRA: ("557058:aaaa",),
    System.SERVICENOW: ("6816f79cc0a8016401c5a33be04be441",),
    System.CSV: ("Maya",),
}


@dataclass(frozen=True, slots=True)
class Helpdesk:
    """What one helpdesk sends when a case is solved, reopened and rated, and when nothing of interest happens.

    `rated` is None where ratings are polled; `labels` are those of the solution.
    """

    system: System
    case: str
    solved: Payload
    reopened: Payload
    rated: Payload | None
    score: tuple[int, int, int]
    ignored: Payload
    labels: Mapping[str, str]

    def __str__(self) -> str:
        return self.system


_FULL = {"priority": "highest", "skill": "consoles", "language": "es"}
HELPDESKS = (
    Helpdesk(
        System.ZENDESK,
        "zendesk-5158",
        zendesk("SOLVED", "OPEN", SOLVED_AT),
        zendesk("OPEN", "SOLVED", REOPENED_AT, "evt-2"),
        zendesk_rating("good"),
        (1, 0, 1),
        zendesk("CLOSED", "SOLVED", REOPENED_AT, "evt-3"),
        {"channel": "web", "priority": "high", "skill": "consoles", "language": "es"},
    ),
    Helpdesk(
        System.INTERCOM,
        "intercom-21322009097",
        intercom("conversation.admin.closed", "close", SOLVED_AT),
        intercom("conversation.admin.opened", "open", REOPENED_AT),
        intercom_rating(4),
        (4, 1, 5),
        intercom("conversation.admin.noted", "note", REOPENED_AT),
        {"channel": "conversation", "skill": "consoles", "language": "es"},
    ),
    Helpdesk(
        System.FRESHDESK,
        "freshdesk-11",
        freshdesk("{status:{from:2,to:4}}", SOLVED_AT),
        freshdesk("{status:{from:4,to:2}}", REOPENED_AT, "Open"),
        None,
        (7, 1, 7),
        freshdesk("{priority:{from:1,to:4}}", REOPENED_AT),
        {"priority": "low", "skill": "consoles"},
    ),
    Helpdesk(
        System.SALESFORCE,
        "salesforce-500XX0000000001AAA",
        salesforce({"Status": "Closed", "IsClosed": True, "Priority": "High", "Origin": "Phone"}, SOLVED_AT),
        salesforce({"Status": "Working", "IsClosed": False}, REOPENED_AT, key="0002e9d9"),
        salesforce({"CSAT__c": 4.0}, RATED_AT, key="0002e9da"),
        (4, 1, 5),
        salesforce({"Priority": "Low", "IsClosed": True}, REOPENED_AT) | {"ChangeEventHeader": {"entityName": "Lead"}},  # type: ignore[operator]
        {"channel": "phone", "priority": "high"},
    ),
    Helpdesk(
        System.GORGIAS,
        "gorgias-500",
        gorgias("ticket-updated", "closed", SOLVED_AT),
        gorgias("ticket-reopened", "open", REOPENED_AT),
        gorgias("ticket-message-created", "closed", SOLVED_AT, 5, "2026-03-02T11:10:00"),
        (5, 1, 5),
        gorgias("ticket-updated", "open", REOPENED_AT),
        {"channel": "email", "skill": "consoles", "language": "es"},
    ),
    Helpdesk(
        System.HUBSPOT,
        "hubspot-123",
        [hubspot("4", SOLVED_AT)],
        [hubspot("2", REOPENED_AT)],
        None,
        (2, 0, 2),
        [hubspot("4", SOLVED_AT) | {"propertyName": "subject", "propertyValue": PERSON}],
        {},
    ),
    Helpdesk(
        System.JIRA,
        "jira-SUP-154",
        jira({"from": None, "to": "10000"}, SOLVED_AT),
        jira({"from": "10000", "to": None}, REOPENED_AT, "10125"),
        jira_rating(4),
        (4, 1, 5),
        jira({"from": "10000", "to": "10001"}, REOPENED_AT, "10126"),
        _FULL,
    ),
)
