"""Price changes need two people: what waits, who may approve it, and what then is written."""

from dataclasses import replace
from datetime import date

import pytest

from billing.contracts import Contract, ContractHistory
from ledger.money import Currency
from payouts.plans import PlanHistory
from payouts.policy import PayoutPolicy
from settlement.apply import Applied, CurrentTerms, Kind, NewTerms, TermsRefused, plan_changes
from settlement.identity import is_same_person
from settlement.ports import Contention
from settlement.price_changes import (
    PriceChange,
    PriceChangeRefused,
    approve,
    content_hash,
    propose,
    sign_first_versions,
    split_price_changes,
)
from settlement.registry import Client
from tests.terms_registry import FakeRegistry
from tests.world import a_contract, a_plan, an_expert, per_unit

AS_OF, NEXT_DAY = date(2026, 10, 10), date(2026, 10, 11)
DEARER = a_contract(per_unit("1.09"), starts_on="2026-11-01")
MORE = a_plan(starts_on="2026-11-01", base={"kind": "share", "percent": "65"})


def a_client(client_id: str) -> Client:
    return Client(id=client_id, name=client_id, email=f"billing@{client_id}.example")


def a_registry(*clients: str) -> FakeRegistry:
    """Clients whose first contract is in force."""
    return FakeRegistry(
        CurrentTerms(
            clients={name: a_client(name) for name in clients},
            contracts={name: ContractHistory(name, (a_contract(client=name),)) for name in clients},
            revisions={(Kind.CONTRACT, name): 1 for name in clients},
        )
    )


def waiting_changes(registry: FakeRegistry, *contracts: Contract) -> tuple[PriceChange, ...]:
    planned = plan_changes(registry.current_terms(), NewTerms(contracts=contracts), AS_OF)
    at_once, waiting = split_price_changes(registry.current_terms(), planned)
    assert at_once == ()
    return waiting


def proposed(registry: FakeRegistry, *contracts: Contract, by: str = "alice") -> str:
    return propose(registry, waiting_changes(registry, *contracts), by, AS_OF).id


def versions_of(registry: FakeRegistry, client: str) -> list[str]:
    return [version.version for version in registry.terms.contracts[client].versions]


# -- what waits --------------------------------------------------------------------------------------------------------


def test_changed_contract_waits_and_everything_else_does_not() -> None:
    current = a_registry("acme").current_terms()
    new = NewTerms(
        clients=(a_client("globex"),), contracts=(DEARER, a_contract(client="globex")), plans=(a_plan(),), experts=()
    )

    at_once, waiting = split_price_changes(current, plan_changes(current, new, AS_OF))

    assert [(change.kind.value, change.id) for change in at_once] == [
        ("client", "globex"),
        ("contract", "globex"),
        ("pay_plan", "standard"),
    ]
    assert [(change.kind, change.id, change.what, change.revision) for change in waiting] == [
        (Kind.CONTRACT, "acme", "new version from 2026-11", 2)
    ]


def test_end_of_a_contract_is_a_change_of_agreed_terms() -> None:
    (change,) = waiting_changes(a_registry("acme"), a_contract(ends_on="2026-12-01"))

    assert change.what == "version 2026-01 changed (ends_on: none -> 2026-12-01)"


def test_what_waits_is_written_nowhere() -> None:
    registry = a_registry("acme")

    proposed(registry, DEARER)

    assert versions_of(registry, "acme") == ["2026-01"]
    assert registry.terms.revisions == {(Kind.CONTRACT, "acme"): 1}


def test_same_proposal_twice_is_one_and_stays_with_whoever_came_first() -> None:
    registry = a_registry("acme")

    first = propose(registry, waiting_changes(registry, DEARER), "alice", AS_OF)
    again = propose(registry, waiting_changes(registry, DEARER), "bob", NEXT_DAY)

    assert again == first
    assert len(registry.proposals()) == 1


def test_changed_pay_plan_waits_and_a_new_one_does_not() -> None:
    registry = a_registry("acme")
    registry.terms = replace(registry.terms, plans={"standard": PlanHistory("standard", (a_plan(),))})
    new = NewTerms(plans=(MORE, a_plan(id="gold")))

    at_once, waiting = split_price_changes(registry.terms, plan_changes(registry.terms, new, AS_OF))

    assert [change.id for change in at_once] == ["gold"]
    assert [(change.kind, change.id, change.what) for change in waiting] == [
        (Kind.PAY_PLAN, "standard", "new version from 2026-11-01")
    ]


def cheap_terms() -> CurrentTerms:
    """Maya earns the whole of a price of one cent."""
    return CurrentTerms(
        clients={"acme": a_client("acme")},
        contracts={"acme": ContractHistory("acme", (a_contract(per_unit("0.01")),))},
        plans={"standard": PlanHistory("standard", (a_plan(base={"kind": "share", "percent": "100"}),))},
        experts={"maya": an_expert()},
    )


