"""Every POST of the API at every crash point: repeated with its key it is done once, and answered the same."""

from collections.abc import Sequence

import pytest

from functions.api import finance
from functions.api.events import PATH as EVENTS
from functions.api.openapi import document
from infra.aws.secrets import keep_webhook_secrets
from infra.webhooks.desk import WebhookDesk
from settlement.release import release
from tests.simulation.api_calls import CALLS, World, scene_of, try_call, worlds


@pytest.fixture(scope="module")
def history() -> Sequence[World]:
    return worlds()


def test_every_post_that_takes_a_key_is_tried() -> None:
    """Events are taken without one: settlement knows them by their own ids."""
    posts = {path for path, operations in document()["paths"].items() if "post" in operations}
    assert posts - {EVENTS} == {path for path, _ in CALLS}


@pytest.mark.parametrize("name", CALLS, ids="".join)
def test_whatever_call_goes_wrong_the_request_sent_again_is_done_once_and_answered_the_same(
    name: tuple[str, str], history: Sequence[World]
) -> None:
    tried = try_call(scene_of(name, history))
    assert tried.failed == []
    assert tried.points > 4 * tried.calls > 8, "each call has two deaths, each is recovered from in two ways"


# -- that the trials see what is wrong ---------------------------------------------------------------------------------


def test_a_secret_that_is_made_anew_with_every_try_is_found(
    history: Sequence[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(desk: WebhookDesk, endpoint: str, _request: str) -> None:
        keep_webhook_secrets(desk.stack, endpoint, ("whsec_" + "A" * 44, *desk.secrets(endpoint)))

    monkeypatch.setattr(WebhookDesk, "make_secret", make)
    scene = scene_of(("/v1/webhook_endpoints/{endpoint}/rotate_secret", ""), history)
    assert try_call(scene, only_deaths=True).failed


def test_a_release_that_does_not_say_that_it_was_done_is_found(
    history: Sequence[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finance, "release", lambda *arguments: release(*arguments[:4]))
    [failed, *_] = try_call(scene_of(("/v1/parked/release", ""), history), only_deaths=True).failed
    assert "dies after call" in failed
