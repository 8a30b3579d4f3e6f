"""Idempotency keys and faults: what a caller may rely on when an answer is lost or wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import stripe

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox
    from tests.sandbox.conftest import ClientMaker

pytestmark = pytest.mark.usefixtures("funded")
TRANSFERS = {"method": "POST", "path_prefix": "/v1/transfers"}


def send(client: stripe.StripeClient, expert: str, *, key: str, amount: int = 1_000) -> stripe.Transfer:
    return client.v1.transfers.create(
        {"amount": amount, "currency": "usd", "destination": expert, "transfer_group": "run-1"},
        {"idempotency_key": key},
    )


def was_replayed(error: stripe.StripeError) -> bool:
    return (error.headers or {}).get("Idempotent-Replayed") == "true"


def transfers_made(client: stripe.StripeClient) -> list[str]:
    return [transfer.id for transfer in client.v1.transfers.list({"transfer_group": "run-1", "limit": 100})]


def test_a_repeated_key_returns_the_first_transfer(client: stripe.StripeClient, expert: str) -> None:
    first = send(client, expert, key="k")

    second = send(client, expert, key="k")

    assert second.id == first.id
    assert second.last_response is not None
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert transfers_made(client) == [first.id]


def test_a_replayed_key_with_other_parameters_is_refused(client: stripe.StripeClient, expert: str) -> None:
    send(client, expert, key="k")

    with pytest.raises(stripe.IdempotencyError) as refused:
        send(client, expert, key="k", amount=1_001)

    assert refused.value.http_status == 400
    assert len(transfers_made(client)) == 1


def test_a_refusal_is_replayed_even_after_its_cause_is_gone(client: stripe.StripeClient, expert: str) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        send(client, expert, key="k", amount=150_000)
    client.v1.topups.create({"amount": 100_000, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError) as replayed:
        send(client, expert, key="k", amount=150_000)

    assert replayed.value.code == "balance_insufficient"
    assert was_replayed(replayed.value)
    assert send(client, expert, key="k2", amount=150_000).amount == 150_000


@pytest.mark.parametrize(("fault", "made"), [("status_500_before", 0), ("status_500_after_commit", 1)])
def test_a_500_is_replayed_for_its_key_whether_or_not_the_transfer_was_made(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str, fault: str, made: int
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": fault})

    with pytest.raises(stripe.APIError) as first:
        send(client, expert, key="k")
    with pytest.raises(stripe.APIError) as second:
        send(client, expert, key="k")

    assert (first.value.http_status, second.value.http_status) == (500, 500)
    assert (was_replayed(first.value), was_replayed(second.value)) == (False, True)
    assert len(transfers_made(client)) == made


def test_a_timeout_after_commit_then_the_same_key_returns_the_transfer_that_was_made(
    sandbox: StripeSandbox, client: stripe.StripeClient, client_of: ClientMaker, expert: str
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "timeout_after_commit"})
    with pytest.raises(stripe.APIConnectionError):
        send(client_of(sandbox, timeout_seconds=0.3), expert, key="k")
    made = transfers_made(client)

    retried = send(client, expert, key="k")

    assert [retried.id] == made == transfers_made(client)


def test_a_connection_dropped_after_commit_is_retried_by_the_sdk_without_a_second_transfer(
    sandbox: StripeSandbox, client: stripe.StripeClient, client_of: ClientMaker, expert: str
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "drop_after_commit"})

    transfer = send(client_of(sandbox, retries=1), expert, key="k")

    assert transfers_made(client) == [transfer.id]


def test_a_connection_dropped_before_the_request_made_nothing(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "drop_before"})

    with pytest.raises(stripe.APIConnectionError):
        send(client, expert, key="k")

    assert transfers_made(client) == []
    assert send(client, expert, key="k").amount == 1_000


def test_a_429_is_not_kept_so_the_same_key_may_try_again(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "rate_limit_429", "times": 2})

    for _attempt in range(2):
        with pytest.raises(stripe.RateLimitError) as limited:
            send(client, expert, key="k")
        assert limited.value.error is not None
        assert limited.value.error.code == "rate_limit"
        assert "Stripe-Should-Retry" not in (limited.value.headers or {})

    assert send(client, expert, key="k").amount == 1_000


def test_a_429_with_the_retry_header_is_retried_by_the_sdk(
    sandbox: StripeSandbox, client_of: ClientMaker, expert: str
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "rate_limit_429", "should_retry": True})

    assert send(client_of(sandbox, retries=1), expert, key="k").amount == 1_000


def test_an_ordered_conflict_is_not_kept(sandbox: StripeSandbox, client: stripe.StripeClient, expert: str) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "conflict_409"})

    with pytest.raises(stripe.APIError) as conflict:
        send(client, expert, key="k")

    assert conflict.value.http_status == 409
    assert send(client, expert, key="k").amount == 1_000


def test_a_key_that_is_in_use_is_refused_with_409(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "delay_ms", "delay_ms": 400})

    def attempt(_number: int) -> str | None:
        try:
            send(client, expert, key="k")
        except stripe.APIError as conflict:
            return conflict.error.code if conflict.error else "no code"
        return "made"

    with ThreadPoolExecutor(2) as threads:
        assert set(threads.map(attempt, range(2))) == {"made", "idempotency_key_in_use"}
    assert len(transfers_made(client)) == 1


def test_a_request_with_a_bad_parameter_does_not_spend_its_key(client: stripe.StripeClient, expert: str) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        send(client, expert, key="k", amount=0)

    assert send(client, expert, key="k").amount == 1_000


def test_a_key_is_forgotten_after_a_day_of_sandbox_time(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str
) -> None:
    first = send(client, expert, key="k")
    sandbox.control("clock", {"now": "2026-03-03T08:59:59Z"})
    assert send(client, expert, key="k").id == first.id

    sandbox.control("clock", {"now": "2026-03-03T09:00:00Z"})

    assert send(client, expert, key="k").id != first.id


def test_a_fault_strikes_only_what_it_matches_and_can_be_withdrawn(
    sandbox: StripeSandbox, client: stripe.StripeClient, expert: str
) -> None:
    sandbox.control("faults", {"match": TRANSFERS, "fault": "status_500_before", "times": 9})
    assert client.v1.balance.retrieve().available[0].amount == 100_000

    assert sandbox.control("faults", method="DELETE") == {"faults": []}

    assert send(client, expert, key="k").amount == 1_000
