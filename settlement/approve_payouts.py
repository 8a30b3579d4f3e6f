"""The second person: a run above the policy's threshold is sent once somebody else approved exactly what it is."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from ledger.money import Currency
from ledger.records import dataclass
from payouts.payouts import Payout, PayoutStatus, hash_of, moved
from settlement.announcements import Announcement
from settlement.identity import is_same_person
from settlement.plan_payouts import BY_POLICY, run_limit
from settlement.ports import Changes, PayoutStore, Registry
from settlement.send_payouts import existing, release
from settlement.writing import until_written


class ApprovalRefused(ValueError):
    """What cannot be approved or rejected as it was asked for; the message says why."""


class SamePerson(ApprovalRefused):
    """Who planned a payout wants to approve it, too."""


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """The payouts of a run that wait for a second person, and the hash that an approval of them must name."""

    run: str
    payouts: tuple[Payout, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of everything that would be sent."""
        return hash_of(self.payouts)

    @property
    def totals(self) -> dict[Currency, int]:
        """What the payouts take off the experts' payable, in minor units."""
        totals: dict[Currency, int] = {}
        for payout in self.payouts:
            totals[payout.currency] = totals.get(payout.currency, 0) + payout.gross
        return totals


def waiting_runs(store: PayoutStore) -> tuple[WaitingRun, ...]:
    """Every run with payouts that wait for approval, by name."""
    runs: dict[str, list[Payout]] = {}
    for payout in _unfinished(store):
        if payout.status is PayoutStatus.PLANNED:
            runs.setdefault(payout.run, []).append(payout)
    return tuple(WaitingRun(run, tuple(payouts)) for run, payouts in sorted(runs.items()))


def approve_small_runs(store: PayoutStore, registry: Registry, run: str, as_of: datetime) -> WaitingRun:
    """Approve, by policy, a run's payouts in each currency whose total is within the threshold; what still waits.

    The total is of all that the run ever reserved: what is left of a large run once some was approved or rejected is
    not a small run. Safe to repeat once the run is planned. What waits is announced.
    """
    policies, waiting = registry.policies(), _waiting(store, run)
    totals = waiting.totals
    counted = store.spent([run_limit(run, code) for code in totals])
    totals = {code: max(totals[code], it.minor_units) for code, it in zip(totals, counted, strict=True)}
    left = []
    for payout in waiting.payouts:
        policy = policies.get(payout.currency)
        most = policy.minor(policy.approve_above) if policy else None
        if most is None or totals[payout.currency] <= most:
            _approve(store, payout, BY_POLICY, None)
        else:
            left.append(payout)
    still = WaitingRun(run, tuple(left))
    if left:
        data: dict[str, int | str] = {"run": run, "payouts": len(left), "hash": still.hash}
        data |= {f"total_{code}": total for code, total in still.totals.items()}
        told = Announcement(
            f"payout_run.waiting:{run}:{still.hash}", "payout_run.waiting", "", as_of, data, f"run:{run}"
        )
        store.commit(Changes(announcements=(told,)))
    return still


def approve_run(store: PayoutStore, run: str, approval: str, by: str, *also_known_as: str) -> tuple[str, ...]:
    """Approve what waits in a run, if it is exactly what `approval` is the hash of; the ids that may be sent now.

    `also_known_as` are other identities of who approves. Raises ApprovalRefused for another hash, and for the person
    who planned any of it. An approval that was interrupted goes on when it is repeated; once some of it was sent, what
    is left has a hash of its own.
    """
    waiting = _waiting(store, run, approval)
    if not waiting.payouts:
        raise ApprovalRefused(f"run {run} has nothing that waits for approval")
    if waiting.hash != approval:
        raise ApprovalRefused(f"run {run} is not what {approval} stands for, but {waiting.hash}; look at it again")
    planners = {payout.planned_by for payout in waiting.payouts}
    if any(is_same_person(planner, one) for planner in planners for one in (by, *also_known_as)):
        raise SamePerson(f"run {run} was planned by {by}; somebody else has to approve it")
    for payout in waiting.payouts:
        _approve(store, payout, by, approval)
    return tuple(payout.id for payout in waiting.payouts)


def reject_run(store: PayoutStore, run: str, by: str, why: str, as_of: datetime) -> tuple[str, ...]:
    """Give back what waits in a run to the experts' balances; a later run may pay it. Returns the payouts' ids."""
    waiting = _waiting(store, run)
    if not waiting.payouts:
        raise ApprovalRefused(f"run {run} has nothing that waits for approval")
    for payout in waiting.payouts:
        until_written(store, payout.id, lambda id_=payout.id: _reject(store, id_, _said(by, why), as_of))  # type: ignore[misc]  # a bound default
    return tuple(payout.id for payout in waiting.payouts)


def rejected_in(payouts: Iterable[Payout], run: str, by: str, why: str) -> tuple[str, ...]:
    """The ids of a run's payouts that somebody rejected for that reason, in order."""
    return tuple(sorted(it.id for it in payouts if it.run == run and it.why == _said(by, why)))


def _said(by: str, why: str) -> str:
    return f"rejected by {by}: {why}"


def _reject(store: PayoutStore, id_: str, why: str, as_of: datetime) -> None:
    payout = existing(store, id_)
    if payout.status is PayoutStatus.PLANNED:
        release(store, payout, why, as_of)


def _waiting(store: PayoutStore, run: str, approval: str = "") -> WaitingRun:
    """What waits in a run, and what an interrupted approval of the same hash has let go already."""
    found = [
        payout
        for payout in _unfinished(store, f":{run}")
        if payout.run == run and (payout.status is PayoutStatus.PLANNED or (approval and payout.approval == approval))
    ]
    return WaitingRun(run, tuple(found))


def _unfinished(store: PayoutStore, suffix: str = "") -> Iterator[Payout]:
    for id_ in store.unfinished_payouts():
        if id_.endswith(suffix) and (payout := store.payout(id_)) is not None:
            yield payout


def _approve(store: PayoutStore, payout: Payout, by: str, approval: str | None) -> None:
    def attempt() -> None:
        now = existing(store, payout.id)
        if now.status is PayoutStatus.PLANNED:
            approved = moved(now, PayoutStatus.APPROVED, approved_by=by, approval=approval)
            store.commit(Changes(payouts=(approved,)))

    until_written(store, payout.id, attempt)
