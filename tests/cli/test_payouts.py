"""`solvent payouts` over a store, a registry and a queue in memory."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import boto3
import pytest
from typer.testing import CliRunner

from cli import payout_actions, payouts
from cli.connection import Connection
from cli.main import app
from cli.payout_actions import Wanted
from infra.aws.queues import NotSent
from infra.aws.queues import queue as queue_of
from infra.local.packaging import PROJECT_ROOT
from ledger.money import Currency
from payouts.payouts import Instant, Payout, PayoutStatus, moved
from payouts.policy import PayoutPolicy, PayoutsStopped
from settlement.approve_payouts import approve_small_runs, waiting_runs
from settlement.expert_status import ExpertStatus
from settlement.plan_payouts import HeldBack
from settlement.ports import Changes, Contention, PayoutRun
from settlement.registry import Gate
from settlement.send_payouts import send_payout
from settlement.stripe_port import NotEnoughFunds, TransfersCapability
from tests.commands import printed
from tests.dynamo_tables import moto_tables
from tests.fake_stripe import FakeStripe
from tests.memory_store import MemoryRegistry, MemoryStore
from tests.world import World, a_plan, an_expert, at

MONDAY, LATER, RUN = at("2026-03-16"), at("2026-03-17T09:00:00"), "2026-W12"
MAYA = f"payout:maya:USD:{RUN}"
USD = Currency("USD")


@dataclass
class Here:
    """A stack in memory; `asked` are the payouts that were put into the queue."""

    store: MemoryStore
    registry: MemoryRegistry
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    fails: bool = False

    def ask_to_send(self, ids: Iterable[str], as_of: datetime) -> None:
        if self.fails:
            raise NotSent("1 of 1 messages were not taken; send them again")
        self.asked += [(id_, as_of) for id_ in ids]


@dataclass
class Place:
    """A world whose commands can be called: maya has 5.90 that matured, noah 1.77 and no Stripe account."""

    world: World
    here: Here

    def call(self, command: Callable[..., int], *arguments: object, code: int = 0) -> list[str]:
        """What a command prints that ends with `code`, line by line."""
        return printed(command, self.here, *arguments, code=code).splitlines()

    def look(self, command: Callable[..., int], *arguments: object, code: int = 0, as_json: bool = False) -> str:
        """The same for a command that only looks."""
        keywords = {"as_json": True} if as_json else {}
        return printed(command, self.here.store, *arguments, code=code, **keywords)

    def payout(self, id_: str = MAYA) -> Payout:
        return self.here.store.stored_payouts[id_]

    def waiting(self) -> list[str]:
        """The hashes of what waits."""
        return [run.hash for run in waiting_runs(self.here.store)]


def a_place(**policy: object) -> Place:
    world = World(plan=a_plan(minimum_payout="1.00"))
    world.registry.all_experts["maya"] = an_expert("maya", stripe_account="acct_maya")
    world.send(*(world.completed(f"C{i}", "2026-03-02") for i in range(10)))
    world.send(*(world.completed(f"D{i}", "2026-03-02", "noah") for i in range(3)))
    if policy:
        world.registry.known_policies[USD] = PayoutPolicy.model_validate({"id": "USD"} | policy)
    return Place(world, Here(world.store, world.registry))


def a_run_that_waits() -> Place:
    """The week's run is above the threshold."""
    place = a_place(approve_above="5.00")
    place.world.plan_payouts()
    approve_small_runs(place.here.store, place.here.registry, RUN, MONDAY)
    return place


def an_instant_place(**policy: object) -> Place:
    return a_place(instant_fee_percent="1", instant_fee_minimum="0.50", **policy)


# -- list and show -----------------------------------------------------------------------------------------------------


def test_payouts_are_listed_with_their_amounts_by_run_and_state() -> None:
    place = a_place()
    place.world.plan_payouts()

    text = place.look(payouts.list_payouts, (RUN, PayoutStatus.APPROVED))

    assert [MAYA, "approved", "5.90", "0.00", "0.00", "0.00", "USD"] in [line.split() for line in text.splitlines()]
    assert text.endswith("1 payouts of 5.90 USD\n")
    assert place.look(payouts.list_payouts, (None, PayoutStatus.FAILED)).endswith("0 payouts\n")


