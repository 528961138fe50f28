"""B6: 10,000 messages leave the page responsive: frames, a key press, and the memory of the page.

An endpoint sends 10,000 messages as fast as it can while the panel Connect shows them, and 10,000 events of a feed
while the panel Endpoints and feeds does. The page counts its own frames meanwhile. On a machine that is busy with other
programs, frames are late whatever the page does; the longest one shows it.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, expect

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .chromium import chromium, window
from .endpoints import endpoint, flood, huge
from .flows import connect_to, open_panel, open_studio
from .hands import Mouse
from .studio import Studio, studio

COUNT: Final = 10_000
HUGE_BYTES: Final = 16 << 20
START_FRAMES: Final = """() => {
  window.frames_ = [];
  let last = performance.now();
  const note = (now) => { window.frames_.push(now - last); last = now; window.raf_ = requestAnimationFrame(note); };
  window.raf_ = requestAnimationFrame(note);
}"""
END_FRAMES: Final = "() => { cancelAnimationFrame(window.raf_); return window.frames_; }"
WAIT_FOR_KEY: Final = """() => {
  window.key_ = new Promise((done) => {
    const pressed = (event) => requestAnimationFrame(() => done(performance.now() - event.timeStamp));
    addEventListener("keydown", pressed, { once: true, capture: true });
  });
}"""
TARGET_MEDIAN: Final = 17.0
"""Milliseconds of a frame at 60 frames in a second."""

TARGET_LATE: Final = 5.0
"""Percent of the frames that may take longer than 50 ms."""

TARGET_KEY: Final = 200.0
"""Milliseconds from a key press to the next frame while messages arrive."""


async def measure(size: Size) -> Sequence[Figure]:
    """Measure both panels, and a message of 16 MiB."""
    del size
    with tempfile.TemporaryDirectory() as folder:
        async with endpoint(flood(COUNT)) as url, endpoint(huge(HUGE_BYTES)) as huge_url, chromium() as browser:
            file = Path(folder) / "manifest.json"
            feed = {"name": "ticks", "match": "message.event == 'tick'", "item": "message"}
            file.write_text(json.dumps({"name": "flood", "url": url, "feeds": [feed]}), encoding="utf-8")
            async with studio(Path(folder), str(file)) as served:
                async with _page(browser, served) as page:
                    conversation = await _conversation(page, url)
                async with _page(browser, served) as page:
                    events = await _events(page)
                async with _page(browser, served) as page:
                    key = await _huge(page, huge_url)
    figures = [*_figures("messages in Connect", *conversation), *_figures("events of a feed", *events)]
    what = f"a key press after messages of {HUGE_BYTES >> 20} MiB, the longest of which is opened"
    return [*figures, Figure("B6", what, f"{key:.0f} ms", f"≤ {TARGET_KEY:g} ms", key <= TARGET_KEY)]


@asynccontextmanager
async def _page(browser: Browser, served: Studio) -> AsyncIterator[Page]:
    """Open the studio in a window of its own."""
    async with window(browser) as context:
        page = await context.new_page()
        await open_studio(page, served.url)
        yield page


def _figures(what: str, frames: Sequence[float], key: float, seconds: float) -> list[Figure]:
    ordered = sorted(frames)
    median, late = ordered[len(ordered) // 2], 100 * sum(frame > 50 for frame in ordered) / len(ordered)
    shown = f"median {median:.1f} ms, {late:.1f} % over 50 ms, longest {ordered[-1]:.0f} ms, {len(ordered)} frames"
    return [
        Figure("B6", f"frames during {COUNT:,} {what} ({seconds:.1f} s)", shown,
               f"median ≤ {TARGET_MEDIAN:g} ms, ≤ {TARGET_LATE:g} % over 50 ms",
               median <= TARGET_MEDIAN and late <= TARGET_LATE),
        Figure("B6", f"a key press during {what}", f"{key:.0f} ms", f"≤ {TARGET_KEY:g} ms", key <= TARGET_KEY),
    ]  # fmt: skip


async def _conversation(page: Page, url: str) -> tuple[list[float], float, float]:
    hands = Mouse(page)
    await open_panel(hands, "Connect")
    await page.evaluate(START_FRAMES)
    started = time.monotonic()
    await connect_to(hands, url, "")
    key = await _press_key(page)
    await expect(page.get_by_text("10,0", exact=False).locator("visible=true").first).to_be_visible()
    return await page.evaluate(END_FRAMES), key, time.monotonic() - started


async def _huge(page: Page, url: str) -> float:
    """Open a message of 16 MiB; return the milliseconds that a key press takes then."""
    hands = Mouse(page)
    await connect_to(hands, url, "")
    lines = page.get_by_role("listbox", name="Messages").locator("visible=true").get_by_role("option")
    await expect(lines.filter(has_text='"last"')).to_be_visible()
    await lines.filter(has_text='"long"').click()
    await expect(page.locator("[role=document]").locator("visible=true")).to_contain_text("(cut: ")
    return await _press_key(page)


async def _events(page: Page) -> tuple[list[float], float, float]:
    hands = Mouse(page)
    await open_panel(hands, "Endpoints and feeds")
    await page.evaluate(START_FRAMES)
    started = time.monotonic()
    await hands.press(hands.button("Follow"))
    key = await _press_key(page)
    await expect(page.get_by_role("log")).to_contain_text(f'"number": {COUNT - 1}')
    return await page.evaluate(END_FRAMES), key, time.monotonic() - started


async def _press_key(page: Page) -> float:
    """Return the milliseconds from a key press to the next frame, by the clock of the page."""
    await page.evaluate(WAIT_FOR_KEY)
    await page.keyboard.press("Tab")
    milliseconds: float = await page.evaluate("() => window.key_")
    return milliseconds


if __name__ == "__main__":
    run(measure)
