"""The helpdesks that Solvent can read, as tables: where their fields are, and which events mean what. Pure.

A client's door may put another path in the place of each. Names marked "assumed" are chosen by whoever sets the webhook
up, and are those that the README proposes.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from events.adapters.payloads import find, text_of
from events.adapters.rules import (
    FIVE,
    Feed,
    Field,
    Listing,
    Rule,
    Scale,
    SystemTable,
    has,
    is_open,
    is_solved,
    lacks,
)
from events.adapters.signatures import SchemeName
from events.facts import Resolver


class System(StrEnum):
    """What a door reads: a helpdesk's webhooks, its listings or its export."""

    ZENDESK = "zendesk"
    INTERCOM = "intercom"
    FRESHDESK = "freshdesk"
    SALESFORCE = "salesforce"
    GORGIAS = "gorgias"
    HUBSPOT = "hubspot"
    JIRA = "jira"
    SERVICENOW = "servicenow"
    CSV = "csv"


# -- Zendesk: event webhooks, and a trigger's webhook for ratings ------------------------------------------------------

_STATUS_CHANGED = has(Field.EVENT, "zen:event-type:ticket.status_changed")
_ZENDESK = SystemTable(
    scheme=SchemeName.ZENDESK,
    solved=frozenset({"solved", "closed"}),
    scale=Scale(
        scale_min=0,
        scale_max=1,
        values={
            "good": 1,
            "bad": 0,
            "good, i'm satisfied": 1,
            "bad, i'm unsatisfied": 0,
            "offered": None,
            "unoffered": None,
        },
    ),
    feed=Feed(
        paths={
            Field.EVENT: "type",
            Field.KEY: "id",
            Field.CASE: "detail.id | ticket_id",
            Field.STATUS: "event.current",
            Field.PREVIOUS: "event.previous",
            Field.AT: "time",
            Field.AGENT: "detail.assignee_id",
            Field.CHANNEL: "detail.via.channel",
            Field.LANGUAGE: "detail.tags",
            Field.SKILL: "detail.group_id",
            Field.PRIORITY: "detail.priority",
            Field.OPENED_AT: "detail.created_at",
            Field.RATING: "rating",  # assumed
            Field.RATED_AT: "rated_at | @sent",  # assumed
        },
        rules=(
            Rule("completed", (_STATUS_CHANGED, is_solved(Field.STATUS), is_open(Field.PREVIOUS))),
            Rule("reopened", (_STATUS_CHANGED, has(Field.STATUS), is_open(Field.STATUS), is_solved(Field.PREVIOUS))),
            Rule("rated"),
        ),
    ),
)

# -- Intercom: notifications of conversations --------------------------------------------------------------------------


def _reply_to_closed(item: Mapping[str, object]) -> dict[str, str]:
    """@reply: `to_closed` for a customer's reply after the last closing that no agent has answered yet.

    Intercom opens a closed conversation when its customer replies, and says so by the reply alone.
    """
    if item.get("topic") != "conversation.user.replied":
        return {}
    closed_at = text_of(find(item, "data.item.statistics.last_close_at"))
    answered_at = text_of(find(item, "data.item.statistics.last_admin_reply_at")) or "0"
    if not (closed_at.isdecimal() and answered_at.isdecimal()):
        return {}
    return {"@reply": "to_closed"} if int(answered_at) <= int(closed_at) else {}


_CONVERSATION = "data.item"
_PARTS = f"{_CONVERSATION}.conversation_parts.conversation_parts"
_CLOSING = f"{_PARTS}[part_type=close]"
_INTERCOM = SystemTable(
    scheme=SchemeName.INTERCOM,
    scale=FIVE,
    kinds={"bot": Resolver.AI},
    feed=Feed(
        prepare=_reply_to_closed,
        paths={
            Field.ACCOUNT: "app_id",
            Field.EVENT: "topic",
            Field.PREVIOUS: "@reply",
            Field.CASE: f"{_CONVERSATION}.id",
            Field.COMPLETED_AT: f"{_CLOSING}.created_at | {_CONVERSATION}.updated_at | created_at",
            Field.REOPENED_AT: f"{_PARTS}[-1].created_at | {_CONVERSATION}.updated_at | created_at",
            Field.AGENT: (
                f"{_CLOSING}.author.id | {_CONVERSATION}.statistics.last_closed_by_id"
                f" | {_CONVERSATION}.admin_assignee_id"
            ),
            Field.AGENT_KIND: f"{_CLOSING}.author.type",
            Field.CHANNEL: f"{_CONVERSATION}.source.type",
            Field.LANGUAGE: f"{_CONVERSATION}.tags.tags[].name",
            Field.SKILL: f"{_CONVERSATION}.team_assignee_id",
            Field.PRIORITY: f"{_CONVERSATION}.priority",
            Field.OPENED_AT: f"{_CONVERSATION}.created_at",
            Field.FIRST_RESPONSE_AT: f"{_CONVERSATION}.statistics.first_admin_reply_at",
            Field.RATING: f"{_CONVERSATION}.conversation_rating.rating",
            Field.RATED_AT: f"{_CONVERSATION}.conversation_rating.created_at",
        },
        rules=(
            Rule("completed", (has(Field.EVENT, "conversation.admin.closed"),)),
            Rule("reopened", (has(Field.EVENT, "conversation.admin.opened"),)),
            Rule("reopened", (has(Field.EVENT, "conversation.user.replied"), has(Field.PREVIOUS, "to_closed"))),
            Rule("rated", (has(Field.EVENT, "conversation.rating.added"),)),
        ),
    ),
)

