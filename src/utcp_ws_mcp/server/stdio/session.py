"""One host on stdin and stdout: which server answers a message, and how the session ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from ..jsonrpc import read_batch, read_message, without_padding
from ..progress import send_keepalive_progress
from ..tools import ToolService
from .fast_path import FastPath
from .outbound import StdioOutbound
from .protocol_state import ProtocolState
from .protocol_versions import BATCH_VERSION
from .reader import Reader
from .writer import Writer

if TYPE_CHECKING:
    from .sdk_fallback import SdkFallback

DRAIN_TIMEOUT: Final = 1.0
"""Seconds that calls have to finish after the host has closed stdin or sent a signal."""

FINAL_REPLIES_TIMEOUT: Final = 0.5
"""Seconds to answer the calls that the end of the session has cancelled."""

STREAMING_METHOD: Final = "subscriptions/listen"
"""The request that is answered only when the session ends, so the end does not wait for it."""


class StdioSession:
    """The session with a host: the fast path answers the usual requests, the SDK's server all others.

    The SDK is imported for the first message that needs it; its server then receives the opening of the session again.
    Without `fast_path`, the SDK's server answers everything.
    """

    def __init__(self, tools: ToolService, stdin: int, stdout: int, *, fast_path: bool = True) -> None:
        self._tools = tools
        self._stdin = stdin
        self._writer = Writer(stdout)
        self._writer.on_broken_pipe = self.stop
        self._outbound = StdioOutbound(self._writer, tools.options.max_line_bytes, tools.guard)
        self._state = ProtocolState(delegated=not fast_path)
        self._fast_path = FastPath(tools, self._outbound, self._state)
        self._accepts_batches = False
        self._sdk: SdkFallback | None = None
        self._ended = anyio.Event()
        self._tasks = anyio.create_task_group()

    def stop(self) -> None:
        """End the session: nothing more is read, and running calls have DRAIN_TIMEOUT seconds to finish."""
        self._ended.set()

    async def run(self) -> OSError | None:
        """Serve until the host closes stdin, or `stop` is called; return why answers could not be written, or None."""
        async with self._tasks:
            self._tasks.start_soon(send_keepalive_progress, self._tools.running)
            reader = Reader(self._stdin, self._on_line, self.stop)
            await self._ended.wait()
            reader.stop()
            if self._sdk is not None and self._outbound.has_pending:
                await self._sdk.wait_imported()
            await self._outbound.wait_idle(DRAIN_TIMEOUT)
            await self._tools.aclose()
            await self._outbound.wait_idle(FINAL_REPLIES_TIMEOUT)
            await self._fast_path.aclose()
            if self._sdk is not None:
                await self._sdk.aclose()
            self._tasks.cancel_scope.cancel()
        await self._writer.aclose()
        return self._writer.failure

    def _on_line(self, line: bytes) -> None:
        line = without_padding(line)
        if not line:
            return
        if self._accepts_batches and line.startswith(b"["):
            self._on_batch(line)
            return
        try:
            message = read_message(line)
        except ValueError as invalid:
            self._outbound.send(str(invalid))
            return
        if message is not None:
            self._on_message(line, message)

    def _on_batch(self, line: bytes) -> None:
        """Serve a JSON-RPC batch; its responses are sent together (MCP 2025-03-26, Base Protocol, "Batching")."""
        try:
            messages, errors = read_batch(line)
        except ValueError as invalid:
            self._outbound.send(str(invalid))
            return
        self._outbound.start_batch([message["id"] for _, message in messages if "id" in message], errors)
        for part, message in messages:
            self._on_message(part, message)

    def _on_message(self, line: bytes, message: dict[str, Any]) -> None:
        self._track_pending(message)
        if message["method"] == "initialize" and not self._state.is_decided:
            params = message.get("params") or {}
            self._accepts_batches = params.get("protocolVersion") == BATCH_VERSION
        if not self._state.is_delegated and self._fast_path.try_handle(message):
            self._state.record(line, message)
        elif self._sdk is not None or "id" in message or not self._state.is_decided:
            self._forward_to_sdk(line)
        # Otherwise it is a notification that nothing here needs: no reason to import the SDK.

    def _track_pending(self, message: dict[str, Any]) -> None:
        """Track the requests for whose answer the host waits."""
        method, params = message["method"], message.get("params") or {}
        if "id" in message and method != STREAMING_METHOD:
            self._outbound.request_started(message["id"])
        elif method == "notifications/cancelled" and isinstance(params.get("requestId"), int | str):
            self._outbound.request_finished(params["requestId"])

    def _forward_to_sdk(self, line: bytes) -> None:
        """Give a message to the SDK's server, and start that with the first one."""
        self._state.delegate_if_undecided()
        if self._sdk is None:
            from .sdk_fallback import SdkFallback

            self._sdk = SdkFallback(self._tools, self._outbound, sends_list_changed=self._state.is_delegated)
            self._tasks.start_soon(self._sdk.run, self._state.openers)
        self._sdk.feed_line(line)
