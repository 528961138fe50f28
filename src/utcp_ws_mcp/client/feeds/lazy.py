"""The feeds of a bridge, whose modules are imported when the first feed is used: most manifests have none."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from ...core.tools.tool import CompiledTool

if TYPE_CHECKING:
    from .manager import FeedInstance, FeedManager
    from .reading import FeedGap, FeedItem


class LazyFeeds:
    """Opens and reads feeds. `make_manager` is called when the first feed is used.

    `opened_by_calls` are the tools of the feeds that calls open, by manual.
    """

    def __init__(self, make_manager: Callable[[], FeedManager]) -> None:
        self._make_manager = make_manager
        self._manager: FeedManager | None = None
        self.opened_by_calls: dict[str, list[CompiledTool]] = {}

    def start(self, tools: Collection[CompiledTool]) -> None:
        """Open the feeds that are open from the start, and note those that calls open."""
        reading = [tool for tool in tools if tool.feed is not None and tool.feed.kind == "events"]
        self.opened_by_calls = {}
        for tool in reading:
            if _start_of(tool) == "first_call":
                self.opened_by_calls.setdefault(tool.manual, []).append(tool)
        if any(_start_of(tool) == "start" for tool in reading):
            self._get_manager().start(reading)

    async def open_for_call(self, tool: CompiledTool, arguments: dict[str, Any]) -> None:
        """Open the feeds that a call of a tool opens, so that they get what it causes."""
        feeds = self.opened_by_calls.get(tool.manual)
        if feeds:
            from .reading import open_feeds

            await open_feeds(self._get_manager(), feeds, arguments)

    def replace(self, tools: Mapping[str, CompiledTool], unchanged: Collection[str]) -> None:
        """Close the feeds that have changed or are gone, and open those that are open from the start."""
        if self._manager is not None:
            self._manager.replace(tools, unchanged)
        self.start(tools.values())

    async def aclose(self) -> None:
        """Close all feeds."""
        if self._manager is not None:
            await self._manager.aclose()

    def instances(self) -> list[FeedInstance]:
        """Return the feeds that have been opened, one for each set of arguments."""
        return [] if self._manager is None else list(self._manager)

    async def read(self, tool: CompiledTool, arguments: dict[str, Any]) -> Any:
        """Call a tool of a feed."""
        from .reading import read_feed

        return await read_feed(self._get_manager(), tool, arguments)

    def read_page(self, tool: CompiledTool, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a tool NAME_events without waiting."""
        from .reading import read_page

        return read_page(self._get_manager(), tool, arguments)

    def watch(self, tool: CompiledTool, arguments: dict[str, Any], on_change: Callable[[], None]) -> Callable[[], None]:
        """Call a function with each change of a feed, and keep the feed open; return the function that ends it."""
        return self._get_manager().watch(tool, arguments, on_change)

    def follow(
        self,
        tool: CompiledTool,
        arguments: dict[str, Any],
        on_state: Callable[[str], None],
        on_hint: Callable[[str], None],
    ) -> AsyncGenerator[FeedItem | FeedGap]:
        """Yield the events of a feed as they come."""
        from .reading import follow_feed

        return follow_feed(self._get_manager(), tool, arguments, on_state, on_hint)

    def _get_manager(self) -> FeedManager:
        if self._manager is None:
            self._manager = self._make_manager()
        return self._manager


def _start_of(tool: CompiledTool) -> str:
    assert tool.feed is not None
    return tool.feed.feed.definition.start
