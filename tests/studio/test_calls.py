"""What the page keeps and shows of a call."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.client.feeds.reading import FeedGap, FeedItem
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.studio import calls as module
from utcp_ws_mcp.studio.calls import RunningCall, ShownBlock, TraceText
from utcp_ws_mcp.studio.followed_feed import MAX_SHOWN_EVENT, FeedRow, FollowedFeed
from utcp_ws_mcp.studio.live_bridge import LiveBridge

BLOCKS: list[tuple[dict[str, Any], ShownBlock]] = [
    ({"type": "text", "text": "a\u200b"}, ShownBlock("text", "a\\u200b")),
    (
        {"type": "image", "data": "AAAA", "mimeType": "image/png"},
        ShownBlock("image", "image/png, 3 bytes", "data:image/png;base64,AAAA"),
    ),
    (
        {"type": "image", "data": "AAA=", "mimeType": "image/webp"},
        ShownBlock("image", "image/webp, 2 bytes", "data:image/webp;base64,AAA="),
    ),
    (
        {"type": "image", "data": "AA==", "mimeType": "image/gif"},
        ShownBlock("image", "image/gif, 1 bytes", "data:image/gif;base64,AA=="),
    ),
    ({"type": "audio", "data": "A" * 4000, "mimeType": "audio/wav"}, ShownBlock("audio", "audio/wav, 3,000 bytes")),
    ({"type": "image", "data": "AAAA", "mimeType": "image/svg+xml"}, ShownBlock("image", "image/svg+xml, 3 bytes")),
    (
        {"type": "resource", "resource": {"blob": "AAAA", "mimeType": "image/jpeg"}},
        ShownBlock("resource", "image/jpeg, 3 bytes", "data:image/jpeg;base64,AAAA"),
    ),
    ({"type": "resource_link", "uri": "x:y"}, ShownBlock("resource_link", ", 0 bytes")),
]


@pytest.mark.parametrize(("block", "shown"), BLOCKS)
def test_a_block_is_shown_as_text_or_picture(block: dict[str, Any], shown: ShownBlock) -> None:
    assert module._shown_block(block) == shown


def test_a_long_block_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_SHOWN_RESULT == 200_000
    monkeypatch.setattr(module, "MAX_SHOWN_RESULT", 3)
    assert module._shown_block({"type": "text", "text": "abc"}).text == "abc"
    assert module._shown_block({"type": "text", "text": "abcd"}).text == "abc\n… (cut: 4 characters)"


def test_a_trace_keeps_some_characters_of_its_beginning_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_TRACE_CHARACTERS == 100_000
    monkeypatch.setattr(module, "MAX_TRACE_CHARACTERS", 10)
    trace = TraceText()
    assert [trace.write("a" * 9), trace.write("bb"), trace.write("c" * 6), trace.write("d" * 4)] == [9, 2, 6, 4]
    assert trace.text() == "a" * 9 + "bb" + "c" * 6 + "d" * 4
    trace.write("e")
    left_out = "\n… (the trace is long; lines between its beginning and its end are left out)\n"
    assert trace.text() == "a" * 9 + "bb" + left_out + "dddde"
    trace.write("f" * 20)
    assert trace.text() == "a" * 9 + "bb" + left_out + "f" * 20
    assert trace.write("g") == 1
    assert trace.text().endswith(left_out + "g")


async def test_the_last_of_many_events_is_kept_for_the_time_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (module.MAX_TIMED_EVENTS, module.MAX_ITEMS) == (5_000, 100)
    monkeypatch.setattr(module, "MAX_TIMED_EVENTS", 2)
    running = RunningCall(LiveBridge())
    assert (running.count, list(running.items), running.items.maxlen) == (0, [], 100)
    for number in range(4):
        running._note(events.MessageSent("m", str(number)))
        running._note(events.WarningIssued("it is not timed"))
    assert [each.event for each in running._timed] == [events.MessageSent("m", "0"), events.MessageSent("m", "3")]
    assert running._timed[0].at <= running._timed[1].at


def test_a_bridge_that_serves_nothing_has_no_endpoints_and_no_feeds() -> None:
    live = LiveBridge()
    assert (live.is_open, live.served, live.endpoints(), live.feeds()) == (False, None, [], [])


def row(data: Any) -> FeedRow:
    return FollowedFeed(LiveBridge(), "m.f")._row(FeedItem(7, 0.0, data, "c"))


async def test_an_event_is_shown_with_its_number_and_time_and_cut_where_it_is_long() -> None:
    assert (row({"é\u200b": 1}).number, row({"é\u200b": 1}).text) == (7, '{"é\\u200b": 1}')
    assert len(row(1).at.split(":")) == 3
    assert MAX_SHOWN_EVENT == 2_000
    longest = "x" * (MAX_SHOWN_EVENT - 2)
    assert row(longest).text == f'"{longest}"'
    assert row(f"{longest}y").text == f'"{longest}y… (cut: 2,001 characters)'


async def test_a_gap_says_what_is_missing_and_why() -> None:
    feed = FollowedFeed(LiveBridge(), "m.f")
    assert (feed.count, feed.state, feed.problem) == (0, "opening", "")
    for missed, text in (
        (3, "3 events are missing: lost"),
        (0, "0 events are missing: lost"),
        (None, "events may be missing: lost"),
    ):
        gap = FeedGap(after=4, missed=missed, reason="lost")
        assert feed._row(gap) == FeedRow(4, "", text, is_gap=True)
