"""`solvent payouts`, looking: where each payout stands, what waits for whom, and who would not be paid now."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console

from cli.printing import DONE, refused, say, table
from events.facts import format_instant
from ledger.money import Money, format_minor_units, total_by_currency
from payouts.payouts import Instant, Payout, PayoutStatus
from payouts.policy import PayoutPolicy
from settlement.approve_payouts import WaitingRun, waiting_runs
from settlement.described import describe_held, describe_run, is_planned_whole
from settlement.plan_payouts import NotPaid, Request, preview
from settlement.ports import PayoutStore, Registry
from settlement.send_payouts import waits_for

_AMOUNTS = ("amount", "withheld", "fee", "reversed")
# What may have ended since it was written down: asked again, not repeated.
_OF_THE_MOMENT = frozenset({"stopped", "bank_changed"})


class PayoutList(PayoutStore, Protocol):
    """Where payouts are listed."""

    def payouts(self) -> Iterator[Payout]:
        """Every payout, in no order."""


# -- where they stand --------------------------------------------------------------------------------------------------


def list_payouts(
    store: PayoutList, wanted: tuple[str | None, PayoutStatus | None], console: Console, *, as_json: bool = False
) -> int:
    """Every payout, or those of a run and in a status; 2 if there was no such run."""
    run, status = wanted
    of_run = sorted((it for it in store.payouts() if run in {None, it.run}), key=lambda it: it.id)
    if run is not None and not of_run and store.payout_run(run) is None:
        return refused(
            f"there was no run {run}; runs are named 2026-10-05, 2026-W41, 2026-10 or on-demand-KEY", console
        )
    found = [it for it in of_run if status in {None, it.status}]
    if as_json:
        console.print_json(data=[_described(payout) for payout in found])
        return DONE
    rows = [(it.id, it.status, *_amounts(it), it.currency, it.bank_failure or it.why) for it in found]
    console.print(table("Payouts", ("payout", "status", *_AMOUNTS, "in", "why"), rows, _AMOUNTS))
    total = _totals(Money(it.amount, it.currency) for it in found)
    say(f"{len(found):,} payouts" + (f" of {total}" if total else ""), console)
    return DONE


def show_payout(
    store: PayoutStore, registry: Registry, payout_id: str, as_of: datetime, console: Console, *, as_json: bool = False
) -> int:
    """Everything about one payout, what it waits for and the next step; 2 if there is none of that id."""
    payout = store.payout(payout_id) if payout_id.startswith("payout:") else None
    if payout is None:
        return refused(f"there is no payout {payout_id}; see `solvent payouts list`", console)
    described = _described(payout) | _next(payout, store, registry, as_of)
    if as_json:
        console.print_json(data=described)
        return DONE
    amounts = {f"{name}_minor": amount for name, amount in zip(_AMOUNTS, _amounts(payout), strict=True)}
    for name, value in (described | amounts).items():
        if value not in {None, ""}:
            say(f"{name.removesuffix('_minor').replace('_', ' ')}: {value}", console)
    return DONE


def _described(payout: Payout) -> dict[str, Any]:
    """All that is kept of it, but for its revision; amounts in minor units."""
    fields = {name: value for name, value in asdict(payout).items() if name not in {*_AMOUNTS, "revision"}}
    fields |= {f"{name}_minor": getattr(payout, name) for name in _AMOUNTS}
    fields["planned_at"] = format_instant(payout.planned_at)
    fields["sent_on"] = payout.sent_on.isoformat() if payout.sent_on else None
    return fields


def _amounts(payout: Payout) -> tuple[str, ...]:
    return tuple(format_minor_units(getattr(payout, name), payout.currency) for name in _AMOUNTS)


def _next(payout: Payout, store: PayoutStore, registry: Registry, as_of: datetime) -> dict[str, str]:
    run = store.payout_run(payout.run)
    is_planned = run is None or run.is_finished
    waiting, step = standing(payout, waits_for(registry, payout, as_of), is_planned=is_planned)
    return {"waits_for": waiting, "next_step": step}


_NOTHING = "nothing"
_BY_ITSELF = "nothing to do: every run asks for it again"
_OWED_AGAIN = "`solvent expert show {expert}`: the amount is owed again, and a later run pays it"
_UNCLEAR = ("a clear answer from Stripe", "nothing to do: whoever takes it up looks for its transfer first")
_STANDING = {
    PayoutStatus.PLANNED: ("a second person", "`solvent payouts waiting` shows run {run} and its hash"),
    PayoutStatus.SENDING: _UNCLEAR,
    PayoutStatus.UNKNOWN: _UNCLEAR,
    PayoutStatus.PAID: (_NOTHING, "nothing to do"),
    PayoutStatus.FAILED: (_NOTHING, _OWED_AGAIN),
    PayoutStatus.REVERSED: (_NOTHING, _OWED_AGAIN),
}
# What an approved payout waits for, by its code.
_STEPS = {
    "stopped": "`solvent payouts resume`, once the reason is gone",
    "balance_insufficient": "top up the platform's Stripe balance; it is sent when the money is there",
}


def standing(payout: Payout, blocked: str | None, *, is_planned: bool) -> tuple[str, str]:
    """What a payout waits for, and the next step; `blocked` is what keeps it from being sent at the moment.

    `is_planned` says that the planning of its run is finished.
    """
    if payout.status is PayoutStatus.APPROVED:
        said = blocked or ("" if payout.why.partition(":")[0] in _OF_THE_MOMENT else payout.why)
        return said or "its turn", _STEPS.get(said.partition(":")[0], _BY_ITSELF)
    if payout.status is PayoutStatus.SENT:
        return _at_the_bank(payout)
    if payout.status is PayoutStatus.PLANNED and not is_planned:
        return "the rest of its run to be planned", "nothing to do: the next trigger goes on with the run"
    waiting, step = _STANDING[payout.status]
    return waiting, step.format(run=payout.run, expert=payout.expert)


def _at_the_bank(payout: Payout) -> tuple[str, str]:
    if payout.instant is Instant.WANTED:
        return "the instant payout to the bank", _BY_ITSELF
    if payout.bank_failure is None:
        return "the expert's bank", "nothing to do: Stripe pays it out"
    link = f"`solvent onboard {payout.expert}` prints the link where the expert changes it"
    return f"a bank account that takes it: {payout.bank_failure}", f"{link}; the money is in their Stripe account"


# -- who would not be paid ---------------------------------------------------------------------------------------------


def held(store: PayoutStore, registry: Registry, as_of: datetime, console: Console, *, as_json: bool = False) -> int:
    """Whoever has something available and would not be paid now, with the amount and everything that is missing."""
    found = [it for it in preview(store, registry, as_of) if isinstance(it, NotPaid)]
    if as_json:
        data = [describe_held(it) for it in found]
        console.print_json(data=data)
        return DONE
    rows = [
        (it.expert, format_minor_units(it.minor_units, it.currency), it.currency, "\n".join(it.missing)) for it in found
    ]
    console.print(table("Would not be paid now", ("expert", "available", "in", "missing"), rows, {"available"}))
    total = _totals(Money(it.minor_units, it.currency) for it in found)
    say(f"{len(found):,} held back" + (f", {total}" if total else ""), console)
    return DONE


# -- what waits for a second person ------------------------------------------------------------------------------------


def waiting(store: PayoutStore, console: Console, *, as_json: bool = False) -> int:
    """Every run that waits for a second person: how many payouts, their totals, who planned it, and its hash."""
    runs = [(run, is_planned_whole(store, run)) for run in waiting_runs(store)]
    if as_json:
        console.print_json(data=[describe_run(*each) for each in runs])
        return DONE
    for run, is_planned in runs:
        planners = ", ".join(sorted({payout.planned_by for payout in run.payouts}))
        say(f"{run.run}: {len(run.payouts):,} payouts, {_totals_of(run)}, planned by {planners}", console)
        if not is_planned:
            say(
                "    its planning goes on; wait for its end, since more may come and what is small needs nobody",
                console,
            )
        say(f"    solvent payouts approve {run.run} --hash {run.hash}", console)
    say(f"{len(runs)} waiting", console)
    return DONE


def _totals_of(run: WaitingRun) -> str:
    return ", ".join(str(Money(total, code)) for code, total in sorted(run.totals.items()))


# -- the kill switch and the limits ------------------------------------------------------------------------------------


def status(store: PayoutStore, registry: Registry, as_of: datetime, console: Console) -> int:
    """Whether anything is sent, and per currency what may be paid and what of the day's limit (UTC) is used."""
    say(sending(registry) or "Payouts are sent.", console)
    policies, day = registry.policies(), as_of.astimezone(UTC).date()
    limits = {code: Request("", as_of).limits(code)[1] for code in sorted(policies)}
    used = {it.id: it.minor_units for it in store.spent(list(limits.values()))}
    columns = (
        "currency",
        "a payout",
        "a run",
        "a day",
        f"used {day}",
        "second person above",
        "instant fee",
        "cooling-off",
    )
    rows = [_limits(policies[code], used[limit]) for code, limit in limits.items()]
    console.print(table("At most", columns, rows, set(columns[1:6])))
    if not rows:
        say("There is no payout policy: nothing is limited, and nothing waits for a second person.", console)
    return DONE


def _limits(policy: PayoutPolicy, used: int) -> tuple[str, ...]:
    code, counts = policy.id, policy.counts_totals
    return (
        code,
        *(policy_amount(policy, amount) for amount in (policy.per_expert, policy.per_run, policy.per_day)),
        format_minor_units(used, code) if counts else "not counted",
        policy_amount(policy, policy.approve_above),
        f"{policy.instant_fee_percent}%" if policy.instant_fee_percent else "not offered",
        f"{policy.cooling_off_days} days",
    )


def policy_amount(policy: PayoutPolicy, amount: str | None) -> str:
    """A limit as people write it in its currency; "no limit" where the policy gives none."""
    minor_units = policy.minor(amount)
    return "no limit" if minor_units is None else format_minor_units(minor_units, policy.id)


def sending(registry: Registry) -> str | None:
    """That payouts are stopped, by whom, since when and why; None if they are not."""
    stopped = registry.payouts_stopped()
    if stopped is None:
        return None
    return f"Payouts are stopped: by {stopped.by} since {format_instant(stopped.since)}, because {stopped.reason}"


def _totals(amounts: Iterable[Money]) -> str:
    return ", ".join(str(Money(total, code)) for code, total in sorted(total_by_currency(amounts).items()))
