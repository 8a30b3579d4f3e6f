"""`solvent token`: a token for the API, for one role and tenant."""

from dataclasses import dataclass

from rich.console import Console

from cli.connection import Connection
from cli.printing import DONE, refused, say
from infra.aws.tokens import NoIdentity, identity_of, machine_token, person_token
from settlement.grants import Role, grant

_PEOPLE = (
    "in AWS people sign in themselves; put them into the group {grant} of the user pool {pool}, or take --machine for "
    "a token by client credentials"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom the token is for; `name` is the person's or machine's own, by default made from the grant."""

    role: Role
    tenant: str
    name: str | None
    is_machine: bool


def print_token(here: Connection, wanted: Wanted, console: Console) -> int:
    """Print an access token that is good for an hour; the person or machine is made if missing."""
    try:
        granted = grant(wanted.role, wanted.tenant)
        identity = identity_of(here.stack)
        name = wanted.name or granted.replace(":", "-")
        if wanted.is_machine:
            say(machine_token(identity, f"machine-{name}", granted), console)
        elif here.is_embedded:
            say(person_token(identity, name, granted), console)
        else:
            return refused(_PEOPLE.format(grant=granted, pool=identity.pool), console)
    except (ValueError, NoIdentity) as error:
        return refused(error, console)
    return DONE
