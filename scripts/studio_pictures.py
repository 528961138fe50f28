"""Pictures of the studio for the documentation: a walk from an unknown endpoint to an installed server.

`make pictures` draws them, if there is a Chromium. Folders of this machine are shown as those of another person.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

from playwright.async_api import Page, expect

from verification.browser.chromium import chromium, window
from verification.browser.endpoints import endpoint, weather
from verification.browser.flows import QUESTION, connect_to, open_panel, open_studio
from verification.browser.hands import Mouse
from verification.browser.studio import studio

SIZE: Final = (1000, 660)
EVENT_SECONDS: Final = 1.0
MAX_BYTES: Final = 150_000
"""Bytes of one picture."""

SHOWN_HOME: Final = "/home/ada"
SHOWN_PROGRAM: Final = f"{SHOWN_HOME}/.local/bin/utcp-ws-mcp"
NAMES: Final = ("connect", "draft", "manifest", "tools", "endpoints", "install")
"""The steps; each is a picture `studio-NAME.png`."""

LONG: Final = ("studio-connect", "studio-endpoints")
"""Pictures of the whole page, which is longer than the window."""

RENAME: Final = """([pairs]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    for (const [from, to] of pairs) {
      const text = walker.currentNode;
      if (text.nodeValue.includes(from)) text.nodeValue = text.nodeValue.replaceAll(from, to);
    }
  }
}"""


async def draw(folder: Path) -> None:
    """Draw all pictures into a folder."""
    with tempfile.TemporaryDirectory() as home:
        async with (
            endpoint(partial(weather, seconds=EVENT_SECONDS)) as url,
            chromium() as browser,
            studio(Path(home)) as served,
            window(browser, SIZE) as context,
        ):
            page = await context.new_page()
            await open_studio(page, served.url)
            async for name in _walk(page, url):
                await _save(page, folder / f"studio-{name}.png", home)


async def _walk(page: Page, url: str) -> AsyncIterator[str]:
    """Go through the panels, and yield the name of each step when it can be shown."""
    hands = Mouse(page)
    await connect_to(hands, url, QUESTION)
    line = page.get_by_role("option").filter(has_text="celsius").first
    await line.click()
    await expect(line).to_contain_text("reply")
    event = page.get_by_role("option").filter(has_text='"number": 4')
    await expect(event.locator(".line-role")).to_have_text("event")
    yield "connect"
    await open_panel(hands, "Draft")
    await hands.press(hands.button("Draft from the conversation"))
    await expect(page.get_by_role("status").filter(has_text="Draft from ")).to_be_visible()
    yield "draft"
    await hands.press(hands.button("Use as the manifest"))
    await hands.press(hands.button("Save"))
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_text("is saved")).to_be_visible()
    await page.get_by_role("button", name="Close").click()
    await expect(page.get_by_text("is saved")).to_be_hidden()
    yield "manifest"
    await open_panel(hands, "Tools")
    await hands.write(hands.field("city (required)"), "Bergen")
    await hands.press(hands.button("Call"))
    await expect(page.get_by_label("Trace")).to_contain_text("reply.match holds")
    yield "tools"
    await open_panel(hands, "Endpoints and feeds")
    await hands.press(hands.button("Follow"))
    await expect(page.get_by_text("open, last event 4")).to_be_visible()
    yield "endpoints"
    await open_panel(hands, "Install")
    await hands.choose(hands.field("Host"), "Cursor")
    await expect(page.get_by_label("Change of the configuration")).to_contain_text("(no file yet)")
    yield "install"


async def _save(page: Page, file: Path, home: str) -> None:
    await page.mouse.move(0, 0)
    program = str(Path(sys.executable).with_name("utcp-ws-mcp"))
    await page.evaluate(RENAME, [[[program, SHOWN_PROGRAM], [home, SHOWN_HOME]]])
    await page.evaluate("() => window.scrollTo(0, 0)")
    data = await page.screenshot(full_page=file.stem in LONG, animations="disabled")
    if len(data) > MAX_BYTES:
        raise ValueError(f"{file.name} has {len(data):,} bytes, more than {MAX_BYTES:,}")
    file.write_bytes(data)


if __name__ == "__main__":
    asyncio.run(draw(Path(__file__).parents[1] / "docs" / "pictures"))
