"""The blocks of docs/api.md, and the OpenAPI document as a file: both from the routes and the table of views."""

import inspect
import json
from collections.abc import Iterator, Sequence

from functions.api import views
from functions.api.errors import KINDS
from functions.api.openapi import document
from functions.api.views import View, roles_of
from settlement.grants import Role


def openapi_text() -> str:
    """The OpenAPI document as it stands in docs/openapi.json."""
    return json.dumps(document(), indent=1) + "\n"


def routes_rows() -> Iterator[Sequence[str]]:
    """Every route: who may call it, and what it is for."""
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            yield f"`{method.upper()} {path}`", ", ".join(operation["x-roles"]), operation["summary"]


def views_rows() -> Iterator[Sequence[str]]:
    """Every view with the fields that each role is shown, and what is kept from all of them, with the reason."""
    for view in vars(views).values():
        if inspect.isclass(view) and issubclass(view, View) and view is not View:
            shown = [f"{role}: {_fields(view, role)}" for role in Role if role in view.SEEN_BY]
            hidden = [f"`{name}`: {why}" for name, why in view.HIDDEN.items()]
            yield f"`{view.__name__}`", "<br>".join(dict.fromkeys(shown)), "<br>".join(hidden)


def _fields(view: type[View], role: Role) -> str:
    names = (field.alias or name for name, field in view.model_fields.items() if role in roles_of(view, name))
    return ", ".join(f"`{name}`" for name in names)


def errors_rows() -> Iterator[Sequence[str]]:
    """Every code of an error, and what to do about it."""
    for code, kind in KINDS.items():
        yield f"`{code}`", str(kind.status), f"`{kind.type}`", kind.advice
