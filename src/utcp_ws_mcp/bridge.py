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
from .client.caller import Caller, OnItem, Streamed
from .client.dial import Resolver, system_resolver
from .client.discoveries import Discoveries
from .client.discovery import Discovery
from .client.manifest_files import Loaded, load_manifest
from .client.pin_store import Pins
from .client.pool.entry import Standing
from .client.pool.manager import Pool
from .client.tool_repository import Manuals
from .core.exchange.result import take_result
from .core.expressions.scope import Ambient
from .core.tools.tool import Plan
from .errors import BridgeError, ConnectFailed, InvalidManifest
from .manifest.loader import Entry
from .manifest.shapes import Disabled
from .observability import events
from .observability.events import Observer
from .observability.redaction import Redactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .client.connection import Connection
    from .client.connector import Opener
    from .core.handshake_request import Upgrade

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
        loaded: Sequence[Loaded],
        *,
        observe: Observer = events.ignore,
        resolver: Resolver = system_resolver,
        pins: Pins | None = None,
        explain: bool = False,
        on_token: Callable[[str], None] = lambda token: None,
    ) -> None:
        self._observe_outside = observe
        self._ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes)
        self._resolver = resolver
        self._explain = explain
        self._on_token = on_token
        self._redact = Redactor(each.manifest for each in loaded)
        self._manuals = Manuals(loaded, Pins.of_user() if pins is None else pins, self._notice)
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self._asking: TaskGroup
        self._pool: Pool
        self._caller: Caller
        self._discoveries: Discoveries
        self.changed: list[Callable[[], None]] = []
        self.told: list[Callable[[str, Any], None]] = []

    @classmethod
    def open(
        cls,
        *manifests: PathLike,
        environ: Mapping[str, str] | None = None,
        env_files: Sequence[Path] = (),
        observe: Observer = events.ignore,
    ) -> Bridge:
        """A bridge for these manifest files, to be entered with `async with`.

        Raises:
            InvalidManifest: with every problem of the first file that has any.
        """
        loaded = [load_manifest(path, environ, env_files) for path in manifests]
        return cls(loaded, observe=observe)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._pool = Pool(self._tasks, self._open)
        self._caller = Caller(self._pool, self._ambient, self._observe)
        self._asking = await self._stack.enter_async_context(anyio.create_task_group())
        self._discoveries = Discoveries(self._asking, self._discovery)
        for entry in self.entries:
            self._discoveries.ask(entry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._asking.cancel_scope.cancel()
        self._discoveries.stop()
        with anyio.CancelScope(shield=True):
            await self.shut_down()
        self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    async def shut_down(self) -> None:
        """Close all connections with 1001; calls that run, or come later, fail and say what became of the request."""
        await self._pool.aclose()

    def reload(self, loaded: Sequence[Loaded]) -> None:
        """Offer the tools of these manifests from now on. Calls that run finish as they began.

        What was discovered of call templates that are as they were stays; the others are asked anew.

        Raises:
            InvalidManifest: where two call templates have one name; then everything stays.
        """
        old = {entry.name for entry in self.entries}
        same = self._manuals.replace(loaded)
        self._redact.learn(each.manifest for each in loaded)
        for name in old - same:
            self._discoveries.forget(name)
            self._pool.retire(name)
        for entry in self.entries:
            if entry.name not in same:
                self._discoveries.ask(entry)
        self._tell_changes()

    async def _open(self, upgrade: Upgrade, arguments: dict[str, Any]) -> Connection:
        try:
            return await self._opener(upgrade, arguments)
        except ConnectFailed as failed:
            failed.hide(self._redact)
            raise

    def _learn_token(self, token: str) -> None:
        self._redact.learn_token(token)
        self._on_token(token)

    @cached_property
    def _opener(self) -> Opener:
        from .client.connector import Opener  # with `websockets`: a host that only lists the tools need not wait for it

        clock, learn = time.monotonic, self._learn_token
        return Opener(self._ambient, clock, self._resolver, self._observe, explain=self._explain, on_token=learn)

    def _discovery(self, entry: Entry) -> Discovery:
        return Discovery(entry, self._pool, self._ambient, self._take_manual, self._observe)

    @property
    def entries(self) -> list[Entry]:
        """The call templates that run."""
        return self._manuals.entries

    @property
    def disabled(self) -> list[Disabled]:
        """The call templates that cannot run, because variables are missing."""
        return self._manuals.disabled

    @property
    def tools(self) -> Mapping[str, Plan]:
        """The tools that are known now, by `manual.tool`, in the order of the manifests."""
        return self._manuals.tools

    @property
    def withheld(self) -> Mapping[str, str]:
        """The tools that are not offered, by `manual.tool`, and why."""
        return self._manuals.withheld

    @property
    def failures(self) -> dict[str, BridgeError]:
        """Why manuals are missing: the last failure of each discovery that has not succeeded since."""
        return self._discoveries.failures

    def standing(self, manual: str) -> Standing:
        """How it stands with the connections of a manual."""
        return self._pool.standing(manual)

    async def wait_discovered(self, seconds: float) -> bool:
        """Wait until every endpoint was asked once, for so long at most; whether all were."""
        return await self._discoveries.wait(seconds)

    async def wait_told(self, name: str) -> None:
        """Wait until the endpoint of a call template has told its tools; at once where it is not asked.

        Raises:
            BridgeError: why it has not.
        """
        await self._discoveries.wait_told(name)

    async def wait_quick_answers(self, seconds: float) -> None:
        """Wait like `wait_discovered`, but not for endpoints that take much longer than the first ones have."""
        await self._discoveries.wait_quick(seconds)

    async def call_tool(
        self, name: str, arguments: Mapping[str, Any] | None = None, on_item: OnItem | None = None
    ) -> Any:
        """Call `manual.tool`; the result is JSON, text or bytes. A stream gives `Streamed`; `on_item` gets each item.

        Raises:
            CallError: the tool failed (ToolFault), the arguments do not fit, no reply came in time, …
            NetError, PolicyError, ManifestError: no connection could be had, or it was lost.
        """
        started, since = time.monotonic(), anyio.current_time()
        error: str | None = None
        kind: str | None = None
        try:
            plan = await self._find(name)
            return await self._caller.call(plan, plan.complete(arguments or {}), on_item, since)
        except BridgeError as failed:
            error, kind = str(failed), type(failed).__name__
            raise
        except BaseException:
            error, kind = "it was cancelled", "Cancelled"
            raise
        finally:
            self._observe(events.Called(name, time.monotonic() - started, error, kind))

    async def call_tool_streaming(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, framed: bool = False
    ) -> AsyncGenerator[Any]:
        """Call a streaming tool and give each item when it comes. Leaving the loop early ends the stream.

        With `framed`, a tool that says nothing of its replies is a streaming one, too, as UTCP frames streams.

        Raises:
            What `call_tool` raises.
        """
        since = anyio.current_time()
        plan = await self._find(name)
        plan = plan.as_framed_stream() if framed else plan
        access, given = self._pool.access(plan.manual), plan.complete(arguments or {})
        async with Call(access, self._ambient, plan, given, since + plan.template.timeout) as call:
            while not plan.rules.none and (message := await call.receive()) is not None:
                yield take_result(plan, call.exchange, message)
                if plan.rules.stream is None:
                    return

    async def input_schema(self, name: str) -> Mapping[str, Any]:
        """The JSON Schema of a tool's arguments.

        Raises:
            UnknownTool: if there is no such tool.
        """
        return (await self._find(name)).inputs

    async def _find(self, name: str) -> Plan:
        """The plan of a tool; one that an endpoint has not told yet is waited for until it was asked once."""
        if name not in self.tools:
            await self._discoveries.find(name, lambda: name in self.tools)
        return self._manuals.find(name)

    def _take_manual(self, entry: Entry, manual: Any) -> int:
        count, changes = self._manuals.take(entry, manual)
        for told in self.told:
            told(entry.name, manual)
        self._discoveries.answered()
        if changes:
            self._tell_changes()
        return count

    def _tell_changes(self) -> None:
        for changed in self.changed:
            changed()

    def approve(self, name: str) -> str | None:
        """Take a withheld `manual.tool` in, from the next start on; what went wrong, or None."""
        return self._manuals.approve(name)

    def _notice(self, text: str) -> None:
        self._observe(events.Noticed(text))

    def _observe(self, event: events.Event) -> None:
        if isinstance(event, events.Closed) and event.by_peer:
            self._discoveries.connection_lost(event.manual)
        try:
            self._observe_outside(event)
        except Exception:  # an observer must not harm a call
            logger.exception("an observer failed")


__all__ = ["Bridge", "InvalidManifest", "Streamed"]
