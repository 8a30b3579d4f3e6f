"""What must hold: the cheap part after every few hundred steps, everything once all has come to rest."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from infra.aws.tables import TABLES
from tests.simulation import expected
from tests.simulation.aws import Cloud
from tests.simulation.cases import CaseCheck, Documents, read_documents
from tests.simulation.expected import Json
from tests.simulation.history import MARKER
from tests.simulation.journal import Journal
from tests.simulation.simulation import Simulation

_FINISHED = {"sent", "paid", "failed", "reversed"}
_MOST_SHOWN = 3
_QUARTER = timedelta(minutes=15)


@dataclass
class Checker:
    """The invariants of one simulation; what it saw of closed periods and payouts it remembers."""

    journal: Journal = field(default_factory=Journal)
    closed: dict[tuple[str, str], tuple[object, ...]] = field(default_factory=dict)
    seen_closed: set[tuple[str, str]] = field(default_factory=set)
    planned: set[str] = field(default_factory=set)
    rivals: int = 0

    def __call__(self, simulation: Simulation, at_rest: bool) -> None:  # noqa: FBT001  # called as a hook
        """Raise Violation for the first few things that are wrong."""
        if at_rest:
            self.journal = Journal()  # once more from the first entry
        problems = [*self._now(simulation), *(self._at_rest(simulation) if at_rest else ())]
        if problems:
            simulation.fail("; ".join(problems[:_MOST_SHOWN]) + f" ({len(problems)} in all)")

    def after(self, simulation: Simulation, function: str) -> None:
        """What can be said only just after a function planned payouts or closed periods, if no rival was at work."""
        rivals = simulation.faults.counts["rival at work"]
        overtaken = rivals != self.rivals
        if overtaken:
            self.rivals = rivals
            self.journal.read(simulation.cloud)
            self.planned = set(self.journal.reserved)
        problems: list[str] = []
        if function == "run_payouts":
            problems = list(self._new_payouts(simulation))
        elif function == "close_periods":
            documents = read_documents(simulation.cloud)
            new = {key for key, it in documents.periods.items() if it["status"] == "closed"} - self.seen_closed
            self.seen_closed |= new
            problems = list(_counters(simulation, documents, new)) if new and not overtaken else []
        if problems:
            simulation.fail("; ".join(problems[:_MOST_SHOWN]))

    def _new_payouts(self, simulation: Simulation) -> Iterator[str]:
        """Nobody was reserved more than what is matured: reserving must leave something or nothing, never less."""
        yield from self.journal.read(simulation.cloud)
        today = simulation.now.strftime("%Y-%m-%d")
        for payout in set(self.journal.reserved) - self.planned:
            _, expert, code, _ = payout.split(":")
            if (left := self.journal.matured(expert, code, today)) < 0:
                yield f"{payout} took {self.journal.reserved[payout]}, {-left} more than {expert} had"
        self.planned = set(self.journal.reserved)

    # -- at any time -----------------------------------------------------------------------------------------------

    def _now(self, simulation: Simulation) -> Iterator[str]:
        cloud = simulation.cloud
        yield from self.journal.read(cloud)
        sums = Counter[str]()
        for (_, code), minor in self.journal.balances.items():
            sums[code] += minor
        yield from (f"the trial balance is off by {minor} {code}" for code, minor in sums.items() if minor)
        documents = read_documents(cloud)
        yield from self._closed_periods(documents)
        is_open = {key for key, it in documents.periods.items() if it["status"] == "open"}
        yield from _counters(simulation, documents, is_open)
        yield from self._owed(cloud.items("holds"))
        yield from self._prepaid(documents)
        yield from _waiting(cloud)
        yield from self._transfers(simulation)
        if simulation.log.marked:
            yield f"personal data in a log: {simulation.log.marked[:200]}"

    def _closed_periods(self, documents: Documents) -> Iterator[str]:
        """A closed period and its invoice stay as they were when they were first seen."""
        for key, period in documents.periods.items():
            if period["status"] != "closed":
                continue
            invoice = documents.invoices.get(key)
            if invoice is None:
                yield f"{key} is closed without an invoice"
                continue
            rates = [(rate, {**it, "credited": None}) for rate, it in period["rates"]]
            seen = (rates, period["credits"], period["carried"], invoice["lines"], invoice["total"])
            if self.closed.setdefault(key, seen) != seen:
                yield f"{key} was closed as {self.closed[key]} and is {seen}"

    def _owed(self, holds: list[dict[str, Any]]) -> Iterator[str]:
        """What is held and what is available is what the ledger owes."""
        sums = Counter[tuple[str, str]]()
        for item in holds:
            if not item.get("released"):
                code = item["kind"].partition("#")[0]
                sums[f"expert/{item['expert']}/payable", code] += item["amount"]
        owed = {line: -minor for line, minor in self.journal.balances.items() if line[0].endswith("/payable")}
        owed = {line: minor for line, minor in owed.items() if minor and line[0].startswith("expert/")}
        kept = {line: minor for line, minor in sums.items() if minor}
        for line in sorted({*owed, *kept}):
            if owed.get(line, 0) != kept.get(line, 0):
                yield f"{line}: the ledger owes {owed.get(line, 0)}, holds and available are {kept.get(line, 0)}"

    def _prepaid(self, documents: Documents) -> Iterator[str]:
        for client, prepaid in documents.prepaids.items():
            left, code = sum(lot["left"] for lot in prepaid["lots"]), documents.contracts[client][0]["currency"]
            booked = -self.journal.balances[f"client/{client}/prepaid", code]
            if left != booked:
                yield f"{client} has {left} of credits left, the ledger {booked}"

    def _transfers(self, simulation: Simulation) -> Iterator[str]:
        """No payout has two transfers, and what is reserved is what payouts under way add up to."""
        groups = Counter(str(it["transfer_group"]) for it in simulation.stripe.objects("tr"))
        yield from (f"{group} was transferred {times} times" for group, times in groups.items() if times > 1)
        under_way = Counter[tuple[str, str]]()
        for payout in _payouts(simulation):
            if payout["status"] not in _FINISHED:
                gross = payout["amount"] + payout["withheld"] + payout["fee"]
                under_way[f"expert/{payout['expert']}/in_transit", payout["currency"]] += gross
        booked = {line: -minor for line, minor in self.journal.balances.items() if line[0].endswith("/in_transit")}
        for line in sorted({*under_way, *booked}):
            if under_way[line] != booked.get(line, 0):
                yield f"{line}: {booked.get(line, 0)} are booked, {under_way[line]} are under way"

    # -- at rest ---------------------------------------------------------------------------------------------------

    def _at_rest(self, simulation: Simulation) -> Iterator[str]:
        documents = read_documents(simulation.cloud)
        yield from (f"{name} holds {len(it.messages)} messages" for name, it in simulation.waiting().items())
        yield from self._cases(simulation, documents)
        yield from (f"the bucket {it['ends']} was not forgotten" for it in simulation.cloud.items("due"))
        yield from _invoices(documents)
        yield from _all_facts(simulation)
        yield from self._payouts_at_stripe(simulation)
        yield from self._receivables(simulation, documents)
        yield from _personal_data(simulation)

    def _cases(self, simulation: Simulation, documents: Documents) -> Iterator[str]:
        counted: Counter[tuple[tuple[str, str, str], str]] = Counter()
        parked = {it["parked_id"] for it in simulation.cloud.items("parked")}
        ordinals: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for item in simulation.cloud.items("cases"):
            check = CaseCheck(documents, self.journal, item["client_shard"].partition("#")[0], item)
            check.run()
            yield from check.problems
            for state in check.states:
                _count_week(counted, state)
            if any(it["status"] == "parked" for it in check.states):
                if f"case:{check.client}/{item['case_id']}" not in parked:
                    yield f"{check.client}/{item['case_id']} was put aside and is nowhere parked"
            elif item.get("due_at"):
                yield f"{check.client}/{item['case_id']} still waits for {item['due_at']}"
            for state in check.states:
                if price := state.get("price"):
                    ordinals[check.client, price["period"], price["rate"]].append(price["ordinal"])
        yield from _weeks(simulation, counted)
        for (client, period, rate), used in ordinals.items():
            issued = dict(documents.periods[client, period]["rates"])[rate]["issued"]
            if len(used) != len(set(used)) or max(used) > issued:
                yield f"{client} {period} {rate}: ordinals {sorted(used)[-5:]} of {issued} issued"

    def _payouts_at_stripe(self, simulation: Simulation) -> Iterator[str]:
        transfers = {str(it["transfer_group"]): it for it in simulation.stripe.objects("tr")}
        for payout in _payouts(simulation):
            made = transfers.pop(payout["id"], None)
            is_sent = payout["status"] in {"sent", "paid", "reversed"}
            if is_sent != (made is not None):
                yield f"{payout['id']} is {payout['status']}, at Stripe it is {made and made['id']}"
            elif made and (made["amount"], made["currency"].upper(), made["destination"], made["amount_reversed"]) != (
                payout["amount"],
                payout["currency"],
                payout["stripe_account"],
                payout["reversed"],
            ):
                yield f"{payout} was transferred as {made}"
        yield from (f"{name} is a transfer that no payout knows" for name in transfers)
        available = simulation.stripe.available()
        booked = {c: minor for (a, c), minor in self.journal.balances.items() if a == "stripe/balance" and minor}
        if available != booked:
            yield f"Stripe has {available} available, the ledger {booked}"
        if pending := {c: m for (a, c), m in self.journal.balances.items() if a == "stripe/clearing" and m}:
            yield f"the clearing account still holds {pending}"
        found = simulation.invoke("reconcile", {"time": simulation.now.isoformat()}) or {}
        if not found.get("reconciled"):
            yield f"reconciliation finds {found.get('differences')}"

    def _receivables(self, simulation: Simulation, documents: Documents) -> Iterator[str]:
        """What each client owes is what its invoices say at Stripe, and unbilled is what no invoice has taken yet."""
        owed = Counter[tuple[str, str]]()
        for invoice in simulation.stripe.objects("in"):
            _, client, *_ = invoice["metadata"]["solvent_invoice"].split(":")
            if invoice["status"] == "open":
                owed[f"client/{client}/receivable", invoice["currency"].upper()] += invoice["amount_remaining"]
        for (client, period), stored in documents.invoices.items():
            if stored["status"] == "planned":
                yield f"the invoice of {client} {period} was never issued"
            owed[f"client/{client}/receivable", stored["currency"]] += stored["returned"]
        booked = {line: minor for line, minor in self.journal.balances.items() if line[0].endswith("/receivable")}
        for line in sorted({*owed, *booked}):
            if owed[line] != booked.get(line, 0):
                yield f"{line}: Stripe asks for {owed[line]}, the ledger for {booked.get(line, 0)}"


def _waiting(cloud: Cloud) -> Iterator[str]:
    """Every case that waits is in a bucket that is looked at within a quarter of an hour of its window's end."""
    looked_at = defaultdict[tuple[str, str], list[datetime]](list)
    for bucket in cloud.items("due"):
        for case_id in json.loads(bucket["cases"]):
            looked_at[bucket["client"], case_id].append(expected.instant(bucket["ends"].partition("#")[0]))
    for item in cloud.items("cases"):
        if "due_at" in item:
            due_at, key = expected.instant(item["due_at"]), (item["client_shard"].partition("#")[0], item["case_id"])
            if not any(due_at <= ends < due_at + _QUARTER for ends in looked_at[key]):
                yield f"{key} waits for {due_at} and is looked at only at {looked_at[key]}"


