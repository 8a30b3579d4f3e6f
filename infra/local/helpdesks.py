"""The helpdesks of the sample world: what happens to its cases, as the signed webhooks of three systems tell it.

Acme has Zendesk, Nordwind Intercom, Sakura Jira: see the doors of the sample world. What helpdesks do not tell, such as
quality reviews and disputes, is not here.
"""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

CLOCK = "x-solvent-clock"
"""The header that says when a request comes; only the embedded stack takes it."""

_Fact = Mapping[str, Any]
_TOLD = {"resolution.completed", "resolution.rated", "resolution.reopened"}
_MARKER = "PII-TEST Jane Doe, jane.doe@example.com"  # people's words, which no table may ever hold
# As the doors of the sample world read them. 900999 and its likes are agents whom no door lists.
_ZENDESK_AGENTS = {"maya": 900101, "noah": 900102, "omar": 900103, "luis": 900104, "ines": 900105, "yuki": 900106}
_ZENDESK_AGENTS |= {"grace": 900107, "employee": 900200, "ai": 900300}
_INTERCOM_AGENTS = {"lena": 5001, "jonas": 5002, "ines": 5003, "luis": 5004, "tomasz": 5005}
_JIRA_AGENTS = {"yuki": "0001", "haruto": "0002", "mei": "0003", "employee": "0200", "ai": "0300"}
_SKILLS = {"orders": 0, "billing": 1, "technical": 2}


@dataclass(frozen=True, slots=True)
class Posted:
    """A webhook on its way to a door."""

    door: str
    headers: Mapping[str, str]
    body: bytes


def webhook_of(message: Mapping[str, Any]) -> Posted | None:
    """The webhook that tells what a door message does, signed when it came; None if no helpdesk tells such a thing."""
    fact, client = message["fact"], message["client"]
    if client not in _CLIENTS or fact["type"] not in _TOLD or not str(fact["source"]).startswith("helpdesk/"):
        return None
    if fact["id"].endswith(".x"):
        return None  # one of the month's malformed messages, which no helpdesk could have made
    make, sign = _CLIENTS[client]
    door, payload = make(fact)
    body = json.dumps(payload).encode()
    headers = {"Content-Type": "application/json", CLOCK: message["received_at"], **sign(door, body, message)}
    return Posted(door, headers, body)


def secret_of(name: str) -> str:
    """What a helpdesk of the sample world proves itself with: no secret, since it is for loopback only."""
    return f"sample-{name}"


def _by(fact: _Fact, agents: Mapping[str, Any], stranger: object) -> str:
    data = fact["data"]
    return str(agents.get(data.get("expert", data.get("resolver")), stranger))


def _number(fact: _Fact) -> str:
    return str(fact["subject"]).rpartition("-")[2]


def _seconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


# -- Acme: Zendesk -----------------------------------------------------------------------------------------------------


def _zendesk(fact: _Fact) -> tuple[str, object]:
    data = fact["data"]
    if fact["type"] == "resolution.rated":
        door = "acme" if data["scale_max"] == 5 else "acme-phone"
        told = {"ticket_id": _number(fact), "rating": str(data["score"]), "rated_at": fact["time"], "comment": _MARKER}
        return door, told
    is_solved = fact["type"] == "resolution.completed"
    detail: dict[str, object] = {"id": _number(fact), "subject": _MARKER}
    if is_solved:
        detail |= {
            "assignee_id": _by(fact, _ZENDESK_AGENTS, 900999),
            "group_id": str(700 + _SKILLS[data["skill"]]),
            "priority": data["priority"].upper(),
            "tags": ["vip", f"lang_{data['language']}"],
            "via": {"channel": data["channel"]},
            "created_at": data["opened_at"],
        }
    states = ("SOLVED", "OPEN") if is_solved else ("OPEN", "SOLVED")
    return "acme", {
        "type": "zen:event-type:ticket.status_changed",
        "id": fact["id"],
        "time": fact["time"],
        "detail": detail,
        "event": {"current": states[0], "previous": states[1]},
    }