def test_a_run_that_nobody_planned_is_refused_and_one_without_payouts_is_not() -> None:
    place = a_place()
    assert "there was no run 2026-W99" in place.look(payouts.list_payouts, ("2026-W99", None), code=2)
    place.here.store.commit(Changes(payout_runs=(PayoutRun("2026-W11", MONDAY, is_finished=True, revision=1),)))
    assert place.look(payouts.list_payouts, ("2026-W11", None)).endswith("0 payouts\n")


def test_the_list_as_data_has_every_field_and_minor_units() -> None:
    place = a_place()
    place.world.plan_payouts()

    (data,) = json.loads(place.look(payouts.list_payouts, (None, None), as_json=True))

    assert (data["id"], data["amount_minor"], data["planned_at"]) == (MAYA, 590, "2026-03-16T00:00:00Z")
    amounts = {"amount", "withheld", "fee", "reversed"}
    wanted = {f"{name}_minor" if name in amounts else name for name in Payout.__dataclass_fields__} - {"revision"}
    assert set(data) == wanted


def test_a_payout_is_shown_with_what_it_waits_for_and_the_next_step() -> None:
    place = a_run_that_waits()

    lines = place.look(payouts.show_payout, place.here.registry, MAYA, LATER).splitlines()

    assert {"status: planned", "amount: 5.90", "planned by: schedule", "waits for: a second person"} <= set(lines)
    assert f"next step: `solvent payouts waiting` shows run {RUN} and its hash" in lines
    data = json.loads(place.look(payouts.show_payout, place.here.registry, MAYA, LATER, as_json=True))
    assert (data["waits_for"], data["amount_minor"]) == ("a second person", 590)


@pytest.mark.parametrize("id_", ["payout:maya:USD:never", f"run/{RUN}", ""])
def test_a_payout_that_does_not_exist_is_refused(id_: str) -> None:
    place = a_run_that_waits()
    text = place.look(payouts.show_payout, place.here.registry, id_, LATER, code=2)
    assert text == f"there is no payout {id_}; see `solvent payouts list`\n"


@pytest.mark.parametrize("status", PayoutStatus)
def test_every_state_says_what_it_waits_for_and_the_next_step(status: PayoutStatus) -> None:
    place = a_place()
    place.world.plan_payouts()
    waiting, step = payouts.standing(replace(place.payout(), status=status), None, is_planned=True)
    assert waiting
    assert step
    assert "{" not in step


def standing(place: Place) -> tuple[str, str]:
    data = json.loads(place.look(payouts.show_payout, place.here.registry, MAYA, LATER, as_json=True))
    return data["waits_for"], data["next_step"]


def test_an_approved_payout_names_what_keeps_it_now_and_not_what_kept_it_before() -> None:
    place = a_place()
    place.world.plan_payouts()
    assert standing(place)[0] == "its turn"
    place.here.registry.stopped = PayoutsStopped("dana", MONDAY, "an audit")
    send_payout(place.here.store, place.here.registry, FakeStripe(), MAYA, MONDAY)
    assert standing(place) == (
        "stopped: by dana because an audit",
        "`solvent payouts resume`, once the reason is gone",
    )
    place.here.registry.stopped = None
    assert place.payout().why.startswith("stopped")
    assert standing(place)[0] == "its turn"
    changed = ExpertStatus("maya", transfers=TransfersCapability.ACTIVE, bank_changed_on=date(2026, 3, 16))
    place.here.registry.known_statuses["maya"] = changed
    assert standing(place)[0] == "bank_changed: the new bank account is paid from 2026-03-19"