def _payouts(simulation: Simulation) -> Iterator[Json]:
    for item in simulation.cloud.items("payouts"):
        if item["payout_id"].startswith("payout:"):
            yield json.loads(item["document"])


def _counters(simulation: Simulation, documents: Documents, periods: set[tuple[str, str]]) -> Iterator[str]:
    """The counters of periods, open or just closed, are what their cycles add up to."""
    sums: dict[tuple[str, str], Counter[tuple[str, str]]] = {key: Counter() for key in periods}
    for item in simulation.cloud.items("cases"):
        client = item["client_shard"].partition("#")[0]
        for state in json.loads(item["cycles"]):
            price, charge = state.get("price"), state.get("charge")
            if price and charge and (client, price["period"]) in sums:
                found = sums[client, price["period"]]
                found[price["rate"], "net"] += 1
                for name in ("accrued", "discount", "capped"):
                    found[price["rate"], name] += charge[name]
    for key in sorted(periods):
        stored = documents.periods[key]
        for rate, counter in stored["rates"]:
            wanted = {name: sums[key][rate, name] for name in ("net", "accrued", "discount", "capped")}
            kept = {name: counter[name] for name in wanted}
            if wanted != kept:
                yield f"{key} {rate} counts {kept}, its cycles {wanted}"
        contract = documents.contract(*key)
        cap = contract.get("cap")
        if cap and cap["action"] == "waive":
            most = expected.half_away(expected.minor(cap["amount"], contract["currency"]))
            charged = sum(it["accrued"] - it["discount"] - it["capped"] for _, it in stored["rates"])
            if charged > most:
                yield f"{key} charges {charged}, beyond its cap of {most}"


