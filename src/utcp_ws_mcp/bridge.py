"""The tools of all manuals, and calling them. Knows neither MCP nor the terminal."""

from __future__ import annotations

import logging
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio.abc import TaskGroup

from . import events
from .errors import (
    BridgeError,
    ConnectionLost,
    InvalidManifest,
    NetError,
    Outcome,
    ToolFault,
    UnknownTool,
    UnknownVariable,
)
from .events import Observer
from .manifest.load import Disabled, Entry, ToolEntry
from .manifest.manual import read_manual
from .manifest.pin import judge
from .manifest.problems import nearest
from .net.call import Call
from .net.dial import Resolver, system_resolver
from .net.discovery import Discovery
from .net.opener import Opener
from .net.pool import Pool
from .pins import Pins
from .sources import Loaded, check_unique, load_manifest
from .wire.backoff import UNHEALING, delay
from .wire.catalog import compile_tools, pinned_origin
from .wire.plan import Plan
from .wire.result import collected, take_result
from .wire.scope import Ambient

logger = logging.getLogger(__name__)

RESENDS: Final = 10
"""How often a request of an idempotent tool is sent again, within the call's deadline."""

SENT: Final = {"sent": True}
"""The result of a tool whose endpoint answers nothing."""

PathLike = str | os.PathLike[str]
OnItem = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream's result: `value` as `collect` says, `items` in order, `end` is what ended it."""

    value: Any
    items: tuple[Any, ...]
    end: str | None


