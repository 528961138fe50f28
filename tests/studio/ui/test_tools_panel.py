"""The panel Tools: the choice of a tool, the progress of its call, and how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.studio.session import StudioOptions, StudioSession
from utcp_ws_mcp.studio.ui.panels import tools as module

from ...peer import Answer, Peer, echo, peer, silent
from ..pages import Site, click, close, field, settle, shown, until

PLACEHOLDER = "What a host gets, and the messages that led to it, appear here."


def tool(name: str, description: str = "", **template: Any) -> dict[str, Any]:
    inputs = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 5}}, "required": ["text"]}
    template = {"message": {"text": "{{ args.text }}"}, "reply": {"result": "message.text"}, **template}
    return {"name": name, "description": description, "inputs": inputs, "tool_call_template": template}


@asynccontextmanager
async def opened(
    site: Site, *tools: Any, answer: Answer = echo, **template: Any
) -> AsyncIterator[tuple[User, StudioSession, Peer]]:
    async with peer(answer) as seen:
        session = StudioSession(StudioOptions(), panel="tools")
        session.set_text(json.dumps({"name": "m", "url": seen.url, "tools": list(tools), **template}))
        user = await site.panel(session, module.build)
        yield user, session, seen
        close(user)
        await session.close()
        await until(lambda: not session.live.is_open)


def button(user: User, text: str) -> Any:
    assert user.client is not None
    (found,) = (each for each in user.client.elements.values() if isinstance(each, ui.button) and each.text == text)
    return found


async def test_the_first_tool_is_chosen_and_described_without_invisible_characters(site: Site) -> None:
    async with opened(site, tool("a", "Say\u200b it."), tool("b")) as (user, session, _):
        await until(lambda: session.tool == "m.a")
        choice = await field(user, "Tool")
        assert (choice.options, choice.value) == ({"m.a": "m.a", "m.b": "m.b"}, "m.a")
        assert shown(user, ui.label, "Say\\u200b it.")
        assert [button(user, text).visible for text in ("Call", "Cancel", "Open the manifest")] == [True, False, False]
        (problem,) = (each for each in user.client.elements.values() if each.props.get("role") == "alert")  # type: ignore[union-attr]
        assert (problem.visible, "studio-error" in problem.classes) == (False, True)


async def test_the_tool_of_the_session_is_chosen_with_what_was_typed_for_it(site: Site) -> None:
    async with peer(echo) as seen:
        session = StudioSession(StudioOptions(), panel="tools", tool="m.b", typed_arguments={"m.b": {"text": "hi"}})
        session.set_text(json.dumps({"name": "m", "url": seen.url, "tools": [tool("a"), tool("b")]}))
        user = await site.panel(session, module.build)
        text = await field(user, "text (required)")
        assert (text.value, session.tool) == ("hi", "m.b")
        (await field(user, "Tool")).value = "m.a"
        assert (await field(user, "text (required)")).value == ""
        (await field(user, "text (required)")).value = "ho"
        assert session.typed_arguments == {"m.b": {"text": "hi"}, "m.a": {"text": "ho"}}
        await session.close()
        await until(lambda: not session.live.is_open)


async def test_without_a_tool_nothing_can_be_called(site: Site) -> None:
    async with opened(site) as (user, session, _):
        await until(lambda: session.live.is_open)
        await settle()
        choice = await field(user, "Tool")
        assert (choice.value, session.tool, button(user, "Call").enabled) == (None, "", False)
        module_call = button(user, "Call")
        module_call.enable()
        click(user, "Call")
        await settle()
        assert shown(user, ui.label, PLACEHOLDER)


async def test_what_is_missing_failed_or_withheld_is_said(site: Site) -> None:
    async with opened(site, tool("a")) as (user, session, _):
        await until(lambda: session.live.is_open)
        bridge = session.live.bridge
        bridge.withheld["m.b"] = "it has changed\u200b"
        session.set_text(json.dumps({**json.loads(session.manifest.text), "headers": {"X-Key": "${KEY}"}}))
        session.open_panel("tools")
        await until(lambda: shown(user, ui.label, "KEY"))
        (problem,) = (each for each in shown(user, ui.label) if each.props.get("role") == "alert")
        assert problem.text.splitlines()[0] == str(bridge.disabled_entries[0].error())


async def test_a_call_that_waits_can_be_cancelled_and_not_be_made_twice(site: Site) -> None:
    async with opened(site, tool("a"), answer=silent) as (user, session, seen):
        (await field(user, "text (required)")).value = "hi"
        click(user, "Call")
        await until(lambda: seen.received)
        states = lambda: [button(user, "Call").enabled, button(user, "Cancel").visible]  # noqa: E731
        assert (states(), bool(shown(user, ui.label, "waiting for the endpoint"))) == ([False, True], True)
        button(user, "Call").enable()
        click(user, "Call")
        await settle()
        stats = session.live.bridge.stats("m")
        assert (stats.connections, stats.waiting, len(seen.upgrades)) == (1, 0, 1)
        assert shown(user, ui.label, PLACEHOLDER)
        click(user, "Cancel")
        await until(lambda: shown(user, ui.label, "Cancelled after"))
        assert (states(), len(seen.received)) == ([True, False], 1)
        assert not shown(user, ui.label, "waiting for the endpoint")
        assert session.live.is_open


async def test_the_items_of_a_stream_are_counted_and_the_latest_is_shown(site: Site) -> None:
    async def stream(_seen: Peer, connection: Any, _: Any) -> None:
        await connection.send(json.dumps({"item": "first"}))
        await connection.send(json.dumps({"item": "x" * 300}))

    streaming = tool("a", reply={}, stream={"item": "message.item", "until": "message.end is defined"})
    async with opened(site, streaming, answer=stream) as (user, _, _):
        (await field(user, "text (required)")).value = "hi"
        click(user, "Call")
        await until(lambda: shown(user, ui.label, "2 items: "))
        (progress,) = shown(user, ui.label, "2 items: ")
        assert (progress.text, progress.props["role"]) == ("2 items: " + "x" * 200, "status")
        click(user, "Cancel")
        await until(lambda: shown(user, ui.label, "Cancelled after"))


async def test_arguments_that_the_schema_refuses_are_said_at_their_field(site: Site) -> None:
    async with opened(site, tool("a")) as (user, _, seen):
        text = await field(user, "text (required)")
        text.value = "too long"
        click(user, "Call")
        await until(lambda: shown(user, ui.label, "The call failed after"))
        assert (text.error.startswith("text: "), seen.received) == (True, [])


async def test_another_tool_begins_without_the_outcome_of_the_one_before(site: Site) -> None:
    async with opened(site, tool("a"), tool("b")) as (user, _, _):
        (await field(user, "text (required)")).value = "hi"
        click(user, "Call")
        await until(lambda: shown(user, ui.label, "The host gets this result"))
        (region,) = (each for each in shown(user, ui.column) if each.props.get("role") == "region")
        assert (region.props["aria-label"], region.props["aria-live"]) == ("Outcome of the call", "polite")
        assert not shown(user, ui.label, PLACEHOLDER)
        (await field(user, "Tool")).value = "m.b"
        assert shown(user, ui.label, PLACEHOLDER)
        assert not shown(user, ui.label, "The host gets this result")


async def test_a_call_ends_with_the_page(site: Site) -> None:
    async with opened(site, tool("a"), answer=silent) as (user, session, seen):
        (await field(user, "text (required)")).value = "hi"
        click(user, "Call")
        await until(lambda: seen.received)
        close(user)
        await until(lambda: session.live.bridge.stats("m").waiting == 0)
        await settle()


async def test_a_manifest_that_cannot_be_served_leads_to_the_editor(site: Site) -> None:
    session = StudioSession(StudioOptions(), panel="tools")
    user = await site.panel(session, module.build)
    await until(lambda: shown(user, ui.label, "The manifest is empty."))
    (content,) = (each for each in user.client.elements.values() if "studio-halves" in each.classes)  # type: ignore[union-attr]
    assert (content.visible, session.live.is_open) == (False, False)
    click(user, "Open the manifest")
    assert site.opened == ["manifest"]


async def test_tools_that_come_or_go_while_the_page_is_open_are_shown(site: Site) -> None:
    async with opened(site, tool("a")) as (user, session, _):
        await until(lambda: session.live.is_open)
        choice = await field(user, "Tool")
        await until(lambda: list(choice.options) == ["m.a"])
        session.manifest.text = json.dumps({**json.loads(session.manifest.text), "tools": [tool("b")]})
        await session.live.serve(session.load(), "other", lambda _: None)
        assert (list(choice.options), choice.value, session.tool) == (["m.b"], "m.b", "m.b")


async def test_a_problem_that_was_solved_is_shown_no_longer(site: Site) -> None:
    async with opened(site, {"name": "broken", "wrong": 1}) as (user, session, _):
        await until(lambda: shown(user, ui.label, "unknown key"))
        assert button(user, "Open the manifest").visible
        session.set_text(json.dumps({**json.loads(session.manifest.text), "tools": [tool("a")]}))
        session.open_panel("tools")
        await until(lambda: session.tool == "m.a")
        await until(lambda: not shown(user, ui.label, "unknown key"))
        assert not button(user, "Open the manifest").visible
