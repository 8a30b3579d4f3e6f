"""`solvent payouts`, acting: approve and reject a run, stop and resume all sending, pay one expert at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console

from cli.connection import Connection
from cli.options import EXPERT_ID, FORM_OF_A_NAME, NAME, typed_amount
from cli.payouts import sending
from cli.printing import DONE, FAILED, refused, say
from events.facts import format_instant
from infra.aws.queues import NotSent
from ledger.errors import InvalidMoney
from ledger.money import Currency, Money, currency, format_minor_units
from payouts.payouts import Payout, PayoutStatus, payout_id
from payouts.policy import PayoutsStopped
from settlement.approve_payouts import ApprovalRefused, approve_run, reject_run
from settlement.pay_on_demand import OnDemandRefused, on_demand_run, pay_on_demand
from settlement.pay_on_demand import quote as quote_payout
from settlement.ports import Contention

_LONGEST_REASON = 200


class CallRefused(ValueError):
    """Words of a call that cannot be meant; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An instant payout as it is asked for; `net` in major units is what arrives at the bank."""

    expert: str
    currency: str
    net: str
    key: str


# -- runs --------------------------------------------------------------------------------------------------------------


def approve(here: Connection, run: str, approval: str, by: str | None, as_of: datetime, console: Console) -> int:
    """Approve exactly what waits in a run, and ask for it to be sent."""

    def act() -> Iterator[str]:
        approver = _person(by)
        ids = approve_run(here.store, run, approval, approver)
        yield f"{run}: {len(ids):,} payouts approved by {approver}"
        yield from _ask_to_send(here, ids, as_of)

    return _outcome(act, console)


def reject(here: Connection, run: str, why: str, by: str | None, as_of: datetime, console: Console) -> int:
    """Give what waits in a run back to the experts' balances."""

    def act() -> Iterator[str]:
        ids = reject_run(here.store, run, _person(by), _reason(why), as_of)
        yield f"{run}: {len(ids):,} payouts rejected; the experts can be paid by a later run"

    return _outcome(act, console)


# -- the kill switch ---------------------------------------------------------------------------------------------------


def stop(here: Connection, why: str, by: str | None, as_of: datetime, console: Console) -> int:
    """Stop all sending at once."""

    def act() -> Iterator[str]:
        here.registry.stop_payouts(PayoutsStopped(_person(by), as_of, _reason(why)))
        yield sending(here.registry) or "Somebody resumed payouts in the meantime."
        yield "A call that Stripe got already may still complete. `solvent payouts resume` ends this."

    return _outcome(act, console)


def resume(here: Connection, as_of: datetime, console: Console) -> int:
    """Turn the kill switch off, and ask for everything unfinished to be sent."""

    def act() -> Iterator[str]:
        stopped = here.registry.payouts_stopped()
        here.registry.resume_payouts()
        since = f"stopped by {stopped.by} since {format_instant(stopped.since)}" if stopped else "not stopped"
        yield f"Payouts are sent again; they were {since}."
        yield from _ask_to_send(here, tuple(here.store.unfinished_payouts()), as_of)

    return _outcome(act, console)


def _ask_to_send(here: Connection, ids: tuple[str, ...], as_of: datetime) -> Iterator[str]:
    here.ask_to_send(sorted(ids), as_of)
    yield f"{len(ids):,} payouts asked to be sent"
    if stopped := sending(here.registry):
        yield f"{stopped}. They wait until somebody resumes."


# -- instant payouts ---------------------------------------------------------------------------------------------------


def quote(here: Connection, expert: str, code: str, as_of: datetime, console: Console) -> int:
    """What an expert would get at once, and what that costs; nothing is written."""

    def act() -> Iterator[str]:
        found = quote_payout(here.store, here.registry, _expert(expert), currency(code), as_of)
        net = format_minor_units(found.amount, found.currency)
        yield f"{expert} gets {net} {code}: {_parts(found)}"
        yield f"solvent payouts now {expert} {code} --net {net} --key KEY"

    return _outcome(act, console)


def pay_now(here: Connection, wanted: Wanted, by: str | None, as_of: datetime, console: Console) -> int:
    """Pay an expert at once what was quoted, for the fee that was quoted; the same payout for every repetition."""

    def act() -> Iterator[str]:
        planner, code = _person(by), currency(wanted.currency)
        quoted = _agreed(here, wanted, code, as_of)
        made = pay_on_demand(here.store, here.registry, quoted, wanted.key, planner, as_of)
        yield f"{made.id}: {made.status}, {Money(made.amount, code)}: {_parts(made)}"
        if made.status is PayoutStatus.PLANNED:
            yield "That is above what needs nobody else: see `solvent payouts waiting`"
        elif not made.is_finished:
            yield from _ask_to_send(here, (made.id,), as_of)

    return _outcome(act, console)


def _agreed(here: Connection, wanted: Wanted, code: Currency, as_of: datetime) -> Payout:
    """The payout of that key, or what would be made now; refused unless it comes to what is wanted."""
    if not NAME.fullmatch(wanted.key):
        what = f"take a name of your own for this payout: {FORM_OF_A_NAME}"
        raise CallRefused(f"{wanted.key!r} is no key; {what}")
    expert, net = _expert(wanted.expert), typed_amount(wanted.net, code)
    known = here.store.payout(payout_id(expert, code, on_demand_run(wanted.key)))
    quoted = known or quote_payout(here.store, here.registry, expert, code, as_of)
    if quoted.amount != net:
        said = f"{known.id} was made already, of" if known else f"{expert} would get"
        step = "use another key" if known else f"agree to that with --net {format_minor_units(quoted.amount, code)}"
        raise OnDemandRefused(f"{said} {Money(quoted.amount, code)} and not {Money(net, code)}; {step}")
    return quoted


def _parts(payout: Payout) -> str:
    code = payout.currency
    return (
        f"{Money(payout.gross, code)} less {Money(payout.withheld, code)} withheld "
        f"and a fee of {Money(payout.fee, code)} for paying at once"
    )


# -- words of a call ---------------------------------------------------------------------------------------------------


def _person(by: str | None) -> str:
    if by is None or not by.strip():
        raise CallRefused("say who you are with --by NAME. Nothing was written.")
    return by.strip()


def _expert(expert: str) -> str:
    if not EXPERT_ID.fullmatch(expert):
        raise CallRefused(f"there is no expert {expert!r}; apply one")
    return expert


def _reason(why: str) -> str:
    said = " ".join(why.split())
    if not 0 < len(said) <= _LONGEST_REASON:
        raise CallRefused(f"--because takes a reason of at most {_LONGEST_REASON} characters. Nothing was written.")
    return said


def _outcome(act: Callable[[], Iterator[str]], console: Console) -> int:
    """Print what was done, line by line as it is done; the exit code."""
    try:
        for line in act():
            say(line, console)
    except (CallRefused, ApprovalRefused, OnDemandRefused, InvalidMoney) as error:
        return refused(error, console)
    except Contention as error:
        return refused(error, console, FAILED)
    except NotSent as error:
        return refused(f"{error}. The next run asks for them too.", console, FAILED)
    return DONE
