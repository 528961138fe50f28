"""The panel Install."""

from __future__ import annotations

from nicegui import ui

from ..context import PageContext


def build(context: PageContext) -> None:
    """Draw the panel."""
    ui.label("Add the server to a host").classes("studio-heading").props("role=heading aria-level=2")
