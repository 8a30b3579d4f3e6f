"""What of a webhook may pass the door: ids and times of both of Stripe's shapes, and nothing that people wrote."""

import json

import pytest

from events.stripe_webhook import WebhookRefused, read_event

SNAPSHOT: dict[str, object] = {
    "id": "evt_1",
    "object": "event",
    "type": "payout.failed",
    "created": 1_772_442_000,
    "account": "acct_1",
    "data": {
        "object": {
            "id": "po_1",
            "description": "PII-TEST",
            "metadata": {"solvent_payout": "payout:ana:USD:2026-w10", "note": "PII-TEST"},
        }
    },
}
THIN: dict[str, object] = {
    "id": "evt_test_65R9",
    "object": "v2.core.event",
    "type": "v2.core.account[configuration.recipient].capability_status_updated",
    "created": "2026-03-02T10:00:00.000+01:00",
    "context": None,
    "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1"},
    "reason": {"note": "PII-TEST"},
}


def read(event: dict[str, object], **changes: object) -> dict[str, str]:
    return read_event(json.dumps({**event, **changes}).encode())


def test_a_snapshot_tells_our_own_id_stripes_id_and_the_connected_account() -> None:
    assert read(SNAPSHOT) == {
        "id": "evt_1",
        "type": "payout.failed",
        "created": "2026-03-02T09:00:00+00:00",
        "subject": "payout:ana:USD:2026-w10",
        "object": "po_1",
        "account": "acct_1",
    }


def test_a_thin_event_tells_the_account_it_is_about_and_its_time_in_utc() -> None:
    assert read(THIN) == {
        "id": "evt_test_65R9",
        "type": "v2.core.account[configuration.recipient].capability_status_updated",
        "created": "2026-03-02T09:00:00+00:00",
        "subject": "",
        "object": "acct_1",
        "account": "acct_1",
    }


@pytest.mark.parametrize(("context", "account"), [("org_1/acct_2", "acct_2"), ("acct_2", "acct_2"), (None, "")])
def test_a_thin_event_about_something_in_an_account_names_the_account_by_its_context(
    context: str | None, account: str
) -> None:
    message = read(THIN, context=context, related_object={"id": "po_1", "type": "payout"})

    assert (message["object"], message["account"]) == ("po_1", account)


def test_a_thin_event_about_nothing_in_particular_passes_without_an_object() -> None:
    message = read(THIN, related_object=None)

    assert (message["object"], message["account"]) == ("", "")


@pytest.mark.parametrize(
    "about",
    [
        {"object": "balance"},
        {"id": "jane.doe@example.com", "metadata": {"solvent_payout": {"a": "PII-TEST"}}},
        {"id": "po_" + "x" * 251, "metadata": {"solvent_invoice": "x" * 501}},
        {"id": 7, "metadata": "PII-TEST"},
    ],
)
def test_what_has_not_the_form_of_an_id_stays_outside(about: dict[str, object]) -> None:
    message = read(SNAPSHOT, data={"object": about}, account="somebody's account")

    assert (message["subject"], message["object"], message["account"]) == ("", "", "")


@pytest.mark.parametrize("event", [SNAPSHOT, THIN])
@pytest.mark.parametrize(
    "change",
    [
        {"id": "PII-TEST"},
        {"id": None},
        {"type": "Payout failed"},
        {"type": "payout." + "x" * 150},
        {"created": None},
        {"created": "2026-03-02T10:00:00"},
        {"created": 10**20},
        {"data": "none", "related_object": "none"},
    ],
)
def test_a_body_that_is_no_event_is_refused(event: dict[str, object], change: dict[str, object]) -> None:
    with pytest.raises(WebhookRefused, match="not a Stripe event"):
        read(event, **change)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b'{"id": "evt_1"}'])
def test_a_body_that_is_not_even_an_object_of_stripes_is_refused(payload: bytes) -> None:
    with pytest.raises(WebhookRefused):
        read_event(payload)
