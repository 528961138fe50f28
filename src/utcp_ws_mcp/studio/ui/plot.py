"""Small plots of numbers over the last two minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from ...manifest.invisible import escape_invisible

MAX_LINES: Final = 6
"""Lines of one plot; more cannot be distinguished."""

MIN_LINE: Final = 30
"""Values from which on they are shown as a line only."""

_TEXT: Final = "#808080"  # readable on light and on dark ground


class Plot:
    """A plot with a few lines. What it shows last is also its name for screen readers."""

    def __init__(self, title: str, unit: str) -> None:
        self._title = title
        self._unit = unit
        self._chart = ui.echart(_options(title)).classes("w-full h-44").props("role=img")
        self._chart.props["aria-label"] = title

    def hide(self) -> None:
        """Show nothing, until there is something."""
        self._chart.set_visibility(False)

    def show(self, lines: Mapping[str, Sequence[float]]) -> None:
        """Show these lines; values are numbers over time, the newest last."""
        self._chart.set_visibility(bool(lines))
        shown = {escape_invisible(name)[:60]: list(values) for name, values in list(lines.items())[:MAX_LINES]}
        length = max(map(len, shown.values()), default=0)
        options: dict[str, Any] = self._chart.options
        options["xAxis"]["data"] = list(range(1 - length, 1))
        options["series"] = [_line(name, values) for name, values in shown.items()]
        newest = ", ".join(f"{name} {values[-1]:g} {self._unit}" for name, values in shown.items() if values)
        self._chart.props["aria-label"] = f"{self._title}, now: {newest or 'nothing'}"
        self._chart.update()


def _line(name: str, values: Sequence[float]) -> dict[str, Any]:
    data = [round(value, 3) for value in values]
    few = len(data) < MIN_LINE  # a line through a few points hides them
    return {"type": "line", "name": name, "data": data, "showSymbol": few, "lineStyle": {"width": 1.5}}


def _options(title: str) -> dict[str, Any]:
    text, line = {"color": _TEXT, "fontSize": 11}, {"color": _TEXT, "opacity": 0.3}
    return {
        "animation": False,
        "title": {"text": title, "textStyle": {**text, "fontWeight": "normal"}, "left": 0, "top": 0},
        "legend": {"type": "scroll", "textStyle": text, "left": 0, "top": 16, "padding": 5},
        "grid": {"left": 44, "right": 8, "top": 46, "bottom": 22},
        # Not HTML, which names of endpoints would be a part of.
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "xAxis": {"type": "category", "data": [], "axisLabel": text, "boundaryGap": False},
        "yAxis": {"type": "value", "min": 0, "splitNumber": 2, "axisLabel": text, "splitLine": {"lineStyle": line}},
        "series": [],
    }
