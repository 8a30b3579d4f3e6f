"""What commands share: where they print, the options that many of them have, and the forms of ids that are typed."""

import re
from datetime import UTC, datetime
from typing import Annotated, get_args

import typer
from rich.console import Console

from events.facts import OwnerId, Slug

console = Console()

Stack = Annotated[
    str | None,
    typer.Option("--stack", envvar="SOLVENT_STACK", help="A stack in AWS; without it the embedded one that runs here."),
]
By = Annotated[str | None, typer.Option("--by", help="Who you are, on the embedded stack; AWS knows that itself.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON; amounts in minor units.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="As CSV, one row for each line.")]

# For fullmatch: what cannot be an id is never looked up.
EXPERT_ID = re.compile(get_args(OwnerId)[1].pattern)
NAME = re.compile(get_args(Slug)[1].pattern)
FORM_OF_A_NAME = "small letters and digits, then also . - and _, at most 64"


def instant(as_of: datetime | None) -> datetime:
    """The instant that a command is asked about: in UTC if it names no zone, now if it is not given."""
    return as_of.replace(tzinfo=as_of.tzinfo or UTC) if as_of else datetime.now(UTC)
