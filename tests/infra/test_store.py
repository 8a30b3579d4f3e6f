"""One contract for every store: the tables on the emulator and the memory of other tests keep the same promises."""

from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier, Thread

import pytest
from botocore.exceptions import ConnectionClosedError
from pynamodb.exceptions import TransactWriteError, VerboseClientError

from billing.invoices import Invoice
from billing.periods import Period, PeriodState, PeriodStatus
from billing.prepaid import Lot, Prepaid
from events.facts import CaseId
from infra.aws.store import DynamoStore
from ledger.accounts import BANK_CASH, COST_INCENTIVE, STRIPE_BALANCE, expert_payable
from ledger.books import Head, append, check_book
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, client_book, evidence, expert_book, postings
from ledger.errors import BookBroken
from ledger.posting_rules import Reason
from ledger.sealed import sealed
from payouts.payouts import Payout, PayoutStatus, moved
from settlement.book_sums import BookSums, Total
from settlement.cases import Case, fact_key
from settlement.findings import Finding, Reconciliation
from settlement.manual_entries import Draft, ManualEntry, ManualLine, ManualStatus
from settlement.month_close import Approval, Done, MonthClose, Step
from settlement.parking import Parked, ParkReason
from settlement.ports import Available, Changes, Contention, HoldChange, Stored
from settlement.recorded_facts import PastCase, SettledCycle
from settlement.settle import settle, work_from
from tests.infra.any_store import MONDAY, USD, AnyStore, a_top_up, posting
from tests.world import RATING, World, a_contract, at


def test_a_case_comes_back_as_it_was_written(store: AnyStore) -> None:
    world = World(contract=a_contract(rating=RATING))
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01:00:00.000001", 4))
    case = world.store.stored_cases["acme", CaseId("C1")]
    store.commit(Changes(cases=(case,)))
    assert store.cases([("acme", case.case_id)]) == {("acme", case.case_id): case}


def test_a_case_keeps_which_peer_reviews_are_mutual(store: AnyStore) -> None:
    case = Case("acme", CaseId("C1"), mutual_reviews=(("portal#7", at("2026-03-02T09:00:00.000001")),), revision=1)
    store.commit(Changes(cases=(case,)))
    assert store.cases([("acme", case.case_id)]) == {("acme", case.case_id): case}
    assert [it.mutual_reviews for it in store.past_cases("acme")] == [case.mutual_reviews]


def test_a_case_with_many_facts_comes_back_as_it_was_written(store: AnyStore) -> None:
    world = World(contract=a_contract(rating=RATING))
    ratings = [world.rated("C1", "2026-03-02T01:00", 4, id=f"rating-{number}") for number in range(199)]
    world.send(world.completed("C1", "2026-03-02"), *ratings)
    case = replace(world.store.stored_cases["acme", CaseId("C1")], revision=1)
    store.commit(Changes(cases=(case,)))
    assert store.cases([("acme", case.case_id)]) == {("acme", case.case_id): case}
    assert [it.facts for it in store.past_cases("acme")] == [case.facts]
    assert len(case.facts) == 200


def test_what_settling_needs_is_read_together_and_what_is_not_there_is_empty(store: AnyStore) -> None:
    case = Case("acme", CaseId("C1"), revision=1)
    march, april = (PeriodState("acme", Period(f"2026-0{month}"), revision=1) for month in (3, 4))
    prepaid = Prepaid("acme", (Lot("lot1", MONDAY, None, 500, 500),), revision=1)
    store.commit(replace(posting(store, a_top_up(1)), cases=(case,), periods=(march, april), prepaids=(prepaid,)))
    unknown = CaseId("C2")
    found = store.read(
        cases=[("acme", case.case_id), ("acme", unknown)],
        periods=[("acme", march.period), ("globex", march.period)],
        books=[PLATFORM_BOOK, client_book("acme")],
        prepaids=["acme", "globex"],
    )
    assert found == Stored(
        cases={("acme", case.case_id): case, ("acme", unknown): Case("acme", unknown)},
        periods={("acme", march.period): march, ("globex", march.period): PeriodState("globex", march.period)},
        heads={PLATFORM_BOOK: store.head(PLATFORM_BOOK), client_book("acme"): Head(client_book("acme"))},
        prepaids={"acme": prepaid, "globex": Prepaid("globex")},
    )
    assert store.read() == Stored({}, {}, {}, {})


