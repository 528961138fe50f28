"""The usual requests of hosts, answered without the MCP SDK, whose import takes as long as the rest of the start.

Only well-formed requests with known parameters are answered here, everything else is left to the SDK's server. Both
give the same answers. Measure again with each release of the SDK (`python -m benchmarks.start`), and delete this module
if its import becomes cheap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from itertools import chain
from typing import Any, Final

from ...client.eager import EagerTask
from ...core.codecs.message import encode_json
from ...core.tools.tool import CompiledTool
from ..content import ICON, SERVER_INFO, SERVER_INFO_META
from ..progress import ProgressCallback
from ..resources import ResourceNotWatched, media_type, unknown_resource
from ..tools import (
    INSTRUCTIONS,
    INTERNAL_ERROR_MESSAGE,
    INVALID_CURSOR_MESSAGE,
    LIST_TTL,
    ToolService,
)
from .outbound import StdioOutbound
from .protocol_state import ProtocolState
from .protocol_versions import HANDSHAKE, INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, MODERN
from .subscriptions import RESOURCES_CHANGED, TOOLS_CHANGED, Subscriptions

JsonObject = dict[str, Any]
Work = Callable[[Any, JsonObject], Coroutine[Any, Any, None]]
"""Answers a request, given its id and its parameters."""

CAPABILITIES: Final = {"tools": {"listChanged": True}, "resources": {"listChanged": True, "subscribe": True}}
_DISCOVERY: Final = {"supportedVersions": MODERN, "capabilities": CAPABILITIES, "instructions": INSTRUCTIONS}
_PROGRESS: Final = '{"jsonrpc":"2.0","method":"notifications/progress","params":{'
logger = logging.getLogger(__name__)


class FastPath:
    """Answers the usual requests of one host. `state` is shared with the session."""

    def __init__(self, tools: ToolService, outbound: StdioOutbound, state: ProtocolState) -> None:
        self._state = state
        self._tools = tools
        self._outbound = outbound
        self._subscriptions = Subscriptions(outbound, tools.resources)
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[Any, EagerTask] = {}
        self._handlers: dict[str, Callable[[Any, JsonObject], bool]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_resource_templates,
            "resources/read": self._read_resource,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
            "prompts/list": self._list_prompts,
            "subscriptions/listen": self._listen,
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
        """End the subscriptions, and cancel the requests that are running."""
        self._subscriptions.close()
        running = list(self._tasks.values())
        for each in running:
            each.cancel()
        await asyncio.gather(*(each.task for each in running if each.task is not None), return_exceptions=True)

    def _initialize(self, request_id: Any, params: JsonObject) -> bool:
        version, client = params.get("protocolVersion"), params.get("clientInfo")
        named = isinstance(client, dict) and all(isinstance(client.get(key), str) for key in ("name", "version"))
        if not self._state.is_undecided or not named or not isinstance(version, str):
            return False
        if not isinstance(params.get("capabilities"), dict):
            return False
        revision = version if version in HANDSHAKE else HANDSHAKE[-1]
        self._state.start_handshake(revision)
        result = {
            "protocolVersion": revision,
            "capabilities": CAPABILITIES,
            "serverInfo": {**SERVER_INFO, "icons": [ICON]},
            "instructions": INSTRUCTIONS,
        }
        self._respond(request_id, (encode_json(result),))
        return True

    def _discover(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_supported(params, {"_meta"}) or not self._state.is_modern:
            return False
        self._respond(request_id, ("{", _result_fields(_DISCOVERY), _modern_suffix(0)))
        return True

    def _ping(self, request_id: Any, params: JsonObject) -> bool:
        if not self._state.is_handshake or not self._is_supported(params, {"_meta"}):
            return False
        self._respond(request_id, ("{}",))
        return True

    def _list_tools(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_list_request(params):
            return False
        self._start_task(request_id, self._send_tool_list, params)
        return True

    def _list_resources(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_list_request(params):
            return False
        self._subscriptions.note_listed(RESOURCES_CHANGED)
        return self._respond_one_page(request_id, params, {"resources": self._tools.resources.listed()})

    def _list_resource_templates(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_list_request(params):
            return False
        return self._respond_one_page(request_id, params, {"resourceTemplates": self._tools.resources.templates()})

    def _respond_one_page(self, request_id: Any, params: JsonObject, result: JsonObject) -> bool:
        if params.get("cursor") is not None:
            self._respond_error(request_id, INVALID_PARAMS, INVALID_CURSOR_MESSAGE)
        else:
            self._respond_cacheable(request_id, (_result_fields(result),))
        return True

    def _list_prompts(self, request_id: Any, params: JsonObject) -> bool:
        """There are none, and no capability for them; some hosts ask nevertheless."""
        if not self._is_list_request(params):
            return False
        self._respond_error(request_id, METHOD_NOT_FOUND, "Method not found", "prompts/list")
        return True

    def _read_resource(self, request_id: Any, params: JsonObject) -> bool:
        uri = params.get("uri")
        if not isinstance(uri, str) or not self._is_supported(params, {"_meta", "uri"}):
            return False
        text = self._tools.resources.read(uri)
        if text is None:
            self._respond_error(request_id, INVALID_PARAMS, *unknown_resource(uri))
        else:
            contents = [{"uri": uri, "mimeType": media_type(uri), "text": text}]
            self._respond_cacheable(request_id, (_result_fields({"contents": contents}),))
        return True

    def _subscribe(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_subscription(params):
            return False
        try:
            self._subscriptions.subscribe(params["uri"])
        except ResourceNotWatched as refused:
            self._respond_error(request_id, INVALID_PARAMS, refused.message, refused.data)
        else:
            self._respond(request_id, ("{}",))
        return True

    def _unsubscribe(self, request_id: Any, params: JsonObject) -> bool:
        """The SDK's server has the subscriptions that are not known here."""
        if not self._is_subscription(params) or not self._subscriptions.unsubscribe(params["uri"]):
            return False
        self._respond(request_id, ("{}",))
        return True

    def _is_subscription(self, params: JsonObject) -> bool:
        is_known = isinstance(params.get("uri"), str) and self._is_supported(params, {"_meta", "uri"})
        return is_known and self._state.is_handshake

    def _listen(self, request_id: Any, params: JsonObject) -> bool:
        if not self._is_supported(params, {"_meta", "notifications"}) or not self._state.is_modern:
            return False
        return self._subscriptions.try_open(request_id, params.get("notifications"))

    def _call_tool(self, request_id: Any, params: JsonObject) -> bool:
        arguments = params.get("arguments")
        if not isinstance(params.get("name"), str) or not (arguments is None or isinstance(arguments, dict)):
            return False
        if not self._is_supported(params, {"_meta", "name", "arguments"}):
            return False
        tool = self._tools.find_known(params["name"])
        at_once = tool is not None and self._tools.begins_at_once(tool)
        self._start_task(request_id, partial(self._run_tool_call, tool), params, at_once=at_once)
        return True

    def _is_list_request(self, params: JsonObject) -> bool:
        return isinstance(params.get("cursor"), str | None) and self._is_supported(params, {"_meta", "cursor"})

    def _is_supported(self, params: JsonObject, known: set[str]) -> bool:
        """Return whether all parameters are known and fit the era, which the first request decides."""
        if "_meta" in params and not _is_supported_meta(params["_meta"]):
            return False
        return params.keys() <= known and self._state.accepts(params)

    def _handle_notification(self, method: str, params: JsonObject) -> bool:
        if method == "notifications/initialized":
            self._subscriptions.is_session = self._state.is_handshake
            return self._state.is_handshake
        if method == "notifications/cancelled":
            key = _request_key(params.get("requestId"))
            task = self._tasks.get(key)
            if task is not None:
                task.cancel()
                if task.task is not None:  # it may not have begun, and then forgets nothing
                    task.task.add_done_callback(lambda _: self._forget(key, task))
            return task is not None or self._subscriptions.cancel(key)
        return False

    async def _send_tool_list(self, request_id: Any, params: JsonObject) -> None:
        listing = await self._tools.list_tools()
        self._subscriptions.note_listed(TOOLS_CHANGED)
        page = listing.page(params.get("cursor"), modern=self._state.is_modern)
        if page is None:
            self._respond_error(request_id, INVALID_PARAMS, INVALID_CURSOR_MESSAGE)
            return
        tools, next_cursor = page
        following = () if next_cursor is None else (f',"nextCursor":"{next_cursor}"',)
        self._respond_cacheable(request_id, ('"tools":', tools, *following), LIST_TTL)

    async def _run_tool_call(self, tool: CompiledTool | None, request_id: Any, params: JsonObject) -> None:
        tool = tool or await self._tools.find(params["name"])
        if tool is None:
            self._respond_error(request_id, INVALID_PARAMS, self._tools.unknown_tool_message(params["name"]))
            return
        report = self._progress_callback(params["_meta"]) if "_meta" in params else None
        result = await self._tools.call(tool, params.get("arguments"), report)
        # Results wait for a slow host here, before they are encoded: at most one per call is in memory.
        await self._outbound.drain()
        modern = self._state.is_modern
        result = result.readable_in(self._state.revision)
        limit = self._tools.options.max_line_bytes
        self._respond(request_id, result.fitted_chunks(params["name"], limit, modern=modern))

    def _progress_callback(self, meta: JsonObject) -> ProgressCallback | None:
        """Return the function that sends the progress of a call; None if the host has not requested it."""
        token = meta.get("progressToken")
        if token is None:
            return None
        head = f'{_PROGRESS}"progressToken":{encode_json(token)},"progress":'

        async def report(number: float, message: str) -> None:
            self._outbound.send(f'{head}{number},"message":{encode_json(message)}}}}}')
            await self._outbound.drain()

        return report

    def _respond(self, request_id: Any, result: Iterable[str]) -> None:
        shown = request_id if type(request_id) is int else encode_json(request_id)
        head = f'{{"jsonrpc":"2.0","id":{shown},"result":'
        self._outbound.respond(request_id, chain((head,), result, ("}",)))

    def _respond_cacheable(self, request_id: Any, fields: Iterable[str], ttl: int = 0) -> None:
        """Respond with the fields of a result, given as JSON; in 2026-07-28 clients may cache it for `ttl` ms."""
        self._respond(request_id, ("{", *fields, _modern_suffix(ttl) if self._state.is_modern else "}"))

    def _respond_error(self, request_id: Any, code: int, message: str, data: Any = None) -> None:
        error = encode_json({"code": code, "message": message, **({} if data is None else {"data": data})})
        self._outbound.respond(request_id, (f'{{"jsonrpc":"2.0","id":{encode_json(request_id)},"error":{error}}}',))

    def _start_task(self, request_id: Any, work: Work, params: JsonObject, *, at_once: bool = False) -> None:
        task = self._tasks[request_id] = EagerTask(self._loop)
        task.start(self._serve(task, request_id, work, params), at_once=at_once)

    async def _serve(self, task: EagerTask, request_id: Any, work: Work, params: JsonObject) -> None:
        try:
            await work(request_id, params)
        except Exception:  # an edge: the host must get an answer, whatever failed
            logger.exception("internal error in a request")
            self._respond_error(request_id, INTERNAL_ERROR, INTERNAL_ERROR_MESSAGE)
        finally:
            self._forget(request_id, task)

    def _forget(self, request_id: Any, task: EagerTask) -> None:
        """Forget a request that has ended, unless the host has used the id for another one."""
        if self._tasks.get(request_id) is task:
            del self._tasks[request_id]

    def _on_tools_changed(self) -> None:
        self._subscriptions.manifests_changed()
        self._subscriptions.list_changed(TOOLS_CHANGED)


def _result_fields(result: JsonObject) -> str:
    """Return the JSON of a result without its braces."""
    return encode_json(result)[1:-1]


def _modern_suffix(ttl: int) -> str:
    """Return the end of a result of 2026-07-28 that clients may cache for `ttl` milliseconds."""
    fields = {"ttlMs": ttl, "cacheScope": "private", "resultType": "complete", "_meta": SERVER_INFO_META}
    return f",{_result_fields(fields)}}}"


def _is_supported_meta(meta: Any) -> bool:
    if not isinstance(meta, dict):
        return False
    token = meta.get("progressToken")
    return token is None or (isinstance(token, int | str) and not isinstance(token, bool))


def _request_key(request_id: Any) -> Any:
    """Return the id under which a request is stored; None for a value that is no id, and may not be hashable."""
    return request_id if isinstance(request_id, int | str) else None
