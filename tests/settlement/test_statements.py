"""Statements and tax reports as experts and finance read them, from what the engine posts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.accounts import COST_INCENTIVE, expert_payable
from ledger.books import append
from ledger.entries import Entry, EntryId, RecordedEntry, evidence, expert_book, postings
from ledger.money import Currency
from ledger.posting_rules import Reason
from payouts.payouts import Payout, PayoutStatus
from payouts.statements import LineKind, Section, StatementDiffers, span_of
from payouts.tax_reporting import Paid
from settlement.ports import Changes, HoldChange
from settlement.send_payouts import send_payout, take_back
from settlement.statements import OwedNow, Statement, UnknownExpert, make_statement, report_year
from tests.fake_stripe import FakeStripe
from tests.world import RATING, World, a_contract, a_plan, an_expert, at

USD = Currency("USD")
CSAT = [{"at_least_percent": "100", "amount": "0.15"}]
FIXED = {"kind": "fixed", "amount": "0.60"}


def a_world(plan: Mapping[str, object] | None = None, **fields: object) -> World:
    """Maya can be paid, weekly and from 1.00 on; her earnings are held for seven days."""
    world = World(contract=a_contract(rating=RATING), plan=a_plan(**({"minimum_payout": "1.00"} | dict(plan or {}))))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya", **fields)
    return world


def of_maya(world: World, span: str = "2026-03", as_of: str = "2026-03-31") -> Statement:
    return make_statement(world.store, world.registry, "maya", span_of(span), at(as_of))


def in_usd(found: Statement) -> Section:
    [section] = found.sections
    return section


def rated_fives(world: World, number: int, day: str = "2026-03-02") -> None:
    """So many cases of maya's, all rated 5 of 5 an hour later."""
    cases = range(number)
    world.send(*(world.completed(f"{day}-{case}", day) for case in cases))
    world.send(*(world.rated(f"{day}-{case}", f"{day}T01:00:00", 5) for case in cases))


def pay(world: World, day: str, *, send: bool = True) -> str:
    """Plan the run of a day and send maya's payout; its id."""
    world.plan_payouts(day)
    id_ = next(reversed([it for it in world.store.stored_payouts if ":maya:" in it]))
    if send:
        assert send_payout(world.store, world.registry, FakeStripe(), id_, at(day)).status is PayoutStatus.SENT
    return id_


def award(world: World, minor_units: int, on: str, **told: object) -> None:
    """An incentive, as an entry of the expert's own book and a hold."""
    payable, book = expert_payable("maya"), expert_book("maya")
    told = {"plan": "standard@2026-01-01", "incentive": "quest", "why": "50 resolutions", "release_on": on} | told
    moves = ((COST_INCENTIVE, minor_units), (payable, -minor_units))
    reason = Reason.INCENTIVE if minor_units > 0 else Reason.INCENTIVE_CORRECTED
    head, day = world.store.head(book), at(on).date()
    entry = Entry(
        EntryId(f"incentive:maya/quest:{head.seq}"), book, reason, postings(moves, "USD"), day, evidence(told)
    )
    sealed, after = append(head, [entry], at(on))
    hold = HoldChange("maya", USD, day, minor_units)
    world.store.commit(Changes(entries=sealed, heads=((head, after),), holds=(hold,)))


def test_a_line_says_what_earned_it_why_and_from_when_it_can_be_paid() -> None:
    world = a_world({"csat_bonus": CSAT})
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.rated("C1", "2026-03-03", 4))
    [line] = in_usd(of_maya(world)).lines
    assert (line.kind, line.minor_units, line.client, line.case, line.cycle) == ("earning", 59, "acme", "C1", 1)
    assert (line.rule, line.rating, str(line.release_on)) == ("standard@2026-01-01", 7_500, "2026-03-10")
    assert (line.rate, str(line.list_price), line.charged) == ("all", "99", None)
    assert [(it.component, it.minor_units, it.why) for it in line.trace] == [
        ("base", 59, "60% of the list price"),
        ("csat_bonus", 0, "rated 75.00%, below 100%"),
    ]


def test_a_share_of_what_is_charged_shows_the_charge_and_not_the_list_price() -> None:
    world = a_world({"base": {"kind": "share", "percent": "60", "of": "charged"}})
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.rated("C1", "2026-03-03", 4))
    [line] = in_usd(of_maya(world)).lines
    assert (line.minor_units, line.charged, line.list_price) == (59, 99, None)


def test_without_a_share_nothing_of_the_price_is_shown() -> None:
    world = a_world({"base": FIXED})
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-03", 4))
    [line] = in_usd(of_maya(world)).lines
    assert (line.minor_units, line.rate, line.list_price, line.charged) == (60, None, None, None)
    assert "99" not in repr(line)