# -- Freshdesk: an automation's webhook, and its ratings by polling ----------------------------------------------------

_STATUS_CHANGE = re.compile(r"status:\{from:([^,{}]*),to:([^,{}]*)\}")


def _status_change(item: Mapping[str, object]) -> dict[str, str]:
    """@from and @to: the states in `triggered_event`, which is like JSON but is none."""
    event = text_of(find(item, "freshdesk_webhook.triggered_event")).replace(" ", "").replace('"', "")
    change = _STATUS_CHANGE.search(event)
    if change is not None:
        return {"@from": change[1], "@to": change[2]}
    return {} if event else {"@to": text_of(find(item, "freshdesk_webhook.ticket_status"))}


_FRESHDESK = SystemTable(
    scheme=SchemeName.BEARER,
    solved=frozenset({"4", "5", "resolved", "closed"}),
    # The seven faces of the survey, evenly spaced: their numbers are names, 100 is in the middle.
    scale=Scale(
        scale_min=1,
        scale_max=7,
        values={"-103": 1, "-102": 2, "-101": 3, "100": 4, "101": 5, "102": 6, "103": 7},
    ),
    feed=Feed(
        prepare=_status_change,
        paths={
            Field.CASE: "freshdesk_webhook.ticket_id",
            Field.STATUS: "@to",
            Field.PREVIOUS: "@from",
            Field.AT: "freshdesk_webhook.ticket_updated_at | @received",  # assumed
            Field.AGENT: "freshdesk_webhook.ticket_agent_id",  # assumed
            Field.CHANNEL: "freshdesk_webhook.ticket_source",  # assumed
            Field.LANGUAGE: "freshdesk_webhook.ticket_tags",  # assumed
            Field.SKILL: "freshdesk_webhook.ticket_group_id",  # assumed
            Field.PRIORITY: "freshdesk_webhook.ticket_priority",
            Field.OPENED_AT: "freshdesk_webhook.ticket_created_at",  # assumed
        },
        rules=(
            Rule("completed", (is_solved(Field.STATUS), is_open(Field.PREVIOUS))),
            Rule("reopened", (has(Field.STATUS), is_open(Field.STATUS), is_solved(Field.PREVIOUS))),
        ),
    ),
    listings={
        "ratings": Listing(
            url="/api/v2/surveys/satisfaction_ratings",
            query={"created_since": "{since}", "page": "{page}", "per_page": "{limit}"},
            beginning="1970-01-01T00:00:00Z",
            first_page="1",
            page_step=1,
            newest="created_at",
            feed=Feed(
                paths={
                    Field.CASE: "ticket_id",
                    Field.RATING: "ratings.default_question",
                    Field.RATED_AT: "updated_at | created_at",
                },
                rules=(Rule("rated"),),
            ),
        )
    },
)

# -- Salesforce: change events of cases, by an event relay, a flow or an API destination -------------------------------