def test_a_payout_without_funds_waits_for_a_top_up() -> None:
    place, stripe = a_place(), FakeStripe(fail=[(NotEnoughFunds("balance_insufficient", "too little"), False)])
    place.world.plan_payouts()
    send_payout(place.here.store, place.here.registry, stripe, MAYA, MONDAY)
    waiting, step = standing(place)
    assert (waiting, step.partition(";")[0]) == ("balance_insufficient", "top up the platform's Stripe balance")


def test_a_payout_of_a_run_that_is_still_planned_waits_for_the_rest_of_it() -> None:
    place = a_run_that_waits()
    run = place.here.store.stored_runs[RUN]
    place.here.store.stored_runs[RUN] = replace(run, is_finished=False)
    assert standing(place)[0] == "the rest of its run to be planned"
    assert any("its planning goes on" in line for line in place.look(payouts.waiting).splitlines())


def test_a_sent_payout_waits_for_the_bank_and_names_why_it_came_back() -> None:
    place = a_place()
    place.world.plan_payouts()
    sent = send_payout(place.here.store, place.here.registry, FakeStripe(), MAYA, MONDAY)
    assert standing(place)[0] == "the expert's bank"
    place.here.store.commit(Changes(payouts=(moved(sent, sent.status, bank_failure="account_closed"),)))
    waiting, step = standing(place)
    assert waiting == "a bank account that takes it: account_closed"
    assert "`solvent onboard maya`" in step
    instant = moved(place.payout(), sent.status, instant=Instant.WANTED)
    assert payouts.standing(instant, None, is_planned=True)[0] == "the instant payout to the bank"


# -- held --------------------------------------------------------------------------------------------------------------


def test_held_names_the_amount_and_everything_that_is_missing_and_writes_nothing() -> None:
    place = a_place()
    gates = {"contract_signed": "2026-01-01", "background_check": "2026-01-01"}
    place.here.registry.all_experts["noah"] = an_expert("noah", gates=gates)
    before = dict(place.here.store.stored_availables)

    text = place.look(payouts.held, place.here.registry, MONDAY)
    data = json.loads(place.look(payouts.held, place.here.registry, MONDAY, as_json=True))

    assert "maya" not in text
    assert "1 held back, 1.77 USD" in text
    missing = ["training", "tax_form", "no_stripe_account"]
    assert all(name in text for name in missing)
    assert data == [{"expert": "noah", "currency": "USD", "available_minor": 177, "missing": missing}]
    assert (before, place.here.store.stored_payouts) == (place.here.store.stored_availables, {})


def test_the_readme_explains_everything_that_can_hold_a_payout_back() -> None:
    explained = (PROJECT_ROOT / "README.md").read_text()
    codes = [*HeldBack, *Gate, "no_stripe_account", "stripe_transfers_...", "bank_changed", "bank_failing"]
    assert [code for code in codes if f"`{code}`" not in explained] == []


def test_who_has_nothing_that_matured_is_not_held_back() -> None:
    place = a_place()
    assert place.look(payouts.held, place.here.registry, at("2026-03-03")).endswith("0 held back\n")


# -- waiting, approve, reject ------------------------------------------------------------------------------------------


def test_a_waiting_run_shows_its_total_its_planner_and_the_command_that_approves_it() -> None:
    place = a_run_that_waits()

    assert place.look(payouts.waiting).splitlines() == [
        "2026-W12: 1 payouts, 5.90 USD, planned by schedule",
        f"    solvent payouts approve 2026-W12 --hash {place.waiting()[0]}",
        "1 waiting",
    ]
    (data,) = json.loads(place.look(payouts.waiting, as_json=True))
    assert data == {
        "run": RUN,
        "payouts": 1,
        "totals_minor": {"USD": 590},
        "planned_by": ["schedule"],
        "is_planned": True,
        "hash": place.waiting()[0],
    }


def test_an_approved_run_is_asked_to_be_sent() -> None:
    place = a_run_that_waits()

    lines = place.call(payout_actions.approve, RUN, place.waiting()[0], "dana", LATER)

    assert lines == ["2026-W12: 1 payouts approved by dana", "1 payouts asked to be sent"]
    assert (place.payout().status, place.payout().approved_by) == (PayoutStatus.APPROVED, "dana")
    assert place.here.asked == [(MAYA, LATER)]
    assert place.look(payouts.waiting) == "0 waiting\n"


