"""What `solvent door` does."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.apply import refuse
from cli.connection import Connection
from cli.printing import DONE, refused, say, table
from cli.terms_files import read_doors
from cli.yaml_documents import BrokenFiles
from events.adapters.doors import Door
from infra.aws.secrets import door_secrets, keep_door_secrets


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that was typed, and what is to become of the one before."""

    value: str
    is_key: bool
    rotate: bool
    finish: bool


def check(files: Sequence[Path], console: Console) -> int:
    """Say what is wrong with doors, or how many there are."""
    try:
        doors = read_doors(files)
    except BrokenFiles as broken:
        return refuse(broken.problems, console, "")
    say(f"{len(doors)} doors, nothing to mend.", console)
    return DONE


def list_doors(here: Connection, console: Console, *, as_json: bool) -> int:
    """Every door by id; never a secret."""
    rows = [_row(here, door) for door in sorted(here.registry.doors().values(), key=lambda it: it.id)]
    if as_json:
        say(json.dumps(rows, indent=2), console)
    else:
        columns = ("door", "client", "source", "webhooks to", "polled", "state")
        cells = [[str(row[name]) for name in ("id", "client", "source", "webhooks", "polled", "state")] for row in rows]
        console.print(table("Doors", columns, cells, ()))
    return DONE


def _row(here: Connection, door: Door) -> dict[str, object]:
    missing = [f"secret {name}" for name in _names(door) if not door_secrets(here.stack, name)]
    return {
        "id": door.id,
        "client": door.client,
        "source": door.source,
        "webhooks": f"/webhooks/{door.id}" if door.authenticity else "",
        "polled": ", ".join(door.polled),
        "state": f"has no {', '.join(missing)}" if missing else "ready",
    }


def _names(door: Door) -> list[str]:
    """The names of its secrets."""
    return [name for name in (door.secret, door.poll.key if door.poll else None) if name]


def keep_secret(here: Connection, door: str, secret: Secret, console: Console) -> int:
    """Keep a door's secret, or the key for its polls: in the place of the one before, or beside it for a while."""
    found = here.registry.doors([door]).get(door)
    if found is None:
        return refused(f"there is no door {door}; apply one", console)
    name = (found.poll.key if found.poll else None) if secret.is_key else found.secret
    if name is None:
        what = "is not polled, so it has no `poll.key`" if secret.is_key else "names no `secret`"
        return refused(f"{door} {what}; change its file and apply it", console)
    known = door_secrets(here.stack, name)
    if problem := _problem(name, secret, len(known)):
        return refused(problem, console)
    values = known[:1] if secret.finish else (secret.value.strip(), *known)
    keep_door_secrets(here.stack, name, values)
    say(f"{name}: {len(values)} valid; functions take it within a minute", console)
    return DONE


def _problem(name: str, secret: Secret, known: int) -> str:
    """Why a secret cannot be kept as is asked, where `known` values are kept already; nothing if it can."""
    if secret.rotate and secret.finish:
        return "give --rotate or --finish, not both"
    if secret.rotate and known != 1:
        return f"{name} has {known} values, so there is nothing to rotate; give one without, or finish the rotation"
    if secret.finish and known != 2:
        return f"{name} has {known} values, so there is nothing to finish"
    if not secret.finish and not secret.value.strip():
        return "the secret is empty; give the one that the helpdesk shows"
    if known and not secret.rotate and not secret.finish:
        return f"{name} has a value already; --rotate takes another and keeps that one valid"
    return ""
