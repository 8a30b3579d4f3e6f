"""The function that delivers: one attempt, and what it does with the message afterwards."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from functions import deliver_webhooks as function
from settlement.webhooks import WAITS, Attempt, Delivery, DeliveryState, Endpoint, Webhook, new_secret

SECRET = new_secret(bytes(range(32)))
WEBHOOK = Webhook("acme-billing", "msg_1", "usage.cap_alert", "group", '{"type":"usage.cap_alert"}')
URL = "https://acme.example/hook"


@dataclass
class Outside:
    """What the function touches, kept: what it sent, what became of it, and for how long it was hidden."""

    answer: Attempt = field(default_factory=lambda: Attempt(is_delivered=True))
    known: dict[str, Endpoint] = field(default_factory=dict)
    secrets: tuple[str, ...] = (SECRET,)
    sent: list[tuple[str, Mapping[str, str], str, bool]] = field(default_factory=list)
    kept: list[Delivery] = field(default_factory=list)
    hidden: list[tuple[str, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def endpoints(self, ids: list[str]) -> dict[str, Endpoint]:
        return {id_: self.known[id_] for id_ in ids if id_ in self.known}

    def post(self, url: str, headers: Mapping[str, str], body: str, *, loopback_allowed: bool) -> Attempt:
        self.sent.append((url, headers, body, loopback_allowed))
        return self.answer

    def info(self, message: str, extra: Mapping[str, object]) -> None:
        assert message
        assert "body" not in extra

    def error(self, message: str, extra: Mapping[str, object]) -> None:
        self.errors.append(f"{message}: {extra['endpoint']} {extra['webhook']} {extra['why']}")


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    made = Outside(known={"acme-billing": an_endpoint()})
    monkeypatch.setattr(function, "stack", lambda: "s")
    monkeypatch.setattr(function, "registry", lambda: made)
    monkeypatch.setattr(function, "webhook_secrets", lambda _, __: made.secrets)
    monkeypatch.setattr(function, "post", made.post)
    monkeypatch.setattr(function, "keep_delivery", made.kept.append)
    monkeypatch.setattr(function, "postpone", lambda _, receipt, seconds: made.hidden.append((receipt, seconds)))
    monkeypatch.setattr(function, "logger", made)
    return made


def an_endpoint(**fields: object) -> Endpoint:
    document = {"id": "acme-billing", "audience": "client", "client": "acme", "url": URL}
    return Endpoint.model_validate(document | fields)


def deliver(attempts: int = 1, tried_for: timedelta = timedelta()) -> object:
    first_at = datetime.now(UTC) - tried_for
    counted = {
        "ApproximateReceiveCount": str(attempts),
        "ApproximateFirstReceiveTimestamp": str(int(first_at.timestamp() * 1000)),
    }
    record = {
        "messageId": "m1",
        "receiptHandle": "r1",
        "body": json.dumps(asdict(WEBHOOK)),
        "attributes": counted,
    }
    answer: dict[str, list[dict[str, str]]] = function.handler.__wrapped__({"Records": [record]}, None)  # type: ignore[attr-defined]
    return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


def test_what_was_taken_leaves_the_queue_and_is_kept_as_delivered(outside: Outside) -> None:
    assert deliver() == []

    [(url, headers, body, loopback_allowed)] = outside.sent
    assert (url, body, loopback_allowed) == (URL, WEBHOOK.body, False)
    assert headers["webhook-id"] == "msg_1"
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["content-type"] == "application/json"
    assert [(it.state, it.attempts, it.endpoint, it.webhook) for it in outside.kept] == [
        (DeliveryState.DELIVERED, 1, "acme-billing", "msg_1")
    ]
    assert outside.hidden == []


@pytest.mark.parametrize(("attempts", "seconds"), list(enumerate(WAITS, 1)))
def test_what_was_not_taken_is_hidden_for_longer_each_time(outside: Outside, attempts: int, seconds: int) -> None:
    outside.answer = Attempt(is_delivered=False, why="answered 500")

    assert deliver(attempts) == ["m1"]
    assert outside.hidden == [("r1", seconds)]
    assert [(it.state, it.why) for it in outside.kept] == [(DeliveryState.WAITING, "answered 500")]
    assert outside.errors == []


def test_what_nobody_took_for_a_day_is_given_up_and_said_so_where_an_alarm_looks(outside: Outside) -> None:
    outside.answer = Attempt(is_delivered=False, why="answered 500")

    assert deliver(11, timedelta(hours=25)) == [], "so that what is behind it in its group goes on"
    assert outside.hidden == []
    assert [it.state for it in outside.kept] == [DeliveryState.FAILED]
    assert outside.errors == ["webhook given up: acme-billing msg_1 answered 500"]


@pytest.mark.parametrize("known", [{}, {"acme-billing": an_endpoint(enabled=False)}])
def test_nothing_is_sent_to_an_endpoint_that_is_not_enabled_but_it_can_be_replayed(
    outside: Outside, known: dict[str, Endpoint]
) -> None:
    outside.known = known

    assert deliver() == []
    assert outside.sent == []
    assert [(it.state, it.why) for it in outside.kept] == [(DeliveryState.FAILED, "the endpoint is not enabled")]


@pytest.mark.parametrize("secrets", [(), ("whsec_short",)])
def test_nothing_is_sent_unsigned_and_it_waits_for_a_secret(outside: Outside, secrets: tuple[str, ...]) -> None:
    outside.secrets = secrets

    assert deliver() == ["m1"]
    assert outside.sent == []
    assert outside.kept[0].state is DeliveryState.WAITING


def test_during_a_rotation_both_secrets_sign(outside: Outside) -> None:
    outside.secrets = (new_secret(bytes(32)), SECRET)
    deliver()

    assert len(outside.sent[0][1]["webhook-signature"].split(" ")) == 2


def test_the_own_machine_may_be_called_where_the_template_says_so(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value, allowed in (("refused", False), ("", False), ("allowed", True)):
        monkeypatch.setenv("SOLVENT_WEBHOOKS_TO_LOOPBACK", value)
        deliver()
        assert outside.sent[-1][3] is allowed
