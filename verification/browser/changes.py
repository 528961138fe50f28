"""B7: what was typed is never lost: two tabs, a file that another program changes or removes, a reload of the page."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, Page, expect

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .chromium import chromium, window
from .flows import edit_manifest, editor, open_panel, open_studio
from .hands import Mouse
from .studio import studio

MANIFEST: Final = {"name": "m", "url": "wss://api.example/", "tools": [{"name": "one"}]}
INPUTS: Final = '{"type": "object", "properties": {"note": {"type": "string"}, "side": {"enum": ["buy", "sell"]}}}'
KEY_MILLISECONDS: Final = 8
"""Between two keys, which are typed faster than people do."""

STILL_HERE: Final = "What you typed is still here"


async def measure(size: Size) -> Sequence[Figure]:
    """Try each way to lose what was typed."""
    del size
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        file.write_text(written("first"), encoding="utf-8")
        async with studio(Path(folder), str(file)) as served, chromium() as browser:
            for case in CASES:
                async with window(browser) as context:
                    file.write_text(written("first"), encoding="utf-8")
                    try:
                        await case(context, served.url, file)
                    except AssertionError as wrong:
                        failed.append(f"{(case.__doc__ or '').rstrip('.')}: {str(wrong)[:200]}")
    result = "; ".join([f"{len(CASES) - len(failed)} of {len(CASES)}", *failed])
    return [Figure("B7", "ways in which what was typed could get lost, and does not", result, "all", not failed)]


def written(name: str) -> str:
    """Return the text of a manifest with this name of its tool."""
    return json.dumps({**MANIFEST, "tools": [{"name": name}]}, indent=2) + "\n"


async def _open(context: BrowserContext, url: str) -> Page:
    page = await context.new_page()
    await open_studio(page, url)
    await open_panel(Mouse(page), "Manifest")
    return page


async def two_tabs(context: BrowserContext, url: str, file: Path) -> None:
    """Two tabs edit one file."""
    first, second = await _open(context, url), await _open(context, url)
    await edit_manifest(Mouse(first), written("of_the_first_tab"))
    await edit_manifest(Mouse(second), written("of_the_second_tab"))
    await Mouse(second).press(Mouse(second).button("Save"))
    await expect(first.get_by_role("alert").filter(has_text=STILL_HERE)).to_be_visible()
    await expect(editor(first)).to_contain_text("of_the_first_tab")
    assert "of_the_second_tab" in file.read_text(encoding="utf-8")
    await Mouse(first).press(Mouse(first).button("Keep mine and save"))
    await expect(first.get_by_role("alert").filter(has_text=STILL_HERE)).to_be_hidden()
    assert "of_the_first_tab" in file.read_text(encoding="utf-8")
    await expect(editor(second)).to_contain_text("of_the_first_tab")


async def changed_while_edited(context: BrowserContext, url: str, file: Path) -> None:
    """Another program changes a file that is edited."""
    page = await _open(context, url)
    await edit_manifest(Mouse(page), written("typed"))
    file.write_text(written("of_another_program"), encoding="utf-8")
    await expect(page.get_by_role("alert").filter(has_text=STILL_HERE)).to_be_visible()
    await expect(editor(page)).to_contain_text("typed")
    await Mouse(page).press(Mouse(page).button("Save"))
    assert "of_another_program" in file.read_text(encoding="utf-8"), "Save replaced what another program wrote"
    await Mouse(page).press(Mouse(page).button("Reload the file"))
    await expect(editor(page)).to_contain_text("of_another_program")


async def changed_while_read(context: BrowserContext, url: str, file: Path) -> None:
    """Another program changes a file that is only read."""
    page = await _open(context, url)
    await expect(editor(page)).to_contain_text("first")
    file.write_text(written("of_another_program"), encoding="utf-8")
    await expect(editor(page)).to_contain_text("of_another_program")


async def removed(context: BrowserContext, url: str, file: Path) -> None:
    """Another program removes the file."""
    page = await _open(context, url)
    await edit_manifest(Mouse(page), written("typed"))
    file.unlink()
    await expect(page.get_by_role("alert").filter(has_text="removed")).to_be_visible()
    await expect(editor(page)).to_contain_text("typed")
    await Mouse(page).press(Mouse(page).button("Keep mine and save"))
    await expect(page.get_by_role("alert").filter(has_text="removed")).to_be_hidden()
    assert "typed" in file.read_text(encoding="utf-8")


async def reloaded(context: BrowserContext, url: str, file: Path) -> None:
    """The page is reloaded."""
    page = await _open(context, url)
    await edit_manifest(Mouse(page), written("typed"))
    await expect(page.get_by_text("(not saved)")).to_be_visible()
    await page.reload()
    await open_panel(Mouse(page), "Manifest")
    await expect(editor(page)).to_contain_text("typed")
    assert "first" in file.read_text(encoding="utf-8")


async def reloaded_form(context: BrowserContext, url: str, file: Path) -> None:
    """The page is reloaded while the form of a tool is filled in."""
    file.write_text(written("first").replace('"name": "first"', f'"name": "first", "inputs": {INPUTS}'), "utf-8")
    page = await _open(context, url)
    await open_panel(Mouse(page), "Tools")
    await Mouse(page).write(Mouse(page).field("note"), "typed")
    await Mouse(page).choose(Mouse(page).field("side"), "sell")
    await page.reload()
    await expect(Mouse(page).field("note")).to_have_value("typed")
    await expect(Mouse(page).field("side")).to_have_value("sell")


async def typed_while_checked(context: BrowserContext, url: str, file: Path) -> None:
    """The findings of a check arrive while one types."""
    page = await _open(context, url)
    await editor(page).click()
    await page.keyboard.press("Control+End")
    typed = "".join(f"{number} " for number in range(100))
    await page.keyboard.type(typed, delay=KEY_MILLISECONDS)
    await expect(page.get_by_role("status").filter(has_text="error").locator("visible=true")).to_be_visible()
    await expect(editor(page)).to_contain_text(typed.strip())
    await page.keyboard.press("Control+s")
    await expect(page.get_by_text("is saved")).to_be_visible()
    assert typed in file.read_text(encoding="utf-8")


CASES: Final[tuple[Callable[[BrowserContext, str, Path], Awaitable[None]], ...]] = (
    two_tabs,
    changed_while_edited,
    changed_while_read,
    removed,
    reloaded,
    typed_while_checked,
    reloaded_form,
)

if __name__ == "__main__":
    run(measure)