def _count_week(counted: Counter[tuple[tuple[str, str, str], str]], state: Json) -> None:
    """What a cycle says that it counts as, which was checked, or was left as it was when its case was put aside."""
    if stored := state.get("counted"):
        key, rating = (stored["expert"], stored["plan"], stored["week"]), stored.get("rating_basis_points")
        counted[key, "resolutions"] += 1
        counted[key, "rated"] += rating is not None
        counted[key, "rating_sum"] += rating or 0


def _weeks(simulation: Simulation, counted: Mapping[tuple[tuple[str, str, str], str], int]) -> Iterator[str]:
    stored = {}
    for item in simulation.cloud.items("activity"):
        kind, *rest = item["kind"].split("#")
        if kind == "week":
            week, plan = rest
            for name in ("resolutions", "rated", "rating_sum"):
                stored[(item["expert"], plan, week), name] = item[name]
    for key in sorted({*stored, *counted}):
        if stored.get(key, 0) != counted.get(key, 0):
            yield f"{key}: {stored.get(key, 0)} are counted, the cycles say {counted.get(key, 0)}"


def _invoices(documents: Documents) -> Iterator[str]:
    """Each invoice by the formula, from the counters that the close fixed."""
    for client in documents.contracts:
        carried, lots = 0, 0
        prepaid = documents.prepaids.get(client)
        lots = sum(lot["amount"] for lot in prepaid["lots"]) if prepaid else 0
        for (owner, period), stored in sorted(documents.periods.items()):
            if owner != client or stored["status"] != "closed":
                continue
            invoice, contract = documents.invoices[client, period], documents.contract(client, period)
            given = sum(minor for _, minor in stored["credits"])
            wanted = expected.bill(contract, dict(stored["rates"]), given, carried, lots)
            kinds = Counter[str]()
            for line in invoice["lines"]:
                kinds[line["kind"]] += line["amount"]
            got = expected.Bill(invoice["total"], kinds["tax"], stored["carried"], -kinds["prepaid"])
            if got != wanted or sum(kinds.values()) != invoice["total"]:
                yield f"the invoice of {client} {period} is {got}, and should be {wanted}: {invoice['lines']}"
            carried, lots = wanted.carried, lots - wanted.prepaid


