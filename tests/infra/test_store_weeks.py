"""What every store promises of experts' weeks, of awards, and of who reviewed whom."""

from dataclasses import replace

import pytest

from ledger.books import check_book
from ledger.entries import expert_book
from payouts.awards import Award
from payouts.incentives import Week, WeekCount
from settlement.incentives import award_incentives
from settlement.ports import Available, AwardRun, Changes, Contention, HoldChange, ReviewGiven
from settlement.settle import settle, work_from
from tests.infra.any_store import MONDAY, USD, AnyStore
from tests.world import World, a_plan, at

W10, W11 = Week("2026-W10"), Week("2026-W11")


def test_weeks_add_up_and_are_found_by_expert_and_by_week(store: AnyStore) -> None:
    names = [f"e{number}" for number in range(20)]
    for name in names:
        store.commit(Changes(weeks=(WeekCount(name, "standard", W10, 2, 1, 9000),)))
    change = WeekCount("e1", "standard", W10, -1, 0, -500)
    store.commit(Changes(weeks=(change, WeekCount("e1", "standard", W11, 1), WeekCount("e1", "other", W10, 1))))
    mine = {WeekCount("e1", "standard", W10, 1, 1, 8500), WeekCount("e1", "other", W10, 1)}
    assert set(store.weeks_of("e1")) == mine | {WeekCount("e1", "standard", W11, 1)}
    assert store.weeks_of("e99") == []
    others = {WeekCount(name, "standard", W10, 2, 1, 9000) for name in names if name != "e1"}
    assert set(store.counts_in(W10)) == mine | others
    assert [it.expert for it in store.counts_in(W11)] == ["e1"]


def test_a_week_is_added_once_where_a_hold_of_the_same_transaction_was_released(store: AnyStore) -> None:
    hold, week = HoldChange("maya", USD, MONDAY, 74), WeekCount("maya", "standard", W10, 1, 1, 9000)
    store.commit(Changes(holds=(hold,)))
    store.commit(Changes(released=(hold,), availables=(Available("maya", USD, 74, 1),)))
    store.commit(Changes(holds=(hold, replace(hold, expert="noah")), weeks=(week, replace(week, expert="noah"))))
    assert store.payable() == {("maya", USD): 148, ("noah", USD): 74}
    assert store.weeks_of("maya") == [week]


def test_an_award_is_written_only_over_the_revision_before(store: AnyStore) -> None:
    award = Award("maya", "standard", "fifty", W10, USD, 2500, MONDAY, revision=1)
    other = replace(award, scope=W11)
    store.commit(Changes(awards=(award,)))
    for stale in (award, replace(award, revision=3)):
        with pytest.raises(Contention):
            store.commit(Changes(awards=(stale, other)))
    corrected = replace(award, amount=0, revision=2)
    store.commit(Changes(awards=(corrected,)))
    assert store.awards([award.key, other.key]) == {award.key: corrected}


def test_an_awarding_goes_on_where_it_was_and_only_one_worker_moves_it_on(store: AnyStore) -> None:
    assert store.award_run(MONDAY) == AwardRun(MONDAY)
    run = AwardRun(MONDAY, after="maya", revision=1)
    store.commit(Changes(award_runs=(run,)))
    with pytest.raises(Contention):
        store.commit(Changes(award_runs=(replace(run, after="noah"),)))
    assert store.award_run(MONDAY) == run
    store.commit(Changes(award_runs=(replace(run, is_finished=True, revision=2),)))
    assert store.award_run(MONDAY).is_finished


def test_the_last_review_of_another_is_found_within_a_span_that_includes_its_ends(store: AnyStore) -> None:
    first, second = at("2026-03-02T10:00:00"), at("2026-03-03T10:00:00.000001")
    for number, instant in enumerate((first, second)):
        store.commit(Changes(reviews=(ReviewGiven("maya", "noah", instant, f"acme/C1/helpdesk#{number}"),)))
    store.commit(Changes(reviews=(ReviewGiven("maya", "noah-2", at("2026-03-04"), "acme/C1/helpdesk#9"),)))
    assert store.last_review("maya", "noah", (first, second)) == second
    assert store.last_review("maya", "noah", (first, at("2026-03-03T10:00:00"))) == first
    assert store.last_review("maya", "noah", (at("2026-03-02T10:00:01"), at("2026-03-03T10:00:00"))) is None
    assert store.last_review("noah", "maya", (first, second)) is None


def test_incentives_of_settled_facts_are_awarded_once_and_corrected(store: AnyStore) -> None:
    pair = {"kind": "quest", "id": "pair", "resolutions": 2, "amount": "4.00"}
    top = {"kind": "top", "id": "best", "places": 1, "budget": "10.00"}
    world = World(plan=a_plan(base={"kind": "fixed", "amount": "0"}, incentives=[pair, top]))
    cases = [world.completed(f"C{number}", "2026-03-02") for number in range(2)]
    settle(store, world.registry, work_from([*cases, world.completed("C9", "2026-03-02", expert="noah")]))
    for day, entries in (("2026-03-10", 2), ("2026-03-10", 0), ("2026-03-11", 0)):
        awarded, is_done = award_incentives(store, world.registry, at(day), lambda: True)
        assert (awarded.entries, is_done) == (entries, True)
    assert store.payable() == {("maya", USD): 1400}
    settle(store, world.registry, work_from([world.reopened(f"C{number}", "2026-03-09") for number in range(2)]))
    assert award_incentives(store, world.registry, at("2026-03-12"), lambda: True)[0].entries == 3
    assert store.payable() == {("maya", USD): 0, ("noah", USD): 1000}
    book = expert_book("maya")
    assert list(check_book(book, store.entries(book), store.head(book))) == []