def test_an_unknown_case_is_an_empty_one(store: AnyStore) -> None:
    assert store.cases([("acme", CaseId("C9"))]) == {("acme", "C9"): Case("acme", CaseId("C9"))}


def test_a_case_is_written_only_over_the_revision_before(store: AnyStore) -> None:
    first = Case("acme", CaseId("C1"), revision=1)
    store.commit(Changes(cases=(first,)))
    for stale in (first, replace(first, revision=3)):
        with pytest.raises(Contention):
            store.commit(Changes(cases=(stale,)))
    store.commit(Changes(cases=(replace(first, revision=2),)))


def test_one_refused_part_refuses_the_whole_transaction(store: AnyStore) -> None:
    period = PeriodState("acme", Period("2026-03"), revision=1)
    store.commit(Changes(periods=(period,)))
    with pytest.raises(Contention):
        store.commit(replace(posting(store, a_top_up(1)), periods=(period,)))
    assert store.head(PLATFORM_BOOK).seq == 0
    assert list(store.entries(PLATFORM_BOOK)) == []


def test_only_windows_that_ended_are_due_and_those_that_wait_for_nothing_never_are(store: AnyStore) -> None:
    for number, due in enumerate((at("2026-03-03"), at("2026-03-02"), None)):
        store.commit(Changes(cases=(Case("acme", CaseId(f"C{number}"), due_at=due, revision=1),)))
    assert [bucket.cases for bucket in store.due(at("2026-03-01T23:59:59.999999"))] == []
    assert [bucket.cases for bucket in store.due(at("2026-03-02"))] == [("C1",)]
    assert [bucket.cases for bucket in store.due(at("2026-03-03"))] == [("C1",), ("C0",)], "oldest first"
    keys = [("acme", CaseId(f"C{number}")) for number in range(4)]
    assert store.still_due(keys, at("2026-03-02")) == {keys[1]}
    assert store.still_due(keys, at("2026-03-03")) == {keys[0], keys[1]}
    assert store.still_due([], at("2026-03-03")) == frozenset()


def test_windows_that_end_in_one_quarter_of_an_hour_are_found_together_once_the_last_has_ended(store: AnyStore) -> None:
    ends = [at(f"2026-03-02T10:{minute}") for minute in ("14:59.999999", "15:00", "29:59", "16:00")]
    cases = [Case("acme", CaseId(f"C{number}"), due_at=end, revision=1) for number, end in enumerate(ends)]
    other = Case("globex", CaseId("C1"), due_at=ends[1], revision=1)
    changes = Changes(cases=(*cases, other))
    assert changes.count() == 5 + 3
    store.commit(changes)
    assert [bucket.keys for bucket in store.due(at("2026-03-02T10:15:30"))] == [
        (("acme", "C0"),),
        (("globex", "C1"),),
    ]
    assert [bucket.keys for bucket in store.due(ends[2])][-1] == (("acme", "C1"), ("acme", "C2"), ("acme", "C3"))


def test_a_forgotten_bucket_takes_no_other_with_it_and_is_not_missed_twice(store: AnyStore) -> None:
    due = at("2026-03-02")
    for number in range(60):
        store.commit(Changes(cases=(Case("acme", CaseId(f"C{number}"), due_at=due, revision=1),)))
    again = Case("acme", CaseId("C59"), due_at=due, revision=2)
    found = list(store.due(due))
    store.commit(Changes(cases=(again,)))
    store.forget(found)
    store.forget(found)
    assert [bucket.cases for bucket in store.due(due)] == [("C59",)], "it was written again, and so is in a bucket"
    assert store.still_due(found[0].keys, due) == set(found[0].keys)


def test_what_a_refused_transaction_lets_wait_is_not_due(store: AnyStore) -> None:
    case = Case("acme", CaseId("C1"), due_at=at("2026-03-02"), revision=2)
    with pytest.raises(Contention):
        store.commit(Changes(cases=(case,)))
    assert list(store.due(at("2026-03-02"))) == []


