"""What a person does in each panel, with either hand; each flow raises if the page does not show what it should."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Locator, Page, expect

from .hands import Hands

HEADINGS: Final = {
    "Connect": "Talk to an endpoint",
    "Draft": "From messages to a manifest",
    "Manifest": "The manifest",
    "Tools": "Call the tools",
    "Endpoints and feeds": "Watch the endpoints and feeds",
    "Install": "Install the server in a host",
}
"""The heading of each panel."""

PANELS: Final = tuple(HEADINGS)
QUESTION: Final = '{"id": 1, "method": "now", "params": {"city": "Oslo"}}'


RECORDED: Final = {
    "log": {
        "entries": [
            {
                "request": {"url": "wss://recorded.example/ws", "headers": []},
                "_webSocketMessages": [
                    {"type": "send", "opcode": 1, "data": '{"op": "login", "token": "a-secret-of-the-recording-1"}'},
                    {"type": "receive", "opcode": 1, "data": '{"op": "welcome"}'},
                    {"type": "send", "opcode": 1, "data": '{"op": "get", "what": "time"}'},
                    {"type": "receive", "opcode": 1, "data": '{"time": "10:12"}'},
                ],
            }
        ]
    }
}
"""A HAR file with a login."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a person works with.

    Attributes:
        url: The endpoint.
        home: The home folder, in which hosts have their files.
        file: The manifest.
        manifest: The text of a manifest for the endpoint.
    """

    url: str
    home: Path
    file: Path
    manifest: str


async def open_studio(page: Page, url: str) -> None:
    """Open the page, and wait until it is drawn."""
    await page.goto(url)
    await expect(page.get_by_role("tab")).to_have_count(len(PANELS))


async def open_panel(hands: Hands, name: str) -> None:
    """Open a panel, and wait until it is in sight."""
    await hands.open_panel(name)
    await expect(hands.page.get_by_role("heading", name=HEADINGS[name], exact=True)).to_be_visible()


def editor(page: Page) -> Locator:
    """Return the editor of the panel Manifest."""
    return page.get_by_role("tabpanel").locator(".cm-content").locator("visible=true").last


async def edit_manifest(hands: Hands, text: str) -> None:
    """Replace the text in the editor."""
    await hands.write(editor(hands.page), text)


async def connect_to(hands: Hands, url: str, message: str) -> None:
    """Connect to an endpoint and send it a message."""
    await open_panel(hands, "Connect")
    await hands.write(hands.field("URL of the endpoint"), url)
    await hands.press(hands.button("Connect"))
    await expect(hands.button("Disconnect")).to_be_visible()
    if message:
        await hands.write(hands.field("Message; Ctrl+Enter sends it"), message)
        await hands.press(hands.button("Send"))


async def select_tool(hands: Hands, name: str) -> None:
    """Choose a tool, if it is not the chosen one."""
    if await hands.field("Tool").input_value() != name:
        await hands.choose(hands.field("Tool"), name)


async def fill_panels(hands: Hands, url: str) -> None:
    """Give every panel something to show; the manifest of the page has the friendly endpoint."""
    page = hands.page
    await connect_to(hands, url, QUESTION)
    await page.get_by_role("option").filter(has_text="celsius").first.click()
    await open_panel(hands, "Draft")
    await hands.press(hands.button("Draft from the conversation"))
    await expect(page.get_by_role("status").filter(has_text="Draft from ")).to_be_visible()
    await open_panel(hands, "Tools")
    await hands.write(hands.field("city (required)"), "Oslo")
    await hands.press(hands.button("Call"))
    await expect(page.get_by_label("Trace")).to_be_visible()
    await open_panel(hands, "Endpoints and feeds")
    await hands.press(hands.button("Follow"))
    await expect(page.get_by_role("log")).to_contain_text("storm")


async def use_connect(hands: Hands, workplace: Workplace) -> None:
    """Connect, send a question, and see which rule took the answer for what."""
    page = hands.page
    await connect_to(hands, workplace.url, QUESTION)
    await hands.write(hands.field("Filter"), "celsius")
    answer = page.get_by_role("listbox", name="Messages").locator("visible=true").get_by_role("option")
    await expect(answer.first).to_contain_text("celsius")
    await hands.press_line(answer.first)
    await expect(page.locator("[role=document]").locator("visible=true")).to_contain_text('"celsius": 21.5')
    await hands.write(hands.field("Filter"), "")


async def use_draft(hands: Hands, workplace: Workplace) -> None:
    """Make a draft of the conversation, say what a message is, use the draft, and see what it takes a message for."""
    page = hands.page
    await open_panel(hands, "Draft")
    await hands.press(hands.button("Draft from the conversation"))
    await expect(page.get_by_role("status").filter(has_text="Draft from ")).to_be_visible()
    await hands.write(hands.field("Filter"), "celsius")
    line = page.get_by_role("listbox", name="Messages").locator("visible=true").get_by_role("option").first
    await expect(line).to_contain_text("celsius")
    await hands.press_line(line)
    await hands.press(hands.button("reply"))
    await expect(line).to_contain_text("reply")
    await hands.write(hands.field("Filter"), "")
    await hands.press(hands.button("Add its tools to the manifest"))
    await expect(page.get_by_text("Added: ").locator("visible=true").first).to_be_visible()
    await expect(editor(page)).to_contain_text(workplace.url.rstrip("/"))
    await open_panel(hands, "Draft")
    await hands.press(hands.button("Use as the manifest"))
    await hands.press(hands.button("Replace"))
    await expect(editor(page)).to_contain_text(workplace.url.rstrip("/"))
    await open_panel(hands, "Connect")
    await hands.write(hands.field("Filter"), "celsius")
    line = page.get_by_role("listbox", name="Messages").locator("visible=true").get_by_role("option").first
    await expect(line).to_contain_text("celsius")
    await hands.press_line(line)
    await expect(page.get_by_text("The manifest takes it for: reply").locator("visible=true")).to_be_visible()
    await hands.write(hands.field("Filter"), "")


async def use_har(hands: Hands, workplace: Workplace) -> None:
    """Give a recording of a browser, and say that its login is a request: the draft gets a tool of it."""
    page = hands.page
    await open_panel(hands, "Connect")
    if await hands.button("Disconnect").count():
        await hands.press(hands.button("Disconnect"))
        await expect(hands.button("Connect")).to_be_visible()
    file = workplace.home / "recorded.har"
    file.write_text(json.dumps(RECORDED), encoding="utf-8")
    await open_panel(hands, "Draft")
    await hands.press(page.get_by_role("button", name="From a file").locator("visible=true").first)
    async with page.expect_file_chooser() as chooser:
        await hands.press(hands.button("Choose a description or a HAR file …"))
    await (await chooser.value).set_files(file)
    await expect(page.get_by_role("status").filter(has_text="recorded.example")).to_be_visible()
    line = page.get_by_role("listbox", name="Messages").locator("visible=true").get_by_role("option").first
    await hands.write(hands.field("Filter"), "login")
    await expect(line).to_contain_text('"token": "***"')
    await hands.press_line(line)
    await hands.press(hands.button("request"))
    await hands.write(hands.field("Filter"), "")
    draft = page.get_by_role("textbox", name="Draft").locator("visible=true")
    await expect(draft).to_contain_text("Send 'login'")
    await expect(draft).not_to_contain_text("a-secret-of-the-recording")


async def use_manifest(hands: Hands, workplace: Workplace) -> None:
    """See a problem while one types, fix it, and save."""
    page = hands.page
    await open_panel(hands, "Manifest")
    await edit_manifest(hands, workplace.manifest.replace('"tools"', '"toolz"'))
    await expect(page.get_by_text("toolz").locator("visible=true").last).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="error").locator("visible=true")).to_be_visible()
    await edit_manifest(hands, workplace.manifest.replace('"name"', '"headers": {"X": "${KEY_OF_API}"}, "name"', 1))
    await expect(hands.field("Value of KEY_OF_API")).to_be_visible()
    await hands.write(hands.field("Value of KEY_OF_API"), "typed")
    await expect(page.get_by_role("status").filter(has_text="missing").locator("visible=true")).to_be_hidden()
    await edit_manifest(hands, workplace.manifest)
    await expect(page.get_by_role("status").filter(has_text="error").locator("visible=true")).to_be_hidden()
    await hands.press(hands.button("Save"))
    await expect(page.get_by_text("is saved")).to_be_visible()
    assert json.loads(workplace.file.read_text(encoding="utf-8"))["name"] == "weather", "the file has another text"


async def use_tools(hands: Hands, workplace: Workplace) -> None:
    """Call a tool that answers, one that fails, and one that is cancelled; a wrong field is marked."""
    del workplace
    page = hands.page
    await open_panel(hands, "Tools")
    await select_tool(hands, "weather.now")
    await hands.write(hands.field("city (required)"), "Oslo")
    await hands.write(hands.field("days"), "many")
    await hands.press(hands.button("Call"))
    await expect(page.get_by_text("write a number, such as 3 or 2.5")).to_be_visible()
    await hands.write(hands.field("days"), "0")
    await hands.press(hands.button("Call"))
    await expect(page.locator(".q-field__messages").get_by_text("0 is less than the minimum of 1")).to_be_visible()
    await hands.write(hands.field("days"), "2")
    await hands.choose(hands.field("unit"), "kelvin")
    await hands.write(hands.field("stations"), '["A", "B"]')
    await hands.press(hands.button("Call"))
    await expect(page.get_by_label("Result")).to_contain_text('"city":"Oslo"')
    await expect(page.get_by_text("connect: ")).to_be_visible()
    await expect(page.get_by_label("Trace")).to_contain_text("reply.match holds")
    await hands.choose(hands.field("Tool"), "weather.fail")
    await hands.press(hands.button("Call"))
    await expect(page.get_by_text("The call failed")).to_be_visible()
    await expect(page.get_by_label("Result")).to_contain_text("the station does not answer")
    await hands.choose(hands.field("Tool"), "weather.hang")
    await hands.press(hands.button("Call"))
    await hands.press(hands.button("Cancel"))
    await expect(page.get_by_text("Cancelled after")).to_be_visible()


async def use_endpoints(hands: Hands, workplace: Workplace) -> None:
    """See the states, follow a feed, and stop."""
    del workplace
    page = hands.page
    await open_panel(hands, "Endpoints and feeds")
    await expect(page.get_by_role("cell", name="weather", exact=True)).to_be_visible()
    await hands.press(hands.button("Follow"))
    await expect(page.get_by_role("log")).to_contain_text('"text": "storm"')
    await expect(page.get_by_role("cell", name="connected", exact=True)).to_be_visible()
    await hands.press(hands.button("Stop"))
    await expect(page.get_by_text("stopped, ")).to_be_visible()


async def use_install(hands: Hands, workplace: Workplace) -> None:
    """See what would change in a host without a file and in one with a broken one, and apply the first."""
    page, home = hands.page, workplace.home
    file, broken = home / ".cursor" / "mcp.json", home / ".gemini" / "settings.json"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text("{broken", encoding="utf-8")
    await open_panel(hands, "Install")
    await hands.choose(hands.field("Host"), "Gemini CLI")
    await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_be_visible()
    await hands.choose(hands.field("Host"), "Cursor")
    await expect(page.get_by_label("Change of the configuration")).to_contain_text("(no file yet)")
    assert not file.exists(), "a file was written before Apply"
    await hands.press(hands.button("Apply"))
    await expect(page.get_by_text("Cursor has a server 'weather'")).to_be_visible()
    assert "weather" in json.loads(file.read_text(encoding="utf-8"))["mcpServers"]
    assert broken.read_text(encoding="utf-8") == "{broken", "a broken file was changed"


FLOWS: Final[Mapping[str, Callable[[Hands, Workplace], Awaitable[None]]]] = {
    "Connect": use_connect,
    "Draft": use_draft,
    "Draft from a HAR file": use_har,
    "Manifest": use_manifest,
    "Tools": use_tools,
    "Endpoints and feeds": use_endpoints,
    "Install": use_install,
}
