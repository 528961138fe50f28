"""B5: what an endpoint says is text, wherever the page shows it.

An endpoint says each text of a corpus in its replies, as keys and values, in errors, as events, as plain and binary
messages and in the reason of its close; tools of the manifest and tools that the endpoint announces have these texts as
names, descriptions, defaults and choices. Pass criteria: no script runs, nothing is loaded from elsewhere, no dialog,
window or frame opens, the page is no other one afterwards; and the texts can be read in each panel that shows texts of
endpoints.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, expect

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .chromium import Watch, chromium, window
from .endpoints import endpoint, repeating
from .flows import PANELS, connect_to, open_panel, open_studio, select_tool
from .hands import Mouse
from .hostile import TEXTS
from .studio import studio

PWNED: Final = "() => window.pwned || 0"
ANNOUNCED_STEP: Final = 3
"""Each how many-th announced tool is opened: the list shows the names of all."""

INJECTED: Final = """() => [...document.querySelectorAll(
  "iframe, object, embed, base, form, math, img[src=x], img[src*=evil], link[href*=evil], [onerror], [onload], "
  + "[ontoggle], [onfocus], [onmouseover], a[href^='javascript:'], meta[http-equiv=refresh]")].map(
  (element) => element.outerHTML.slice(0, 120))"""


async def measure(size: Size) -> Sequence[Figure]:
    """Show the corpus in every panel."""
    del size
    wrong: list[str] = []
    seen: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with endpoint(repeating(TEXTS)) as url, chromium() as browser, window(browser) as context:
            file = Path(folder) / "manifest.json"
            file.write_text(json.dumps(hostile_manifest(url)), encoding="utf-8")
            async with studio(Path(folder), str(file)) as served:
                page = await context.new_page()
                watch = Watch(page, served.origin)
                await open_studio(page, served.url)
                seen |= await _show(page, url)
                wrong += [f"{await page.evaluate(PWNED)} scripts ran"] if await page.evaluate(PWNED) else []
                wrong += await page.evaluate(INJECTED)
                wrong += [f"another page: {page.url}"] if not page.url.startswith(served.url) else []
                wrong += watch.wrong
    unseen = [panel for panel, count in seen.items() if not count]
    shown = ", ".join(f"{panel} {count}" for panel, count in seen.items())
    return [
        Figure("B5", f"{len(TEXTS)} hostile texts in every panel: what ran, loaded or opened",
               "; ".join([str(len(wrong)), *wrong[:5]]), "0", not wrong),
        Figure("B5", "the panels in which they can be read, and how many of them", shown, "all", not unseen),
    ]  # fmt: skip


def hostile_manifest(url: str) -> dict[str, Any]:
    """Return a manifest whose texts are the corpus."""
    properties = {
        f"a{at}": {"type": "string", "description": text, "title": text, "default": text}
        for at, text in enumerate(TEXTS)
    }
    properties["choice"] = {"enum": list(TEXTS), "description": TEXTS[2]}  # type: ignore[dict-item]
    asking = {"message": {"id": "{{ request_id }}", "method": "{{ tool }}"}}
    listed = {
        "name": "hostile",
        "url": url,
        **asking,
        "request_id": "counter",
        "reply": {"match": "message.id == request_id", "error": "message.error"},
        "tools": [
            {"name": "ask", "description": "\n".join(TEXTS), "inputs": {"type": "object", "properties": properties}},
            {"name": "fail", "description": TEXTS[2]},
            {"name": "bye", "description": TEXTS[3]},
        ],
        "feeds": [{"name": "events", "description": TEXTS[2], "match": "message.event is defined"}],
    }
    return {"manual_call_templates": [listed, {"name": "announced", "url": url, "pin": "off"}]}


async def _show(page: Page, url: str) -> Mapping[str, int]:
    """Go through the panels; return how many of the texts each has shown."""
    hands, seen = Mouse(page), dict.fromkeys(("Connect", "Draft", "Manifest", "Tools", "Endpoints and feeds"), 0)
    await connect_to(hands, url, '{"id": 1, "method": "ask"}')
    await expect(page.get_by_role("option").filter(has_text='{"id": 1, "text": [')).to_be_visible()
    for line in await page.get_by_role("option").all():
        await line.click()
        seen["Connect"] = max(seen["Connect"], await _readable(page))
    await open_panel(hands, "Draft")
    await hands.press(hands.button("Draft from the conversation"))
    await expect(page.get_by_role("status").filter(has_text="Draft from ")).to_be_visible()
    seen["Draft"] = await _readable(page)
    await open_panel(hands, "Manifest")
    seen["Manifest"] = await _readable(page)
    await open_panel(hands, "Tools")
    for tool in ("ask", "fail", "bye"):
        await select_tool(hands, f"hostile.{tool}")
        await hands.press(hands.button("Call"))
        await expect(page.get_by_label("Trace")).to_be_visible()
        seen["Tools"] = max(seen["Tools"], await _readable(page))
    await _read_announced(hands)
    await open_panel(hands, "Endpoints and feeds")
    await hands.press(hands.button("Follow"))
    await expect(page.get_by_role("log")).to_contain_text("pwned")
    seen["Endpoints and feeds"] = await _readable(page)
    await open_panel(hands, PANELS[-1])
    return seen


async def _read_announced(hands: Mouse) -> None:
    """Choose each tool that the endpoint announces, so that its description and its form are drawn."""
    page = hands.page
    await hands.field("Tool").click()
    names = [(await each.inner_text()).strip() for each in await page.get_by_role("option").all()]
    announced = [name for name in names if name.startswith("announced.")]
    assert announced, "no tool is announced"
    await page.keyboard.press("Escape")
    for at in range(0, len(announced), ANNOUNCED_STEP):
        await hands.choose(hands.field("Tool"), announced[at])
        await expect(hands.field("plain")).to_be_visible()


async def _readable(page: Page) -> int:
    """Return how many texts of the corpus can be read on the page, as they are or as JSON writes them."""
    shown = " ".join((await page.locator("body").inner_text()).split())
    forms = ({" ".join(text.split()), " ".join(json.dumps(text)[1:-1].split())} for text in TEXTS)
    return sum(any(form in shown for form in each) for each in forms)


if __name__ == "__main__":
    run(measure)
