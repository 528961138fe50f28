"""Calls and lists of 2026-07-28 over HTTP, answered without the MCP SDK, which takes most of the time of each.

Such a request is self-contained: its headers repeat what its body says, and it has no session. Only well-formed
requests whose headers and parameters are all known are answered here; everything else is left to the SDK. Both give
the same answers. Measure again with each release of the SDK (`python -m benchmarks.http`), and delete this module if
it gains nothing any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.types import Receive, Send

from ...core.codecs.message import encode_json
from ...records import Record
from ..auth.access import Caller
from ..content import SERVER_INFO_META
from ..stdio.protocol_versions import INVALID_PARAMS, VERSION_KEY, is_modern
from ..tools import INVALID_CURSOR_MESSAGE, LIST_TTL, ToolService
from .security import Headers

EVENT_STREAM_AFTER: Final = 15.0
"""Seconds until a call that has no result yet gets an event stream with comments, which keep proxies from closing it.

The SDK does the same.
"""

PING_INTERVAL: Final = 15.0
WATCH_AFTER: Final = 0.1
"""Seconds until it is watched whether the client has gone."""

_PING: Final = b": ping\r\n\r\n"
_JSON_TYPE: Final = (b"content-type", b"application/json")
_EVENT_STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_ROUTING_HEADERS: Final = frozenset({b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"accept"})
_PARAMETER_HEADERS: Final = b"mcp-param-"
_KNOWN_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "tools/call": frozenset({"_meta", "name", "arguments"}),
    "tools/list": frozenset({"_meta", "cursor"}),
}
_LIST_SUFFIX: Final = encode_json(
    {"ttlMs": LIST_TTL, "cacheScope": "private", "resultType": "complete", "_meta": SERVER_INFO_META}
)[1:]


class FastRequest(Record):
    """A request that is answered here; its parameters have been checked."""

    request_id: int | str
    method: str
    params: Mapping[str, Any]

    @property
    def progress_token(self) -> int | str | None:
        """Return what names the request in notifications about its progress; None if the client wants none."""
        token: int | str | None = self.params["_meta"].get("progressToken")
        return token

    @property
    def called_tools(self) -> Sequence[str]:
        """Return the names of the tools that it calls."""
        return (self.params["name"],) if self.method == "tools/call" else ()


class Answer(Record):
    """A response: an HTTP status, and a JSON-RPC message."""

    status: int
    message: str


def read_request(headers: Headers, body: bytes) -> FastRequest | None:
    """Return the request in a POST, or None if it must be left to the SDK."""
    routing = _routing_headers(headers)
    if routing is None:
        return None
    method = routing.get(b"mcp-method", b"").decode("latin-1")
    if method not in _KNOWN_PARAMETERS or not _accepts_both(routing.get(b"accept", b"")):
        return None
    message = _parse(body)
    if message is None or message.get("method") != method or message.get("jsonrpc") != "2.0":
        return None
    request_id, params = message.get("id"), message.get("params")
    if isinstance(request_id, bool) or not isinstance(request_id, int | str) or not isinstance(params, dict):
        return None
    if not _agrees(method, params, routing) or not params.keys() <= _KNOWN_PARAMETERS[method]:
        return None
    return FastRequest(request_id, method, params)


def _routing_headers(headers: Headers) -> dict[bytes, bytes] | None:
    """Return the headers that decide; None if one is repeated, or arguments are: readers could disagree on those."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ROUTING_HEADERS:
            if name in found:
                return None
            found[name] = value
        elif name.startswith(_PARAMETER_HEADERS):
            return None
    return found


def _accepts_both(accept: bytes) -> bool:
    return b"application/json" in accept and b"text/event-stream" in accept


def _parse(body: bytes) -> dict[str, Any] | None:
    constants: list[str] = []
    try:
        message = json.loads(body.decode(), parse_constant=constants.append)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and not constants else None


def _agrees(method: str, params: Mapping[str, Any], routing: Mapping[bytes, bytes]) -> bool:
    """Return whether the parameters are well-formed, and say what the headers say."""
    if not is_modern(params):
        return False
    meta = params["_meta"]
    client = meta.get("io.modelcontextprotocol/clientInfo")
    if client is not None and not (isinstance(client, dict) and _are_texts(client, "name", "version")):
        return False
    token = meta.get("progressToken", 0)
    if not isinstance(token, int | str) or isinstance(token, bool):
        return False
    if meta[VERSION_KEY].encode() != routing.get(b"mcp-protocol-version"):
        return False
    if method == "tools/list":
        return isinstance(params.get("cursor"), str | None)
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict | None) or not name.isascii():
        return False
    return routing.get(b"mcp-name") == name.encode()


def _are_texts(value: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(value.get(name), str) for name in names)


