"""`solvent door`: how each client's helpdesk is read, and what it proves itself with."""

from pathlib import Path
from typing import Annotated

import typer

from cli.connection import connect
from cli.options import AsJson, Stack, console

doors_app = typer.Typer(help="How clients' helpdesks are read, and what they prove.", no_args_is_help=True)

DoorId = Annotated[str, typer.Argument(metavar="DOOR", help="A door that was applied.")]


@doors_app.command("check")
def check_doors(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Doors as YAML files.")],
) -> None:
    """Check doors by themselves; every problem with file, line, field and what would be right."""
    from cli.doors import check  # noqa: PLC0415  # YAML is for few commands only

    raise typer.Exit(check(files, console))


@doors_app.command("list")
def list_doors(*, as_json: AsJson = False, stack: Stack = None) -> None:
    """Every door: whose helpdesk it is, where it sends its webhooks, what is polled, and whether it has its secrets."""
    from cli.doors import list_doors as print_doors  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(print_doors(connect(stack), console, as_json=as_json))


@doors_app.command("secret", epilog="For example: solvent door secret acme-zendesk --rotate")
def secret(
    door: DoorId,
    *,
    key: Annotated[bool, typer.Option("--key", help="The key that listings are polled with, instead.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Take another; the one before stays valid, too.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Forget the one before the newest; asks for none.")] = False,
    stack: Stack = None,
) -> None:
    """Keep what a helpdesk proves itself with, as the helpdesk shows it. It is asked for, or read from a pipe."""
    from cli.doors import Secret, keep_secret  # noqa: PLC0415  # keep --help quick

    here = connect(stack)
    typed = "" if finish else str(typer.prompt("The secret", hide_input=True, err=True))
    raise typer.Exit(keep_secret(here, door, Secret(typed, key, rotate, finish), console))
