"""What an open bridge offers for feeds: following, reading and watching them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ...core.tools.tool import CompiledTool
from ...errors import BridgeError, UnknownFeed, UnknownTool
from ...manifest.validation import closest_match
from ..tool_repository import ToolRepository
from .lazy import LazyFeeds

if TYPE_CHECKING:
    from .manager import FeedInstance
    from .reading import FeedGap, FeedItem

logger = logging.getLogger(__name__)


class FeedAccess:
    """The part of `Bridge` for feeds."""

    _feeds: LazyFeeds
    _repository: ToolRepository
    _find_tool: Callable[..., Any]
    _valid_arguments: Callable[..., dict[str, Any]]
    _check_callable: Callable[[CompiledTool], None]

    async def feed(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        cursor: str | None = None,
        where: str | None = None,
        on_state: Callable[[str], None] = lambda state: None,
        on_hint: Callable[[str], None] | None = None,
    ) -> AsyncGenerator[FeedItem | FeedGap]:
        """Yield the events of the feed `manual.feed`, and the gaps between them, as they come.

        The feed is kept open until the loop ends. If the manifest is changed meanwhile, a gap says so, and the feed of
        the new manifest is followed.

        Args:
            name: `manual.feed`.
            arguments: The arguments of the feed.
            cursor: Where an earlier reader has ended; without it, the newest events come first.
            where: An expression on `data`: only events for which it is true.
            on_state: Called with each new state, such as "open" or "waiting: …".
            on_hint: Called once if `where` was false for all events that came, with the members that none of them
                has; by default, that is logged as a warning.

        Raises:
            CallError: if there is no such feed, or no longer, or an argument is wrong.
        """
        given = {**(arguments or {}), **({} if where is None else {"where": where})}
        position = {} if cursor is None else {"cursor": cursor}
        tell = on_hint or (lambda hint: logger.warning("%s: %s", name, hint))
        while True:
            tool = await self._find_feed(name)
            valid = self._valid_arguments(tool, {**given, **position})
            last = 0
            async with aclosing(self._feeds.follow(tool, valid, on_state, tell)) as items:
                async for item in items:
                    last = getattr(item, "offset", last)
                    yield item
            from .reading import FeedGap

            position = {}
            yield FeedGap(last, "the manifest was changed; what the endpoint sent meanwhile is unknown", None)

    async def feed_schema(self, name: str) -> Mapping[str, Any]:
        """Return the JSON Schema of the arguments of the feed `manual.feed`.

        Raises:
            CallError: if there is no such feed.
        """
        return (await self._find_feed(name)).inputs

    async def _find_feed(self, name: str) -> CompiledTool:
        """Return the tool NAME_events of a feed."""
        try:
            tool: CompiledTool = await self._find_tool(f"{name}_events")
        except UnknownTool as unknown:
            raise (unknown if unknown.reason else self._unknown_feed(name)) from None
        if tool.feed is None:
            raise self._unknown_feed(name)
        self._check_callable(tool)
        return tool

    def _unknown_feed(self, name: str) -> BridgeError:
        """Return the error for a name that no feed has: it is wrong, or that of a tool."""
        tools = self._repository.tools.values()
        known = list(dict.fromkeys(tool.feed.feed.full_name for tool in tools if tool.feed is not None))
        found = self._repository.find(name)
        if found is None:
            return UnknownFeed(name, nearest=closest_match(name, known), known=known)
        if found.feed is not None:
            return UnknownFeed(name, reason=f"{name!r} is a tool that reads a feed", nearest=found.feed.feed.full_name)
        return UnknownFeed(name, reason=f"{name!r} is a tool, not a feed", known=known)

    def read_feed_page(self, tool: CompiledTool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of a tool NAME_events without waiting; a feed that is not open is opened.

        Raises:
            CallError: if an argument is wrong.
        """
        self._check_callable(tool)
        return self._feeds.read_page(tool, tool.validate_arguments(arguments))

    def watch_feed(
        self, tool: CompiledTool, arguments: Mapping[str, Any], on_change: Callable[[], None]
    ) -> Callable[[], None]:
        """Call a function with each event, gap and change of the state of a feed; return the function that ends it.

        The feed is opened, and kept open until the end. `on_change` must neither wait nor raise. If the manifest is
        changed, the last change is that the feed is closed.

        Args:
            tool: The tool NAME_events of the feed.
            arguments: The arguments of the feed.
            on_change: The function.

        Raises:
            CallError: if an argument is wrong, or too many sets of arguments are followed.
        """
        self._check_callable(tool)
        return self._feeds.watch(tool, tool.validate_arguments(arguments), on_change)

    def feed_instances(self) -> list[FeedInstance]:
        """Return the feeds that have been opened, one for each set of arguments."""
        return self._feeds.instances()
