"""Charts: round axes that hold every value, and marks that stay inside the picture."""

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.charts import WIDTH, Chart, Series, axis_of, bars, columns

VALUES = st.lists(st.integers(-(10**15), 10**15), max_size=40)


@given(VALUES)
def test_an_axis_holds_zero_and_every_value_and_has_few_round_ticks(values: list[int]) -> None:
    axis = axis_of(values)
    assert axis.low == min([0, *values])
    assert axis.ticks[-1] >= max([0, *values])
    assert 0 in axis.ticks
    assert 1 <= len(axis.ticks) <= 7
    steps = {str(after - before).rstrip("0") for before, after in zip(axis.ticks, axis.ticks[1:], strict=False)}
    assert steps <= {"1", "2", "5"}
    assert all(0 <= axis.part(value) <= 1 for value in values)


def a_chart(values: list[int], others: list[int] | None = None, notes: list[str] | None = None) -> Chart:
    series = [Series("revenue", values), *([Series("cost", others)] if others is not None else [])]
    labels = [f"<{number}>" for number in range(len(values))]
    return Chart("c", "Title & more", "What is seen", "USD", labels, series, lambda it: f"{it}.00", notes or [])


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)), max_size=31))
def test_marks_stay_inside_the_picture(pairs: list[tuple[int, int]]) -> None:
    chart = a_chart([one for one, _ in pairs], [other for _, other in pairs], ["note"] * len(pairs))
    for picture in (columns(chart), bars(chart)):
        svg = fromstring(picture.svg)  # noqa: S314  # our own
        assert svg.attrib["viewBox"] == f"0 0 {WIDTH} {picture.height}"
        for box in svg.iter("{http://www.w3.org/2000/svg}rect"):
            x, y, width, height = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert y >= 0
            assert x + width <= WIDTH + 0.2
            assert y + height <= picture.height + 0.2


@pytest.mark.parametrize("draw", [columns, bars])
def test_columns_and_bars_are_as_long_as_their_values(draw: object) -> None:
    assert callable(draw)
    svg = fromstring(draw(a_chart([100, 50, -25])).svg)  # noqa: S314  # our own
    side = "height" if draw is columns else "width"
    sizes = [float(box.attrib[side]) for box in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert sizes[0] / sizes[1] == pytest.approx(2, abs=0.02)
    assert sizes[0] / sizes[2] == pytest.approx(4, abs=0.05)


def test_texts_are_escaped_and_words_for_who_cannot_see_are_there_once() -> None:
    picture = columns(a_chart([1]))
    assert "&lt;0&gt;" in picture.svg
    assert '<title id="c-title">Title &amp; more</title><desc id="c-desc">What is seen</desc>' in picture.svg
    assert "title" not in picture.drawing


def test_ticks_show_decimals_only_if_one_needs_them() -> None:
    assert ">1</text>" in columns(a_chart([1])).drawing
    assert ">1.00</text>" not in columns(a_chart([1])).drawing
