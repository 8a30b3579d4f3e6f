import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.doors import Agents, Door
from events.adapters.rows import ColumnsAmbiguous, ColumnsMissing, UnreadableRow
from events.adapters.rules import Attribute
from events.adapters.servicenow import COLUMNS, EMPLOYEES, read_door_log, read_log
from events.adapters.systems import System
from events.decode import Delivery, FactRefused
from events.facts import Completed, Party, Reopened, Resolver, in_order

REAL_LOG = Path(__file__).parents[3] / "shared" / "samples" / "tickets" / "servicenow_incident_log.csv.gz"

HEADER = ",".join((*COLUMNS, "caller_id", "u_symptom"))


def a_row(
    at: str,
    state: str,
    *,
    reopen_count: str = "0",
    number: str = "INC0000045",
    opened_at: str = "29-02-2016 01:16",
    contact_type: str = "Phone",
    category: str = "Category 55",
    priority: str = "3 - Moderate",
    group: str = "Group 56",
    resolved_by: str = "Resolved by 149",
    resolved_at: str = "?",
) -> str:
    """A row saved in March 2016: `at` is its day and time, "02 10:00"."""
    saved_at = at.replace(" ", "-03-2016 ", 1)
    known = [number, state, saved_at, reopen_count, opened_at, contact_type, category, priority, group]
    return ",".join([*known, resolved_by, resolved_at, "Caller 2403", "jane.doe@example.com"])


def read(*rows: str, agents: Agents = EMPLOYEES, time_zone: ZoneInfo | None = None) -> list[Delivery | UnreadableRow]:
    return list(read_log([HEADER, *rows], client="acme", agents=agents, time_zone=time_zone or UTC))


def told(outcomes: Iterable[Delivery | UnreadableRow]) -> list[str]:
    """What was read in short: "completed:1 02 10:00", or the line and field of a row that could not be read."""
    return [
        f"line {outcome.line}: {outcome.field}"
        if isinstance(outcome, UnreadableRow)
        else f"{outcome.fact.id.partition(':')[2]} {outcome.fact.time:%d %H:%M}"
        for outcome in outcomes
    ]


def the_completion(outcomes: list[Delivery | UnreadableRow]) -> Completed:
    (outcome,) = outcomes
    assert isinstance(outcome, Delivery), outcome
    assert isinstance(outcome.fact, Completed)
    return outcome.fact


# What the states mean


def test_first_resolved_row_completes_at_its_own_time_though_resolved_at_is_later() -> None:
    final = {"resolved_at": "03-03-2016 11:29"}

    outcomes = read(
        a_row("01 09:00", "New", **final),
        a_row("02 08:53", "Resolved", **final),
        a_row("03 11:29", "Resolved", **final),
        a_row("08 12:00", "Closed", **final),
        a_row("09 12:00", "Closed", **final),
    )

    assert told(outcomes) == ["completed:1 02 08:53"]


@pytest.mark.parametrize(
    "state",
    [
        "New",
        "Active",
        "Awaiting User Info",
        "Awaiting Problem",
        "Awaiting Vendor",
        "Awaiting Evidence",
        "In Progress",
        "On Hold",
    ],
)
def test_every_open_state_reopens_a_solved_case_with_or_without_a_risen_count(state: str) -> None:
    for count in ("0", "1"):
        outcomes = read(
            a_row("01 09:00", "Resolved"),
            a_row("02 09:00", state, reopen_count=count),
            a_row("02 10:00", state, reopen_count=count),
            a_row("03 09:00", "Resolved", reopen_count=count),
        )

        assert told(outcomes) == ["completed:1 01 09:00", "reopened:1 02 09:00", "completed:2 03 09:00"]


def test_a_closed_case_that_is_open_again_was_reopened() -> None:
    outcomes = read(a_row("01 09:00", "Resolved"), a_row("06 09:00", "Closed"), a_row("07 09:00", "Active"))

    assert told(outcomes) == ["completed:1 01 09:00", "reopened:1 07 09:00"]


def test_risen_count_between_two_solved_rows_reopens_and_completes_again_in_that_order() -> None:
    outcomes = read(a_row("01 09:00", "Resolved"), a_row("02 09:00", "Resolved", reopen_count="1"))

    assert told(outcomes) == ["completed:1 01 09:00", "reopened:1 02 09:00", "completed:2 02 09:00"]
    facts = [outcome.fact for outcome in outcomes if isinstance(outcome, Delivery)]
    latest_first = facts[::-1]
    assert sorted(latest_first, key=in_order) == facts


