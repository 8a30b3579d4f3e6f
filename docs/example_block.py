"""The block `example`: one resolution, decided by the engine itself."""

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from billing.contracts import ContractHistory
from billing.periods import PeriodState, period_of
from cli.terms_files import read_folder
from docs.markdown import BrokenDocument, fenced, table
from events.decode import decode, envelop
from events.facts import Instant, Party
from infra.local.sample_month import SAMPLE_WORLD
from ledger.entries import Entry
from ledger.money import format_minor_units
from payouts.plans import PlanHistory
from settlement.assess import Due, timing
from settlement.cases import CycleState, split_cycles
from settlement.decide import Terms, decide_cycle

_INSTANT: TypeAdapter[Instant] = TypeAdapter(Instant)
_SIDES = ("client", "revenue", "cost", "expert")
_SOLVED, _RATED = "2026-10-05T14:30:00Z", "2026-10-05T14:41:00Z"
_EXAMPLE_FACTS: tuple[dict[str, object], ...] = (
    {
        "type": "resolution.completed",
        "time": _SOLVED,
        "data": {"resolver": "expert", "expert": "noah", "channel": "chat"},
    },
    {"type": "resolution.rated", "time": _RATED, "data": {"score": 5, "scale_min": 1, "scale_max": 5}},
)


def example_block() -> str:
    """The entry of one resolution under the sample world's terms, and the evidence that it carries."""
    entry = _example_entry()
    rows = []
    for posting in sorted(entry.postings, key=lambda it: _SIDES.index(it.account.partition("/")[0])):
        minor, code = posting.amount.minor_units, posting.amount.currency
        amount = format_minor_units(abs(minor), code)
        rows.append((f"`{posting.account}`", amount if minor > 0 else "", amount if minor < 0 else ""))
    said = [f'  "{name}": {json.dumps(value)}' for name, value in json.loads(entry.evidence).items()]
    proof = fenced("{\n" + ",\n".join(said) + "\n}", "json")
    identity = f"`{entry.id}`, reason `{entry.reason}`, effective on {entry.effective_on}:\n\n"
    return identity + table(("account (USD)", "debit", "credit"), rows) + "\nIts evidence:\n\n" + proof


def _example_entry() -> Entry:
    terms = read_folder(SAMPLE_WORLD).terms
    contract = next(it for it in terms.contracts if it.client == "acme")
    plans = {plan.id: PlanHistory(plan.id, (plan,)) for plan in terms.plans}
    known = Terms("acme", ContractHistory("acme", (contract,)), {it.id: it for it in terms.experts}, plans)
    as_of = _INSTANT.validate_python(_RATED)
    facts = [
        decode(envelop("acme", Party.CLIENT, as_of, {"id": str(n), "source": "helpdesk", "subject": "C1"} | fact)).fact
        for n, fact in enumerate(_EXAMPLE_FACTS, 1)
    ]
    (cycle,) = split_cycles(facts, lambda _: timedelta(hours=contract.reopen_window_hours))
    due = timing(cycle, lambda _: contract, as_of)
    period = period_of(as_of, ZoneInfo(contract.time_zone))
    decision = decide_cycle("C1", CycleState(1), due, known, {period: PeriodState("acme", period)}, as_of)
    if not isinstance(due, Due) or decision.entry is None:
        raise BrokenDocument("the example resolution is not charged under the sample world's terms any more")
    return decision.entry
