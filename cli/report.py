"""What a stack holds after a run: one report for scripts, one summary for people."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.aws.store import DynamoStore
from ledger.balances import trial_balance
from ledger.books import check_book
from ledger.money import Currency, format_minor_units
from settlement.cases import SUPERSEDED, CycleStatus
from settlement.plan_payouts import NotPaid


@dataclass(frozen=True, slots=True)
class Report:
    """Amounts are minor units. Every cycle is counted once: the sum of the five states is `resolutions`."""

    facts_in: int
    resolutions: int
    charged: int
    waived: dict[str, int]
    reversed: int
    pending: int
    parked_cycles: int
    invoices: list[dict[str, Any]]
    payouts: list[dict[str, Any]]
    not_paid: dict[str, Any]
    trial_balance: dict[str, dict[str, int]]
    entries: int
    books_verified: int
    parked: dict[str, int]
    reconciled: bool
    differences: list[list[str]]
    seconds: float

    def problems(self) -> list[str]:
        """What a run must not end with; empty if all is well."""
        states = self.charged + sum(self.waived.values()) + self.reversed + self.pending + self.parked_cycles
        found = [
            f"{code}: debits {both['debit']}, credits {both['credit']}"
            for code, both in self.trial_balance.items()
            if both["debit"] != both["credit"]
        ]
        if states != self.resolutions:
            found.append(f"{self.resolutions} resolutions came in, {states} are accounted for")
        found += [f"{invoice['client']}: never issued" for invoice in self.invoices if invoice["status"] == "planned"]
        found += [f"{it['expert']}: {it['status']}" for it in self.payouts if it["status"] not in {"sent", "paid"}]
        transfers = [payout["stripe_transfer"] for payout in self.payouts]
        if len(set(transfers)) != len(transfers):
            found.append("two payouts share one transfer")
        found += [f"not reconciled: {about}: {detail}" for about, detail in self.differences]
        return found

    def write(self, path: Path) -> None:
        """Put the report into a file as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")


def collect(
    store: DynamoStore,
    reconciliation: Mapping[str, Any],
    not_paid: Sequence[NotPaid],
    came_in: tuple[int, int],
    seconds: float,
) -> Report:
    """Read the whole stack; `came_in` is how many facts were sent and how many resolutions they hold."""
    states = [state for case in store.all_cases() for state in case.cycles if state.why != SUPERSEDED]
    by_status = Counter(state.status for state in states)
    parked = list(store.parked())
    parked_completions = sum('"resolution.completed"' in (item.message or "") for item in parked)
    entries, verified = [], 0
    for head in store.heads():
        book = list(store.entries(head.book))
        verified += not list(check_book(head.book, book, head))
        entries += [recorded.entry for recorded in book]
    totals = trial_balance(entries).totals()
    return Report(
        facts_in=came_in[0],
        resolutions=came_in[1],
        charged=by_status[CycleStatus.CHARGED],
        waived=dict(Counter(state.why for state in states if state.status is CycleStatus.WAIVED)),
        reversed=by_status[CycleStatus.REVERSED],
        pending=by_status[CycleStatus.PENDING],
        parked_cycles=by_status[CycleStatus.PARKED] + parked_completions,
        invoices=_invoices(store),
        payouts=_payouts(store),
        not_paid={f"{it.expert} {it.currency}": [it.minor_units, *it.missing] for it in not_paid},
        trial_balance={code: {"debit": debit, "credit": credit} for code, (debit, credit) in totals.items()},
        entries=len(entries),
        books_verified=verified,
        parked=dict(Counter(item.reason.value for item in parked)),
        reconciled=bool(reconciliation["reconciled"]),
        differences=list(reconciliation["differences"]),
        seconds=round(seconds, 1),
    )


def _invoices(store: DynamoStore) -> list[dict[str, Any]]:
    return [
        {
            "client": invoice.client,
            "period": invoice.period,
            "currency": invoice.currency,
            "total_minor": invoice.total,
            "stripe_invoice": invoice.stripe_invoice,
            "status": invoice.status.value,
        }
        for invoice in sorted(store.invoices(), key=lambda invoice: invoice.id)
    ]


def _payouts(store: DynamoStore) -> list[dict[str, Any]]:
    return [
        {
            "expert": payout.expert,
            "run": payout.run,
            "currency": payout.currency,
            "amount_minor": payout.amount,
            "stripe_transfer": payout.stripe_transfer,
            "status": payout.status.value,
        }
        for payout in sorted(store.payouts(), key=lambda payout: payout.id)
    ]


def show(report: Report, console: Console) -> None:
    """Print the report for people."""
    console.print(
        _table(
            "Invoices",
            ("client", "period", "total", "status", "at Stripe"),
            [
                (
                    it["client"],
                    it["period"],
                    _money(it["total_minor"], it["currency"]),
                    it["status"],
                    it["stripe_invoice"] or "-",
                )
                for it in report.invoices
            ],
        )
    )
    console.print(_table("Payouts", ("expert", "paid", "in", "transfers"), _paid(report)))
    if report.not_paid:
        console.print(
            _table(
                "Not paid yet",
                ("expert", "available", "waits for"),
                [
                    (name, _money(amount, name.split()[-1]), ", ".join(why))
                    for name, (amount, *why) in sorted(report.not_paid.items())
                ],
            )
        )
    counts = [
        ("charged", report.charged),
        *((f"waived: {why}", n) for why, n in sorted(report.waived.items())),
        ("reversed", report.reversed),
        ("pending", report.pending),
        ("parked", report.parked_cycles),
    ]
    console.print(_table("Resolutions", ("state", "number"), [(name, f"{number:,}") for name, number in counts]))
    console.print(_table("Parked", ("reason", "number"), [(why, str(n)) for why, n in sorted(report.parked.items())]))
    console.print(
        _table(
            "Trial balance",
            ("currency", "debit", "credit"),
            [
                (code, _money(both["debit"], code), _money(both["credit"], code))
                for code, both in sorted(report.trial_balance.items())
            ],
        )
    )


def _paid(report: Report) -> list[tuple[str, ...]]:
    totals: dict[tuple[str, str], list[int]] = {}
    for payout in report.payouts:
        sums = totals.setdefault((payout["expert"], payout["currency"]), [0, 0])
        sums[0] += payout["amount_minor"]
        sums[1] += 1
    return [
        (expert, _money(paid, code), code, str(number)) for (expert, code), (paid, number) in sorted(totals.items())
    ]


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in columns:
        numeric = name in {"total", "debit", "credit", "number", "paid", "available", "transfers"}
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _money(minor_units: int, code: str) -> str:
    return format_minor_units(minor_units, Currency(code))
