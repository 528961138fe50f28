"""The chosen message below the list of lines: what is said of it, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage
from utcp_ws_mcp.studio.judging import Judgement
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession, Topic
from utcp_ws_mcp.studio.ui import messages as module
from utcp_ws_mcp.studio.ui.messages import MessageView

from ..pages import ListInBrowser, Site, press, shown, texts, trigger, until

URL = "wss://a.example/"
MESSAGES = (
    RecordedMessage(sent=True, value={"id": 1, "op": "get"}),
    RecordedMessage(sent=False, value={"id": 1, "got": "it"}),
    RecordedMessage(sent=False, value={"type": "tick"}),
)
MANIFEST = {
    "name": "m",
    "url": URL,
    "reply": {"match": "message.id == request_id"},
    "tools": [{"name": "get", "tool_call_template": {"message": {"id": "{{ request_id }}", "op": "get"}}}],
}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(module, "CLASSIFY_SECONDS", 0.001)


def session_with(*messages: RecordedMessage) -> StudioSession:
    session = StudioSession(StudioOptions())
    session.conversation.load({"url": URL}, parse_url(URL), messages, [])
    session.conversation.roles_are_stale = False
    return session


async def open_view(
    site: Site, session: StudioSession, use: Callable[[str], None] | None = None
) -> tuple[User, MessageView]:
    drawn: list[MessageView] = []
    user = await site.panel(session, lambda context: drawn.append(MessageView(context, use)))
    return user, drawn[0]


def choose(user: User, view: MessageView, number: int) -> None:
    trigger(user, view.lines, "choose", {"number": number})


def title_of(user: User) -> str:
    (title,) = (each.text for each in shown(user, ui.label, " after ") or shown(user, ui.label, "After "))
    return title


def marks(user: User) -> dict[str, bool]:
    """Return the labels of the marks, and which of them is pressed."""
    buttons = [each for each in shown(user, ui.button) if "aria-pressed" in each.props]
    assert all(("unelevated" in each.props) is (each.props["aria-pressed"] == "true") for each in buttons)
    assert all(("outline" in each.props) is (each.props["aria-pressed"] == "false") for each in buttons)
    return {each.text: each.props["aria-pressed"] == "true" for each in buttons}


async def test_the_lines_are_counted_and_listed_as_they_come(site: Site) -> None:
    session = StudioSession(StudioOptions())
    observe = session.conversation.observer(str)
    user, view = await open_view(site, session)
    browser = ListInBrowser(view.lines)
    trigger(user, view.lines, "ready")
    await until(lambda: "0 lines" in texts(user))
    observe(events.MessageReceived("m", "hello", "reply"))
    await until(lambda: "1 line" in texts(user))
    assert browser.texts == ["hello"]
    for _ in range(1_000):
        observe(events.MessageReceived("m", "x", "reply"))
    await until(lambda: "1,001 lines" in texts(user))
    (count,) = shown(user, ui.label, "1,001 lines")
    assert count.props["role"] == "status"


async def test_the_list_can_be_filtered_and_followed(site: Site) -> None:
    session = session_with(*MESSAGES)
    user, view = await open_view(site, session)
    browser = ListInBrowser(view.lines)
    trigger(user, view.lines, "ready")
    (words,) = shown(user, ui.input, "Filter")
    words.value = "tick"
    await until(lambda: len(browser.rows) == 1)
    assert words.props["placeholder"] == "text or role"
    words.value = None
    await until(lambda: len(browser.rows) == 3)
    (follow,) = shown(user, ui.switch, "Follow")
    assert (follow.value, view.lines.follow) == (True, True)
    follow.value = False
    assert view.lines.follow is False


async def test_without_a_choice_the_page_says_how_to_read_a_line(site: Site) -> None:
    session = session_with(*MESSAGES)
    user, view = await open_view(site, session)
    assert shown(user, ui.label, "Choose a line to read it.")
    choose(user, view, 0)
    assert not shown(user, ui.label, "Choose a line")
    press(user, "Clear")
    assert (len(session.conversation.lines), marks(user)) == (0, {})
    assert shown(user, ui.label, "Choose a line to read it.")


def note(observe: Any) -> None:
    observe(events.ConnectionClosed("m", URL, "1000", remote=False))


LINES: list[tuple[Callable[[Any], None], str, str]] = [
    (note, "After 1.500 s", "the connection ended: 1000"),
    (
        lambda see: see(events.MessageSent("m", b"\0\xff")),
        "Sent after 1.500 s, binary, 2 B, classified as: request",
        "00 ff",
    ),
    (lambda see: see(events.MessageReceived("m", "x", "")), "Received after 1.500 s, 1 B", "x"),
    (
        lambda see: see(events.MessageReceived("m", '{"a": "s3cret"}', "item")),
        "Received after 1.500 s, 15 B, classified as: item",
        '{\n  "a": "…"\n}',
    ),
]


@pytest.mark.parametrize(("observed", "title", "text"), LINES, ids=["note", "binary", "text", "json"])
async def test_a_chosen_line_is_shown_whole_with_what_it_is(
    site: Site, observed: Callable[[Any], None], title: str, text: str
) -> None:
    session = StudioSession(StudioOptions())
    observed(session.conversation.observer(lambda text: text.replace("s3cret", "…")))
    session.conversation.lines[0].seconds = 1.5
    user, view = await open_view(site, session, lambda text: None)
    choose(user, view, 0)
    assert title_of(user) == title
    (whole,) = (each for each in shown(user, ui.label) if "studio-pre" in each.classes)
    assert (whole.text, whole.props["tabindex"], whole.props["role"]) == (text, "0", "document")
    assert (marks(user), shown(user, ui.button, "Edit")) == ({}, [])  # not a message of the last connection, or no text


async def test_the_rules_that_decided_are_listed(site: Site) -> None:
    session = StudioSession(StudioOptions())
    observe = session.conversation.observer(str)
    observe(events.MessageReceived("m", "x", "reply"))
    observe(events.MatchExplained("m", ("reply.match holds", "it is the only request")))
    user, view = await open_view(site, session)
    choose(user, view, 0)
    assert {"reply.match holds", "it is the only request"} <= texts(user)


async def test_a_sent_text_can_be_edited_and_sent_again(site: Site) -> None:
    used: list[str] = []
    messages = (*MESSAGES, RecordedMessage(sent=True, value=b"\0"))
    user, view = await open_view(site, session_with(*messages), used.append)
    for number in (1, 3):
        choose(user, view, number)
        assert not shown(user, ui.button, "Edit and send again")
    choose(user, view, 0)
    press(user, "Edit and send again")
    assert [json.loads(text) for text in used] == [MESSAGES[0].value]
    user, view = await open_view(site, session_with(*messages))
    choose(user, view, 0)
    assert not shown(user, ui.button, "Edit and send again")


async def test_a_message_can_be_marked_as_what_its_side_can_send(site: Site) -> None:
    session = session_with(*MESSAGES)
    announced: list[str] = []
    session.listen(Topic.CONVERSATION, lambda: announced.append("conversation"))
    user, view = await open_view(site, session)
    choose(user, view, 0)
    assert marks(user) == {"request": False, "no tool": False, "automatic": True}
    press(user, "no tool")
    assert session.conversation.mark_of(session.conversation.lines[0]) is Mark.IGNORED
    assert marks(user) == {"request": False, "no tool": True, "automatic": False}
    choose(user, view, 1)
    assert marks(user) == {"reply": False, "event": False, "error": False, "automatic": True}
    press(user, "error")
    assert marks(user) == {"reply": False, "event": False, "error": True, "automatic": False}
    press(user, "automatic")
    assert session.conversation.mark_of(session.conversation.lines[1]) is None
    assert announced == ["conversation"] * 3
    (group,) = (each for each in shown(user, ui.row) if each.props.get("role") == "group")
    assert group.props["aria-label"] == "What the message is"
    assert "It is:" in texts(user)


async def test_a_mark_of_a_message_that_is_no_part_of_the_draft_any_more_is_refused(site: Site) -> None:
    session = session_with(*MESSAGES)
    announced: list[str] = []
    session.listen(Topic.CONVERSATION, lambda: announced.append("conversation"))
    user, view = await open_view(site, session)
    choose(user, view, 1)
    session.conversation.load({"url": URL}, parse_url(URL), MESSAGES, [])
    press(user, "error")
    ((text, kind),) = site.notified.kinds
    assert (kind, "not part of the draft" in text, announced) == ("negative", True, [])


async def test_what_the_recorder_says_appears_at_the_chosen_message(site: Site) -> None:
    session = session_with(*MESSAGES)
    user, view = await open_view(site, session)
    choose(user, view, 1)
    assert "classified as" not in title_of(user)
    session.conversation.roles_are_stale = True
    await until(lambda: title_of(user).endswith("classified as: reply"))
    assert session.conversation.roles_are_stale is False


async def test_what_the_manifest_takes_the_message_for_appears_and_changes_with_it(site: Site) -> None:
    session = session_with(*MESSAGES)
    user, view = await open_view(site, session)
    choose(user, view, 1)
    session.set_text(json.dumps(MANIFEST))
    await until(lambda: "The manifest takes it for: reply" in texts(user))
    judgement = await session.judgement(1)
    assert judgement is not None
    assert judgement.reasons
    assert set(judgement.reasons) <= texts(user)
    session.set_text("{}")
    await until(lambda: not shown(user, ui.label, "The manifest takes it"))
    session.set_text(json.dumps(MANIFEST))
    choose(user, view, 0)
    await until(lambda: "The manifest takes it for: request" in texts(user))


async def test_a_message_is_judged_at_once_when_it_is_chosen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLASSIFY_SECONDS", 60)
    session = session_with(*MESSAGES)
    session.set_text(json.dumps(MANIFEST))
    user, view = await open_view(site, session)
    await until(lambda: "3 lines" in texts(user))
    for _ in range(2):
        choose(user, view, 0)
        await until(lambda: "The manifest takes it for: request" in texts(user))


async def test_a_judgement_that_comes_after_another_choice_is_not_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_with(*MESSAGES)
    asked, answered = list[int](), anyio.Event()

    async def judgement(_: StudioSession, number: int) -> Judgement:
        asked.append(number)
        await answered.wait()
        return Judgement("reply")

    monkeypatch.setattr(StudioSession, "judgement", judgement)
    user, view = await open_view(site, session)
    choose(user, view, 1)
    await until(lambda: asked)
    choose(user, view, 2)
    await until(lambda: asked[-1] == 2)
    answered.set()
    await until(lambda: shown(user, ui.label, "The manifest takes it for: reply"))
    (label,) = shown(user, ui.label, "The manifest takes it for: reply")
    count = len(asked)
    await until(lambda: len(asked) > count + 2)
    assert shown(user, ui.label, "The manifest takes it for: reply") == [label]  # not read again by screen readers
