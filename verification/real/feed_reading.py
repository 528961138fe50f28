"""Read a feed of a real server with its tools, as a model does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from .tools import ToolClient


class Reader:
    """A reader that continues with the cursor of its last result.

    Attributes:
        cursor: Where it continues.
        missed: The events that were removed before it read them; None: unknown.
        gaps: The reasons of the gaps.
    """

    def __init__(self, tools: ToolClient, feed: str, arguments: dict[str, Any], cursor: str) -> None:
        self.cursor = cursor
        self.missed: int | None = 0
        self.gaps: list[str] = []
        self._tools = tools
        self._tool = f"{feed}_events"
        self._arguments = arguments

    @classmethod
    async def begin(cls, tools: ToolClient, feed: str, *, cursor: str | None = None, **arguments: Any) -> Self:
        """Return a reader that begins at a cursor; without one, behind the newest event. The feed is open then."""
        if cursor is None:
            page = await tools.json(f"{feed}_events", wait_seconds=0, **arguments)
            assert page["state"] == "open", page["state"]
            cursor = page["cursor"]
        return cls(tools, feed, arguments, cursor)

    @classmethod
    async def settled(cls, tools: ToolClient, feed: str, **arguments: Any) -> None:
        """Wait until the feed is open, and no event has come for half a second."""
        reader = await cls.begin(tools, feed, **arguments)
        while not (await reader._next(0.5))["timed_out"]:
            pass

    async def read(self, count: int) -> list[Any]:
        """Return the next events, exactly so many."""
        events: list[Any] = []
        while len(events) < count:
            events += [event["data"] for event in (await self._next(20))["events"]]
        assert len(events) == count, events
        return events

    async def read_until(self, is_last: Callable[[Any], bool]) -> list[Any]:
        """Return the next events up to a page with one that fulfils a condition."""
        events: list[Any] = []
        while not any(map(is_last, events)):
            events += [event["data"] for event in (await self._next(20))["events"]]
        return events

    async def wait_for_gap(self) -> None:
        """Read until a gap is known."""
        while not self.gaps:
            await self._next(20)

    async def _next(self, seconds: float) -> Any:
        page = await self._tools.json(
            self._tool, cursor=self.cursor, wait_seconds=seconds, max_events=100, **self._arguments
        )
        self.cursor = page["cursor"]
        self.missed = None if None in (self.missed, page["missed"]) else self.missed + page["missed"]
        self.gaps += [gap["reason"] for gap in page["gaps"]]
        return page
