"""The panel Endpoints and feeds: what state they are in, how much happens, and the events of a feed as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import background_tasks, ui

from ....manifest.invisible import escape_invisible
from ...followed_feed import FeedRow, FollowedFeed
from ...live_numbers import LiveNumbers
from ...session import Topic
from ..call_report import milliseconds
from ..context import PageContext
from ..plot import Plot
from ..serving import serve_typed
from ..state_table import StateTable
from ..tool_form import ToolForm

REFRESH_SECONDS: Final = 1.0
EVENTS_REFRESH_SECONDS: Final = 0.25
SHOWN_EVENTS: Final = 100
"""Events of a feed on the page, the newest."""

ENDPOINT_COLUMNS: Final = (
    ("name", "Endpoint"),
    ("state", "State"),
    ("connections", "Connections"),
    ("waiting", "Waiting calls"),
    ("lost", "Lost"),
    ("sent", "Sent"),
    ("received", "Received"),
    ("latency", "Calls"),
    ("problem", "Problem"),
)
FEED_COLUMNS: Final = (
    ("name", "Feed"),
    ("state", "State"),
    ("events", "Events"),
    ("gaps", "Gaps"),
    ("interruptions", "Interruptions"),
    ("readers", "Readers"),
)


def build(context: PageContext) -> None:
    """Draw the panel."""
    EndpointsPanel(context)


class EndpointsPanel:
    """The endpoints and feeds of the manifest as it is typed. It is served when the panel is opened."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        ui.label("Watch the endpoints and feeds").classes("studio-heading").props("role=heading aria-level=2")
        self._problem = ui.label().props("role=alert").classes("studio-error whitespace-pre-wrap break-words")
        with ui.column().classes("w-full gap-3") as self._content:
            self._endpoints = StateTable("Endpoints", ENDPOINT_COLUMNS)
            self._endpoint = ui.select({}, label="Endpoint of the plots", on_change=self._refresh)
            self._endpoint.props("outlined dense").classes("w-full")
            with ui.element("div").classes("studio-halves"):
                self._rates = Plot("Messages in each second", "messages")
                self._latencies = Plot("Duration of the last calls in ms", "ms")
            with ui.column().classes("w-full gap-3") as self._feed_part:
                self._feeds = StateTable("Feeds", FEED_COLUMNS)
                self._feed_view = FeedView(context)
        self._content.set_visibility(False)
        context.on_open("endpoints", self._serve)
        context.listen(Topic.TOOLS, self._refresh)
        ui.timer(REFRESH_SECONDS, self._refresh_if_open)

    async def _serve(self) -> None:
        problem = await serve_typed(self._context)
        self._problem.text = escape_invisible(problem)
        self._problem.set_visibility(bool(problem))
        self._refresh()

    def _refresh_if_open(self) -> None:
        if self._context.session.panel == "endpoints":
            self._refresh()

    def _refresh(self) -> None:
        live = self._context.session.live
        self._content.set_visibility(live.is_open)
        if not live.is_open:
            return
        endpoints, feeds = live.endpoints(), live.feeds()
        names = {each["name"]: escape_invisible(each["name"]) for each in endpoints}
        if list(names) != list(self._endpoint.options):
            chosen = self._endpoint.value if self._endpoint.value in names else next(iter(names), None)
            self._endpoint.set_options(names, value=chosen)
        tools = list(live.bridge.tools)
        self._endpoints.show([_endpoint_row(each, live.numbers, tools) for each in endpoints])
        self._feeds.show([_feed_row(each, live.numbers) for each in feeds])
        self._feed_part.set_visibility(bool(feeds))
        self._feed_view.show_feeds()
        self._plot(tools)

    def _plot(self, tools: Sequence[str]) -> None:
        name, numbers = str(self._endpoint.value), self._context.session.live.numbers
        self._rates.show({series: numbers.rates(name, series) for series in ("sent", "received")})
        durations = {tool: numbers.latency(tool).values for tool in tools if tool.startswith(f"{name}.")}
        self._latencies.show({tool: [value * 1000 for value in values] for tool, values in durations.items() if values})