def test_a_late_bonus_is_a_correction_of_the_difference_and_a_reopening_takes_all_of_it_back() -> None:
    world = a_world({"csat_bonus": CSAT, "base": FIXED})
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01:00:00", 4))
    world.send(world.rated("C1", "2026-03-02T02:00:00", 5, received="2026-03-04"))
    world.send(world.reopened("C1", "2026-03-05"))
    section = in_usd(of_maya(world))
    assert [(it.kind, it.minor_units, it.why) for it in section.lines] == [
        ("earning", 60, "charged"),
        ("correction", 15, "charged"),
        ("reversal", -75, "reopened"),
    ]
    assert {str(it.release_on) for it in section.lines} == {"2026-03-09"}
    assert (section.opening, section.closing) == (0, 0)


def test_a_reversal_after_the_payout_leaves_a_debt_that_the_statement_shows() -> None:
    world = a_world({"base": FIXED})
    rated_fives(world, 10)
    payout = pay(world, "2026-03-09")
    world.send(world.reopened("2026-03-02-1", "2026-03-09"))
    found = of_maya(world)
    section = in_usd(found)
    assert section.totals() == {LineKind.EARNING: 600, LineKind.REVERSAL: -60, LineKind.PAYOUT: -600}
    assert (section.opening, section.closing, section.in_transit) == (0, -60, 0)
    assert [(it.id, it.gross, it.status, it.stripe_transfer) for it in found.payouts] == [(payout, 600, "sent", "tr_1")]
    assert found.owed_now == (OwedNow(USD, -60, (), ()),)
    assert in_usd(of_maya(world, "2026-04", "2026-04-30")).opening == -60


def test_tax_is_withheld_from_a_payout_and_itemised() -> None:
    world = a_world({"base": {"kind": "fixed", "amount": "10.00"}}, withholding_percent="24")
    rated_fives(world, 10)
    payout = pay(world, "2026-03-09")
    found = of_maya(world)
    section = in_usd(found)
    assert section.totals() == {LineKind.EARNING: 10_000, LineKind.PAYOUT: -10_000}
    assert [(it.kind, it.minor_units, it.payout) for it in section.deductions] == [("withholding", 2_400, payout)]
    [paid] = found.paid
    assert paid.quarters[0] == paid.year == Paid(net=7_600, withheld=2_400, payments=1, activities=10)
    assert found.verdict.is_reportable is True


def test_an_incentive_and_its_correction_are_lines_with_their_rule() -> None:
    world = a_world()
    award(world, 2_500, "2026-03-09")
    award(world, -2_500, "2026-03-16", why="49 resolutions")
    lines = in_usd(of_maya(world)).lines
    assert [(it.kind, it.minor_units, it.incentive, it.why) for it in lines] == [
        ("incentive", 2_500, "quest", "50 resolutions"),
        ("incentive_correction", -2_500, "quest", "49 resolutions"),
    ]
    assert (lines[0].client, lines[0].case) == (None, None)


def test_a_transfer_that_was_taken_back_is_owed_again_and_no_longer_counts_as_paid() -> None:
    world = a_world({"base": FIXED})
    rated_fives(world, 10)
    payout = world.store.payout(pay(world, "2026-03-09"))
    assert payout is not None
    take_back(world.store, payout, 150, at("2026-04-02"))
    april = of_maya(world, "2026-04", "2026-04-30")
    assert [(it.kind, it.minor_units, it.payout) for it in in_usd(april).lines] == [
        ("transfer_reversed", 150, payout.id)
    ]
    assert [it.reversed for it in april.payouts] == [150]
    [paid] = april.paid
    assert [it.net for it in paid.quarters] == [600, -150, 0, 0]
    [before] = of_maya(world).paid
    assert before.year.net == 600


def test_a_payout_on_its_way_is_shown_until_it_has_arrived() -> None:
    world = a_world({"base": FIXED})
    rated_fives(world, 10)
    payout = pay(world, "2026-03-09", send=False)
    for span in ("2026-W11", "2026-W12", "2026-W20"):
        found = of_maya(world, span)
        assert ([it.id for it in found.payouts], in_usd(found).in_transit) == ([payout], 600)
    assert of_maya(world, "2026-W10").payouts == ()
    send_payout(world.store, world.registry, FakeStripe(), payout, at("2026-03-25"))
    assert [len(of_maya(world, span).payouts) for span in ("2026-W12", "2026-W13", "2026-W14")] == [1, 1, 0]


def test_what_is_held_until_when_what_can_be_paid_and_what_is_missing() -> None:
    world = a_world({"base": FIXED}, gates={"contract_signed": "2026-01-01"})
    rated_fives(world, 1, "2026-03-02")
    rated_fives(world, 2, "2026-03-08")
    rated_fives(world, 3, "2026-03-09")
    [owed] = of_maya(world, as_of="2026-03-09").owed_now
    assert (owed.available, [(str(it.release_on), it.minor_units) for it in owed.held]) == (
        60,
        [("2026-03-15", 120), ("2026-03-16", 180)],
    )
    assert owed.missing == ("background_check", "training", "tax_form", "below_minimum")
    [owed] = of_maya(world, as_of="2026-03-08").owed_now
    assert (owed.available, owed.missing) == (0, ("background_check", "training", "tax_form"))


