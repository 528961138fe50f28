"""One host on stdin and stdout: who answers which message, and how the session ends."""

from __future__ import annotations

import json
from typing import Any, Final

import anyio

from ...core.codecs.message import encode_json, to_json_safe
from ..progress import send_keepalive_progress
from ..tools import ToolService
from .fast_path import FastPath
from .outbound import StdioOutbound
from .protocol_versions import INVALID_REQUEST, PARSE_ERROR
from .reader import Reader
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .sdk_fallback import SdkFallback

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that calls have to finish after the host has closed its end or sent a signal."""

FINAL_REPLIES_TIMEOUT: Final = 0.5
"""Seconds for the answers of calls that the end of the session has failed."""

STREAMING_METHOD: Final = "subscriptions/listen"
"""The request that is answered when the session ends."""

SESSION_OPENERS: Final = ("initialize", "notifications/initialized")
"""Messages that open a session; whoever comes to it later hears them first."""


class StdioSession:
    """The session with a host: usual requests go to Express, all others to the SDK's server.

    The SDK is imported when the first message comes that needs it, and is then told how the session began.
    `traced`: the SDK answers everything, because it makes the spans of requests.
    """

    def __init__(self, tools: ToolService, stdin: int, stdout: int, *, force_sdk: bool = False) -> None:
        self._tools = tools
        self._stdin = stdin
        self._writer = Writer(stdout)
        self._writer.on_broken_pipe = self.stop
        self._outbound = StdioOutbound(self._writer)
        self._fast_path = FastPath(tools, self._outbound)
        self._opening_lines: list[bytes] = []
        self._sdk: SdkFallback | None = None
        self._uses_sdk_only = force_sdk
        self._ended = anyio.Event()
        self._tasks = anyio.create_task_group()

    def stop(self) -> None:
        """End the session: nothing more is read, and what runs has DRAIN seconds."""
        self._ended.set()

    async def run(self) -> None:
        """Serve until the host closes its end, or `stop` is called."""
        async with self._tasks:
            self._tasks.start_soon(send_keepalive_progress, self._tools.running)
            reader = Reader(self._stdin, self._on_line, self.stop)
            await self._ended.wait()
            reader.stop()
            await self._outbound.wait_idle(DRAIN_TIMEOUT)
            await self._tools.aclose()
            await self._outbound.wait_idle(FINAL_REPLIES_TIMEOUT)
            await self._fast_path.aclose()
            if self._sdk is not None:
                await self._sdk.aclose()
            self._tasks.cancel_scope.cancel()
        await self._writer.aclose()

    def _on_line(self, line: bytes) -> None:
        try:
            message = read_message(line)
        except ValueError as wrong:
            self._outbound.send(str(wrong))
            return
        if message is None:
            return
        self._track_pending(message)
        if self._uses_sdk_only or not self._fast_path.try_handle(message):
            self._forward_to_sdk(line)
        elif message["method"] in SESSION_OPENERS:
            self._opening_lines.append(line)
        elif self._fast_path.is_modern and not self._opening_lines:
            self._opening_lines.append(_modern_session_opener(message["params"]["_meta"]))

    def _track_pending(self, message: dict[str, Any]) -> None:
        """Keep account of what the host waits for."""
        method, params = message["method"], message.get("params") or {}
        if "id" in message and method != STREAMING_METHOD:
            self._outbound.request_started(message["id"])
        elif method == "notifications/cancelled" and isinstance(params.get("requestId"), int | str):
            self._outbound.request_finished(params["requestId"])

    def _forward_to_sdk(self, line: bytes) -> None:
        """Give a message to the SDK's server; one that comes before the era is decided takes the session along."""
        self._uses_sdk_only = self._uses_sdk_only or self._fast_path.is_modern is None
        if self._sdk is None:
            from .sdk_fallback import SdkFallback

            self._sdk = SdkFallback(self._tools, self._outbound, sends_list_changed=self._uses_sdk_only)
            self._tasks.start_soon(self._sdk.run, list(self._opening_lines))
        self._sdk.feed_line(line)


def read_message(line: bytes) -> dict[str, Any] | None:
    """The request or notification in a line; None for a response, which nothing here has asked for.

    Raises:
        ValueError: the text is the answer to a line that is neither (JSON-RPC 2.0 §5.1), or holds NaN or no UTF-8.
    """
    faults: list[str] = []
    try:
        message = json.loads(_decode_line(line, faults), parse_constant=faults.append)
    except (ValueError, RecursionError):
        raise ValueError(_error_response(PARSE_ERROR, "this line is not JSON")) from None
    if isinstance(message, dict) and "method" not in message and ("result" in message or "error" in message):
        return None
    if faults or not _is_jsonrpc(message):
        request_id = message.get("id") if isinstance(message, dict) else None
        why = "this line is not a JSON-RPC 2.0 request or notification"
        raise ValueError(_error_response(INVALID_REQUEST, why, request_id if _is_id(request_id) else None))
    return dict(message)


def _decode_line(line: bytes, errors: list[str]) -> str:
    """A line as text; of one that is no UTF-8 so much that its id can be found."""
    try:
        return line.decode()
    except UnicodeDecodeError as wrong:
        errors.append(wrong.reason)
        return line.decode("utf-8", "replace")


def _modern_session_opener(meta: dict[str, Any]) -> bytes:
    """A request that opens a session of a modern revision, and changes nothing."""
    opening = {"jsonrpc": "2.0", "id": "utcp-ws-mcp opening", "method": "server/discover", "params": {"_meta": meta}}
    return encode_json(opening).encode("utf-8", "replace")


def _is_jsonrpc(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        return False
    return isinstance(message.get("params"), dict | None) and ("id" not in message or _is_id(message["id"]))


def _is_id(value: Any) -> bool:
    """Whether an answer can carry this id: a number, or text without lone surrogates."""
    if isinstance(value, str):
        return value.isascii() or to_json_safe(value) == value
    return isinstance(value, int) and not isinstance(value, bool)


def _error_response(code: int, message: str, request_id: Any = None) -> str:
    return encode_json({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})
