"""The close of a month as a checklist: what blocks each step, who did it, and that it goes on where it stopped."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

import pytest

from billing.contracts import ContractHistory
from billing.invoices import InvoiceStatus
from billing.periods import Period, PeriodStatus
from events.facts import CaseId
from ledger.entries import client_book
from payouts.plans import Schedule
from payouts.policy import PayoutsStopped
from settlement.approve_payouts import approve_run, waiting_runs
from settlement.cases import Case
from settlement.invoicing import follow_unfinished
from settlement.month_close import (
    ACCEPTABLE,
    LINES_KEPT,
    WHAT_IT_IS,
    Blocker,
    CloseRefused,
    MonthClose,
    Outcome,
    Person,
    Ran,
    Step,
    approve_invoices,
    is_approved,
    run_close,
    transcript,
)
from settlement.month_counts import count_month
from settlement.month_steps import Closing
from settlement.plan_payouts import plan_run
from settlement.ports import Contention
from settlement.stripe_port import MovementKind, StripeUnclear
from tests.exploring import explored
from tests.fake_stripe import FakeStripe, a_movement
from tests.faults import crashes, disappearances
from tests.interleaving import Outside, Worker
from tests.paying import a_paying_world, with_policy
from tests.world import RATING, World, a_contract, an_expert, at, per_unit

MARCH = Period("2026-03")
NOW = at("2026-04-07T09:00:00")  # a Tuesday


def a_month(**contract: object) -> World:
    """Ten charged resolutions of acme in March, and one that waits for its rating until April 2, and is April's."""
    experts = ("maya", "noah")
    terms = {"starts_on": "2026-03-01", "rating": RATING} | contract
    world = World(contract=a_contract(per_unit("10.00"), **terms), experts=experts)
    world.registry.all_experts = {name: an_expert(name, stripe_account=f"acct_{name}") for name in experts}
    for number in range(10):
        world.send(world.completed(f"C{number}", f"2026-03-{number + 10}"), world.rated(f"C{number}", "2026-03-29", 5))
    world.send(world.completed("C10", "2026-03-30"))
    world.sweep("2026-03-31T12:00:00")
    return world


@dataclass
class Office:
    """Finance at its desk: ann runs the checklist, and bob is the second person."""

    world: World = field(default_factory=a_month)
    stripe: FakeStripe = field(default_factory=FakeStripe)
    month: Period = MARCH
    written: list[str] = field(default_factory=list)

    def closing(self, as_of: datetime = NOW) -> Closing:
        def export() -> Outcome:
            self.written.append("export")
            return Outcome(("run 1",))

        def pack(close: MonthClose) -> Outcome:
            self.written.append(f"pack of {len(close.done)} steps")
            return Outcome(("audit.zip",))

        return Closing(self.world.store, self.world.registry, self.stripe, self.month, as_of, export, pack)

    def run(
        self,
        by: str = "ann",
        as_of: datetime = NOW,
        until: Step = Step.PACK,
        accepts: Mapping[Step, str] | None = None,
    ) -> list[Ran]:
        steps, person = self.closing(as_of).steps(), Person(by, as_of, accepts or {})
        return list(run_close(self.world.store, self.month, steps, person, until))

    def blocked(self, step: Step, **how: object) -> str:
        """Run up to a step that is blocked; what blocks it and what to do."""
        ran = self.run(**how)[-1]  # type: ignore[arg-type]  # checked by run
        assert (ran.step, ran.done) == (step, None)
        return "\n".join(f"{it.what} -> {it.next_step}" for it in ran.blockers)

    def approve(self, by: str = "bob") -> None:
        approve_invoices(self.world.store, self.month, self.close.drafts, by, NOW)

    @property
    def close(self) -> MonthClose:
        return self.world.store.month_close(self.month)

    def finish(self) -> None:
        """All steps, with the second person's."""
        self.run()
        self.approve()
        self.run()
        assert self.close.next_step is None


