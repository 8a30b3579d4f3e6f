"""A report as one page of HTML: no script, nothing from elsewhere; for screens, telephones and paper."""

from collections.abc import Iterable
from html import escape

from cli.month_report import Key, Plot, Report, Section, Table

_STYLE = """
:root { color-scheme: light; --ink: #1c2430; --quiet: #5b6675; --rule: #d5dae1; --accent: #1f4e79 }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem 1rem 3rem; color: var(--ink); background: #fff;
  font: 1rem/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
header { border-bottom: 3px solid var(--accent); margin-bottom: 1.5rem }
header p { margin: 0; color: var(--quiet) }
h1 { margin: 0 0 .5rem; font-size: 2rem; line-height: 1.2 }
h2 { margin: 2.5rem 0 1rem; font-size: 1.5rem; border-bottom: 1px solid var(--rule) }
h3 { margin: 0; font-size: 1.1rem }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 0 }
dl > div { border: 1px solid var(--rule);
  border-left: 4px solid var(--accent); border-radius: 4px; padding: .6rem .8rem }
dt, dd small { color: var(--quiet); font-size: .85rem }
dd { margin: 0; font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
dd small { display: block; font-weight: 400; line-height: 1.35 }
.plots { columns: 2 27rem; column-gap: 2.5rem; margin-top: 1.5rem }
figure { margin: 0; padding-bottom: 2rem; break-inside: avoid }
figcaption p { margin: .2rem 0 .6rem; color: var(--quiet); font-size: .9rem }
svg { display: block; width: 100%; height: auto }
.scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse; margin-top: .6rem;
  font-size: .8rem; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .3rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap }
th:first-child { min-width: 5rem; text-align: left; font-weight: 400; white-space: normal; overflow-wrap: anywhere }
thead th, thead th:first-child { color: var(--quiet); font-weight: 600; border-bottom-color: var(--ink) }
tbody tr:last-child > * { font-weight: 600 }
summary { cursor: pointer; margin-top: .6rem; color: var(--accent); font-size: .9rem }
footer { margin-top: 3rem; border-top: 1px solid var(--rule); color: var(--quiet); font-size: .85rem }
footer p { margin: .6rem 0; overflow-wrap: anywhere }
@media print {
  @page { margin: 15mm }
  body { max-width: none; padding: 0; font-size: 10pt }
  .plots { columns: auto }
  figure { padding-bottom: 8mm }
  figure:has(details) { break-inside: auto }
  svg { max-width: 110mm }
  h2, summary, figcaption { break-after: avoid }
  figcaption, svg, tr { break-inside: avoid }
  details::details-content { content-visibility: visible; display: block }
  summary { list-style: none; color: var(--quiet) }
}
"""


def as_html(report: Report) -> str:
    """The page. Names of clients may be anything: all texts are escaped."""
    sections = "".join(map(_section, report.sections))
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in report.notes)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(report.title)} - Solvent</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(report.title)}</h1>
<p>What clients were charged, what experts earned, and what is owed.</p>
</header>
<main>
{_keys(report.keys)}{sections}</main>
<footer>
{notes}</footer>
</body>
</html>
"""


def _section(section: Section) -> str:
    title, plots = escape(section.title), "".join(map(_plot, section.plots))
    return f"""<section aria-label="{title}">
<h2>{title}</h2>
{_keys(section.keys)}<div class="plots">
{plots}</div>
</section>
"""


def _keys(keys: Iterable[Key]) -> str:
    told = "".join(
        f"<div><dt>{escape(key.name)}</dt><dd>{escape(key.value)}<small>{escape(key.about)}</small></dd></div>\n"
        for key in keys
    )
    return f"<dl>\n{told}</dl>\n"


def _plot(plot: Plot) -> str:
    table = _table(plot.table, plot.title)
    if plot.table.is_long:
        table = f"<details>\n<summary>{escape(plot.title)}, as a table</summary>\n{table}</details>\n"
    return f"""<figure>
<figcaption>
<h3>{escape(plot.title)}</h3>
<p>{escape(plot.says)}</p>
</figcaption>
{plot.picture.svg}
{table}</figure>
"""


def _table(table: Table, title: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>\n'
        for first, *rest in table.rows
    )
    return (
        f'<div class="scroll"><table aria-label="{escape(title)}">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
