"""What a client asks about its webhooks: where they go, how they are signed, what did not arrive, and send it again."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from events.facts import format_instant
from functions.api.errors import ApiError, not_found
from functions.api.pages import cursor_at, page, position_in
from functions.api.routes import Answer, Call, Cursor, Limit, Routes
from functions.api.views import (
    WebhookEndpoint,
    WebhookEndpointGone,
    WebhookEndpointMade,
    WebhooksQueued,
    WebhookUndelivered,
)
from settlement.announcements import Audience
from settlement.grants import Role
from settlement.webhooks import Endpoint, replayed, types_for

routes = Routes("webhooks")
MOST_ENDPOINTS, MOST_REPLAYED = 16, 500
EndpointName = Annotated[str, Path(description="The id of an endpoint.", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
_TYPES = types_for(Audience.CLIENT)


def _own(call: Call, id_: str) -> Endpoint:
    """The caller's endpoint; another client's is not found, as one that is not there."""
    found = call.registry.endpoints([id_]).get(id_)
    if found is None or found.client != call.tenant:
        raise not_found(f"webhook endpoint {id_}")
    return found


def _shown(call: Call, endpoint: Endpoint) -> Answer:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events or _TYPES),
        "enabled": endpoint.enabled,
        "secrets": len(call.backend.webhooks.secrets(endpoint.id)),
    }


def _with_secret(call: Call, answer: Answer) -> Answer:
    """The answer with the secret that this very request made: it is kept in Secrets Manager only, not with answers."""
    return {**answer, "secret": call.backend.webhooks.secret_made_by(answer["id"], call.derived)}


# -- endpoints ---------------------------------------------------------------------------------------------------------


@routes.lists("/v1/webhook_endpoints", WebhookEndpoint, Role.CLIENT)
def list_webhook_endpoints(limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Every endpoint that webhooks go to, by id; never a secret."""
    call = routes.call
    after = position_in("webhook_endpoints", cursor, str) or ""
    found = [it for it in _all_own(call) if it.id > after]
    shown = [_shown(call, it) for it in found[:limit]]
    return page(shown, cursor_at("webhook_endpoints", found[limit - 1].id) if len(found) > limit else None)


def _all_own(call: Call) -> list[Endpoint]:
    mine = (it for it in call.registry.endpoints().values() if it.client == call.tenant)
    return sorted(mine, key=lambda it: it.id)


