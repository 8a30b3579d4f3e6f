"""Webhooks: who gets what, signatures, waits. Signatures are checked by an implementation of the test's own."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from settlement.announcements import TOLD, Announcement, Audience
from settlement.webhooks import (
    WAITS,
    Attempt,
    DeliveryState,
    Endpoint,
    SecretInvalid,
    Webhook,
    after_attempt,
    answered,
    new_secret,
    signature_header,
    types_for,
    wait_seconds,
    webhook_id,
    webhooks_for,
)

AT = datetime(2026, 10, 5, 12, tzinfo=UTC)
CAP: dict[str, int | str] = {
    "period": "2026-10",
    "percent": 80,
    "currency": "USD",
    "charged_minor": 800,
    "cap_minor": 1000,
}
SENT: dict[str, int | str] = {
    "payout": "payout:maya:USD:2026-W41",
    "expert": "maya",
    "currency": "USD",
    "amount_minor": 900,
    "why": "x",
}
WEBHOOK = Webhook("acme-billing", "msg_1", "usage.cap_alert", "group", "{}")


def told(type_: str = "usage.cap_alert", client: str = "acme", **fields: object) -> Announcement:
    data = SENT if type_.startswith("payout") else CAP
    return Announcement(str(fields.get("id", f"{type_}:1")), type_, client, AT, data, str(fields.get("subject", "s")))


def an_endpoint(**fields: object) -> Endpoint:
    document = {"id": "acme-billing", "audience": "client", "client": "acme", "url": "https://acme.example/hook"}
    return Endpoint.model_validate(document | fields)


EXPERTS = an_endpoint(id="gigs", audience="experts", client=None, url="https://gigs.example/hook")


def verified(header: str, secret: str, id_: str, timestamp: int, body: bytes) -> bool:
    """As the specification says it, written without the engine's code."""
    key = base64.b64decode(secret[6:])
    mac = hmac.new(key, b".".join([id_.encode(), str(timestamp).encode(), body]), hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}" in header.split(" ")


# -- signatures --------------------------------------------------------------------------------------------------------


def test_the_published_example_of_the_specification_has_its_published_signature() -> None:
    """The vector that the reference libraries of Standard Webhooks are tested with."""
    secret, sent_at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.fromtimestamp(1614265330, UTC)

    header = signature_header([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at, '{"test": 2432232314}')

    assert header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64), st.binary(min_size=24, max_size=64), st.text(max_size=50))
def test_during_a_rotation_whoever_knows_either_secret_can_verify(new: bytes, old: bytes, body: str) -> None:
    body = body.encode(errors="replace").decode()
    secrets = [new_secret(new), new_secret(old)]

    header = signature_header(secrets, "msg_1", AT, body)

    stamp = int(AT.timestamp())
    assert all(verified(header, secret, "msg_1", stamp, body.encode()) for secret in secrets)
    assert len(header.split(" ")) == 2
    assert not verified(header, secrets[0], "msg_2", stamp, body.encode())
    assert not verified(header, secrets[0], "msg_1", stamp + 1, body.encode())
    assert not verified(header, secrets[0], "msg_1", stamp, body.encode() + b" ")


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_not*base64", "whsec_" + "A" * 88],
)
def test_what_is_no_secret_signs_nothing_and_is_not_shown(secret: str) -> None:
    with pytest.raises(SecretInvalid) as refused:
        signature_header([secret], "msg_1", AT, "{}")
    assert not secret or secret.removeprefix("whsec_") == "" or secret not in str(refused.value)


def test_without_a_secret_nothing_is_signed() -> None:
    with pytest.raises(SecretInvalid, match="no secret"):
        signature_header([], "msg_1", AT, "{}")


# -- who gets what -----------------------------------------------------------------------------------------------------


def test_a_client_gets_its_own_usage_with_the_fields_of_the_table() -> None:
    [webhook] = webhooks_for(told(), [an_endpoint(), an_endpoint(id="globex", client="globex"), EXPERTS])

    assert (webhook.endpoint, webhook.type) == ("acme-billing", "usage.cap_alert")
    expected = {"type": "usage.cap_alert", "timestamp": "2026-10-05T12:00:00Z", "data": CAP}
    assert json.loads(webhook.body) == expected


def test_a_field_that_is_not_in_the_table_reaches_nobody() -> None:
    one = Announcement("1", "payout.sent", "", AT, SENT | {"email": "jane.doe@example.com"}, "s")

    [webhook] = webhooks_for(one, [an_endpoint(), EXPERTS])

    assert webhook.endpoint == "gigs"
    assert json.loads(webhook.body)["data"] == {name: SENT[name] for name in SENT if name != "why"}


