"""docs/webhooks.md: its code verifies what the engine signs, and its file can be applied."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import yaml

from infra.local.packaging import PROJECT_ROOT
from settlement.webhooks import WAITS, Endpoint, new_secret, signature_header

PAGE = (PROJECT_ROOT / "docs" / "webhooks.md").read_text()
SECRET, OLD = new_secret(bytes(range(32))), new_secret(bytes(32))
BODY = '{"type":"invoice.issued","data":{}}'


def block(language: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return cast("str", code)


@pytest.fixture(scope="module")
def is_from_solvent() -> Callable[..., bool]:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102  # our own page
    return cast("Callable[..., bool]", names["is_from_solvent"])


def headers(secrets: list[str], *, age: timedelta = timedelta()) -> dict[str, str]:
    sent_at = datetime.fromtimestamp(int(time.time()), UTC) - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": signature_header(secrets, "msg_1", sent_at, BODY),
    }


def test_the_pages_code_takes_what_the_engine_signs_with_either_secret_of_a_rotation(
    is_from_solvent: Callable[..., bool],
) -> None:
    assert is_from_solvent(SECRET, headers([SECRET]), BODY.encode())
    assert is_from_solvent(SECRET, headers([SECRET, OLD]), BODY.encode())
    assert is_from_solvent(OLD, headers([SECRET, OLD]), BODY.encode())


def test_the_pages_code_refuses_what_was_changed_or_is_old_or_signed_by_another(
    is_from_solvent: Callable[..., bool],
) -> None:
    good = headers([SECRET])
    assert not is_from_solvent(SECRET, good, BODY.encode() + b" ")
    assert not is_from_solvent(SECRET, good | {"webhook-id": "msg_2"}, BODY.encode())
    assert not is_from_solvent(OLD, good, BODY.encode())
    assert not is_from_solvent(SECRET, headers([SECRET], age=timedelta(minutes=6)), BODY.encode())


def test_the_pages_file_is_an_endpoint() -> None:
    assert Endpoint.model_validate(yaml.safe_load(block("yaml"))).events == ("usage.cap_alert", "invoice.issued")


def test_the_pages_code_is_as_short_as_it_says_and_its_waits_are_the_engines() -> None:
    body = block("python").split("\n\n", 1)[1].strip().splitlines()

    assert len(body) <= 10
    assert [*WAITS] == [2, 10, 60, 300, 900, 3600, 7200, 14400, 28800, 36000]
    assert "after 2 and 10 seconds, 1, 5 and 15 minutes, 1, 2, 4, 8 and 10 hours" in " ".join(PAGE.split())
