"""The panel Endpoints and feeds."""

from __future__ import annotations

from nicegui import ui

from ..context import PageContext


def build(context: PageContext) -> None:
    """Draw the panel."""
    ui.label("What connections and feeds do").classes("studio-heading").props("role=heading aria-level=2")
