"""How a route is declared: its path, who may call it, and the view that its answer is made through.

    routes = Routes("clients")

    @routes.shows("/v1/usage", Usage, Role.CLIENT)
    def get_usage() -> Answer: ...

Nothing is reachable without roles and a view. The declaration also writes the OpenAPI document: roles stand there as
`x-roles`. A POST needs an Idempotency-Key; what it answered is answered again for a day.
"""

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)

from functions.api.backend import ApiRegistry, ApiStore, Backend
from functions.api.errors import ApiError
from functions.api.pages import MOST
from functions.api.views import View, listed, shown
from settlement.grants import Caller, Role

Answer = Mapping[str, Any]
_Handler = Callable[..., Answer]

MONTH = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"  # not \d, which takes the digits of every script
REMEMBER_SECONDS = 24 * 60 * 60
REMEMBERED = IdempotencyConfig(
    event_key_jmespath="key", payload_validation_jmespath="asked", expires_after_seconds=REMEMBER_SECONDS
)

Cursor = Annotated[str | None, Query(description="The next_cursor of the page before.", max_length=700)]
Limit = Annotated[int, Query(description="How many at most.", ge=1, le=MOST)]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="A name of your own for this request; the same one within a day gets the same answer.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$",
    ),
]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: who makes it, in which role, and when (API Gateway's clock).

    `key` says which POST it is: for which tenant, by whom, of which route, with which Idempotency-Key.
    """

    caller: Caller
    role: Role
    now: datetime
    backend: Backend
    key: tuple[str, ...] = ()

    @property
    def tenant(self) -> str:
        """The client or expert that the token is for."""
        return self.caller.tenant

    @property
    def by(self) -> str:
        """The identity of who calls, for what is approved, rejected or stopped."""
        return self.caller.name or self.caller.subject

    @property
    def store(self) -> ApiStore:
        """The tables."""
        return self.backend.store

    @property
    def registry(self) -> ApiRegistry:
        """The registry."""
        return self.backend.registry

    @property
    def derived(self) -> str:
        """A name for what this POST makes: the same for every repetition, and nobody else's."""
        return hashlib.sha256("\n".join(self.key).encode()).hexdigest()[:32]


_Complete = Callable[[Call, Answer], Answer]


class Routes(Router):
    """The routes of one audience."""

    def __init__(self, tag: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's own
        self._tag = tag

    @property
    def call(self) -> Call:
        """The call that is being answered."""
        call: Call = self.context["call"]
        return call

    def shows(self, path: str, view: type[View], *roles: Role) -> Callable[[_Handler], _Handler]:
        """A GET of one thing."""
        return self._declare("GET", path, _one(view, roles), roles)

    def lists(self, path: str, view: type[View], *roles: Role) -> Callable[[_Handler], _Handler]:
        """A GET of a page of things."""
        first, *others = (listed(view, role) for role in roles)
        _must_agree(path, [first, *others])
        return self._declare("GET", path, first, roles)

    def removes(self, path: str, view: type[View], *roles: Role) -> Callable[[_Handler], _Handler]:
        """A DELETE of one thing; done twice, it is not found."""
        return self._declare("DELETE", path, _one(view, roles), roles)

    def takes(
        self, path: str, view: type[View], *roles: Role, completed_by: _Complete = lambda _, answer: answer
    ) -> Callable[[_Handler], _Handler]:
        """A POST that answers with one thing. What completes its answer, each time, is not remembered: secrets, say."""
        return self._declare("POST", path, _one(view, roles), roles, completed_by)

    def _declare(
        self,
        method: str,
        path: str,
        model: Any,  # noqa: ANN401  # made at run time
        roles: tuple[Role, ...],
        complete: _Complete | None = None,
    ) -> Callable[[_Handler], _Handler]:
        def declare(handle: _Handler) -> _Handler:
            act = self._remembered(path, handle, complete) if complete else handle
            checked = self._checked(path, act, roles)
            signature = inspect.signature(act)
            checked.__signature__ = signature.replace(return_annotation=model)  # type: ignore[attr-defined]  # read by inspect
            checked.__annotations__ = {**handle.__annotations__, "return": model}
            described = inspect.getdoc(handle) or ""
            summary, _, description = described.partition("\n\n")
            self.route(
                path,
                method,
                tags=[self._tag],
                summary=" ".join(summary.split()),
                description=" ".join(description.split()) or " ".join(summary.split()),
                operation_id=handle.__name__,
                openapi_extensions={"x-roles": sorted(roles)},
            )(checked)
            return handle

        return declare

    def _checked(self, path: str, act: _Handler, roles: tuple[Role, ...]) -> Callable[..., Any]:
        """The handler, for callers with one of the roles only."""

        @functools.wraps(act)
        def checked(**arguments: Any) -> Any:  # noqa: ANN401  # as Powertools calls it
            caller: Caller = self.context["caller"]
            held = [role for role in roles if role in caller.roles]
            if not held:
                raise ApiError("role_missing", f"this is for {', '.join(roles)}; the token has none of them")
            key = (caller.tenant_or_subject, caller.subject, path, str(arguments.get("idempotency_key", "")))
            self.context["call"] = Call(caller, held[0], self.context["now"], self.context["backend"], key)
            return act(**arguments)

        return checked

    def _remembered(self, path: str, handle: _Handler, complete: _Complete) -> Callable[..., Any]:
        """The handler that answers a repetition with what it answered first."""

        @functools.wraps(handle)
        def remembered(idempotency_key: str, **arguments: Any) -> Any:  # noqa: ANN401, ARG001  # as Powertools calls it
            named = {name: _plain(value) for name, value in sorted(arguments.items())}
            asked = {"key": self.call.key, "asked": [path, named]}
            fresh: list[bool] = []

            def act(*, asked: object) -> Any:  # noqa: ANN401, ARG001  # Powertools reads its argument
                fresh.append(True)
                return json.loads(json.dumps(handle(**arguments)))

            once = idempotent_function(
                act,
                data_keyword_argument="asked",
                persistence_store=self.call.backend.repetitions,
                config=REMEMBERED,
                key_prefix="post",
            )
            try:
                answer = once(asked=asked)
            except IdempotencyAlreadyInProgressError:
                raise ApiError("idempotency_in_progress", "the same request is being dealt with") from None
            except (IdempotencyInconsistentStateError, IdempotencyPersistenceLayerError):
                raise ApiError("try_again", "what was answered could not be looked up, or kept") from None
            except IdempotencyValidationError:
                said = "this Idempotency-Key was used for another request"
                raise ApiError("idempotency_key_reused", said, "Idempotency-Key") from None
            told = {} if fresh else {"Idempotency-Replayed": "true"}
            return Response(200, "application/json", complete(self.call, answer), headers=told)

        parameters = list(inspect.signature(handle).parameters.values())
        key = inspect.Parameter("idempotency_key", inspect.Parameter.KEYWORD_ONLY, annotation=IdempotencyKey)
        remembered.__signature__ = inspect.Signature([*parameters, key])  # type: ignore[attr-defined]  # read by inspect
        return remembered


def _one(view: type[View], roles: tuple[Role, ...]) -> Any:  # noqa: ANN401  # a model made at run time
    models = [shown(view, role) for role in roles]
    _must_agree(view.__name__, models)
    return models[0]


def _must_agree(name: str, models: list[Any]) -> None:
    """Roles that share a route are shown the same; else they need routes of their own."""
    if any(model.model_fields.keys() != models[0].model_fields.keys() for model in models):
        raise TypeError(f"{name}: its roles are not shown the same fields; declare a route for each")


def _plain(value: Any) -> Any:  # noqa: ANN401  # an argument as Powertools parsed it
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