@pytest.mark.parametrize("type_", TOLD)
def test_no_type_is_seen_by_both_sides_and_no_side_sees_the_other_sides_money(type_: str) -> None:
    shown = TOLD[type_]
    client, experts = shown.get(Audience.CLIENT, ()), shown.get(Audience.EXPERTS, ())

    assert not (client and experts)
    assert not {"expert", "payout", "amount_minor", "available_minor", "fee_minor", "withheld_minor"} & set(client)
    assert not {"client", "charged_minor", "total_minor", "cap_minor", "prepaid_minor", "invoice"} & set(experts)


def test_what_nobody_may_see_is_sent_to_nobody() -> None:
    assert list(webhooks_for(told("payout_run.waiting"), [an_endpoint(client="acme"), EXPERTS])) == []


def test_an_endpoint_gets_only_the_types_that_it_asked_for() -> None:
    endpoint = an_endpoint(events=["invoice.issued"])

    assert list(webhooks_for(told("usage.cap_alert"), [endpoint])) == []
    assert len(list(webhooks_for(told("invoice.issued"), [endpoint]))) == 1


def test_nothing_is_queued_for_an_endpoint_that_is_not_enabled() -> None:
    assert list(webhooks_for(told(), [an_endpoint(enabled=False)])) == []


def test_an_announcement_has_one_id_everywhere_and_one_group_for_each_endpoint_and_subject() -> None:
    endpoints = [an_endpoint(), an_endpoint(id="acme-copy")]
    first, copy = webhooks_for(told(id="1"), endpoints)
    second, _ = webhooks_for(told(id="2"), endpoints)
    other, _ = webhooks_for(told(id="3", subject="t"), endpoints)

    assert first.id == copy.id == webhook_id(told(id="1"))
    assert first.id != second.id
    assert "." not in first.id
    assert first.group == second.group
    assert len({first.group, copy.group, other.group}) == 3


def test_what_is_not_in_the_table_cannot_be_announced() -> None:
    with pytest.raises(ValueError, match=r"payout\.lost is not announced"):
        told("payout.lost")


# -- endpoints ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"client": None}, "has a `client` if, and only if"),
        ({"audience": "experts"}, "has a `client` if, and only if"),
        ({"audience": "everybody"}, "Input should be 'client' or 'experts'"),
        ({"events": ["payout.sent"]}, "'payout.sent' is not told to client; there are usage.cap_alert, "),
        ({"url": "http://acme.example/hook"}, "http://acme.example is not https"),
        ({"url": "https://"}, "is not an address"),
        ({"secret": "whsec_1"}, "Extra inputs are not permitted"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_with_what_to_do(fields: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        an_endpoint(**fields)


def test_each_type_but_what_is_for_the_platform_alone_is_told_to_somebody() -> None:
    assert {*types_for(Audience.CLIENT), *types_for(Audience.EXPERTS)} == {*TOLD} - {"payout_run.waiting"}


# -- attempts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "is_delivered", "is_final"),
    [
        (200, True, False),
        (204, True, False),
        (299, True, False),
        (301, False, False),
        (307, False, False),
        (400, False, False),
        (401, False, False),
        (410, False, True),
        (429, False, False),
        (503, False, False),
    ],
)
def test_what_a_status_means(status: int, is_delivered: bool, is_final: bool) -> None:  # noqa: FBT001  # a table
    attempt = answered(status)

    assert (attempt.is_delivered, attempt.is_final) == (is_delivered, is_final)
    assert (attempt.why == "") is is_delivered


def test_waits_grow_and_last_for_more_than_a_day() -> None:
    assert list(WAITS) == sorted(set(WAITS))
    assert timedelta(seconds=sum(WAITS)) > timedelta(hours=25)


def test_a_webhook_that_is_never_taken_is_tried_eleven_times_in_more_than_a_day_and_then_given_up() -> None:
    now, states = AT, []
    for attempts in range(1, 100):
        delivery, wait = after_attempt(WEBHOOK, answered(500), attempts, AT, now)
        states.append(delivery.state)
        if wait is None:
            break
        now += timedelta(seconds=wait)

    assert states == [DeliveryState.WAITING] * 10 + [DeliveryState.FAILED]
    assert timedelta(days=1) < now - AT < timedelta(hours=26)


def test_attempts_that_a_queue_counts_too_many_do_not_end_it_before_a_day() -> None:
    assert wait_seconds(40, timedelta(hours=23)) == WAITS[-1]
    assert wait_seconds(40, timedelta(days=1)) is None


def test_what_was_taken_or_cannot_be_mended_is_not_tried_again() -> None:
    taken, wait = after_attempt(WEBHOOK, answered(200), 3, AT, AT)
    assert (taken.state, taken.attempts, taken.why, wait) == (DeliveryState.DELIVERED, 3, "", None)

    gone, wait = after_attempt(WEBHOOK, Attempt(is_delivered=False, why="gone", is_final=True), 1, AT, AT)
    assert (gone.state, gone.why, wait) == (DeliveryState.FAILED, "gone", None)
