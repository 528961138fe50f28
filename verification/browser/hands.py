"""Use a page as people do: with a mouse, or with the keyboard alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from playwright.async_api import Locator, Page

MAX_TABS: Final = 150
"""Times that Tab is pressed to reach an element; one that is further away cannot be reached."""

MAX_PANELS: Final = 8
IN_EDITOR: Final = "() => !!document.activeElement?.closest('.cm-editor')"
HAS_FOCUS: Final = "element => element === document.activeElement || element.contains(document.activeElement)"


class NotReachable(Exception):
    """An element that Tab does not reach."""


class Hands(ABC):
    """What a person does on a page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @abstractmethod
    async def press(self, element: Locator) -> None:
        """Press a button, a switch or a line."""

    @abstractmethod
    async def write(self, element: Locator, text: str) -> None:
        """Replace the text of a field."""

    @abstractmethod
    async def choose(self, element: Locator, option: str) -> None:
        """Choose an option of a selection."""

    @abstractmethod
    async def press_line(self, element: Locator) -> None:
        """Choose a line of a list."""

    @abstractmethod
    async def open_panel(self, name: str) -> None:
        """Open a panel by its tab."""

    def button(self, name: str) -> Locator:
        """Return the button with a name that is in sight."""
        return self.page.get_by_role("button", name=name, exact=True).locator("visible=true").first

    def field(self, name: str) -> Locator:
        """Return the field with a label that is in sight."""
        return self.page.get_by_label(name, exact=True).locator("visible=true").first


class Mouse(Hands):
    """A person with a mouse; texts are typed."""

    async def press(self, element: Locator) -> None:
        """Click on an element."""
        await element.click()

    async def write(self, element: Locator, text: str) -> None:
        """Click into a field and replace its text."""
        await element.click()
        await element.fill(text)

    async def choose(self, element: Locator, option: str) -> None:
        """Click on a selection, and on an option."""
        await element.click()
        await self.page.get_by_role("option", name=option, exact=True).click()

    async def press_line(self, element: Locator) -> None:
        """Click on a line."""
        await element.click()

    async def open_panel(self, name: str) -> None:
        """Click on a tab."""
        await self.page.get_by_role("tab", name=name, exact=True).click()


class Keyboard(Hands):
    """A person without a mouse."""

    async def press(self, element: Locator) -> None:
        """Go to an element with Tab, and press Enter."""
        await self.reach(element)
        await self.page.keyboard.press("Enter")

    async def write(self, element: Locator, text: str) -> None:
        """Go to a field with Tab, select all, and type."""
        await self.reach(element)
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(text)

    async def choose(self, element: Locator, option: str) -> None:
        """Go to a selection, open it, and go down to the option."""
        await self.reach(element)
        keys = self.page.keyboard
        options = self.page.get_by_role("option")
        await keys.press("Enter")
        await options.first.wait_for()
        names = [(await each.inner_text()).strip() for each in await options.all()]
        wanted = names.index(option)
        for _ in range(len(names) + 1):
            focused = self.page.locator(".q-manual-focusable--focused")
            at = [(await each.inner_text()).strip() for each in await focused.all()]
            if at == [option]:
                break
            await keys.press("ArrowDown" if not at or names.index(at[0]) < wanted else "ArrowUp")
        await keys.press("Enter")

    async def press_line(self, element: Locator) -> None:
        """Go to the list, and down to the line."""
        await self.reach(element.locator("xpath=ancestor::*[@role='listbox'][1]"))
        await self.page.keyboard.press("Home")
        for _ in range(MAX_TABS):
            if await element.get_attribute("aria-selected") == "true":
                return
            await self.page.keyboard.press("ArrowDown")
        raise NotReachable("a line of the list")

    async def open_panel(self, name: str) -> None:
        """Go to the tabs, and with arrows to one of them; again if the focus goes elsewhere meanwhile.

        A button that disappears when a call has ended gives the focus back to the page, which no person is fast enough
        to notice.
        """
        tab, tabs = self.page.get_by_role("tab", name=name, exact=True), self.page.get_by_role("tablist")
        await self.reach(tabs)
        for key in (*["ArrowLeft"] * MAX_PANELS, *["ArrowRight"] * 2 * MAX_PANELS):
            if await tab.evaluate(HAS_FOCUS):
                await self.page.keyboard.press("Enter")
                return
            if not await tabs.evaluate(HAS_FOCUS):
                await self.reach(tabs)
            await self.page.keyboard.press(key)
        raise NotReachable(f"tab {name}")

    async def reach(self, element: Locator) -> None:
        """Press Tab until an element has the focus.

        Raises:
            NotReachable: if it never has.
        """
        await element.wait_for()
        for _ in range(MAX_TABS):
            if await element.evaluate(HAS_FOCUS):
                return
            if await self.page.evaluate(IN_EDITOR):
                await self.page.keyboard.press("Escape")  # there, Tab alone indents
            await self.page.keyboard.press("Tab")
        raise NotReachable(await element.evaluate("element => element.outerHTML.slice(0, 200)"))
