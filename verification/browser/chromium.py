"""A headless Chromium: that of the system, or the one that Playwright has installed."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS: Final = (
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Nothing of Chromium's own may look for a network, which may be closed.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE: Final = (1280, 800)
NARROW: Final = (400, 800)
STEP_TIMEOUT: Final = 15.0
"""Seconds that a step on a page may take."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the browser until the end of the block."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*OPTIONS])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(
    browser: Browser, size: tuple[int, int] = WIDE, *, dark: bool = False
) -> AsyncIterator[BrowserContext]:
    """Open a window with storage of its own; its pages have the scheme and the size."""
    options: dict[str, Any] = {
        "viewport": {"width": size[0], "height": size[1]},
        "color_scheme": "dark" if dark else "light",
        "reduced_motion": "reduce",
    }
    context = await browser.new_context(**options)
    context.set_default_timeout(STEP_TIMEOUT * 1000)
    try:
        yield context
    finally:
        await context.close()


class Watch:
    """What a page must not do: log errors, ask for another host, open dialogs, go elsewhere."""

    def __init__(self, page: Page, origin: str) -> None:
        self.wrong: list[str] = []
        self._origin = origin
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"exception: {str(error)[:200]}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self._request(request.url))
        page.on("popup", lambda _: self.wrong.append("opened a window"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text[:200]}")

    async def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message[:100]}")
        await dialog.dismiss()

    def _request(self, url: str) -> None:
        if not url.startswith((self._origin, "data:", "blob:")):
            self.wrong.append(f"asked for {url[:100]}")
