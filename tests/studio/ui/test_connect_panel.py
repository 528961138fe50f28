"""The panel Connect: the endpoint, its state, and the box for messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.studio.conversation import State
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession
from utcp_ws_mcp.studio.ui import messages
from utcp_ws_mcp.studio.ui.panels import connect as module

from ...peer import Peer, echo, peer
from ..pages import Site, click, field, settle, shown, trigger, until


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(messages, "REFRESH_SECONDS", 0.001)


BOX = "Message; Ctrl+Enter sends it"


async def open_panel(site: Site, **form: Any) -> tuple[User, StudioSession]:
    session = StudioSession(StudioOptions())
    for name, value in form.items():
        setattr(session.form, name, value)
    return await site.panel(session, module.build), session


@asynccontextmanager
async def connected(site: Site, **form: Any) -> AsyncIterator[tuple[User, StudioSession, Peer]]:
    async with peer(echo) as seen:
        user, session = await open_panel(site, url=seen.url, **form)
        click(user, "Connect")
        await until(lambda: session.conversation.state is State.OPEN)
        yield user, session, seen
        await session.close()


async def test_what_was_typed_is_in_the_fields_and_what_is_typed_goes_into_the_form(site: Site) -> None:
    before = {"url": "ws://a/", "headers": "A: b", "protocols": "x", "message": "hello"}
    user, session = await open_panel(site, **before, binary=True)
    labels = ("URL of the endpoint", "Headers, one Name: value in each line", "Subprotocols, with commas", BOX)
    fields = [await field(user, label) for label in labels]
    assert [each.value for each in fields] == list(before.values())
    assert {each.props["spellcheck"] for each in fields} == {"false"}
    assert (fields[0].props["autocomplete"], fields[0].props["input-class"]) == ("off", "studio-mono")
    for each in fields:
        each.value += "!"
    form = session.form
    assert (form.url, form.headers, form.protocols, form.message) == ("ws://a/!", "A: b!", "x!", "hello!")
    for each in fields:
        each.value = None
    assert (form.url, form.headers, form.protocols, form.message) == ("", "", "", "")
    (binary,) = shown(user, ui.checkbox, "hexadecimal")
    assert binary.value is True
    binary.value = False
    assert form.binary is False


async def test_each_variable_that_is_typed_gets_a_field(site: Site) -> None:
    user, session = await open_panel(site, url="wss://a/?key=${KEY}")
    (await field(user, "Value of KEY")).value = "s3cret"
    (await field(user, "Headers, one Name: value in each line")).value = "A: ${TOKEN}"
    (await field(user, BOX)).value = '{"user": "${USER_NAME}"}'
    assert [each.props["label"] for each in shown(user, ui.input, "Value of")] == [
        "Value of KEY",
        "Value of TOKEN",
        "Value of USER_NAME",
    ]
    assert session.environ == {"KEY": "s3cret"}


async def test_the_state_of_the_connection_is_shown_and_changed(site: Site) -> None:
    async with connected(site) as (user, session, seen):
        await until(lambda: shown(user, ui.label, "connected"))
        (state,) = (each for each in shown(user, ui.label, "connected") if each.props.get("role") == "status")
        click(user, "Disconnect")
        await until(lambda: state.text == "not connected" and session.conversation.state is State.CLOSED)
        await until(lambda: shown(user, ui.button, "Connect"))
        (url,) = shown(user, ui.input, "URL of the endpoint")
        trigger(user, url, "keydown.enter")
        await until(lambda: len(seen.upgrades) == 2 and state.text == "connected")


async def test_a_connection_that_is_being_opened_can_be_given_up(site: Site) -> None:
    async with peer(echo) as seen:
        user, session = await open_panel(site, url=seen.url)
        session.conversation.state = State.CONNECTING
        await until(lambda: shown(user, ui.label, "connecting …"))
        assert shown(user, ui.button, "Disconnect")


async def test_why_there_is_no_connection_is_an_alert_until_there_is_one(site: Site) -> None:
    user, session = await open_panel(site, url="http://a/\u200b")
    alerts = lambda: [each for each in shown(user, ui.label) if each.props.get("role") == "alert"]  # noqa: E731
    assert alerts() == []
    click(user, "Connect")
    await until(alerts)
    (alert,) = alerts()
    assert ("is no URL of a WebSocket" in alert.text, "\u200b" in alert.text) == (True, False)
    session.conversation.problem = ""
    await until(lambda: not alerts())


async def test_a_message_is_sent_by_the_button_and_by_two_keys_and_remembered(site: Site) -> None:
    async with connected(site) as (user, session, seen):
        box = await field(user, BOX)
        for text, event in (('"a"', ""), ('"b"', "keydown.ctrl.enter"), ('"c"', "keydown.meta.enter")):
            box.value = text
            if event:
                trigger(user, box, event)
            else:
                click(user, "Send")
            await until(lambda text=text: session.form.history[-1:] == [text])  # type: ignore[misc]
        await until(lambda: seen.received == ["a", "b", "c"])


async def test_an_empty_message_is_not_sent(site: Site) -> None:
    async with connected(site) as (user, session, seen):
        box = await field(user, BOX)
        trigger(user, box, "keydown.ctrl.enter")
        await settle()
        box.value = '"x"'
        click(user, "Send")
        await until(lambda: seen.received)
        assert (seen.received, session.form.history) == (["x"], ['"x"'])


async def test_a_message_that_cannot_be_sent_is_reported_and_not_remembered(site: Site) -> None:
    user, session = await open_panel(site, message="hello")
    click(user, "Send")
    await until(lambda: site.notified.kinds)
    ((text, kind),) = site.notified.kinds
    assert ("there is no connection" in text, kind, session.form.history) == (True, "negative", [])


async def test_the_keys_go_through_the_history_and_back_to_what_was_typed(site: Site) -> None:
    user, _ = await open_panel(site, history=["a", "b"])
    box, focused = await field(user, BOX), list[str]()
    box.run_method = lambda name, *_: focused.append(name)
    box.value = "typed"
    for event, text in (("up", "b"), ("up", "a"), ("up", "a"), ("down", "b"), ("down", "typed")):
        trigger(user, box, f"keydown.alt.{event}")
        assert box.value == text
    assert focused.count("focus") == 5
    assert shown(user, ui.tooltip, "Alt+Up and Alt+Down in the box go through it, too")


async def test_the_history_is_a_menu_whose_newest_message_comes_first(site: Site) -> None:
    user, session = await open_panel(site)
    items = lambda: shown(user, ui.menu_item)  # noqa: E731
    texts = lambda: [next(part.text for part in each.descendants() if hasattr(part, "text")) for each in items()]  # noqa: E731
    (history,) = shown(user, ui.button, "History")
    trigger(user, history, "click")
    assert (texts(), "disable" in items()[0].props) == (["Nothing was sent yet."], True)
    session.form.history = ["old", "x" * 121]
    trigger(user, history, "click")
    assert texts() == ["x" * 120, "old"]
    trigger(user, items()[0], "click")
    assert (await field(user, BOX)).value == "x" * 121


async def test_a_message_that_was_sent_can_be_taken_into_the_box(site: Site) -> None:
    async with connected(site, message='"again"') as (user, session, _):
        click(user, "Send")
        await until(lambda: session.form.history)
        (await field(user, BOX)).value = ""
        number = next(line.number for line in session.conversation.lines if line.message == '"again"')
        (lines,) = shown(user, messages.Lines)
        trigger(user, lines, "choose", {"number": number})
        click(user, "Edit and send again")
        assert (await field(user, BOX)).value == '"again"'
