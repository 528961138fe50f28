"""MCP resources: the status of the endpoints (`utcp-ws://endpoints`, `/NAME` for one), and the guide for manifests."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from ..bridge import Bridge
from ..core.codecs.message import to_json_safe
from ..errors import MissingVariable
from ..manifest.entries import ManifestEntry
from ..observability.redaction import redact_strings

FEEDS_URI: Final = "utcp-ws://feeds"
ENDPOINTS_URI: Final = "utcp-ws://endpoints"
GUIDE_URI: Final = "utcp-ws://manifest-guide"
JSON_MEDIA_TYPE: Final = "application/json"
MARKDOWN_MEDIA_TYPE: Final = "text/markdown"
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
    {
        "uriTemplate": f"{FEEDS_URI}/{{manual}}/{{feed}}{{?cursor}}",
        "name": "feed",
        "title": "One feed",
        "description": "The newest events of a feed, or those after a cursor; its arguments are further parameters.",
        "mimeType": JSON_MEDIA_TYPE,
    },
)


class EndpointResources:
    """The resources of an open bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def read(self, uri: str) -> str | None:
        """Return the text of a resource, in the media type of `media_type`, or None if there is no such resource."""
        if uri == GUIDE_URI:
            from .documentation import read_guide  # few sessions read it

            return read_guide()
        content = self._content(uri)
        if content is None:
            return None
        safe = redact_strings(to_json_safe(content), self._bridge.redactor.guard)
        return json.dumps(safe, indent=2, ensure_ascii=False)

    def _content(self, uri: str) -> Any:
        if uri == FEEDS_URI or uri.startswith(f"{FEEDS_URI}/"):
            from .feed_resources import FeedResources  # few sessions read them

            return FeedResources(self._bridge).read(uri)
        states = self._states()
        if uri == ENDPOINTS_URI:
            return states
        return next((state for state in states if uri == f"{ENDPOINTS_URI}/{state['name']}"), None)

    def _states(self) -> list[dict[str, Any]]:
        """Return an object for each call template, in the order of the manifests."""
        running = [self._state(entry) for entry in self._bridge.entries]
        disabled = [
            {"name": each.name, "state": "disabled", "problem": str(MissingVariable(each.missing, each.name))}
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
            "problem": str(error) if error else None,
        }


def unknown_resource(uri: str) -> tuple[str, dict[str, str]]:
    """Return the message and the data of the error for a URI that no resource has."""
    shown = to_json_safe(uri)[:200]
    return f"there is no resource {shown!r}; {ENDPOINTS_URI} lists the endpoints", {"uri": shown}


def media_type(uri: str) -> str:
    """Return the media type of a resource."""
    return MARKDOWN_MEDIA_TYPE if uri == GUIDE_URI else JSON_MEDIA_TYPE


def _origin(entry: ManifestEntry) -> str | None:
    """Return scheme, host and port; None for a UTCP manual, in which each tool has its own URL."""
    found = re.match(r"wss?://[^/?#]*", entry.template.url) if entry.template else None
    return found.group() if found else None
