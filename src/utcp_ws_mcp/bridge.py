"""The tools of all manuals, and calling them. This module knows neither MCP nor the terminal."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio.abc import TaskGroup

from .client.discovery import DiscoveryManager, DiscoveryTask
from .client.eager import ensure_task
from .client.feeds.access import FeedAccess
from .client.feeds.lazy import LazyFeeds
from .client.manifest_files import LoadedManifest, load_manifest
from .client.pool.manager import PoolManager
from .client.status import BridgeStatus
from .client.tool_repository import ToolRepository
from .core.expressions.scope import Ambient
from .core.tools.tool import CompiledTool
from .errors import BridgeError, ConnectError, Problem
from .manifest.entries import ManifestEntry
from .manifest.secret_names import redact_by_key
from .observability import events
from .observability.events import Broadcast, Observer, TypedObserver
from .observability.redaction import Redactor

if TYPE_CHECKING:
    from .client.caller import CallRunner, ItemCallback
    from .client.connection import Connection
    from .client.connector import Connector
    from .client.dial import Resolver
    from .client.feeds.manager import FeedManager
    from .client.manual_cache import ManualCache
    from .client.pin_store import PinStore
    from .client.shared.fleet import Fleet
    from .core.handshake_request import HandshakeRequest

logger = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]


class Bridge(BridgeStatus, FeedAccess):
    """The tools of WebSocket endpoints that manifests describe.

        async with Bridge.open("manifest.json") as bridge:
            quote = await bridge.call_tool("stocks.quote", {"symbol": "ACME"})

    Tools that a manifest lists are available at once. Tools of other endpoints are discovered in the background;
    `wait_discovered` waits for the first attempts. The callbacks in `on_tools_changed` are called whenever the tools
    change, those in `on_feeds_changed` whenever a feed is opened, closed or has another state, and those in
    `on_manual_discovered` with the name of a call template and the manual that its endpoint returned.

    Args:
        loaded: The manifests (`load_manifest`). They stay as they are until `reload`.
        observe: Gets every event (`observability.events`). It must not block; an exception is logged and ignored.
        resolver: Resolves host names to addresses; None: the operating system, in threads of each endpoint's own.
        pin_store: Where approved tools are stored; by default in the state folder of the user.
        manual_cache: Remembers discovered tools, to offer them at the next start before endpoints answer.
        trace_rules: Also issue MatchExplained, which evaluates the rules of each message twice.
        redactor: Learns the secrets of the manifests and each token that is fetched, and removes them from texts.
            A program that shows events or errors uses the same one for them.
        fleet: What this process shares with other replicas (`serve --shared`).
        max_feed_bytes: Bytes of the events that all feeds keep; None: MAX_TOTAL_BYTES.
    """

    def __init__(
        self,
        loaded: Sequence[LoadedManifest],
        *,
        observe: Observer = events.noop,
        resolver: Resolver | None = None,
        pin_store: PinStore | None = None,
        manual_cache: ManualCache | None = None,
        trace_rules: bool = False,
        redactor: Redactor | None = None,
        fleet: Fleet | None = None,
        max_feed_bytes: int | None = None,
    ) -> None:
        self.fleet = fleet
        self._max_feed_bytes = max_feed_bytes
        noted = TypedObserver({events.ConnectionClosed: self._note_closed})
        self._observe: Observer = Broadcast((noted, observe), self._note_failed_observer)
        self._reports_calls = not events.ignores(observe, events.CallFinished)
        self._redact = Redactor() if redactor is None else redactor
        self._redact.add_secrets(each.manifest for each in loaded)
        self._ambient = Ambient(lambda: datetime.now(UTC), os.urandom, self._redact_message)
        self._resolver = resolver
        self._manual_cache = manual_cache
        self._trace_rules = trace_rules
        self._repository = ToolRepository(loaded, pin_store, self._warn, self._redact.redact_result)
        self._tools_with_texts: set[str] = set()
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self._discovery_tasks: TaskGroup
        self._feed_tasks: TaskGroup
        self.on_tools_changed: list[Callable[[], None]] = []
        self.on_feeds_changed: list[Callable[[], None]] = []
        self.on_manual_discovered: list[Callable[[str, Any], None]] = []

    @classmethod
    def open(
        cls,
        *manifests: PathLike,
        environ: Mapping[str, str] | None = None,
        env_files: Sequence[Path] = (),
        observe: Observer = events.noop,
    ) -> Bridge:
        """Return a bridge for manifest files; enter it with `async with`.

        `environ` (by default the environment of the process) and `env_files` provide the variables.

        Raises:
            InvalidManifest: with every problem of the first invalid file.
        """
        loaded = [load_manifest(path, environ, env_files) for path in manifests]
        return cls(loaded, observe=observe)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._pool_manager = PoolManager(self._tasks, self._open_connection, self.fleet)
        self._feed_tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._feeds = LazyFeeds(self._make_feed_manager)
        self._feeds.start(self._callable_tools.values())
        self._discovery_tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._discovery_manager = DiscoveryManager(self._discovery_tasks, self._make_discovery_task)
        for entry in self.entries:
            self._discovery_manager.start(entry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._discovery_tasks.cancel_scope.cancel()
        self._feed_tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self.aclose()
        self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    async def aclose(self) -> None:
        """Close all connections with code 1001 (RFC 6455 §7.4.1). Running and later calls fail with their outcome.

        Discoveries end first, so that they do not report the end of their own connections.
        """
        self._discovery_manager.stop()
        await self._feeds.aclose()
        await self._pool_manager.aclose()

    def reload(self, loaded: Sequence[LoadedManifest]) -> None:
        """Replace the manifests. Running calls finish on the connections and with the rules of the old ones.

        Discovered tools and connections of unchanged call templates are kept; the others are discovered again.

        Raises:
            InvalidManifest: if two call templates have the same name; then nothing is changed.
        """
        old = {entry.name for entry in self.entries}
        self._redact.add_secrets(each.manifest for each in loaded)
        unchanged = self._repository.replace_manifests(loaded)
        for name in old - unchanged:
            self._discovery_manager.remove(name)
            self._pool_manager.drain(name)
        self._feeds.replace(self._callable_tools, unchanged)
        for entry in self.entries:
            if entry.name not in unchanged:
                self._discovery_manager.start(entry)
        self._notify_tools_changed()

    async def _open_connection(
        self, request: HandshakeRequest, arguments: dict[str, Any], on_draining: Callable[[], None]
    ) -> Connection:
        try:
            opening = partial(self._connector, request, arguments, on_draining)
            return await (opening() if self.fleet is None else self.fleet.open(request, opening))
        except ConnectError as failed:
            failed.redact(self._redact.guard)
            raise

    def _redact_message(self, text: str) -> str:
        """Remove the secrets of the manifests, and what the keys of a message call a credential."""
        return redact_by_key(self._redact(text))

    @cached_property
    def _call_runner(self) -> CallRunner:
        # Imports exchanges and the pool, which a host that only lists the tools does not have to wait for.
        from .client.caller import CallRunner

        return CallRunner(self._ambient, self._observe)

    @cached_property
    def _connector(self) -> Connector:
        # Imports `websockets`: later, for the same reason.
        from .client.connector import Connector

        self._discovery_manager.on_client_imported()
        return Connector(
            self._ambient,
            time.monotonic,
            self._resolver,
            self._observe,
            trace_rules=self._trace_rules,
            on_tokens=self._redact.add_tokens,
            token_store=self.fleet.tokens if self.fleet is not None else None,
        )

    def _make_discovery_task(self, entry: ManifestEntry) -> DiscoveryTask:
        return DiscoveryTask(
            entry, self._pool_manager, self._ambient, self._offer_remembered, self._on_manual, self._observe
        )

    @property
    def redactor(self) -> Redactor:
        """Removes the secrets of the manifests and fetched tokens from texts."""
        return self._redact

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        on_item: ItemCallback | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Call a tool and return its result: JSON, text, bytes, or StreamResult for a streaming tool.

        Args:
            name: `manual.tool`, or the name that hosts see.
            arguments: They are validated against the tool's input schema, which also provides defaults.
            on_item: Awaited with each item of a stream; the stream waits for it.
            timeout: Seconds, in place of the `timeout` of the call template. A read of a feed has `wait_seconds`.

        Raises:
            CallError: if the tool failed (ToolError), the arguments are invalid, the reply timed out, …
            NetworkError, PolicyError, ManifestError: if no connection could be opened, or it was lost.
        """
        current_time = self._call_runner.current_time
        started_at = current_time()
        error: str | None = None
        error_type: str | None = None
        error_code: str | None = None
        try:
            tool = self._repository.find(name) or await self._find_tool(name)
            name = tool.full_name
            self._check_callable(tool)
            valid = self._valid_arguments(tool, arguments)
            if tool.feed is not None:
                return await self._feeds.read(tool, valid)
            if timeout is not None:
                tool = tool.with_timeout(timeout)
            pool = self._pool_manager.pool(tool.manual)
            if self._feeds.opened_by_calls:
                await ensure_task()
                await self._feeds.open_for_call(tool, valid)
            return await self._call_runner.call(pool, tool, valid, on_item, started_at)
        except BridgeError as failed:
            error, error_type, error_code = str(failed), type(failed).__name__, failed.code
            raise
        except BaseException:
            error, error_type = "cancelled", "Cancelled"
            raise
        finally:
            if self._reports_calls:
                self._observe(events.CallFinished(name, current_time() - started_at, error, error_type, error_code))

    async def call_tool_streaming(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, utcp_framing: bool = False
    ) -> AsyncGenerator[Any]:
        """Call a streaming tool and yield each item when it arrives. Leaving the loop early ends the stream.

        With `utcp_framing`, a tool without rules for its replies is a streaming one, too, in the framing of UTCP.

        Raises:
            The errors of `call_tool`.
        """
        started_at = anyio.current_time()
        tool = await self._find_tool(name)
        self._check_callable(tool)
        tool = tool.with_utcp_framing() if utcp_framing else tool
        pool, validated = self._pool_manager.pool(tool.manual), self._valid_arguments(tool, arguments)
        await self._feeds.open_for_call(tool, validated)
        async with aclosing(self._call_runner.stream(pool, tool, validated, started_at)) as results:
            async for result in results:
                yield result

    def _valid_arguments(self, tool: CompiledTool, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the arguments of a call, checked. Texts that are read as JSON are logged once for each tool."""
        return tool.validate_arguments(arguments or {}, lambda: self._warn_of_texts(tool.full_name))

    def _warn_of_texts(self, name: str) -> None:
        if name not in self._tools_with_texts:
            self._tools_with_texts.add(name)
            message = "the caller sends arguments as JSON in a text where the schema allows no text. They are read."
            self._warn(str(Problem(name, message, code="argument-read-from-text")))

    async def _offer_remembered(self, entry: ManifestEntry) -> bool:
        """Offer the tools that an endpoint announced in an earlier run; return whether there are any."""
        if self._manual_cache is None or (manual := await self._manual_cache.load(entry)) is None:
            return False
        changed = await self._repository.offer_remembered(entry, manual)
        if changed:
            self._notify_tools_changed()
        return changed

    async def _on_manual(self, entry: ManifestEntry, manual: Any) -> int:
        saved = await self._repository.save_manual(entry, manual)
        if self._manual_cache is not None and not saved.is_known:
            await self._manual_cache.save(entry, manual, self._redact)
        for callback in self.on_manual_discovered:
            callback(entry.name, manual)
        self._discovery_manager.on_manual()
        if saved.changed:
            self._notify_tools_changed()
        return saved.count

    def _notify_tools_changed(self) -> None:
        for callback in self.on_tools_changed:
            callback()

    def _make_feed_manager(self) -> FeedManager:
        from .client.feeds.manager import FeedManager

        return FeedManager(
            self._feed_tasks,
            self._pool_manager,
            self._ambient,
            fleet=self.fleet,
            observe=self._observe,
            on_change=self._notify_feeds_changed,
            max_total_bytes=self._max_feed_bytes,
        )

    def _notify_feeds_changed(self) -> None:
        for callback in self.on_feeds_changed:
            callback()

    async def approve(self, name: str, digest: str) -> None:
        """Approve a withheld `manual.tool`, as `withheld_tools` showed it. It is offered from the next start on.

        Args:
            name: `manual.tool`.
            digest: The digest of the definition, or its first 32 characters.

        Raises:
            ApprovalRefused: If it is not withheld, or has another digest now.
            PinStoreError: If the approval cannot be saved.
        """
        await self._repository.approve(name, digest)

    def _warn(self, text: str) -> None:
        self._observe(events.WarningIssued(text))

    def _note_closed(self, event: events.ConnectionClosed) -> None:
        if self.fleet is not None:
            self.fleet.note_closed()
        if event.remote:
            self._discovery_manager.connection_lost(event.manual)

    def _note_failed_observer(self, error: Exception) -> None:
        """Log the exception of an observer: observers are the code of the caller, and must not break a call."""
        logger.error("an observer failed", exc_info=error)
