"""`solvent invoice`: what an invoice would be, where each one stands, and the evidence of one, row by row."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from billing.contracts import ContractHistory, ContractNotInForce
from billing.invoices import Invoice, InvoiceStatus, LineKind
from billing.periods import Period, period_end, period_of
from cli.printing import DONE, FAILED, REFUSED, refused
from events.facts import format_instant
from infra.replacing import replacing
from infra.spreadsheets import RUNS_IN_SPREADSHEETS
from ledger.errors import BookBroken
from ledger.money import Currency, format_minor_units, parse_decimal
from settlement.described import describe_invoice, exact_price, invoice_amounts, standing
from settlement.invoice_evidence import EvidenceDiffers, EvidenceRow, EvidenceStore, PeriodNotClosed, evidence_rows
from settlement.invoice_preview import PeriodClosed, Preview, PreviewStore, preview_invoice
from settlement.ports import Registry

# A client sees these columns and no others. Amounts are in major units; quantities sum to N.
COLUMNS = (
    "kind",
    "case",
    "cycle",
    "resolved_at",
    "settled_at",
    "effective_on",
    "resolver",
    "channel",
    "language",
    "skill",
    "priority",
    "route",
    "rate",
    "ordinal",
    "list_price",
    "quantity",
    "accrued",
    "discount",
    "capped",
    "net",
    "currency",
    "score",
    "scale_min",
    "scale_max",
    "rating_percent",
    "why",
    "reopened_at",
    "contract",
    "entry",
    "facts",
)
_FREE_TEXTS = frozenset({"case", "facts", "entry", "why"})
_NUMBERS = frozenset({"resolutions", "accrued", "discount", "capped", "usage", "quantity", "amount"})
_INVOICE_NUMBERS = frozenset({"total", "credited", "paid", "returned", "owed"})


class NoContract(LookupError):
    """There is no contract of that name."""


class InvoiceList(Protocol):
    """Where invoices are listed."""

    def invoices(self) -> Iterator[Invoice]:
        """Every invoice, in no order."""


# -- what it would be --------------------------------------------------------------------------------------------------


def preview(
    store: PreviewStore,
    registry: Registry,
    client: str,
    wanted: tuple[Period | None, datetime],
    console: Console,
    *,
    as_json: bool = False,
) -> int:
    """Show the invoice of a period (None: that of the instant) as if it were closed now; nothing is written."""
    period, as_of = wanted
    try:
        history = _history(registry, client)
        found = preview_invoice(store, history, period or period_of(as_of, history.time_zone))
    except (NoContract, ContractNotInForce, PeriodClosed) as error:
        return refused(error, console, REFUSED)
    described = _described(found)
    if as_json:
        console.print_json(data=described)
        return DONE
    _show_preview(described, found, history, console)
    return DONE


def _described(found: Preview) -> dict[str, Any]:
    invoice, state, contract = found.closing.invoice, found.state, found.contract
    usage = {line.text: line.amount for line in invoice.lines if line.kind is LineKind.USAGE}
    return {
        "client": invoice.client,
        "period": invoice.period,
        "currency": invoice.currency,
        "contract": contract.version,
        "closed_before": list(found.open_before),
        "rates": [
            {
                "rate": rate,
                "resolutions": counter.net,
                "accrued_minor": counter.accrued,
                "discount_minor": counter.discount,
                "capped_minor": counter.capped,
                "usage_minor": usage.get(rate, 0),
            }
            for rate, counter in state.rates
        ],
        "lines": [
            {"kind": line.kind, "text": line.text, "quantity": line.quantity, "amount_minor": line.amount}
            for line in invoice.lines
        ],
        "total_minor": invoice.total,
        "is_carried": invoice.status is InvoiceStatus.CARRIED,
        "charged_minor": state.charged,
        "cap_minor": contract.cap_minor,
        "cap_action": contract.cap.action if contract.cap else None,
        "minimum": contract.minimum,
        "commitment_units": contract.commitment.units if contract.commitment else None,
        "prepaid_applied_minor": found.closing.prepaid,
    }


def _show_preview(described: Mapping[str, Any], found: Preview, history: ContractHistory, console: Console) -> None:
    invoice, code = found.closing.invoice, found.closing.invoice.currency
    rates = [
        (
            it["rate"],
            f"{it['resolutions']:,}",
            *(format_minor_units(it[f"{name}_minor"], code) for name in ("accrued", "discount", "capped", "usage")),
        )
        for it in described["rates"]
    ]
    title = f"{invoice.client} {invoice.period}, as if it were closed now"
    columns = ("rate", "resolutions", "accrued", "discount", "capped", "usage")
    console.print(_table(title, columns, rates, _NUMBERS))
    lines = [(it.kind, it.text, f"{it.quantity:,}", format_minor_units(it.amount, code)) for it in invoice.lines]
    total = ("total", f"in {code}", "", format_minor_units(invoice.total, code))
    console.print(_table("Invoice", ("line", "for", "quantity", "amount"), [*lines, total], _NUMBERS))
    for said in _against(found, history):
        console.print(said, markup=False, highlight=False, soft_wrap=True)


def _against(found: Preview, history: ContractHistory) -> Iterator[str]:
    """How far the period is from what the contract agrees, and when it is closed."""
    contract, state, code = found.contract, found.state, found.contract.currency
    charged = format_minor_units(state.charged, code)
    if contract.cap is not None and contract.cap_minor is not None:
        part = f" ({state.charged * 100 // contract.cap_minor}%)" if contract.cap_minor else ""
        most = format_minor_units(contract.cap_minor, code)
        yield f"Cap: {charged} of {most} {code} stand charged{part}; beyond it: {contract.cap.action}"
    if parse_decimal(contract.minimum):
        yield f"Minimum: {charged} of {contract.minimum} {code} stand charged"
    if contract.commitment is not None:
        taken = sum(counter.net for _, counter in state.rates)
        yield f"Commitment: {taken:,} of {contract.commitment.units:,} resolutions"
    if found.open_before:
        yield f"Taken as closed before it: {', '.join(found.open_before)}"
    if found.closing.invoice.status is InvoiceStatus.CARRIED:
        yield "Too little to collect: it would be carried to the next invoice"
    closes_at = period_end(state.period, history.time_zone) + timedelta(hours=contract.close_delay_hours)
    yield f"The period is closed at {format_instant(closes_at)}"


# -- where they stand --------------------------------------------------------------------------------------------------


def list_invoices(
    store: InvoiceList, client: str | None, today: date, console: Console, *, as_json: bool = False
) -> int:
    """Every invoice, or those of one client: what was invoiced, credited, paid and is owed, and since when."""
    invoices = sorted((it for it in store.invoices() if client in {None, it.client}), key=lambda it: it.id)
    if as_json:
        console.print_json(data=[describe_invoice(invoice, today) for invoice in invoices])
        return DONE
    columns = ("client", "period", "status", "total", "credited", "paid", "returned", "owed", "in", "due", "at Stripe")
    rows = [
        (
            *(invoice.client, invoice.period, standing(invoice, today)),
            *(format_minor_units(amount, invoice.currency) for amount in invoice_amounts(invoice).values()),
            *(invoice.currency, str(invoice.due_on or "-"), invoice.stripe_invoice or "-"),
        )
        for invoice in invoices
    ]
    console.print(_table("Invoices", columns, rows, _INVOICE_NUMBERS))
    return DONE


# -- why ---------------------------------------------------------------------------------------------------------------


def write_evidence(
    store: EvidenceStore, registry: Registry, wanted: tuple[str, Period], folder: Path, console: Console
) -> int:
    """Write the evidence of an invoice as CSV; a file that does not sum to its invoice is not left behind."""
    client, period = wanted
    path = folder / f"invoice-{client}-{period}.csv"
    try:
        history = _history(registry, client)
        rows = evidence_rows(store, history, period)
        with replacing(path) as fresh:
            number = _write(fresh, rows, history.currency)
    except (NoContract, PeriodNotClosed) as error:
        return refused(error, console, REFUSED)
    except (EvidenceDiffers, BookBroken, FileExistsError) as error:
        return refused(error, console, FAILED)
    console.print(f"{number:,} rows that sum to the invoice: {path}", markup=False, highlight=False, soft_wrap=True)
    return DONE


def _write(path: Path, rows: Iterable[EvidenceRow], code: Currency) -> int:
    number = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, row in enumerate(rows, 1):  # noqa: B007  # the last one is how many there are
            cells = _cells(row, code)
            writer.writerow([_guarded(cells[name]) if name in _FREE_TEXTS else cells[name] for name in COLUMNS])
    return number


def _cells(row: EvidenceRow, code: Currency) -> dict[str, str]:
    solved, counted = row.solved, row.counted
    has_count = row.rate is not None or counted.net
    amounts = {name: getattr(counted, name) for name in ("accrued", "discount", "capped")}
    cells = {
        "kind": row.kind,
        "case": row.case,
        "cycle": row.cycle,
        "resolved_at": format_instant(solved.resolved_at) if solved.resolved_at else None,
        "settled_at": format_instant(solved.settled_at) if solved.settled_at else None,
        "effective_on": row.effective_on,
        "resolver": solved.resolver,
        "channel": solved.channel,
        "language": solved.language,
        "skill": solved.skill,
        "priority": solved.priority,
        "route": solved.route,
        "rate": row.rate,
        "ordinal": row.ordinal,
        "list_price": None if row.list_price is None else exact_price(row.list_price, code),
        "quantity": counted.quantity if has_count else None,
        "net": format_minor_units(row.net, code),
        "currency": code,
        "score": solved.score,
        "scale_min": solved.scale_min,
        "scale_max": solved.scale_max,
        "rating_percent": None if row.rating is None else format_minor_units(row.rating, Currency("USD")),
        "why": row.why,
        "reopened_at": row.reopened_at,
        "contract": row.contract,
        "entry": row.about,
        "facts": " ".join(row.facts),
    } | {name: format_minor_units(amount, code) if has_count else None for name, amount in amounts.items()}
    return {name: "" if cell is None else str(cell) for name, cell in cells.items()}


def _guarded(text: str) -> str:
    return f"'{text}" if text[:1] in RUNS_IN_SPREADSHEETS else text


def _history(registry: Registry, client: str) -> ContractHistory:
    histories = registry.contracts([client])
    if client not in histories:
        raise NoContract(f"there is no contract for {client}; apply one")
    return histories[client]


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