def test_a_month_closes_from_counting_to_the_pack_and_each_step_says_who_and_when() -> None:
    office = Office()
    office.run()
    assert office.close.next_step is Step.APPROVAL
    office.approve()
    office.run(by="carl", as_of=at("2026-04-08"))
    close = office.close
    assert [done.step for done in close.done] == list(Step)
    assert {done.by for done in close.done[:5]} == {"ann"}
    assert {(done.by, done.at) for done in close.done[5:]} == {("carl", at("2026-04-08"))}
    assert office.written == ["export", "pack of 13 steps"]
    assert close.of(Step.COUNTS) is not None
    assert close.of(Step.COUNTS).said == ("acme: 10 resolutions, 100.00 USD charged, 0.00 USD credited",)  # type: ignore[union-attr]  # it is there
    invoice = office.world.store.stored_invoices["acme", MARCH]
    assert (invoice.status, invoice.total) == (InvoiceStatus.OPEN, 10000)
    assert office.world.store.locked_through() == "2026-03"
    assert dict(close.ends) == {"acme": 10}, "the entry behind is of April"
    office.world.check()


def test_a_close_that_is_done_does_nothing_when_it_is_run_again() -> None:
    office = Office()
    office.finish()
    close, entries = office.close, office.world.entries()
    assert office.run(as_of=at("2026-05-01")) == []
    assert (office.close, office.world.entries()) == (close, entries)


def test_until_runs_no_step_behind_it() -> None:
    office = Office()
    assert [ran.step for ran in office.run(until=Step.COUNTS)] == [Step.PARKED, Step.WINDOWS, Step.COUNTS]
    assert office.close.next_step is Step.PERIODS
    assert office.world.store.stored_invoices == {}


# -- what blocks each step ---------------------------------------------------------------------------------------------


def test_what_is_parked_blocks_and_is_accepted_only_with_a_reason_that_is_kept() -> None:
    office = Office()
    office.world.send(office.world.completed("C11", "2026-03-31", expert="zoe"))
    said = office.blocked(Step.PARKED)
    assert "unknown_expert" in said
    assert "`solvent parked release`" in said
    with pytest.raises(CloseRefused, match="--because"):
        office.run(accepts={Step.PARKED: " "})
    [ran] = office.run(until=Step.PARKED, accepts={Step.PARKED: "zoe never worked for us"})
    assert ran.done is not None
    assert ran.done.because == "zoe never worked for us"
    assert [what for what in ran.done.accepted if "unknown_expert" in what] == list(ran.done.accepted)
    assert len(ran.done.accepted) == 1


def test_a_reason_given_for_nothing_is_not_kept() -> None:
    [ran] = Office().run(until=Step.PARKED, accepts={Step.PARKED: "in case"})
    assert ran.done is not None
    assert (ran.done.because, ran.done.accepted) == ("", ())


@pytest.mark.parametrize("step", sorted(set(Step) - ACCEPTABLE))
def test_what_moves_money_is_mended_and_never_accepted(step: Step) -> None:
    with pytest.raises(CloseRefused, match="mend it"):
        Office().run(accepts={step: "never mind"})


def test_windows_that_ended_are_settled_before_anything_is_counted() -> None:
    office = Office()
    assert office.world.cycle("C10").status == "pending"  # type: ignore[attr-defined]  # a cycle's state
    office.run(until=Step.WINDOWS)
    assert office.world.cycle("C10").status == "charged"  # type: ignore[attr-defined]  # see above


def test_counters_that_are_not_what_cases_and_ledger_say_block() -> None:
    office = Office()
    office.run(until=Step.WINDOWS)
    key = ("acme", MARCH)
    state = office.world.store.stored_periods[key]
    counter = state.counter("all")
    for wrong in (replace(counter, net=counter.net - 1), replace(counter, accrued=counter.accrued + 1)):
        office.world.store.stored_periods[key] = state.with_counter("all", wrong)
        said = office.blocked(Step.COUNTS)
        assert said.startswith("acme: cases say 10 resolutions, 10 with a charge, 100.00 USD charged; counters say")
    office.world.store.stored_periods[key] = state
    assert office.run(until=Step.COUNTS)[0].done is not None


def test_what_settles_between_two_counts_is_no_difference() -> None:
    office, late = Office(), list[object]()
    office.run(until=Step.WINDOWS)
    all_cases = office.world.store.all_cases

    def while_a_fact_comes_in() -> Iterator[Case]:
        yield from all_cases()
        if not late:
            late.append(office.world.send(office.world.reopened("C1", "2026-03-12", received="2026-04-06")))

    office.world.store.all_cases = while_a_fact_comes_in  # type: ignore[method-assign]  # somebody else writes
    office.run(until=Step.COUNTS)
    assert late
    assert office.close.of(Step.COUNTS).said == ("acme: 9 resolutions, 90.00 USD charged, 0.00 USD credited",)  # type: ignore[union-attr]  # it is there


