"""One host on stdin and stdout: who answers which message, and how the session ends."""

from __future__ import annotations

import json
from typing import Any, Final

import anyio

from ...core.codecs.message import clean, encode_json
from ..progress import give_signs
from ..tools import Tools
from .fast_path import Express
from .outbound import Host
from .protocol_versions import INVALID_REQUEST, PARSE_ERROR
from .reader import Reader
from .writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .sdk_fallback import SdkSide

DRAIN: Final = 1.0
"""Seconds that calls have to finish after the host has closed its end or sent a signal."""

LAST_ANSWERS: Final = 0.5
"""Seconds for the answers of calls that the end of the session has failed."""

ENDLESS: Final = "subscriptions/listen"
"""The request that is answered when the session ends."""

OPENING: Final = ("initialize", "notifications/initialized")
"""Messages that open a session; whoever comes to it later hears them first."""


class Session:
    """The session with a host: usual requests go to Express, all others to the SDK's server.

    The SDK is imported when the first message comes that needs it, and is then told how the session began.
    `traced`: the SDK answers everything, because it makes the spans of requests.
    """

    def __init__(self, tools: Tools, stdin: int, stdout: int, *, traced: bool = False) -> None:
        self._tools = tools
        self._stdin = stdin
        self._writer = Writer(stdout)
        self._writer.broken = self.stop
        self._host = Host(self._writer)
        self._express = Express(tools, self._host)
        self._opening: list[bytes] = []
        self._sdk: SdkSide | None = None
        self._is_left_to_sdk = traced
        self._ended = anyio.Event()
        self._tasks = anyio.create_task_group()

    def stop(self) -> None:
        """End the session: nothing more is read, and what runs has DRAIN seconds."""
        self._ended.set()

    async def run(self) -> None:
        """Serve until the host closes its end, or `stop` is called."""
        async with self._tasks:
            self._tasks.start_soon(give_signs, self._tools.running)
            reader = Reader(self._stdin, self._take, self.stop)
            await self._ended.wait()
            reader.stop()
            await self._host.settled(DRAIN)
            await self._tools.shut_down()
            await self._host.settled(LAST_ANSWERS)
            await self._express.aclose()
            if self._sdk is not None:
                await self._sdk.aclose()
            self._tasks.cancel_scope.cancel()
        await self._writer.aclose()

    def _take(self, line: bytes) -> None:
        try:
            message = read_message(line)
        except ValueError as wrong:
            self._host.tell(str(wrong))
            return
        if message is None:
            return
        self._note(message)
        if self._is_left_to_sdk or not self._express.take(message):
            self._leave_to_sdk(line)
        elif message["method"] in OPENING:
            self._opening.append(line)
        elif self._express.is_modern and not self._opening:
            self._opening.append(_modern_opening(message["params"]["_meta"]))

    def _note(self, message: dict[str, Any]) -> None:
        """Keep account of what the host waits for."""
        method, params = message["method"], message.get("params") or {}
        if "id" in message and method != ENDLESS:
            self._host.asks(message["id"])
        elif method == "notifications/cancelled" and isinstance(params.get("requestId"), int | str):
            self._host.forget(params["requestId"])

    def _leave_to_sdk(self, line: bytes) -> None:
        """Give a message to the SDK's server; one that comes before the era is decided takes the session along."""
        self._is_left_to_sdk = self._is_left_to_sdk or self._express.is_modern is None
        if self._sdk is None:
            from .sdk_fallback import SdkSide

            self._sdk = SdkSide(self._tools, self._host, announces=self._is_left_to_sdk)
            self._tasks.start_soon(self._sdk.run, list(self._opening))
        self._sdk.take(line)


def read_message(line: bytes) -> dict[str, Any] | None:
    """The request or notification in a line; None for a response, which nothing here has asked for.

    Raises:
        ValueError: the text is the answer to a line that is neither (JSON-RPC 2.0 §5.1), or holds NaN or no UTF-8.
    """
    faults: list[str] = []
    try:
        message = json.loads(_decoded(line, faults), parse_constant=faults.append)
    except (ValueError, RecursionError):
        raise ValueError(_refusal(PARSE_ERROR, "this line is not JSON")) from None
    if isinstance(message, dict) and "method" not in message and ("result" in message or "error" in message):
        return None
    if faults or not _is_jsonrpc(message):
        request_id = message.get("id") if isinstance(message, dict) else None
        why = "this line is not a JSON-RPC 2.0 request or notification"
        raise ValueError(_refusal(INVALID_REQUEST, why, request_id if _is_id(request_id) else None))
    return dict(message)


def _decoded(line: bytes, faults: list[str]) -> str:
    """A line as text; of one that is no UTF-8 so much that its id can be found."""
    try:
        return line.decode()
    except UnicodeDecodeError as wrong:
        faults.append(wrong.reason)
        return line.decode("utf-8", "replace")


def _modern_opening(meta: dict[str, Any]) -> bytes:
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
        return value.isascii() or clean(value) == value
    return isinstance(value, int) and not isinstance(value, bool)


def _refusal(code: int, why: str, request_id: Any = None) -> str:
    return encode_json({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": why}})
