"""Applying terms: what is refused, what changes, and what stays as agreed."""

from datetime import date

import pytest

from billing.contracts import Contract, ContractHistory, HistoryRefused, add_version
from ledger.terms import format_path
from payouts.plans import PayPlan, PlanHistory
from payouts.policy import PayoutPolicy
from settlement.apply import (
    Change,
    CurrentTerms,
    Kind,
    NewTerms,
    Place,
    Problem,
    TermsRefused,
    count_unchanged,
    plan_changes,
)
from settlement.registry import Client, Expert
from tests.world import GRADUATED, PACKAGE, a_contract, a_plan, an_expert, per_unit

AS_OF = date(2026, 10, 10)


def a_client(client_id: str = "acme", **fields: object) -> Client:
    return Client.model_validate({"id": client_id, "name": "Acme", "email": "billing@acme.example"} | fields)


def registered(
    *, contracts: tuple[Contract, ...] = (), plans: tuple[PayPlan, ...] = (), experts: tuple[Expert, ...] = ()
) -> CurrentTerms:
    """A registry with the client acme, its contract versions, the versions of the plan `standard`, and experts."""
    return CurrentTerms(
        clients={"acme": a_client()},
        contracts={"acme": ContractHistory("acme", contracts)} if contracts else {},
        plans={"standard": PlanHistory("standard", plans)} if plans else {},
        experts={expert.id: expert for expert in experts},
        revisions={(Kind.CONTRACT, "acme"): 4},
    )


def what_changes(current: CurrentTerms, new: NewTerms) -> list[str]:
    return [f"{change.kind} {change.id}: {change.what}" for change in plan_changes(current, new, AS_OF)]


def problems_of(current: CurrentTerms, new: NewTerms) -> list[Problem]:
    with pytest.raises(TermsRefused) as refused:
        plan_changes(current, new, AS_OF)
    return list(refused.value.problems)


def refusals(current: CurrentTerms, new: NewTerms) -> list[str]:
    return [f"{it.place.kind}: {format_path(it.path)}: {it.what}" for it in problems_of(current, new)]


def after(current: CurrentTerms, changes: tuple[Change, ...]) -> CurrentTerms:
    """The registry once the changes are written."""
    clients, contracts = dict(current.clients), dict(current.contracts)
    plans, experts, policies = dict(current.plans), dict(current.experts), dict(current.policies)
    for change in changes:
        match change.document:
            case Client() as client:
                clients[change.id] = client
            case ContractHistory() as contract:
                contracts[change.id] = contract
            case PlanHistory() as plan:
                plans[change.id] = plan
            case Expert() as expert:
                experts[change.id] = expert
            case PayoutPolicy() as policy:
                policies[change.id] = policy
            case _:
                pytest.fail(f"no test here changes {change.kind}")
    return CurrentTerms(clients, contracts, plans, experts, policies)


NIGHT = {
    "id": "night",
    "kind": "weekly",
    "windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "22:00", "to": "06:00"}],
}
WORLD = NewTerms((a_client(),), (a_contract(),), (a_plan(),), (an_expert(),))


# -- what changes ------------------------------------------------------------------------------------------------------


def test_everything_is_created_in_the_order_in_which_it_is_named() -> None:
    assert what_changes(CurrentTerms(), WORLD) == [
        "client acme: created",
        "contract acme: created (from 2026-01)",
        "pay_plan standard: created (from 2026-01-01)",
        "expert maya: created",
    ]


def test_same_documents_a_second_time_change_nothing() -> None:
    current = after(CurrentTerms(), plan_changes(CurrentTerms(), WORLD, AS_OF))

    assert plan_changes(current, WORLD, AS_OF) == ()
    assert count_unchanged(WORLD, ()) == 4


def test_new_version_joins_the_one_in_force() -> None:
    new = NewTerms(contracts=(a_contract(per_unit("0.89"), starts_on="2026-11-01"), a_contract()))

    (change,) = plan_changes(registered(contracts=(a_contract(),)), new, AS_OF)

    assert change.what == "new version from 2026-11"
    assert change.revision == 5
    assert isinstance(change.document, ContractHistory)
    assert [version.version for version in change.document.versions] == ["2026-01", "2026-11"]
    assert count_unchanged(new, [change]) == 0


