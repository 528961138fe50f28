"""MCP resources of feeds: `utcp-ws://feeds` lists them, `/MANUAL/FEED?ARGUMENTS` is the newest page of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ..bridge import Bridge
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError
from .resources import FEEDS_URI


class FeedResources:
    """The feeds of an open bridge as resources."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def read(self, uri: str) -> Any:
        """Return the content of a resource, or None if there is no such resource; reading a feed opens it."""
        if uri == FEEDS_URI:
            return [self._state(tool) for tool in self._tools()]
        try:
            parts = urlsplit(uri)
            names = [unquote(each) for each in parts.path.split("/")]
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
        except ValueError:
            return None
        if len(names) != 3:
            return None
        tool = self._bridge.tools.get(f"{names[1]}.{names[2]}_events")
        if tool is None or tool.feed is None:
            return None
        try:
            return self._bridge.read_feed_page(tool, query)
        except BridgeError as error:
            return {"problem": str(error)}

    def _tools(self) -> Iterator[CompiledTool]:
        for tool in self._bridge.tools.values():
            if tool.feed is not None and tool.feed.kind == "events":
                yield tool

    def _state(self, tool: CompiledTool) -> dict[str, Any]:
        assert tool.feed is not None
        feed = tool.feed.feed
        return {
            "name": feed.full_name,
            "uri": f"{FEEDS_URI}/{quote(feed.manual, safe='')}/{quote(feed.definition.name, safe='')}",
            "description": feed.definition.description,
            "arguments": sorted(feed.argument_names),
            "open": [
                {
                    "arguments": instance.arguments,
                    "state": instance.live.describe_state(),
                    "events": len(instance.live.buffer),
                    "evicted": instance.live.buffer.evicted,
                    "cursor": str(instance.live.buffer.end),
                    "readers": instance.live.readers,
                    "reconnects": instance.keeper.reconnects,
                }
                for instance in self._bridge.feed_instances()
                if instance.feed.full_name == feed.full_name
            ],
        }
