"""`subscriptions/listen` of 2026-07-28 without the MCP SDK: hosts send it at the start, and wait for its answer."""

from __future__ import annotations

from typing import Any, Final

from ...core.codecs.message import encode_json
from ..content import SERVER_INFO_META
from .outbound import RequestId, StdioOutbound

SUBSCRIPTION_ID_KEY: Final = "io.modelcontextprotocol/subscriptionId"
MAX_SUBSCRIPTIONS: Final = 1024
"""Subscriptions that are open at once."""

_FLAGS: Final = ("toolsListChanged", "promptsListChanged", "resourcesListChanged")
_URIS: Final = "resourceSubscriptions"
JsonObject = dict[str, Any]


class Subscriptions:
    """The open subscriptions of a host, by the id of their request: whether they want to know of changed tools."""

    def __init__(self, outbound: StdioOutbound) -> None:
        self._outbound = outbound
        self._open: dict[RequestId, bool] = {}

    def try_open(self, request_id: RequestId, wanted: Any) -> bool:
        """Acknowledge a subscription, and keep it open; return False if it must be left to the SDK's server."""
        if not _is_filter(wanted) or len(self._open) >= MAX_SUBSCRIPTIONS or request_id in self._open:
            return False
        honored = {key: wanted[key] for key in (*_FLAGS, _URIS) if wanted.get(key)}
        self._notify("notifications/subscriptions/acknowledged", request_id, {"notifications": honored})
        self._open[request_id] = "toolsListChanged" in honored
        return True

    def cancel(self, request_id: RequestId) -> bool:
        """End a subscription, which is not answered then; return whether there was one."""
        return self._open.pop(request_id, None) is not None

    def tools_changed(self) -> None:
        """Tell the subscribers that the list of tools has changed."""
        for request_id, wants_tools in self._open.items():
            if wants_tools:
                self._notify("notifications/tools/list_changed", request_id, {})

    def close(self) -> None:
        """Answer the requests of all subscriptions: they end because the session ends."""
        for request_id in list(self._open):
            result = {"resultType": "complete", "_meta": {SUBSCRIPTION_ID_KEY: request_id, **SERVER_INFO_META}}
            self._outbound.respond(request_id, (encode_json({"jsonrpc": "2.0", "id": request_id, "result": result}),))
        self._open.clear()

    def _notify(self, method: str, request_id: RequestId, params: JsonObject) -> None:
        params = {**params, "_meta": {SUBSCRIPTION_ID_KEY: request_id}}
        self._outbound.send(encode_json({"jsonrpc": "2.0", "method": method, "params": params}))


def _is_filter(value: Any) -> bool:
    """Return whether a value is a filter of notifications as the schema of the revision has it."""
    if not isinstance(value, dict) or any(not isinstance(value.get(flag), bool | None) for flag in _FLAGS):
        return False
    uris = value.get(_URIS)
    return uris is None or (isinstance(uris, list) and all(isinstance(uri, str) for uri in uris))