def test_a_book_is_read_in_order_and_proves_itself(store: AnyStore) -> None:
    for number in range(20):
        store.commit(posting(store, a_top_up(number)))
    recorded = list(store.entries(PLATFORM_BOOK))
    assert [item.seq for item in recorded] == list(range(1, 21))
    assert list(check_book(PLATFORM_BOOK, recorded, store.head(PLATFORM_BOOK))) == []
    assert [item.seq for item in store.entries(PLATFORM_BOOK, after=17)] == [18, 19, 20]
    assert list(store.heads()) == [store.head(PLATFORM_BOOK)]


def test_a_book_is_read_as_it_is_stored_from_one_number_to_another(store: AnyStore) -> None:
    for number in range(20):
        store.commit(posting(store, a_top_up(number)))
    stored = [sealed(item) for item in store.entries(PLATFORM_BOOK)]
    assert list(store.sealed(PLATFORM_BOOK, 0, 20)) == stored
    assert list(store.sealed(PLATFORM_BOOK, 4, 9)) == stored[4:9]
    assert list(store.sealed(PLATFORM_BOOK, 18, 30)) == stored[18:]
    assert list(store.sealed(PLATFORM_BOOK, 20, 30)) == []


def test_entries_are_read_by_their_numbers_in_the_order_asked_for(store: AnyStore) -> None:
    for number in range(1, 21):
        store.commit(posting(store, a_top_up(number)))
    book = list(store.entries(PLATFORM_BOOK))
    assert store.entries_at(PLATFORM_BOOK, range(3, 20)) == book[2:19]
    assert store.entries_at(PLATFORM_BOOK, (20, 1)) == [book[19], book[0]]
    assert store.entries_at(PLATFORM_BOOK, ()) == []


def test_a_number_that_no_entry_has_is_a_broken_book(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(1)))
    for numbers in ((1, 2), (0,)):
        with pytest.raises(BookBroken, match="missing"):
            store.entries_at(PLATFORM_BOOK, numbers)


def test_invoices_of_a_client_come_newest_first_and_without_those_of_others(store: AnyStore) -> None:
    made = [
        Invoice(client, Period(period), USD, (), 0, 30, revision=1)
        for client in ("acme", "globex")
        for period in ("2026-02", "2026-03", "2025-12")
    ]
    store.commit(Changes(invoices=tuple(made)))
    assert list(store.invoices_of("acme")) == [made[1], made[0], made[2]]
    assert list(store.invoices_of("initech")) == []


def test_an_entry_is_posted_only_behind_the_head_that_was_read(store: AnyStore) -> None:
    mine, theirs = posting(store, a_top_up(1)), posting(store, a_top_up(2))
    store.commit(theirs)
    with pytest.raises(Contention):
        store.commit(mine)


def test_an_entry_that_may_be_posted_once_is_refused_the_second_time(store: AnyStore) -> None:
    assert store.posted(["top_up:1", "top_up:2"]) == store.posted([]) == frozenset()
    store.commit(replace(posting(store, a_top_up(1)), once=("top_up:1",)))
    assert store.posted(["top_up:1", "top_up:2"]) == {"top_up:1"}
    with pytest.raises(Contention):
        store.commit(replace(posting(store, a_top_up(1)), once=("top_up:1",)))


def test_sums_of_a_book_come_back_as_they_were_kept_and_are_no_head_and_no_mark(store: AnyStore) -> None:
    store.commit(replace(posting(store, a_top_up(1)), once=("top_up:1",)))
    total = Total(STRIPE_BALANCE, "tu_1", USD, -(10**15), MONDAY)
    first = BookSums(PLATFORM_BOOK, 1, "ab" * 32, (total, replace(total, account=BANK_CASH, source="")))
    other = BookSums(client_book("acme"), 3, "cd" * 32)
    for sums in (first, other, replace(first, seq=2)):
        store.keep_book_sums(sums)
    assert {sums.book: sums for sums in store.book_sums()} == {
        PLATFORM_BOOK: replace(first, seq=2),
        "client/acme": other,
    }
    assert list(store.heads()) == [store.head(PLATFORM_BOOK)]
    assert store.posted(["top_up:1", "sums/platform"]) == {"top_up:1"}


