"""The story of a case. That its amounts are the ledger's is checked over all charge examples, too."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from billing.contracts import ContractHistory
from events.facts import CaseId
from ledger.entries import Book, RecordedEntry, client_book
from ledger.posting_rules import POSTING_RULES, Reason
from payouts.payouts import Payout
from settlement.cases import CycleStatus
from settlement.explain import CaseUnknown, EntriesMissing, describe_story, find_case
from settlement.sentences import EFFECTS, FACTS, POSTED, REASONS, STATES, Effect
from tests.stories import check_story, sentences, story_of
from tests.world import RATING, World, a_contract, a_plan, an_expert, at

CSAT = [{"at_least_percent": "100", "amount": "0.15"}]


def a_rating_world(**rating: object) -> World:
    return World(contract=a_contract(rating=RATING | rating), plan=a_plan(csat_bonus=CSAT))


def said(world: World, case: str = "C1") -> str:
    check_story(world, case)
    story = story_of(world, case)
    return "\n".join([*sentences(story), *story.outcome()])


def test_a_charge_is_told_with_its_rule_price_rating_pay_and_postings() -> None:
    world = a_rating_world(below="discount", discount_percent="50")
    world.send(world.completed("C1", "2026-03-02", channel="chat"), world.rated("C1", "2026-03-02T05:00:00", 2))
    told = said(world)
    for sentence in (
        "Expert maya solved the case (channel chat).",
        "The customer rated it 2 on 1 to 5, which is 25.00%.",
        "Cycle 1 is settled: it was rated 25.00%, below the 60.00% that the contract asks for (charge:acme/C1/1:1).",
        "Rate all of contract 2026-01: number 1 of its month, list price 0.99 USD.",
        "A discount takes 0.50 USD off.",
        "Pay plan standard@2026-01-01 decides what the expert earns:",
        "base 0.59 USD: 60% of the list price.",
        "csat_bonus 0.00 USD: rated 25.00%, below 100%.",
        "Debit client/acme/unbilled 0.49 USD: acme is charged.",
        "Credit expert/maya/payable 0.59 USD: maya earns it.",
        "It can be paid out from 2026-03-09 on.",
        "Cycle 1: acme pays 0.49 USD, on the invoice of 2026-03, which is not made yet.",
        "In all, acme pays 0.49 USD and maya earns 0.59 USD.",
    ):
        assert sentence in told


def test_the_threshold_told_is_that_of_the_month_it_was_settled_in_also_where_that_month_was_closed() -> None:
    march = a_contract(rating=RATING | {"below": "discount", "discount_percent": "50"})
    april = a_contract(starts_on="2026-04-01", rating=RATING | {"threshold_percent": "90"})
    world = World(contract=march)
    world.registry.contract_histories["acme"] = ContractHistory("acme", (march, april))
    world.close("2026-04-02")
    late = "2026-04-03"
    world.send(world.completed("C1", "2026-03-20", received=late), world.rated("C1", "2026-03-21", 2, received=late))

    told = said(world)

    assert "it was rated 25.00%, below the 60.00% that the contract asks for (charge:acme/C1/1:1)." in told
    assert "Rate all of contract 2026-04:" in told


def test_another_solution_is_told_with_what_was_taken_back_for_it() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-05"), world.completed("C1", "2026-03-06", expert="noah"))
    told = said(world)
    assert "The reopen window ends at 2026-03-09 00:00:00: cycle 1 is not solved any more." in told
    assert "Cycle 1 is taken back: the customer came back at 2026-03-05 00:00:00 (charge:acme/C1/1:2)." in told
    assert "That is another solution of cycle 1; a reopening until 2026-03-13 00:00:00 belongs to it." in told
    assert told.endswith("In all, acme pays 0.99 USD and noah earns 0.59 USD.")


def test_a_late_reopening_leaves_the_cycle_and_the_next_solution_starts_another() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(world.reopened("C1", "2026-03-11"), world.completed("C1", "2026-03-12", expert="noah"))
    told = said(world)
    assert "The reopen window ended at 2026-03-09 00:00:00: cycle 1 stands." in told
    assert "That starts cycle 2; a reopening until 2026-03-19 00:00:00 belongs to it." in told
    assert "In all, acme pays 1.98 USD and maya earns 0.59 USD and noah earns 0.59 USD." in told


def test_facts_without_effect_say_why() -> None:
    world = a_rating_world()
    world.send(world.rated("C1", "2026-03-01", 1), world.completed("C1", "2026-03-02"))
    world.send(world.completed("C1", "2026-03-03", expert="noah"))
    world.sweep("2026-03-05")
    world.send(world.rated("C1", "2026-03-08T08:00:00", 1))
    world.send(world.rated("C1", "2026-03-04", 2, received="2026-05-20"))
    effects = [told.sentences[1] for told in story_of(world, "C1").told if told.fact]
    assert effects == [
        "Nothing stood solved then: it changes nothing.",
        "That starts cycle 1; a reopening until 2026-03-09 00:00:00 belongs to it.",
        "It was solved already and nobody had come back: the first solution stays.",
        "It was received when the contract accepts no more corrections: it changes nothing.",
        "The rating window of cycle 1 ended at 2026-03-05 00:00:00: it changes nothing.",
    ]
    assert "Cycle 1 is settled: nobody rated it inside the rating window (charge:acme/C1/1:1)." in said(world)


def test_what_is_waived_pending_or_parked_is_told_though_nothing_is_posted() -> None:
    world = a_rating_world()
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01", 3))
    waived = "Cycle 1 is settled: it was rated 50.00%, below the 60.00% that the contract asks for. Nobody pays"
    assert waived in said(world)
    assert "In all, acme pays 0.00 USD and nobody earns." in said(world)
    world.send(world.completed("C2", "2026-03-02"))
    assert "Cycle 1 waits: what decides may come until 2026-03-05 00:00:00." in said(world, "C2")
    del world.registry.all_experts["maya"]
    world.send(world.reopened("C2", "2026-03-03"), world.completed("C2", "2026-03-03", expert="maya"))
    assert "Parked, unknown_expert: there is no expert maya; apply one" in said(world, "C2")


def test_a_reason_that_changes_without_an_amount_is_told_behind_the_entry() -> None:
    world = World(contract=a_contract(rating=RATING | {"below": "charge"}))
    world.send(world.completed("C1", "2026-03-02"), world.rated("C1", "2026-03-02T01", 1))
    world.send(world.rated("C1", "2026-03-02T02", 5))
    assert world.entries()[-1].id == "charge:acme/C1/1:1"
    assert (
        sentences(story_of(world, "C1"))[-1] == "What stands posted for cycle 1 stays: by now the resolution qualifies."
    )
    assert "In all, acme pays 0.99 USD and maya earns 0.59 USD." in said(world)


def test_an_included_unit_that_nobody_is_paid_for_is_told_as_free() -> None:
    world = World(contract=a_contract(included=1))
    world.send(world.completed("C1", "2026-03-02", expert=None))
    assert "The unit is included or the cap is reached: nothing to pay." in said(world)


def test_a_credit_after_the_close_is_told_with_both_invoices_and_the_payout_that_took_the_pay() -> None:
    world = World()
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    world.send(*(world.completed(f"C{i}", "2026-03-29") for i in range(20)))
    [payout] = world.plan_payouts("2026-04-06")
    assert isinstance(payout, Payout)
    world.close()
    world.send(world.reopened("C1", "2026-04-03", received="2026-04-07"))
    told = said(world)
    assert "Cycle 1 is taken back after its month was closed: the customer came back at 2026-04-03 00:00:00" in told
    assert "Debit revenue/credits 0.99 USD: a credit, which lessens revenue." in told
    assert "Cycle 1: acme pays 0.99 USD, on invoice:acme:2026-03 (planned)." in told
    assert "Cycle 1: acme gets back 0.99 USD, on the invoice of 2026-04, which is not made yet." in told
    assert f"maya earns 0.59 USD, part of what {payout.id} pays (approved)." in told
    assert "maya gives back 0.59 USD, which a later payout pays less." in told


def test_a_dispute_that_the_client_wins_is_told() -> None:
    world = World()
    world.send(
        world.completed("C1", "2026-03-02"), world.fact("resolution.qa_reviewed", "C1", "2026-03-02T01", passed=True)
    )
    world.send(world.fact("resolution.disputed", "C1", "2026-03-03", dispute="d1"))
    world.send(world.fact("dispute.decided", "C1", "2026-03-04", dispute="d1", upheld=True))
    told = said(world)
    assert "The client disputed it (dispute d1)." in told
    assert "Dispute d1 was upheld." in told
    assert "Cycle 1 is taken back: the client won a dispute about it (charge:acme/C1/1:2)." in told


def test_json_has_cycles_facts_entries_and_where_the_amounts_are() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    data = describe_story(story_of(world, "C1"))
    assert (data["client"], data["case"], [it["net_minor"] for it in data["cycles"]]) == ("acme", "C1", [99])
    assert [bool(it["fact"]) for it in data["told"]] == [True, False]
    assert {it["account"]: it["amount_minor"] for it in data["told"][1]["entry"]["postings"]} == {
        "client/acme/unbilled": 99,
        "revenue/resolutions": -99,
        "cost/base": 59,
        "expert/maya/payable": -59,
    }
    assert data["billed"] == [{"cycle": 1, "period": "2026-03", "invoice": None, "currency": "USD", "amount_minor": 99}]
    assert [(it["expert"], it["release_on"], it["amount_minor"]) for it in data["earned"]] == [
        ("maya", "2026-03-09", 59)
    ]


# -- finding it --------------------------------------------------------------------------------------------------------


def test_the_entries_of_a_case_are_found_without_reading_the_book_between_them() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    world.send(*(world.completed(f"D{i}", "2026-03-03") for i in range(3000)))
    world.send(world.reopened("C1", "2026-03-04"))
    read, entries_at = list[int](), world.store.entries_at

    def counted(book: Book, seqs: Sequence[int]) -> Sequence[RecordedEntry]:
        read.extend(seqs)
        return entries_at(book, seqs)

    world.store.entries_at = counted  # type: ignore[method-assign]  # only watched
    assert [told.recorded.entry.id for told in story_of(world, "C1").told if told.recorded] == [
        "charge:acme/C1/1:1",
        "charge:acme/C1/1:2",
    ]
    assert len(read) < 500


def test_entries_that_were_recorded_long_behind_or_before_their_facts_are_found_too() -> None:
    world = World()
    world.send(*(world.completed(f"D{i}", "2026-03-01") for i in range(400)))
    world.send(world.completed("C1", "2026-03-02"))
    world.send(*(world.completed(f"E{i}", "2026-03-03") for i in range(400)))
    key = ("acme", CaseId("C1"))
    for time in ("2026-02-01", "2026-03-20"):
        facts = tuple(replace(fact, time=at(time)) for fact in world.store.stored_cases[key].facts)
        state = replace(world.store.stored_cases[key].cycles[0], settled_at=at(time))
        world.store.stored_cases[key] = replace(world.store.stored_cases[key], facts=facts, cycles=(state,))
        [told] = [told for told in story_of(world, "C1").told if told.recorded]
        assert told.recorded
        assert told.recorded.entry.id == "charge:acme/C1/1:1"


def test_an_entry_that_the_book_lacks_is_named() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    key, book = ("acme", CaseId("C1")), client_book("acme")
    case = world.store.stored_cases[key]
    world.store.stored_cases[key] = replace(case, cycles=(replace(case.cycles[0], entries=2),))
    with pytest.raises(EntriesMissing, match="acme has no entry charge:acme/C1/1:2"):
        story_of(world, "C1")
    assert world.store.head(book).seq == 1


def test_a_case_is_found_by_its_id_alone_unless_two_clients_have_it() -> None:
    world = World()
    world.send(world.completed("C1", "2026-03-02"))
    assert find_case(world.store, world.registry, "C1", None).client == "acme"
    world.registry.all_clients["zenith"] = world.registry.all_clients["acme"].model_copy(update={"id": "zenith"})
    case = world.store.stored_cases["acme", CaseId("C1")]
    world.store.stored_cases["zenith", CaseId("C1")] = replace(case, client="zenith")
    with pytest.raises(CaseUnknown, match="acme, zenith each have a case C1; say which with --client"):
        find_case(world.store, world.registry, "C1", None)
    assert find_case(world.store, world.registry, "C1", "acme") == case
    with pytest.raises(CaseUnknown, match="acme has no case C9; look at how its id is written"):
        find_case(world.store, world.registry, "C9", "acme")


def test_a_case_of_which_only_parked_facts_are_known_says_so() -> None:
    world = World(experts=())
    world.send(world.completed("C1", "2026-03-02"))
    with pytest.raises(CaseUnknown, match="there is no case C1; facts of it are parked: see `solvent parked list`"):
        find_case(world.store, world.registry, "C1", None)


# -- the tables --------------------------------------------------------------------------------------------------------


def test_every_code_has_its_sentence() -> None:
    assert set(EFFECTS) == set(Effect)
    assert set(STATES) == set(CycleStatus)
    assert set(REASONS) == {Reason.SETTLED, Reason.CORRECTED, Reason.REVERSED, Reason.CREDITED}
    assert {kind for kind, _ in FACTS} == {
        f"resolution.{name}" for name in ("completed", "rated", "peer_reviewed", "qa_reviewed", "reopened", "disputed")
    } | {"dispute.decided"}
    flows = [flow for reason in REASONS for flow in POSTING_RULES[reason]]
    roles = {role for flow in flows for role in flow.debit | flow.credit}
    assert {role for role, _ in POSTED} == roles