def test_risen_count_of_a_case_that_is_open_yields_nothing() -> None:
    outcomes = read(a_row("01 09:00", "New"), a_row("02 09:00", "Active", reopen_count="1"))

    assert outcomes == []


def test_count_that_falls_and_recovers_is_no_reopening() -> None:
    outcomes = read(
        *(a_row(f"0{day} 09:00", "Resolved", reopen_count=count) for day, count in ((1, "1"), (2, "0"), (3, "1")))
    )

    assert told(outcomes) == ["completed:1 01 09:00"]


def test_log_that_begins_after_a_reopening_does_not_tell_it() -> None:
    outcomes = read(a_row("01 09:00", "Resolved", reopen_count="2"), a_row("02 09:00", "Closed", reopen_count="2"))

    assert told(outcomes) == ["completed:1 01 09:00"]


def test_solved_and_reopened_within_one_minute_keep_their_order() -> None:
    rows = [a_row("01 09:00", state) for state in ("Resolved", "Active", "Resolved", "Active", "Resolved")]

    facts = [outcome.fact for outcome in read(*rows) if isinstance(outcome, Delivery)]

    latest_first = facts[::-1]
    assert [type(fact) for fact in sorted(latest_first, key=in_order)] == [
        Completed,
        Reopened,
        Completed,
        Reopened,
        Completed,
    ]
    assert [fact.time.second for fact in facts] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("resolved_at", "expected"),
    [
        ("01-03-2016 08:59", []),
        ("01-03-2016 09:00", ["completed:1 01 09:00"]),
        ("02-03-2016 10:00", ["completed:1 02 10:00"]),
        ("03-03-2016 09:00", ["completed:1 03 09:00"]),
        ("03-03-2016 09:01", []),
        ("?", []),
    ],
)
def test_case_closed_directly_counts_only_if_resolved_since_it_was_last_open(
    resolved_at: str, expected: list[str]
) -> None:
    outcomes = read(
        a_row("01 09:00", "Active", resolved_at=resolved_at), a_row("03 09:00", "Closed", resolved_at=resolved_at)
    )

    assert told(outcomes) == expected


def test_reopened_case_closed_with_its_first_solution_was_not_solved_again() -> None:
    first = {"resolved_at": "01-03-2016 09:00"}

    outcomes = read(a_row("01 09:00", "Resolved", **first), a_row("05 09:00", "Closed", reopen_count="1", **first))

    assert told(outcomes) == ["completed:1 01 09:00", "reopened:1 05 09:00"]


def test_case_never_solved_yields_nothing() -> None:
    assert read(a_row("01 09:00", "New"), a_row("02 09:00", "Awaiting Vendor")) == []


