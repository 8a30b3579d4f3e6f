"""What `solvent webhooks` does."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console

from cli.connection import Connection
from cli.options import instant
from cli.printing import DONE, refused, say, table
from events.facts import format_instant
from infra.aws.secrets import keep_webhook_secrets, webhook_secrets
from infra.webhooks.deliveries import announcements, deliveries
from infra.webhooks.desk import SECRET_BYTES
from infra.webhooks.queueing import queue_webhooks
from settlement.webhooks import DeliveryState, new_secret, replayed, types_for


def list_endpoints(here: Connection, console: Console, *, as_json: bool) -> int:
    """Every endpoint by id; never a secret."""
    rows = [
        {
            "id": it.id,
            "for": it.client or it.audience.value,
            "url": it.url,
            "events": list(it.events or types_for(it.audience)),
            "enabled": it.enabled,
            "secrets": len(webhook_secrets(here.stack, it.id)),
        }
        for it in sorted(here.registry.endpoints().values(), key=lambda it: it.id)
    ]
    if as_json:
        say(json.dumps(rows, indent=2), console)
    else:
        cells = [[str(row["id"]), str(row["for"]), str(row["url"]), _joined(row["events"]), _said(row)] for row in rows]
        console.print(table("Webhooks", ("endpoint", "for", "url", "events", "state"), cells, ()))
    return DONE


def _joined(names: object) -> str:
    return ", ".join(names) if isinstance(names, list) else ""


def _said(row: dict[str, object]) -> str:
    if not row["secrets"]:
        return f"no secret: run `solvent webhooks secret {row['id']}`"
    rotating = ", two secrets" if row["secrets"] == 2 else ""
    return ("enabled" if row["enabled"] else "not enabled") + rotating


def make_secret(here: Connection, endpoint: str, console: Console, *, rotate: bool, finish: bool) -> int:
    """Make, rotate or finish rotating the secret of an endpoint; only a new one is printed, and only now."""
    if endpoint not in here.registry.endpoints([endpoint]):
        return refused(f"there is no endpoint {endpoint}; apply one", console)
    known = webhook_secrets(here.stack, endpoint)
    if finish or rotate:
        if rotate and finish:
            return refused("give --rotate or --finish, not both", console)
        if len(known) != (1 if rotate else 2):
            what = "rotate; make one without --rotate, or finish the rotation" if rotate else "finish"
            return refused(f"{endpoint} has {len(known)} secrets, so there is nothing to {what}", console)
    elif known:
        return refused(f"{endpoint} has a secret, which is shown only once; --rotate makes another", console)
    if finish:
        keep_webhook_secrets(here.stack, endpoint, known[:1])
        say(f"{endpoint}: only the newest secret is valid now", console)
        return DONE
    made = new_secret(secrets.token_bytes(SECRET_BYTES))
    keep_webhook_secrets(here.stack, endpoint, (made, *known))
    say(made, console)
    return DONE


def list_failed(console: Console, *, as_json: bool) -> int:
    """What was given up and what waits for its next attempt, oldest attempt first."""
    found = [*deliveries(DeliveryState.FAILED), *deliveries(DeliveryState.WAITING)]
    found.sort(key=lambda it: (it.state, it.tried_at, it.endpoint, it.webhook))
    if as_json:
        rows = [asdict(it) | {"tried_at": format_instant(it.tried_at)} for it in found]
        say(json.dumps(rows, indent=2), console)
        return DONE
    columns = ("endpoint", "webhook", "type", "state", "attempts", "last tried", "why")
    cells = [
        (it.endpoint, it.webhook, it.type, it.state.value, str(it.attempts), format_instant(it.tried_at), it.why)
        for it in found
    ]
    console.print(table("Not delivered", columns, cells, {"attempts"}))
    return DONE


def replay(here: Connection, endpoint: str, which: tuple[Sequence[str], datetime | None], console: Console) -> int:
    """Queue an endpoint's webhooks once more: those of these ids, or all since an instant (inclusive)."""
    ids, since = which
    found = here.registry.endpoints([endpoint]).get(endpoint)
    if found is None:
        return refused(f"there is no endpoint {endpoint}; apply one", console)
    if bool(ids) is (since is not None):
        return refused("say which: ids of webhooks, or --since an instant", console)
    if not found.enabled:
        return refused(f"{endpoint} is not enabled: set `enabled: true` in its file, and apply it", console)
    again = [it for _, it in replayed(announcements(), found, frozenset(ids), instant(since) if since else None)]
    if unknown := set(ids) - {it.id for it in again}:
        return refused(f"{endpoint} was told nothing in 40 days as {', '.join(sorted(unknown))}", console)
    queue_webhooks(here.stack, again, mark=format_instant(datetime.now(UTC)))
    say(f"{len(again)} webhooks are sent again to {endpoint}", console)
    return DONE
