"""`solvent import csv`: a helpdesk's export, sent to the public API a hundred events at a time.

Sending again what was taken changes nothing, so an import that was interrupted can simply be repeated, or go on with
--skip where it stopped.
"""

import itertools
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.connection import CannotStart, Connection
from cli.options import open_export
from cli.printing import DONE, FAILED, refused, say
from events.adapters.columns import NoExport, read_export
from events.adapters.rows import ColumnsMissing, UnreadableRow
from events.decode import Delivery, encode
from infra.aws.tokens import identity_of, person_token
from settlement.grants import Role, grant

_BATCH = 100
_TOKEN = "solvent token --role client --client CLIENT --machine"  # noqa: S105  # the command
_TRIES = 6
_SECONDS = 30
_AGAIN = {429, 500, 502, 503, 504}


class TokenNeeded(CannotStart):
    """In AWS nobody gets a token without asking for it."""


class NotTaken(RuntimeError):
    """The API did not take events; the message says why."""


@dataclass(frozen=True, slots=True)
class EventsApi:
    """`POST /v1/events` of a stack; `url` is the API's, without a path."""

    url: str
    token: str

    def send(self, events: Sequence[object]) -> Sequence[Mapping[str, Any]]:
        """The result for each event. A busy API is asked again for about a minute; raises NotTaken."""
        for tried in itertools.count(1):
            try:
                return self._post(events)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in _AGAIN or tried == _TRIES:
                        raise NotTaken(f"the API answered {error.code}: {_said(error.read())}") from None
                    wait = error.headers.get("Retry-After", "")
            except OSError as error:
                if tried == _TRIES:
                    raise NotTaken(f"the API cannot be reached: {error}") from None
                wait = ""
            time.sleep(min(int(wait), 60) if wait.isdigit() else 2**tried / 2)
        raise AssertionError  # the loop has no end of its own

    def _post(self, events: Sequence[object]) -> Sequence[Mapping[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = json.dumps(events).encode()
        request = urllib.request.Request(f"{self.url}/v1/events", body, headers)  # noqa: S310  # the stack's own
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  # see above
            results: Sequence[Mapping[str, Any]] = json.load(answer)["data"]
            return results


def _said(body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return "no reason given"
    error = document.get("error") or document
    return str(error.get("message", "no reason given"))


def events_api(here: Connection, door: str, token: str | None) -> EventsApi:
    """The stack's API with a token of the door's client. Raises CannotStart without one, but on the embedded stack."""
    identity = identity_of(here.stack)
    url = here.api_url or identity.api_url
    found = here.registry.doors([door]).get(door)
    if token is None and not here.is_embedded:
        raise TokenNeeded(f"give a token of the client with --token or SOLVENT_TOKEN; `{_TOKEN}` prints one")
    if token is None and found is not None:
        token = person_token(identity, f"import-{found.client}", grant(Role.CLIENT, found.client))
    return EventsApi(url, token or "")


@dataclass
class _Totals:
    """What became of events and rows so far; `taken` counts those that were skipped, too."""

    taken: int = 0
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def import_csv(here: Connection, file: Path, door_id: str, api: EventsApi, console: Console, *, skip: int) -> int:
    """Send every fact of an export but the first `skip`; 0 if all rows were read and all facts taken.

    Rows that cannot be read, and facts that are refused, are told by line or id, with the field.
    """
    door = here.registry.doors([door_id]).get(door_id)
    if door is None:
        return refused(f"there is no door {door_id}; apply one", console)
    totals = _Totals(taken=skip)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with (
            open_export(file) as lines,
            Progress(*columns, console=console, transient=not console.is_terminal) as progress,
        ):
            task = progress.add_task(f"Importing {file.name}")
            facts = itertools.islice(_facts(read_export(door, lines), file, totals, console), skip, None)
            for batch in _batches(facts):
                _tell(api.send([encode(delivery)["fact"] for delivery in batch]), totals, console)
                totals.taken += len(batch)
                progress.update(task, description=f"Importing {file.name}: {totals.taken:,} facts")
    except (ColumnsMissing, NoExport, UnicodeDecodeError) as unreadable:
        return refused(f"{file}: {unreadable}", console)
    except NotTaken as why:
        return refused(f"{why}. {totals.taken} facts were sent; go on with --skip {totals.taken}", console, FAILED)
    bad = sum(totals.refused.values())
    say(f"{totals.taken - skip} facts sent, {bad} of them refused, {totals.rows} rows not readable", console)
    return FAILED if bad or totals.rows else DONE


def _facts(
    read: Iterable[Delivery | UnreadableRow], file: Path, totals: _Totals, console: Console
) -> Iterator[Delivery]:
    for item in read:
        if isinstance(item, UnreadableRow):
            totals.rows += 1
            refused(f"{file.name}:{item.line}: {item.field}: {item.problem}", console)
        else:
            yield item


def _tell(results: Sequence[Mapping[str, Any]], totals: _Totals, console: Console) -> None:
    for result in results:
        if result["error"]:
            totals.refused[result["error"]["code"]] += 1
            refused(f"{result['id']}: {result['error']['message']}", console)


def _batches(facts: Iterator[Delivery]) -> Iterator[list[Delivery]]:
    while batch := list(itertools.islice(facts, _BATCH)):
        yield batch