@pytest.mark.parametrize(
    ("run", "approval", "by", "said"),
    [
        (RUN, "0" * 64, "dana", "is not what 0000"),
        ("2026-W13", None, "dana", "run 2026-W13 has nothing that waits"),
        (RUN, None, None, "say who you are with --by NAME"),
        (RUN, None, " ", "say who you are with --by NAME"),
        (RUN, None, "schedule", "was planned by schedule; somebody else has to approve it"),
    ],
)
def test_an_approval_that_may_not_be_is_refused_and_changes_nothing(
    run: str, approval: str | None, by: str | None, said: str
) -> None:
    place = a_run_that_waits()
    (line,) = place.call(payout_actions.approve, run, approval or place.waiting()[0], by, LATER, code=2)
    assert said in line
    assert (place.payout().status, place.here.asked) == (PayoutStatus.PLANNED, [])


def test_an_approval_whose_queue_does_not_answer_stands_and_says_that_the_next_run_asks() -> None:
    place = a_run_that_waits()
    place.here.fails = True
    lines = place.call(payout_actions.approve, RUN, place.waiting()[0], "dana", LATER, code=1)
    assert lines[-1].endswith("The next run asks for them too.")
    assert place.payout().status == PayoutStatus.APPROVED


def test_an_approval_that_is_always_overtaken_is_a_failure() -> None:
    place = a_run_that_waits()

    def overtake(_: Changes) -> None:
        raise Contention("somebody wrote first")

    place.here.store.before_commit = overtake
    assert "overtaken 12 times" in place.call(payout_actions.approve, RUN, place.waiting()[0], "dana", LATER, code=1)[0]
    assert place.here.asked == []


def test_an_approval_while_payouts_are_stopped_says_that_they_wait() -> None:
    place = a_run_that_waits()
    place.here.registry.stopped = PayoutsStopped("erin", MONDAY, "an audit")
    lines = place.call(payout_actions.approve, RUN, place.waiting()[0], "dana", LATER)
    assert lines[-1].endswith("because an audit. They wait until somebody resumes.")


def test_a_rejected_run_is_given_back_with_the_reason() -> None:
    place = a_run_that_waits()
    lines = place.call(payout_actions.reject, RUN, " too  high ", "dana", LATER)
    assert lines == ["2026-W12: 1 payouts rejected; the experts can be paid by a later run"]
    assert (place.payout().status, place.payout().why) == (PayoutStatus.FAILED, "rejected by dana: too high")
    assert place.world.balance("expert/maya/payable") == "-5.90"
    place.world.check()


@pytest.mark.parametrize(
    ("run", "why", "by", "said"),
    [
        ("2026-W13", "too high", "dana", "run 2026-W13 has nothing that waits"),
        (RUN, "too high", None, "say who you are"),
        (RUN, "  ", "dana", "--because takes a reason of at most 200 characters"),
        (RUN, "x" * 201, "dana", "--because takes a reason of at most 200 characters"),
    ],
)
def test_a_rejection_that_may_not_be_is_refused_and_changes_nothing(
    run: str, why: str, by: str | None, said: str
) -> None:
    place = a_run_that_waits()
    assert said in place.call(payout_actions.reject, run, why, by, LATER, code=2)[0]
    assert place.payout().status == PayoutStatus.PLANNED


# -- the kill switch and the limits ------------------------------------------------------------------------------------


def test_stopped_payouts_are_not_sent_and_resuming_asks_for_all_that_is_unfinished() -> None:
    place, stripe = a_place(), FakeStripe()
    place.world.plan_payouts()

    lines = place.call(payout_actions.stop, "an audit", "dana", MONDAY)
    send_payout(place.here.store, place.here.registry, stripe, MAYA, MONDAY)

    assert lines[0] == "Payouts are stopped: by dana since 2026-03-16T00:00:00Z, because an audit"
    assert place.look(payouts.status, place.here.registry, LATER).startswith("Payouts are stopped: by dana")
    assert stripe.transfers == {}
    assert place.call(payout_actions.resume, LATER) == [
        "Payouts are sent again; they were stopped by dana since 2026-03-16T00:00:00Z.",
        "1 payouts asked to be sent",
    ]
    assert place.here.asked == [(MAYA, LATER)]
    assert send_payout(place.here.store, place.here.registry, stripe, MAYA, LATER).status == PayoutStatus.SENT