class NewEndpoint(BaseModel):
    """Where webhooks are to go, and which."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": "https://acme.example/solvent", "events": ["invoice.issued"]}]},
    )
    url: Annotated[str, Field(min_length=1, max_length=2000, description="An https address of a public host.")]
    events: Annotated[
        list[str], Field(max_length=len(_TYPES), description=f"Of {', '.join(_TYPES)}; empty for all of them.")
    ] = []


@routes.takes("/v1/webhook_endpoints", WebhookEndpointMade, Role.CLIENT, completed_by=_with_secret)
def create_webhook_endpoint(wanted: NewEndpoint) -> Answer:
    """Have webhooks sent to an address.

    The answer has the secret that they are signed with. Nothing but a repetition of this request shows it again.
    """
    call = routes.call
    id_ = f"we-{call.derived}"
    document = {"id": id_, "audience": Audience.CLIENT, "client": call.tenant, **wanted.model_dump()}
    try:
        endpoint = Endpoint.model_validate(document)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "events"
        raise ApiError("parameter_invalid", f"{name}: {first['msg'].removeprefix('Value error, ')}", name) from None
    own = {it.id: it for it in _all_own(call)}
    known = own.get(id_, endpoint)
    if (known.url, known.events) != (endpoint.url, endpoint.events):
        said = "this Idempotency-Key was used for another endpoint"
        raise ApiError("idempotency_key_reused", said, "Idempotency-Key")
    if id_ not in own:
        if len(own) >= MOST_ENDPOINTS:
            raise ApiError("not_as_it_stands", f"there are {MOST_ENDPOINTS} webhook endpoints; delete one first")
        call.registry.add_endpoint(endpoint)
    call.backend.webhooks.make_secret(id_, call.derived)
    return _shown(call, known)


@routes.removes("/v1/webhook_endpoints/<endpoint>", WebhookEndpointGone, Role.CLIENT)
def delete_webhook_endpoint(endpoint: EndpointName) -> Answer:
    """Send nothing more there, and forget its secret. What waits for it is given up."""
    call = routes.call
    found = _own(call, endpoint)
    call.backend.webhooks.forget_secrets(found.id)
    call.registry.remove_endpoint(found.id)
    return {"id": found.id, "is_deleted": True}


# -- secrets -----------------------------------------------------------------------------------------------------------


@routes.takes(
    "/v1/webhook_endpoints/<endpoint>/rotate_secret", WebhookEndpointMade, Role.CLIENT, completed_by=_with_secret
)
def rotate_webhook_secret(endpoint: EndpointName) -> Answer:
    """Make another secret. Both sign until the rotation is finished, so that the receiver has time to take the new one.

    An endpoint without a secret gets its first.
    """
    call = routes.call
    found, webhooks = _own(call, endpoint), call.backend.webhooks
    if webhooks.secret_made_by(found.id, call.derived) is None and len(webhooks.secrets(found.id)) > 1:
        said = f"{found.id} has two secrets; finish the rotation, then begin another"
        raise ApiError("not_as_it_stands", said)
    webhooks.make_secret(found.id, call.derived)
    return _shown(call, found)


@routes.takes("/v1/webhook_endpoints/<endpoint>/finish_rotation", WebhookEndpoint, Role.CLIENT)
def finish_webhook_rotation(endpoint: EndpointName) -> Answer:
    """Sign with the newest secret only."""
    call = routes.call
    found = _own(call, endpoint)
    call.backend.webhooks.keep_newest_secret(found.id)
    return _shown(call, found)


# -- what did not arrive -----------------------------------------------------------------------------------------------


@routes.lists("/v1/webhook_endpoints/<endpoint>/undelivered", WebhookUndelivered, Role.CLIENT)
def list_undelivered_webhooks(endpoint: EndpointName, limit: Limit = 20, cursor: Cursor = None) -> Answer:
    """Webhooks of the last 40 days that were given up, or wait for another attempt, by id; and why."""
    call = routes.call
    name = f"undelivered/{_own(call, endpoint).id}"
    found, last = call.backend.webhooks.undelivered_after(endpoint, position_in(name, cursor, str) or "", limit)
    data = [
        {
            "webhook": it.webhook,
            "type": it.type,
            "state": it.state,
            "attempts": it.attempts,
            "why": it.why,
            "tried_at": format_instant(it.tried_at),
        }
        for it in found
    ]
    return page(data, cursor_at(name, last) if last else None)


class Replay(BaseModel):
    """Which webhooks to send again: these, or all since an instant (inclusive); `cursor` goes on with the latter."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"since": "2026-11-01T00:00:00Z"}]})
    webhooks: Annotated[
        list[Annotated[str, Field(pattern=r"^msg_[0-9a-f]{32}$")]], Field(max_length=MOST_REPLAYED)
    ] = []
    since: AwareDatetime | None = None
    cursor: Annotated[str | None, Field(max_length=600)] = None


@routes.takes("/v1/webhook_endpoints/<endpoint>/replay", WebhooksQueued, Role.CLIENT)
def replay_webhooks(endpoint: EndpointName, replay: Replay) -> Answer:
    """Send webhooks of the last 40 days again, with the ids that they had, in the order of what they tell.

    At most 500 are queued; where there are more, ask again with next_cursor and a key of its own.
    """
    call = routes.call
    found = _own(call, endpoint)
    if bool(replay.webhooks) is (replay.since is not None):
        raise ApiError("parameter_invalid", "webhooks: say which, or `since` when; one of both", "webhooks")
    if not found.enabled:
        raise ApiError("not_as_it_stands", f"{found.id} is not enabled; the operator can enable it")
    name = f"replay/{found.id}"
    told = call.backend.webhooks.announcements(call.tenant)
    all_ = replayed(told, found, frozenset(replay.webhooks), replay.since)
    if unknown := set(replay.webhooks) - {it.id for _, it in all_}:
        raise not_found(f"webhook {min(unknown)} of the last 40 days")
    left = [it for it in all_ if it[0] > (position_in(name, replay.cursor, str) or "")]
    queued = left[:MOST_REPLAYED]
    call.backend.webhooks.queue([it for _, it in queued], call.derived)
    more = cursor_at(name, queued[-1][0]) if len(left) > len(queued) else None
    return {"id": found.id, "queued": len(queued), "has_more": more is not None, "next_cursor": more}
