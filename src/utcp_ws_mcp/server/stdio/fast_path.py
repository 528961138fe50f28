"""The requests that hosts make all the time, answered without the SDK: it takes as long to import as all else together.

What is answered here is well-formed and usual; everything else is left to the SDK's server. Both give the same answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from itertools import chain
from typing import Any, Final

from ...core.codecs.message import encode_json
from ..progress import ProgressCallback
from ..result import SERVER_INFO
from ..tools import INSTRUCTIONS, LIST_TTL, ToolService, unknown_tool_message
from .outbound import StdioOutbound
from .protocol_versions import (
    HANDSHAKE,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MODERN,
    SERVER_INFO_KEY,
    has_envelope,
    is_modern,
)

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
    """One host's usual requests. `is_modern` is the era of the session, decided by its first request; None before."""

    def __init__(self, tools: ToolService, outbound: StdioOutbound) -> None:
        self.is_modern: bool | None = None
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
        """Answer a message, or say that it is none of those that are answered here."""
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
        """Cancel what is running."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _initialize(self, request_id: Any, params: JsonObject) -> bool:
        version, client = params.get("protocolVersion"), params.get("clientInfo")
        named = isinstance(client, dict) and all(isinstance(client.get(key), str) for key in ("name", "version"))
        if self.is_modern is not None or not named or not isinstance(version, str):
            return False
        if not isinstance(params.get("capabilities"), dict):
            return False
        self.is_modern = False
        result = {
            "protocolVersion": version if version in HANDSHAKE else HANDSHAKE[-1],
            "capabilities": CAPABILITIES,
            "serverInfo": SERVER_INFO,
            "instructions": INSTRUCTIONS,
        }
        self._respond(request_id, (encode_json(result),))
        return True

    def _discover(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_supported(params, {"_meta"}) or not self.is_modern:
            return False
        self._respond(request_id, (_DISCOVER_RESULT,))
        return True

    def _ping(self, request_id: Any, params: JsonObject) -> bool:
        if self.is_modern is not False or not self._is_supported(params, {"_meta"}):
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
        """Whether these parameters hold nothing unknown, and fit the era, which the first request decides."""
        if not params.keys() <= known or not _has_supported_meta(params):
            return False
        if self.is_modern is None and is_modern(params):
            self.is_modern = True
        return self.is_modern is not None and (is_modern(params) if self.is_modern else not has_envelope(params))

    def _handle_notification(self, method: str, params: JsonObject) -> bool:
        if method == "notifications/initialized":
            self._is_initialized = True
            return self.is_modern is False
        if method == "notifications/cancelled":
            task = self._tasks.get(_request_key(params.get("requestId")))
            if task is not None:
                task.cancel()
            return task is not None
        return False

    async def _send_tool_list(self, request_id: Any) -> None:
        offered = await self._tools.list_tools()
        if self.is_modern:
            self._respond(request_id, ('{"tools":', offered.modern, _LIST_RESULT_SUFFIX))
        else:
            self._respond(request_id, ('{"tools":', offered.handshake, "}"))

    async def _run_tool_call(self, request_id: Any, params: JsonObject) -> None:
        plan = await self._tools.find(params["name"])
        if plan is None:
            self._respond_error(request_id, INVALID_PARAMS, unknown_tool_message(params["name"]))
            return
        result = await self._tools.call(plan, params.get("arguments"), self._progress_callback(params))
        await self._outbound.drain()
        self._respond(request_id, result.json_chunks(modern=bool(self.is_modern)))

    def _progress_callback(self, params: JsonObject) -> ProgressCallback:
        """What sends the progress of a call to a host that asked for it."""
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
            logger.error("a defect of utcp-ws-mcp while a request was answered", exc_info=failed)
            self._respond_error(
                request_id, INTERNAL_ERROR, "internal error of utcp-ws-mcp; its log on stderr says more"
            )

    def _on_tools_changed(self) -> None:
        if self._is_initialized and self.is_modern is False:
            self._outbound.send(LIST_CHANGED)


def _has_supported_meta(params: JsonObject) -> bool:
    meta = params.get("_meta", {})
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    usual = token is None or (isinstance(token, int | str) and not isinstance(token, bool))
    return isinstance(meta, dict) and usual


def _request_key(request_id: Any) -> Any:
    """What a request is found by; nothing unhashable."""
    return request_id if isinstance(request_id, int | str) else None
