"""A client's webhooks over the API: where they go, the secret that is shown once, and sending them again."""

import json
from datetime import timedelta

import pytest

from functions.api.webhooks import MOST_ENDPOINTS, MOST_REPLAYED
from settlement.announcements import Announcement
from settlement.webhooks import webhook_id
from tests.api.api_world import CAP_ALERT, GIVEN_UP, ApiWorld, an_api
from tests.paying import MONDAY

ACME, GLOBEX = "client:acme", "client:globex"
HERE = "/v1/webhook_endpoints"
BILLING = f"{HERE}/acme-billing"


@pytest.fixture
def api() -> ApiWorld:
    return an_api()


def made(api: ApiWorld, **wanted: object) -> str:
    """The id of a new endpoint of acme's."""
    return str(api.post(HERE, ACME, {"url": "https://acme.example/new"} | wanted).body["id"])


def told(api: ApiWorld, number: int) -> list[str]:
    """So many alerts more, a second apart, and the ids of their webhooks."""
    alerts = [
        Announcement(
            f"alert:{n}", CAP_ALERT.type, "acme", MONDAY + timedelta(seconds=n + 1), CAP_ALERT.data, f"usage:acme:{n}"
        )
        for n in range(number)
    ]
    api.webhooks.told += reversed(alerts)
    return [webhook_id(it) for it in alerts]


# -- endpoints ---------------------------------------------------------------------------------------------------------


def test_a_new_endpoint_is_told_what_it_asked_for_and_is_listed_without_its_secret(api: ApiWorld) -> None:
    answered = api.post(HERE, ACME, {"url": "https://acme.example/new", "events": ["invoice.issued"]})
    assert (answered.status, answered.body["secret"][:6]) == (200, "whsec_")
    endpoint = api.world.registry.all_endpoints[answered.body["id"]]
    assert (endpoint.client, endpoint.url, endpoint.events) == ("acme", "https://acme.example/new", ("invoice.issued",))
    listed = api.get(HERE, ACME).body["data"]
    assert [(it["id"], it["enabled"], it["secrets"]) for it in listed] == [
        ("acme-billing", True, 1),
        (answered.body["id"], True, 1),
    ]
    assert "whsec_" not in json.dumps(listed)
    assert api.get(HERE, GLOBEX).body["data"] == []


def test_endpoints_are_listed_page_by_page(api: ApiWorld) -> None:
    ids = sorted(["acme-billing", made(api), made(api)])
    first = api.get(HERE, ACME, limit=2).body
    rest = api.get(HERE, ACME, limit=2, cursor=first["next_cursor"]).body
    assert [it["id"] for it in (*first["data"], *rest["data"])] == ids
    assert (first["has_more"], rest["has_more"]) == (True, False)


def test_a_secret_is_shown_to_the_request_that_made_it_and_its_repetitions_and_is_not_kept_with_answers(
    api: ApiWorld,
) -> None:
    first, again = (api.post(HERE, ACME, {"url": "https://acme.example/new"}, key="e1") for _ in range(2))
    assert first.body == again.body
    assert again.headers["Idempotency-Replayed"] == "true"
    remembered = [record.response_data for record in api.repetitions.records.values()]
    assert remembered
    assert "whsec_" not in json.dumps(remembered)


def test_the_key_that_made_an_endpoint_makes_another_secret_when_it_rotates(api: ApiWorld) -> None:
    first = api.post(HERE, ACME, {"url": "https://acme.example/new"}, key="k1").body
    rotated = api.post(f"{HERE}/{first['id']}/rotate_secret", ACME, None, key="k1").body
    assert (rotated["secrets"], rotated["secret"] == first["secret"]) == (2, False)


def test_a_worker_that_dies_before_it_answers_leaves_an_endpoint_that_the_same_request_completes(api: ApiWorld) -> None:
    make = api.webhooks.make_secret
    api.webhooks.make_secret = lambda *_: None  # type: ignore[method-assign]  # it dies before
    lost = api.post(HERE, ACME, {"url": "https://acme.example/new"}, key="e1").body
    api.repetitions.records.clear()
    api.webhooks.make_secret = make  # type: ignore[method-assign]
    found = api.post(HERE, ACME, {"url": "https://acme.example/new"}, key="e1").body
    assert (lost["secret"], found["secret"][:6], found["id"]) == (None, "whsec_", lost["id"])
    assert len(api.world.registry.all_endpoints) == 2


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"url": "http://acme.example/"}, "url"),
        ({"url": "https://user@acme.example/"}, "url"),
        ({"url": "https://127.1/"}, "url"),
        ({"url": "https://acme.example/", "events": ["payout.sent"]}, "events"),
        ({"url": "https://acme.example/", "events": ["invoice.issued"] * 5}, "events"),
    ],
)
def test_an_address_that_nothing_may_go_to_and_what_no_client_is_told_are_refused(
    api: ApiWorld, wanted: dict[str, object], param: str
) -> None:
    refused = api.post(HERE, ACME, wanted)
    assert (refused.status, refused.code, refused.body["error"]["param"]) == (400, "parameter_invalid", param)
    assert refused.body["error"]["message"].startswith(f"{param}: ")
    assert len(api.world.registry.all_endpoints) == 1