class Bridge:
    """Tools of WebSocket endpoints, as manifests describe them.

        async with Bridge.open("manifest.json") as bridge:
            quote = await bridge.call_tool("stocks.quote", {"symbol": "ACME"})

    Tools that a manifest lists are there at once. Endpoints that are asked for their tools are asked in the
    background; `wait_discovered` waits for their first answers. `changed` is called whenever the tools change.
    With `explain`, observers hear why each message was taken for what it was; that costs time.
    """

    def __init__(
        self,
        loaded: Sequence[Loaded],
        *,
        observe: Observer = events.ignore,
        resolver: Resolver = system_resolver,
        pins: Pins | None = None,
        explain: bool = False,
    ) -> None:
        check_unique(loaded)
        self._loaded = loaded
        self._observe_outside = observe
        self._ambient = Ambient(lambda: datetime.now(UTC), secrets.token_bytes)
        self._resolver = resolver
        self._explain = explain
        self._pins = Pins.of_user() if pins is None else pins
        self._digests: dict[str, dict[str, str]] = {}
        self.withheld: dict[str, str] = {}
        self._listed = {name: list(plans) for each in loaded for name, plans in each.plans.items()}
        self._tools = {name: list(plans) for name, plans in self._listed.items()}
        self._by_name: dict[str, Plan] = {}
        self._index()
        self._discoveries: dict[str, Discovery] = {}
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self._asking: TaskGroup
        self._pool: Pool
        self.changed: list[Callable[[], None]] = []

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
        opener = Opener(self._ambient, time.monotonic, self._resolver, self._observe, explain=self._explain)
        self._pool = Pool(self._tasks, opener)
        self._asking = await self._stack.enter_async_context(anyio.create_task_group())
        for entry in self.entries:
            self._ask(entry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._asking.cancel_scope.cancel()
        for discovery in self._discoveries.values():
            discovery.stop(gone=False)
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
        check_unique(loaded)
        old = {entry.name: entry for entry in self.entries}
        found = {name: self._tools[name][len(self._listed.get(name, ())) :] for name in old}
        self._loaded = loaded
        self._listed = {name: list(plans) for each in loaded for name, plans in each.plans.items()}
        same = {entry.name for entry in self.entries if entry.name in old and entry.is_like(old[entry.name])}
        for name in old.keys() - same:
            self._forget(name)
        for entry in self.entries:
            self._tools[entry.name] = [*self._listed[entry.name], *(found[entry.name] if entry.name in same else ())]
            if entry.name not in same:
                self._ask(entry)
        self._tell_changes()

    def _ask(self, entry: Entry) -> None:
        if entry.discovers:
            discovery = Discovery(entry, self._pool, self._ambient, self._take_manual, self._observe)
            self._discoveries[entry.name] = discovery
            self._asking.start_soon(discovery.run)

    def _forget(self, name: str) -> None:
        """Drop what is known of a call template that is gone or has changed."""
        self._tools.pop(name)
        if discovery := self._discoveries.pop(name, None):
            discovery.stop(gone=True)
        self.withheld = {tool: why for tool, why in self.withheld.items() if not tool.startswith(f"{name}.")}
        self._pool.retire(name)

    @property
    def entries(self) -> list[Entry]:
        """The call templates that run."""
        return [entry for each in self._loaded for entry in each.manifest.entries]

    @property
    def disabled(self) -> list[Disabled]:
        """The call templates that cannot run, because variables are missing."""
        return [entry for each in self._loaded for entry in each.manifest.disabled]

    @property
    def tools(self) -> Mapping[str, Plan]:
        """The tools that are known now, by `manual.tool`, in the order of the manifests."""
        return self._by_name

    @property
    def failures(self) -> dict[str, BridgeError]:
        """Why manuals are missing: the last failure of each discovery that has not succeeded since."""
        failed = {name: discovery.error for name, discovery in self._discoveries.items()}
        return {name: error for name, error in failed.items() if error is not None}

    async def wait_discovered(self, seconds: float) -> bool:
        """Wait until every endpoint was asked once, for so long at most; whether all were."""
        with anyio.move_on_after(seconds):
            for discovery in list(self._discoveries.values()):
                await discovery.attempted.wait()
            return True
        return False

    async def call_tool(
        self, name: str, arguments: Mapping[str, Any] | None = None, on_item: OnItem | None = None
    ) -> Any:
        """Call `manual.tool`; the result is JSON, text or bytes. A stream gives `Streamed`; `on_item` gets each item.

        Raises:
            CallError: the tool failed (ToolFault), the arguments do not fit, no reply came in time, …
            NetError, PolicyError, ManifestError: no connection could be had, or it was lost.
        """
        started = time.monotonic()
        error: str | None = None
        kind: str | None = None
        try:
            plan = await self._find(name)
            return await self._call_plan(plan, plan.complete(arguments or {}), on_item)
        except BridgeError as failed:
            error, kind = str(failed), type(failed).__name__
            raise
        except BaseException:
            error, kind = "it was cancelled", "Cancelled"
            raise
        finally:
            self._observe(events.Called(name, time.monotonic() - started, error, kind))

    async def call_tool_streaming(self, name: str, arguments: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
        """Call a streaming tool and give each item when it comes. Leaving the loop early ends the stream.

        Raises:
            What `call_tool` raises.
        """
        plan = await self._find(name)
        async with Call(self._pool, self._ambient, plan, plan.complete(arguments or {})) as call:
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

    async def _call_plan(self, plan: Plan, arguments: dict[str, Any], on_item: OnItem | None) -> Any:
        deadline = anyio.current_time() + plan.template.timeout
        loss: ConnectionLost | None = None
        repeats = 0
        while True:
            try:
                return await self._attempt(plan, arguments, deadline, on_item)
            except BridgeError as failed:
                pause = delay(repeats, random.random) if repeats else 0.0
                in_time = anyio.current_time() + pause < deadline
                if not (plan.idempotent and in_time and _may_repeat(failed, repeats)):
                    if loss is not None and failed.outcome is Outcome.NOT_SENT:
                        raise loss from failed  # this time it was not sent, but before it was
                    raise
                loss = failed if isinstance(failed, ConnectionLost) else loss
                repeats += 1
            await anyio.sleep(pause)

    async def _attempt(self, plan: Plan, arguments: dict[str, Any], deadline: float, on_item: OnItem | None) -> Any:
        started = time.monotonic()
        async with Call(self._pool, self._ambient, plan, arguments, deadline) as call:
            self._observe(events.Requested(plan.full_name, call.address, time.monotonic() - started))
            if plan.rules.none:
                return dict(SENT)
            if plan.rules.stream is not None:
                return await self._collect(call, on_item)
            message = await call.receive()
            assert message is not None
            return take_result(plan, call.exchange, message)

    async def _collect(self, call: Call, on_item: OnItem | None) -> Streamed:
        plan, items = call.plan, []
        try:
            while (message := await call.receive()) is not None:
                items.append(take_result(plan, call.exchange, message))
                if on_item is not None:
                    await on_item(items[-1])
        except ConnectionLost as lost:
            raise ConnectionLost(lost.address, lost.close, lost.outcome, items, lost.code) from lost
        except ToolFault as fault:
            raise ToolFault(fault.tool, str(fault), fault.fault, items) from fault
        end = call.exchange.end
        return Streamed(collected(plan, items, end), tuple(items), end)

    async def _find(self, name: str) -> Plan:
        """The plan of a tool; one that an endpoint has not told yet is waited for until it was asked once."""
        if name not in self._by_name:
            for manual, discovery in list(self._discoveries.items()):
                if name.startswith(f"{manual}."):
                    await discovery.ask_again()
                    if name not in self._by_name and discovery.error is not None:
                        raise discovery.error
        try:
            return self._by_name[name]
        except KeyError:
            for disabled in self.disabled:
                if name.startswith(f"{disabled.name}."):
                    raise UnknownVariable(disabled.missing, disabled.name) from None
            raise UnknownTool(name, nearest(name, self._by_name)) from None

    def _take_manual(self, entry: Entry, manual: Any) -> int:
        """A manual arrived: its tools replace the ones found before; those that the manifest lists win."""
        tools, notices = read_manual(manual, entry)
        tools = self._approved(entry, tools, notices)
        plans, problems = compile_tools(entry, tools)
        notices += [f"{entry.name}: its manual, {problem}; left out" for problem in problems]
        for notice in notices:
            self._observe(events.Noticed(notice))
        listed = self._listed.get(entry.name, [])
        names = {plan.tool for plan in listed}
        before = self._tools.get(entry.name)
        self._tools[entry.name] = [*listed, *(plan for plan in plans if plan.tool not in names)]
        if before != self._tools[entry.name]:
            self._tell_changes()
        return len(plans)

    def _tell_changes(self) -> None:
        self._index()
        for changed in self.changed:
            changed()

    def _approved(self, entry: Entry, tools: Sequence[ToolEntry], notices: list[str]) -> list[ToolEntry]:
        """The tools that are what they were when they were approved, or are seen for the first time."""
        origin, mode = pinned_origin(entry)
        self._digests[entry.name] = {tool.tool.name: tool.digest for tool in tools}
        verdict = judge(mode, self._pins.of(entry.name, origin), self._digests[entry.name])
        if mode != "off" and (wrong := self._pins.keep(entry.name, origin, verdict.pinned)):
            notices.append(wrong)
        notices += [f"{entry.name}.{name} is new in its manual, and offered" for name in sorted(verdict.new)]
        for name, why in verdict.withheld.items():
            self.withheld[f"{entry.name}.{name}"] = why
            notices.append(f"{entry.name}.{name} is withheld: {why}; `utcp-ws-mcp approve` shows it and takes it in")
        return [tool for tool in tools if tool.tool.name in verdict.offered]

    def approve(self, name: str) -> str | None:
        """Take a withheld `manual.tool` in, from the next start on; what went wrong, or None."""
        entry = next(entry for entry in self.entries if name.startswith(f"{entry.name}."))
        tool, (origin, _) = name.removeprefix(f"{entry.name}."), pinned_origin(entry)
        pinned = {**self._pins.of(entry.name, origin), tool: self._digests[entry.name][tool]}
        return self._pins.keep(entry.name, origin, pinned)

    def _index(self) -> None:
        order = [entry.name for entry in self.entries]
        self._by_name = {plan.full_name: plan for name in order for plan in self._tools.get(name, [])}

    def _observe(self, event: events.Event) -> None:
        if isinstance(event, events.Closed) and event.by_peer and event.manual in self._discoveries:
            self._discoveries[event.manual].connection_lost()
        try:
            self._observe_outside(event)
        except Exception:  # an observer must not harm a call
            logger.exception("an observer failed")


def _may_repeat(failed: BridgeError, repeats: int) -> bool:
    """Whether an idempotent request may be sent again: it was lost, or got no connection after it was lost."""
    if isinstance(failed, ConnectionLost):
        sent = failed.outcome is Outcome.PERHAPS_EXECUTED
        return sent and repeats < RESENDS and not failed.collected and failed.code not in UNHEALING
    return isinstance(failed, NetError) and 0 < repeats < RESENDS


__all__ = ["Bridge", "InvalidManifest", "Streamed"]
