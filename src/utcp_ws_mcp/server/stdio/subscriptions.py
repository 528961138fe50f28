"""What a host on stdio is notified of: `resources/subscribe` of the handshake revisions, and `subscriptions/listen` of
2026-07-28, which hosts send at the start, and wait for its answer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

from ...core.codecs.message import encode_json
from ..content import SERVER_INFO_META
from ..resources import EndpointResources
from ..subscriptions import ResourceListChanges, ResourceWatches, watchable
from .outbound import RequestId, StdioOutbound

SUBSCRIPTION_ID_KEY: Final = "io.modelcontextprotocol/subscriptionId"
MAX_SUBSCRIPTIONS: Final = 1024
"""Subscriptions that are open at once."""

TOOLS_CHANGED: Final = "notifications/tools/list_changed"
RESOURCES_CHANGED: Final = "notifications/resources/list_changed"
RESOURCE_UPDATED: Final = "notifications/resources/updated"
_FLAGS: Final = {"toolsListChanged": TOOLS_CHANGED, "resourcesListChanged": RESOURCES_CHANGED}
_KNOWN_FLAGS: Final = (*_FLAGS, "promptsListChanged")
_URIS: Final = "resourceSubscriptions"
_SESSION: Final = object()
"""The subscriber of `resources/subscribe`, which belongs to the session."""

JsonObject = dict[str, Any]


class Subscriptions:
    """What the host wants to know: the notifications of each open subscription, by the id of its request.

    Attributes:
        is_session: Whether the host has opened a session of a handshake revision, whose notifications have no id.
    """

    def __init__(self, outbound: StdioOutbound, resources: EndpointResources) -> None:
        self.is_session = False
        self._listed: set[str] = set()
        self._outbound = outbound
        self._open: dict[RequestId, set[str]] = {}
        self._held: list[str] | None = None
        self._watches = ResourceWatches(resources, self._announce)
        self._list_changes = ResourceListChanges(resources, lambda: self.list_changed(RESOURCES_CHANGED))

    def try_open(self, request_id: RequestId, wanted: Any) -> bool:
        """Acknowledge a subscription, and keep it open; return False if it must be left to the SDK's server."""
        if not _is_filter(wanted) or len(self._open) >= MAX_SUBSCRIPTIONS or request_id in self._open:
            return False
        honored: JsonObject = {key: True for key in _FLAGS if wanted.get(key)}
        self._open[request_id] = methods = {method for key, method in _FLAGS.items() if key in honored}
        if RESOURCES_CHANGED in methods:
            self.note_listed(RESOURCES_CHANGED)
        # A resource may change by being watched, and nothing may precede the acknowledgement.
        held: list[str] = []
        self._held = held
        if uris := watchable(self._watches, wanted.get(_URIS) or (), request_id):
            honored[_URIS] = uris
        self._held = None
        self._notify("notifications/subscriptions/acknowledged", request_id, {"notifications": honored})
        for line in held:
            self._send(line)
        return True

    def cancel(self, request_id: RequestId) -> bool:
        """End a subscription, which is not answered then; return whether there was one."""
        self._watches.remove_subscriber(request_id)
        return self._open.pop(request_id, None) is not None

    def subscribe(self, uri: str) -> None:
        """Tell the session of the changes of a resource.

        Raises:
            ResourceNotWatched: if they are not announced.
        """
        self._watches.add(uri, _SESSION)

    def unsubscribe(self, uri: str) -> bool:
        """End a subscription of the session; return whether there was one."""
        return self._watches.remove(uri, _SESSION)

    def note_listed(self, method: str) -> None:
        """Note that the host has the list whose changes a notification announces."""
        self._listed.add(method)
        if method == RESOURCES_CHANGED:
            self._list_changes.note_listed()

    def list_changed(self, method: str) -> None:
        """Notify the host that a list has changed, unless it has none yet: the first one will have the change."""
        if method not in self._listed:
            return
        if self.is_session:
            self._send(encode_json({"jsonrpc": "2.0", "method": method}))
        for request_id, methods in self._open.items():
            if method in methods:
                self._notify(method, request_id, {})

    def manifests_changed(self) -> None:
        """Watch the feeds of the new manifests."""
        self._watches.renew()

    def close(self) -> None:
        """Answer the requests of all subscriptions: they end because the session ends."""
        self._watches.close()
        for request_id in list(self._open):
            result = {"resultType": "complete", "_meta": {SUBSCRIPTION_ID_KEY: request_id, **SERVER_INFO_META}}
            self._outbound.respond(request_id, (encode_json({"jsonrpc": "2.0", "id": request_id, "result": result}),))
        self._open.clear()

    def _announce(self, uri: str, subscribers: Iterable[Hashable]) -> None:
        for each in subscribers:
            if each is _SESSION:
                self._send(encode_json({"jsonrpc": "2.0", "method": RESOURCE_UPDATED, "params": {"uri": uri}}))
            else:
                self._notify(RESOURCE_UPDATED, each, {"uri": uri})

    def _notify(self, method: str, request_id: Any, params: JsonObject) -> None:
        params = {**params, "_meta": {SUBSCRIPTION_ID_KEY: request_id}}
        self._send(encode_json({"jsonrpc": "2.0", "method": method, "params": params}))

    def _send(self, line: str) -> None:
        if self._held is None:
            self._outbound.send(line)
        else:
            self._held.append(line)


def _is_filter(value: Any) -> bool:
    """Return whether a value is a filter of notifications as the schema of the revision has it."""
    if not isinstance(value, dict) or any(not isinstance(value.get(flag), bool | None) for flag in _KNOWN_FLAGS):
        return False
    uris = value.get(_URIS)
    return uris is None or (isinstance(uris, list) and all(isinstance(uri, str) for uri in uris))
