"""One period under two contracts: each rate at both prices, and the lines that only one invoice has."""

from billing.comparisons import ComparedLine, compare
from billing.contracts import Contract, Rate
from billing.invoices import LineKind
from billing.periods import Period, PeriodState, PeriodStatus, RateCounter
from tests.world import a_contract, per_unit

MARCH = Period("2026-03")


def a_card(**units: str) -> tuple[Rate, ...]:
    return tuple(Rate.model_validate({"id": name, "price": per_unit(unit)}) for name, unit in units.items())


def with_rates(contract: Contract, *rates: Rate, **fields: object) -> Contract:
    return contract.model_copy(update={"rates": rates, **fields})


def closed(**counters: RateCounter) -> PeriodState:
    return PeriodState(
        "acme", MARCH, PeriodStatus.CLOSED, tuple(counters.items()), credits=((Period("2026-02"), 40),), carried=9
    )


def test_each_rate_in_use_is_priced_by_both_cards() -> None:
    old = with_rates(a_contract(), *a_card(chat="1.00", mail="0.50", phone="2.00"))
    new = with_rates(a_contract(), *a_card(chat="0.90", phone="2.00", fax="0.10"))
    state = closed(
        chat=RateCounter(net=10), fax=RateCounter(net=7), mail=RateCounter(net=4), phone=RateCounter(issued=3)
    )

    found = compare(old, new, state)

    assert found.lines == (
        ComparedLine(LineKind.USAGE, "chat", 10, 1000, 900),
        ComparedLine(LineKind.USAGE, "fax", 7, None, 70),
        ComparedLine(LineKind.USAGE, "mail", 4, 200, None),
    )
    assert found.unpriced == found.lines[1:]
    assert (found.was, found.now) == (1200, 970)
    assert (found.period, found.currency) == (MARCH, "USD")


def test_lines_that_one_invoice_has_are_nothing_on_the_other() -> None:
    old = a_contract(minimum="5.00")
    new = a_contract(cap={"amount": "1.50"}, tax_percent="10")

    found = compare(old, new, closed(all=RateCounter(net=2, accrued=198)))

    assert found.lines == (
        ComparedLine(LineKind.USAGE, "all", 2, 198, 198),
        ComparedLine(LineKind.SHORTFALL, "up to the agreed minimum", 0, 302, 0),
        ComparedLine(LineKind.CAP, "beyond the agreed cap", 0, 0, -48),
        ComparedLine(LineKind.TAX, "10%", 0, 0, 15),
    )
    assert (found.was, found.now) == (500, 165)
    assert found.unpriced == ()


def test_credits_and_carried_sums_are_no_terms() -> None:
    contract = a_contract()
    found = compare(contract, contract, closed(all=RateCounter(net=2)))
    assert [line.kind for line in found.lines] == [LineKind.USAGE]
    assert (found.was, found.now) == (198, 198)


def test_it_says_whether_discounts_were_given_and_whether_rates_match_otherwise() -> None:
    contract = a_contract()
    plain = compare(contract, contract, closed(all=RateCounter(net=2)))
    assert (plain.discounted, plain.rematched) == (False, False)
    discounted = compare(contract, contract, closed(all=RateCounter(net=2, discount=1)))
    assert (discounted.discounted, discounted.was, discounted.now) == (True, 197, 197)
    narrower = contract.rates[0].model_copy(update={"match": {"channel": ("chat",)}})
    for other in (
        with_rates(contract, narrower),
        with_rates(contract, contract.rates[0], *a_card(mail="1.00")),
        contract.model_copy(update={"time_zone": "Europe/Berlin"}),
    ):
        state = closed(all=RateCounter(net=2))
        assert compare(contract, other, state).rematched
        assert compare(other, contract, state).rematched
    dearer = with_rates(contract, *a_card(all="1.00"))
    assert not compare(contract, dearer, closed(all=RateCounter(net=2))).rematched