class HttpFastPath:
    """Answers the requests that `read_request` returns."""

    def __init__(self, tools: ToolService) -> None:
        self._tools = tools
        self._handlers: Mapping[str, Callable[[FastRequest, Caller | None, _Response], Awaitable[Answer | None]]] = {
            "tools/call": self._call_tool,
            "tools/list": self._list_tools,
        }

    async def serve(self, request: FastRequest, caller: Caller | None, receive: Receive, send: Send) -> bool:
        """Answer a request; return False, and send nothing, if it must be left to the SDK.

        A client that goes cancels its request (MCP, Transports, "Cancellation").
        """
        response = _Response(send)
        patience = _Patience(receive, response)
        try:
            answer = await self._handlers[request.method](request, caller, response)
        except asyncio.CancelledError:
            if not patience.client_has_gone:
                raise
            return True
        finally:
            await patience.end()
        if answer is None:
            return False
        await response.finish(answer)
        return True

    async def _call_tool(self, request: FastRequest, caller: Caller | None, response: _Response) -> Answer | None:
        name = request.params["name"]
        tool = await self._tools.find(name)
        if self._tools.repeats_arguments(name):
            return None  # the SDK compares them with the headers
        if tool is None:
            return _error(request, INVALID_PARAMS, self._tools.unknown_tool_message(name))
        token = request.progress_token
        report = _no_progress if token is None else partial(response.report, token)
        result = await self._tools.call(tool, request.params.get("arguments"), report, caller)
        result = result.fitted(name, self._tools.options.max_line_bytes, modern=True)
        return _result(request, result.to_json(modern=True))

    async def _list_tools(self, request: FastRequest, caller: Caller | None, _: _Response) -> Answer:
        listing = await self._tools.list_tools(caller)
        page = listing.page(request.params.get("cursor"), modern=True)
        if page is None:
            return _error(request, INVALID_PARAMS, INVALID_CURSOR_MESSAGE)
        tools, next_cursor = page
        following = "" if next_cursor is None else f',"nextCursor":"{next_cursor}"'
        return _result(request, f'{{"tools":{tools}{following},{_LIST_SUFFIX}')


class _Patience:
    """What happens while a request takes long: its task is cancelled if the client goes, and proxies are kept waiting.

    Most requests end before anything of this begins: a task for each of them would cost more than reading it.
    """

    def __init__(self, receive: Receive, response: _Response) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.client_has_gone = False
        self._task = task
        self._receive = receive
        self._response = response
        self._helpers: list[asyncio.Task[None]] = []
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._start)

    async def end(self) -> None:
        """Stop watching: the request has an answer, or none."""
        self._timer.cancel()
        for helper in self._helpers:
            helper.cancel()
        if self._helpers:
            await asyncio.gather(*self._helpers, return_exceptions=True)

    def _start(self) -> None:
        self._helpers = [asyncio.create_task(self._watch()), asyncio.create_task(self._response.stream())]

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_has_gone = True
        self._task.cancel()


class _Response:
    """The response to one request: JSON, or an event stream if it takes long or there is progress."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_stream = False
        self._is_finished = False
        self._sending = asyncio.Lock()

    async def stream(self) -> None:
        """Begin an event stream if there is no answer in time, and keep it alive; until cancelled."""
        await asyncio.sleep(EVENT_STREAM_AFTER - WATCH_AFTER)
        while True:
            await self._send_part(_PING)
            await asyncio.sleep(PING_INTERVAL)

    async def report(self, token: int | str, number: float, message: str) -> None:
        """Send a notification about the progress of the request (MCP, Progress)."""
        params = {"progressToken": token, "progress": number, "message": message}
        notification = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        await self._send_part(_event(encode_json(notification)))

    async def _send_part(self, body: bytes) -> None:
        async with self._sending:
            if self._is_finished:  # the keepalive of all calls does not know when this one ends
                return
            if not self._is_stream:
                await self._send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM_HEADERS})
                self._is_stream = True
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self, answer: Answer) -> None:
        """Send the answer, behind the parts that are being sent."""
        async with self._sending:
            self._is_finished = True
            message = _event(answer.message) if self._is_stream else answer.message.encode("utf-8", "replace")
            if not self._is_stream:
                headers = [_JSON_TYPE, (b"content-length", str(len(message)).encode())]
                await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await self._send({"type": "http.response.body", "body": message})


def _event(message: str) -> bytes:
    return b"event: message\r\ndata: " + message.encode("utf-8", "replace") + b"\r\n\r\n"


async def _no_progress(number: float, message: str) -> None:
    """Drop progress: the client has not asked for it."""


def _result(request: FastRequest, result: str) -> Answer:
    return Answer(200, f'{{"jsonrpc":"2.0","id":{encode_json(request.request_id)},"result":{result}}}')


def _error(request: FastRequest, code: int, message: str) -> Answer:
    error = encode_json({"jsonrpc": "2.0", "id": request.request_id, "error": {"code": code, "message": message}})
    return Answer(400, error)