def test_version_that_has_not_begun_can_be_replaced_and_says_what_differs() -> None:
    planned = a_contract(starts_on="2026-11-01"), a_contract(starts_on="2027-02-01")
    better = a_contract(per_unit("0.89"), starts_on="2026-11-01", net_days=14)

    assert what_changes(registered(contracts=(a_contract(), *planned)), NewTerms(contracts=(better,))) == [
        "contract acme: version 2026-11 changed (net_days: 30 -> 14, rates[0].price.unit: 0.99 -> 0.89)"
    ]


def test_plan_takes_a_new_version_and_a_better_one_before_it_begins() -> None:
    planned = a_plan(starts_on="2026-10-15", csat_bonus=[{"at_least_percent": "90", "amount": "0.15"}])
    new = NewTerms(plans=(a_plan(starts_on="2026-10-15"), a_plan(starts_on="2026-12-24")))

    assert what_changes(registered(plans=(a_plan(), planned)), new) == [
        (
            "pay_plan standard: version 2026-10-15 changed (csat_bonus[0].at_least_percent: 90 -> none, "
            "csat_bonus[0].amount: 0.15 -> none); new version from 2026-12-24"
        )
    ]


def test_changed_client_and_expert_keep_their_ids_at_stripe() -> None:
    current = CurrentTerms(
        clients={"acme": a_client(stripe_customer="cus_1")},
        plans={"standard": PlanHistory("standard", (a_plan(),))},
        experts={"maya": an_expert(stripe_account="acct_1")},
    )
    new = NewTerms(clients=(a_client(name="Acme Ltd"),), experts=(an_expert(country="CA"),))

    client, expert = plan_changes(current, new, AS_OF)

    assert (client.document, client.what) == (
        a_client(name="Acme Ltd", stripe_customer="cus_1"),
        "changed (name: Acme -> Acme Ltd)",
    )
    assert (expert.document, expert.what) == (
        an_expert(country="CA", stripe_account="acct_1"),
        "changed (country: US -> CA)",
    )


def test_file_can_neither_give_nor_take_an_id_at_stripe() -> None:
    (created,) = plan_changes(CurrentTerms(), NewTerms(clients=(a_client(stripe_customer="cus_2"),)), AS_OF)

    assert created.document == a_client()


# -- versions ----------------------------------------------------------------------------------------------------------


def test_new_version_of_an_existing_contract_or_plan_starts_after_today() -> None:
    current = registered(contracts=(a_contract(),), plans=(a_plan(),))
    new = NewTerms(contracts=(a_contract(starts_on="2026-10-01"),), plans=(a_plan(starts_on="2026-10-10"),))

    assert refusals(current, new) == [
        "contract: starts_on: 2026-10-01 is not after 2026-10-10: a new version may only start later",
        "pay_plan: starts_on: 2026-10-10 is not after 2026-10-10: a new version may only start later",
    ]


def test_day_that_counts_for_a_contract_is_the_newest_in_its_time_zone() -> None:
    """At 20:00 UTC of 31 October it is November in Tokyo, and resolutions are priced by what is agreed."""
    tokyo, lima = (a_contract(time_zone=zone) for zone in ("Asia/Tokyo", "America/Lima"))
    eve = date(2026, 10, 31)

    for contract, what in ((tokyo, "is not after 2026-11-01"), (lima, "")):
        new = NewTerms(contracts=(contract.model_copy(update={"starts_on": date(2026, 11, 1)}),))
        ended = NewTerms(contracts=(contract.model_copy(update={"ends_on": date(2026, 11, 1)}),))
        for terms in (new, ended):
            current = registered(contracts=(contract,))
            if what:
                with pytest.raises(TermsRefused, match=what):
                    plan_changes(current, terms, eve)
            else:
                assert len(plan_changes(current, terms, eve)) == 1