def test_a_case_that_was_lost_and_an_entry_that_was_lost_block() -> None:
    office = Office()
    office.run(until=Step.WINDOWS)
    case = office.world.store.stored_cases.pop(("acme", CaseId("C3")))
    assert "cases say 9 resolutions" in office.blocked(Step.COUNTS)
    office.world.store.stored_cases["acme", CaseId("C3")] = case
    del office.world.store.journal[client_book("acme")][4]
    assert "ledger say 9 with a charge, 90.00 USD charged" in office.blocked(Step.COUNTS)


def test_counts_agree_with_reversals_discounts_waived_free_and_credited_resolutions() -> None:
    rating = RATING | {"below": "discount", "discount_percent": "50"}
    world = a_month(rating=rating, included=2)
    world.send(world.rated("C1", "2026-03-15T01:00", 1), world.reopened("C2", "2026-03-14"))
    world.close("2026-04-05")
    world.send(world.reopened("C3", "2026-03-15", received="2026-04-06"))
    world.send(world.completed("C20", "2026-04-06"), world.rated("C20", "2026-04-06T01:00", 5))
    histories = world.registry.contract_histories
    [march], [april] = (list(count_month(world.store, histories, it, {})) for it in (MARCH, Period("2026-04")))
    assert march.agree, march.differing
    assert april.agree, april.differing
    assert april.ledger.credited


def test_counting_reads_on_where_the_month_before_was_locked() -> None:
    office = Office()
    office.finish()
    office.world.send(office.world.completed("D1", "2026-04-08"), office.world.rated("D1", "2026-04-09", 5))
    office.month, read = Period("2026-04"), list[int]()
    entries = office.world.store.entries

    def counted_entries(book: object, after: int = 0) -> object:
        read.append(after)
        return entries(book, after)  # type: ignore[arg-type]  # as it is called

    office.world.store.entries = counted_entries  # type: ignore[method-assign,assignment]  # to see what is asked
    assert office.run(as_of=at("2026-05-06"), until=Step.COUNTS)[-1].done is not None
    assert read == [10]
    assert "acme: 2 resolutions, 20.00 USD charged, 0.00 USD credited" in office.close.of(Step.COUNTS).said  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize("as_of", ["2026-03-31T13:00:00", "2026-04-02T23:59:59"])
def test_a_month_that_is_not_over_says_when_it_closes_and_no_step_counts_as_done(as_of: str) -> None:
    office = Office(a_month(close_delay_hours=48))
    with pytest.raises(CloseRefused, match=r"2026-03 can be closed from 2026-04-03T00:00:00Z on"):
        office.run(as_of=at(as_of), accepts={Step.PARKED: "never mind"})
    assert office.close.done == ()
    assert office.world.store.stored_periods["acme", MARCH].status is PeriodStatus.OPEN
    office.run(as_of=at("2026-04-03"))
    assert office.close.next_step is Step.APPROVAL


def test_a_period_that_is_open_blocks_until_it_is_closed() -> None:
    office = Office()
    office.run(until=Step.COUNTS)
    said = office.blocked(Step.PERIODS, as_of=at("2026-03-31T13:00:00"))
    assert "acme: 2026-03 is open -> it closes at 2026-04-0" in said


@pytest.mark.parametrize("as_of", ["2026-03-31T23:59:59", "2025-12-01"])
def test_a_month_that_is_not_over_is_not_locked_even_if_no_client_has_a_contract_in_it(as_of: str) -> None:
    office = Office(World(contract=a_contract(starts_on="2027-01-01")))
    with pytest.raises(CloseRefused, match=r"2026-03 can be closed from 2026-04-01T00:00:00Z on"):
        office.run(as_of=at(as_of))
    assert office.world.store.locked_through() == ""
    office.run(as_of=at("2026-04-01"))
    assert office.world.store.locked_through() == "2026-03"


def test_an_invoice_whose_rows_do_not_sum_to_it_blocks() -> None:
    office = Office()
    office.run(until=Step.PERIODS)
    invoice = office.world.store.stored_invoices["acme", MARCH]
    office.world.store.stored_invoices["acme", MARCH] = replace(invoice, total=invoice.total + 1)
    assert "its rows sum to 10000" in office.blocked(Step.DRAFTS)


