"""Feeds of an endpoint that cannot be reached: what happens to them is what a test does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from utcp_ws_mcp.client.feeds.live_feed import FeedState
from utcp_ws_mcp.client.feeds.manager import FeedInstance, FeedManager
from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.client.pool.manager import PoolManager
from utcp_ws_mcp.core.expressions.scope import Ambient
from utcp_ws_mcp.core.feeds.feed import CompiledFeed
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.manifest.models.call_template import FINAL_CLOSE_CODES

NOW = 1_767_225_600.0
"""The start of 2026, in seconds since 1970."""


def feed_tools(*feeds: dict[str, Any], manual: str = "m", **template: Any) -> dict[str, CompiledTool]:
    """The tools of a manual with feeds, by their names without the manual; a feed is called `f` if it has no name."""
    listed = [{"name": "f", "match": "message.x is defined", **feed} for feed in feeds]
    document = {"name": manual, "url": "ws://127.0.0.1:9/", "timeout": 3600, "feeds": listed, "tools": [], **template}
    return {tool.name: tool for tool in load_text(json.dumps(document), Path("m.json"), {}).tools[manual]}


def compiled_feed(*, final_close_codes: Sequence[int] = FINAL_CLOSE_CODES, **feed: Any) -> CompiledFeed:
    """A compiled feed."""
    tool = feed_tools(feed, final_close_codes=final_close_codes)["f_events"]
    assert tool.feed is not None
    return tool.feed.feed


@dataclass
class Quiet:
    """A feed manager, its clock of events, and how often it has reported a change."""

    manager: FeedManager
    events: list[Any]
    now: float = NOW
    changes: int = 0
    connecting: list[str] = field(default_factory=list)

    async def open(self, tool: CompiledTool, **arguments: Any) -> FeedInstance:
        """A feed that counts as open, although no connection is."""
        instance = self.manager.get(tool, arguments)
        await anyio.wait_all_tasks_blocked()
        instance.live.set_state(FeedState.OPEN)
        return instance


@asynccontextmanager
async def quiet(*, epochs: str = "e", **options: Any) -> AsyncIterator[Quiet]:
    """Feeds without connections; the epoch of each is eight times the next of some letters."""
    letters = iter(epochs * 100)

    async def never(request: Any, arguments: Any, on_draining: Any) -> Any:
        state.connecting.append(request.manual)
        await anyio.sleep_forever()

    def note_change() -> None:
        state.changes += 1

    async with anyio.create_task_group() as tasks:
        ambient = Ambient(
            lambda: datetime.fromtimestamp(state.now, UTC), lambda count: bytes([int(next(letters) * 2, 16)] * count)
        )
        events: list[Any] = []
        pools = PoolManager(tasks, never)
        manager = FeedManager(tasks, pools, ambient, observe=events.append, on_change=note_change, **options)
        state = Quiet(manager, events)
        yield state
        tasks.cancel_scope.cancel()
