"""A figure is met by its ratio where it has a baseline, else by what was measured; what was not measured is not met."""

import pytest

from bench.engine import without_conditions
from bench.figures import Figure


@pytest.mark.parametrize(
    ("figure", "ratio", "met"),
    [
        (Figure("f", 30, 15, target=2), 2.0, True),
        (Figure("f", 31, 15, target=2), 2.067, False),
        (Figure("f", 8.0, target=8), None, True),
        (Figure("f", 8.1, target=8), None, False),
        (Figure("f", 50_000, 80_000, target=50_000, at_least=True), 0.625, True),
        (Figure("f", 49_999, 80_000, target=50_000, at_least=True), 0.625, False),
        (Figure("f", 30, 15), 2.0, None),
        (Figure("f", 0, target=0), None, True),
        (Figure("f", target=8, missing="there is no stack"), None, False),
    ],
)
def test_a_figure_stands_beside_its_target(figure: Figure, ratio: float | None, met: bool | None) -> None:  # noqa: FBT001  # a table
    assert (figure.ratio, figure.met) == (ratio, met)


def test_what_was_not_measured_says_so_and_why() -> None:
    without = Figure("f", missing="it is not installed").report()
    assert without["measured"] == without["baseline"] == "not measured: it is not installed"
    beside = Figure("f", 3, missing="it is not installed").report()
    assert (beside["measured"], beside["baseline"], beside["ratio"]) == (3, "not measured: it is not installed", None)


def test_raw_writes_keep_what_their_update_needs_and_no_condition() -> None:
    update = {
        "TableName": "t",
        "ConditionExpression": "attribute_not_exists (#0)",
        "UpdateExpression": "ADD #1 :0",
        "ExpressionAttributeNames": {"#0": "released", "#1": "amount"},
        "ExpressionAttributeValues": {":0": {"N": "1"}},
    }
    put = {"TableName": "t", "Item": {}, "ConditionExpression": "#0 = :0", "ExpressionAttributeNames": {"#0": "seq"}}
    plain = without_conditions({"TransactItems": [{"Update": update}, {"Put": put}]})
    assert plain == {
        "TransactItems": [
            {
                "Update": {
                    "TableName": "t",
                    "UpdateExpression": "ADD #1 :0",
                    "ExpressionAttributeNames": {"#1": "amount"},
                    "ExpressionAttributeValues": {":0": {"N": "1"}},
                }
            },
            {"Put": {"TableName": "t", "Item": {}}},
        ]
    }
