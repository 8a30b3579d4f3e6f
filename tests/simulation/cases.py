"""Every case against a fresh assessment of its facts (expected.py), at its frozen price."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.simulation import expected
from tests.simulation.aws import Cloud
from tests.simulation.expected import Cycle, Json, Verdict, Work
from tests.simulation.journal import Journal


@dataclass
class Documents:
    """The registry and the periods as JSON."""

    contracts: dict[str, Sequence[Json]] = field(default_factory=dict)
    plans: dict[str, Json] = field(default_factory=dict)
    experts: dict[str, Json] = field(default_factory=dict)
    periods: dict[tuple[str, str], Json] = field(default_factory=dict)
    prepaids: dict[str, Json] = field(default_factory=dict)
    invoices: dict[tuple[str, str], Json] = field(default_factory=dict)

    def contract(self, client: str, period: str) -> Json:
        """The contract version of a period."""
        return expected.version_for(self.contracts[client], period)

    def is_open(self, client: str, period: str) -> bool:
        """Whether a period is open; one that nothing is known of is."""
        return bool(self.periods.get((client, period), {"status": "open"})["status"] == "open")


def read_documents(cloud: Cloud) -> Documents:
    """Everything but cases and entries."""
    found = Documents()
    for item in cloud.items("registry"):
        document = json.loads(item["document"])
        if item["kind"] == "contract":
            found.contracts[item["id"]] = document
        elif item["kind"] == "pay_plan":
            found.plans[item["id"]] = document[0]
        elif item["kind"] == "expert":
            found.experts[item["id"]] = document
    for item in cloud.items("periods"):
        if item["period"] == "prepaid":
            found.prepaids[item["client"]] = json.loads(item["document"])
        else:
            found.periods[item["client"], item["period"]] = json.loads(item["document"])
    for item in cloud.items("invoices"):
        found.invoices[item["client"], item["period"]] = json.loads(item["document"])
    return found


@dataclass
class CaseCheck:
    """One case and its cycles; what is wrong is collected in `problems`."""

    documents: Documents
    journal: Journal
    client: str
    item: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.facts: list[Json] = json.loads(self.item["facts"])
        self.states: list[Json] = json.loads(self.item["cycles"])
        self.ignored: list[str] = json.loads(self.item.get("evidence_only") or "[]")
        self.mutual = dict(json.loads(self.item.get("mutual_reviews") or "[]"))
        self.decisions = {
            fact["dispute"]: fact
            for fact in self.facts
            if fact["type"] == "dispute.decided" and expected.key_of(fact) not in self.ignored
        }
        self.versions = self.documents.contracts[self.client]
        self.zone = str(self.versions[0]["time_zone"])

    def run(self) -> None:
        """Check every cycle, as at rest: every window is past."""
        cycles = expected.cycles_of(self.facts, self.ignored, self.versions)
        if any(state["status"] == "parked" for state in self.states):
            return  # there is no answer to it yet; that it is in the parked table is checked elsewhere
        if len(self.states) < len(cycles):
            self._problem(0, f"has {len(self.states)} cycles, the facts make up {len(cycles)}")
            return
        for place, state in enumerate(self.states):
            cycle = cycles[place] if place < len(cycles) else None
            self._check_cycle(state, cycle if cycle and cycle.stands else None)

    def _problem(self, number: int, what: str) -> None:
        self.problems.append(f"{self.client}/{self.item['case_id']}/{number}: {what}")

    def _check_cycle(self, state: Json, cycle: Cycle | None) -> None:
        number = state["number"]
        lines = self.journal.cycles.get(f"{self.client}/{self.item['case_id']}/{number}", Counter())
        self._check_posted(state, lines)
        if cycle is None:
            if state["status"] != "reversed" or state.get("charge") or state.get("earned") or state.get("counted"):
                self._problem(number, f"is not solved, but {state['status']}: {state}")
            return
        if state["solution"] != expected.key_of(cycle.completed) or not state.get("settled_at"):
            self._problem(number, f"settled {state['solution']}, not {expected.key_of(cycle.completed)}")
            return
        if wrong := self._against(state, cycle):
            self._problem(number, f"{wrong}; it is {dict(state)}")

    def _against(self, state: Json, cycle: Cycle) -> str:
        """What is wrong with a settled cycle; empty for nothing.

        The version of the period in which it settled judges; that of its price's period prices it, if it has a price.
        """
        at_resolved = self.documents.contract(
            self.client, expected.month_of(expected.instant(cycle.completed["time"]), self.zone)
        )
        rating = expected.rating_of(cycle, at_resolved)
        settled_at = expected.instant(state["settled_at"])
        if settled_at not in expected.settles_at(cycle, at_resolved, self.facts):
            return f"settled at {settled_at}, which no rating or window says"
        settled_by = self.documents.contract(self.client, expected.month_of(settled_at, self.zone))
        verdict = expected.judge(cycle, self.decisions, rating, settled_by)
        price, charge = state.get("price"), state.get("charge")
        contract = self.documents.contract(self.client, price["period"]) if price else settled_by
        wrong = self._charge_problem(state, cycle, contract, verdict)
        if wrong:
            return wrong
        free = price is not None and charge is not None and self._is_free(price, charge, contract)
        standing = "not_charged" if free and verdict.standing != "forfeited" else verdict.standing
        return self._earning_problem(state, cycle, contract, (rating, standing)) or self._week_problem(
            state, cycle, rating, verdict
        )

    def _is_free(self, price: Json, charge: Json, contract: Json) -> bool:
        rate = next(it for it in contract["rates"] if it["id"] == price["rate"])
        net = charge["accrued"] - charge["discount"] - charge["capped"]
        return bool(price["ordinal"] <= rate["included"] or (charge["capped"] > 0 and net == 0))

    def _charge_problem(self, state: Json, cycle: Cycle, contract: Json, verdict: Verdict) -> str:
        price, charge = state.get("price"), state.get("charge")
        if (state["status"] == "charged") != bool(charge) or verdict.charged != bool(charge):
            closed = price and not self.documents.is_open(self.client, price["period"])
            return f"should{'' if verdict.charged else ' not'} be charged {'(closed)' if closed else ''}"
        return self._price_problem(price, cycle, contract) or self._amounts_problem(price, charge, verdict)

    def _price_problem(self, price: Json | None, cycle: Cycle, contract: Json) -> str:
        if price is None:
            return ""
        code = contract["currency"]
        rate = next((it for it in contract["rates"] if it["id"] == price["rate"]), None)
        if rate is None or price["version"] != str(contract["starts_on"])[:7]:
            return f"is priced by {price}, which the contract does not have"
        wanted = expected.rate_for(contract, cycle.completed)
        alone = sum(fact["type"] == "resolution.completed" for fact in self.facts) == 1  # another may have priced it
        if alone and (wanted is None or wanted["id"] != price["rate"]):
            return f"has rate {price['rate']}, not {wanted and wanted['id']}"
        if Fraction(price["list_price"]) != expected.list_price(rate, price["ordinal"], code):
            return f"has the list price {price['list_price']}"
        if price["accrued"] != expected.accrued(rate, price["ordinal"], code):
            return f"accrues {price['accrued']}, not {expected.accrued(rate, price['ordinal'], code)}"
        return ""

    def _amounts_problem(self, price: Json | None, charge: Json | None, verdict: Verdict) -> str:
        if price is None or charge is None:
            return ""
        discount = -(-price["accrued"] * verdict.discount // 10_000)
        if charge["accrued"] != price["accrued"]:
            return f"charges {charge['accrued']} at a price of {price['accrued']}"
        if not 0 <= charge["capped"] <= charge["accrued"] - charge["discount"]:
            return f"is capped by {charge['capped']}"
        if self.documents.is_open(self.client, price["period"]):
            return "" if charge["discount"] == discount else f"is discounted by {charge['discount']}, not {discount}"
        net = charge["accrued"] - charge["discount"] - charge["capped"]  # a closed period only gives back
        return f"stands at {net}, discounted by {discount}" if net > charge["accrued"] - discount else ""

    def _earning_problem(self, state: Json, cycle: Cycle, contract: Json, by: tuple[int | None, str]) -> str:
        expert, earned = cycle.completed.get("expert"), state.get("earned")
        if expert is None or (earned and earned["expert"] != expert):
            return f"pays {earned}, though {expert} solved it" if earned else ""
        plan = self.documents.plans[self._plan_of(state, expert)]
        charge, rating, standing = state.get("charge"), *by
        price = state.get("price") or {"list_price": (earned or {}).get("list_price")}
        list_price = Fraction(price["list_price"]) if price["list_price"] else self._some_price(cycle, contract)
        work = Work(
            cycle=cycle,
            standing=standing,
            list_price=list_price,
            charged=charge["accrued"] - charge["discount"] - charge["capped"] if charge else 0,
            rating=rating,
            calendars=expected.calendars_at(contract, expected.instant(cycle.completed["time"])),
            mutual=self.mutual,
        )
        wanted, paid = expected.earning(plan, work), (earned["base"], earned["bonus"]) if earned else (0, 0)
        return "" if wanted == paid else f"earns {paid}, not {wanted}, as {standing}"

    def _plan_of(self, state: Json, expert: str) -> str:
        named = (state.get("earned") or {}).get("plan") or (state.get("counted") or {}).get("plan")
        return str(named or self.documents.experts[expert]["assignments"][self.client])

    def _some_price(self, cycle: Cycle, contract: Json) -> Fraction:
        """A list price that it might have had: of nothing earned, only whether it is nothing matters."""
        rate = expected.rate_for(contract, cycle.completed)
        return expected.list_price(rate, 1, contract["currency"]) if rate else Fraction(0)

    def _week_problem(self, state: Json, cycle: Cycle, rating: int | None, verdict: Verdict) -> str:
        expert, counted = cycle.completed.get("expert"), state.get("counted")
        wanted: tuple[object, ...] | None = None
        if expert is not None and verdict.standing != "forfeited":
            plan, day = self._plan_of(state, expert), expected.utc_day(expected.instant(state["settled_at"]))
            if expected.counts_in_week(self.documents.plans[plan], day):
                key = (expert, plan, expected.week_of(day))
                wanted = (*key, rating)
        fields = ("expert", "plan", "week", "rating_basis_points")
        stored = tuple(counted.get(name) for name in fields) if counted else None
        return "" if stored == wanted else f"counts as {stored}, not as {wanted}"

    def _check_posted(self, state: Json, lines: Counter[tuple[str, str]]) -> None:
        """What the journal holds for the cycle is what its state says: of the client, and of each expert."""
        charge, earned, number = state.get("charge"), state.get("earned"), state["number"]
        code = self.versions[0]["currency"]
        net = charge["accrued"] - charge["discount"] - charge["capped"] if charge else 0
        unbilled, credited = lines[f"client/{self.client}/unbilled", code], lines["revenue/credits", code]
        is_odd = not credited and unbilled != net and not self._may_give_nothing()
        if unbilled + credited + lines["revenue/resolutions", code] or is_odd:
            self._problem(number, f"stands at {net}, the journal has {unbilled} unbilled and {credited} credited")
        if credited < 0 or unbilled < net or credited > -lines["revenue/resolutions", code]:
            self._problem(number, f"is credited {credited} of {-lines['revenue/resolutions', code]}, with {net} left")
        wanted: dict[tuple[str, str], int] = defaultdict(int)
        if earned:
            wanted[f"expert/{earned['expert']}/payable", earned["currency"]] = -(earned["base"] + earned["bonus"])
            wanted["cost/base", earned["currency"]] = earned["base"]
            wanted["cost/bonus", earned["currency"]] = earned["bonus"]
        posted = {line: minor for line, minor in lines.items() if minor and line[0].startswith(("expert/", "cost/"))}
        if posted != {line: minor for line, minor in wanted.items() if minor}:
            self._problem(number, f"should pay {dict(wanted)}, the journal pays {posted}")

    def _may_give_nothing(self) -> bool:
        """Whether a credit may come to nothing: a discount may be above a price that came out lower at the close."""
        periods = [it for (client, _), it in self.documents.periods.items() if client == self.client]
        counters = [counter for period in periods for _, counter in period["rates"]]
        return any(it["credited"] and it["billed"] < it["accrued"] - it["capped"] for it in counters)
