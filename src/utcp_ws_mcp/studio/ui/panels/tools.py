"""The panel Tools: choose a tool, fill in its form, call it, and see what a host would get."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from ....manifest.invisible import escape_invisible
from ...calls import RunningCall
from ...session import Topic
from ..call_report import draw_report
from ..context import PageContext
from ..serving import serve_typed
from ..tool_form import ToolForm


def build(context: PageContext) -> None:
    """Draw the panel."""
    ToolsPanel(context)


class ToolsPanel:
    """The tools of the manifest as it is typed. They are looked up when the panel is opened."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._running: RunningCall | None = None
        self._form: ToolForm | None = None
        ui.label("Call the tools").classes("studio-heading").props("role=heading aria-level=2")
        self._problem = ui.label().props("role=alert").classes("studio-error whitespace-pre-wrap break-words")
        self._to_manifest = ui.button("Open the manifest", on_click=lambda: context.open_panel("manifest"))
        self._to_manifest.props("outline no-caps")
        with ui.element("div").classes("studio-halves") as self._content:
            with ui.column().classes("studio-box"):
                self._draw_form()
            self._outcome = ui.column().classes("studio-box")
            self._outcome.props("role=region aria-label='Outcome of the call' aria-live=polite")
        self._clear_outcome()
        self._show_running()
        context.on_open("tools", self._serve)
        context.listen(Topic.TOOLS, self._show_tools)
        context.client.on_delete(self._end)

    def _draw_form(self) -> None:
        self._tool = ui.select({}, label="Tool", with_input=True, on_change=self._choose)
        self._tool.props("outlined dense").classes("w-full")
        self._about = ui.label().classes("whitespace-pre-wrap break-words")
        self._form_place = ui.column().classes("w-full gap-2")
        with ui.row().classes("studio-row"):
            self._call = ui.button("Call", on_click=self._run).props("no-caps unelevated")
            self._cancel = ui.button("Cancel", on_click=self._end).props("outline no-caps")
            self._progress = ui.label().props("role=status").classes("break-words min-w-0")

    async def _serve(self) -> None:
        problem = await serve_typed(self._context)
        self._problem.text = escape_invisible(problem)
        for element in (self._problem, self._to_manifest):
            element.set_visibility(bool(problem))
        self._show_tools()

    def _show_tools(self) -> None:
        """Show the tools that are there now; the chosen one stays, with what was typed, while it is there."""
        live = self._context.session.live
        self._content.set_visibility(live.is_open)
        if not live.is_open:
            return
        bridge = live.bridge
        tools = {name: escape_invisible(name) for name in bridge.tools}
        session = self._context.session
        chosen = next((each for each in (self._tool.value, session.tool, *tools) if each in tools), None)
        if list(tools) != list(self._tool.options):
            self._tool.set_options(tools, value=chosen)
        missing = [str(each.error()) for each in bridge.disabled_entries]
        failed = [str(error) for error in bridge.discovery_errors.values()]
        withheld = [f"{name} is not offered: {reason}" for name, reason in bridge.withheld.items()]
        texts = [*missing, *failed, *withheld]
        self._problem.text = escape_invisible("\n".join(texts)) if texts else self._problem.text
        self._problem.set_visibility(bool(self._problem.text))

    def _choose(self) -> None:
        name = self._tool.value
        self._context.session.tool = name or self._context.session.tool
        self._form_place.clear()
        self._clear_outcome()
        self._form = None
        live = self._context.session.live
        tool = live.bridge.tools.get(name) if live.is_open else None
        self._about.text = escape_invisible(tool.description) if tool is not None else ""
        self._call.set_enabled(tool is not None)
        if tool is None:
            return
        schema: Any = live.service.input_schema(name) or {}
        with self._form_place:
            self._form = ToolForm(schema, self._context.session.typed_arguments.setdefault(str(name), {}))

    async def _run(self) -> None:
        if self._form is None or self._running is not None:
            return
        filled = self._form.read()
        if filled.problems:
            return
        self._clear_outcome()
        running = self._running = RunningCall(self._context.session.live)
        self._show_running()
        try:
            report = await running.run(str(self._tool.value), filled.arguments, self._show_running)
        finally:
            self._running = None
            if not self._context.client.is_deleted:
                self._show_running()
        if self._context.client.is_deleted:
            return
        if report.is_error and "code: invalid-arguments" in report.facts:
            self._form.show_problem(report.blocks[0].text)
        self._outcome.clear()
        with self._outcome:
            draw_report(report)

    def _clear_outcome(self) -> None:
        self._outcome.clear()
        with self._outcome:
            ui.label("What a host gets, and the messages that led to it, appear here.").classes("studio-muted")

    def _end(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _show_running(self) -> None:
        running = self._running
        self._cancel.set_visibility(running is not None)
        self._call.set_enabled(running is None and self._form is not None)
        if running is None:
            self._progress.text = ""
        else:
            latest = f": {running.items[-1][:200]}" if running.items else ""
            self._progress.text = f"{running.count} items{latest}" if running.count else "waiting for the endpoint"