def test_holds_add_up_until_their_day_is_released_and_then_go_to_available(store: AnyStore) -> None:
    hold = HoldChange("maya", USD, MONDAY, 74)
    store.commit(Changes(holds=(hold,)))
    store.commit(Changes(holds=(hold,)))
    assert store.payable() == {("maya", USD): 148}
    released = replace(hold, minor_units=148)
    store.commit(Changes(released=(released,), availables=(Available("maya", USD, 148, 1),)))
    store.commit(Changes(holds=(replace(hold, minor_units=-74),)))
    assert store.payable() == {("maya", USD): 74}


def test_two_holds_whose_days_were_released_go_to_available_together(store: AnyStore) -> None:
    holds = [HoldChange("maya", USD, MONDAY + timedelta(days=days), 74) for days in (0, 7)]
    store.commit(Changes(holds=tuple(holds)))
    store.commit(Changes(released=tuple(holds), availables=(Available("maya", USD, 148, 1),)))
    store.commit(Changes(holds=tuple(replace(hold, minor_units=-20) for hold in holds)))
    assert store.payable() == {("maya", USD): 108}


def refused_by(cause: Exception) -> DynamoStore:
    """A store whose every transaction is refused."""

    class Refusing:
        def transact_write_items(self, **_asked: object) -> None:
            raise TransactWriteError("refused", cause)

    return DynamoStore(Refusing())  # type: ignore[arg-type]  # all that a commit asks of a connection


def test_a_throttled_write_is_contention_whatever_it_holds() -> None:
    store = refused_by(VerboseClientError({"Error": {"Code": "ThrottlingException"}}, "TransactWriteItems"))
    with pytest.raises(Contention, match="ThrottlingException"):
        store.commit(Changes(holds=(HoldChange("maya", USD, MONDAY, 74), HoldChange("noah", USD, MONDAY, 74))))


def test_a_write_whose_answer_is_lost_is_an_error_of_its_own() -> None:
    with pytest.raises(TransactWriteError, match="refused"):
        refused_by(ConnectionClosedError(endpoint_url="https://dynamodb")).commit(Changes(unparked=("fact:1",)))


def test_a_hold_that_changed_since_it_was_read_is_not_released(store: AnyStore) -> None:
    hold = HoldChange("maya", USD, MONDAY, 74)
    store.commit(Changes(holds=(hold,)))
    with pytest.raises(Contention):
        store.commit(Changes(released=(replace(hold, minor_units=70),)))
    assert store.payable() == {("maya", USD): 74}


def test_a_finished_payout_is_no_longer_unfinished(store: AnyStore) -> None:
    payout = Payout("payout:maya:USD:2026-W11", "maya", USD, 100, "2026-W11", at("2026-03-09"), "acct_1", revision=1)
    store.commit(Changes(payouts=(payout,)))
    sending = moved(replace(payout, status=PayoutStatus.APPROVED), PayoutStatus.SENDING, attempt=1)
    store.commit(Changes(payouts=(sending,)))
    assert store.payout(payout.id) == sending
    assert list(store.unfinished_payouts()) == [payout.id]
    store.commit(Changes(payouts=(moved(sending, PayoutStatus.SENT, stripe_transfer="tr_1"),)))
    assert list(store.unfinished_payouts()) == []


def test_what_is_parked_is_found_until_it_is_released(store: AnyStore) -> None:
    parked = Parked("case:acme/C1", "acme", ParkReason.NO_MATCHING_RATE, "no rate", at("2026-03-09"), "C1")
    store.commit(Changes(parked=(parked,)))
    assert store.find_parked(parked.id) == parked
    store.commit(Changes(unparked=(parked.id,)))
    assert store.find_parked(parked.id) is None


@pytest.mark.parametrize("most", [1, 3, 7, 10])
def test_parked_things_are_read_page_by_page_each_once_while_others_are_released(store: AnyStore, most: int) -> None:
    ids = {f"case:acme/C{number}" for number in range(7)}
    parked = [Parked(id_, "acme", ParkReason.NO_MATCHING_RATE, "no rate", at("2026-03-09"), "C") for id_ in ids]
    store.commit(Changes(parked=tuple(parked)))
    seen, last = list[Parked](), ""
    for _ in range(10):
        page, last = store.parked_after(last, most)
        assert len(page) <= most
        seen += page
        if page:
            store.commit(Changes(unparked=tuple(it.id for it in page)))  # the one that a page begins behind is gone
        if not last:
            break
    assert sorted(it.id for it in seen) == sorted(ids)
    assert store.parked_after("", most) == ([], "")


