"""Payouts that an expert asks for: shown with their fee first, then made exactly as shown, once per key."""

from datetime import datetime

from ledger.money import Currency, Money
from payouts.payouts import Payout
from settlement.plan_payouts import NotPaid, Payee, Request, decide_payout, payees, plan_payout
from settlement.ports import PayoutStore, Registry

_QUOTE = "quote"


class OnDemandRefused(ValueError):
    """An instant payout that cannot be made as it was asked for; the message says why."""


def on_demand_run(key: str) -> str:
    """The run that an instant payout makes up alone."""
    return f"on-demand-{key}"


def quote(store: PayoutStore, registry: Registry, expert: str, code: Currency, as_of: datetime) -> Payout:
    """The payout that would be made now, with what is withheld and what it costs; nothing is written.

    Raises OnDemandRefused with everything that is missing.
    """
    request = Request(_QUOTE, as_of, is_instant=True)
    payee, policy = _payee(registry, expert), registry.policies().get(code)
    spent = {it.id: it.minor_units for it in store.spent(request.limits(code))}
    found = decide_payout(payee, store.balances(expert), code, request, policy, spent)
    return _made(found, expert, code)


def pay_on_demand(store: PayoutStore, registry: Registry, quoted: Payout, key: str, by: str, as_of: datetime) -> Payout:
    """Reserve the payout that was quoted, to be paid out to the bank at once; the same one for every repetition of key.

    Raises OnDemandRefused if it would not be what was quoted any more.
    """
    code, agreed = quoted.currency, (quoted.gross, quoted.withheld, quoted.fee)
    request = Request(on_demand_run(key), as_of, planned_by=by, is_instant=True, agreed=agreed)
    outcome = plan_payout(store, _payee(registry, quoted.expert), code, request, registry.policies().get(code))
    made = _made(outcome, quoted.expert, code)
    if (made.gross, made.withheld, made.fee) != agreed:
        raise OnDemandRefused(f"{made.id} was made already, of {Money(made.amount, code)}; use another key")
    return made


def _payee(registry: Registry, expert: str) -> Payee:
    found = registry.experts([expert]).get(expert)
    if found is None:
        raise OnDemandRefused(f"there is no expert {expert}; apply one")
    return next(payees(registry, [found]))


def _made(outcome: Payout | NotPaid | None, expert: str, code: Currency) -> Payout:
    match outcome:
        case Payout():
            return outcome
        case NotPaid(missing=missing):
            raise OnDemandRefused(f"{expert} is not paid in {code} now: {', '.join(missing)}")
        case None:
            raise OnDemandRefused(f"{expert} has nothing available in {code}")