def test_version_that_has_begun_stays_as_agreed() -> None:
    dearer = NewTerms(contracts=(a_contract(per_unit("1.09")),))

    assert refusals(registered(contracts=(a_contract(),)), dearer) == [
        (
            "contract: rates[0].price.unit: the version of 2026-01-01 has begun and stays as agreed; "
            "add one that starts after 2026-10-10 (rates[0].price.unit: 0.99 -> 1.09)"
        )
    ]


def test_contract_in_force_can_be_given_an_end_that_is_to_come() -> None:
    current = registered(contracts=(a_contract(),))

    assert what_changes(current, NewTerms(contracts=(a_contract(ends_on="2026-11-01"),))) == [
        "contract acme: version 2026-01 changed (ends_on: none -> 2026-11-01)"
    ]
    assert refusals(current, NewTerms(contracts=(a_contract(ends_on="2026-10-01"),))) == [
        "contract: ends_on: 2026-10-01 is not after 2026-10-10: it can only end later"
    ]


def test_contract_that_has_ended_is_not_revived_in_arrears() -> None:
    ended = registered(contracts=(a_contract(ends_on="2026-09-01"),))

    assert refusals(ended, NewTerms(contracts=(a_contract(),))) == [
        "contract: ends_on: it ended on 2026-09-01, and that stays; add a version instead"
    ]
    assert what_changes(ended, NewTerms(contracts=(a_contract(starts_on="2026-11-01"),))) == [
        "contract acme: new version from 2026-11"
    ]


def test_version_that_overlaps_another_is_refused() -> None:
    current = registered(contracts=(a_contract(ends_on="2027-01-01"),))

    assert refusals(current, NewTerms(contracts=(a_contract(starts_on="2026-12-01"),))) == [
        "contract: starts_on: 2026-12-01 overlaps the version of 2026-01-01"
    ]


def test_version_in_between_is_accepted_with_an_end_only() -> None:
    history = (a_contract(), a_contract(starts_on="2027-02-01"))

    with pytest.raises(HistoryRefused, match="starts_on: 2026-12-01 is before the version of 2027-02-01"):
        add_version(history, a_contract(starts_on="2026-12-01"), "")
    with pytest.raises(HistoryRefused, match="ends_on: 2027-03-01 overlaps the version of 2027-02-01"):
        add_version(history, a_contract(starts_on="2026-12-01", ends_on="2027-03-01"), "")
    longer = add_version(history, a_contract(starts_on="2026-12-01", ends_on="2027-02-01"), "")
    assert [version.version for version in longer] == ["2026-01", "2026-12", "2027-02"]


def test_two_versions_that_start_together_are_refused_with_both_places() -> None:
    twice = NewTerms((a_client(),), (a_contract(), a_contract(per_unit("0.89"))))

    assert problems_of(CurrentTerms(), twice) == [
        Problem(
            Place(Kind.CONTRACT, 1),
            ("starts_on",),
            "acme has two versions that start on 2026-01-01",
            Place(Kind.CONTRACT, 0),
        )
    ]


@pytest.mark.parametrize(("field", "value"), [("currency", "EUR"), ("time_zone", "Asia/Tokyo")])
def test_client_keeps_currency_and_time_zone_for_life(field: str, value: object) -> None:
    other = NewTerms(contracts=(a_contract(None, starts_on="2026-11-01", **{field: value}),))

    (problem,) = problems_of(registered(contracts=(a_contract(),)), other)

    assert problem.path == (field,)
    assert problem.what.endswith("for life; open a new client instead")


# -- documents that do not fit each other ------------------------------------------------------------------------------


def test_all_unknown_names_are_reported_at_once() -> None:
    expert = an_expert(assignments={"acme": "standard", "globex": "gold"})

    assert refusals(CurrentTerms(), NewTerms(contracts=(a_contract(),), experts=(expert,))) == [
        "contract: client: there is no client acme",
        "expert: assignments.acme: there is no client acme",
        "expert: assignments.acme: there is no pay plan standard",
        "expert: assignments.globex: there is no client globex",
        "expert: assignments.globex: there is no pay plan gold",
    ]