def _sign_zendesk(_: str, body: bytes, message: Mapping[str, Any]) -> dict[str, str]:
    stamp = str(message["received_at"])
    mac = hmac.digest(secret_of("acme").encode(), stamp.encode() + body, "sha256")
    return {
        "X-Zendesk-Webhook-Signature": base64.b64encode(mac).decode(),
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
    }


# -- Nordwind: Intercom ------------------------------------------------------------------------------------------------


def _intercom(fact: _Fact) -> tuple[str, object]:
    data, at = fact["data"], _seconds(fact["time"])
    item: dict[str, object] = {"id": _number(fact), "updated_at": at, "title": _MARKER}
    match fact["type"]:
        case "resolution.rated":
            topic = "conversation.rating.added"
            item["conversation_rating"] = {"rating": 1 + 4 * data["score"], "created_at": at, "remark": _MARKER}
        case "resolution.reopened":
            topic = "conversation.admin.opened"
            item["conversation_parts"] = {"conversation_parts": [{"part_type": "open", "created_at": at}]}
        case _:
            topic = "conversation.admin.closed"
            author = {"type": "admin", "id": _by(fact, _INTERCOM_AGENTS, 5999), "name": _MARKER}
            part = {"part_type": "close", "created_at": at, "author": author, "body": _MARKER}
            item |= {
                "conversation_parts": {"conversation_parts": [part]},
                "created_at": _seconds(data["opened_at"]),
                "priority": data["priority"],
                "source": {"type": data["channel"], "body": _MARKER},
                "statistics": {"first_admin_reply_at": _seconds(data["first_response_at"]), "last_close_at": at},
                "tags": {"tags": [{"name": f"lang_{data['language']}"}]},
                "team_assignee_id": 6000 + _SKILLS[data["skill"]],
            }
    return "nordwind", {"topic": topic, "app_id": "nrd2026", "data": {"item": item}}


def _sign_intercom(_: str, body: bytes, __: Mapping[str, Any]) -> dict[str, str]:
    return {"X-Hub-Signature": "sha1=" + hmac.digest(secret_of("nordwind").encode(), body, "sha1").hex()}


# -- Sakura: Jira Service Management -----------------------------------------------------------------------------------


def _jira(fact: _Fact) -> tuple[str, object]:
    data = fact["data"]
    if fact["type"] == "resolution.rated":
        told = {"issue": {"key": fact["subject"]}, "rating": data["score"], "rated_at": fact["time"], "text": _MARKER}
        return "sakura-ratings", told
    is_solved = fact["type"] == "resolution.completed"
    fields: dict[str, object] = {"summary": _MARKER}
    if is_solved:
        fields |= {
            "assignee": {"accountId": f"557058:{_by(fact, _JIRA_AGENTS, '0999')}", "displayName": _MARKER},
            "components": [{"name": data["skill"].title()}],
            "created": data["opened_at"],
            "customfield_10050": {"value": data["channel"].title()},
            "customfield_10051": data["first_response_at"],
            "labels": ["vip", f"lang_{data['language']}"],
            "priority": {"name": data["priority"].title()},
        }
    change = {"from": None, "to": "10000"} if is_solved else {"from": "10000", "to": None}
    return "sakura", {
        "timestamp": _seconds(fact["time"]) * 1000,
        "webhookEvent": "jira:issue_updated",
        "issue": {"key": fact["subject"], "fields": fields},
        "changelog": {"id": fact["id"], "items": [{"field": "resolution", **change}]},
    }


def _sign_jira(door: str, body: bytes, _: Mapping[str, Any]) -> dict[str, str]:
    if door == "sakura-ratings":
        return {"Authorization": f"Bearer {secret_of(door)}"}
    return {"X-Hub-Signature": "sha256=" + hmac.digest(secret_of(door).encode(), body, "sha256").hex()}


_Make = Callable[[_Fact], tuple[str, object]]
_Sign = Callable[[str, bytes, Mapping[str, Any]], dict[str, str]]
_CLIENTS: Mapping[str, tuple[_Make, _Sign]] = {
    "acme": (_zendesk, _sign_zendesk),
    "nordwind": (_intercom, _sign_intercom),
    "sakura": (_jira, _sign_jira),
}
