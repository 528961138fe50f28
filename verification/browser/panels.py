"""B2 and B3: each panel does its work by mouse, and by the keyboard alone."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Error

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .chromium import Watch, chromium, window
from .endpoints import endpoint, weather, weather_manifest
from .flows import FLOWS, Workplace, open_studio
from .hands import Hands, Keyboard, Mouse, NotReachable
from .studio import studio

MAX_START: Final = 3.0
"""Seconds from the command to its address, without the time in which it waits for a processor."""


async def measure(size: Size) -> Sequence[Figure]:
    """Use every panel with both hands."""
    del size
    figures: list[Figure] = []
    async with chromium() as browser:  # both at once: most of the time is spent waiting
        mouse, keyboard = await asyncio.gather(_use(browser, Mouse), _use(browser, Keyboard))
    for number, what, (failed, wrong, _) in (
        ("B2", "by mouse", mouse),
        ("B3", "by the keyboard alone", keyboard),
    ):
        result = "; ".join([f"{len(FLOWS) - len(failed)} of {len(FLOWS)}", *failed])
        figures.append(Figure(number, f"panels that do their work {what}", result, "all", not failed))
        shown = "; ".join([str(len(wrong)), *wrong[:4]])
        figures.append(Figure(number, "errors of the page, and requests elsewhere", shown, "0", not wrong))
    seconds = mouse[2]
    figures.append(
        Figure("B2", "from the command to its address", f"{seconds:.1f} s", f"≤ {MAX_START:g} s", seconds <= MAX_START)
    )
    return figures


async def _use(browser: Browser, kind: type[Hands]) -> tuple[list[str], list[str], float]:
    """Return which panels did not work, what went wrong on the page, and the seconds to its address."""
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        file = home / "manifest.json"
        async with endpoint(weather) as url, studio(home, str(file)) as served, window(browser) as context:
            page = await context.new_page()
            watch = Watch(page, served.origin)
            await open_studio(page, served.url)
            workplace = Workplace(url, home, file, json.dumps(weather_manifest(url), indent=2))
            for name, flow in FLOWS.items():
                try:
                    await flow(kind(page), workplace)
                except (AssertionError, Error, NotReachable) as wrong:
                    failed.append(f"{name}: {' '.join(str(wrong).split())[:300]}")
            return failed, watch.wrong, served.seconds


if __name__ == "__main__":
    run(measure)
