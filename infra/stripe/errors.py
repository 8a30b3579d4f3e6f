"""What went wrong at Stripe, in the port's four words."""

from collections.abc import Iterator
from contextlib import contextmanager

import stripe as sdk

from settlement.stripe_port import NotEnoughFunds, StripeBusy, StripeRefused, StripeUnclear

# Only these codes of a 4xx prove that a transfer, or a payout to a bank, did not and will not happen
# (https://docs.stripe.com/error-codes).
DEFINITIVE_REFUSALS = frozenset(
    {
        "account_closed",
        "account_invalid",
        "amount_too_large",
        "amount_too_small",
        "bank_account_unusable",
        "instant_payouts_config_disabled",
        "instant_payouts_currency_disabled",
        "instant_payouts_limit_exceeded",
        "instant_payouts_unsupported",
        "insufficient_capabilities_for_transfer",
        "invalid_charge_amount",
        "no_account",
        "parameter_invalid_empty",
        "parameter_invalid_integer",
        "parameter_missing",
        "parameter_unknown",
        "payouts_limit_exceeded",
        "payouts_not_allowed",
        "resource_missing",
        "transfers_not_allowed",
    }
)


@contextmanager
def stripe_errors() -> Iterator[None]:
    """Around every request: raises StripeUnclear, StripeBusy, StripeRefused or NotEnoughFunds instead of the SDK's own.

    The first that fits: no answer, 5xx: unclear. 401, 403, 409, 429, a reused key: busy. A listed code: refused. Any
    other 4xx proves nothing, so it is busy too: the state stays, and the error is seen in the logs until it is listed.

    A 429 doesn't say how long to wait: Stripe asks for backoff (https://docs.stripe.com/rate-limits), which the SDK
    does itself where Stripe-Should-Retry says so, and the queue's redelivery does otherwise.
    """
    try:
        yield
    except sdk.APIConnectionError as error:
        raise StripeUnclear(f"no answer from Stripe: {error.user_message or error}") from error
    except sdk.InvalidRequestError as error:
        if error.code == "balance_insufficient":
            raise NotEnoughFunds(error.code, str(error)) from error
        if error.code in DEFINITIVE_REFUSALS:
            raise StripeRefused(str(error.code), str(error)) from error
        raise StripeBusy(str(error)) from error
    except sdk.StripeError as error:
        if error.http_status is not None and error.http_status < 500:
            raise StripeBusy(str(error)) from error
        replayed = dict(error.headers or {}).get("Idempotent-Replayed") == "true"
        raise StripeUnclear(f"Stripe answered {error.http_status}: {error}", replayed=replayed) from error