def test_invoices_wait_for_a_second_person_who_approves_exactly_them() -> None:
    office = Office()
    with pytest.raises(CloseRefused, match="no invoice of 2026-03 was drafted yet"):
        approve_invoices(office.world.store, MARCH, "abc", "bob", NOW)
    said = office.blocked(Step.APPROVAL)
    assert f"`solvent close 2026-03 --approve {office.close.drafts}`" in said
    with pytest.raises(CloseRefused, match="somebody else approves"):
        office.approve(by=" Ann ")
    with pytest.raises(CloseRefused, match="not what abc stands for"):
        approve_invoices(office.world.store, MARCH, "abc", "bob", NOW)
    assert office.blocked(Step.APPROVAL) == said
    assert office.world.store.stored_invoices["acme", MARCH].status is InvoiceStatus.PLANNED
    office.approve()
    before = office.close
    office.approve(by="dora")
    assert office.close == before
    office.run(until=Step.SENDING)
    assert office.stripe.issued.keys() == {"in_acme_2026-03"}


def test_invoices_that_changed_since_they_were_drafted_are_not_sent() -> None:
    office = Office()
    office.run()
    office.approve()
    invoice = office.world.store.stored_invoices["acme", MARCH]
    office.world.store.stored_invoices["acme", MARCH] = replace(invoice, net_days=invoice.net_days + 1)
    assert "are not those that were drafted" in office.blocked(Step.APPROVAL)
    assert office.stripe.issued == {}


def test_what_the_schedule_sent_before_needs_no_second_person() -> None:
    office = Office()
    office.world.close("2026-04-06")
    follow_unfinished(office.world.store, office.world.registry, office.stripe, at("2026-04-06"))
    office.run()
    assert office.close.next_step is None
    assert office.close.of(Step.APPROVAL).said == (  # type: ignore[union-attr]  # it is there
        "1 invoices, and the schedule sent them: none waits for a second person",
    )


def test_where_invoices_wait_for_the_close_no_schedule_sends_what_nobody_approved() -> None:
    office = Office()
    world = office.world

    def schedule() -> list[InvoiceStatus]:
        may_issue = partial(is_approved, world.store)
        done, failed = follow_unfinished(world.store, world.registry, office.stripe, NOW, may_issue)
        assert failed == {}
        return [invoice.status for invoice in done]

    office.run(until=Step.DRAFTS)
    assert schedule() == []
    office.approve()
    assert schedule() == [InvoiceStatus.OPEN]
    assert schedule() == [InvoiceStatus.OPEN], "what is at Stripe is followed"


def test_what_is_at_stripe_is_followed_though_nobody_approved_it() -> None:
    office = Office()
    world = office.world
    world.close("2026-04-06")
    follow_unfinished(world.store, world.registry, office.stripe, NOW)
    office.stripe.pay("in_acme_2026-03", 10000)
    [invoice], failed = follow_unfinished(world.store, world.registry, office.stripe, NOW, lambda _: False)
    assert (invoice.status, failed) == (InvoiceStatus.PAID, {})


def test_the_close_of_a_month_sends_no_invoice_of_another() -> None:
    office = Office()
    office.world.send(office.world.completed("D1", "2026-04-08"), office.world.rated("D1", "2026-04-09", 5))
    office.world.close("2026-05-03")
    office.run(as_of=at("2026-05-03"))
    office.approve()
    office.run(as_of=at("2026-05-03"))
    assert office.close.next_step is None
    assert list(office.stripe.issued) == ["in_acme_2026-03"]


def a_large_run() -> Office:
    """Two experts with 100.00 each to be paid on Monday, above what needs a second person."""
    world = with_policy(a_paying_world("maya", "noah"), approve_above="60.00")
    for _ in plan_run(world.store, world.registry, Schedule.WEEKLY, at("2026-03-16"), lambda: True):
        pass
    return Office(world)


def test_a_run_that_waits_blocks_with_the_command_of_the_second_person() -> None:
    office = a_large_run()
    office.run()
    office.approve()
    [run] = waiting_runs(office.world.store)
    said = office.blocked(Step.PAYOUT_APPROVAL)
    assert f"`solvent payouts approve {run.run} --hash {run.hash}`" in said
    approve_run(office.world.store, run.run, run.hash, "bob")
    office.run()
    assert office.close.next_step is None
    assert len(office.stripe.transfers) == 2


def test_a_payout_that_is_unclear_blocks_until_it_is_known_and_is_paid_once() -> None:
    office = a_large_run()
    office.run()
    office.approve()
    [run] = waiting_runs(office.world.store)
    approve_run(office.world.store, run.run, run.hash, "bob")
    office.stripe.fail = [(StripeUnclear("timed out"), True)]
    assert "timed out" in office.blocked(Step.PAYOUTS)
    office.run()
    assert office.close.next_step is None
    assert len(office.stripe.transfers) == 2


