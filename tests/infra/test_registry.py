"""The registry over DynamoDB: moto is enough, since nothing here runs in parallel or in a transaction."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from unittest.mock import patch

import pytest
from pynamodb.exceptions import PutError

from billing.contracts import ContractHistory
from infra.aws.documents import dumped
from infra.aws.identity import caller_identity
from infra.aws.registry import DynamoRegistry
from infra.aws.tables import RegistryItem
from ledger.money import Currency
from payouts.plans import PlanHistory
from payouts.policy import PayoutPolicy, PayoutsStopped
from settlement.apply import Applied, Change, Kind, NewTerms, plan_changes
from settlement.expert_status import ExpertStatus, GatePassed
from settlement.ports import Contention, Registered
from settlement.price_changes import approve, propose, sign_first_versions, split_price_changes
from settlement.registry import Client, Gate
from settlement.stripe_port import TransfersCapability
from tests.dynamo_tables import moto_tables
from tests.world import a_contract, a_plan, an_expert, per_unit

AS_OF = date(2026, 10, 10)
ACME = Client(id="acme", name="Acme", email="billing@acme.example")
TERMS = NewTerms(
    (ACME,),
    (a_contract(), a_contract(per_unit("0.89"), starts_on="2026-11-01")),
    (a_plan(not_charged="percent", not_charged_percent="50"),),
    (an_expert(),),
)


@pytest.fixture
def registry() -> Iterator[DynamoRegistry]:
    with moto_tables("test", RegistryItem):
        yield DynamoRegistry()


def apply(registry: DynamoRegistry, new: NewTerms = TERMS) -> tuple[Change, ...]:
    changes = plan_changes(registry.current_terms(), new, AS_OF)
    registry.write(changes)
    return changes


def test_what_was_applied_is_read_as_it_was(registry: DynamoRegistry) -> None:
    apply(registry)

    assert registry.clients(["acme", "globex"]) == {"acme": ACME}
    assert registry.contracts(["acme", "globex"]) == {"acme": ContractHistory("acme", TERMS.contracts)}
    assert registry.plans(["standard", "gold"]) == {"standard": PlanHistory("standard", TERMS.plans)}
    assert registry.experts(["maya", "noah"]) == {"maya": an_expert()}
    assert registry.contracts([]) == {}
    assert registry.experts([]) == {}


def test_terms_are_read_with_the_plans_by_which_the_experts_work_for_the_clients(registry: DynamoRegistry) -> None:
    gold, other = a_plan(id="gold"), a_plan(id="other")
    apply(registry, NewTerms((ACME,), TERMS.contracts, (*TERMS.plans, gold, other), (an_expert(),)))

    found = registry.registered(["acme", "nobody"], ["maya", "noah"], ["gold", "lead"])

    assert found == Registered(
        contracts={"acme": ContractHistory("acme", TERMS.contracts)},
        experts={"maya": an_expert()},
        plans={"standard": PlanHistory("standard", TERMS.plans), "gold": PlanHistory("gold", (gold,))},
    )
    assert registry.registered(["globex"], ["maya"], []).plans == {}
    assert registry.registered([], [], []) == Registered({}, {}, {})


def test_terms_are_those_of_now_whichever_plans_were_asked_for_before(registry: DynamoRegistry) -> None:
    gold = a_plan(id="gold")
    apply(registry, NewTerms((ACME,), TERMS.contracts, (*TERMS.plans, gold), (an_expert(),)))
    before = registry.registered(["acme"], ["maya"], [])
    registry.write([Change(Kind.EXPERT, "maya", an_expert(assignments={"acme": "gold"}), "reassigned", 2)])

    after = registry.registered(["acme"], ["maya"], [])

    assert before.plans.keys() == {"standard"}
    assert after.experts["maya"].assignments == {"acme": "gold"}
    assert after.plans["gold"] == PlanHistory("gold", (gold,))


def test_applying_the_same_terms_twice_changes_nothing_the_second_time(registry: DynamoRegistry) -> None:
    assert len(apply(registry)) == 4
    assert apply(registry) == ()


def test_defaults_are_stored_as_they_were_when_agreed(registry: DynamoRegistry) -> None:
    apply(registry)

    document = RegistryItem.get(Kind.CONTRACT.value, "acme").document
    assert '"acceptance_days":30' in document
    assert '"net_days":30' in document


def test_all_experts_are_read_over_several_pages(registry: DynamoRegistry) -> None:
    assignments = {f"client-with-a-long-name-{number}": "standard" for number in range(300)}
    with RegistryItem.batch_write() as batch:
        for number in range(150):
            expert = an_expert(f"e{number}", assignments=assignments)
            batch.save(RegistryItem(kind="expert", id=expert.id, document=expert.model_dump_json(), revision=1))

    assert len(registry.experts()) == 150  # 1.8 MB; a page ends at 1 MB
    assert len(registry.experts([f"e{number}" for number in range(150)])) == 150  # a batch ends at 100 keys
    assert registry.clients() == {}


def test_what_is_registered_is_read_so_many_at_a_time_in_order_of_ids(registry: DynamoRegistry) -> None:
    with RegistryItem.batch_write() as batch:
        for name in ("c", "a", "b", "d"):
            for kind, document in (
                ("client", Client(id=name, name=name, email=f"{name}@clients.example").model_dump_json()),
                ("contract", dumped(ContractHistory(name, (a_contract(client=name),)))),
                ("pay_plan", dumped(PlanHistory(name, (a_plan(id=name),)))),
                ("expert", an_expert(name).model_dump_json()),
            ):
                batch.save(RegistryItem(kind=kind, id=name, document=document, revision=1))

    for behind, most, expected in (("", 2, ["a", "b"]), ("b", 2, ["c", "d"]), ("bb", 1, ["c"]), ("d", 2, [])):
        assert [it.id for it in registry.clients_after(behind, most)] == expected
        assert [it.id for it in registry.experts_after(behind, most)] == expected
        assert [it.client for it in registry.contracts_after(behind, most)] == expected
        assert [it.plan for it in registry.plans_after(behind, most)] == expected
    assert [it.id for it in registry.experts_after("a")] == ["b", "c", "d"]


def test_changed_document_is_read_anew_however_often_it_was_read(registry: DynamoRegistry) -> None:
    apply(registry)
    assert registry.experts(["maya"])["maya"].country == "US"

    apply(registry, NewTerms(experts=(an_expert(country="CA"),)))

    assert registry.experts(["maya"])["maya"].country == "CA"


def test_unchanged_document_is_parsed_once(registry: DynamoRegistry) -> None:
    apply(registry)

    assert registry.contracts(["acme"])["acme"] is registry.contracts(["acme"])["acme"]


def test_write_over_a_rivals_change_is_refused(registry: DynamoRegistry) -> None:
    apply(registry)
    stale = registry.current_terms()
    apply(registry, NewTerms(experts=(an_expert(country="CA"),)))

    changes = plan_changes(stale, NewTerms(experts=(an_expert(country="MX"),)), AS_OF)

    with pytest.raises(Contention, match="expert maya was changed by somebody else"):
        registry.write(changes)
    assert registry.experts(["maya"])["maya"].country == "CA"


def test_two_first_writes_of_one_client_do_not_overwrite_each_other(registry: DynamoRegistry) -> None:
    changes = plan_changes(registry.current_terms(), TERMS, AS_OF)
    registry.write(changes)

    with pytest.raises(Contention):
        registry.write(changes)


def test_refusal_that_is_no_contention_is_not_called_one(registry: DynamoRegistry) -> None:
    RegistryItem.delete_table()

    with pytest.raises(PutError):
        registry.write([Change(Kind.CLIENT, "acme", ACME, "created", 1)])


def test_ids_at_stripe_are_kept_beside_everything_else(registry: DynamoRegistry) -> None:
    apply(registry)

    registry.set_stripe_customer("acme", "cus_1")
    registry.set_stripe_account("maya", "acct_1")
    registry.set_stripe_account("maya", "acct_1")

    assert registry.clients(["acme"])["acme"] == ACME.model_copy(update={"stripe_customer": "cus_1"})
    assert registry.experts(["maya"])["maya"] == an_expert(stripe_account="acct_1")
    assert registry.current_terms().revisions[Kind.EXPERT, "maya"] == 2
    assert apply(registry) == ()


def test_second_account_of_an_expert_is_refused(registry: DynamoRegistry) -> None:
    apply(registry)
    registry.set_stripe_account("maya", "acct_1")

    with pytest.raises(Contention, match="expert maya has the stripe_account acct_1"):
        registry.set_stripe_account("maya", "acct_2")


def test_stripe_id_over_a_rivals_change_is_refused(registry: DynamoRegistry) -> None:
    apply(registry)
    stale = RegistryItem.get("client", "acme")
    apply(registry, NewTerms(clients=(ACME.model_copy(update={"name": "Acme Ltd"}),)))

    with patch.object(RegistryItem, "get", return_value=stale), pytest.raises(Contention):
        registry.set_stripe_customer("acme", "cus_1")
    assert registry.clients(["acme"])["acme"] == ACME.model_copy(update={"name": "Acme Ltd"})


def test_stripe_id_of_nobody_is_refused(registry: DynamoRegistry) -> None:
    with pytest.raises(KeyError, match="there is no client globex"):
        registry.set_stripe_customer("globex", "cus_1")


def test_proposal_waits_once_and_is_forgotten_when_asked(registry: DynamoRegistry) -> None:
    apply(registry)
    better = NewTerms(contracts=(a_contract(per_unit("0.79"), starts_on="2026-12-01"),))
    _, waiting = split_price_changes(registry.current_terms(), plan_changes(registry.current_terms(), better, AS_OF))

    proposal = propose(registry, waiting, "alice", AS_OF)

    assert registry.proposals() == [proposal]
    with pytest.raises(Contention):
        registry.add_proposal(proposal)
    assert registry.current_terms().contracts["acme"].versions == TERMS.contracts
    registry.remove_proposal(proposal.id)
    registry.remove_proposal(proposal.id)
    assert registry.proposals() == []


def test_approved_terms_are_stored_with_the_people_and_stay_so(registry: DynamoRegistry) -> None:
    registry.write(sign_first_versions(plan_changes(registry.current_terms(), TERMS, AS_OF), "alice", AS_OF))
    better = NewTerms(
        contracts=(a_contract(per_unit("0.79"), starts_on="2026-12-01"),),
        plans=(a_plan(starts_on="2026-12-01", response_bonus=[{"within_seconds": 60, "amount": "0.05"}]),),
    )
    current = registry.current_terms()
    _, waiting = split_price_changes(current, plan_changes(current, better, AS_OF))

    approve(registry, propose(registry, waiting, "alice", AS_OF).id, "bob", AS_OF)

    after = registry.current_terms()
    assert after.contracts["acme"].versions == (*TERMS.contracts, *better.contracts)
    assert after.applied[Kind.CONTRACT, "acme"] == (
        Applied(("2026-01", "2026-11"), "alice", AS_OF),
        Applied(("2026-12",), "alice", AS_OF, "bob", AS_OF),
    )
    assert after.plans["standard"].versions == (*TERMS.plans, *better.plans)
    assert after.applied[Kind.PAY_PLAN, "standard"] == (
        Applied((TERMS.plans[0].version,), "alice", AS_OF),
        Applied(("2026-12-01",), "alice", AS_OF, "bob", AS_OF),
    )
    assert registry.contracts(["acme"])["acme"] == after.contracts["acme"]


def test_payout_policies_are_applied_and_read_by_currency(registry: DynamoRegistry) -> None:
    assert registry.policies() == {}
    policy = PayoutPolicy(id=Currency("USD"), per_run="500.00")

    apply(registry, NewTerms(policies=(policy,)))

    assert registry.policies() == {"USD": policy}
    assert apply(registry, NewTerms(policies=(policy,))) == ()


def test_what_is_known_of_an_expert_is_written_only_over_what_was_read(registry: DynamoRegistry) -> None:
    assert registry.statuses(["maya"]) == {"maya": ExpertStatus("maya")}
    passed = GatePassed(Gate.TRAINING, AS_OF, "lms", date(2027, 10, 10))
    failed = (("po_1", datetime(2026, 10, 9, tzinfo=UTC)),)
    status = ExpertStatus(
        "maya", (passed,), TransfersCapability.RESTRICTED, ("identity",), "bank_1", AS_OF, failed, revision=1
    )

    registry.set_status(status)

    assert registry.statuses(["maya", "noah"]) == {"maya": status, "noah": ExpertStatus("noah")}
    with pytest.raises(Contention):
        registry.set_status(status)


def test_the_kill_switch_stays_on_until_it_is_turned_off(registry: DynamoRegistry) -> None:
    assert registry.payouts_stopped() is None
    for by in ("dana", "erin"):
        stopped = PayoutsStopped(by, datetime(2026, 10, 10, 9, tzinfo=UTC), "an audit")
        registry.stop_payouts(stopped)
        assert registry.payouts_stopped() == stopped

    for _ in range(2):
        registry.resume_payouts()
        assert registry.payouts_stopped() is None


def test_identity_is_what_aws_says(registry: DynamoRegistry) -> None:  # noqa: ARG001  # stands in for AWS
    with patch.dict("os.environ", {"AWS_DEFAULT_REGION": "us-east-1"}):
        assert caller_identity().startswith("arn:aws:sts::123456789012:")