_HEADER = "ChangeEventHeader"
_A_CASE = has(Field.OBJECT, "case")
_CLOSED_OR_OPENED = (has(Field.EVENT, "update"), has(Field.CHANGED, "isclosed", "status"))
_SALESFORCE = SystemTable(
    scheme=SchemeName.TOKEN,
    solved=frozenset({"true"}),
    feed=Feed(
        items="detail.payload | data.payload | payload | ",
        paths={
            Field.OBJECT: f"{_HEADER}.entityName",
            Field.EVENT: f"{_HEADER}.changeType",
            Field.CHANGED: f"{_HEADER}.changedFields",
            Field.KEY: f"{_HEADER}.transactionKey+{_HEADER}.sequenceNumber",
            Field.CASE: f"{_HEADER}.recordIds",
            Field.STATUS: "IsClosed",
            Field.AT: f"{_HEADER}.commitTimestamp",
            Field.AGENT: f"OwnerId | {_HEADER}.commitUser",
            Field.CHANNEL: "Origin",
            Field.LANGUAGE: "Language",
            Field.PRIORITY: "Priority",
            Field.OPENED_AT: "CreatedDate",
        },
        rules=(
            Rule("gap", (_A_CASE, has(Field.EVENT, "gap_create", "gap_update", "gap_undelete", "gap_overflow"))),
            Rule("completed", (_A_CASE, has(Field.EVENT, "create", "undelete"), is_solved(Field.STATUS))),
            Rule("completed", (_A_CASE, *_CLOSED_OR_OPENED, is_solved(Field.STATUS))),
            Rule("reopened", (_A_CASE, *_CLOSED_OR_OPENED, has(Field.STATUS), is_open(Field.STATUS))),
            Rule("rated", (_A_CASE, has(Field.EVENT, "create", "update"))),
        ),
    ),
)

# -- Gorgias: an HTTP integration, whose body its administrator writes, and its surveys by polling ---------------------

_GORGIAS = SystemTable(
    scheme=SchemeName.TOKEN,
    solved=frozenset({"closed"}),
    scale=FIVE,
    is_zoneless=True,
    feed=Feed(
        paths={
            Field.EVENT: "event_type",  # assumed
            Field.CASE: "ticket.id",
            Field.STATUS: "ticket.status",
            Field.COMPLETED_AT: "ticket.closed_datetime",
            Field.REOPENED_AT: "ticket.updated_datetime | @received",
            Field.AGENT: "ticket.assignee_user.id",
            Field.CHANNEL: "ticket.channel",
            Field.LANGUAGE: "ticket.language",
            Field.SKILL: "ticket.assignee_team.id",
            Field.PRIORITY: "ticket.priority",
            Field.OPENED_AT: "ticket.created_datetime",
            Field.RATING: "ticket.satisfaction_survey.score",
            Field.RATED_AT: "ticket.satisfaction_survey.scored_datetime",
        },
        rules=(
            Rule(
                "completed",
                (
                    has(Field.EVENT, "ticket-closed", "ticket-updated", "ticket-status-updated", ""),
                    is_solved(Field.STATUS),
                ),
            ),
            Rule(
                "reopened",
                (has(Field.EVENT, "ticket-reopened", "ticket-status-updated"), is_open(Field.STATUS)),
            ),
            Rule("rated"),
        ),
    ),
    listings={
        "surveys": Listing(
            url="/api/satisfaction-surveys",
            query={"limit": "{limit}", "cursor": "{page}"},
            next_page="meta.next_cursor",
            feed=Feed(
                items="data",
                paths={Field.CASE: "ticket_id", Field.RATING: "score", Field.RATED_AT: "scored_datetime"},
                rules=(Rule("rated"),),
            ),
        )
    },
)

# -- HubSpot: property changes of tickets in batches, and feedback by polling ------------------------------------------

_STAGE_CHANGE = (
    has(Field.EVENT, "ticket.propertychange", "object.propertychange"),
    has(Field.OBJECT, "0-5", ""),
    has(Field.PROPERTY, "hs_pipeline_stage"),
    has(Field.STATUS),
)
_HUBSPOT = SystemTable(
    scheme=SchemeName.HUBSPOT,
    key_scheme=SchemeName.BEARER,
    solved=frozenset({"4"}),
    scale=Scale(scale_min=0, scale_max=2),
    feed=Feed(
        paths={
            Field.ACCOUNT: "portalId",
            Field.EVENT: "subscriptionType",
            Field.OBJECT: "objectTypeId",
            Field.PROPERTY: "propertyName",
            Field.CASE: "objectId",
            Field.STATUS: "propertyValue",
            Field.AT: "occurredAt",
            Field.AGENT: "sourceId",
        },
        rules=(
            Rule("completed", (*_STAGE_CHANGE, is_solved(Field.STATUS))),
            Rule("reopened", (*_STAGE_CHANGE, is_open(Field.STATUS))),
        ),
    ),
    listings={
        "feedback": Listing(
            url="/crm/v3/objects/feedback_submissions",
            query={
                "properties": "hs_survey_type,hs_value,hs_createdate",
                "associations": "tickets",
                "limit": "{limit}",
                "after": "{page}",
            },
            next_page="paging.next.after",
            resumes=True,
            feed=Feed(
                items="results",
                paths={
                    Field.EVENT: "properties.hs_survey_type",
                    Field.CASE: "associations.tickets.results[0].id",
                    Field.RATING: "properties.hs_value",
                    Field.RATED_AT: "properties.hs_createdate | createdAt",
                },
                rules=(Rule("rated", (has(Field.EVENT, "csat", ""), has(Field.CASE))),),
            ),
        )
    },
)

