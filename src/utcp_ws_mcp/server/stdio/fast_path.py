"""The usual requests of hosts, answered without the MCP SDK, whose import takes as long as the rest of the start.

Only well-formed requests with known parameters are answered here, everything else is left to the SDK's server. Both
give the same answers. Measure again with each release of the SDK (`python -m benchmarks.start`), and delete this module
if its import becomes cheap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from itertools import chain
from typing import Any, Final

from ...core.codecs.message import encode_json
from ..content import SERVER_INFO
from ..progress import ProgressCallback
from ..tools import INSTRUCTIONS, INTERNAL_ERROR_MESSAGE, LIST_TTL, ToolService
from .outbound import StdioOutbound
from .protocol_state import ProtocolState
from .protocol_versions import HANDSHAKE, INTERNAL_ERROR, INVALID_PARAMS, MODERN, SERVER_INFO_KEY

CAPABILITIES: Final = {"tools": {"listChanged": True}, "resources": {"listChanged": False, "subscribe": False}}
LIST_CHANGED: Final = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
_SERVER_INFO_META: Final = {SERVER_INFO_KEY: SERVER_INFO}
_LIST_RESULT_SUFFIX: Final = (
    f',"ttlMs":{LIST_TTL},"cacheScope":"private","resultType":"complete","_meta":{encode_json(_SERVER_INFO_META)}}}'
)
_DISCOVER_RESULT: Final = encode_json(
    {
        "supportedVersions": MODERN,
        "capabilities": CAPABILITIES,
        "instructions": INSTRUCTIONS,
        "ttlMs": 0,
        "cacheScope": "private",
        "resultType": "complete",
        "_meta": _SERVER_INFO_META,
    }
)
JsonObject = dict[str, Any]
logger = logging.getLogger(__name__)


class FastPath:
    """Answers the usual requests of one host. `state` is shared with the session."""

    def __init__(self, tools: ToolService, outbound: StdioOutbound, state: ProtocolState) -> None:
        self._state = state
        self._tools = tools
        self._outbound = outbound
        self._is_initialized = False
        self._tasks: dict[Any, asyncio.Task[None]] = {}
        self._handlers: dict[str, Callable[[Any, JsonObject], bool]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
        }
        tools.on_tools_changed.append(self._on_tools_changed)

    def try_handle(self, message: JsonObject) -> bool:
        """Answer a message; return False if it must be left to the SDK's server."""
        method, params = message.get("method"), message.get("params", {})
        if message.get("jsonrpc") != "2.0" or not isinstance(method, str) or not isinstance(params, dict):
            return False
        if "id" not in message:
            return self._handle_notification(method, params)
        request_id = message["id"]
        handle = self._handlers.get(method)
        if handle is None or isinstance(request_id, bool) or not isinstance(request_id, int | str):
            return False
        return handle(request_id, params)

    async def aclose(self) -> None:
        """Cancel the requests that are running."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _initialize(self, request_id: Any, params: JsonObject) -> bool:
        version, client = params.get("protocolVersion"), params.get("clientInfo")
        named = isinstance(client, dict) and all(isinstance(client.get(key), str) for key in ("name", "version"))
        if not self._state.is_undecided or not named or not isinstance(version, str):
            return False
        if not isinstance(params.get("capabilities"), dict):
            return False
        self._state.start_handshake()
        result = {
            "protocolVersion": version if version in HANDSHAKE else HANDSHAKE[-1],
            "capabilities": CAPABILITIES,
            "serverInfo": SERVER_INFO,
            "instructions": INSTRUCTIONS,
        }
        self._respond(request_id, (encode_json(result),))
        return True

    def _discover(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_supported(params, {"_meta"}) or not self._state.is_modern:
            return False
        self._respond(request_id, (_DISCOVER_RESULT,))
        return True

    def _ping(self, request_id: Any, params: JsonObject) -> bool:
        if not self._state.is_handshake or not self._is_supported(params, {"_meta"}):
            return False
        self._respond(request_id, ("{}",))
        return True

    def _list_tools(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_supported(params, {"_meta", "cursor"}):
            return False
        self._start_task(request_id, self._send_tool_list(request_id))
        return True

    def _call_tool(self, request_id: Any, params: JsonObject) -> bool:
        arguments = params.get("arguments")
        if not isinstance(params.get("name"), str) or not (arguments is None or isinstance(arguments, dict)):
            return False
        if not self._is_supported(params, {"_meta", "name", "arguments"}):
            return False
        self._start_task(request_id, self._run_tool_call(request_id, params))
        return True

    def _is_supported(self, params: JsonObject, known: set[str]) -> bool:
        """Return whether all parameters are known and fit the era, which the first request decides."""
        return params.keys() <= known and _has_supported_meta(params) and self._state.accepts(params)

    def _handle_notification(self, method: str, params: JsonObject) -> bool:
        if method == "notifications/initialized":
            self._is_initialized = True
            return self._state.is_handshake
        if method == "notifications/cancelled":
            task = self._tasks.get(_request_key(params.get("requestId")))
            if task is not None:
                task.cancel()
            return task is not None
        return False

    async def _send_tool_list(self, request_id: Any) -> None:
        listing = await self._tools.list_tools()
        if self._state.is_modern:
            self._respond(request_id, ('{"tools":', listing.modern, _LIST_RESULT_SUFFIX))
        else:
            self._respond(request_id, ('{"tools":', listing.handshake, "}"))

    async def _run_tool_call(self, request_id: Any, params: JsonObject) -> None:
        tool = await self._tools.find(params["name"])
        if tool is None:
            self._respond_error(request_id, INVALID_PARAMS, self._tools.unknown_tool_message(params["name"]))
            return
        result = await self._tools.call(tool, params.get("arguments"), self._progress_callback(params))
        # Results wait for a slow host here, before they are encoded: at most one per call is in memory.
        await self._outbound.drain()
        self._respond(request_id, result.json_chunks(modern=self._state.is_modern))

    def _progress_callback(self, params: JsonObject) -> ProgressCallback:
        """Return the function that sends the progress of a call, if the host requested progress."""
        token = params.get("_meta", {}).get("progressToken")

        async def report(number: float, message: str) -> None:
            if token is not None:
                progress = {"progressToken": token, "progress": number, "message": message}
                self._outbound.send(
                    f'{{"jsonrpc":"2.0","method":"notifications/progress","params":{encode_json(progress)}}}'
                )
                await self._outbound.drain()

        return report

    def _respond(self, request_id: Any, result: Iterable[str]) -> None:
        head = f'{{"jsonrpc":"2.0","id":{encode_json(request_id)},"result":'
        self._outbound.respond(request_id, chain((head,), result, ("}",)))

    def _respond_error(self, request_id: Any, code: int, message: str) -> None:
        error = encode_json({"code": code, "message": message})
        self._outbound.respond(request_id, (f'{{"jsonrpc":"2.0","id":{encode_json(request_id)},"error":{error}}}',))

    def _start_task(self, request_id: Any, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[request_id] = task
        task.add_done_callback(lambda done: self._on_task_done(request_id, done))

    def _on_task_done(self, request_id: Any, task: asyncio.Task[None]) -> None:
        if self._tasks.get(request_id) is task:
            del self._tasks[request_id]
        if not task.cancelled() and (failed := task.exception()) is not None:
            logger.error("internal error in a request", exc_info=failed)
            self._respond_error(request_id, INTERNAL_ERROR, INTERNAL_ERROR_MESSAGE)

    def _on_tools_changed(self) -> None:
        if self._is_initialized and self._state.is_handshake:
            self._outbound.send(LIST_CHANGED)


def _has_supported_meta(params: JsonObject) -> bool:
    meta = params.get("_meta", {})
    if not isinstance(meta, dict):
        return False
    token = meta.get("progressToken")
    return token is None or (isinstance(token, int | str) and not isinstance(token, bool))


def _request_key(request_id: Any) -> Any:
    """Return the id under which a request is stored; None for a value that is no id, and may not be hashable."""
    return request_id if isinstance(request_id, int | str) else None
