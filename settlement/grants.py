"""What a token lets its bearer do: one grammar of grants, for people as groups, for machines as scopes.

    client:<id>   expert:<id>   finance   approver   operator

A person's token names groups. A machine's names scopes of the resource server, such as solvent/client:acme. The tenant
comes from the grant and from nowhere else. Who approves or stops something is the token's user name, or its subject if
it is a machine's.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ledger.accounts import OWNER_ID

RESOURCE_SERVER = "solvent"


class Role(StrEnum):
    """On whose behalf a call is made."""

    CLIENT = "client"
    EXPERT = "expert"
    FINANCE = "finance"
    APPROVER = "approver"
    OPERATOR = "operator"


TENANTS = frozenset({Role.CLIENT, Role.EXPERT})
_SUBJECT = re.compile(r"[A-Za-z0-9_+:.-]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}")  # as AWS lets sessions be named


class TokenRefused(ValueError):
    """A token whose signature was right, and that still says nothing that could be acted on."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `subject` is the person or machine, `tenant` the client or expert of a tenant's role.

    `name` is the person's user name in the pool; "" for a machine.
    """

    subject: str
    roles: frozenset[Role]
    tenant: str = ""
    name: str = ""

    @property
    def tenant_or_subject(self) -> str:
        """The grant of the tenant, for a client and an expert may have the same id; or the subject without one."""
        return next((grant(role, self.tenant) for role in self.roles & TENANTS), self.subject)


def grant(role: Role, tenant: str = "") -> str:
    """The grant of a role; of client and expert for a tenant. Raises ValueError where the two do not fit."""
    if (role in TENANTS) != bool(tenant):
        raise ValueError(f"{role} needs {'the id of one' if role in TENANTS else 'no tenant'}")
    if tenant and not OWNER_ID.fullmatch(tenant):
        raise ValueError(f"{tenant!r} is no id: small letters, digits, - and _, at most 64")
    return f"{role}:{tenant}" if tenant else role.value


def caller_of(claims: Mapping[str, object]) -> Caller:
    """Who calls, by the claims of a verified access token as API Gateway passes them on.

    A grant that is not in the grammar is ignored. Raises TokenRefused for an ID token, for one without a subject, and
    for one that names two tenants.
    """
    if claims.get("token_use") != "access":
        raise TokenRefused("this is not an access token; send the access token, not the ID token")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise TokenRefused("the token has no subject")
    read = [found for text in _granted(claims) if (found := _read(text)) is not None]
    tenants = {(role, tenant) for role, tenant in read if tenant}
    if len(tenants) > 1:
        named = ", ".join(sorted(f"{role}:{tenant}" for role, tenant in tenants))
        raise TokenRefused(f"the token is for {named}; use one token for each")
    tenant, name = next((tenant for _, tenant in tenants), ""), str(claims.get("username") or "")
    return Caller(subject, frozenset(role for role, _ in read), tenant, name if _NAME.fullmatch(name) else "")


def _granted(claims: Mapping[str, object]) -> Iterable[str]:
    """Groups, which API Gateway writes as "[a b]", and those scopes that are of our resource server."""
    yield from str(claims.get("cognito:groups") or "").removeprefix("[").removesuffix("]").split()
    for scope in str(claims.get("scope") or "").split():
        server, _, name = scope.partition("/")
        if server == RESOURCE_SERVER:
            yield name


def _read(text: str) -> tuple[Role, str] | None:
    name, colon, tenant = text.partition(":")
    if name not in set(Role):
        return None
    role = Role(name)
    if role in TENANTS:
        return (role, tenant) if OWNER_ID.fullmatch(tenant) else None
    return None if colon else (role, "")