# -- Jira Service Management: issue webhooks, and satisfaction by an automation's request or by polling ----------------

_JIRA = SystemTable(
    scheme=SchemeName.JIRA,
    scale=FIVE,
    feed=Feed(
        paths={
            Field.CASE: "issue.key",
            Field.RATING: "rating",
            Field.RATED_AT: "rated_at | timestamp | @received",  # assumed
            Field.EVENT: "webhookEvent",
            Field.KEY: "changelog.id",
            Field.STATUS: "changelog.items[field=resolution].to",
            Field.PREVIOUS: "changelog.items[field=resolution].from",
            Field.AT: "timestamp",
            Field.AGENT: "issue.fields.assignee.accountId | user.accountId",
            Field.LANGUAGE: "issue.fields.labels",
            Field.SKILL: "issue.fields.components[].name",
            Field.PRIORITY: "issue.fields.priority.name",
            Field.OPENED_AT: "issue.fields.created",
        },
        rules=(
            Rule("completed", (has(Field.EVENT, "jira:issue_updated"), has(Field.STATUS), lacks(Field.PREVIOUS))),
            Rule("reopened", (has(Field.EVENT, "jira:issue_updated"), lacks(Field.STATUS), has(Field.PREVIOUS))),
            Rule("rated"),
        ),
    ),
    listings={
        "feedback": Listing(
            url="/rest/api/3/search/jql",
            query={
                "jql": '"Satisfaction date" >= "{since}"',
                "fields": "{fields}",
                "maxResults": "{limit}",
                "nextPageToken": "{page}",
            },
            beginning="1970-01-02T00:00:00Z",
            next_page="nextPageToken",
            newest=Field.RATED_AT,
            by_day=True,
            feed=Feed(
                items="issues",
                # Satisfaction and its date are fields with numbers that differ from site to site.
                paths={Field.CASE: "key", Field.RATING: "", Field.RATED_AT: ""},
                rules=(Rule("rated"),),
            ),
        )
    },
)

# -- ServiceNow: incidents by polling; its audit log is read by `servicenow` -------------------------------------------

_SERVICENOW = SystemTable(
    solved=frozenset({"6", "7", "resolved", "closed"}),
    is_zoneless=True,
    listings={
        "incidents": Listing(
            url="/api/now/table/incident",
            query={
                "sysparm_query": "sys_updated_on>={since}^ORDERBYsys_updated_on^ORDERBYnumber",
                "sysparm_fields": (
                    "number,state,resolved_at,resolved_by,reopened_time,opened_at,contact_type,category,priority,"
                    "assignment_group,sys_updated_on"
                ),
                "sysparm_display_value": "false",
                "sysparm_offset": "{page}",
                "sysparm_limit": "{limit}",
            },
            beginning="1970-01-01 00:00:00",
            first_page="0",
            page_step=100,
            newest="sys_updated_on",
            is_ordered=True,
            feed=Feed(
                items="result",
                paths={
                    Field.CASE: "number",
                    Field.STATUS: "state",
                    Field.COMPLETED_AT: "resolved_at",
                    Field.REOPENED_AT: "reopened_time",
                    Field.AGENT: "resolved_by.value | resolved_by",
                    Field.CHANNEL: "contact_type",
                    Field.SKILL: "category",
                    Field.PRIORITY: "priority",
                    Field.ROUTE: "assignment_group.value | assignment_group",
                    Field.OPENED_AT: "opened_at",
                },
                rules=(
                    Rule("completed", (is_solved(Field.STATUS), has(Field.COMPLETED_AT))),
                    Rule("reopened", (has(Field.REOPENED_AT),)),
                ),
            ),
        )
    },
)

# -- Any export: the door names every column ---------------------------------------------------------------------------

_CSV = SystemTable(
    kinds={kind.value: kind for kind in Resolver},
    is_zoneless=True,
    feed=Feed(
        is_table=True,
        paths={},
        rules=(
            Rule("completed", (has(Field.COMPLETED_AT),)),
            Rule("reopened", (has(Field.REOPENED_AT),)),
            Rule("rated"),
        ),
    ),
)

SYSTEMS: Mapping[System, SystemTable] = {
    System.ZENDESK: _ZENDESK,
    System.INTERCOM: _INTERCOM,
    System.FRESHDESK: _FRESHDESK,
    System.SALESFORCE: _SALESFORCE,
    System.GORGIAS: _GORGIAS,
    System.HUBSPOT: _HUBSPOT,
    System.JIRA: _JIRA,
    System.SERVICENOW: _SERVICENOW,
    System.CSV: _CSV,
}
