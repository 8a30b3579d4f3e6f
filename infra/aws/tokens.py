"""Tokens for the API: people and machines in a stack's user pool, made when they are first needed.

What a token may do is its grants (settlement/grants.py): a person's groups, a machine's scopes.
"""

import base64
import json
import os
import secrets
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from settlement.grants import RESOURCE_SERVER

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient


_SECONDS = 20
_MOST_MACHINES = 50  # an authorizer takes no more audiences


class NoIdentity(RuntimeError):
    """The stack has no user pool, or AWS did not give a token; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a stack's people and machines are."""

    stack: str
    pool: str
    people_client: str
    api: str
    authorizer: str
    api_url: str

    @property
    def token_url(self) -> str:
        """Where machines get their tokens."""
        local = os.environ.get("AWS_ENDPOINT_URL")
        if local:
            return f"{local}/oauth2/token"
        account = boto3.client("sts").get_caller_identity()["Account"]
        region = self.pool.partition("_")[0]
        return f"https://{self.stack}-{account}.auth.{region}.amazoncognito.com/oauth2/token"


def identity_of(stack: str) -> Identity:
    """The identity of a stack, by its outputs. Raises NoIdentity for one that was deployed before there was any."""
    found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {it["OutputKey"]: it["OutputValue"] for it in found.get("Outputs", [])}
    try:
        pool, client = outputs["UserPoolId"], outputs["PeopleClientId"]
        return Identity(stack, pool, client, outputs["ApiId"], outputs["AuthorizerId"], outputs["ApiUrl"])
    except KeyError as missing:
        raise NoIdentity(f"stack {stack} has no output {missing}: deploy it again") from None


# -- people ------------------------------------------------------------------------------------------------------------


def person_token(identity: Identity, name: str, grant: str) -> str:
    """An access token of a person who has a grant, made if missing. The person gets a new password that nobody knows.

    So it is for the embedded stack; in AWS people keep their passwords and sign in themselves.
    """
    cognito = boto3.client("cognito-idp")
    pool, password = identity.pool, f"{secrets.token_urlsafe(24)}-Aa1"
    _unless_there(cognito.exceptions.GroupExistsException, cognito.create_group, UserPoolId=pool, GroupName=grant)
    made = {"UserPoolId": pool, "Username": name}
    exists = cognito.exceptions.UsernameExistsException
    _unless_there(exists, cognito.admin_create_user, **made, TemporaryPassword=password, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(**made, Password=password, Permanent=True)
    cognito.admin_add_user_to_group(**made, GroupName=grant)
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=identity.people_client,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": name, "PASSWORD": password},
    )
    return str(answer["AuthenticationResult"]["AccessToken"])


def _unless_there(exists: type[Exception], make: Any, **named: object) -> None:  # noqa: ANN401  # a boto3 operation
    try:
        make(**named)
    except exists:
        return


# -- machines ----------------------------------------------------------------------------------------------------------


def machine_token(identity: Identity, name: str, grant: str) -> str:
    """An access token of a machine by client credentials; scope, client and audience are made if missing."""
    cognito = boto3.client("cognito-idp")
    scope = _scope(cognito, identity, grant)
    client_id, secret = _client(cognito, identity, name, scope)
    _admit(identity, client_id)
    credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    asked = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": scope, "client_id": client_id})
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
    request = urllib.request.Request(identity.token_url, asked.encode(), headers)  # noqa: S310  # AWS, or loopback
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  # see above
        return str(json.load(answer)["access_token"])


def _scope(cognito: "CognitoIdentityProviderClient", identity: Identity, grant: str) -> str:
    """The scope of a grant, added to the resource server if it is not there; AWS takes 100 of them."""
    server: dict[str, Any] = {"UserPoolId": identity.pool, "Identifier": RESOURCE_SERVER}
    try:
        found: Mapping[str, Any] = cognito.describe_resource_server(**server)["ResourceServer"]
    except cognito.exceptions.ResourceNotFoundException:
        cognito.create_resource_server(**server, Name=RESOURCE_SERVER, Scopes=[_described(grant)])
    else:
        scopes = found.get("Scopes", [])
        if grant not in {it["ScopeName"] for it in scopes}:
            cognito.update_resource_server(**server, Name=RESOURCE_SERVER, Scopes=[*scopes, _described(grant)])
    return f"{RESOURCE_SERVER}/{grant}"


def _described(grant: str) -> Any:  # noqa: ANN401  # a boto3 structure
    return {"ScopeName": grant, "ScopeDescription": f"What {grant} may do"}


def _client(cognito: "CognitoIdentityProviderClient", identity: Identity, name: str, scope: str) -> tuple[str, str]:
    """Id and secret of the machine's client; one of that name has that one scope."""
    pages = cognito.get_paginator("list_user_pool_clients").paginate(UserPoolId=identity.pool)
    known = {it["ClientName"]: it["ClientId"] for page in pages for it in page["UserPoolClients"]}
    if name in known:
        found = cognito.describe_user_pool_client(UserPoolId=identity.pool, ClientId=known[name])["UserPoolClient"]
        if found.get("AllowedOAuthScopes") != [scope]:
            raise NoIdentity(f"there is a machine {name} with other scopes; choose another name with --as")
        return found["ClientId"], found["ClientSecret"]
    made = cognito.create_user_pool_client(
        UserPoolId=identity.pool,
        ClientName=name,
        GenerateSecret=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthScopes=[scope],
    )["UserPoolClient"]
    return made["ClientId"], made["ClientSecret"]


def _admit(identity: Identity, client_id: str) -> None:
    """Let the authorizer take tokens that were issued to this client."""
    gateway = boto3.client("apigatewayv2")
    known = gateway.get_authorizer(ApiId=identity.api, AuthorizerId=identity.authorizer)["JwtConfiguration"]
    audience = known.get("Audience", [])
    if client_id in audience:
        return
    if len(audience) >= _MOST_MACHINES:
        raise NoIdentity(f"the authorizer takes {_MOST_MACHINES} audiences; remove a machine that is not used any more")
    gateway.update_authorizer(
        ApiId=identity.api,
        AuthorizerId=identity.authorizer,
        JwtConfiguration={**known, "Audience": [*audience, client_id]},
    )
