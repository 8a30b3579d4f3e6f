"""One contract for every store: the tables on the emulator and the memory of other tests keep the same promises."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier, Thread
from typing import Protocol

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from pynamodb.exceptions import TransactWriteError, UpdateError, VerboseClientError

from billing.invoices import Invoice
from billing.periods import Period, PeriodState, PeriodStatus
from billing.prepaid import Lot, Prepaid
from events.facts import CaseId
from functions.api.backend import ApiStore
from infra.aws.store import DynamoStore
from infra.aws.tables import TABLES, BookItem, bind
from infra.exports.slices import Journal
from infra.local.emulator import Emulator
from ledger.accounts import BANK_CASH, COST_INCENTIVE, STRIPE_BALANCE, expert_payable
from ledger.books import Head, append, check_book
from ledger.entries import PLATFORM_BOOK, Book, Entry, EntryId, client_book, evidence, expert_book, postings
from ledger.errors import BookBroken
from ledger.money import Currency
from ledger.posting_rules import Reason
from ledger.sealed import SealedEntry, sealed
from payouts.awards import Award
from payouts.incentives import Week, WeekCount
from payouts.payouts import Payout, PayoutStatus, moved
from settlement.book_sums import BookSums, Total
from settlement.cases import Case, fact_key
from settlement.findings import Finding, Reconciliation
from settlement.incentives import award_incentives
from settlement.manual_entries import Draft, ManualEntry, ManualLine, ManualStatus, ManualStore
from settlement.month_close import Approval, Done, MonthClose, Step
from settlement.month_steps import CloseStore
from settlement.parking import Parked, ParkReason
from settlement.ports import Available, AwardRun, Changes, Contention, HoldChange, IncentiveStore, ReviewGiven, Stored
from settlement.recorded_facts import PastCase, RecordedFacts, SettledCycle
from settlement.settle import settle, work_from
from settlement.writing import until_written
from tests.memory_store import MemoryStore
from tests.world import RATING, World, a_contract, a_plan, at

USD = Currency("USD")
MONDAY = date(2026, 3, 9)


class AnyStore(ApiStore, RecordedFacts, IncentiveStore, CloseStore, ManualStore, Journal, Protocol):
    """Whatever a use case may need."""

    def keep_reconciliation(self, found: Reconciliation) -> None: ...
    def sealed(self, book: Book, after: int, last: int) -> Iterator[SealedEntry]: ...


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(params=["memory", "dynamo"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AnyStore:
    if request.param == "memory":
        return MemoryStore()
    emulator: Emulator = request.getfixturevalue("emulator")
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    connection = bind(f"t{abs(hash(request.node.name)) % 10**9}", region="us-east-1", host=emulator.endpoint_url)
    for table in TABLES:
        table.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    return DynamoStore(connection)


def a_top_up(number: int, minor_units: int = 100) -> Entry:
    return Entry(
        id=EntryId(f"top_up:{number}"),
        book=PLATFORM_BOOK,
        reason=Reason.TOP_UP,
        postings=postings(((STRIPE_BALANCE, minor_units), (BANK_CASH, -minor_units)), "USD"),
        effective_on=MONDAY,
        evidence=evidence({"source": f"tu_{number}"}),
    )


def posting(store: AnyStore, *entries: Entry) -> Changes:
    head = store.head(PLATFORM_BOOK)
    sealed, after = append(head, entries, at("2026-03-09"))
    return Changes(entries=sealed, heads=((head, after),))


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


def test_once_a_month_is_locked_no_book_takes_an_entry_dated_in_it(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(1)))
    before, stale = store.head(PLATFORM_BOOK), posting(store, a_top_up(2))
    store.lock_through("2026-03")
    assert (store.locked_through(), store.head(PLATFORM_BOOK).locked_through) == ("2026-03", "2026-03")
    assert store.head(PLATFORM_BOOK) == before, "locking moves no head"
    with pytest.raises(Contention):
        store.commit(stale)
    store.commit(posting(store, a_top_up(2)))
    days = [it.entry.effective_on for it in store.entries(PLATFORM_BOOK)]
    assert days == [MONDAY, date(2026, 4, 1)]
    assert list(check_book(PLATFORM_BOOK, store.entries(PLATFORM_BOOK), store.head(PLATFORM_BOOK))) == []
    assert store.head(PLATFORM_BOOK).locked_through == "2026-03", "the lock outlives what is posted behind it"


def test_a_second_lock_refuses_what_was_read_behind_the_first(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(1)))
    store.lock_through("2026-03")
    stale = posting(store, a_top_up(2))
    store.lock_through("2026-04")
    with pytest.raises(Contention):
        store.commit(stale)
    store.commit(posting(store, a_top_up(2)))
    assert [it.entry.effective_on for it in store.entries(PLATFORM_BOOK)] == [MONDAY, date(2026, 5, 1)]


def test_a_book_that_is_new_is_locked_as_the_others_are(store: AnyStore) -> None:
    stale = posting(store, a_top_up(1))
    store.lock_through("2026-03")
    with pytest.raises(Contention):
        store.commit(stale)
    assert not store.head(PLATFORM_BOOK).seq
    store.commit(posting(store, a_top_up(1)))
    [only] = store.entries(PLATFORM_BOOK)
    assert (only.entry.effective_on, store.head(PLATFORM_BOOK).locked_through) == (date(2026, 4, 1), "2026-03")


def test_an_earlier_lock_leaves_a_later_one_and_a_later_one_moves_it_on(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(1)))
    for month, locked in (("2026-03", "2026-03"), ("2026-02", "2026-03"), ("2026-04", "2026-04")):
        store.lock_through(month)
        assert {store.locked_through(), store.head(PLATFORM_BOOK).locked_through} == {locked}
        assert [head.locked_through for head in store.heads()] == [locked]


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_a_lock_that_was_interrupted_holds_for_new_books_and_is_completed_when_it_is_repeated(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    store.commit(posting(store, a_top_up(1)))
    with monkeypatch.context() as broken:
        broken.setattr(BookItem, "scan", crash)
        with pytest.raises(ConnectionError):
            store.lock_through("2026-03")
    assert store.locked_through() == "2026-03"
    assert store.head(client_book("acme")).locked_through == "2026-03"
    store.commit(posting(store, a_top_up(2)))
    store.lock_through("2026-03")
    store.commit(posting(store, a_top_up(3)))
    days = [it.entry.effective_on for it in store.entries(PLATFORM_BOOK)]
    assert days == [MONDAY, MONDAY, date(2026, 4, 1)]


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_a_head_that_is_being_written_is_contention_and_any_other_refusal_is_not(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, expected in (("TransactionConflictException", Contention), ("AccessDeniedException", UpdateError)):
        refused = UpdateError(cause=ClientError({"Error": {"Code": code, "Message": ""}}, "UpdateItem"))

        def update(*_: object, refused: UpdateError = refused, **__: object) -> None:
            raise refused

        with monkeypatch.context() as broken:
            broken.setattr(BookItem, "update", update)
            with pytest.raises(expected):
                store.lock_through("2026-03")


@pytest.mark.parametrize("store", ["dynamo"], indirect=True)
def test_writers_and_a_lock_at_once_leave_nothing_in_the_month_that_came_behind_it(store: AnyStore) -> None:
    store.commit(posting(store, a_top_up(0)))
    started, refused = Barrier(3), list[int]()

    def write(number: int) -> None:
        started.wait()
        for step in range(20):
            try:
                store.commit(posting(store, a_top_up(1 + 20 * number + step)))
            except Contention:
                refused.append(step)

    threads = [Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    started.wait()
    until_written(store, "the lock", lambda: store.lock_through("2026-03"))
    locked_at = store.head(PLATFORM_BOOK).seq
    for thread in threads:
        thread.join()
    entries = list(store.entries(PLATFORM_BOOK))
    assert len(entries) == 41 - len(refused)
    assert all(it.entry.effective_on == date(2026, 4, 1) for it in entries[locked_at:])
    assert list(check_book(PLATFORM_BOOK, entries, store.head(PLATFORM_BOOK))) == []


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
