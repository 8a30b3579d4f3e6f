"""What a token's claims come to: the tenant is in a grant or nowhere, and what is not in the grammar is nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.grants import TENANTS, Caller, Role, TokenRefused, caller_of, grant


def caller(groups: str = "", scope: str = "", claims: dict[str, object] | None = None) -> Caller:
    known: dict[str, object] = {"sub": "u-1", "token_use": "access", "cognito:groups": groups, "scope": scope}
    return caller_of(known | (claims or {}))


@pytest.mark.parametrize(
    ("groups", "scope", "roles", "tenant"),
    [
        ("[client:acme]", "", {Role.CLIENT}, "acme"),
        ("", "solvent/client:acme", {Role.CLIENT}, "acme"),
        ("[expert:maya]", "aws.cognito.signin.user.admin", {Role.EXPERT}, "maya"),
        ("[finance approver]", "", {Role.FINANCE, Role.APPROVER}, ""),
        ("", "solvent/finance solvent/operator openid", {Role.FINANCE, Role.OPERATOR}, ""),
        ("[finance]", "solvent/client:acme", {Role.FINANCE, Role.CLIENT}, "acme"),
        ("[client:acme client:acme]", "solvent/client:acme", {Role.CLIENT}, "acme"),
    ],
)
def test_groups_and_scopes_are_grants(groups: str, scope: str, roles: set[Role], tenant: str) -> None:
    assert caller(groups, scope) == Caller("u-1", frozenset(roles), tenant)


@pytest.mark.parametrize(
    ("groups", "scope"),
    [
        ("[admin]", ""),
        ("[client]", ""),
        ("[client:]", ""),
        ("[client:Acme]", ""),
        ("[client:a/b]", ""),
        ("[client:acme:x]", ""),
        ("[finance:acme]", ""),
        ("[finance:]", ""),
        ("[FINANCE]", ""),
        ("[client:acme,]", ""),
        ("", "client:acme"),
        ("", "other/client:acme"),
        ("", "solvent/solvent/finance"),
        ("", "solventfinance"),
        ("[solvent/finance]", ""),
    ],
)
def test_what_is_not_in_the_grammar_is_ignored(groups: str, scope: str) -> None:
    assert caller(groups, scope) == Caller("u-1", frozenset())


@pytest.mark.parametrize(
    ("groups", "scope"),
    [
        ("[client:acme client:globex]", ""),
        ("[client:acme]", "solvent/client:globex"),
        ("[client:acme expert:maya]", ""),
        ("[client:acme expert:acme]", ""),
    ],
)
def test_a_token_for_two_tenants_is_refused(groups: str, scope: str) -> None:
    with pytest.raises(TokenRefused, match="one token for each"):
        caller(groups, scope)


@pytest.mark.parametrize("claims", [{"token_use": "id"}, {"token_use": ""}, {"sub": ""}, {"sub": None}, {"sub": "a b"}])
def test_an_id_token_and_one_of_nobody_are_refused(claims: dict[str, object]) -> None:
    with pytest.raises(TokenRefused):
        caller("[finance]", claims=claims)


def test_the_tenant_is_taken_from_nothing_else() -> None:
    claims: dict[str, object] = {
        "username": "client-acme",
        "custom:client": "acme",
        "client_id": "client:acme",
        "email": "x@acme.example",
    }
    assert caller("[client:globex]", claims=claims).tenant == "globex"
    assert caller("", claims=claims) == Caller("u-1", frozenset(), name="client-acme")


@pytest.mark.parametrize(
    ("name", "kept"), [("anna@corp.example", "anna@corp.example"), ("a b", ""), ("", ""), (None, "")]
)
def test_a_persons_name_is_kept_if_a_session_could_have_it(name: object, kept: str) -> None:
    assert caller("[approver]", claims={"username": name}).name == kept


@given(st.sampled_from(Role), st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True))
def test_what_is_granted_is_read_back(role: Role, tenant: str) -> None:
    named = tenant if role in TENANTS else ""
    granted = grant(role, named)
    assert caller(f"[{granted}]") == caller("", f"solvent/{granted}") == Caller("u-1", frozenset({role}), named)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_the_parser_and_no_tenant_comes_without_its_role(groups: str, scope: str) -> None:
    try:
        found = caller(groups, scope)
    except TokenRefused:
        return
    assert bool(found.tenant) == bool(found.roles & TENANTS)


@pytest.mark.parametrize(("role", "tenant"), [(Role.CLIENT, ""), (Role.FINANCE, "acme"), (Role.EXPERT, "Ma ya")])
def test_a_grant_that_nobody_could_read_is_not_made(role: Role, tenant: str) -> None:
    with pytest.raises(ValueError, match=r"no id|needs"):
        grant(role, tenant)
