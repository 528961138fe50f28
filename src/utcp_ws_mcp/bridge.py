"""The tools of all manuals, and calling them. Knows neither MCP nor the terminal."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from .client.call import Call
from .client.caller import CallRunner, ItemCallback, StreamResult
from .client.dial import Resolver, system_resolver
from .client.discovery import DiscoveryManager, DiscoveryTask
from .client.manifest_files import LoadedManifest, load_manifest
from .client.pin_store import PinStore
from .client.pool.entry import PoolStats
from .client.pool.manager import PoolManager
from .client.tool_repository import ToolRepository
from .core.exchange.result import extract_result
from .core.expressions.scope import Ambient
from .core.tools.tool import CompiledTool
from .errors import BridgeError, ConnectError, InvalidManifest
from .manifest.loader import DisabledEntry, ManifestEntry
from .observability import events
from .observability.events import Observer
from .observability.redaction import Redactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .client.connection import Connection
    from .client.connector import Connector
    from .core.handshake_request import HandshakeRequest

logger = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]


class Bridge:
    """Tools of WebSocket endpoints, as manifests describe them.

        async with Bridge.open("manifest.json") as bridge:
            quote = await bridge.call_tool("stocks.quote", {"symbol": "ACME"})

    Tools that a manifest lists are there at once. Endpoints that are asked for their tools are asked in the
    background; `wait_discovered` waits for their first answers. `changed` is called whenever the tools change, `told`
    with the name of a call template and the manual that its endpoint has told, as it came.
    With `explain`, observers hear why each message was taken for what it was; that costs time. `on_token` gets each
    token and ticket that was fetched over HTTP, so that it can be hidden.
    """

    def __init__(
        self,
        loaded: Sequence[LoadedManifest],
        *,
        observe: Observer = events.noop,
        resolver: Resolver = system_resolver,
        pin_store: PinStore | None = None,
        trace_rules: bool = False,
        on_token: Callable[[str], None] = lambda token: None,
    ) -> None:
        self._observer = observe
        self._ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes)
        self._resolver = resolver
        self._trace_rules = trace_rules
        self._on_token = on_token
        self._redact = Redactor(each.manifest for each in loaded)
        self._repository = ToolRepository(loaded, PinStore.default() if pin_store is None else pin_store, self._warn)
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self._discovery_tasks: TaskGroup
        self._pool_manager: PoolManager
        self._call_runner: CallRunner
        self._discovery_manager: DiscoveryManager
        self.on_tools_changed: list[Callable[[], None]] = []
        self.on_manual_discovered: list[Callable[[str, Any], None]] = []

    @classmethod
    def open(
        cls,
        *manifests: PathLike,
        environ: Mapping[str, str] | None = None,
        env_files: Sequence[Path] = (),
        observe: Observer = events.noop,
    ) -> Bridge:
        """A bridge for these manifest files, to be entered with `async with`.

        Raises:
            InvalidManifest: with every problem of the first file that has any.
        """
        loaded = [load_manifest(path, environ, env_files) for path in manifests]
        return cls(loaded, observe=observe)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._pool_manager = PoolManager(self._tasks, self._open_connection)
        self._call_runner = CallRunner(self._pool_manager, self._ambient, self._observe)
        self._discovery_tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._discovery_manager = DiscoveryManager(self._discovery_tasks, self._make_discovery_task)
        for entry in self.entries:
            self._discovery_manager.start(entry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._discovery_tasks.cancel_scope.cancel()
        self._discovery_manager.stop()
        with anyio.CancelScope(shield=True):
            await self.aclose()
        self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    async def aclose(self) -> None:
        """Close all connections with 1001; calls that run, or come later, fail and say what became of the request."""
        await self._pool_manager.aclose()

    def reload(self, loaded: Sequence[LoadedManifest]) -> None:
        """Offer the tools of these manifests from now on. Calls that run finish as they began.

        What was discovered of call templates that are as they were stays; the others are asked anew.

        Raises:
            InvalidManifest: where two call templates have one name; then everything stays.
        """
        old = {entry.name for entry in self.entries}
        same = self._repository.replace_manifests(loaded)
        self._redact.add_secrets(each.manifest for each in loaded)
        for name in old - same:
            self._discovery_manager.remove(name)
            self._pool_manager.drain(name)
        for entry in self.entries:
            if entry.name not in same:
                self._discovery_manager.start(entry)
        self._notify_tools_changed()

    async def _open_connection(
        self, request: HandshakeRequest, arguments: dict[str, Any], on_draining: Callable[[], None]
    ) -> Connection:
        try:
            return await self._connector(request, arguments, on_draining)
        except ConnectError as failed:
            failed.redact(self._redact)
            raise

    def _add_token(self, token: str) -> None:
        self._redact.add_token(token)
        self._on_token(token)

    @cached_property
    def _connector(self) -> Connector:
        from .client.connector import (
            Connector,
        )  # with `websockets`: a host that only lists the tools need not wait for it

        clock, learn = time.monotonic, self._add_token
        return Connector(
            self._ambient, clock, self._resolver, self._observe, trace_rules=self._trace_rules, on_token=learn
        )

    def _make_discovery_task(self, entry: ManifestEntry) -> DiscoveryTask:
        return DiscoveryTask(entry, self._pool_manager, self._ambient, self._on_manual, self._observe)

    @property
    def entries(self) -> list[ManifestEntry]:
        """The call templates that run."""
        return self._repository.entries

    @property
    def disabled_entries(self) -> list[DisabledEntry]:
        """The call templates that cannot run, because variables are missing."""
        return self._repository.disabled_entries

    @property
    def tools(self) -> Mapping[str, CompiledTool]:
        """The tools that are known now, by `manual.tool`, in the order of the manifests."""
        return self._repository.tools

    @property
    def withheld(self) -> Mapping[str, str]:
        """The tools that are not offered, by `manual.tool`, and why."""
        return self._repository.withheld

    @property
    def discovery_errors(self) -> dict[str, BridgeError]:
        """Why manuals are missing: the last failure of each discovery that has not succeeded since."""
        return self._discovery_manager.errors

    def stats(self, manual: str) -> PoolStats:
        """How it stands with the connections of a manual."""
        return self._pool_manager.stats(manual)

    async def wait_discovered(self, seconds: float) -> bool:
        """Wait until every endpoint was asked once, for so long at most; whether all were."""
        return await self._discovery_manager.wait_all(seconds)

    async def wait_manual_discovered(self, name: str) -> None:
        """Wait until the endpoint of a call template has told its tools; at once where it is not asked.

        Raises:
            BridgeError: why it has not.
        """
        await self._discovery_manager.wait_discovered(name)

    async def wait_fast_discovery(self, seconds: float) -> None:
        """Wait like `wait_discovered`, but not for endpoints that take much longer than the first ones have."""
        await self._discovery_manager.wait_for_fast(seconds)

    async def call_tool(
        self, name: str, arguments: Mapping[str, Any] | None = None, on_item: ItemCallback | None = None
    ) -> Any:
        """Call `manual.tool`; the result is JSON, text or bytes. A stream gives `StreamResult`; `on_item` gets each item.

        Raises:
            CallError: the tool failed (ToolError), the arguments do not fit, no reply came in time, …
            NetworkError, PolicyError, ManifestError: no connection could be had, or it was lost.
        """
        started, since = time.monotonic(), anyio.current_time()
        error: str | None = None
        kind: str | None = None
        try:
            plan = await self._find_tool(name)
            return await self._call_runner.call(plan, plan.validate_arguments(arguments or {}), on_item, since)
        except BridgeError as failed:
            error, kind = str(failed), type(failed).__name__
            raise
        except BaseException:
            error, kind = "it was cancelled", "Cancelled"
            raise
        finally:
            self._observe(events.CallFinished(name, time.monotonic() - started, error, kind))

    async def call_tool_streaming(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, utcp_framing: bool = False
    ) -> AsyncGenerator[Any]:
        """Call a streaming tool and give each item when it comes. Leaving the loop early ends the stream.

        With `framed`, a tool that says nothing of its replies is a streaming one, too, as UTCP frames streams.

        Raises:
            What `call_tool` raises.
        """
        since = anyio.current_time()
        plan = await self._find_tool(name)
        plan = plan.with_utcp_framing() if utcp_framing else plan
        pool, given = self._pool_manager.pool(plan.manual), plan.validate_arguments(arguments or {})
        async with Call(pool, self._ambient, plan, given, since + plan.template.timeout) as call:
            while not plan.rules.no_reply and (message := await call.receive()) is not None:
                yield extract_result(plan, call.exchange, message)
                if plan.rules.stream is None:
                    return

    async def input_schema(self, name: str) -> Mapping[str, Any]:
        """The JSON Schema of a tool's arguments.

        Raises:
            UnknownTool: if there is no such tool.
        """
        return (await self._find_tool(name)).inputs

    async def _find_tool(self, name: str) -> CompiledTool:
        """The plan of a tool; one that an endpoint has not told yet is waited for until it was asked once."""
        if name not in self.tools:
            await self._discovery_manager.find_tool(name, lambda: name in self.tools)
        return self._repository.find(name)

    def _on_manual(self, entry: ManifestEntry, manual: Any) -> int:
        count, changes = self._repository.save_manual(entry, manual)
        for told in self.on_manual_discovered:
            told(entry.name, manual)
        self._discovery_manager.on_manual()
        if changes:
            self._notify_tools_changed()
        return count

    def _notify_tools_changed(self) -> None:
        for changed in self.on_tools_changed:
            changed()

    def approve(self, name: str) -> None:
        """Approve a withheld `manual.tool`. It is offered from the next start on.

        Raises:
            PinStoreError: If the approval cannot be saved.
        """
        self._repository.approve(name)

    def _warn(self, text: str) -> None:
        self._observe(events.WarningIssued(text))

    def _observe(self, event: events.Event) -> None:
        if isinstance(event, events.ConnectionClosed) and event.remote:
            self._discovery_manager.connection_lost(event.manual)
        try:
            self._observer(event)
        except Exception:  # an observer must not harm a call
            logger.exception("an observer failed")


__all__ = ["Bridge", "InvalidManifest", "StreamResult"]