def test_rows_of_several_incidents_may_be_mixed() -> None:
    one, other = "INC0000001", "INC0000002"

    outcomes = read(
        a_row("01 09:00", "Resolved", number=one),
        a_row("01 10:00", "Resolved", number=other),
        a_row("02 09:00", "Active", number=one),
        a_row("02 10:00", "Closed", number=other),
        a_row("03 09:00", "Resolved", number=one),
    )

    assert [outcome.fact.id for outcome in outcomes if isinstance(outcome, Delivery)] == [
        "INC0000001:completed:1",
        "INC0000002:completed:1",
        "INC0000001:reopened:1",
        "INC0000001:completed:2",
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["New", "Active", "Resolved", "Closed"]), st.integers(0, 2)),
        max_size=12,
    )
)
def test_any_history_alternates_solved_and_reopened_and_a_longer_log_keeps_the_facts_of_a_shorter_one(
    steps: list[tuple[int, str, int]],
) -> None:
    rows = []
    minute = count = 0
    for pause, state, rise in steps:
        minute, count = minute + pause, count + rise // 2
        rows.append(a_row(f"01 09:{minute:02}", state, reopen_count=str(count), resolved_at="01-03-2016 09:05"))

    outcomes = read(*rows)

    facts = [outcome.fact for outcome in outcomes if isinstance(outcome, Delivery)]
    assert len(facts) == len(outcomes)
    assert all(isinstance(fact, Completed if index % 2 == 0 else Reopened) for index, fact in enumerate(facts))
    assert all(one.time < other.time for one, other in pairwise(facts))
    assert len({fact.id for fact in facts}) == len(facts)
    half = read(*rows[: len(rows) // 2])
    assert outcomes[: len(half)] == half


# What a fact carries


def test_completion_carries_labels_as_slugs_and_nothing_about_people() -> None:
    (outcome,) = outcomes = read(a_row("02 10:00", "Resolved", category="Inquiry / Help", group="Café_Süd & Co."))

    resolved_at = datetime(2016, 3, 2, 10, 0, tzinfo=UTC)
    assert the_completion(outcomes) == Completed(
        id="INC0000045:completed:1",
        source="servicenow",
        time=resolved_at,
        resolver=Resolver.EMPLOYEE,
        channel="phone",
        skill="inquiry-help",
        priority="3-moderate",
        route="cafe_sud-co",
        opened_at=datetime(2016, 2, 29, 1, 16, tzinfo=UTC),
    )
    assert isinstance(outcome, Delivery)
    assert (outcome.client, outcome.party, outcome.case_id) == ("acme", Party.CLIENT, "INC0000045")
    assert outcome.received_at == resolved_at
    for personal in ("Caller", "jane", "Resolved by"):
        assert personal not in repr(outcomes)


def test_missing_labels_are_left_out() -> None:
    fact = the_completion(
        read(a_row("02 10:00", "Resolved", category="?", group="", contact_type="?", priority="?", opened_at="?"))
    )

    assert {fact.channel, fact.skill, fact.priority, fact.route, fact.opened_at} == {None}


def test_labels_are_those_of_the_row_that_solved_the_case() -> None:
    fact = the_completion(
        read(
            a_row("01 10:00", "New", group="Group 70", category="Category 1"),
            a_row("02 10:00", "Resolved", group="Group 24", category="Category 2"),
            a_row("07 10:00", "Closed", group="Group 1", category="Category 3"),
        )
    )

    assert (fact.route, fact.skill) == ("group-24", "category-2")


def test_resolver_named_among_the_experts_makes_it_an_experts_completion() -> None:
    agents = Agents(experts={"Resolved by 149": "ana"}, others=Resolver.AI, unassigned=Resolver.AI)
    rows = (
        a_row("02 10:00", "Resolved", number="INC1"),
        a_row("02 10:00", "Resolved", number="INC2", resolved_by="Resolved by 1"),
        a_row("02 10:00", "Resolved", number="INC3", resolved_by="?"),
    )

    facts = [outcome.fact for outcome in read(*rows, agents=agents)]  # type: ignore[union-attr]

    assert [(fact.resolver, fact.expert) for fact in facts if isinstance(fact, Completed)] == [
        (Resolver.EXPERT, "ana"),
        (Resolver.AI, None),
        (Resolver.AI, None),
    ]


def test_times_are_of_the_given_zone_and_told_in_utc() -> None:
    fact = the_completion(read(a_row("02 10:00", "Resolved"), time_zone=ZoneInfo("America/New_York")))

    assert fact.time == datetime(2016, 3, 2, 15, 0, tzinfo=UTC)
    assert fact.opened_at == datetime(2016, 2, 29, 6, 16, tzinfo=UTC)


# Rows that cannot be read


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        (a_row("31 10:00", "Resolved").replace("31-03", "31-02"), "sys_updated_at", "not a date like"),
        (a_row("02 10:00", "Resolved").replace("02-03-2016", "03-29-2016"), "sys_updated_at", "day first"),
        (a_row("02 10:00", "Resolved").replace("02-03-2016", "02-03-9999"), "sys_updated_at", "not a date after 1970"),
        (a_row("02 10:00", "Resolved", opened_at="2016-03-01 10:00"), "opened_at", "not a date like"),
        (a_row("02 10:00", "Resolved", resolved_at="01-01-0001 00:00"), "resolved_at", "not a date after 1970"),
        (a_row("?", "Resolved"), "sys_updated_at", "missing"),
        (a_row("02 10:00", "Resolved", number="?"), "number", "missing"),
        (a_row("02 10:00", "Resolved", number=""), "number", "missing"),
        (a_row("02 10:00", "Resolved", number="jane doe"), "number", "malformed as subject"),
        (a_row("02 10:00", "Resolved", number="I" * 127), "number", "malformed as id"),
        (a_row("02 10:00", "-100"), "incident_state", "not a known state"),
        (a_row("02 10:00", "?"), "incident_state", "missing"),
        (a_row("02 10:00", "Resolved", reopen_count="-1"), "reopen_count", "not a whole number"),
        (a_row("02 10:00", "Resolved", reopen_count="9" * 5000), "reopen_count", "not a whole number"),
        (a_row("02 10:00", "Resolved", category="jane.doe@example.com"), "category", "malformed as skill"),
        (a_row("02 10:00", "Resolved", group="G" * 65), "assignment_group", "malformed as route"),
        (a_row("02 10:00", "Resolved", priority="日本"), "priority", "malformed as priority"),
        (a_row("02 10:00", "Resolved", contact_type="--"), "contact_type", "malformed as channel"),
        (a_row("02 10:00", "Resolved") + ",more", "row", "14 columns up to line 3, the header has 13"),
        ("INC0000045,Resolved", "row", "2 columns up to line 3, the header has 13"),
        ('INC0000045,"Resolved"?,', "row", "not CSV up to line 3"),
    ],
)
def test_bad_row_is_reported_with_its_line_and_field_and_the_others_are_read(
    row: str, field: str, problem: str
) -> None:
    before, after = (a_row("02 10:00", "Resolved", number=number) for number in ("INC1", "INC2"))

    outcomes = read(before, row, after)

    assert [outcome.case_id for outcome in outcomes if isinstance(outcome, Delivery)] == ["INC1", "INC2"]
    (bad,) = (outcome for outcome in outcomes if isinstance(outcome, UnreadableRow))
    assert (bad.line, bad.field) == (3, field)
    assert problem in bad.problem
    assert "jane" not in bad.problem