def _all_facts(simulation: Simulation) -> Iterator[str]:
    """Every fact that was sent is in its case, is parked, or was refused by its hash."""
    known = set()
    for item in simulation.cloud.items("cases"):
        client = item["client_shard"].partition("#")[0]
        for fact in json.loads(item["facts"]):
            key = (client, item["case_id"], expected.key_of(fact))
            if key in known:
                yield f"{key} is in its case twice"
            known.add(key)
    parked = {it["parked_id"] for it in simulation.cloud.items("parked")}
    for sent in simulation.sent:
        text = json.dumps(sent.message, sort_keys=True)
        refused = f"refused:{hashlib.sha256(text.encode()).hexdigest()}" in parked
        if sent.fact is None and not refused:
            yield f"a poison message of {sent.at} left no trace"
        elif sent.fact is not None and sent.fact not in known and not refused:
            lost = "fact:{}/{}/{}".format(*sent.fact) not in parked
            yield from [f"{sent.fact} is lost"] if lost else []


def _personal_data(simulation: Simulation) -> Iterator[str]:
    for table in TABLES:
        name: str = table.Meta.suffix  # type: ignore[attr-defined]
        if MARKER in json.dumps(simulation.cloud.items(name), default=bytes.hex):
            yield f"personal data in the table {name}"
    for name, waiting in simulation.cloud.queues.items():
        if name != "facts" and any(MARKER in message.body for message in waiting.messages + waiting.dead):
            yield f"personal data in the queue {name}"