def test_client_or_expert_described_twice_is_refused() -> None:
    twice = NewTerms(clients=(a_client(), a_client()), experts=(an_expert(assignments={}), an_expert(assignments={})))

    assert refusals(CurrentTerms(), twice) == [
        "client: id: acme is described twice",
        "expert: id: maya is described twice",
    ]


def test_share_needs_the_currency_of_the_contract_whichever_is_applied_last() -> None:
    euro, fixed = a_plan(currency="EUR"), a_plan(currency="EUR", base={"kind": "fixed", "amount": "0.50"})
    what = "a share needs one currency, but acme's contract is in USD and pay plan standard in EUR"

    assert refusals(registered(contracts=(a_contract(),), plans=(euro,)), NewTerms(experts=(an_expert(),))) == [
        f"expert: assignments.acme: {what}"
    ]
    assert refusals(registered(plans=(euro,), experts=(an_expert(),)), NewTerms(contracts=(a_contract(),))) == [
        f"contract: currency: {what} (plan of maya)"
    ]
    share = a_plan(currency="EUR", starts_on="2026-11-01")
    current = registered(contracts=(a_contract(),), plans=(fixed,), experts=(an_expert(),))
    assert refusals(current, NewTerms(plans=(share,))) == [f"pay_plan: currency: {what} (plan of maya)"]
    assert what_changes(current, NewTerms(plans=(fixed,))) == []


def test_e12_share_below_one_minor_unit_is_refused_whichever_is_applied_last() -> None:
    tiny, what = (
        a_contract(per_unit("0.00125")),
        "60% of the list price 0.00125 USD is below one minor unit per resolution",
    )

    assert refusals(CurrentTerms(), NewTerms((a_client(),), (tiny,), (a_plan(),), (an_expert(),))) == [
        f"contract: rates[0].price: {what} (pay plan standard of maya)"
    ]
    assert refusals(registered(contracts=(tiny,), experts=(an_expert(),)), NewTerms(plans=(a_plan(),))) == [
        f"pay_plan: base.percent: {what} (acme's rates[0].price from 2026-01; plan of maya)"
    ]
    assert refusals(registered(contracts=(tiny,), plans=(a_plan(),)), NewTerms(experts=(an_expert(),))) == [
        f"expert: assignments.acme: {what} (acme's rates[0].price from 2026-01, pay plan standard)"
    ]


@pytest.mark.parametrize(
    ("unit", "fields", "expected"),
    [
        (
            "0.02",
            {"surge": [{"calendar": "night", "multiplier": "0.8"}]},
            "surge[0].multiplier: 60% of the list price 0.02 USD times 0.8",
        ),
        (
            "0.10",
            {"not_charged": "percent", "not_charged_percent": "10"},
            "not_charged_percent: 60% of the list price 0.1 USD and 10% of that where the client is not charged",
        ),
        ("0.0209", {"surge": [{"calendar": "night", "multiplier": "0.8"}]}, None),
        ("0.17", {"not_charged": "percent", "not_charged_percent": "10"}, None),
        ("0.02", {"surge": [{"calendar": "night", "multiplier": "1.5"}]}, None),
        ("0.02", {"not_charged": "percent", "not_charged_percent": "0"}, None),
    ],
)
def test_e12_counts_what_a_plan_takes_off_the_base(unit: str, fields: dict[str, object], expected: str | None) -> None:
    contract = a_contract(per_unit(unit), calendars=[NIGHT])
    current = registered(contracts=(contract,), experts=(an_expert(),))
    new = NewTerms(plans=(a_plan(**fields),))

    if expected is None:
        assert what_changes(current, new) == ["pay_plan standard: created (from 2026-01-01)"]
    else:
        where = "(acme's rates[0].price from 2026-01; plan of maya)"
        assert refusals(current, new) == [f"pay_plan: {expected} is below one minor unit per resolution {where}"]