def test_assignment_that_needs_the_waiting_price_is_refused_until_it_is_approved() -> None:
    current, gold = cheap_terms(), a_plan(id="gold", starts_on="2026-11-01")
    new = NewTerms(contracts=(DEARER,), plans=(gold,), experts=(an_expert(assignments={"acme": "gold"}),))

    with pytest.raises(TermsRefused, match=r"60% of the list price 0\.01 USD .* waits for a second person: apply this"):
        plan_changes(current, new, AS_OF)
    approved = replace(current, contracts={"acme": ContractHistory("acme", (a_contract(per_unit("0.01")), DEARER))})
    assert len(plan_changes(approved, NewTerms(plans=new.plans, experts=new.experts), AS_OF)) == 2


def test_price_and_pay_plan_that_need_each_other_wait_together() -> None:
    current = cheap_terms()
    lower = a_plan(starts_on="2026-11-01", base={"kind": "share", "percent": "50"})

    changes = plan_changes(current, NewTerms(contracts=(DEARER,), plans=(lower,)), AS_OF)

    assert [change.id for change in split_price_changes(current, changes)[1]] == ["acme", "standard"]
    with pytest.raises(TermsRefused, match=r"50% of the list price 0\.01 USD is below one minor unit"):
        plan_changes(current, NewTerms(plans=(lower,)), AS_OF)


# -- the hash ----------------------------------------------------------------------------------------------------------


def test_hash_is_of_every_value_and_of_what_it_changes() -> None:
    (change,) = waiting_changes(a_registry("acme"), DEARER)
    dearer_still = a_contract(per_unit("1.10"), starts_on="2026-11-01")

    others = [
        waiting_changes(a_registry("acme"), dearer_still),
        waiting_changes(a_registry("acme"), a_contract(per_unit("1.09"), starts_on="2026-12-01")),
        waiting_changes(a_registry("acme"), a_contract(per_unit("1.09"), starts_on="2026-11-01", net_days=31)),
        (replace(change, revision=change.revision + 1),),
        (replace(change, id="globex"),),
        (replace(change, kind=Kind.PAY_PLAN),),
    ]

    assert len({content_hash((change,)), *(content_hash(other) for other in others)}) == 7


def test_hash_does_not_depend_on_the_order_of_clients() -> None:
    registry = a_registry("acme", "globex")
    one, other = waiting_changes(registry, DEARER, a_contract(per_unit("2"), client="globex", starts_on="2026-11-01"))

    assert content_hash((one, other)) == content_hash((other, one))


# -- approving ---------------------------------------------------------------------------------------------------------


def test_approval_writes_exactly_what_was_proposed_and_records_both_people() -> None:
    registry = a_registry("acme")
    proposal = proposed(registry, DEARER)

    (written,) = approve(registry, proposal, "bob", NEXT_DAY)

    assert written.document == ContractHistory("acme", (a_contract(), DEARER))
    assert registry.terms.contracts["acme"] == written.document
    assert registry.terms.applied[Kind.CONTRACT, "acme"] == (Applied(("2026-11",), "alice", AS_OF, "bob", NEXT_DAY),)
    assert registry.proposals() == []


@pytest.mark.parametrize("by", ["alice", "Alice", " alice "])
def test_proposer_cannot_approve(by: str) -> None:
    registry = a_registry("acme")
    proposal = proposed(registry, DEARER)

    with pytest.raises(PriceChangeRefused, match="alice proposed this; somebody else has to approve it"):
        approve(registry, proposal, by, NEXT_DAY)
    assert versions_of(registry, "acme") == ["2026-01"]


def test_only_what_waits_can_be_approved() -> None:
    with pytest.raises(PriceChangeRefused, match="nothing waits under 0123456789abcdef"):
        approve(a_registry("acme"), "0123456789abcdef", "bob", NEXT_DAY)


def test_altered_proposal_is_refused() -> None:
    registry = a_registry("acme")
    proposal = proposed(registry, DEARER)
    kept = registry.waiting[proposal]
    (better,) = waiting_changes(registry, a_contract(per_unit("9.99"), starts_on="2026-11-01"))
    registry.waiting[proposal] = type(kept)(kept.id, (better,), kept.proposed_by, kept.proposed_on)

    with pytest.raises(PriceChangeRefused, match="is not what was proposed"):
        approve(registry, proposal, "bob", NEXT_DAY)
    assert versions_of(registry, "acme") == ["2026-01"]


def test_of_two_proposals_for_one_contract_the_second_is_outdated() -> None:
    registry = a_registry("acme")
    first = proposed(registry, DEARER)
    second = proposed(registry, a_contract(per_unit("1.19"), starts_on="2026-11-01"))
    approve(registry, first, "bob", NEXT_DAY)

    with pytest.raises(PriceChangeRefused, match="the contract acme has changed since"):
        approve(registry, second, "bob", NEXT_DAY)
    assert registry.terms.contracts["acme"].versions[-1] == DEARER


