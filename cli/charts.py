"""Charts as plain SVG: columns and bars of whole numbers, one look, readable in black and white.

They use nothing but lines, rectangles and text, so that they are drawn alike on a page and in a PDF. The same numbers
give the same text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

# Dark and filled, light with a dark edge: they differ in a copy without colours, too.
FILLS = ("#1f4e79", "#cfe0ee")
INK, QUIET, RULE = "#1c2430", "#5b6675", "#d5dae1"
FONT = "Helvetica, Arial, sans-serif"

WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 62, 8, 40, 34
_HEIGHT = 250
_BAR_ROW, _BAR_LEFT, _BAR_RIGHT = 34, 120, 92
_TICKS = 4
_LABELS = 10


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, one for each label of the chart."""

    name: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. `id` is unique on its page; `shown` writes a value, `unit` says what it is.

    `description` says in words what there is to see, for those who cannot. `notes` stand
    beside bars, or under the labels of columns.
    """

    id: str
    title: str
    description: str
    unit: str
    labels: Sequence[str]
    series: Sequence[Series]
    shown: Callable[[int], str]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn chart; `height` is in the units of which WIDTH are its width. `drawing` is without title and description.

    Those are words for who cannot see it on a page; a PDF has such words of its own.
    """

    svg: str
    drawing: str
    height: int


def columns(chart: Chart) -> Picture:
    """Groups of upright columns, one group for each label."""
    axis = axis_of([value for series in chart.series for value in series.values])
    written = _without_zeros({tick: chart.shown(tick) for tick in axis.ticks})
    svg = _canvas(chart, _HEIGHT)
    bottom, height = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP

    def y_of(value: int) -> float:
        return bottom - height * axis.part(value)

    for tick in axis.ticks:
        _line(svg, (_LEFT, y_of(tick)), (WIDTH - _RIGHT, y_of(tick)), INK if tick == 0 else RULE)
        _text(svg, _LEFT - 6, y_of(tick) + 4, written[tick], anchor="end", fill=QUIET)
    room = (WIDTH - _LEFT - _RIGHT) / max(1, len(chart.labels))
    width = min(34.0, room * 0.78 / len(chart.series))
    every = -(-len(chart.labels) // _LABELS)
    for place, label in enumerate(chart.labels):
        middle = _LEFT + room * (place + 0.5)
        for number, series in enumerate(chart.series):
            value = series.values[place]
            x = middle + width * (number - len(chart.series) / 2)
            top, foot = sorted((y_of(value), y_of(0)))
            _box(svg, (x, top, width, foot - top), number)
        if place % every == 0:
            _text(svg, middle, bottom + 16, label, anchor="middle")
            if chart.notes:
                _text(svg, middle, bottom + 30, chart.notes[place], anchor="middle", fill=QUIET)
    return _picture(chart, svg, _HEIGHT)


def bars(chart: Chart) -> Picture:
    """A row for each label, with a lying bar for each series and a note at its end."""
    axis = axis_of([value for series in chart.series for value in series.values])
    written = _without_zeros({tick: chart.shown(tick) for tick in axis.ticks})
    height = _TOP + _BAR_ROW * len(chart.labels) + _BOTTOM
    svg = _canvas(chart, height)
    room = WIDTH - _BAR_LEFT - _BAR_RIGHT

    def x_of(value: int) -> float:
        return _BAR_LEFT + room * axis.part(value)

    for tick in axis.ticks:
        _line(svg, (x_of(tick), _TOP), (x_of(tick), height - _BOTTOM), INK if tick == 0 else RULE)
        _text(svg, x_of(tick), height - _BOTTOM + 16, written[tick], anchor="middle", fill=QUIET)
    thickness = (_BAR_ROW - 10) / len(chart.series)
    for place, label in enumerate(chart.labels):
        top = _TOP + _BAR_ROW * place + 5
        _text(svg, _BAR_LEFT - 6, top + _BAR_ROW / 2 - 1, shortened(label, 18), anchor="end")
        for number, series in enumerate(chart.series):
            left, right = sorted((x_of(series.values[place]), x_of(0)))
            _box(svg, (left, top + thickness * number, right - left, thickness), number)
        if chart.notes:
            _text(svg, WIDTH - 2, top + _BAR_ROW / 2 - 1, chart.notes[place], anchor="end")
    return _picture(chart, svg, height)


def shortened(text: str, most: int) -> str:
    """The text with at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


@dataclass(frozen=True, slots=True)
class Axis:
    """From the least of 0 and the values, to a round number that is none of them above; ticks are evenly apart."""

    low: int
    ticks: Sequence[int]

    def part(self, value: int) -> float:
        """How far a value lies along the axis, from 0 to 1."""
        return (value - self.low) / (self.ticks[-1] - self.low)


def axis_of(values: Sequence[int]) -> Axis:
    """The axis for these values; from 0 to 1 if all are 0 or there are none."""
    low, high = min(0, 0, *values), max(0, 0, *values)
    least = max(1, -(-(high - low) // _TICKS))
    scale = 10 ** (len(str(least)) - 1)
    step = next(step for step in (scale, 2 * scale, 5 * scale, 10 * scale) if step >= least)
    last = max(-(-high // step) * step, 0 if low < 0 else step)
    return Axis(low, range(-(-low // step) * step, last + 1, step))


def _without_zeros(written: Mapping[int, str]) -> Mapping[int, str]:
    """The texts without decimals, if these are all zeros."""
    if any(text.partition(".")[2].strip("0") for text in written.values()):
        return written
    return {tick: text.partition(".")[0] for tick, text in written.items()}


# -- the parts of a picture --------------------------------------------------------------------------------------------


def _canvas(chart: Chart, height: int) -> Element:
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "font-family": FONT,
            "font-size": "12",
        },
    )
    _text(svg, 2, 14, chart.unit, fill=QUIET)
    right = WIDTH - _RIGHT
    if len(chart.series) > 1:
        for number, series in reversed(list(enumerate(chart.series))):
            right -= 7 * len(series.name) + 22
            _box(svg, (right, 5, 10, 10), number)
            _text(svg, right + 15, 14, series.name)
    return svg


def _picture(chart: Chart, svg: Element, height: int) -> Picture:
    drawing = tostring(svg, encoding="unicode")
    words = {f"{chart.id}-title": ("title", chart.title), f"{chart.id}-desc": ("desc", chart.description)}
    svg.attrib |= {"role": "img", "aria-labelledby": " ".join(words)}
    for place, (id_, (tag, text)) in enumerate(words.items()):
        element = Element(tag, {"id": id_})
        element.text = text
        svg.insert(place, element)
    return Picture(tostring(svg, encoding="unicode"), drawing, height)


def _box(svg: Element, place: tuple[float, float, float, float], number: int) -> None:
    if place[2] > 0 and place[3] > 0:
        sizes = {name: _number(size) for name, size in zip(("x", "y", "width", "height"), place, strict=True)}
        SubElement(svg, "rect", sizes | {"fill": FILLS[number], "stroke": FILLS[0], "stroke-width": "0.8"})


def _line(svg: Element, start: tuple[float, float], end: tuple[float, float], stroke: str) -> None:
    ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    SubElement(svg, "line", {name: _number(at) for name, at in ends.items()} | {"stroke": stroke, "stroke-width": "1"})


def _text(svg: Element, x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK) -> None:
    place = {"x": _number(x), "y": _number(y), "text-anchor": anchor, "fill": fill}
    SubElement(svg, "text", place).text = text


def _number(size: float) -> str:
    return f"{size:.1f}"
