"""The figures in the README and in the plot agree."""

from __future__ import annotations

import re

from docs.conftest import ROOT

COLUMNS = {"#1a7f5a": "this package", "#9aa5b1": "lakefs_client 1.44", "#c9a227": "lakefs_sdk"}
"""The colors of the bars."""
NAMES = {"upload of 1 GiB, each part verified": ("upload 1 GiB, HTTP", "… with verification")}
"""Measures with another name in the README: the preceding bar, and the bar."""


def plot_figures() -> dict[tuple[str, str], dict[str, str]]:
    """Return the numbers of each measure by column. The key includes the preceding measure."""
    svg = (ROOT / "docs/speed.svg").read_text("utf-8")
    figures: dict[tuple[str, str], dict[str, str]] = {}
    previous = name = color = ""
    pattern = r'<rect [^>]*fill="(#\w+)" fill-opacity|text-anchor="(end|start)">([^<]*)</text>'
    for fill, anchor, text in re.findall(pattern, svg):
        if fill:
            color = COLUMNS.get(fill, "other")
        elif anchor == "end":
            previous, name = name, text
            figures[previous, name] = {}
        elif name:
            figures[previous, name][color] = text
    return figures


def test_readme_figures_match_the_plot() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    table = readme.partition("\n## Figures\n")[2].partition("\n## ")[0]
    header, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    columns = [cell.strip() for cell in header.split("|")[2:-1]]
    assert columns == [*COLUMNS.values()]
    for row in rows:
        name, *cells = [cell.strip() for cell in row.split("|")[1:-1]]
        (found,) = (
            figures
            for (previous, measure), figures in plot_figures().items()
            if name == measure or NAMES.get(name) == (previous, measure)
        )
        assert {column: cell for column, cell in zip(columns, cells) if cell} == found, name
    assert len(rows) == 4