def test_skipped_solution_is_told_by_the_next_row_that_says_it() -> None:
    outcomes = read(
        a_row("01 09:00", "New"),
        a_row("02 09:00", "Resolved", opened_at="yesterday"),
        a_row("07 09:00", "Closed", resolved_at="02-03-2016 09:00"),
    )

    assert told(outcomes) == ["line 3: opened_at", "completed:1 02 09:00"]


def test_late_snapshot_of_an_earlier_state_is_reported_and_reopens_nothing() -> None:
    outcomes = read(a_row("02 09:00", "Resolved"), a_row("01 09:00", "Active"), a_row("07 09:00", "Closed"))

    assert told(outcomes) == ["completed:1 02 09:00", "line 3: sys_updated_at"]


def test_lines_are_counted_over_blank_lines_and_values_of_several_lines() -> None:
    two_lines = a_row("01 09:00", "New").replace("jane.doe@example.com", '"on two\nlines"').splitlines(keepends=True)

    outcomes = read(*two_lines, "", a_row("02 09:00", "-100"))

    assert told(outcomes) == ["line 5: incident_state"]


def test_quote_that_never_ends_is_reported_with_the_lines_it_swallowed() -> None:
    outcomes = read(a_row("01 09:00", "Resolved"), 'INC0000046,"Resolved\n', "INC0000047\n")

    assert told(outcomes) == ["completed:1 01 09:00", "line 3: row"]
    assert isinstance(outcomes[1], UnreadableRow)
    assert "up to line 4" in outcomes[1].problem


def test_resolver_whom_nobody_lists_is_an_expert_whom_nobody_knows_and_is_not_named() -> None:
    fact = the_completion(read(a_row("01 09:00", "Resolved"), agents=Agents()))

    assert fact.resolver is Resolver.EXPERT
    assert re.fullmatch("servicenow-[0-9a-f]{16}", fact.expert or "")


def test_log_is_read_through_a_door_with_its_maps_zone_and_prefix() -> None:
    door = Door(
        id="acme-desk",
        client="acme",
        system=System.SERVICENOW,
        account="acme",
        time_zone="America/New_York",
        case_prefix="sn:",
        agents=Agents(experts={"Resolved by 149": "ana"}),
        maps={Attribute.SKILL: {"category 55": "network", "*": "general"}},
    )

    (outcome,) = outcomes = list(read_door_log([HEADER, a_row("02 10:00", "Resolved")], door))

    fact = the_completion(outcomes)
    assert isinstance(outcome, Delivery)
    assert (outcome.case_id, fact.id, fact.source) == ("sn:INC0000045", "sn:INC0000045:completed:1", "servicenow/acme")
    assert (fact.expert, fact.skill, fact.priority) == ("ana", "network", "3-moderate")
    assert fact.time == datetime(2016, 3, 2, 15, 0, tzinfo=UTC)


# Logs that cannot be read at all