def test_a_client_has_so_many_endpoints_and_no_more(api: ApiWorld) -> None:
    for _ in range(MOST_ENDPOINTS - 1):
        made(api)
    assert api.post(HERE, ACME, {"url": "https://acme.example/new"}).code == "not_as_it_stands"
    assert api.delete(BILLING, ACME).status == 200
    assert api.post(HERE, ACME, {"url": "https://acme.example/new"}).status == 200


def test_a_deleted_endpoint_is_gone_with_its_secret(api: ApiWorld) -> None:
    assert api.delete(BILLING, GLOBEX).code == "not_found"
    assert api.delete(BILLING, ACME).body == {"id": "acme-billing", "is_deleted": True}
    assert (api.world.registry.all_endpoints, api.webhooks.kept) == ({}, {})
    assert api.delete(BILLING, ACME).code == "not_found"


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_both_secrets_sign_until_the_rotation_is_finished(api: ApiWorld) -> None:
    [old] = api.webhooks.secrets("acme-billing")
    rotated = api.post(f"{BILLING}/rotate_secret", ACME, None, key="r1").body
    assert api.webhooks.secrets("acme-billing") == (rotated["secret"], old)
    assert api.post(f"{BILLING}/rotate_secret", ACME, None, key="r1").body == rotated
    assert api.post(f"{BILLING}/rotate_secret", ACME, None, key="r2").code == "not_as_it_stands"
    assert api.post(f"{BILLING}/finish_rotation", ACME, None).body["secrets"] == 1
    assert api.webhooks.secrets("acme-billing") == (rotated["secret"],)


def test_a_worker_that_dies_after_it_rotated_leaves_a_secret_that_the_same_request_shows(api: ApiWorld) -> None:
    first = api.post(f"{BILLING}/rotate_secret", ACME, None, key="r1").body
    api.repetitions.records.clear()  # as if it had died before it remembered what it answered
    assert api.post(f"{BILLING}/rotate_secret", ACME, None, key="r1").body == first
    assert len(api.webhooks.secrets("acme-billing")) == 2


# -- what did not arrive -----------------------------------------------------------------------------------------------


def test_what_was_given_up_is_listed_with_the_reason_and_sent_again_as_it_was(api: ApiWorld) -> None:
    [listed] = api.get(f"{BILLING}/undelivered", ACME).body["data"]
    assert (listed["webhook"], listed["state"], listed["why"]) == (GIVEN_UP.webhook, "failed", "answered 500")
    answered = api.post(f"{BILLING}/replay", ACME, {"webhooks": [listed["webhook"]]})
    assert answered.body == {"id": "acme-billing", "queued": 1, "has_more": False, "next_cursor": None}
    [(webhook, mark)] = api.webhooks.queued
    assert (webhook.id, webhook.endpoint) == (GIVEN_UP.webhook, "acme-billing")
    assert mark, "else the queue would drop it as one that it had"


def test_all_since_an_instant_are_sent_again_in_their_order_so_many_at_a_time(api: ApiWorld) -> None:
    ids = [GIVEN_UP.webhook, *told(api, MOST_REPLAYED + 20)]
    since: dict[str, object] = {"since": MONDAY.isoformat()}
    first = api.post(f"{BILLING}/replay", ACME, since).body
    rest = api.post(f"{BILLING}/replay", ACME, since | {"cursor": first["next_cursor"]}).body
    assert [(it["queued"], it["has_more"]) for it in (first, rest)] == [(MOST_REPLAYED, True), (21, False)]
    assert [it.id for it, _ in api.webhooks.queued] == ids
    later = {"since": (MONDAY + timedelta(seconds=MOST_REPLAYED + 20)).isoformat()}
    assert api.post(f"{BILLING}/replay", ACME, later).body["queued"] == 1


@pytest.mark.parametrize("body", [{}, {"webhooks": [GIVEN_UP.webhook], "since": "2026-03-01T00:00:00Z"}])
def test_a_replay_says_which_webhooks_in_one_way(api: ApiWorld, body: dict[str, object]) -> None:
    assert api.post(f"{BILLING}/replay", ACME, body).code == "parameter_invalid"


def test_what_was_never_told_to_an_endpoint_is_not_found_and_nothing_is_sent(api: ApiWorld) -> None:
    wanted = {"webhooks": [GIVEN_UP.webhook, "msg_" + "0" * 32]}
    assert api.post(f"{BILLING}/replay", ACME, wanted).code == "not_found"
    others = made(api, events=["invoice.issued"])
    assert api.post(f"{HERE}/{others}/replay", ACME, {"webhooks": [GIVEN_UP.webhook]}).code == "not_found"
    assert api.webhooks.queued == []


def test_an_endpoint_that_is_not_enabled_gets_nothing_again(api: ApiWorld) -> None:
    endpoint = api.world.registry.all_endpoints["acme-billing"]
    api.world.registry.all_endpoints["acme-billing"] = endpoint.model_copy(update={"enabled": False})
    assert api.post(f"{BILLING}/replay", ACME, {"webhooks": [GIVEN_UP.webhook]}).code == "not_as_it_stands"
