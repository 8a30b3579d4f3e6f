"""A report as PDF, made without a browser: what its page says, with the same charts and tables."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, time
from io import BytesIO

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace
from fpdf.table import Table as PdfTable

from cli.charts import INK, QUIET, RULE, WIDTH
from cli.month_figures import last_day_of
from cli.month_report import Key, Plot, Report

_FONT, _MARGIN, _CHART_WIDTH = "Helvetica", 16, 112
_ROW, _ROWS_KEPT = 4.6, 8
_BOLD = FontFace(emphasis="BOLD")


def as_pdf(report: Report) -> bytes:
    """The PDF: the same bytes for the same report."""
    pdf = _Pages(report.title)
    pdf.set_creation_date(datetime.combine(last_day_of(report.month), time(), UTC))
    pdf.heading(report.title, 22)
    pdf.keys(report.keys)
    for section in report.sections:
        pdf.heading(section.title, 16)
        pdf.keys(section.keys)
        for plot in section.plots:
            pdf.plot(plot)
    pdf.heading("Where it comes from", 12)
    for note in report.notes:
        pdf.paragraph(note)
    return bytes(pdf.output())


def _drawable(text: str) -> str:
    """The text in the letters that every PDF reader has; others are written as their codes."""
    return text.encode("latin-1", "backslashreplace").decode("latin-1")


class _Pages(FPDF):
    def __init__(self, title: str) -> None:
        super().__init__(format="A4")
        self.set_margin(_MARGIN)
        self.set_auto_page_break(auto=True, margin=_MARGIN)
        self.set_title(f"{title} - Solvent")
        self.set_lang("en")
        self.add_page()

    def footer(self) -> None:
        self.set_y(-11)
        self._style(8, QUIET)
        self.cell(0, 5, f"Solvent, page {self.page_no()}", align="R")

    def _style(self, size: float, colour: str = INK, emphasis: str = "") -> None:
        self.set_font(_FONT, emphasis, size)
        self.set_text_color(colour)

    def heading(self, text: str, size: float) -> None:
        self._room_for(40)
        self.ln(3)
        self._style(size, emphasis="B")
        self.cell(0, size * 0.5, _drawable(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(2)

    def paragraph(self, text: str) -> None:
        self._style(9, QUIET)
        self.multi_cell(0, 4.5, _drawable(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(1.5)

    def keys(self, keys: Sequence[Key]) -> None:
        self._style(9.5)
        with self._lines((38, 34, self.epw - 72), "LEFT LEFT LEFT") as table:
            for key in keys:
                row = table.row()
                row.cell(_drawable(key.name))
                row.cell(_drawable(key.value), style=_BOLD)
                row.cell(_drawable(key.about), style=FontFace(color=QUIET))
        self.ln(4)

    def plot(self, plot: Plot) -> None:
        """A chart stays with its heading and the first rows of its table."""
        table, height = plot.table, _CHART_WIDTH * plot.picture.height / WIDTH
        self._room_for(28 + height + _ROW * min(len(table.rows) + 1, _ROWS_KEPT))
        self._style(12, emphasis="B")
        self.cell(0, 6, _drawable(plot.title), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.paragraph(plot.says)
        self.image(BytesIO(_drawable(plot.picture.drawing).encode()), w=_CHART_WIDTH, alt_text=_drawable(plot.says))
        self.ln(2)
        self._style(8)
        widths = (44, *[26] * (len(table.columns) - 1))
        with self._lines(widths, "LEFT" + " RIGHT" * (len(table.columns) - 1), is_headed=True) as lines:
            for cells in (table.columns, *table.rows):
                is_last = cells is table.rows[-1]
                lines.row([_drawable(cell) for cell in cells], style=_BOLD if is_last else None)
        self.ln(6)

    def _lines(
        self, widths: Sequence[float], align: str, *, is_headed: bool = False
    ) -> AbstractContextManager[PdfTable]:
        self.set_draw_color(RULE)
        return self.table(
            col_widths=widths,
            width=sum(widths),
            align="LEFT",
            text_align=align.split(),
            line_height=_ROW,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            first_row_as_headings=is_headed,
            headings_style=FontFace(emphasis="BOLD", color=QUIET),
        )

    def _room_for(self, height: float) -> None:
        if self.will_page_break(min(height, self.eph)):
            self.add_page()
