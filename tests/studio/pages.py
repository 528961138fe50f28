"""Pages without a browser: what they show, and how a person uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
from anyio.lowlevel import checkpoint
from nicegui import core, ui
from nicegui.testing import User, UserInteraction, user_simulation
from nicegui.testing.user_notify import UserNotify

from utcp_ws_mcp.studio.session import StudioSession
from utcp_ws_mcp.studio.ui.context import PageContext

from ..peer import PATIENCE


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(PATIENCE):
        while not condition():
            await checkpoint()


async def settle() -> None:
    """Let the handlers of events run that do not wait for anything."""
    for _ in range(20):
        await checkpoint()


def shown(user: User, kind: type[ui.element], text: str = "") -> list[Any]:
    """Return the visible elements of a kind whose text or label contains a text."""
    assert user.client is not None
    elements = (each for each in user.client.elements.values() if isinstance(each, kind) and each.visible)
    return [each for each in elements if text in str(getattr(each, "text", "") or each.props.get("label", ""))]


def texts(user: User) -> set[str]:
    """Return the texts of all visible labels."""
    return {each.text for each in shown(user, ui.label)}


async def field(user: User, label: str) -> Any:
    """Return the field with a label, once it is there."""
    await until(lambda: shown(user, ui.element, label))
    (found,) = (each for each in shown(user, ui.element, label) if hasattr(each, "value"))
    return found


def press(user: User, text: str) -> None:
    """Click a button."""
    user.find(kind=ui.button, content=text).click()


def click(user: User, text: str, within: ui.element | None = None) -> None:
    """Click the button with a text: the one in an element, or the one that is in no dialog."""
    found = [each for each in shown(user, ui.button) if each.text == text]
    if within is None:
        found = [each for each in found if not any(isinstance(around, ui.dialog) for around in each.ancestors())]
    else:
        found = [each for each in found if within in each.ancestors()]
    (button,) = found
    trigger(user, button, "click")


def dialog_of(user: User) -> ui.dialog:
    """Return the one dialog of a page."""
    assert user.client is not None
    (found,) = (each for each in user.client.elements.values() if isinstance(each, ui.dialog))
    return found


def close(user: User) -> None:
    """Close the page, unless it is closed already."""
    if user.client is not None and not user.client.is_deleted:
        user.client.delete()


def trigger(user: User, element: ui.element, event: str, args: Any = None) -> None:
    """Let an event of the browser happen at an element."""
    UserInteraction(user, {element}, None).trigger(event, args)


class Notifications(UserNotify):
    """The short messages of a page, each with its kind."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[tuple[str, str]] = []

    def __call__(self, message: str, **options: Any) -> None:
        assert (options["close_button"], options["multi_line"]) == ("Close", True)
        super().__call__(message, **options)
        self.kinds.append((message, options["type"]))


class ListInBrowser:
    """What `lines.js` does; `calls` are its methods that were called, with the number of lines that were sent."""

    def __init__(self, lines: ui.element) -> None:
        self.rows: list[dict[str, Any]] = []
        self.calls: list[tuple[str, int]] = []
        lines.run_method = self.run  # type: ignore[assignment, method-assign]

    def run(self, name: str, rows: list[dict[str, Any]], first: int | None = None) -> None:
        self.calls.append((name, len(rows)))
        if name == "append":
            assert first is not None
            self.rows = [each for each in self.rows if each["n"] >= first] + rows
        elif name == "update":
            changed = {each["n"]: each for each in rows}
            self.rows = [changed.get(each["n"], each) for each in self.rows]
        else:
            assert name == "replace"
            self.rows = rows

    @property
    def texts(self) -> list[str]:
        return [each["x"] for each in self.rows]


class Site:
    """A server of pages for the tests of one module; each test opens a page of its own."""

    def __init__(self) -> None:
        self.build: Callable[[], Any] = lambda: None
        self.context: PageContext
        self.notified = Notifications()
        self.opened: list[str] = []

    def draw(self) -> None:
        """Draw the page that is opened."""
        self.build()

    async def open(self, build: Callable[[], Any]) -> User:
        """Open a page with what a function draws."""
        self.build = build
        transport = httpx.ASGITransport(core.app)
        user = User(httpx.AsyncClient(transport=transport, base_url="http://test"))
        user.notify = self.notified = Notifications()
        await user.open("/")
        return user

    async def panel(self, session: StudioSession, build: Callable[[PageContext], Any]) -> User:
        """Open a page with one panel of a session. `opened` are the panels that it opens."""
        self.opened = []

        def draw() -> None:
            self.context = PageContext(session, ui.context.client, self.opened.append)
            build(self.context)

        return await self.open(draw)


@asynccontextmanager
async def serving_pages() -> AsyncIterator[Site]:
    """Serve pages until the end of the block."""
    site = Site()
    async with user_simulation(site.draw):
        yield site
