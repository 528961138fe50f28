"""MCP resources: the status of the endpoints (`utcp-ws://endpoints`, `/NAME` for one), and the guide for manifests."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from ..bridge import Bridge
from ..core.codecs.message import to_json_safe
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError
from ..manifest.entries import ManifestEntry
from ..observability.redaction import redact_strings

if TYPE_CHECKING:
    from .feed_resources import FeedResources

FEEDS_URI: Final = "utcp-ws://feeds"
ENDPOINTS_URI: Final = "utcp-ws://endpoints"
GUIDE_URI: Final = "utcp-ws://manifest-guide"
JSON_MEDIA_TYPE: Final = "application/json"
MARKDOWN_MEDIA_TYPE: Final = "text/markdown"
MAX_SHOWN_URI: Final = 200
"""Characters of an unknown URI in the error about it."""
RESOURCES: Final = (
    {
        "uri": ENDPOINTS_URI,
        "name": "endpoints",
        "title": "WebSocket endpoints",
        "description": "State, connections, tools and last problem of each endpoint.",
        "mimeType": JSON_MEDIA_TYPE,
    },
    {
        "uri": FEEDS_URI,
        "name": "feeds",
        "title": "Feeds",
        "description": "Arguments, state and number of events of each feed.",
        "mimeType": JSON_MEDIA_TYPE,
    },
    {
        "uri": GUIDE_URI,
        "name": "manifest-guide",
        "title": "How to write a manifest",
        "description": "The guide for writing manifests of utcp-ws-mcp, for language models.",
        "mimeType": MARKDOWN_MEDIA_TYPE,
    },
)
RESOURCE_TEMPLATES: Final = (
    {
        "uriTemplate": f"{ENDPOINTS_URI}/{{name}}",
        "name": "endpoint",
        "title": "One WebSocket endpoint",
        "description": "The same for one call template.",
        "mimeType": JSON_MEDIA_TYPE,
    },
)


MayUse = Callable[[CompiledTool], bool]
"""Returns whether a caller may use a tool."""


class ResourceNotWatched(Exception):
    """The changes of a resource are not announced. `data` is for the error of MCP."""

    def __init__(self, message: str, uri: str) -> None:
        super().__init__(message)
        self.message = message
        self.data = {"uri": to_json_safe(uri)[:MAX_SHOWN_URI]}


def everything(_: CompiledTool) -> bool:
    """Allow all tools: the caller has no identity."""
    return True


class EndpointResources:
    """The resources of an open bridge. Those of feeds are there for callers who may use the tool NAME_events."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def read(self, uri: str, may_use: MayUse = everything) -> str | None:
        """Return the text of a resource, in the media type of `media_type`, or None if there is no such resource."""
        if uri == GUIDE_URI:
            from .documentation import read_guide  # few sessions read it

            return read_guide()
        content = self._content(uri, may_use)
        if content is None:
            return None
        safe = redact_strings(to_json_safe(content), self._bridge.redactor.guard)
        return json.dumps(safe, indent=2, ensure_ascii=False)

    def listed(self, may_use: MayUse = everything) -> list[Mapping[str, Any]]:
        """Return the resources as `resources/list` has them."""
        return [*RESOURCES, *(self._feeds.listed(may_use) if self._has_feeds else ())]

    def templates(self, may_use: MayUse = everything) -> list[Mapping[str, Any]]:
        """Return the templates as `resources/templates/list` has them."""
        return [*RESOURCE_TEMPLATES, *(self._feeds.templates(may_use) if self._has_feeds else ())]

    def is_visible(self, uri: str, may_use: MayUse) -> bool:
        """Return whether a resource is there for a caller."""
        return not uri.startswith(f"{FEEDS_URI}/") or self._feeds.is_visible(uri, may_use)

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call a function when the list of resources, or `utcp-ws://feeds`, may have changed; return what ends it."""
        callback = partial(callback)  # an object of its own, to find it again
        lists = (self._bridge.on_tools_changed, self._bridge.on_feeds_changed)
        for each in lists:
            each.append(callback)

        def end() -> None:
            for each in lists:
                each.remove(callback)

        return end

    def watch(self, uri: str, on_change: Callable[[], None]) -> Callable[[], None]:
        """Call a function with each change of a resource, until the returned one is called.

        Raises:
            ResourceNotWatched: if there is no such resource, or its changes are not announced.
        """
        if uri == FEEDS_URI:
            return self.on_change(on_change)
        if uri == GUIDE_URI or self._endpoint_content(uri) is not None:
            message = (
                f"the changes of {uri} are not announced. Read it again; those of {FEEDS_URI}/… can be subscribed."
            )
            raise ResourceNotWatched(message, uri)
        try:
            end = self._feeds.watch(uri, on_change) if uri.startswith(f"{FEEDS_URI}/") else None
        except BridgeError as error:
            raise ResourceNotWatched(str(error), uri) from None
        if end is None:
            raise ResourceNotWatched(unknown_resource(uri)[0], uri)
        return end

    @cached_property
    def _feeds(self) -> FeedResources:
        from .feed_resources import FeedResources  # few sessions read them

        return FeedResources(self._bridge)

    @property
    def _has_feeds(self) -> bool:
        return any(entry.template is not None and entry.template.feeds for entry in self._bridge.entries)

    def _content(self, uri: str, may_use: MayUse) -> Any:
        if uri == FEEDS_URI or uri.startswith(f"{FEEDS_URI}/"):
            return self._feeds.read(uri, may_use)
        return self._endpoint_content(uri)

    def _endpoint_content(self, uri: str) -> Any:
        states = self._states()
        if uri == ENDPOINTS_URI:
            return states
        return next((state for state in states if uri == f"{ENDPOINTS_URI}/{state['name']}"), None)

    def _states(self) -> list[dict[str, Any]]:
        """Return an object for each call template, in the order of the manifests."""
        running = [self._state(entry) for entry in self._bridge.entries]
        disabled = [
            {"name": each.name, "state": "disabled", "problem": str(each.error())}
            for each in self._bridge.disabled_entries
        ]
        return [*running, *disabled]

    def _state(self, entry: ManifestEntry) -> dict[str, Any]:
        bridge, stats = self._bridge, self._bridge.stats(entry.name)
        error = stats.last_error or bridge.discovery_errors.get(entry.name)
        prefix = f"{entry.name}."
        return {
            "name": entry.name,
            "origin": _origin(entry),
            "state": "failing" if error else "connected" if stats.connections else "idle",
            "connections": stats.connections,
            "waiting": stats.waiting,
            "tools": sum(tool.manual == entry.name for tool in bridge.tools.values()),
            "withheld": [name for name in bridge.withheld if name.startswith(prefix)],
            "feeds": self._feed_states(entry.name),
            "problem": str(error) if error else None,
            **({"shared": bridge.fleet.describe()} if bridge.fleet is not None else {}),
        }

    def _feed_states(self, manual: str) -> dict[str, int]:
        """Return how many sets of arguments of the feeds of a manual are in each state."""
        feeds = (each for each in self._bridge.feed_instances() if each.feed.manual == manual)
        return dict(Counter(each.live.state.value for each in feeds))


def unknown_resource(uri: str) -> tuple[str, dict[str, str]]:
    """Return the message and the data of the error for a URI that no resource has."""
    shown = to_json_safe(uri)[:MAX_SHOWN_URI]
    message = f"there is no resource {shown!r}; {ENDPOINTS_URI} lists the endpoints, {FEEDS_URI} the feeds"
    return message, {"uri": shown}


def media_type(uri: str) -> str:
    """Return the media type of a resource."""
    return MARKDOWN_MEDIA_TYPE if uri == GUIDE_URI else JSON_MEDIA_TYPE


def _origin(entry: ManifestEntry) -> str | None:
    """Return scheme, host and port; None for a UTCP manual, in which each tool has its own URL."""
    found = re.match(r"wss?://[^/?#]*", entry.template.url) if entry.template else None
    return found.group() if found else None