def test_nothing_is_missing_where_the_next_payout_would_be_made() -> None:
    world = a_world({"base": FIXED})
    rated_fives(world, 2)
    [owed] = of_maya(world, as_of="2026-03-09").owed_now
    assert (owed.available, owed.missing) == (120, ())


def test_an_expert_without_any_entry_has_an_empty_statement() -> None:
    found = of_maya(a_world())
    assert (found.sections, found.payouts, found.owed_now, found.paid) == ((), (), (), ())


def test_an_unknown_expert_is_refused() -> None:
    world = a_world()
    with pytest.raises(UnknownExpert, match="there is no expert zoe; apply one"):
        make_statement(world.store, world.registry, "zoe", span_of("2026-03"), at("2026-03-31"))


# -- proof -------------------------------------------------------------------------------------------------------------


def test_a_hold_that_no_entry_stands_for_is_found() -> None:
    world = a_world({"base": FIXED})
    rated_fives(world, 2)
    world.store.commit(Changes(holds=(HoldChange("maya", USD, at("2026-03-09").date(), 1),)))
    with pytest.raises(StatementDiffers, match=r"come to 1\.20 USD, but 1\.21 USD are owed"):
        of_maya(world)


def test_an_entry_that_the_index_does_not_show_yet_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world({"base": FIXED})
    rated_fives(world, 2)
    late, paused = LateIndex(world.store.expert_entries, missing=2), list[int]()
    monkeypatch.setattr(world.store, "expert_entries", late)
    monkeypatch.setattr(world.store, "pause", paused.append)
    assert in_usd(of_maya(world)).closing == 120
    assert paused == [1, 2]


@dataclass
class LateIndex:
    """So many reads miss the newest entry."""

    read: Callable[[str], Iterator[RecordedEntry]]
    missing: int

    def __call__(self, expert: str) -> Iterator[RecordedEntry]:
        found = list(self.read(expert))
        self.missing -= 1
        return iter(found[:-1] if self.missing >= 0 else found)


STEPS = st.lists(
    st.tuples(st.sampled_from(["solve", "rate", "reopen", "pay", "award"]), st.integers(1, 6), st.integers(0, 2)),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_every_week_begins_with_what_the_week_before_ended_with(
    steps: list[tuple[str, int, int]],
) -> None:
    world = a_world({"csat_bonus": CSAT, "hold_days": 3})
    day = at("2026-03-02")
    for kind, case, days in steps:
        day = day.replace(day=min(day.day + days, 31))
        time, name = f"{day:%Y-%m-%d}", f"C{case}"
        match kind:
            case "solve":
                world.send(world.completed(name, time, "maya" if case % 2 else "noah"))
            case "rate":
                world.send(world.rated(name, time, case % 5 + 1))
            case "reopen":
                world.send(world.reopened(name, time))
            case "pay":
                for outcome in world.plan_payouts(time):
                    if isinstance(outcome, Payout) and case % 2:
                        send_payout(world.store, world.registry, FakeStripe(), outcome.id, day)
            case _:
                award(world, case * 100 - 250, time)
    world.sweep("2026-04-04")
    last = 0
    for week in range(10, 16):
        found = of_maya(world, f"2026-W{week}")
        section = next(iter(found.sections), None)
        assert (section.opening if section else 0) == last
        last = section.closing if section else 0
    assert last == world.store.payable().get(("maya", USD), 0)
    whole = of_maya(world, "2026-03")
    lines = [line for it in whole.sections for line in it.lines]
    assert all(line.minor_units for line in lines)
    assert all(line.case and line.release_on for line in lines if line.kind in {"earning", "correction", "reversal"})


# -- tax reports -------------------------------------------------------------------------------------------------------


def test_a_tax_report_has_who_was_paid_and_counts_resolutions_where_the_law_asks_for_them() -> None:
    world = a_world({"base": {"kind": "fixed", "amount": "100.00"}})
    world.registry.all_experts["noah"] = an_expert("noah", country="DE", stripe_account="acct_noah")
    world.registry.all_experts["zoe"] = an_expert("zoe")
    rated_fives(world, 20)
    world.send(world.completed("N1", "2026-03-02", "noah"), world.rated("N1", "2026-03-02T01:00:00", 5))
    for outcome in world.plan_payouts("2026-03-09"):
        assert isinstance(outcome, Payout)
        send_payout(world.store, world.registry, FakeStripe(), outcome.id, at("2026-03-09"))
    maya, noah = report_year(world.store, world.registry, 2026)
    assert (maya.expert, maya.paid[0].year.gross, maya.verdict.is_reportable) == ("maya", 200_000, True)
    assert (noah.expert, noah.paid[0].year.gross, noah.verdict.is_reportable) == ("noah", 10_000, True)
    assert noah.paid[0].quarters[0].activities == 1
    assert list(report_year(world.store, world.registry, 2025)) == []
