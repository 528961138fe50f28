"""A table of texts that change: only cells that differ are sent to the browser. The keyboard reaches it, to scroll."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui


class StateTable:
    """A table with a heading and fixed columns.

    Args:
        title: Its heading.
        columns: The key of each column in a row, and its heading.
    """

    def __init__(self, title: str, columns: Sequence[tuple[str, str]]) -> None:
        self._keys = [key for key, _ in columns]
        self._cells: list[list[ui.label]] = []
        ui.label(title).classes("font-bold").props("role=heading aria-level=3")
        region = ui.element("div").classes("studio-table").props("tabindex=0 role=region")
        region.props["aria-label"] = title
        with region, ui.element("table"):
            with ui.element("thead"), ui.element("tr"):
                for _, heading in columns:
                    with ui.element("th").props("scope=col"):
                        ui.label(heading)
            self._body = ui.element("tbody")

    def show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show these rows."""
        if len(rows) != len(self._cells):
            self._body.clear()
            with self._body:
                self._cells = [self._draw_row() for _ in rows]
        for row, cells in zip(rows, self._cells, strict=True):
            for key, cell in zip(self._keys, cells, strict=True):
                cell.text = str(row[key])

    def _draw_row(self) -> list[ui.label]:
        cells = []
        with ui.element("tr"):
            for _ in self._keys:
                with ui.element("td"):
                    cells.append(ui.label())
        return cells
