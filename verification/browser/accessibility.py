"""B4: axe-core finds nothing serious in any panel, light and dark, wide and narrow, and nothing is wider than the page.

Each panel is examined with content: a conversation, a draft, problems, a result, plots and a difference.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .chromium import NARROW, WIDE, chromium, window
from .endpoints import endpoint, weather, weather_manifest
from .flows import PANELS, fill_panels, open_panel, open_studio
from .hands import Mouse
from .studio import studio

AXE: Final = Path(__file__).parents[2] / "scripts" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS: Final = ("serious", "critical")
EXAMINE: Final = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
TOO_WIDE: Final = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def measure(size: Size) -> Sequence[Figure]:
    """Examine every panel in every form of the page; in the small size in two of the four."""
    forms = list(product((WIDE, NARROW), (False, True)))
    forms = [forms[0], forms[-1]] if size.light else forms
    found: list[str] = []
    wide: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        async with endpoint(weather) as url, chromium() as browser:
            file = Path(folder) / "manifest.json"
            file.write_text(json.dumps(weather_manifest(url)), encoding="utf-8")
            async with studio(Path(folder), str(file)) as served:
                for form in forms:
                    await _examine(browser, served.url, url, form, found, wide)
    examined = len(forms) * len(PANELS)
    return [
        Figure("B4", f"serious or critical findings of axe-core in {examined} pages",
               "; ".join([str(len(found)), *found[:6]]), "0", not found),
        Figure("B4", "pages that are wider than the window", "; ".join([str(len(wide)), *wide[:6]]), "0", not wide),
    ]  # fmt: skip


async def _examine(
    browser: Browser,
    address: str,
    url: str,
    form: tuple[tuple[int, int], bool],
    found: list[str],
    wide: list[str],
) -> None:
    """Add the findings of all panels in one form of the page, and those that are too wide."""
    shape, dark = form
    async with window(browser, shape, dark=dark) as context:
        page = await context.new_page()
        await open_studio(page, address)
        hands = Mouse(page)
        await fill_panels(hands, url)
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        for panel in PANELS:
            await open_panel(hands, panel)
            place = f"{panel}, {shape[0]} px, {'dark' if dark else 'light'}"
            found += [f"{place}: {text}" for text in await _findings(page)]
            if (pixels := await page.evaluate(TOO_WIDE)) > 0:
                wide.append(f"{place}: {pixels} px")


async def _findings(page: Page) -> list[str]:
    violations: list[dict[str, Any]] = await page.evaluate(EXAMINE)
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:120]}"
        for each in violations
        if each["impact"] in SERIOUS
        for node in each["nodes"][:2]
    ]


if __name__ == "__main__":
    run(measure)