def test_a_stopped_payout_says_why_it_waits() -> None:
    office = a_large_run()
    office.run()
    office.approve()
    [run] = waiting_runs(office.world.store)
    approve_run(office.world.store, run.run, run.hash, "bob")
    office.world.registry.stop_payouts(PayoutsStopped("carl", NOW, "an audit"))
    assert "stopped: by carl because an audit" in office.blocked(Step.PAYOUTS)


def test_a_difference_blocks_with_what_to_do_about_it() -> None:
    office = Office()
    office.run()
    office.approve()
    office.stripe.moved = [a_movement(MovementKind.OTHER, "adj", -700)]
    assert "manual entry with `movement`: txn_adj" in office.blocked(Step.RECONCILIATION)


def test_a_payment_of_the_month_that_is_not_available_yet_blocks_until_it_is_or_is_accepted() -> None:
    office = Office()
    office.world.close("2026-04-06")
    office.run(until=Step.DRAFTS)
    office.approve()
    office.run(until=Step.SENDING)
    office.stripe.pay("in_acme_2026-03", 10000, is_available=False)  # dated March 9 by the double
    said = office.blocked(Step.CLEARING)
    assert said.startswith("stripe/clearing: ch_in_acme_2026-03_1 of 2026-03-09, 100.00 USD -> ")
    [ran] = office.run(until=Step.CLEARING, accepts={Step.CLEARING: "Stripe pays it out on April 8"})
    assert ran.done is not None
    assert ran.done.because == "Stripe pays it out on April 8"


@pytest.mark.parametrize(("paid_on", "blocks"), [("2026-03-31", True), ("2026-04-01", False)])
def test_only_what_came_in_by_the_months_last_day_blocks_its_close(paid_on: str, *, blocks: bool) -> None:
    office = Office()
    office.run()
    office.approve()
    office.run(until=Step.SENDING)
    office.stripe.pay("in_acme_2026-03", 10000, is_available=False)
    [payment] = office.stripe.payments["in_acme_2026-03"]
    office.stripe.payments["in_acme_2026-03"] = (replace(payment, paid_on=date.fromisoformat(paid_on)),)
    office.run(until=Step.CLEARING)
    assert (office.close.next_step is Step.CLEARING) == blocks


@pytest.mark.parametrize(("planned_at", "blocks"), [("2026-03-31T23:59:59", True), ("2026-04-01", False)])
def test_a_payout_of_the_month_that_is_still_in_transit_blocks(planned_at: str, *, blocks: bool) -> None:
    office = Office(a_paying_world())
    office.run()
    office.approve()
    office.run(until=Step.RECONCILIATION)
    for _ in plan_run(office.world.store, office.world.registry, Schedule.WEEKLY, at(planned_at), lambda: True):
        pass
    office.run(until=Step.CLEARING)
    assert (office.close.next_step is Step.CLEARING) == blocks


# -- the lock ----------------------------------------------------------------------------------------------------------


def test_a_period_that_is_open_after_all_keeps_the_month_from_being_locked() -> None:
    office = Office()
    office.run()
    office.approve()
    office.run(until=Step.CLEARING)
    registry = office.world.registry
    registry.all_clients["globex"] = registry.all_clients["acme"].model_copy(update={"id": "globex"})
    registry.contract_histories["globex"] = ContractHistory("globex", (a_contract(client="globex"),))
    assert office.blocked(Step.LOCK).startswith("globex: 2026-03 is open")
    assert office.world.store.locked_through() == ""


def test_what_comes_late_for_a_locked_month_is_dated_behind_it() -> None:
    office = Office()
    office.finish()
    office.stripe.pay("in_acme_2026-03", 10000)  # dated March 9 by the double
    follow_unfinished(office.world.store, office.world.registry, office.stripe, at("2026-04-08"))
    late = [entry for entry in office.world.entries() if "late_for" in entry.evidence]
    assert {(entry.reason, entry.effective_on.isoformat()) for entry in late} == {
        ("invoice_paid", "2026-04-01"),
        ("invoice_cleared", "2026-04-01"),
    }
    assert all('"late_for":"2026-03-09"' in entry.evidence for entry in late)
    assert office.world.balance("client/acme/receivable") == "0.00"
    office.world.check()


