"""The frame of the page: the title, the tabs, and the panel that is open."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from nicegui import ui

from ..session import Sessions, StudioSession, Topic
from .context import PageContext
from .editor import add_routes
from .panels import connect, draft, endpoints, install, manifest, tools

TITLE: Final = "utcp-ws-mcp studio"
CONNECT_SECONDS: Final = 20.0
"""Seconds in which the browser must have connected; one that reads only the first answer never does."""


class Panel(NamedTuple):
    """A panel: its name, the label and icon of its tab, and what draws it."""

    name: str
    label: str
    icon: str
    build: Callable[[PageContext], None]


PANELS: Final = (
    Panel("connect", "Connect", "cable", connect.build),
    Panel("draft", "Draft", "auto_fix_high", draft.build),
    Panel("manifest", "Manifest", "data_object", manifest.build),
    Panel("tools", "Tools", "build", tools.build),
    Panel("endpoints", "Endpoints and feeds", "monitor_heart", endpoints.build),
    Panel("install", "Install", "download", install.build),
)


_STYLE: Final = Path(__file__).parent / "static" / "studio.css"
_ASK_BEFORE_CLOSING: Final = """<script>
  window.addEventListener("beforeunload", (event) => {
    // Refused by the server, which has forgotten the page, because it was away for long: NiceGUI loads it again. The
    // session has what was typed.
    const isLoadedAgain = window.socket?.active === false;
    if (window.studioIsUnsaved && !isLoadedAgain) event.preventDefault();
  });
</script>"""


def add_page(sessions: Sessions) -> None:
    """Serve the page, with a session for each tab of the browser."""
    ui.add_css(_STYLE, shared=True)
    ui.add_head_html(_ASK_BEFORE_CLOSING, shared=True)
    add_routes()

    @ui.page("/", title=TITLE, response_timeout=CONNECT_SECONDS)
    async def index() -> None:
        client = ui.context.client
        await client.connected(timeout=CONNECT_SECONDS)
        if client.tab_id is not None:
            client.on_delete(partial(sessions.leave, client.tab_id))
            build_page(sessions.enter(client.tab_id))


def build_page(session: StudioSession) -> None:
    """Draw the page of a session."""
    with ui.header().classes("studio-header"):
        ui.label(TITLE).classes("studio-title").props("role=heading aria-level=1")
        name = ui.label().classes("studio-name")
        tabs = ui.tabs().props("dense no-caps inline-label align=left").classes("studio-tabs")

    def open_panel(name: str) -> None:
        tabs.set_value(name)

    context = PageContext(session, ui.context.client, open_panel)
    with tabs:
        for panel in PANELS:
            ui.tab(panel.name, panel.label, panel.icon)

    with ui.tab_panels(tabs, value=session.panel, animated=False).classes("studio-panels") as panels:
        for panel in PANELS:
            with ui.tab_panel(panel.name).classes("studio-panel"):
                panel.build(context)
    tabs.on_value_change(lambda: session.open_panel(str(tabs.value)))
    ui.skip_link("Skip to the panel", target=panels)

    def show_name() -> None:
        changed = session.manifest.is_changed
        name.text = f"{session.manifest.name}{' (not saved)' if changed else ''}"
        context.client.run_javascript(f"window.studioIsUnsaved = {'true' if changed else 'false'}")

    def report(failed: Exception) -> None:
        what = f"This did not work because of a bug ({type(failed).__name__}); the terminal has the details."
        context.say(f"{what} [internal-error]", "negative")

    show_name()
    context.listen(Topic.MANIFEST, show_name)
    ui.on_exception(report)
