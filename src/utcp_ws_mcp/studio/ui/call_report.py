"""Draw what a call was: the result as hosts see it, the time line, and the trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nicegui import ui

from ..calls import CallReport
from ..timeline import Stage

COLOURS: Final = {
    "queue": "#9e9e9e",
    "connect": "#1e88e5",
    "login": "#8e24aa",
    "send": "#fb8c00",
    "reply": "#43a047",
    "stream": "#00897b",
    "end": "#9e9e9e",
}
"""The colour of each stage in the bar; the list below it says the same in words."""


def draw_report(report: CallReport) -> None:
    """Draw a report into the current element."""
    _draw_outcome(report)
    for block in report.blocks:
        if block.picture:
            ui.image(block.picture).props("fit=contain no-spinner alt='picture of the result'").classes("w-64")
        ui.label(block.text).classes("studio-pre").props("tabindex=0 role=group aria-label=Result")
    if report.structured and all(block.text != report.structured for block in report.blocks):
        ui.label("Structured content").classes("font-bold")
        ui.label(report.structured).classes("studio-pre")
    _heading("Time line")
    draw_time_line(report.stages)
    _heading("Trace")
    trace = ui.label(report.trace or "nothing was sent or received")
    trace.classes("studio-pre").props("tabindex=0 role=group aria-label=Trace")


def draw_time_line(stages: Sequence[Stage]) -> None:
    """Draw the stages of a call as a bar, and as a list."""
    total = sum(stage.seconds for stage in stages) or 1.0
    with ui.row().classes("w-full h-4 gap-0 flex-nowrap rounded overflow-hidden").props("aria-hidden=true"):
        for stage in stages:
            share = 100 * stage.seconds / total
            ui.element("div").style(f"width: {share:.2f}%; height: 100%; background: {COLOURS[stage.name]}")
    with ui.element("ul").classes("w-full"):
        for stage in stages:
            with ui.element("li"):
                ui.label(f"{stage.name}: {milliseconds(stage.seconds)} ({stage.detail})")


def milliseconds(seconds: float) -> str:
    """Return a duration for people."""
    return f"{seconds * 1000:,.1f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def _draw_outcome(report: CallReport) -> None:
    took = milliseconds(report.seconds)
    if report.cancelled:
        ui.label(f"Cancelled after {took}.").classes("font-bold")
        return
    words = "The call failed" if report.is_error else "The host gets this result"
    colour = "studio-error" if report.is_error else ""
    ui.label(f"{words} after {took}.").classes(f"font-bold {colour}")
    if report.facts:
        ui.label(", ".join(report.facts))


def _heading(text: str) -> None:
    ui.label(text).classes("font-bold").props("role=heading aria-level=3")
