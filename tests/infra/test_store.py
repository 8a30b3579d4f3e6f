"""One contract for every store: the tables on the emulator and the memory of other tests keep the same promises."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from threading import Barrier, Thread
from typing import Protocol

import pytest

from billing.periods import Period, PeriodState, PeriodStatus
from events.facts import CaseId
from infra.aws.store import DynamoStore
from infra.aws.tables import TABLES, bind
from infra.local.emulator import Emulator
from ledger.accounts import BANK_CASH, STRIPE_BALANCE
from ledger.books import append, check_book
from ledger.entries import PLATFORM_BOOK, Entry, EntryId, evidence, postings
from ledger.errors import BookBroken
from ledger.money import Currency
from ledger.posting_rules import Reason
from payouts.payouts import Payout, PayoutStatus, moved
from settlement.backtest import RecordedFacts
from settlement.cases import Case
from settlement.parking import Parked, ParkReason
from settlement.ports import Available, Changes, Contention, HoldChange
from settlement.reconcile import ReconcileStore
from settlement.release import ReleaseStore
from settlement.settle import settle, work_from
from tests.memory_store import MemoryStore
from tests.world import RATING, World, a_contract, at

pytestmark = pytest.mark.xdist_group("store")
USD = Currency("USD")
MONDAY = date(2026, 3, 9)


class AnyStore(ReleaseStore, ReconcileStore, RecordedFacts, Protocol):
    """Whatever a use case may need."""


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
    for number, due in enumerate((at("2026-03-02"), at("2026-03-03"), None)):
        store.commit(Changes(cases=(Case("acme", CaseId(f"C{number}"), due_at=due, revision=1),)))
    assert sorted(store.due(at("2026-03-02"))) == [("acme", "C0")]
    assert sorted(store.due(at("2026-03-03"))) == [("acme", "C0"), ("acme", "C1")]


def test_a_book_is_read_in_order_and_proves_itself(store: AnyStore) -> None:
    for number in range(20):
        store.commit(posting(store, a_top_up(number)))
    recorded = list(store.entries(PLATFORM_BOOK))
    assert [item.seq for item in recorded] == list(range(1, 21))
    assert list(check_book(PLATFORM_BOOK, recorded, store.head(PLATFORM_BOOK))) == []
    assert [item.seq for item in store.entries(PLATFORM_BOOK, after=17)] == [18, 19, 20]
    assert list(store.heads()) == [store.head(PLATFORM_BOOK)]


def test_an_entry_is_posted_only_behind_the_head_that_was_read(store: AnyStore) -> None:
    mine, theirs = posting(store, a_top_up(1)), posting(store, a_top_up(2))
    store.commit(theirs)
    with pytest.raises(Contention):
        store.commit(mine)


def test_an_entry_that_may_be_posted_once_is_refused_the_second_time(store: AnyStore) -> None:
    assert not store.is_posted("top_up:1")
    store.commit(replace(posting(store, a_top_up(1)), once=("top_up:1",)))
    assert store.is_posted("top_up:1")
    with pytest.raises(Contention):
        store.commit(replace(posting(store, a_top_up(1)), once=("top_up:1",)))


def test_holds_add_up_until_their_day_is_released_and_then_go_to_available(store: AnyStore) -> None:
    hold = HoldChange("maya", USD, MONDAY, 74)
    store.commit(Changes(holds=(hold,)))
    store.commit(Changes(holds=(hold,)))
    assert store.payable() == {("maya", USD): 148}
    released = replace(hold, minor_units=148)
    store.commit(Changes(released=(released,), availables=(Available("maya", USD, 148, 1),)))
    store.commit(Changes(holds=(replace(hold, minor_units=-74),)))
    assert store.payable() == {("maya", USD): 74}


def test_a_hold_that_changed_since_it_was_read_is_not_released(store: AnyStore) -> None:
    hold = HoldChange("maya", USD, MONDAY, 74)
    store.commit(Changes(holds=(hold,)))
    with pytest.raises(Contention):
        store.commit(Changes(released=(replace(hold, minor_units=70),)))
    assert store.payable() == {("maya", USD): 74}


def test_a_finished_payout_is_no_longer_unfinished(store: AnyStore) -> None:
    payout = Payout("payout:maya:USD:2026-W11", "maya", USD, 100, "2026-W11", at("2026-03-09"), "acct_1", revision=1)
    store.commit(Changes(payouts=(payout,)))
    sending = moved(payout, PayoutStatus.SENDING, attempt=1)
    store.commit(Changes(payouts=(sending,)))
    assert store.payout(payout.id) == sending  # type: ignore[attr-defined]
    assert list(store.unfinished_payouts()) == [payout.id]  # type: ignore[attr-defined]
    store.commit(Changes(payouts=(moved(sending, PayoutStatus.SENT, stripe_transfer="tr_1"),)))
    assert list(store.unfinished_payouts()) == []  # type: ignore[attr-defined]


def test_what_is_parked_is_found_until_it_is_released(store: AnyStore) -> None:
    parked = Parked("case:acme/C1", "acme", ParkReason.NO_MATCHING_RATE, "no rate", at("2026-03-09"), "C1")
    store.commit(Changes(parked=(parked,)))
    assert store.find_parked(parked.id) == parked
    store.commit(Changes(unparked=(parked.id,)))
    assert store.find_parked(parked.id) is None


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


def test_cases_of_a_client_are_read_with_all_their_facts_and_without_those_of_others(store: AnyStore) -> None:
    world = World(contract=a_contract(rating=RATING))
    deliveries = [world.completed(f"C{number}", "2026-03-02") for number in range(40)]
    settle(store, world.registry, work_from(deliveries))
    store.commit(Changes(cases=(Case("acme-too", CaseId("C1"), revision=1),)))

    found = {case.case_id: case for case in store.client_cases("acme")}

    assert {case_id: case.facts for case_id, case in found.items()} == {it.case_id: (it.fact,) for it in deliveries}
    assert [case.client for case in store.client_cases("acme-too")] == ["acme-too"]
    assert list(store.client_cases("globex")) == []
