"""The list of lines: what the browser is asked to do, and what it shows then."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage
from utcp_ws_mcp.studio import conversation as conversation_module
from utcp_ws_mcp.studio.conversation import Conversation
from utcp_ws_mcp.studio.ui import lines as module
from utcp_ws_mcp.studio.ui.lines import Lines

from ..pages import ListInBrowser, Site, trigger


async def open_lines(
    site: Site, conversation: Conversation, *, ready: bool = True
) -> tuple[Lines, ListInBrowser, list[int]]:
    """Draw the list; return it with its browser, and with the numbers that are chosen there."""
    drawn: list[Lines] = []
    chosen: list[int] = []
    user = await site.open(lambda: drawn.append(Lines(conversation, "Messages", chosen.append)))
    lines, browser = drawn[0], ListInBrowser(drawn[0])
    if ready:
        trigger(user, lines, "ready")
        assert browser.calls == [("replace", 0)]
        browser.calls.clear()
    trigger(user, lines, "choose", {"number": "7"})
    return lines, browser, chosen


def receive(conversation: Conversation, *texts: str, role: str = "reply") -> None:
    for text in texts:
        conversation.observer(str)(events.MessageReceived("m", text, role))


async def test_nothing_is_sent_to_a_list_that_is_not_in_the_document_yet(site: Site) -> None:
    conversation = Conversation()
    receive(conversation, "a")
    lines, browser, chosen = await open_lines(site, conversation, ready=False)
    lines.refresh()
    lines.filter("a")
    assert (browser.calls, chosen) == ([], [7])
    assert (lines.props["label"], lines.follow) == ("Messages", True)
    lines.follow = False
    assert lines.props["follow"] is lines.follow is False


async def test_a_line_has_its_number_time_direction_role_text_and_size(site: Site) -> None:
    conversation = Conversation()
    observe = conversation.observer(lambda text: text.replace("secret", "…"))
    observe(events.MessageSent("m", '{"key": "secret"}'))
    observe(events.MessageReceived("m", "hällo", "reply"))
    observe(events.ConnectionClosed("m", "ws://a.example", "1000", remote=False))
    for number, line in enumerate(conversation.lines):
        line.seconds = number + 0.25
    lines, browser, _ = await open_lines(site, conversation)
    lines.refresh()
    assert browser.rows == [
        {"n": 0, "t": "0.250", "d": "sent", "r": "request", "m": "", "x": '{"key": "…"}', "s": "17 B"},
        {"n": 1, "t": "1.250", "d": "received", "r": "reply", "m": "", "x": "hällo", "s": "6 B"},
        {"n": 2, "t": "2.250", "d": "note", "r": "", "m": "", "x": "the connection ended: 1000", "s": ""},
    ]


async def test_only_new_lines_are_sent(site: Site) -> None:
    conversation = Conversation()
    lines, browser, _ = await open_lines(site, conversation)
    lines.refresh()
    assert browser.calls == []
    receive(conversation, "a", "b")
    lines.refresh()
    lines.refresh()
    receive(conversation, "c")
    lines.refresh()
    assert (browser.calls, browser.texts) == ([("append", 2), ("append", 1)], ["a", "b", "c"])


async def test_many_lines_are_sent_in_batches(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_BATCH == 1_000
    monkeypatch.setattr(module, "MAX_BATCH", 2)
    conversation = Conversation()
    receive(conversation, *"abcde")
    lines, browser, _ = await open_lines(site, conversation)
    for _ in range(5):
        lines.refresh()
    assert (browser.calls, browser.texts) == ([("append", 2), ("append", 2), ("append", 1)], [*"abcde"])
    receive(conversation, *"fg")
    lines.refresh()
    lines.refresh()
    assert (browser.calls[3:], browser.texts) == ([("append", 2)], [*"abcdefg"])


async def test_a_filter_shows_the_lines_that_contain_its_words_again_from_the_first(site: Site) -> None:
    conversation = Conversation()
    receive(conversation, "apple", "pear")
    lines, browser, _ = await open_lines(site, conversation)
    lines.refresh()
    lines.filter("APP")
    lines.refresh()
    receive(conversation, "plum", "app")
    lines.refresh()
    assert browser.texts == ["apple", "app"]
    assert browser.calls == [("append", 2), ("replace", 0), ("append", 1), ("append", 1)]
    lines.filter("")
    lines.refresh()
    assert browser.texts == ["apple", "pear", "plum", "app"]


async def test_lines_that_are_dropped_or_cleared_go_from_the_browser(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_module, "MAX_LINES", 3)
    conversation = Conversation()
    receive(conversation, *"abc")
    lines, browser, _ = await open_lines(site, conversation)
    lines.refresh()
    receive(conversation, *"de")
    lines.refresh()
    assert browser.texts == [*"cde"]
    conversation.clear()
    lines.refresh()
    assert browser.texts == []
    count = len(browser.calls)
    conversation.clear()
    lines.refresh()
    assert len(browser.calls) == count
    receive(conversation, *"fg")
    lines.refresh()
    assert (browser.texts, [each["n"] for each in browser.rows]) == ([*"fg"], [5, 6])


def recorded(*texts: str) -> Conversation:
    conversation = Conversation()
    messages = [RecordedMessage(sent=False, value={"type": text}) for text in texts]
    conversation.load({"url": "ws://a.example"}, parse_url("ws://a.example"), messages, [])
    return conversation


async def test_only_lines_whose_role_or_mark_changes_are_sent_again(site: Site) -> None:
    conversation = recorded("a", "b", "c")
    lines, browser, _ = await open_lines(site, conversation)
    lines.refresh()
    conversation.mark(1, Mark.ERROR)
    lines.refresh()
    assert browser.calls == [("append", 3), ("update", 1)]
    assert [each["m"] for each in browser.rows] == ["", "error", ""]
    await conversation.classify()
    lines.refresh()
    assert [each["m"] for each in browser.rows] == ["", "error", ""]
    assert [each["r"] for each in browser.rows] == [line.role for line in conversation.lines] != ["", "", ""]
    conversation.mark(1, Mark.ERROR)
    lines.refresh()
    assert browser.calls[2:] == [("update", 3)]


async def test_a_line_that_the_filter_hides_is_not_sent_when_its_mark_changes(site: Site) -> None:
    conversation = recorded("a", "b")
    lines, browser, _ = await open_lines(site, conversation)
    lines.filter('"b"')
    lines.refresh()
    count = len(browser.calls)
    conversation.mark(0, Mark.ERROR)
    lines.refresh()
    assert (len(browser.calls), len(browser.rows)) == (count, 1)
    conversation.mark(1, Mark.ERROR)
    lines.refresh()
    assert [(each["n"], each["m"]) for each in browser.rows] == [(1, "error")]


async def test_marks_wait_until_all_lines_are_sent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 1)
    conversation = recorded("a", "b", "c")
    lines, browser, _ = await open_lines(site, conversation)
    lines.refresh()
    conversation.mark(0, Mark.ERROR)
    for _ in range(3):
        lines.refresh()
    assert browser.calls == [("append", 1), ("append", 1), ("append", 1), ("update", 1)]
