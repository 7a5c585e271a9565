"""Small HTML tables of results, for notebooks. Everything is escaped, and signatures are masked."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from lakefs_client._redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_ROWS = 50
"""Rows of a table; a line below it counts the others."""
MAX_TEXT = 120
"""Characters of a cell."""


def properties_table(title: str, properties: Mapping[str, Any]) -> str:
    """Return a table with a row for each property."""
    rows = ([name, _cell(value)] for name, value in properties.items())
    return _table(title, ("property", "value"), rows)


def listing_table(title: str, items: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with a row for each item, and a column for each property."""
    shown = items[:MAX_ROWS]
    columns = list(dict.fromkeys(name for item in shown for name in item))
    rows = ([_cell(item[name]) if name in item else "" for name in columns] for item in shown)
    left = len(items) - len(shown)
    note = f"<p>{left} more on this page</p>" if left else ""
    return _table(title, columns, rows) + note


def _cell(value: Any) -> str:
    text = redact(str(value))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    caption = f"<caption>{escape(title)}</caption>"
    return f"<table>{caption}<thead>{line('th', columns)}</thead><tbody>{body}</tbody></table>"
