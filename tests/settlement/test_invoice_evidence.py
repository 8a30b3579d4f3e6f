"""The evidence of an invoice sums to it to the cent, whatever happened, and shows the client nothing of the expert."""

import tracemalloc
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.charges import Charge
from billing.contracts import Contract, ContractHistory
from billing.corrections import reissued
from billing.invoices import InvoiceStatus, LineKind, close_period
from billing.periods import Period, PeriodState, RateCounter
from billing.prepaid import Lot, Prepaid
from events.decode import Delivery
from ledger.accounts import REVENUE_RESOLUTIONS, client_unbilled
from ledger.entries import Book, Entry, EntryId, RecordedEntry, evidence, postings
from ledger.posting_rules import Reason
from payouts.plans import PlanHistory
from settlement.cases import Case, CycleState, CycleStatus
from settlement.credit_notes import plan_credit_note
from settlement.invoice_evidence import EvidenceDiffers, EvidenceRow, PeriodNotClosed, evidence_rows
from settlement.ports import CaseKey
from tests.memory_store import MemoryStore
from tests.world import GRADUATED, RATING, World, a_contract, a_plan, at, per_unit

MARCH, APRIL = Period("2026-03"), Period("2026-04")
FIXED = {"kind": "fixed", "amount": "0.10"}
HALF_OFF = RATING | {"below": "discount", "discount_percent": "50"}


def a_world(price: object = None, **terms: object) -> World:
    contract = a_contract(price, **({"starts_on": "2026-03-01"} | terms))  # type: ignore[arg-type]
    return World(contract=contract, plan=a_plan(base=FIXED))


def rows_of(world: World, period: Period = MARCH) -> list[EvidenceRow]:
    """The rows of an invoice; each of its lines is the sum of the rows that are about it."""
    history = world.registry.contract_histories["acme"]
    rows = list(evidence_rows(world.store, history, period))
    invoice = world.store.stored_invoices["acme", period]
    assert sum(row.net for row in rows) == invoice.total
    assert {row.net for row in rows if row.counted.net != row.net and row.counted.accrued} == set()
    for line in invoice.lines:
        assert _sum_for(line.kind, line.text, rows) == (line.quantity, line.amount), line
    return rows


def _sum_for(kind: LineKind, text: str, rows: list[EvidenceRow]) -> tuple[int, int]:
    match kind:
        case LineKind.USAGE:
            counted = [row.counted for row in rows if row.rate == text]
            return sum(it.quantity for it in counted), sum(it.accrued for it in counted)
        case LineKind.DISCOUNT:
            return 1, -sum(row.counted.discount for row in rows)
        case LineKind.CAP:
            return 1, -sum(row.counted.capped for row in rows)
        case LineKind.CREDITS:
            given = [row for row in rows if row.kind in {"credited", "credit_note", "credit_note_withdrawn", "credits"}]
            return 1, sum(row.net for row in given)
        case _:
            return 1, sum(row.net for row in rows if (row.kind, row.why) == (kind, text))


def brief(rows: list[EvidenceRow]) -> list[tuple[str, str | None, int]]:
    return [(row.kind, row.case, row.net) for row in rows]