def test_version_that_has_begun_while_it_waited_is_refused() -> None:
    registry = a_registry("acme")
    proposal = proposed(registry, DEARER)

    with pytest.raises(TermsRefused, match="2026-11-01 is not after 2026-11-01: a new version may only start later"):
        approve(registry, proposal, "bob", date(2026, 11, 1))
    assert versions_of(registry, "acme") == ["2026-01"]


def test_approval_that_was_interrupted_is_completed_by_approving_again() -> None:
    registry = a_registry("acme", "globex")
    proposal = proposed(registry, DEARER, a_contract(per_unit("2"), client="globex", starts_on="2026-11-01"))
    registry.fails_before = 2

    with pytest.raises(Contention):
        approve(registry, proposal, "bob", NEXT_DAY)
    assert (versions_of(registry, "acme"), versions_of(registry, "globex")) == (["2026-01", "2026-11"], ["2026-01"])

    registry.fails_before = None
    (written,) = approve(registry, proposal, "bob", NEXT_DAY)
    assert written.id == "globex"
    assert registry.proposals() == []


def test_price_and_pay_plan_are_approved_together_and_both_say_who_did() -> None:
    registry = a_registry("acme")
    registry.terms = replace(
        registry.terms,
        plans={"standard": PlanHistory("standard", (a_plan(),))},
        revisions={**registry.terms.revisions, (Kind.PAY_PLAN, "standard"): 1},
    )
    planned = plan_changes(registry.terms, NewTerms(contracts=(DEARER,), plans=(MORE,)), AS_OF)
    proposal = propose(registry, split_price_changes(registry.terms, planned)[1], "alice", AS_OF).id

    assert list(registry.terms.plans["standard"].versions) == [a_plan()]
    approve(registry, proposal, "bob", NEXT_DAY)

    assert list(registry.terms.plans["standard"].versions) == [a_plan(), MORE]
    assert registry.terms.applied == {
        (Kind.CONTRACT, "acme"): (Applied(("2026-11",), "alice", AS_OF, "bob", NEXT_DAY),),
        (Kind.PAY_PLAN, "standard"): (Applied(("2026-11-01",), "alice", AS_OF, "bob", NEXT_DAY),),
    }


def test_history_keeps_every_signature() -> None:
    registry = a_registry("acme")
    approve(registry, proposed(registry, DEARER), "bob", NEXT_DAY)
    cheaper = a_contract(per_unit("0.89"), starts_on="2026-11-01")
    approve(registry, proposed(registry, cheaper, by="bob"), "alice", NEXT_DAY)

    assert [(it.versions, it.proposed_by, it.approved_by) for it in registry.terms.applied[Kind.CONTRACT, "acme"]] == [
        (("2026-11",), "alice", "bob"),
        (("2026-11",), "bob", "alice"),
    ]


# -- people ------------------------------------------------------------------------------------------------------------


def test_first_version_needs_nobody_else_and_says_who_applied_it() -> None:
    current = CurrentTerms(clients={"acme": a_client("acme")})
    changes = plan_changes(current, NewTerms(contracts=(a_contract(),)), AS_OF)

    (signed,) = sign_first_versions(changes, "alice", AS_OF)
    (unsigned,) = sign_first_versions(changes, None, AS_OF)

    assert signed.applied == (Applied(("2026-01",), "alice", AS_OF),)
    assert unsigned.applied == ()


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("arn:aws:sts::111122223333:assumed-role/Prices/alice@corp.example", True),
        ("arn:aws:sts::111122223333:assumed-role/Finance/alice@corp.example", True),
        ("arn:aws:iam::444455556666:user/staff/alice@corp.example", True),
        ("arn:aws:sts::111122223333:assumed-role/Prices/bob@corp.example", False),
        ("alice@corp.example", True),
        ("bob", False),
    ],
)
def test_one_person_under_another_role_stays_one_person(other: str, expected: bool) -> None:  # noqa: FBT001  # a case
    assert is_same_person("arn:aws:sts::111122223333:assumed-role/Prices/alice@corp.example", other) is expected


def test_nobody_raises_a_payout_limit_alone() -> None:
    registry, code = a_registry("acme"), Currency("USD")
    policy, looser = PayoutPolicy(id=code, approve_above="100.00"), PayoutPolicy(id=code, approve_above="9000.00")
    first = plan_changes(registry.current_terms(), NewTerms(policies=(policy,)), AS_OF)
    assert split_price_changes(registry.current_terms(), first) == (first, ())
    registry.write(first)

    changes = plan_changes(registry.current_terms(), NewTerms(policies=(looser,)), AS_OF)
    at_once, waiting = split_price_changes(registry.current_terms(), changes)
    proposal = propose(registry, waiting, "alice", AS_OF)

    assert (at_once, registry.current_terms().policies) == ((), {"USD": policy})
    with pytest.raises(PriceChangeRefused, match="somebody else"):
        approve(registry, proposal.id, "alice", AS_OF)
    (written,) = approve(registry, proposal.id, "bob", AS_OF)
    assert registry.current_terms().policies == {"USD": looser}
    assert written.applied[-1] == Applied(("USD",), "alice", AS_OF, "bob", AS_OF)