# -- half-way ----------------------------------------------------------------------------------------------------------


def test_a_step_that_fails_half_way_says_so_and_goes_on_when_it_is_run_again() -> None:
    office = Office()
    office.run()
    office.approve()
    issue, calls = office.stripe.issue_invoice, list[object]()

    def fails_once(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise ConnectionError("reset by peer")
        return issue(*arguments)  # type: ignore[arg-type]  # as it is called

    office.stripe.issue_invoice = fails_once  # type: ignore[method-assign,assignment]  # what goes wrong
    said = office.blocked(Step.SENDING)
    assert said == "sending did not come to its end: reset by peer -> run the close again; it goes on here"
    office.run()
    assert office.close.next_step is None


def test_whoever_is_second_to_record_a_step_takes_what_was_recorded() -> None:
    office = Office()

    def rival(_: object) -> None:
        office.world.store.before_commit = lambda _: None
        office.run(by="rival", until=Step.PARKED)

    office.world.store.before_commit = rival
    [ran] = office.run(until=Step.PARKED)
    assert ran.done is not None
    assert ran.done.by == "rival"
    assert len(office.close.done) == 1


def test_contention_that_does_not_end_leaves_the_step_for_the_next_run() -> None:
    office = Office()

    def busy() -> None:
        raise Contention("busy")

    steps = {**office.closing().steps(), Step.LOCK: lambda _: busy()}
    office.run()
    office.approve()
    *_, last = run_close(office.world.store, MARCH, steps, Person("ann", NOW))  # type: ignore[arg-type]  # it raises
    assert (last.step, last.done) == (Step.LOCK, None)
    assert office.close.next_step is Step.LOCK


def closing_the_month(by: str = "ann") -> Worker:
    """The checklist with the second person, as two commands each."""

    def work(now: Outside) -> None:
        def pack(_: MonthClose) -> Outcome:
            return Outcome(("audit.zip",))

        steps = Closing(now.store, now.registry, now.stripe, MARCH, NOW, lambda: Outcome(("run 1",)), pack).steps()
        for _ in range(2):
            for _ran in run_close(now.store, MARCH, steps, Person(by, NOW)):
                pass
            with suppress(CloseRefused):  # it was approved, or nothing is drafted
                approve_invoices(now.store, MARCH, now.store.month_close(MARCH).drafts, "bob", NOW)

    return work


def small_month() -> World:
    world = World(contract=a_contract(per_unit("10.00"), starts_on="2026-03-01"), experts=("maya",))
    world.send(world.completed("C1", "2026-03-10", expert=None))
    return world


@pytest.mark.parametrize("faults", [crashes, disappearances])
def test_a_crash_at_any_call_of_the_whole_close_is_gone_on_from(faults: Callable[..., object]) -> None:
    _, [(usual, _)] = explored(small_month(), [closing_the_month()])
    _, ends = explored(small_month(), [closing_the_month()], faults, 1, then=[closing_the_month()])  # type: ignore[arg-type]  # one of the two
    for world, stripe in ends:
        close = world.store.month_close(MARCH)
        assert close.next_step is None
        assert [done.step for done in close.done] == list(Step)
        assert world.trial_balance().balances == usual.trial_balance().balances
        assert list(stripe.issued) == ["in_acme_2026-03"]


def test_a_close_of_very_many_things_still_fits_into_one_item() -> None:
    def many(_: MonthClose) -> Outcome:
        blockers = tuple(Blocker(f"unknown_expert: fact {n}", "mend it") for n in range(5000))
        return Outcome(tuple(f"client {n}" for n in range(5000)), blockers)

    office = Office()
    steps = {**office.closing().steps(), Step.PARKED: many}
    [blocked] = run_close(office.world.store, MARCH, steps, Person("ann", NOW), Step.PARKED)
    assert len([line for line in transcript(office.close, [blocked]) if "blocked:" in line]) == LINES_KEPT + 1
    person = Person("ann", NOW, {Step.PARKED: "known"})
    [ran] = run_close(office.world.store, MARCH, steps, person, Step.PARKED)
    assert ran.done is not None
    assert (ran.done.said[0], ran.done.said[-1]) == ("client 0", "and 4,800 more")
    assert (ran.done.accepted[-1], ran.done.left) == ("and 4,800 more", 5000)


def test_every_step_says_what_it_is() -> None:
    assert list(WHAT_IT_IS) == list(Step)
