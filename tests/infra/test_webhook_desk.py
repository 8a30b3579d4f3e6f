"""What the API does with webhooks over moto's secrets, tables and queue: single-threaded, and no transaction."""

from collections.abc import Iterator
from datetime import timedelta

import boto3
import pytest

from infra.aws.registry import DynamoRegistry
from infra.aws.tables import AnnouncementItem, DeliveryItem, RegistryItem
from infra.webhooks.deliveries import keep_delivery
from infra.webhooks.desk import WebhookDesk
from settlement.announcements import Audience
from settlement.ports import Contention
from settlement.webhooks import Delivery, DeliveryState, Endpoint
from tests.dynamo_tables import moto_tables
from tests.world import at

ENDPOINT = Endpoint(id="acme-billing", audience=Audience.CLIENT, client="acme", url="https://acme.example/hooks")
FIRST, SECOND = "1" * 32, "2" * 32


@pytest.fixture
def desk() -> Iterator[WebhookDesk]:
    with moto_tables("test", RegistryItem, AnnouncementItem, DeliveryItem):
        yield WebhookDesk("test")


def test_a_request_makes_one_secret_however_often_it_comes(desk: WebhookDesk) -> None:
    assert (desk.secrets("e"), desk.secret_made_by("e", FIRST)) == ((), None)
    for _ in range(2):
        desk.make_secret("e", FIRST)
    [secret] = desk.secrets("e")
    assert secret.startswith("whsec_")
    assert desk.secret_made_by("e", FIRST) == secret
    described = boto3.client("secretsmanager").describe_secret(SecretId="test/webhooks/e")
    assert described["KmsKeyId"] == "alias/test"


def test_of_a_rotation_the_newest_two_are_kept_and_each_request_finds_its_own(desk: WebhookDesk) -> None:
    desk.make_secret("e", FIRST)
    desk.make_secret("e", SECOND)
    new, old = desk.secrets("e")
    assert (desk.secret_made_by("e", SECOND), desk.secret_made_by("e", FIRST)) == (new, old)
    desk.keep_newest_secret("e")
    desk.keep_newest_secret("e")
    assert desk.secrets("e") == (new,)
    assert desk.secret_made_by("e", SECOND) == new


def test_a_forgotten_secret_is_gone_at_once_and_another_may_be_made(desk: WebhookDesk) -> None:
    desk.make_secret("e", FIRST)
    [old] = desk.secrets("e")
    for _ in range(2):
        desk.forget_secrets("e")
    assert (desk.secrets("e"), desk.secret_made_by("e", FIRST)) == ((), None)
    desk.make_secret("e", FIRST)
    assert desk.secrets("e") != (old,)


def test_what_was_not_taken_is_read_so_many_at_a_time_behind_one_another(desk: WebhookDesk) -> None:
    states = [DeliveryState.FAILED, DeliveryState.DELIVERED, DeliveryState.WAITING] * 3
    for number, state in enumerate(states):
        tried_at = at("2026-03-09") + timedelta(minutes=number)
        keep_delivery(Delivery("e", f"msg_{number}", "invoice.issued", state, 2, "answered 500", tried_at))
    keep_delivery(Delivery("f", "msg_0", "invoice.issued", DeliveryState.FAILED, 2, "", at("2026-03-09")))
    seen, last = list[str](), ""
    for _ in range(5):
        found, last = desk.undelivered_after("e", last, 2)
        seen += [it.webhook for it in found]
        if not last:
            break
    assert seen == [f"msg_{number}" for number, state in enumerate(states) if state is not DeliveryState.DELIVERED]


@pytest.mark.usefixtures("desk")
def test_an_endpoint_is_added_once_and_forgotten_however_often() -> None:
    registry = DynamoRegistry()
    registry.add_endpoint(ENDPOINT)
    with pytest.raises(Contention):
        registry.add_endpoint(ENDPOINT.model_copy(update={"url": "https://other.example"}))
    assert registry.endpoints() == {"acme-billing": ENDPOINT}
    for _ in range(2):
        registry.remove_endpoint("acme-billing")
    assert registry.endpoints(["acme-billing"]) == {}
