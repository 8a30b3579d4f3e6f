"""What outside systems say about an expert - gates, Stripe, the bank - and what of it keeps a payout waiting. Pure."""

from dataclasses import replace
from datetime import date, datetime, timedelta

from events.facts import Slug
from ledger.records import dataclass
from payouts.policy import BANK_FAILURES
from settlement.registry import Expert, Gate
from settlement.stripe_port import AccountStatus, BankPayout, BankPayoutStatus, TransfersCapability


@dataclass(frozen=True, slots=True)
class GatePassed:
    """A system says that an expert passed a gate on a day; it holds to the end of `expires_on`, for ever if None."""

    gate: Gate
    passed_on: date
    source: Slug
    expires_on: date | None = None

    def __post_init__(self) -> None:
        if self.expires_on is not None and self.expires_on < self.passed_on:
            raise ValueError(f"{self.expires_on} is before {self.passed_on}, when the gate was passed")

    def holds_on(self, day: date) -> bool:
        """Whether the gate is passed on a day."""
        return self.passed_on <= day and (self.expires_on is None or day <= self.expires_on)


@dataclass(frozen=True, slots=True)
class ExpertStatus:
    """What is known about an expert from outside.

    `transfers` is None until Stripe was asked. `failed_bank_payouts` are the payouts, with the instants at which they
    were made, that the present bank account returned and that were not made before the last one it took, which was made
    at `bank_took`. `bank` joins, with a +, the fingerprints of an expert with several bank accounts.
    """

    expert: str
    gates: tuple[GatePassed, ...] = ()
    transfers: TransfersCapability | None = None
    requirements: tuple[str, ...] = ()
    bank: str | None = None
    bank_changed_on: date | None = None
    failed_bank_payouts: tuple[tuple[str, datetime], ...] = ()
    bank_took: datetime | None = None
    revision: int = 0


def with_gate(status: ExpertStatus, passed: GatePassed) -> ExpertStatus:
    """The status with one more dated fact; what the same source said before about that gate is replaced."""
    kept = [it for it in status.gates if (it.gate, it.source) != (passed.gate, passed.source)]
    return replace(status, gates=tuple(sorted([*kept, passed], key=lambda it: (it.gate, it.source))))


def with_account(status: ExpertStatus, account: AccountStatus, on: date) -> ExpertStatus:
    """The status with what Stripe says about the account. Another bank account begins its cooling-off on that day."""
    after = replace(status, transfers=account.transfers, requirements=account.requirements)
    if account.bank is None or account.bank == status.bank:
        return after
    changed_on = status.bank_changed_on if status.bank is None else on
    return replace(after, bank=account.bank, bank_changed_on=changed_on, failed_bank_payouts=(), bank_took=None)


def with_bank_payout(status: ExpertStatus, seen: BankPayout) -> ExpertStatus:
    """The status after a bank took a payout or returned it; one of another bank account than the present says nothing.

    Each is counted once, however often and in whatever order they are seen; one that was taken ends the row of those
    made before it. One that the bank took and then returned counts as returned.
    """
    if seen.bank is not None and status.bank is not None and seen.bank not in status.bank.split("+"):
        return status
    failed, took = dict(status.failed_bank_payouts), status.bank_took
    if seen.status is BankPayoutStatus.FAILED:
        failed[seen.id] = seen.created_at
    elif seen.status is BankPayoutStatus.PAID and seen.id not in failed:
        took = seen.created_at if took is None else max(took, seen.created_at)
    kept = tuple((id_, made_at) for id_, made_at in failed.items() if took is None or made_at >= took)
    return replace(status, failed_bank_payouts=kept, bank_took=took)


def passed_on(expert: Expert, status: ExpertStatus, gate: Gate) -> tuple[date, ...]:
    """The days on which an expert passed a gate, whoever says so, oldest first."""
    days = {it.passed_on for it in status.gates if it.gate is gate}
    return tuple(sorted(days | ({expert.gates[gate]} if gate in expert.gates else set())))


def held_back(expert: Expert, status: ExpertStatus, day: date, cooling_off_days: int) -> tuple[str, ...]:
    """Everything that keeps an expert from being paid on a day, each as a stable code and, after a colon, in words.

    About a gate the dated facts of outside systems count; where there are none, the day in the expert's file.
    """
    told = {it.gate for it in status.gates}
    passed = {it.gate for it in status.gates if it.holds_on(day)} | (set(Gate) - told - {*expert.missing_gates(day)})
    missing = [str(gate) for gate in Gate if gate not in passed]
    if expert.stripe_account is None:
        return (*missing, "no_stripe_account")
    if status.transfers is not TransfersCapability.ACTIVE:
        asked = f": Stripe asks for {', '.join(status.requirements)}" if status.requirements else ""
        missing.append(f"stripe_transfers_{status.transfers or 'unknown'}{asked}")
    waiting = cooling_off(status, day, cooling_off_days)
    missing += [waiting] if waiting else []
    if len(status.failed_bank_payouts) >= BANK_FAILURES:
        missing.append(f"bank_failing: it returned {len(status.failed_bank_payouts)} payouts; change the bank account")
    return tuple(missing)


def cooling_off(status: ExpertStatus, day: date, days: int) -> str | None:
    """Whether the bank account is too new on a day; it may be paid to from that many days after its change."""
    if status.bank_changed_on is None:
        return None
    ends_on = status.bank_changed_on + timedelta(days=days)
    return f"bank_changed: the new bank account is paid from {ends_on}" if day < ends_on else None
