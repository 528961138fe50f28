"""Calls and lists of 2026-07-28 over HTTP, answered without the MCP SDK, which takes most of the time of each.

Such a request is self-contained: its headers repeat what its body says, and it has no session. Only well-formed
requests whose headers and parameters are all known are answered here; everything else is left to the SDK. Both give
the same answers. Measure again with each release of the SDK (`python -m benchmarks.http`), and delete this module if
it gains nothing any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from ...core.codecs.json_text import parse_plain
from ...core.codecs.message import encode_json
from ...records import Record
from ..auth.access import Caller
from ..content import SERVER_INFO_META
from ..stdio.protocol_versions import INVALID_PARAMS, VERSION_KEY, is_modern
from ..tools import INVALID_CURSOR_MESSAGE, LIST_TTL, ToolService
from .fast_response import Answer, FastResponse

DistinctHeaders = Mapping[bytes, bytes]
"""The headers of a request in which none is repeated."""

_PARAMETER_HEADERS: Final = b"mcp-param-"
_KNOWN_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "tools/call": frozenset({"_meta", "name", "arguments"}),
    "tools/list": frozenset({"_meta", "cursor"}),
}
_METHODS: Final = {name.encode(): name for name in _KNOWN_PARAMETERS}
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


def has_usual_routing(headers: DistinctHeaders) -> bool:
    """Return whether a request with these headers may be answered here. Repeated arguments are left to the SDK."""
    accept = headers.get(b"accept", b"")
    return (
        headers.get(b"mcp-method") in _METHODS
        and b"application/json" in accept
        and b"text/event-stream" in accept
        and _PARAMETER_HEADERS not in b" ".join(headers)
    )


def read_request(headers: DistinctHeaders, body: bytes) -> FastRequest | None:
    """Return the request in a POST with the usual headers, or None if it must be left to the SDK."""
    message = _parse(body)
    if message is None or message.get("jsonrpc") != "2.0":
        return None
    method, request_id, params = message.get("method"), message.get("id"), message.get("params")
    if method != _METHODS[headers[b"mcp-method"]] or not isinstance(params, dict):
        return None
    if isinstance(request_id, bool) or not isinstance(request_id, int | str):
        return None
    if not _agrees(method, params, headers) or not params.keys() <= _KNOWN_PARAMETERS[method]:
        return None
    return FastRequest(request_id, method, params)


def _parse(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body, or None: what the fast parser refuses is not usual."""
    try:
        message = parse_plain(body)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _agrees(method: str, params: Mapping[str, Any], headers: DistinctHeaders) -> bool:
    """Return whether the parameters are well-formed, and say what the headers say."""
    if not is_modern(params):
        return False
    meta = params["_meta"]
    client = meta.get("io.modelcontextprotocol/clientInfo")
    if client is not None and not _is_client_info(client):
        return False
    token = meta.get("progressToken", 0)
    if not isinstance(token, int | str) or isinstance(token, bool):
        return False
    if meta[VERSION_KEY].encode() != headers.get(b"mcp-protocol-version"):
        return False
    if method == "tools/list":
        return isinstance(params.get("cursor"), str | None)
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict | None) or not name.isascii():
        return False
    return headers.get(b"mcp-name") == name.encode()


def _is_client_info(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("version"), str)


class HttpFastPath:
    """Answers the requests that `read_request` returns."""

    def __init__(self, tools: ToolService) -> None:
        self.guard = tools.guard
        self._tools = tools
        self._handlers: Mapping[str, Callable[[FastRequest, Caller | None, FastResponse], Awaitable[Answer | None]]] = {
            "tools/call": self._call_tool,
            "tools/list": self._list_tools,
        }

    def begins_at_once(self, request: FastRequest) -> bool:
        """Return whether `answer` without a caller needs no task before it waits for a reply (`EagerTask`)."""
        if request.method != "tools/call":
            return False
        tool = self._tools.find_known(request.params["name"])
        return tool is not None and self._tools.begins_at_once(tool)

    def answer(self, request: FastRequest, caller: Caller | None, response: FastResponse) -> Awaitable[Answer | None]:
        """Return the answer to a request, or None if it must be left to the SDK; `response` takes the progress."""
        return self._handlers[request.method](request, caller, response)

    async def _call_tool(self, request: FastRequest, caller: Caller | None, response: FastResponse) -> Answer | None:
        name = request.params["name"]
        tool = self._tools.find_known(name) or await self._tools.find(name)
        if self._tools.repeats_arguments(name):
            return None  # the SDK compares them with the headers
        if tool is None:
            return _error(request, INVALID_PARAMS, self._tools.unknown_tool_message(name))
        token = request.progress_token
        report = None if token is None else partial(response.report, token)
        result = await self._tools.call(tool, request.params.get("arguments"), report, caller)
        chunks = result.fitted_chunks(name, self._tools.options.max_line_bytes, modern=True)
        return _result(request, "".join(chunks))

    async def _list_tools(self, request: FastRequest, caller: Caller | None, _: FastResponse) -> Answer:
        listing = await self._tools.list_tools(caller)
        page = listing.page(request.params.get("cursor"), modern=True)
        if page is None:
            return _error(request, INVALID_PARAMS, INVALID_CURSOR_MESSAGE)
        tools, next_cursor = page
        following = "" if next_cursor is None else f',"nextCursor":"{next_cursor}"'
        return _result(request, f'{{"tools":{tools}{following},{_LIST_SUFFIX}')


def _result(request: FastRequest, result: str) -> Answer:
    return Answer(200, f'{{"jsonrpc":"2.0","id":{encode_json(request.request_id)},"result":{result}}}')


def _error(request: FastRequest, code: int, message: str) -> Answer:
    error = encode_json({"jsonrpc": "2.0", "id": request.request_id, "error": {"code": code, "message": message}})
    return Answer(400, error)
