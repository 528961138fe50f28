"""MCP resources of feeds: `utcp-ws://feeds` lists them, `/MANUAL/FEED?ARGUMENTS` is the newest page of one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ..bridge import Bridge
from ..core.feeds.feed import CompiledFeed
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, end_sentence
from .resources import FEEDS_URI, JSON_MEDIA_TYPE, MayUse

if TYPE_CHECKING:
    from ..client.feeds.manager import FeedInstance

MAX_LISTED: Final = 500
"""Resources of feeds in `resources/list`; `utcp-ws://feeds` has the others, too."""
MAX_URI_LENGTH: Final = 2000
"""Characters of a URI in `resources/list`: arguments may be of any length."""
PAGE_PARAMETERS: Final = ("cursor", "max_events", "where")
"""The parameters of every feed besides its arguments."""


class FeedResources:
    """The feeds of an open bridge as resources. `may_use` decides which of their tools NAME_events a caller has."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def read(self, uri: str, may_use: MayUse) -> Any:
        """Return the content of a resource, or None if there is no such resource; reading a feed opens it."""
        if uri == FEEDS_URI:
            return [self._state(tool) for tool in self._tools(may_use)]
        found = self._find(uri)
        if found is None or not may_use(found[0]):
            return None
        try:
            return self._bridge.read_feed_page(*found)
        except BridgeError as error:
            return {"problem": str(error)}

    def watch(self, uri: str, on_change: Callable[[], None]) -> Callable[[], None] | None:
        """Call a function with each change of a feed until the returned one is called; None if there is no such feed.

        Raises:
            BridgeError: if a parameter is wrong, or too many sets of arguments are followed.
        """
        found = self._find(uri)
        return None if found is None else self._bridge.watch_feed(*found, on_change)

    def is_visible(self, uri: str, may_use: MayUse) -> bool:
        """Return whether a URI is that of a feed whose events a caller may read."""
        found = self._find(uri)
        return found is not None and may_use(found[0])

    def listed(self, may_use: MayUse) -> list[dict[str, Any]]:
        """Return the feeds that need no arguments, and the sets of arguments that are followed."""
        found: dict[str, dict[str, Any]] = {}
        for tool in self._tools(may_use):
            feed = _feed(tool)
            if not tool.inputs.get("required"):
                found[feed_uri(feed)] = _resource(feed, {})
            for instance in self._instances(feed):
                if (uri := self._uri_of(tool, instance)) is not None:
                    found.setdefault(uri, _resource(feed, instance.arguments))
        return [{"uri": uri, **resource} for uri, resource in found.items()][:MAX_LISTED]

    def templates(self, may_use: MayUse) -> list[dict[str, Any]]:
        """Return a template for each feed, with its arguments."""
        return [_template(_feed(tool), _required_arguments(tool)) for tool in self._tools(may_use)]

    def _find(self, uri: str) -> tuple[CompiledTool, dict[str, str]] | None:
        """Return the tool that reads the feed of a URI, and the parameters."""
        try:
            parts = urlsplit(uri)
            names = [unquote(each) for each in parts.path.split("/")]
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
        except ValueError:
            return None
        if len(names) != 3:
            return None
        tool = self._bridge.tools.get(f"{names[1]}.{names[2]}_events")
        return None if tool is None or tool.feed is None or not self._is_shared(tool) else (tool, query)

    def _uri_of(self, tool: CompiledTool, instance: FeedInstance) -> str | None:
        """Return the URI of a set of arguments; None if it is too long, or would be read as other arguments."""
        uri = feed_uri(instance.feed, instance.arguments)
        found = self._find(uri) if len(uri) <= MAX_URI_LENGTH else None
        try:
            return uri if found and tool.validate_arguments(found[1]) == instance.arguments else None
        except BridgeError:
            return None

    def _tools(self, may_use: MayUse) -> Iterator[CompiledTool]:
        for tool in self._bridge.tools.values():
            if tool.feed is not None and tool.feed.kind == "events" and self._is_shared(tool) and may_use(tool):
                yield tool

    def _is_shared(self, tool: CompiledTool) -> bool:
        """Return whether a feed is the same for all callers; one with values of a caller has no resource."""
        return tool.manual not in self._bridge.awaiting_callers

    def _instances(self, feed: CompiledFeed) -> Iterator[FeedInstance]:
        return (each for each in self._bridge.feed_instances() if each.feed.full_name == feed.full_name)

    def _state(self, tool: CompiledTool) -> dict[str, Any]:
        feed = _feed(tool)
        return {
            "name": feed.full_name,
            "uri": feed_uri(feed),
            "description": feed.definition.description,
            "arguments": sorted(feed.argument_names),
            "open": [_instance_state(instance) for instance in self._instances(feed)],
        }


def _instance_state(instance: FeedInstance) -> dict[str, Any]:
    buffer, keeper = instance.live.buffer, instance.keeper
    return {
        "arguments": instance.arguments,
        "state": instance.live.describe_state(),
        "events": len(buffer),
        "bytes": buffer.bytes,
        "evicted": buffer.evicted,
        "invalid": keeper.invalid,
        "duplicates": keeper.duplicates,
        "cursor": str(buffer.end),
        "readers": instance.reading,
        "reconnects": keeper.reconnects,
    }


def feed_uri(feed: CompiledFeed, arguments: Mapping[str, Any] | None = None) -> str:
    """Return the URI of a feed with these arguments: texts as they are, other values as JSON."""
    uri = f"{FEEDS_URI}/{quote(feed.manual, safe='')}/{quote(feed.definition.name, safe='')}"
    texts = {
        key: each if isinstance(each, str) else json.dumps(each) for key, each in sorted((arguments or {}).items())
    }
    return f"{uri}?{urlencode(texts, quote_via=quote)}" if texts else uri


def _resource(feed: CompiledFeed, arguments: Mapping[str, Any]) -> dict[str, Any]:
    shown = ", ".join(f"{key} = {value}" for key, value in sorted(arguments.items()))
    return {
        "name": feed.full_name,
        "title": f"Feed {feed.full_name} ({shown})" if shown else f"Feed {feed.full_name}",
        "description": _description(feed),
        "mimeType": JSON_MEDIA_TYPE,
    }


def _template(feed: CompiledFeed, required: list[str]) -> dict[str, Any]:
    names = [*sorted(feed.argument_names, key=lambda name: (name not in required, name)), *PAGE_PARAMETERS]
    needed = f" Required: {', '.join(required)}." if required else ""
    return {
        "uriTemplate": f"{feed_uri(feed)}{{?{','.join(map(_variable_name, names))}}}",
        "name": feed.full_name,
        "title": f"Feed {feed.full_name}",
        "description": f"{_description(feed)} The newest events, or those after a cursor.{needed}",
        "mimeType": JSON_MEDIA_TYPE,
    }


def _description(feed: CompiledFeed) -> str:
    text = feed.definition.description.strip() or f"Events of the feed {feed.definition.name} of {feed.manual}"
    return end_sentence(text)


def _variable_name(name: str) -> str:
    """Return a name as a variable of a URI template: other characters are percent-encoded (RFC 6570 §2.3)."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)


def _required_arguments(tool: CompiledTool) -> list[str]:
    required = tool.inputs.get("required")
    return sorted(map(str, required)) if isinstance(required, list) else []


def _feed(tool: CompiledTool) -> CompiledFeed:
    assert tool.feed is not None
    return tool.feed.feed
