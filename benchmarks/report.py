"""Output of results as a table, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from math import log10
from typing import Any

from harness import PEERS, Result

_HEADINGS = ("measure", "ours", "floor", "ratio", "limit", "", "1.44", "lakefs_sdk")
_ROW = "{:<30}{:>12}{:>12}{:>8}{:>8}{:>6}{:>9}{:>12}"
HEADER = _ROW.format(*_HEADINGS)


def line(result: Result) -> str:
    """Return a result as a line of the table, with the peers' ratios to the floor."""
    measure = result.measure
    unit = measure.unit
    absolute = result.floor is None
    peers = [
        f"{result.peers[key] / result.floor:.2f}" if result.floor and key in result.peers else ""
        for key in PEERS
    ]
    return _ROW.format(
        measure.name,
        _amount(result.ours, unit),
        "" if result.floor is None else _amount(result.floor, unit),
        "" if absolute else f"{result.value:.2f}",
        "" if result.limit is None else f"{result.limit:g}" if absolute else f"{result.limit:.2f}",
        "" if result.limit is None else "ok" if result.is_met else "OVER",
        *peers,
    )


def _amount(value: float, unit: str) -> str:
    if unit == "MiB":
        return f"{value:.1f} MiB"
    for factor, name in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{value * factor:.2f} {name}"
    return f"{value * 1e6:.1f} µs"


def as_json(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return results as plain values: seconds of CPU, or MiB."""
    return [
        {
            "measure": result.measure.name,
            "unit": result.measure.unit,
            "ours": result.ours,
            "floor": result.floor,
            "ratio": None if result.floor is None else result.value,
            "limit": result.limit,
            "is_met": result.is_met,
            "peers": result.peers,
            "figures": result.figures,
        }
        for result in results
    ]


_LEFT, _WIDTH, _BAR, _GAP, _TOP = 210, 760, 12, 12, 70
_MARGIN, _LABEL = 20, 40
_COLORS = {"ours": "#1a7f5a", "legacy": "#9aa5b1", "sdk": "#c9a227", "other": "#475467"}
_NAMES = {
    "ours": "this package",
    "legacy": "lakefs_client 1.44",
    "sdk": "lakefs_sdk",
    "other": "other ways",
}
_CAPTION = "CPU time and memory as multiples of urllib3 and json alone; less is better"
_LOW, _HIGH = 0.02, 100.0
_STYLE = """<style>
text { fill: #101828 } .page { fill: #ffffff } .grid { stroke: #d0d5dd }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .page { fill: #0d1117 } .grid { stroke: #3d444d }
}
</style>"""


def svg(results: Iterable[Result]) -> str:
    """Return the ratios to the floor as bars on a logarithmic scale, with strokes as limits."""
    shapes: list[str] = []
    y = _TOP
    for result in results:
        if result.floor is None or result.measure.floor != "floor":
            continue  # the picture compares with the floor only
        shapes.append(_text(_LEFT - 8, y + 10, result.measure.name, "end"))
        subject = "other" if result.limit is None else "ours"
        ratios = {subject: result.value} | {k: v / result.floor for k, v in result.peers.items()}
        limit = 0 if result.limit is None else _x(result.limit)
        if limit:
            shapes.append(_limit(limit, y))
        for key, ratio in ratios.items():
            end = max(_LEFT + 1, _x(ratio))
            shapes.append(
                f'<rect x="{_LEFT}" y="{y}" width="{end - _LEFT}" height="{_BAR}" '
                f'fill="{_COLORS[key]}" fill-opacity="0.8"/>'
            )
            if key == "ours" and end <= limit < end + _LABEL:
                end = limit  # the stroke would cross the number
            shapes.append(_text(end + 6, y + 10, f"{ratio:.2f}"))
            y += _BAR + 2
        y += _GAP
    grid = [
        f'<path class="grid" d="M{_x(tick)} {_TOP - 12}V{y}"/>'
        + _text(_x(tick), _TOP - 16, f"{tick:g}", "middle")
        for tick in (0.1, 1, 10)
    ]
    legend = [
        f'<rect x="{_MARGIN + 160 * n}" y="8" width="12" height="12" fill="{_COLORS[key]}"/>'
        + _text(_MARGIN + 160 * n + 18, 18, name)
        for n, (key, name) in enumerate(_NAMES.items())
    ]
    x = _MARGIN + 160 * len(_NAMES)
    legend += [_limit(x, 8), _text(x + 10, 18, "limit"), _text(_MARGIN, 38, _CAPTION)]
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join(
        (
            root,
            f"<title>{_CAPTION}</title>",
            _STYLE,
            f'<rect class="page" width="{_WIDTH}" height="{y}"/>',
            *legend, *grid, *shapes, "</svg>\n",
        )
    )  # fmt: skip


def _limit(x: int, y: int) -> str:
    return f'<path d="M{x} {y - 3}v{_BAR + 6}" stroke="#b42318" stroke-width="2"/>'


def _x(ratio: float) -> int:
    share = log10(min(max(ratio, _LOW), _HIGH) / _LOW) / log10(_HIGH / _LOW)
    return _LEFT + round(share * (_WIDTH - _LEFT - 50))


def _text(x: int, y: int, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