def test_missing_columns_are_named_at_once() -> None:
    header = HEADER.replace("reopen_count,", "").replace("priority", "u_priority")

    with pytest.raises(ColumnsMissing, match="no column reopen_count, priority") as caught:
        read_log([header], client="acme")

    assert caught.value.columns == ("reopen_count", "priority")


@pytest.mark.parametrize("lines", [[], [""], ['"number"?,']])
def test_log_without_a_header_lacks_every_column(lines: list[str]) -> None:
    with pytest.raises(ColumnsMissing) as caught:
        read_log(lines, client="acme")

    assert caught.value.columns == COLUMNS


def test_needed_column_that_is_there_twice_is_named_at_once() -> None:
    with pytest.raises(ColumnsAmbiguous, match="more than one column number"):
        read_log([HEADER + ",number"], client="acme")


def test_byte_order_mark_and_quotes_do_not_hide_a_column() -> None:
    header = '\ufeff"' + '","'.join(HEADER.split(",")) + '"'

    assert len(list(read_log([header, a_row("01 09:00", "Resolved")], client="acme"))) == 1


def test_name_that_is_no_client_is_the_callers_mistake_and_not_a_rows() -> None:
    with pytest.raises(FactRefused, match="client"):
        list(read_log([HEADER, a_row("01 09:00", "Resolved")], client="Acme Inc."))


def test_log_is_read_as_it_comes() -> None:
    def endless() -> Iterator[str]:
        yield HEADER
        while True:
            yield a_row("01 09:00", "Resolved")

    assert told([next(read_log(endless(), client="acme"))]) == ["completed:1 01 09:00"]


# The real log


def real_lines() -> list[str]:
    assert REAL_LOG.is_file(), "the real log is missing: put shared/samples/tickets beside the project, see FACTS.md"
    with gzip.open(REAL_LOG, "rt", encoding="utf-8", newline="") as file:
        return file.readlines()


def test_real_log_yields_what_counting_its_rows_by_hand_gives() -> None:
    rows = list(csv.DictReader(real_lines()))
    rises = Counter[str]()
    spells = Counter[str]()
    for number, group in groupby(rows, key=itemgetter("number")):
        history = list(group)
        rises[number] += int(history[-1]["reopen_count"]) - int(history[0]["reopen_count"])
        spells[number] += [state for state, _ in groupby(row["incident_state"] for row in history)].count("Resolved")

    outcomes = list(read_log(real_lines(), client="acme"))

    facts = [outcome.fact for outcome in outcomes if isinstance(outcome, Delivery)]
    completed = Counter(fact.id.partition(":")[0] for fact in facts if isinstance(fact, Completed))
    reopened = Counter(fact.id.partition(":")[0] for fact in facts if isinstance(fact, Reopened))
    assert (len(rows), len(spells)) == (5_998, 890)
    assert (len(completed), completed.total(), completed) == (890, 901, spells)
    assert (len(reopened), reopened.total(), reopened) == (10, 11, +rises)
    assert len(outcomes) == len(facts) == len({fact.id for fact in facts}) == 912


def test_real_log_gives_each_completion_the_time_and_labels_of_the_row_that_first_says_resolved() -> None:
    expected = []
    for _, history in groupby(csv.DictReader(real_lines()), key=itemgetter("number")):
        for state, spell in groupby(history, key=itemgetter("incident_state")):
            if state == "Resolved":
                row = next(spell)
                labels = [row[name] for name in ("contact_type", "category", "priority", "assignment_group")]
                slugs = [
                    None if label == "?" else "-".join(label.lower().replace("-", " ").split()) for label in labels
                ]
                moment = datetime.strptime(row["sys_updated_at"] + " +0000", "%d-%m-%Y %H:%M %z")
                expected.append((row["number"], moment, *slugs))

    outcomes = list(read_log(real_lines(), client="acme"))

    assert expected == [
        (delivery.case_id, fact.time, fact.channel, fact.skill, fact.priority, fact.route)
        for delivery in outcomes
        if isinstance(delivery, Delivery) and isinstance(fact := delivery.fact, Completed)
    ]


def test_real_log_has_no_two_facts_of_a_case_within_one_minute() -> None:
    deliveries = [outcome for outcome in read_log(real_lines(), client="acme") if isinstance(outcome, Delivery)]

    for _, group in groupby(deliveries, key=lambda delivery: delivery.case_id):
        history = list(group)
        assert all(other.fact.time - one.fact.time >= timedelta(minutes=1) for one, other in pairwise(history))
    assert all(delivery.received_at == delivery.fact.time for delivery in deliveries)
