"""The page without a browser: what its panels show, and what they do. `make browser` tests it with one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User, user_simulation

from utcp_ws_mcp.studio.conversation import State
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, open_session
from utcp_ws_mcp.studio.ui.editor import add_routes, index_of
from utcp_ws_mcp.studio.ui.page import build_page
from utcp_ws_mcp.studio.ui.panels import manifest as manifest_panel

from ..peer import Peer, peer
from .pages import field, press, shown, texts, trigger, until

SAY = {
    "name": "say",
    "description": "Say something.",
    "inputs": {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "What is said."}, "loud": {"type": "boolean"}},
        "required": ["text"],
    },
    "tool_call_template": {"message": {"text": "{{ args.text }}"}, "reply": {"result": "'heard: ' ~ message.text"}},
}


@asynccontextmanager
async def opened(folder: Path, document: Any, panel: str) -> AsyncIterator[tuple[User, StudioSession]]:
    """Open the page on a panel, for a manifest in a file."""
    file = folder / "m.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    session = open_session(StudioOptions(file))
    session.panel = panel

    def page() -> None:
        add_routes()
        build_page(session)

    async with user_simulation(page) as user:
        await user.open("/")
        yield user, session
        await session.close()


async def echo(_: Peer, connection: Any, message: Any) -> None:
    await connection.send(json.dumps(message))


def manifest_of(seen: Peer, *tools: Any) -> dict[str, Any]:
    return {"name": "m", "url": seen.url, "tools": list(tools)}


async def test_a_call_with_the_form_of_a_tool_shows_what_a_host_gets(tmp_path: Path) -> None:
    async with peer(echo) as seen, opened(tmp_path, manifest_of(seen, SAY), "tools") as (user, session):
        text = await field(user, "text (required)")
        assert (session.tool, text.props["hint"]) == ("m.say", "What is said.")
        assert (await field(user, "loud")).options == {None: "(not given)", True: "true", False: "false"}
        assert shown(user, ui.label, "What a host gets, and the messages that led to it, appear here.")
        text.value = "hello"
        press(user, "Call")
        await until(lambda: shown(user, ui.label, "heard: hello"))
        assert not shown(user, ui.label, "appear here")
        assert shown(user, ui.label, "The host gets this result after")
        assert shown(user, ui.label, '> {"text": "hello"}')
        assert seen.received == [{"text": "hello"}]


async def test_an_argument_that_is_no_number_is_named_at_its_field_and_nothing_is_sent(tmp_path: Path) -> None:
    wait = {**SAY, "inputs": {"type": "object", "properties": {"text": {"type": "integer"}}, "required": ["text"]}}
    async with peer(echo) as seen, opened(tmp_path, manifest_of(seen, wait), "tools") as (user, _):
        text = await field(user, "text (required)")
        assert text.props["inputmode"] == "numeric"
        for wrong in ("", "three"):
            text.value, text.error = wrong, None
            press(user, "Call")
            await until(lambda: text.error)
        text.value = "3"
        press(user, "Call")
        await until(lambda: shown(user, ui.label, "heard: 3"))
        assert (seen.received, text.error) == ([{"text": 3}], None)


async def test_arguments_go_from_the_form_into_json_and_back(tmp_path: Path) -> None:
    async with peer(echo) as seen, opened(tmp_path, manifest_of(seen, SAY), "tools") as (user, _):
        text = await field(user, "text (required)")
        text.value = "hello"
        (switch,) = shown(user, ui.switch, "Write the arguments as JSON")
        switch.value = True
        as_json = await field(user, "Arguments as JSON")
        assert as_json.value == '{\n  "text": "hello"\n}'
        as_json.value = '{"text": "bye"}'
        switch.value = False
        assert text.value == "bye"


async def test_the_tool_that_was_chosen_stays_when_the_tools_change(tmp_path: Path) -> None:
    tools = [{**SAY, "name": name} for name in ("a", "b", "c")]
    async with peer(echo) as seen, opened(tmp_path, manifest_of(seen, *tools), "tools") as (user, session):
        await until(lambda: session.tool == "m.a")
        (choice,) = shown(user, ui.select, "Tool")
        choice.set_value("m.b")
        session.set_text(json.dumps(manifest_of(seen, *tools[1:])))
        session.open_panel("tools")
        await until(lambda: [*choice.options] == ["m.b", "m.c"])
        assert (choice.value, session.tool) == ("m.b", "m.b")


async def test_a_manifest_that_cannot_be_served_says_why_and_leads_to_the_editor(tmp_path: Path) -> None:
    async with opened(tmp_path, {"name": "m"}, "tools") as (user, session):
        await until(lambda: shown(user, ui.label, "url"))
        press(user, "Open the manifest")
        await until(lambda: session.panel == "manifest")


async def test_the_endpoints_of_the_manifest_are_listed_with_their_state(tmp_path: Path) -> None:
    async with peer(echo) as seen, opened(tmp_path, manifest_of(seen, SAY), "endpoints") as (user, session):
        await until(lambda: "m" in texts(user))
        assert "1" not in texts(user)
        await session.live.bridge.call_tool("m.say", {"text": "hello"})
        await until(lambda: "1" in texts(user))


async def test_the_findings_are_listed_by_their_severity(tmp_path: Path) -> None:
    document = {"name": "m", "url": "wss://a.example/", "timeout": "soon", "tools": [{"name": "t"}]}
    async with opened(tmp_path, document, "manifest") as (user, session):
        await until(lambda: shown(user, ui.label, "1 error"))
        (icon,) = (each for each in shown(user, ui.icon) if each.props["name"] == "error")
        assert "studio-error" in icon.classes
        assert shown(user, ui.button, "Line 1")
        del document["timeout"]
        session.set_text(json.dumps(document))
        await until(lambda: shown(user, ui.label, "1 warning"))
        (icon,) = (each for each in shown(user, ui.icon) if each.props["name"] == "warning")
        assert "studio-warning" in icon.classes


async def test_a_file_that_another_program_changes_is_shown_unless_something_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_panel, "WATCH_SECONDS", 0.01)
    document = {"name": "m", "url": "wss://a.example/", "tools": []}
    async with opened(tmp_path, document, "manifest") as (user, session):
        file, typed = tmp_path / "m.json", '{"name": "typed"}'
        file.write_text('{"name": "other"}', encoding="utf-8")
        await until(lambda: "was changed by another program" in str(user.notify.messages))
        assert session.manifest.text == '{"name": "other"}'
        session.set_text(typed)
        file.write_text('{"name": "third"}', encoding="utf-8")
        await until(lambda: shown(user, ui.label, "Another program changed m.json meanwhile"))
        assert session.manifest.text == typed
        press(user, "Reload the file")
        assert session.manifest.text == '{"name": "third"}'


async def test_an_endpoint_that_cannot_be_reached_is_a_problem_and_its_lines_can_be_cleared(tmp_path: Path) -> None:
    async with opened(tmp_path, {}, "connect") as (user, session):
        (await field(user, "URL of the endpoint")).value = "ws://127.0.0.1:1/"
        press(user, "Connect")
        await until(lambda: shown(user, ui.label, "cannot connect to ws://127.0.0.1:1/"))
        await until(lambda: shown(user, ui.label, "not connected"))
        assert session.conversation.lines
        press(user, "Clear")
        assert not session.conversation.lines


async def test_messages_go_to_the_endpoint_and_stand_in_the_list(tmp_path: Path) -> None:
    async with peer(echo) as seen, opened(tmp_path, {}, "connect") as (user, session):
        (await field(user, "URL of the endpoint")).value = seen.url
        press(user, "Connect")
        await until(lambda: session.conversation.state is State.OPEN)
        box, sent = await field(user, "Message; Ctrl+Enter sends it"), ['{"op": "hi"}', '{"op": "bye"}']
        for text in sent:
            box.value = text
            press(user, "Send")
            await until(lambda: seen.received[-1:] == [json.loads(box.value)])
        await until(lambda: session.form.history == sent)
        await until(lambda: [line.direction for line in session.conversation.lines][-2:] == ["sent", "received"])
        for event, text in (("alt.up", sent[1]), ("alt.up", sent[0]), ("alt.down", sent[1])):
            trigger(user, box, f"keydown.{event}")
            assert box.value == text


COMPLETED = [('{"name": "ü😀", "ur', 16, "url"), ('{"na', 1, "name")]


@pytest.mark.parametrize(("text", "start", "expected"), COMPLETED)
async def test_the_editor_completes_where_a_browser_counts(
    tmp_path: Path, text: str, start: int, expected: str
) -> None:
    units = len(text.encode("utf-16-le")) // 2
    async with opened(tmp_path, {}, "manifest") as (user, _):
        answer = await user.http_client.post("/studio/complete", json={"text": text, "offset": units})
        found = answer.json()
        assert expected in [option["label"] for option in found["options"]]
        assert (found["start"], found["end"]) == (start, units)


@pytest.mark.parametrize(("units", "index"), [(0, 0), (1, 1), (3, 2), (4, 3), (9, 3)])
def test_browsers_count_characters_beyond_the_first_plane_twice(units: int, index: int) -> None:
    assert index_of("ü😀x", units) == index
    assert index_of("abc", min(units, 3)) == min(units, 3)
