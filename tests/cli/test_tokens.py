"""`solvent token`: for whom a token is, and where it can be had. Tokens themselves are tried in tests/end_to_end."""

from io import StringIO

import pytest
from rich.console import Console

from cli import tokens
from cli.connection import Connection
from cli.tokens import Wanted, print_token
from infra.aws.registry import DynamoRegistry
from infra.aws.store import DynamoStore
from infra.aws.tokens import Identity
from settlement.grants import Role


@pytest.fixture(autouse=True)
def cognito(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tokens, "identity_of", lambda stack: Identity(stack, "us-east-1_x", "people", "api", "auth", "https://api")
    )
    monkeypatch.setattr(tokens, "person_token", lambda identity, name, grant: f"{identity.stack} {name} {grant}")
    monkeypatch.setattr(tokens, "machine_token", lambda identity, name, grant: f"{identity.stack} {name} {grant}")


def run(wanted: Wanted, *, is_embedded: bool = True) -> tuple[int, str]:
    out = StringIO()
    here = Connection("solvent", DynamoStore.__new__(DynamoStore), DynamoRegistry(), is_embedded)
    return print_token(here, wanted, Console(file=out, width=300)), out.getvalue().strip()


@pytest.mark.parametrize(
    ("wanted", "printed"),
    [
        (Wanted(Role.CLIENT, "acme", None, is_machine=False), "solvent client-acme client:acme"),
        (Wanted(Role.APPROVER, "", "anna", is_machine=False), "solvent anna approver"),
        (Wanted(Role.EXPERT, "maya", None, is_machine=True), "solvent machine-expert-maya expert:maya"),
    ],
)
def test_a_token_is_for_one_role_and_tenant_and_nothing_else_is_printed(wanted: Wanted, printed: str) -> None:
    assert run(wanted) == (0, printed)


@pytest.mark.parametrize("tenant", ["", "Acme", "a/b"])
def test_a_role_without_its_tenant_gets_none(tenant: str) -> None:
    code, said = run(Wanted(Role.CLIENT, tenant, None, is_machine=False))
    assert code == 2
    assert "id" in said


def test_in_aws_people_sign_in_themselves_and_machines_get_tokens() -> None:
    code, said = run(Wanted(Role.CLIENT, "acme", None, is_machine=False), is_embedded=False)
    assert code == 2
    assert "client:acme" in said
    assert "us-east-1_x" in said
    assert run(Wanted(Role.CLIENT, "acme", None, is_machine=True), is_embedded=False)[0] == 0
