"""`solvent finance entry`: entries made by hand, as commands of a few lines each."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import connect
from cli.options import By, Stack, console
from cli.printing import Form

entry_app = typer.Typer(help="Entries made by hand; each needs two people.", no_args_is_help=True)

Hash = Annotated[str, typer.Argument(metavar="ID", help="The hash that `propose` printed.")]
AsOf = Annotated[datetime | None, typer.Option("--as-of", help="Now, on the embedded stack; AWS takes the clock's.")]


@entry_app.command("propose", epilog="For example: solvent finance entry propose bank-fee.yaml --by ann")
def propose(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="reason, evidence, effective_on, postings")],
    *,
    by: By = None,
    as_of: AsOf = None,
    stack: Stack = None,
) -> None:
    """Let an entry wait for a second person; proposing the same file again changes nothing."""
    from cli.entries import propose_entry  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(propose_entry(here.store, file, here.identity(by), here.decided_at(as_of), console))


@entry_app.command("list", epilog="For example: solvent finance entry list --all --csv")
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Posted and withdrawn ones too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON; amounts as texts, in major units.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV; amounts in major units.")] = False,
    stack: Stack = None,
) -> None:
    """What waits for a second person, line by line."""
    from cli.entries import list_entries  # noqa: PLC0415  # YAML is for few commands only

    form = Form(as_json, as_csv)
    raise typer.Exit(list_entries(connect(stack).store, form, console, everything=everything))


@entry_app.command("approve", epilog="For example: solvent finance entry approve 1f0c33a49cd1e1b2 --by bob")
def approve(id_: Hash, *, by: By = None, as_of: AsOf = None, stack: Stack = None) -> None:
    """Post exactly what somebody else proposed; approving it again changes nothing."""
    from cli.entries import approve_entry  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(approve_entry(here.store, id_, here.identity(by), here.decided_at(as_of), console))


@entry_app.command("withdraw", epilog="For example: solvent finance entry withdraw 1f0c33a49cd1e1b2 --by ann")
def withdraw(id_: Hash, *, by: By = None, as_of: AsOf = None, stack: Stack = None) -> None:
    """Let what was proposed be posted no more; what is posted is reversed instead."""
    from cli.entries import withdraw_entry  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(withdraw_entry(here.store, id_, here.identity(by), here.decided_at(as_of), console))


@entry_app.command(
    "reverse", epilog="For example: solvent finance entry reverse manual:1f0c33a49cd1e1b2 --reason 'Paid by card'"
)
def reverse(
    entry: Annotated[str, typer.Argument(metavar="ENTRY_ID", help="An entry that was made by hand: manual:...")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the new entry.")],
    by: By = None,
    as_of: AsOf = None,
    stack: Stack = None,
) -> None:
    """Propose an entry that takes another one back, and names it; it needs a second person as well."""
    from cli.entries import reverse_entry  # noqa: PLC0415  # YAML is for few commands only

    here = connect(stack)
    raise typer.Exit(reverse_entry(here.store, entry, reason, here.identity(by), here.decided_at(as_of), console))
