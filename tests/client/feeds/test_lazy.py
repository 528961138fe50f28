"""Which feeds a bridge opens by itself, and when its feed manager is made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tests.client.feeds.quiet import Quiet, feed_tools, quiet
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.feeds.lazy import LazyFeeds
from utcp_ws_mcp.client.feeds.live_feed import FeedState
from utcp_ws_mcp.client.feeds.manager import FeedManager

TOOLS = feed_tools(
    {"name": "started", "start": "start"},
    {"name": "called", "start": "first_call", "key": "message.k"},
    {"name": "read", "key": "message.k"},
    tools=[{"name": "t"}],
)
OTHER = feed_tools({"name": "called", "start": "first_call"}, manual="other", tools=[{"name": "t"}])


class Lazy:
    """The feeds of a bridge, and how often their manager was made."""

    def __init__(self, q: Quiet) -> None:
        self.made = 0
        self._q = q
        self.feeds = LazyFeeds(self._make)

    def _make(self) -> FeedManager:
        self.made += 1
        return self._q.manager

    @property
    def open(self) -> list[str]:
        return [instance.feed.full_name for instance in self.feeds.instances()]


@asynccontextmanager
async def lazy() -> AsyncIterator[Lazy]:
    async with quiet() as q:
        yield Lazy(q)


@in_virtual_time
async def test_the_manager_is_made_once_and_only_for_a_feed() -> None:
    async with lazy() as bridge:
        bridge.feeds.start([tool for tool in TOOLS.values() if tool.name != "started_events"])
        await bridge.feeds.open_for_call(OTHER["t"], {})
        bridge.feeds.replace({}, ())
        await bridge.feeds.aclose()
        assert (bridge.made, bridge.open) == (0, [])
        bridge.feeds.read_page(TOOLS["read_events"], {})
        bridge.feeds.read_page(TOOLS["read_events"], {})
        assert (bridge.made, bridge.open) == (1, ["m.read"])


@in_virtual_time
async def test_feeds_with_start_are_opened_at_once() -> None:
    async with lazy() as bridge:
        bridge.feeds.start([*TOOLS.values(), *OTHER.values()])
        assert bridge.open == ["m.started"]


@in_virtual_time
async def test_a_call_opens_the_feeds_of_its_own_manual_that_calls_open() -> None:
    async with lazy() as bridge:
        bridge.feeds.start([*TOOLS.values(), *OTHER.values()])
        await bridge.feeds.open_for_call(TOOLS["t"], {})
        assert bridge.open == ["m.started", "m.called"]
        await bridge.feeds.open_for_call(OTHER["t"], {})
        assert bridge.open == ["m.started", "m.called", "other.called"]


@in_virtual_time
async def test_a_reload_closes_what_is_gone_opens_what_is_new_and_forgets_what_calls_opened() -> None:
    async with lazy() as bridge:
        bridge.feeds.start(OTHER.values())
        await bridge.feeds.open_for_call(OTHER["t"], {})
        tools = {tool.full_name: tool for tool in TOOLS.values()}
        bridge.feeds.replace(tools, ())
        assert bridge.open == ["m.started"]
        await bridge.feeds.open_for_call(OTHER["t"], {})
        assert bridge.open == ["m.started"]
        bridge.feeds.replace(tools, {"m"})
        assert bridge.open == ["m.started"]


@in_virtual_time
async def test_feeds_are_read_watched_and_followed() -> None:
    async with lazy() as bridge:
        tool, changes, states = TOOLS["read_events"], [], []
        end = bridge.feeds.watch(tool, {}, lambda: changes.append(1))
        (instance,) = bridge.feeds.instances()
        await anyio.sleep(1)
        instance.live.set_state(FeedState.OPEN)
        instance.live.publish("1")
        assert (await bridge.feeds.read(tool, {}))["events"][0]["data"] == 1
        assert bridge.feeds.read_page(tool, {})["state"] == "open"
        found = await anext(bridge.feeds.follow(tool, {}, states.append, states.append))
        assert (found.data, states) == (1, ["open"])  # type: ignore[union-attr]
        assert len(changes) >= 2
        end()


@in_virtual_time
async def test_the_end_closes_all_feeds() -> None:
    async with lazy() as bridge:
        bridge.feeds.start(TOOLS.values())
        (instance,) = bridge.feeds.instances()
        await anyio.sleep(1)
        await bridge.feeds.aclose()
        assert instance.live.describe_state() == "closed: the program ends"
        assert bridge.open == []