def test_surge_needs_its_calendar_in_the_contract_whichever_is_applied_last() -> None:
    surge = a_plan(surge=[{"calendar": name, "multiplier": "1.5"} for name in ("night", "sunday")])
    bare, night = a_contract(), a_contract(calendars=[NIGHT])
    what = "there is no calendar sunday for the surge; there are night"

    assert refusals(registered(plans=(surge,), experts=(an_expert(),)), NewTerms(contracts=(night,))) == [
        f"contract: calendars: {what} (pay plan standard of maya)"
    ]
    assert refusals(registered(contracts=(night,), experts=(an_expert(),)), NewTerms(plans=(surge,))) == [
        f"pay_plan: surge[1].calendar: {what} (acme's calendars from 2026-01; plan of maya)"
    ]
    assert refusals(registered(contracts=(bare,), plans=(surge,)), NewTerms(experts=(an_expert(),))) == [
        f"expert: assignments.acme: there is no calendar {name} for the surge; the contract has no calendars "
        "(acme's calendars from 2026-01, pay plan standard)"
        for name in ("night", "sunday")
    ]


def test_surge_of_a_plan_that_nobody_works_by_for_the_client_needs_no_calendar() -> None:
    surge = a_plan(surge=[{"calendar": "night", "multiplier": "1.5"}])
    elsewhere = an_expert(assignments={})

    assert (
        len(plan_changes(registered(contracts=(a_contract(),), experts=(elsewhere,)), NewTerms(plans=(surge,)), AS_OF))
        == 1
    )


def test_calendar_that_a_later_version_drops_is_missed_from_then_on() -> None:
    surge = a_plan(surge=[{"calendar": "night", "multiplier": "1.5"}])
    current = registered(contracts=(a_contract(calendars=[NIGHT]),), plans=(surge,), experts=(an_expert(),))

    what = "there is no calendar night for the surge; the contract has no calendars (pay plan standard of maya)"
    assert refusals(current, NewTerms(contracts=(a_contract(starts_on="2026-11-01"),))) == [
        f"contract: calendars: {what}"
    ]


@pytest.mark.parametrize(
    ("price", "included", "least"),
    [
        ({"model": "graduated", "tiers": [{"up_to": 9, "unit": "1"}, {"unit": "0.016"}]}, 0, "0.016"),
        ({"model": "volume", "tiers": [{"up_to": 9, "unit": "0.01"}, {"unit": "1"}]}, 100, "0.01"),
        ({"model": "package", "size": 300, "amount": "1.00"}, 0, "0.00333333333333"),
    ],
)
def test_smallest_list_price_of_any_tier_decides(price: dict[str, object], included: int, least: str) -> None:
    contract = a_contract(price, included=included)

    (problem,) = problems_of(CurrentTerms(), NewTerms((a_client(),), (contract,), (a_plan(),), (an_expert(),)))

    assert problem.what.startswith(f"60% of the list price {least} USD is below one minor unit")


@pytest.mark.parametrize("price", [GRADUATED, PACKAGE, per_unit("0.0167")])
def test_share_of_a_minor_unit_or_more_is_accepted(price: dict[str, object]) -> None:
    assert len(plan_changes(CurrentTerms(), NewTerms((a_client(),), (a_contract(price),), (a_plan(),)), AS_OF)) == 3
    everything = NewTerms((a_client(),), (a_contract(price),), (a_plan(),), (an_expert(),))
    assert len(plan_changes(CurrentTerms(), everything, AS_OF)) == 4


def test_tiny_price_that_no_expert_can_earn_by_is_accepted() -> None:
    rates = [
        {"id": "ai", "match": {"resolver": ["ai"]}, "price": per_unit("0.001")},
        {"id": "people", "price": per_unit("0.99")},
    ]
    new = NewTerms((a_client(),), (a_contract(rates=rates),), (a_plan(),), (an_expert(),))

    assert len(plan_changes(CurrentTerms(), new, AS_OF)) == 4


def test_tiny_price_that_ended_before_the_share_began_is_accepted() -> None:
    history = (a_contract(per_unit("0.001"), ends_on="2026-06-01"), a_contract(starts_on="2026-06-01"))

    assert what_changes(registered(contracts=history, plans=(a_plan(),)), NewTerms(experts=(an_expert(),))) == [
        "expert maya: created"
    ]
