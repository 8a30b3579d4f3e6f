"""What the sandbox refuses, and how it says so: keys, ids, parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import stripe

from infra.local.stripe_sandbox.parameters import Wire, decode_form, validated

if TYPE_CHECKING:
    from infra.local.stripe_sandbox import StripeSandbox


def raw(client: stripe.StripeClient, path: str, params: dict[str, Any]) -> None:
    """Send parameters that the SDK's types would not let pass."""
    client.raw_request("post", path, **params)


@pytest.mark.parametrize("key", ["sk_test_wrong", ""])
def test_a_wrong_or_missing_key_is_refused_with_401(sandbox: StripeSandbox, key: str) -> None:
    stranger = stripe.StripeClient(key or " ", base_addresses={"api": sandbox.url})

    with pytest.raises(stripe.AuthenticationError) as refused:
        stranger.v1.balance.retrieve()

    assert refused.value.http_status == 401


def test_an_unknown_id_is_a_404_with_the_code_resource_missing(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.retrieve("tr_unknown")

    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert refused.value.request_id is not None
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v2.core.accounts.retrieve("acct_unknown")
    assert refused.value.code == "resource_missing"


def test_an_id_of_another_kind_or_another_account_is_unknown(client: stripe.StripeClient, expert: str) -> None:
    topup = client.v1.topups.create({"amount": 100, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError):
        client.v1.transfers.retrieve(topup.id)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.balance_transactions.retrieve(str(topup.balance_transaction), options={"stripe_account": expert})
    with pytest.raises(stripe.PermissionError):
        client.v1.balance.retrieve(options={"stripe_account": "acct_unknown"})


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"amount": "12.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"currency": None}, "parameter_missing", "currency"),
        ({"currency": ""}, "parameter_invalid_empty", "currency"),
        ({"source_type": "cash"}, "parameter_invalid", "source_type"),
        ({"amonut": 5}, "parameter_unknown", "amonut"),
        ({"metadata": {"a": {"b": "c"}}}, "parameter_invalid", "metadata[a]"),
        ({"source_transaction": "ch_1"}, "sandbox_not_modelled", "source_transaction"),
    ],
)
@pytest.mark.usefixtures("funded")
def test_a_parameter_that_is_wrong_is_named(
    client: stripe.StripeClient, expert: str, change: dict[str, Any], code: str, param: str
) -> None:
    good = {"amount": 100, "currency": "usd", "destination": expert}

    with pytest.raises(stripe.InvalidRequestError) as refused:
        raw(client, "/v1/transfers", {name: value for name, value in {**good, **change}.items() if value is not None})

    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert not client.v1.transfers.list().data


def test_a_wrong_nested_parameter_is_named_with_its_path(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.balance_transactions.list(cast("Any", {"created": {"gtee": 5}}))
    assert (refused.value.code, refused.value.param) == ("parameter_unknown", "created[gtee]")

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.credit_notes.create(cast("Any", {"invoice": "in_1", "lines": [{"type": "wrong"}]}))
    assert refused.value.param == "lines[0][type]"


def test_a_v2_body_keeps_its_json_types(client: stripe.StripeClient) -> None:
    wish = {"recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": "true"}}}}}

    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v2.core.accounts.create(cast("Any", {"configuration": wish}))

    assert str(refused.value.param).endswith("[stripe_transfers][requested]")


@pytest.mark.parametrize("limit", [0, 101])
def test_a_list_takes_a_limit_of_1_to_100(client: stripe.StripeClient, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.list({"limit": limit})

    assert refused.value.param == "limit"


def test_an_unknown_path_is_a_404(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.products.list()

    assert refused.value.http_status == 404


def test_nested_form_parameters_become_nested_values_of_their_types() -> None:
    given = decode_form("invoice=in_1&lines[0][type]=custom_line_item&lines[0][quantity]=2&expand[]=a&metadata[k]=1")

    checked = validated(stripe.params.CreditNoteCreateParams, given, Wire.FORM)

    assert checked == {
        "invoice": "in_1",
        "lines": [{"type": "custom_line_item", "quantity": 2}],
        "expand": ["a"],
        "metadata": {"k": "1"},
    }


@pytest.mark.parametrize("path", ["data.nothing", "data.destination"])
def test_a_property_that_cannot_be_expanded_is_refused(client: stripe.StripeClient, path: str) -> None:
    client.v1.topups.create({"amount": 500, "currency": "usd"})
    client.v1.payouts.create({"amount": 500, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded") as refused:
        client.v1.payouts.list({"expand": [path]})

    assert refused.value.param == "expand"
