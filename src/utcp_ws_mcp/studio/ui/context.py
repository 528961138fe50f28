"""What a panel gets: the session, the browser that shows it, and how to say something there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from nicegui import Client, background_tasks, ui

from ...errors import BridgeError
from ...manifest.invisible import escape_invisible
from ...records import Record
from ..session import StudioSession, Topic

Kind = Literal["positive", "negative", "warning", "info"]


class PageContext(Record):
    """One page in one browser, with the session that it shows."""

    session: StudioSession
    client: Client
    open_panel: Callable[[str], None]

    def listen(self, topic: Topic, show: Callable[[], None]) -> None:
        """Show each change of a topic as long as the page is open."""

        def show_here() -> None:
            with self.client:
                show()

        self.client.on_delete(self.session.listen(topic, show_here))

    def on_open(self, panel: str, show: Callable[[], Awaitable[None] | None]) -> None:
        """Call a function each time that a panel is opened, also now if it is open."""

        async def show_here() -> None:
            with self.client:
                shown = show()
                if shown is not None:
                    await shown

        def opened() -> None:
            if self.session.panel == panel:
                background_tasks.create(show_here(), name=f"open {panel}")

        self.client.on_delete(self.session.listen(Topic.PANEL, opened))
        opened()

    def say(self, text: str, kind: Kind = "info") -> None:
        """Show a short message that goes away by itself; screen readers read it."""
        with self.client:
            ui.notify(escape_invisible(text), type=kind, close_button="Close", multi_line=True)

    def report(self, failed: BridgeError) -> None:
        """Show why something did not work."""
        self.say(str(failed), "negative")
