"""Any export: a door names its columns, and each row is read or reported by line and column."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.columns import NoExport, read_export
from events.adapters.doors import Door
from events.adapters.rows import ColumnsAmbiguous, ColumnsMissing, UnreadableRow
from events.adapters.systems import System
from events.decode import Delivery
from events.facts import Completed, Party, Rated, Reopened, Resolver
from tests.ticketing import MARKERS, PERSON, a_door

HEADER = "Ticket;Subject;Solved at;Reopened at;Solved by;Solver;Stars;Rated at;Team;Priority;Opened at"


def door(**changes: object) -> Door:
    known: dict[str, object] = {
        "id": "acme-archive",
        "client": "acme",
        "system": "csv",
        "account": "old-desk",
        "time_zone": "America/New_York",
        "export": {"delimiter": ";", "time_formats": ["%m/%d/%Y %H:%M"]},
        "fields": {
            "case": "Ticket",
            "completed_at": "Solved at",
            "reopened_at": "Reopened at",
            "agent": "Solved by",
            "agent_kind": "Solver",
            "rating": "Stars",
            "rated_at": "Rated at",
            "skill": "Team",
            "priority": "Priority",
            "opened_at": "Opened at",
        },
        "maps": {"priority": {"P1": "urgent", "*": "normal"}},
        "pick_lists": ["skill"],
        "agents": {"experts": {"Maya": "maya"}, "kinds": {"human": "employee"}},
        "rating": {"scale_min": 1, "scale_max": 5},
    }
    return Door.model_validate(known | changes)


def a_row(**cells: str) -> str:
    known = {"Ticket": "T-1", "Subject": PERSON, "Solved at": "03/02/2026 06:00", "Solved by": "Maya"}
    row = dict.fromkeys(HEADER.split(";"), "") | known | cells
    return ";".join(row.values())


def read(*rows: str, through: Door | None = None) -> list[Delivery | UnreadableRow]:
    return list(read_export(through or door(), [HEADER, *rows]))


def the_only(outcomes: Iterable[Delivery | UnreadableRow]) -> Delivery:
    (outcome,) = outcomes
    assert isinstance(outcome, Delivery), outcome
    return outcome


def test_row_tells_solution_reopening_and_rating_in_the_doors_zone() -> None:
    more = {"Solver": "expert", "Team": "Consoles & TVs", "Priority": "P3", "Opened at": "2026-03-02T09:00:00Z"}

    outcomes = read(
        a_row(**{"Reopened at": "03/02/2026 08:00", "Stars": "4.0", "Rated at": "03/02/2026 07:00"}, **more)
    )

    completed, reopened, rated = (it.fact for it in outcomes if isinstance(it, Delivery))
    assert completed == Completed(
        id="T-1:completed:2026-03-02T11:00:00Z",
        source="csv/old-desk",
        time=datetime(2026, 3, 2, 11, 0, tzinfo=UTC),
        resolver=Resolver.EXPERT,
        expert="maya",
        skill="consoles-tvs",
        priority="normal",
        opened_at=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    )
    assert isinstance(reopened, Reopened)
    assert reopened.time == datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
    assert isinstance(rated, Rated)
    assert (rated.score, rated.scale_min, rated.scale_max) == (4, 1, 5)


def test_fact_is_the_clients_and_counts_as_received_when_it_happened() -> None:
    delivery = the_only(read(a_row()))

    assert (delivery.client, delivery.party, delivery.case_id) == ("acme", Party.CLIENT, "T-1")
    assert delivery.received_at == delivery.fact.time
    assert not [marker for marker in MARKERS if marker in repr(delivery).lower()]


@pytest.mark.parametrize(
    ("agent", "kind", "resolver", "expert"),
    [
        ("Maya", "", Resolver.EXPERT, "maya"),
        ("Tom", "human", Resolver.EMPLOYEE, None),
        ("Tom", "AI", Resolver.AI, None),
        ("Tom", "employee", Resolver.EMPLOYEE, None),
        ("31", "", Resolver.EXPERT, "csv-31"),
        ("", "", Resolver.EXPERT, "csv-unassigned"),
    ],
)
def test_resolver_is_of_the_kind_that_its_column_says(
    agent: str, kind: str, resolver: Resolver, expert: str | None
) -> None:
    fact = the_only(read(a_row(**{"Solved by": agent, "Solver": kind}))).fact

    assert isinstance(fact, Completed)
    assert (fact.resolver, fact.expert) == (resolver, expert)


def test_longer_export_repeats_the_ids_of_a_shorter_one_in_whatever_order() -> None:
    rows = [a_row(Ticket=f"T-{number}") for number in range(3)]

    assert read(*rows) == list(reversed(read(*reversed(rows))))


def test_date_alone_is_its_first_instant_in_the_doors_zone() -> None:
    assert the_only(read(a_row(**{"Solved at": "2026-03-02"}))).fact.time == datetime(2026, 3, 2, 5, 0, tzinfo=UTC)


def test_case_that_is_still_open_tells_nothing() -> None:
    assert read(a_row(**{"Solved at": ""}), a_row(**{"Solved at": "?"}), a_row(**{"Solved at": "-"})) == []


@pytest.mark.parametrize(
    ("cells", "field", "problem"),
    [
        ({"Ticket": ""}, "Ticket", "missing"),
        ({"Ticket": "T 1"}, "Ticket", "not an id"),
        ({"Ticket": "jane.doe@example.com"}, "Ticket", "not an id"),
        ({"Solved at": "31/12/2026 06:00"}, "Solved at", "not a time"),
        ({"Solved at": "03/2026"}, "Solved at", "not a time"),
        ({"Opened at": "x"}, "Opened at", "not a time"),
        ({"Stars": "6", "Rated at": "03/02/2026 07:00"}, "Stars", "not on the rating scale"),
        ({"Stars": "5"}, "Rated at", "missing"),
        ({"Team": "jane.doe@example.com"}, "Team", "not a short label"),
    ],
)
def test_row_that_cannot_be_read_is_reported_with_its_line_and_column(
    cells: dict[str, str], field: str, problem: str
) -> None:
    before, outcome, after = read(a_row(), a_row(**cells), a_row(Ticket="T-3"))

    assert isinstance(before, Delivery)
    assert isinstance(outcome, UnreadableRow)
    assert (outcome.line, outcome.field) == (3, field)
    assert problem in outcome.problem
    assert "jane" not in outcome.problem
    assert isinstance(after, Delivery)


def test_row_with_other_columns_than_the_header_is_reported_whole() -> None:
    (outcome,) = read("T-1;x")

    assert outcome == UnreadableRow(2, "row", "2 columns up to line 2, the header has 11")


def test_missing_and_repeated_columns_are_named_at_once() -> None:
    with pytest.raises(ColumnsMissing, match="no column Ticket, Stars"):
        read_export(door(), [HEADER.replace("Ticket", "Id").replace("Stars", "CSAT")])
    with pytest.raises(ColumnsAmbiguous, match="more than one column Team"):
        read_export(door(), [HEADER + ";Team"])


def test_system_without_a_known_export_says_how_else() -> None:
    with pytest.raises(NoExport, match="acme-zendesk: an export of zendesk is not known; name its columns in a door"):
        read_export(a_door(System.ZENDESK), [HEADER])


def test_servicenow_log_is_read_through_its_door() -> None:
    through = a_door(System.SERVICENOW, time_zone="UTC", maps={})

    with pytest.raises(ColumnsMissing, match="incident_state"):
        read_export(through, ["number"])


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=15), min_size=11, max_size=11))
def test_any_cells_are_read_or_reported(cells: list[str]) -> None:
    quoted = ";".join('"' + cell.replace('"', '""') + '"' for cell in cells)

    for outcome in read_export(door(), [HEADER, *quoted.splitlines(keepends=True)]):
        assert isinstance(outcome, Delivery | UnreadableRow)
