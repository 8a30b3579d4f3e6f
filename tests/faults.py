"""What goes wrong with a call to the outside, at whichever one it may be: it is never listed which calls there are."""

from collections.abc import Sequence

from settlement.ports import Contention
from settlement.stripe_port import NotEnoughFunds, StripeBusy, StripeRefused, StripeUnclear
from tests.fake_stripe import FakeStripe, ServerError
from tests.interleaving import Call, Died, Fault, Gone

# How a request that moves money may end at Stripe: the answer, and whether the money was moved.
ENDS: tuple[tuple[Exception, bool], ...] = (
    (StripeUnclear("timed out on the way there"), False),
    (StripeUnclear("timed out on the way back"), True),
    (ServerError("500 before it was done"), False),
    (ServerError("500 after it was done"), True),
    (StripeUnclear("500 of an earlier try, before it was done", replayed=True), False),
    (StripeUnclear("500 of an earlier try, after it was done", replayed=True), True),
    (StripeBusy("409, 429 or 401"), False),
    (NotEnoughFunds("balance_insufficient", "too little"), False),
    (StripeRefused("account_closed", "closed"), False),
)
_MOVES_MONEY = {"transfer": "fail", "pay_out_instantly": "fail_instant"}
_WRITES = {"commit", "set_status"}


def crashes(call: Call) -> Sequence[Fault]:
    """The worker dies before the call is made, or once it is done and before the answer is there."""
    return [_raise(Died()), _done_and(call, Died())]


def disappearances(call: Call) -> Sequence[Fault]:
    """The same, but the worker is never delivered again: others have to go on."""
    return [_raise(Gone()), _done_and(call, Gone())]


def failures(call: Call) -> Sequence[Fault]:
    """Crashes, and every error with which the call itself may end, done or not."""
    faults = [*crashes(call)]
    if call.name in _MOVES_MONEY:
        return [*faults, *(_ends(call, error, is_made=is_made) for error, is_made in ENDS)]
    if call.port == "stripe":
        return [*faults, _done_and(call, StripeUnclear("no answer")), _raise(StripeBusy("429"))]
    if call.name in _WRITES:  # written, and then told that a rival was faster: the database's client tried twice
        faults.append(_done_and(call, Contention("overtaken by itself")))
    return [*faults, _raise(ConnectionError("refused")), _done_and(call, ConnectionError("reset"))]


def _raise(error: Exception) -> Fault:
    def act(_: object) -> object:
        raise error

    return act


def _done_and(call: Call, error: Exception) -> Fault:
    def act(part: object) -> object:
        call(part)
        raise error

    return act


def _ends(call: Call, error: Exception, *, is_made: bool) -> Fault:
    def act(stripe: FakeStripe) -> object:
        getattr(stripe, _MOVES_MONEY[call.name]).append((error, is_made))
        return call(stripe)

    return act
