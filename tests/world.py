"""Factories: each shows only the field that matters to the test that calls it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from billing.contracts import Contract, ContractHistory
from billing.invoices import Invoice
from events.decode import Delivery, decode, envelop
from events.facts import CaseId, Party
from ledger.accounts import COST_INCENTIVE, Account
from ledger.balances import TrialBalance, trial_balance
from ledger.books import check_book
from ledger.entries import Entry
from ledger.money import Currency, format_minor_units
from payouts.payouts import Payout
from payouts.plans import PayPlan, PlanHistory, Schedule
from settlement.activity import add_up, week_changes
from settlement.close import close_due_periods
from settlement.expert_status import ExpertStatus
from settlement.incentives import Awarded, award_incentives
from settlement.plan_payouts import NotPaid, plan_run
from settlement.registry import Client, Expert
from settlement.settle import Settled, settle, work_from
from settlement.stripe_port import TransfersCapability
from settlement.sweep import settle_due
from tests.memory_store import MemoryRegistry, MemoryStore

GRADUATED = {
    "model": "graduated",
    "tiers": [{"up_to": 1000, "unit": "0.99"}, {"up_to": 10000, "unit": "0.79"}, {"unit": "0.59"}],
}
VOLUME = {
    "model": "volume",
    "tiers": [{"up_to": 500, "unit": "1.20"}, {"up_to": 2000, "unit": "1.00"}, {"unit": "0.80"}],
}
PACKAGE = {"model": "package", "size": 100, "amount": "75.00"}
RATING = {"window_hours": 72, "threshold_percent": "60", "below": "waive", "unrated": "charge"}


# Who says what no client says.
PARTIES = {
    "resolution.qa_reviewed": Party.PLATFORM,
    "dispute.decided": Party.PLATFORM,
    "resolution.peer_reviewed": Party.EXPERT,
}


def per_unit(unit: str) -> dict[str, object]:
    return {"model": "per_unit", "unit": unit}


def a_contract(price: Mapping[str, object] | None = None, **fields: object) -> Contract:
    rate = {"id": "all", "price": price or per_unit("0.99"), "included": fields.pop("included", 0)}
    document = {"client": "acme", "starts_on": "2026-01-01", "currency": "USD", "time_zone": "UTC", "rates": [rate]}
    return Contract.model_validate(document | fields)


def a_plan(**fields: object) -> PayPlan:
    document = {
        "id": "standard",
        "starts_on": "2026-01-01",
        "currency": "USD",
        "base": {"kind": "share", "percent": "60"},
    }
    return PayPlan.model_validate(document | fields)


def an_expert(expert_id: str = "maya", **fields: object) -> Expert:
    gates = dict.fromkeys(("contract_signed", "background_check", "training", "tax_form"), "2026-01-01")
    document = {
        "id": expert_id,
        "country": "US",
        "email": f"{expert_id}@experts.example",
        "assignments": {"acme": "standard"},
        "gates": gates,
    }
    return Expert.model_validate(document | fields)


def at(text: str) -> datetime:
    """2026-MM-DD, optionally with an hour, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class World:
    """One client, acme, and its experts, over a store in memory; facts go in as a door would let them."""

    contract: Contract = field(default_factory=a_contract)
    plan: PayPlan = field(default_factory=a_plan)
    experts: tuple[str, ...] = ("maya", "noah")
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.registry = MemoryRegistry(
            contract_histories={"acme": ContractHistory("acme", (self.contract,))},
            plan_histories={self.plan.id: PlanHistory(self.plan.id, (self.plan,))},
            all_clients={"acme": Client(id="acme", name="Acme", email="billing@acme.example")},
            all_experts={name: an_expert(name) for name in self.experts},
            known_statuses={
                name: ExpertStatus(name, transfers=TransfersCapability.ACTIVE, bank="ba_1") for name in self.experts
            },
        )
        self.ids = count(1)

    def fact(self, kind: str, case: str, time: str, **data: object) -> Delivery:
        """A delivery as a door makes it; `received` defaults to the fact's own time, `id` to a number of its own."""
        received = str(data.pop("received", time))
        party = PARTIES.get(kind, Party.CLIENT)
        event = {
            "id": str(data.pop("id", None) or next(self.ids)),
            "type": kind,
            "source": str(data.pop("source", "helpdesk")),
            "time": at(time).isoformat(),
            "subject": case,
            "data": data,
        }
        return decode(envelop("acme", party, at(received), event))

    def completed(self, case: str, time: str, expert: str | None = "maya", **data: object) -> Delivery:
        resolver = {"resolver": "expert", "expert": expert} if expert else {"resolver": "ai"}
        return self.fact("resolution.completed", case, time, **(resolver | data))

    def rated(self, case: str, time: str, score: int, **data: object) -> Delivery:
        return self.fact("resolution.rated", case, time, score=score, scale_min=1, scale_max=5, **data)

    def peer_reviewed(self, case: str, time: str, reviewer: str, score: int, **data: object) -> Delivery:
        scale = {"score": score, "scale_min": 1, "scale_max": 5}
        return self.fact("resolution.peer_reviewed", case, time, reviewer=reviewer, **(scale | data))

    def reopened(self, case: str, time: str, **data: object) -> Delivery:
        return self.fact("resolution.reopened", case, time, **data)

    def send(self, *deliveries: Delivery) -> Settled:
        """All deliveries in one batch."""
        return settle(self.store, self.registry, work_from(deliveries))

    def sweep(self, as_of: str) -> Settled:
        return settle_due(self.store, self.registry, at(as_of), lambda: True)[0]

    def close(self, as_of: str = "2026-04-02") -> Invoice:
        """Close what is due; the newest invoice."""
        return close_due_periods(self.store, self.registry, at(as_of))[-1]

    def plan_payouts(self, as_of: str = "2026-03-16", schedule: Schedule = Schedule.WEEKLY) -> list[Payout | NotPaid]:
        """Plan the run of a schedule whole; what became of each expert."""
        return list(plan_run(self.store, self.registry, schedule, at(as_of), lambda: True))

    def award(self, as_of: str) -> Awarded:
        """Bring all incentives to where they should be as of a day."""
        return award_incentives(self.store, self.registry, at(as_of), lambda: True)[0]

    def solve(self, number: int, start: str = "2026-03-02") -> None:
        """That many cases of one expert, one a minute, named C1 and on."""
        first = at(start)
        minutes = ((first + timedelta(minutes=i)).isoformat()[:19] for i in range(number))
        self.send(*(self.completed(f"C{i}", minute) for i, minute in enumerate(minutes, 1)))

    def entries(self) -> list[Entry]:
        return [recorded.entry for book in self.store.journal.values() for recorded in book]

    def trial_balance(self) -> TrialBalance:
        return trial_balance(self.entries())

    def balance(self, account: str, currency: str = "USD") -> str:
        """The balance as people write it; a credit balance is negative."""
        code = Currency(currency)
        return format_minor_units(self.trial_balance().balance(Account(account), code), code)

    def cycle(self, case: str, number: int = 1) -> object:
        return self.store.stored_cases["acme", CaseId(case)].state_of(number)

    def check(self) -> None:
        """What must hold whatever happened.

        Books prove themselves, holds and available equal payable, weeks hold what their cycles count, awards are what
        incentives cost, and what waits is looked at within a quarter of an hour.
        """
        for book, recorded in self.store.journal.items():
            assert list(check_book(book, recorded, self.store.stored_heads[book])) == []
        for debit, credit in self.trial_balance().totals().values():
            assert debit == credit
        for expert in self.experts:
            held = sum(
                minor
                for key, minor in self.store.hold_amounts.items()
                if key[0] == expert and key not in self.store.released_holds
            )
            available = sum(it.minor_units for it in self.store.balances(expert).available)
            payable = -sum(
                minor
                for (account, _), minor in self.trial_balance().balances.items()
                if account == f"expert/{expert}/payable"
            )
            assert held + available == payable
        counted = add_up(
            change
            for case in self.store.stored_cases.values()
            for state in case.cycles
            for change in week_changes(None, state.counted)
        )
        stored = [it for it in self.store.stored_weeks.values() if it.resolutions or it.rated or it.rating_sum]
        assert sorted(stored, key=repr) == sorted(counted, key=repr)
        for case in self.store.stored_cases.values():
            ends = [it.due_at for it in self.store.stored_due.values() if case.case_id in it.cases]
            due_at = case.due_at
            assert due_at is None or any(due_at <= end < due_at + timedelta(minutes=15) for end in ends)
        awarded = Counter[str]()
        for award in self.store.stored_awards.values():
            awarded[award.currency] += award.amount
        assert +awarded == {
            code: minor for (account, code), minor in self.trial_balance().balances.items() if account == COST_INCENTIVE
        }


def show(entries: list[Entry]) -> str:
    """The journal as a small table."""
    lines = []
    for entry in entries:
        lines.append(f"{entry.effective_on} {entry.reason:<10} {entry.id}")
        for posting in entry.postings:
            minor, code = posting.amount.minor_units, posting.amount.currency
            amount = format_minor_units(abs(minor), code).rjust(12)
            lines.append(f"    {posting.account:<28}{amount if minor > 0 else ' ' * 12}{amount if minor < 0 else ''}")
    return "\n".join(lines)
