"""Resources that show how it stands with each endpoint: `utcp-ws://endpoints`, and `/NAME` behind it for one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from ..bridge import Bridge
from ..core.codecs.message import to_json_safe
from ..errors import MissingVariable
from ..manifest.loader import ManifestEntry

ENDPOINTS_URI: Final = "utcp-ws://endpoints"
JSON_MEDIA_TYPE: Final = "application/json"
RESOURCES: Final = (
    {
        "uri": ENDPOINTS_URI,
        "name": "endpoints",
        "title": "WebSocket endpoints",
        "description": "State, connections, tools and last problem of each endpoint.",
        "mimeType": JSON_MEDIA_TYPE,
    },
)
RESOURCE_TEMPLATES: Final = (
    {
        "uriTemplate": f"{ENDPOINTS_URI}/{{name}}",
        "name": "endpoint",
        "title": "One WebSocket endpoint",
        "description": "The same for the call template of this name.",
        "mimeType": JSON_MEDIA_TYPE,
    },
)


class EndpointResources:
    """The states of an open bridge's endpoints. `redact` takes secrets out of a text."""

    def __init__(self, bridge: Bridge, redact: Callable[[str], str] = str) -> None:
        self._bridge = bridge
        self._redact = redact

    def read(self, uri: str) -> str | None:
        """The JSON text of a resource, or None where there is no such one."""
        shown: Any = self._states()
        if uri != ENDPOINTS_URI:
            shown = next((state for state in shown if uri == f"{ENDPOINTS_URI}/{state['name']}"), None)
        return (
            self._redact(json.dumps(to_json_safe(shown), indent=2, ensure_ascii=False)) if shown is not None else None
        )

    def _states(self) -> list[dict[str, Any]]:
        """A record for each call template, in the order of the manifests."""
        running = [self._state(entry) for entry in self._bridge.entries]
        disabled = [
            {"name": each.name, "state": "disabled", "problem": str(MissingVariable(each.missing, each.name))}
            for each in self._bridge.disabled_entries
        ]
        return [*running, *disabled]

    def _state(self, entry: ManifestEntry) -> dict[str, Any]:
        bridge, standing = self._bridge, self._bridge.stats(entry.name)
        failure = standing.last_error or bridge.discovery_errors.get(entry.name)
        prefix = f"{entry.name}."
        return {
            "name": entry.name,
            "origin": _origin(entry),
            "state": "failing" if failure else "connected" if standing.connections else "idle",
            "connections": standing.connections,
            "waiting": standing.waiting,
            "tools": sum(plan.manual == entry.name for plan in bridge.tools.values()),
            "withheld": [name for name in bridge.withheld if name.startswith(prefix)],
            "problem": str(failure) if failure else None,
        }


def _origin(entry: ManifestEntry) -> str | None:
    """Scheme, host and port; None for a UTCP manual, where each tool brings its own URL."""
    found = re.match(r"wss?://[^/?#]*", entry.template.url) if entry.template else None
    return found.group() if found else None
