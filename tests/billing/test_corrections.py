"""What may be corrected on an invoice that was issued: credit notes with their share of tax, and a second issue."""

from dataclasses import replace

import pytest

from billing.corrections import next_credit_note, note_by_hand, reissued, tax_share
from billing.invoices import CreditNote, Invoice, InvoiceLine, InvoiceStatus, LineKind
from billing.periods import Period
from ledger.money import Currency

USAGE = InvoiceLine(LineKind.USAGE, "all", 10, 1000)
TAX = InvoiceLine(LineKind.TAX, "19%", 1, 190)
CARRIED = InvoiceLine(LineKind.CARRIED, "to the next invoice", 1, -7)


def an_invoice(*lines: InvoiceLine, **fields: object) -> Invoice:
    own = lines or (USAGE, TAX)
    known = Invoice(
        client="acme",
        period=Period("2026-03"),
        currency=Currency("USD"),
        lines=own,
        total=sum(line.amount for line in own),
        net_days=14,
        status=InvoiceStatus.OPEN,
        stripe_invoice="in_1",
    )
    return replace(known, **fields)  # type: ignore[arg-type]  # a factory's fields


def a_note(net: int, tax: int, **fields: object) -> CreditNote:
    return replace(CreditNote("n", net, tax), **fields)  # type: ignore[arg-type]  # a factory's fields


@pytest.mark.parametrize(("net", "tax"), [(0, 0), (100, 19), (50, 10), (55, 10), (1000, 190), (-50, -10)])
def test_tax_is_the_share_of_the_invoices_own_rounded_half_away_from_zero(net: int, tax: int) -> None:
    assert tax_share(an_invoice(), net) == tax
    assert tax_share(an_invoice(USAGE, TAX, CARRIED), net) == tax
    assert tax_share(an_invoice(USAGE), net) == 0


def test_a_note_gives_the_credit_with_its_tax_and_is_numbered_from_one() -> None:
    first = next_credit_note(an_invoice(), 100)
    assert first == CreditNote("invoice:acme:2026-03:credit:1", 100, 19)
    second = next_credit_note(an_invoice(credit_notes=(a_note(100, 19),), attempt=2), 100)
    assert second == CreditNote("invoice:acme:2026-03:2:credit:2", 100, 19)


def test_the_tax_of_all_notes_together_is_rounded_so_that_all_of_it_is_given_back() -> None:
    invoice, given = an_invoice(), []
    for net in (3, 3, 3, 991):
        note = next_credit_note(invoice, net)
        assert note is not None
        given.append(note.tax)
        invoice = replace(invoice, credit_notes=(*invoice.credit_notes, note))

    # 0.57, 1.14 and 1.71 in all.
    assert given == [1, 0, 1, 188]
    assert invoice.asked == 0


def test_a_withdrawn_note_counts_for_the_number_and_not_for_the_tax() -> None:
    withdrawn = a_note(3, 1, is_withdrawn=True)
    note = next_credit_note(an_invoice(credit_notes=(withdrawn,)), 3)
    assert note == CreditNote("invoice:acme:2026-03:credit:2", 3, 1)


@pytest.mark.parametrize("status", [it for it in InvoiceStatus if it is not InvoiceStatus.OPEN])
def test_only_an_open_invoice_takes_a_note(status: InvoiceStatus) -> None:
    assert next_credit_note(an_invoice(status=status), 100) is None


@pytest.mark.parametrize(
    ("code", "total", "credit", "fits"),
    [
        ("USD", 1000, 1000, True),  # nothing remains
        ("USD", 1000, 950, True),  # what remains is what Stripe can collect
        ("USD", 1000, 951, False),
        ("USD", 1000, 1001, False),
        ("INR", 1000, 999, True),  # no known minimum: anything can be collected
        ("INR", 1000, 1, True),
        ("USD", 1000, 0, False),
    ],
)
def test_what_remains_is_nothing_or_enough_to_collect(code: str, total: int, credit: int, fits: bool) -> None:  # noqa: FBT001
    invoice = an_invoice(replace(USAGE, amount=total), currency=Currency(code))
    note = next_credit_note(invoice, credit)
    assert (note is not None) == fits
    assert note is None or (note.net, note.tax) == (credit, 0)


@pytest.mark.parametrize(("credit", "net", "tax"), [(101, 100, 20), (105, 100, 20), (109, 108, 22), (7, None, None)])
def test_where_stripe_takes_multiples_of_ten_the_note_is_the_largest_such_part(
    credit: int, net: int | None, tax: int | None
) -> None:
    invoice = an_invoice(USAGE, replace(TAX, amount=200), currency=Currency("BHD"))
    note = next_credit_note(invoice, credit)
    assert (note.net if note else None, note.tax if note else None) == (net, tax)


def test_a_note_by_hand_is_split_as_the_invoice_is() -> None:
    assert note_by_hand(an_invoice(), "cn_1", 119) == CreditNote("invoice:acme:2026-03:credit:cn_1", 100, 19, "cn_1")
    # 10 of 1190 hold 1.597 of tax.
    assert note_by_hand(an_invoice(), "cn_1", 10) == CreditNote("invoice:acme:2026-03:credit:cn_1", 8, 2, "cn_1")
    untaxed = note_by_hand(an_invoice(USAGE), "cn_1", 10)
    assert (untaxed.net, untaxed.tax) == (10, 0)


def test_an_invoice_of_nothing_has_no_tax_to_share() -> None:
    nothing = an_invoice(replace(USAGE, amount=0))
    assert tax_share(nothing, 10) == 0
    assert note_by_hand(nothing, "cn_1", 10).tax == 0


def test_a_second_issue_has_the_same_lines_less_what_notes_took_off() -> None:
    notes = (a_note(100, 19), a_note(50, 10), a_note(30, 6, is_withdrawn=True))
    first = an_invoice(USAGE, TAX, CARRIED, credit_notes=notes, status=InvoiceStatus.VOID, revision=8)

    second = reissued(first)

    credit = InvoiceLine(LineKind.CREDITS, "resolutions taken back since the first issue", 1, -150)
    assert second == Invoice(
        client="acme",
        period=Period("2026-03"),
        currency=Currency("USD"),
        lines=(USAGE, credit, replace(TAX, amount=161), CARRIED),
        total=1183 - 150 - 29,
        net_days=14,
        attempt=2,
        earlier=("in_1",),
        revision=8,
    )
    assert sum(line.amount for line in second.lines) == second.total


def test_a_second_issue_without_notes_or_tax_changes_no_line() -> None:
    first = an_invoice(USAGE, CARRIED, earlier=("in_0",), attempt=2)
    second = reissued(first)
    assert (second.lines, second.total) == (first.lines, 993)
    assert (second.attempt, second.earlier) == (3, ("in_0", "in_1"))
    assert reissued(replace(first, stripe_invoice=None)).earlier == ("in_0",)
    noted = reissued(replace(first, credit_notes=(a_note(5, 0),)))
    assert [line.kind for line in noted.lines] == [LineKind.USAGE, LineKind.CARRIED, LineKind.CREDITS]