def test_the_last_reconciliation_is_kept_with_its_first_findings(store: AnyStore) -> None:
    assert store.last_reconciliation() is None
    day = date(2026, 3, 9)
    open_ = Finding("payout:p", "on its way", 100, USD, day, "wait", open_until=date(2026, 3, 12))
    wrong = [Finding(f"txn_{number}", "not booked", 5, USD, day, "book it") for number in range(600)]
    found = Reconciliation(at("2026-03-10T03:30"), 10, 20, 30, 40, (open_, *wrong))
    store.keep_reconciliation(replace(found, findings=()))
    store.keep_reconciliation(found)
    kept = store.last_reconciliation()
    assert kept is not None
    assert kept == found.shortened()
    assert (kept.is_clean, len(kept.differences), kept.open, kept.left_out) == (False, 500, (), 101)
    store.keep_reconciliation(replace(found, findings=(open_,)))
    assert store.last_reconciliation() == replace(found, findings=(open_,))


def test_a_closed_period_comes_back_closed(store: AnyStore) -> None:
    closed = PeriodState("acme", Period("2026-03"), status=PeriodStatus.CLOSED, carried=-5, revision=1)
    store.commit(Changes(periods=(closed,)))
    asked = [("acme", Period("2026-03")), ("acme", Period("2026-04"))]
    assert store.periods(asked) == {asked[0]: closed, asked[1]: PeriodState(*asked[1])}


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_workers_that_contend_for_one_client_charge_every_case_once(store: AnyStore) -> None:
    world = World()
    workers, failures = 4, list[BaseException]()
    start = Barrier(workers)
    facts = [world.completed(f"C{i}", "2026-03-02") for i in range(60)]

    def work(number: int) -> None:
        start.wait()
        try:
            for item in work_from(facts[number * 10 : number * 10 + 30])["acme"]:
                assert not settle(store, world.registry, {"acme": [item]}).failed
        except BaseException as error:  # noqa: BLE001  # a thread's failure is the test's
            failures.append(error)

    deliveries = [Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in deliveries:
        thread.start()
    for thread in deliveries:
        thread.join()
    assert failures == []
    recorded = list(store.entries(store_book := next(iter(store.heads())).book))
    assert len(recorded) == 60
    assert len({item.entry.id for item in recorded}) == 60
    assert list(check_book(store_book, recorded, store.head(store_book))) == []
    key = ("acme", Period("2026-03"))
    assert store.periods([key])[key].counter("all").issued == 60


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_a_changed_or_missing_entry_is_found(store: AnyStore) -> None:
    from infra.aws.tables import EntryItem  # noqa: PLC0415  # only this test tampers

    for number in range(3):
        store.commit(posting(store, a_top_up(number)))
    item = EntryItem.get("platform#2", 2)
    item.postings = item.postings.replace("100", "900")
    item.save()
    with pytest.raises(BookBroken, match="entry 2"):
        list(store.entries(PLATFORM_BOOK))
    item.delete()
    with pytest.raises(BookBroken, match="entry 2 is missing"):
        list(store.entries(PLATFORM_BOOK))


def test_entries_of_an_expert_are_read_over_all_books_in_order_and_without_those_of_others(store: AnyStore) -> None:
    world = World(experts=("maya", "maya-2"))
    deliveries = [world.completed(f"C{i}", f"2026-03-{i % 9 + 10}", "maya") for i in range(105)]
    settle(store, world.registry, work_from([*deliveries, world.completed("D1", "2026-03-11", "maya-2")]))
    book, moves = expert_book("maya"), ((COST_INCENTIVE, 500), (expert_payable("maya"), -500))
    for number, day in enumerate((date(2026, 3, 20), date(2026, 3, 9))):
        id_, told, head = EntryId(f"incentive:maya:{number}"), evidence({}), store.head(book)
        entry = Entry(id_, book, Reason.INCENTIVE, postings(moves, "USD"), day, told)
        sealed, after = append(head, [entry], at("2026-03-20"))
        store.commit(Changes(entries=sealed, heads=((head, after),)))

    found = list(store.expert_entries("maya"))

    assert [(it.entry.effective_on, it.entry.book, it.seq) for it in found] == sorted(
        (it.entry.effective_on, it.entry.book, it.seq) for it in found
    )
    assert (found[0].entry.id, found[-1].entry.id) == ("incentive:maya:1", "incentive:maya:0")
    posted = [*store.entries(client_book("acme")), *store.entries(book)]
    assert len(found) == 107
    assert {it.entry.id: it for it in found} == {
        it.entry.id: it for it in posted if "charge:acme/D1" not in it.entry.id
    }
    assert [it.entry.id for it in store.expert_entries("maya-2")] == ["charge:acme/D1/1:1"]
    assert list(store.expert_entries("may")) == []


def test_past_cases_of_a_client_are_read_with_all_their_facts_and_without_those_of_others(store: AnyStore) -> None:
    world = World(contract=a_contract(rating=RATING))
    deliveries = [world.completed(f"C{number}", "2026-03-02") for number in range(40)]
    settle(store, world.registry, work_from(deliveries))
    store.commit(Changes(cases=(Case("acme-too", CaseId("C1"), revision=1),)))

    found = {case.case_id: case for case in store.past_cases("acme")}

    assert {case_id: case.facts for case_id, case in found.items()} == {it.case_id: (it.fact,) for it in deliveries}
    assert list(store.past_cases("acme-too")) == [PastCase(CaseId("C1"))]
    assert list(store.past_cases("globex")) == []


def test_past_case_says_what_settled_when_and_what_came_too_late(store: AnyStore) -> None:
    world = World(contract=a_contract(rating=RATING))
    deliveries = [
        world.completed("C1", "2026-03-02"),
        world.rated("C1", "2026-03-03", 5),
        world.completed("C2", "2026-03-02"),
    ]
    settle(store, world.registry, work_from(deliveries))
    late = world.rated("C1", "2026-03-03", 1, received="2026-05-20")
    settle(store, world.registry, work_from([late]))
    solved, rated, unrated = (it.fact for it in deliveries)

    found = {case.case_id: case for case in store.past_cases("acme")}

    assert found == {
        "C1": PastCase(
            CaseId("C1"),
            facts=(solved, rated, late.fact),
            evidence_only=(fact_key(late.fact),),
            cycles=(SettledCycle(fact_key(solved), rated.time),),
        ),
        "C2": PastCase(CaseId("C2"), facts=(unrated,), cycles=(SettledCycle(),)),
    }


def test_an_entry_by_hand_and_a_close_come_back_as_they_were_written_over_the_revision_before(store: AnyStore) -> None:
    line = ManualLine(BANK_CASH, USD, -1250)
    draft = Draft("Fee of the bank", "statement 10", MONDAY, (line,), reverses=EntryId("manual:1"))
    entry = ManualEntry("0123456789abcdef", draft, "ann", at("2026-03-09"), revision=1)
    done = Done(Step.DRAFTS, "ann", at("2026-04-02"), ("one", "two"), ("three",), "known", 1)
    approval = Approval("abc", "bob", at("2026-04-03"))
    close = MonthClose(Period("2026-03"), (done,), "abc", approval, (("acme", 7),), revision=1)
    store.commit(Changes(manual_entries=(entry,), month_closes=(close,)))
    assert (store.manual_entry(entry.id), list(store.manual_entries())) == (entry, [entry])
    assert store.month_close(Period("2026-03")) == close
    later = replace(entry, status=ManualStatus.POSTED, decided_by="bob", decided_at=at("2026-03-10"), seq=4, revision=2)
    store.commit(Changes(manual_entries=(later,), month_closes=(replace(close, drafts="", revision=2),)))
    assert store.manual_entry(entry.id) == later
    for stale in (Changes(manual_entries=(later,)), Changes(month_closes=(close,))):
        with pytest.raises(Contention):
            store.commit(stale)


def test_nothing_is_known_of_an_entry_or_a_month_that_nobody_touched(store: AnyStore) -> None:
    assert (store.manual_entry("0"), list(store.manual_entries())) == (None, [])
    assert store.month_close(Period("2026-03")) == MonthClose(Period("2026-03"))
    assert list(store.all_cases()) == []
