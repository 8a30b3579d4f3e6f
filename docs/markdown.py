"""How the generated blocks are written."""

from collections.abc import Iterable, Sequence


class BrokenDocument(ValueError):
    """A document whose blocks cannot be generated: a name that is not known, or a marker without its other half."""


def fenced(text: str, language: str = "text") -> str:
    """A code block of Markdown, without blank lines around it."""
    lines = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    return f"```{language}\n{lines}\n```\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; cells are texts without line breaks."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(names: Iterable[str]) -> str:
    """Names as code, with commas between them."""
    return ", ".join(f"`{name}`" for name in names)