@pytest.mark.parametrize(("why", "by", "said"), [("", "dana", "--because takes a reason"), ("an audit", None, "--by")])
def test_a_stop_needs_a_reason_and_a_person(why: str, by: str | None, said: str) -> None:
    place = a_place()
    assert said in place.call(payout_actions.stop, why, by, MONDAY, code=2)[0]
    assert place.here.registry.stopped is None


def test_resuming_what_was_not_stopped_says_so() -> None:
    place = a_place()
    assert place.call(payout_actions.resume, LATER) == [
        "Payouts are sent again; they were not stopped.",
        "0 payouts asked to be sent",
    ]


def test_status_shows_the_limits_and_what_of_the_day_is_used() -> None:
    place = a_place(per_expert="4.00", per_day="9.00", approve_above="100.00")
    place.world.plan_payouts()

    lines = [line.split() for line in place.look(payouts.status, place.here.registry, MONDAY).splitlines()]

    wanted = ["USD", "4.00", "no", "limit", "9.00", "4.00", "100.00", "not", "offered", "3", "days"]
    assert lines[0] == ["Payouts", "are", "sent."]
    assert wanted in lines
    next_day = place.look(payouts.status, place.here.registry, LATER)
    assert ["USD", "4.00", "no", "limit", "9.00", "0.00"] in [line.split()[:6] for line in next_day.splitlines()]


def test_status_says_where_nothing_is_counted_or_limited() -> None:
    counts_nothing, without_policy = a_place(per_expert="4.00"), a_place()
    assert "not counted" in counts_nothing.look(payouts.status, counts_nothing.here.registry, MONDAY)
    assert "There is no payout policy" in without_policy.look(payouts.status, without_policy.here.registry, MONDAY)


# -- instant payouts ---------------------------------------------------------------------------------------------------


def test_a_quote_shows_what_arrives_and_the_fee_and_is_paid_as_it_was_shown() -> None:
    place = an_instant_place()

    lines = place.call(payout_actions.quote, "maya", "USD", MONDAY)

    assert lines == [
        "maya gets 5.40 USD: 5.90 USD less 0.00 USD withheld and a fee of 0.50 USD for paying at once",
        "solvent payouts now maya USD --net 5.40 --key KEY",
    ]
    assert place.here.store.stored_payouts == {}
    id_ = "payout:maya:USD:on-demand-k1"
    for _ in range(2):
        assert place.call(payout_actions.pay_now, Wanted("maya", "USD", "5.40", "k1"), "dana", MONDAY) == [
            f"{id_}: approved, 5.40 USD: 5.90 USD less 0.00 USD withheld and a fee of 0.50 USD for paying at once",
            "1 payouts asked to be sent",
        ]
    assert (place.payout(id_).amount, place.payout(id_).fee, place.payout(id_).planned_by) == (540, 50, "dana")
    assert place.here.asked == [(id_, MONDAY)] * 2
    place.world.check()


def test_an_instant_payout_that_was_sent_is_not_asked_for_again() -> None:
    place, wanted = an_instant_place(), Wanted("maya", "USD", "5.40", "k1")
    place.call(payout_actions.pay_now, wanted, "dana", MONDAY)
    send_payout(place.here.store, place.here.registry, FakeStripe(), place.here.asked[0][0], MONDAY)
    assert len(place.call(payout_actions.pay_now, wanted, "dana", LATER)) == 1
    assert len(place.here.asked) == 1


