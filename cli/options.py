"""What commands take: the options that many of them have, what is typed in them, and where they print."""

import gzip
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Annotated, get_args

import typer
from rich.console import Console

from events.facts import OwnerId, Slug
from ledger.errors import InvalidMoney
from ledger.money import Currency, parse_decimal, to_minor_units

console = Console()

Stack = Annotated[
    str | None,
    typer.Option("--stack", envvar="SOLVENT_STACK", help="A stack in AWS; without it the embedded one that runs here."),
]
By = Annotated[str | None, typer.Option("--by", help="Who you are, on the embedded stack; AWS knows that itself.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON; amounts in minor units.")]
TermsDay = Annotated[datetime | None, typer.Option("--as-of", help="Today, for the rule against back-dating.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="As CSV, one row for each line.")]

# For fullmatch: what cannot be an id is never looked up.
EXPERT_ID = re.compile(get_args(OwnerId)[1].pattern)
NAME = re.compile(get_args(Slug)[1].pattern)
FORM_OF_A_NAME = "small letters and digits, then also . - and _, at most 64"


def instant(as_of: datetime | None) -> datetime:
    """The instant that a command is asked about: in UTC if it names no zone, now if it is not given."""
    return as_of.replace(tzinfo=as_of.tzinfo or UTC) if as_of else datetime.now(UTC)


def day(as_of: datetime | None) -> date:
    """The day that a command is asked about; today (UTC) if it is not given."""
    return as_of.date() if as_of else datetime.now(UTC).date()


def typed_amount(amount: str, code: Currency) -> int:
    """The minor units of an amount of major units as somebody types it; raises InvalidMoney unless it is above zero."""
    minor_units = to_minor_units(parse_decimal(amount), code)
    if minor_units.denominator != 1 or minor_units <= 0:
        raise InvalidMoney(f"{amount} is not a positive amount of {code}")
    return int(minor_units)


def open_export(file: Path) -> IO[str]:
    """A helpdesk's export as text in UTF-8, packed if its name ends in .gz; newlines are left to whoever reads CSV."""
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")