# -- the sum -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """A contract, credits bought in advance, and what happened in March and April in the order of its delivery."""

    contract: Contract
    prepaid: int
    facts: list[Delivery]


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    amount = st.integers(0, 500).map(lambda cents: f"{cents // 100}.{cents % 100:02d}") | st.just("0.00125")
    ends = sorted(draw(st.sets(st.integers(1, 6), min_size=1, max_size=2)))
    tiers = [{"up_to": end, "unit": draw(amount)} for end in ends] + [{"unit": draw(amount)}]
    prices: list[dict[str, object]] = [
        {"model": "per_unit", "unit": draw(amount)},
        {"model": "graduated", "tiers": tiers},
        {"model": "volume", "tiers": tiers},
        {"model": "package", "size": draw(st.integers(1, 4)), "amount": draw(amount)},
    ]
    first, second = draw(st.sampled_from(prices)), draw(st.sampled_from(prices))
    below, unrated = draw(st.sampled_from([("waive", "charge"), ("discount", "charge"), ("waive", "discount")]))
    off = {"discount_percent": draw(st.sampled_from(["33.33", "100"]))} if "discount" in {below, unrated} else {}
    rating = {"window_hours": 24, "threshold_percent": "50", "below": below, "unrated": unrated} | off
    return a_contract(
        starts_on="2026-03-01",
        rates=[
            {"id": "chat", "match": {"channel": ["chat"]}, "price": first},
            {"id": "rest", "price": second, "included": draw(st.sampled_from([0, 2]))},
        ],
        time_zone=draw(st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"])),
        rating=draw(st.sampled_from([None, rating])),
        cap=draw(st.sampled_from([None, {"amount": "4.00"}])),
        minimum=draw(st.sampled_from(["0", "6.00"])),
        commitment=draw(st.sampled_from([None, {"units": 5, "unit": "0.30"}])),
        tax_percent=draw(st.sampled_from(["0", "19"])),
        prepaid=draw(st.booleans()),
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    world = World()
    facts: list[Delivery] = []
    for number in range(draw(st.integers(1, 7))):
        moment = at("2026-03-20") + timedelta(days=draw(st.integers(0, 25)), hours=draw(st.integers(0, 23)))
        case = f"C{number}"
        for _ in range(draw(st.integers(1, 3))):
            who = draw(st.sampled_from(["maya", "noah", None]))
            channel = draw(st.sampled_from(["chat", "email"]))
            told = [world.completed(case, _text(moment), who, channel=channel)]
            score = draw(st.sampled_from([None, 1, 3, 5]))
            told += [world.rated(case, _text(moment + timedelta(hours=2)), score)] if score else []
            if draw(st.booleans()):
                late = _text(moment + timedelta(days=draw(st.integers(1, 20))))
                told.append(world.fact("resolution.qa_reviewed", case, late, passed=draw(st.booleans())))
            moment += timedelta(days=draw(st.integers(1, 12)), minutes=1)
            told += [world.reopened(case, _text(moment))] if draw(st.booleans()) else []
            moment += timedelta(days=draw(st.integers(0, 3)), hours=1)
            delays = [timedelta(days=draw(st.sampled_from([0, 0, 0, 4, 15]))) for _ in told]
            facts += [replace(it, received_at=it.fact.time + delay) for it, delay in zip(told, delays, strict=True)]
    timely = [it for it in facts if it.received_at < at("2026-06-02")]
    return History(draw(contracts()), draw(st.sampled_from([0, 150, 5000])), sorted(timely, key=_received_at))


def _received_at(delivery: Delivery) -> datetime:
    return delivery.received_at


def _text(moment: datetime) -> str:
    return moment.isoformat()[:19]


def played(history: History, **plan: object) -> World:
    """Every fact at the time of its delivery, windows swept before each; each month closed two days after its end."""
    world = World(contract=history.contract, plan=a_plan(base=FIXED, **plan))
    lot = Lot("bank-1", date(2026, 3, 1), None, history.prepaid, history.prepaid)
    world.store.stored_prepaids["acme"] = Prepaid("acme", (lot,), 1)
    closes = ["2026-04-03", "2026-05-03", "2026-06-03", "2026-07-03"]
    for delivery in history.facts:
        if closes and delivery.received_at >= at(closes[0]):
            _close(world, closes.pop(0))
        world.sweep(_text(delivery.received_at))
        world.send(delivery)
    for day in closes:
        _close(world, day)
    world.check()
    return world


def _close(world: World, day: str) -> None:
    world.sweep(day)
    world.close(day)


@given(histories())
@settings(max_examples=150, deadline=None)
def test_the_rows_of_every_invoice_sum_to_it_and_to_each_of_its_lines(history: History) -> None:
    world = played(history)
    for client, period in world.store.stored_invoices:
        assert client == "acme"
        rows_of(world, period)


@given(histories())
@settings(max_examples=100, deadline=None)
def test_each_resolution_has_a_row_of_its_own_where_each_one_earns(history: History) -> None:
    """A charge that comes to nothing is in the ledger only with a pay; then no row stands for several."""
    facts = [it for it in history.facts if getattr(it.fact, "expert", "maya") is not None]
    terms = history.contract.model_copy(update={"rating": None})
    world = played(History(terms, history.prepaid, facts), not_charged="base")
    for _, period in world.store.stored_invoices:
        assert [row for row in rows_of(world, period) if row.kind == "unposted"] == []


# -- what a row says ---------------------------------------------------------------------------------------------------


def test_a_row_says_which_resolution_which_rating_and_which_price() -> None:
    world = a_world(per_unit("4.99"), rating=HALF_OFF)
    where = {"channel": "chat", "language": "de", "skill": "billing", "priority": "high"}
    world.send(
        world.completed("C1", "2026-03-02T10:00:00", id="s1", **where),
        world.rated("C1", "2026-03-02T11:00:00", 2, id="r1"),
    )
    world.close()
    (row,) = rows_of(world)
    assert (row.kind, row.case, row.cycle, row.why) == ("settled", "C1", 1, "rated_below_threshold")
    assert (row.rate, row.ordinal, row.list_price, row.contract) == ("all", 1, Fraction(499), "2026-03")
    counted = row.counted
    assert (counted.quantity, counted.accrued, counted.discount, counted.capped, row.net) == (1, 499, 250, 0, 249)
    solved = row.solved
    assert (solved.resolved_at, solved.settled_at) == (at("2026-03-02T10:00:00"), at("2026-03-02T11:00:00"))
    assert (solved.channel, solved.language, solved.skill, solved.priority) == ("chat", "de", "billing", "high")
    assert (solved.score, solved.scale_min, solved.scale_max, row.rating) == (2, 1, 5, 2500)
    assert (row.facts, row.about) == (("helpdesk#s1", "helpdesk#r1"), "charge:acme/C1/1:1")


def test_a_reversal_is_negative_and_describes_what_it_takes_back() -> None:
    world = a_world(GRADUATED)
    world.send(world.completed("C1", "2026-03-02", "maya", channel="chat"))
    world.send(world.reopened("C1", "2026-03-03"), world.completed("C1", "2026-03-04", "noah", channel="email"))
    world.close()
    settled, reversed_, again = rows_of(world)
    assert [row.net for row in (settled, reversed_, again)] == [99, -99, 99]
    assert [row.counted.quantity for row in (settled, reversed_, again)] == [1, -1, 1]
    assert (reversed_.kind, reversed_.why, reversed_.reopened_at) == ("reversed", "reopened", "2026-03-03T00:00:00Z")
    assert (reversed_.case, reversed_.cycle, reversed_.rate, reversed_.ordinal) == ("C1", 1, "all", 1)
    assert (reversed_.solved, reversed_.facts) == (settled.solved, settled.facts)
    assert again.solved.channel == "email"


def test_a_credit_for_an_earlier_period_is_a_row_of_the_period_that_gives_it() -> None:
    world = a_world(per_unit("5.00"))
    world.send(world.completed("C1", "2026-03-31"), world.completed("C2", "2026-03-31"))
    world.close("2026-04-02")
    world.send(
        world.reopened("C1", "2026-04-03"), world.completed("C3", "2026-04-05"), world.completed("C4", "2026-04-05")
    )
    world.close("2026-05-03")
    assert brief(rows_of(world, MARCH)) == [("settled", "C1", 500), ("settled", "C2", 500)]
    assert brief(rows_of(world, APRIL)) == [
        ("credited", "C1", -500),
        ("settled", "C3", 500),
        ("settled", "C4", 500),
    ]


def test_what_corrects_only_the_pay_of_an_earlier_period_is_no_row_however_often() -> None:
    world = a_world(rating=HALF_OFF | {"unrated": "discount"})
    world.plan = a_plan(base=FIXED, peer_review_bonus={"at_least_percent": "50", "amount": "0.10"})
    world.registry.plan_histories["standard"] = PlanHistory("standard", (world.plan,))
    world.send(world.completed("C1", "2026-03-10"))
    world.sweep("2026-03-29")
    world.close("2026-04-02")
    for day, score in (("2026-04-03", 5), ("2026-04-04", 1), ("2026-04-05", 5)):
        world.send(world.peer_reviewed("C1", day, "noah", score))
    world.close("2026-05-03")
    assert [entry.effective_on.month for entry in world.entries() if entry.id.startswith("charge:")] == [3, 4, 4, 4]
    assert brief(rows_of(world, APRIL)) == [("carried", None, 49), ("carried", None, -49)]


def test_what_later_terms_would_charge_is_no_row_where_it_was_waived_by_those_of_its_month() -> None:
    world = a_world(rating=RATING)
    world.plan = a_plan(base=FIXED, not_charged="base")
    world.registry.plan_histories["standard"] = PlanHistory("standard", (world.plan,))
    april = a_contract(starts_on="2026-04-01", rating=RATING | {"below": "charge"})
    world.registry.contract_histories["acme"] = ContractHistory("acme", (world.contract, april))
    world.close("2026-04-02")
    late = "2026-04-03"
    world.send(world.completed("C1", "2026-03-20", received=late), world.rated("C1", "2026-03-21", 1, received=late))
    world.close("2026-05-03")
    assert world.balance("expert/maya/payable") == "-0.10"
    assert rows_of(world, APRIL) == []


def test_a_credit_that_a_credit_note_gave_is_not_given_again_and_a_second_issue_says_so() -> None:
    world = a_world(per_unit("5.00"), tax_percent="10")
    world.send(world.completed("C1", "2026-03-31"), world.completed("C2", "2026-03-31"))
    issued = replace(world.close("2026-04-02"), status=InvoiceStatus.OPEN)
    world.store.stored_invoices["acme", MARCH] = issued
    world.send(world.reopened("C1", "2026-04-03"), world.completed("C3", "2026-04-05"))
    assert plan_credit_note(world.store, world.registry, ("acme", MARCH), at("2026-04-06"))
    assert sum(row.net for row in rows_of(world)) == 1100
    world.store.stored_invoices["acme", MARCH] = reissued(world.store.stored_invoices["acme", MARCH])
    history = world.registry.contract_histories["acme"]
    assert brief(list(evidence_rows(world.store, history, MARCH)))[2:] == [("credits", None, -500), ("tax", None, 50)]
    world.close("2026-05-03")
    assert brief(rows_of(world, APRIL)) == [
        ("credited", "C1", -500),
        ("settled", "C3", 500),
        ("credit_note", None, 500),
        ("tax", None, 50),
    ]


def test_what_happens_after_the_close_leaves_the_evidence_as_it_was() -> None:
    world = a_world(per_unit("5.00"))
    world.send(world.completed("C1", "2026-03-31"), world.completed("C2", "2026-03-31"))
    world.close("2026-04-02")
    before = brief(rows_of(world))
    world.send(world.reopened("C1", "2026-04-03"), world.completed("C1", "2026-04-04", "noah"))
    assert brief(rows_of(world)) == before


def test_the_close_adds_one_row_each_for_true_up_cap_commitment_minimum_tax_and_what_is_carried() -> None:
    world = a_world(per_unit("0.99"), commitment={"units": 3, "unit": "0.50"}, minimum="4.00", tax_percent="10")
    world.solve(2)
    world.close()
    assert brief(rows_of(world))[2:] == [("commitment", None, 50), ("shortfall", None, 152), ("tax", None, 40)]
    world = a_world({"model": "package", "size": 4, "amount": "2.00"}, cap={"amount": "1.60"}, tax_percent="10")
    world.solve(3)
    world.close()
    assert brief(rows_of(world))[3:] == [("true_up", None, 50), ("cap", None, -40), ("tax", None, 16)]
    world = a_world(per_unit("0.10"))
    world.solve(1)
    world.close()
    assert brief(rows_of(world))[1:] == [("carried", None, -10)]


def test_resolutions_that_cost_nothing_and_are_in_no_entry_are_counted_in_one_row() -> None:
    world = a_world(per_unit("1.00"), included=2)
    world.send(*(world.completed(f"C{i}", "2026-03-02", None) for i in range(5)))
    world.close()
    rows = rows_of(world)
    assert brief(rows) == [("settled", f"C{i}", 100) for i in range(2, 5)] + [("unposted", None, 0)]
    assert rows[-1].counted.quantity == 2


def test_an_open_period_has_no_evidence_yet() -> None:
    world = a_world()
    world.solve(1)
    with pytest.raises(PeriodNotClosed, match="not closed"):
        evidence_rows(world.store, world.registry.contract_histories["acme"], MARCH)


def test_entries_that_do_not_sum_to_the_invoice_are_an_error_and_not_a_rounding() -> None:
    world = a_world()
    world.solve(3)
    world.close()
    book = Book("client/acme")
    world.store.journal[book] = world.store.journal[book][1:]
    with pytest.raises(EvidenceDiffers, match="invoice:acme:2026-03"):
        list(evidence_rows(world.store, world.registry.contract_histories["acme"], MARCH))


# -- memory ------------------------------------------------------------------------------------------------------------


@dataclass
class EndlessStore(MemoryStore):
    """A store that makes up a book of that many resolutions while it is read, and keeps none of it."""

    number: int = 0

    def entries(self, book: Book, after: int = 0) -> Iterator[RecordedEntry]:
        lines = postings([(client_unbilled("acme"), 99), (REVENUE_RESOLUTIONS, -99)], "USD")
        for seq in range(after + 1, self.number + 1):
            told = {"case": f"C{seq}", "cycle": 1, "why": "charged", "rate": "all", "ordinal": seq, "list_price": "99"}
            id_ = EntryId(f"charge:acme/C{seq}/1:1")
            entry = Entry(id_, book, Reason.SETTLED, lines, date(2026, 3, 2), evidence(told))
            yield RecordedEntry(entry, seq, at("2026-03-02"), "")

    def cases(self, keys: Collection[CaseKey]) -> Mapping[CaseKey, Case]:
        state = CycleState(1, CycleStatus.CHARGED, entries=1, charge=Charge(99))
        return {key: Case(*key, cycles=(state,)) for key in keys}


def test_memory_does_not_grow_with_the_number_of_entries() -> None:
    def peak(number: int) -> int:
        contract = a_contract()
        counter = RateCounter(issued=number, net=number, accrued=99 * number)
        closing = close_period(contract, PeriodState("acme", MARCH, rates=(("all", counter),)), 0)
        store = EndlessStore(number=number)
        store.stored_periods["acme", MARCH] = closing.period
        store.stored_invoices["acme", MARCH] = closing.invoice
        tracemalloc.start()
        count = sum(1 for _ in evidence_rows(store, ContractHistory("acme", (contract,)), MARCH))
        assert count == number
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(200)
    assert peak(8000) < 1.5 * peak(800)
