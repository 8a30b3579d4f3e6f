"""The invoice is the contract's formula of N, whatever came, went, and in which order; and every cent has a place."""

from dataclasses import dataclass, replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.contracts import Contract
from billing.invoices import InvoiceStatus, LineKind
from events.decode import Delivery
from ledger.money import round_half_away
from settlement.cases import CycleState, CycleStatus
from tests.world import World, a_contract, a_plan, at

SCORES = st.sampled_from([None, 1, 2, 3, 4, 5])


@dataclass(frozen=True)
class History:
    """A contract, and what happened under it in March, in the order in which it is delivered."""

    contract: Contract
    facts: list[Delivery]
    batch: int


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    amount = st.integers(0, 500).map(lambda cents: f"{cents // 100}.{cents % 100:02d}")
    ends = sorted(draw(st.sets(st.integers(1, 12), min_size=1, max_size=3)))
    tiers = [{"up_to": end, "unit": draw(amount)} for end in ends] + [{"unit": draw(amount)}]
    price: dict[str, object] = draw(
        st.sampled_from(
            [
                {"model": "per_unit", "unit": draw(amount)},
                {"model": "graduated", "tiers": tiers},
                {"model": "volume", "tiers": tiers},
                {"model": "package", "size": draw(st.integers(1, 5)), "amount": draw(amount)},
            ]
        )
    )
    rating = {"window_hours": 24, "threshold_percent": "50", "below": draw(st.sampled_from(["waive", "charge"]))}
    return a_contract(
        price,
        starts_on="2026-03-01",
        included=draw(st.sampled_from([0, 0, 3])),
        rating=rating | {"unrated": "charge"},
        cap=draw(st.sampled_from([None, {"amount": "8.00"}])),
        minimum=draw(st.sampled_from(["0", "6.00"])),
        commitment=draw(st.sampled_from([None, {"units": 9, "unit": "0.30"}])),
        tax_percent=draw(st.sampled_from(["0", "19"])),
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    contract = draw(contracts())
    world = World(contract=contract)
    facts: list[Delivery] = []
    for number in range(draw(st.integers(1, 14))):
        case = f"C{number}"
        for attempt in range(draw(st.integers(1, 2))):
            day = 2 + attempt * 5
            facts.append(world.completed(case, f"2026-03-{day:02d}T10:00:00"))
            if (score := draw(SCORES)) is not None:
                facts.append(world.rated(case, f"2026-03-{day:02d}T12:00:00", score))
            facts.append(world.reopened(case, f"2026-03-{day + 3:02d}T09:00:00"))
        if draw(st.booleans()):
            facts.pop()
    late = [replace(fact, received_at=at("2026-03-20")) for fact in facts]
    return History(contract, draw(st.permutations(late)), draw(st.integers(1, 9)))


def f(contract: Contract, count: int) -> int:
    """The price of `count` units by the contract's own words, worked out unit by unit in cents."""
    rate = contract.rates[0]
    price, units = rate.price, max(0, count - rate.included)
    if price.model == "package":
        return round_half_away(-(-units // price.size) * Fraction(price.amount) * 100)
    if price.model == "per_unit":
        return round_half_away(units * Fraction(price.unit) * 100)
    paid = Fraction(0)
    for unit in range(1, units + 1):
        place = units if price.model == "volume" else unit
        paid += next(Fraction(tier.unit) for tier in price.tiers if tier.up_to is None or place <= tier.up_to)
    return round_half_away(paid * 100)


def expected_before_tax(contract: Contract, count: int) -> int:
    usage = f(contract, count)
    if contract.cap is not None:
        usage = min(usage, 800)
    if contract.commitment is not None:
        usage += max(0, 9 - count) * 30
    return max(usage, round_half_away(Fraction(contract.minimum) * 100))


@given(histories())
@settings(max_examples=200, deadline=None)
def test_the_invoice_is_the_contracts_formula_of_what_stands(history: History) -> None:
    world = World(contract=history.contract, plan=a_plan(base={"kind": "fixed", "amount": "0.10"}))
    for start in range(0, len(history.facts), history.batch):
        world.send(*history.facts[start : start + history.batch])
        world.check()
    world.sweep("2026-04-01T12:00:00")
    states: list[CycleState] = [it for case in world.store.stored_cases.values() for it in case.cycles]
    standing = sum(it.status is CycleStatus.CHARGED for it in states)
    invoice = world.close("2026-04-03")
    world.check()
    before_tax = expected_before_tax(history.contract, standing)
    tax = round_half_away(before_tax * Fraction(history.contract.tax_percent) / 100)
    usage = sum(line.amount for line in invoice.lines if line.kind is LineKind.USAGE)
    assert usage == f(history.contract, standing)
    if before_tax < 50:
        assert (invoice.status, invoice.total) == (InvoiceStatus.CARRIED, 0)
        assert world.balance("client/acme/unbilled") == f"{before_tax / 100:.2f}"
    else:
        assert invoice.total == before_tax + tax
        assert sum(line.amount for line in invoice.lines) == invoice.total
        assert world.balance("client/acme/unbilled") == "0.00"
        assert world.balance("client/acme/receivable") == f"{invoice.total / 100:.2f}"