class FeedView:
    """One feed whose events are shown as they come."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._form: ToolForm | None = None
        self._followed: FollowedFeed | None = None
        self._feed = ui.select({}, label="Feed", on_change=self._choose).props("outlined dense").classes("w-full")
        self._form_place = ui.column().classes("w-full gap-2")
        with ui.row().classes("studio-row"):
            self._follow = ui.button("Follow", on_click=self._start).props("no-caps")
            self._stop = ui.button("Stop", on_click=self._end).props("outline no-caps")
            self._state = ui.label().props("role=status")
        self._rates = Plot("Events and gaps in each second", "in this second")
        self._rates.hide()
        self._events = ui.label().classes("studio-pre")
        self._events.props("tabindex=0 role=log aria-live=off aria-label='Events, the newest first'")
        self._events.set_visibility(False)
        self._show_buttons()
        context.client.on_delete(self._end)
        ui.timer(EVENTS_REFRESH_SECONDS, self._show_events)

    def show_feeds(self) -> None:
        """Offer the feeds that there are now; the chosen one stays."""
        live = self._context.session.live
        names = {each["name"]: escape_invisible(each["name"]) for each in live.feeds()}
        if list(names) != list(self._feed.options):
            chosen = self._feed.value if self._feed.value in names else next(iter(names), None)
            self._feed.set_options(names, value=chosen)

    def _choose(self) -> None:
        self._end()
        self._form_place.clear()
        live = self._context.session.live
        tool = live.bridge.tools.get(f"{self._feed.value}_events") if live.is_open else None
        self._form = None
        if tool is None or tool.feed is None:
            return
        names = tool.feed.feed.argument_names
        own = {name: each for name, each in tool.inputs.get("properties", {}).items() if name in names}
        with self._form_place:
            typed = self._context.session.typed_arguments.setdefault(tool.full_name, {})
            self._form = ToolForm({**tool.inputs, "properties": own}, typed)

    def _start(self) -> None:
        filled = self._form.read() if self._form is not None else None
        if filled is None or filled.problems:
            return
        self._end()
        self._followed = FollowedFeed(self._context.session.live, str(self._feed.value))
        background_tasks.create(self._followed.run(filled.arguments))
        self._show_buttons()

    def _end(self) -> None:
        if self._followed is not None:
            self._followed.stop()

    def _show_events(self) -> None:
        followed = self._followed
        if followed is None or self._context.session.panel != "endpoints":
            return
        problem = f": {followed.problem}" if followed.problem else ""
        last = f", last event {followed.rows[-1].number:,}" if followed.rows else ", no event yet"
        self._state.text = escape_invisible(f"{followed.state}{last}{problem}")
        numbers = self._context.session.live.numbers
        self._rates.show({series: numbers.rates(followed.name, series) for series in ("events", "gaps")})
        newest = list(followed.rows)[: -SHOWN_EVENTS - 1 : -1]
        self._events.text = "\n".join(map(_event_line, newest))  # sent to the browser only if it has changed
        self._events.set_visibility(bool(newest))
        self._show_buttons()

    def _show_buttons(self) -> None:
        runs = self._followed is not None and self._followed.state != "stopped"
        self._stop.set_enabled(runs)
        self._follow.set_enabled(not runs)


def _event_line(row: FeedRow) -> str:
    return f"gap after {row.number}: {row.text}" if row.is_gap else f"{row.at}  {row.number}  {row.text}"


def _endpoint_row(state: Mapping[str, Any], numbers: LiveNumbers, tools: Sequence[str]) -> dict[str, Any]:
    name = state["name"]
    calls = [numbers.latency(tool) for tool in tools if tool.startswith(f"{name}.")]
    values = [value for each in calls for value in each.values]
    failed = sum(each.failed for each in calls)
    median = f", median {milliseconds(sorted(values)[len(values) // 2])}" if values else ""
    row = {
        "name": name,
        "state": state["state"],
        "connections": state.get("connections", 0),
        "waiting": state.get("waiting", 0),
        "latency": f"{len(values)}{median}{f', {failed} failed' if failed else ''}",
        "problem": state.get("problem") or "",
        **{series: numbers.total(name, series) for series in ("lost", "sent", "received")},
    }
    return {key: escape_invisible(value) if isinstance(value, str) else value for key, value in row.items()}


def _feed_row(state: Mapping[str, Any], numbers: LiveNumbers) -> dict[str, Any]:
    name, opened = state["name"], state["open"]
    return {
        "name": escape_invisible(name),
        "state": escape_invisible(", ".join(each["state"] for each in opened) or "not followed"),
        "readers": sum(each["readers"] for each in opened),
        **{series: numbers.total(name, series) for series in ("events", "gaps", "interruptions")},
    }
