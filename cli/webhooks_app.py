"""`solvent webhooks`: who is told of what, with which secret, and what did not arrive."""

from datetime import datetime
from typing import Annotated

import typer

from cli.connection import connect
from cli.options import AsJson, Stack, console

webhooks_app = typer.Typer(help="Who is told what by webhook, and what did not arrive.", no_args_is_help=True)

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="An endpoint that was applied.")]


@webhooks_app.command("list")
def list_endpoints(*, as_json: AsJson = False, stack: Stack = None) -> None:
    """Every endpoint: where it is, what it is told, and whether it is enabled and has a secret."""
    from cli.webhooks import list_endpoints as print_endpoints  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(print_endpoints(connect(stack), console, as_json=as_json))


@webhooks_app.command("secret", epilog="For example: solvent webhooks secret acme-billing --rotate")
def secret(
    endpoint: EndpointId,
    *,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make another; the one before stays valid, too.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Forget the one before the newest.")] = False,
    stack: Stack = None,
) -> None:
    """Make the secret that an endpoint's webhooks are signed with, and print it: for its receiver, and nobody else."""
    from cli.webhooks import make_secret  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(make_secret(connect(stack), endpoint, console, rotate=rotate, finish=finish))


@webhooks_app.command("failed")
def failed(*, as_json: AsJson = False, stack: Stack = None) -> None:
    """What was given up, and what is still being tried: how often, when last, and why it was not taken."""
    from cli.webhooks import list_failed  # noqa: PLC0415  # keep --help quick

    connect(stack)
    raise typer.Exit(list_failed(console, as_json=as_json))


@webhooks_app.command("replay", epilog="For example: solvent webhooks replay acme-billing --since 2026-11-01")
def replay(
    endpoint: EndpointId,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of webhooks, msg_ and so on.")] = None,
    *,
    since: Annotated[
        datetime | None, typer.Option(help="All that was announced at this instant (UTC) or later.")
    ] = None,
    stack: Stack = None,
) -> None:
    """Send webhooks again, with the ids that they had: of the last 40 days, in the order of what they tell."""
    from cli.webhooks import replay as send_again  # noqa: PLC0415  # keep --help quick

    raise typer.Exit(send_again(connect(stack), endpoint, (ids or [], since), console))