def test_an_instant_payout_above_the_threshold_waits_for_another_person() -> None:
    place = an_instant_place(approve_above="1.00")
    lines = place.call(payout_actions.pay_now, Wanted("maya", "USD", "5.40", "k1"), "dana", MONDAY)
    assert lines[-1] == "That is above what needs nobody else: see `solvent payouts waiting`"
    assert place.here.asked == []
    (approval,) = place.waiting()
    assert (
        "was planned by dana" in place.call(payout_actions.approve, "on-demand-k1", approval, "dana", LATER, code=2)[0]
    )
    place.call(payout_actions.approve, "on-demand-k1", approval, "erin", LATER)
    assert place.here.asked == [("payout:maya:USD:on-demand-k1", LATER)]


@pytest.mark.parametrize(
    ("wanted", "by", "said"),
    [
        (
            Wanted("maya", "USD", "5.41", "k1"),
            "dana",
            "would get 5.40 USD and not 5.41 USD; agree to that with --net 5.40",
        ),
        (Wanted("maya", "USD", "much", "k1"), "dana", "'much' is not a plain decimal"),
        (Wanted("maya", "USD", "5.401", "k1"), "dana", "5.401 is not a positive amount of USD"),
        (Wanted("maya", "USD", "-5.40", "k1"), "dana", "-5.40 is not a positive amount of USD"),
        (Wanted("maya", "usd", "5.40", "k1"), "dana", "'usd' is not an active ISO 4217 currency code"),
        (Wanted("maya", "EUR", "5.40", "k1"), "dana", "maya has nothing available in EUR"),
        (Wanted("zoe", "USD", "5.40", "k1"), "dana", "there is no expert zoe; apply one"),
        (Wanted("", "USD", "5.40", "k1"), "dana", "there is no expert ''; apply one"),
        (Wanted("noah", "USD", "5.40", "k1"), "dana", "noah is not paid in USD now: no_stripe_account"),
        (Wanted("maya", "USD", "5.40", "a:2026-W12"), "dana", "'a:2026-W12' is no key"),
        (Wanted("maya", "USD", "5.40", "k1"), None, "say who you are with --by NAME"),
    ],
)
def test_an_instant_payout_that_may_not_be_is_refused_and_reserves_nothing(
    wanted: Wanted, by: str | None, said: str
) -> None:
    place = an_instant_place()
    assert said in place.call(payout_actions.pay_now, wanted, by, MONDAY, code=2)[0]
    assert (place.here.store.stored_payouts, place.here.asked) == ({}, [])


def test_a_key_that_was_used_for_another_amount_is_refused() -> None:
    place = an_instant_place()
    place.call(payout_actions.pay_now, Wanted("maya", "USD", "5.40", "k1"), "dana", MONDAY)
    (line,) = place.call(payout_actions.pay_now, Wanted("maya", "USD", "2.00", "k1"), "dana", MONDAY, code=2)
    assert line == "payout:maya:USD:on-demand-k1 was made already, of 5.40 USD and not 2.00 USD; use another key"


def test_a_quote_where_nothing_is_paid_at_once_is_refused() -> None:
    (line,) = a_place().call(payout_actions.quote, "maya", "USD", MONDAY, code=2)
    assert line == "maya is not paid in USD now: no_instant_payouts"


# -- the command itself ------------------------------------------------------------------------------------------------


def test_what_is_asked_for_reaches_the_stacks_queue_as_its_function_reads_it() -> None:
    with moto_tables("pay"):
        client = boto3.client("sqs")
        url = client.create_queue(QueueName="pay-payouts")["QueueUrl"]
        queue_of.cache_clear()
        stack = Connection("pay", None, None)  # type: ignore[arg-type]  # only its queue is used
        stack.ask_to_send([MAYA], LATER)
        queue_of.cache_clear()
        (message,) = client.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"]) == {"payout": MAYA, "as_of": "2026-03-17T09:00:00+00:00"}


def test_a_state_that_does_not_exist_is_refused_with_those_that_do() -> None:
    result = CliRunner().invoke(app, ["payouts", "list", "--status", "lost"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert all(status in result.output for status in PayoutStatus)
