"""A bridge for each caller who brings values of its own (`${caller:NAME}`).

Callers share nothing, because each bridge has its own connections, logins, tokens, feeds and secrets. A bridge belongs
to one call template, one set of values and, with access tokens, one subject. It is closed when it was not used for
IDLE_SECONDS.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import anyio
from anyio.abc import TaskGroup

from ..bridge import Bridge
from ..client.resolver import SystemResolvers
from ..core.tools.tool import CompiledTool
from ..errors import CallerValueRefused, InvalidManifest, TooManyCallers, UnknownTool
from ..observability.redaction import Redactor, SinkRedactor
from .auth.caller_variables import CallerVariables

if TYPE_CHECKING:
    from ..client.manifest_files import LoadedManifest
    from ..manifest.entries import ManifestEntry
    from ..observability.events import Observer
    from .auth.access import Caller

IDLE_SECONDS: Final = 600.0
"""Seconds after its last call in which the bridge of a caller stays open: its connections and its feeds."""

SWEEP_INTERVAL: Final = 30.0
"""Seconds between two looks for idle bridges."""

MAX_BRIDGES: Final = 256
"""Bridges of callers that are open at a time. A further one takes the place of the one that was idle longest."""

MAX_BRIDGES_OF_SUBJECT: Final = 8
"""Of these, those of one subject of an authorization server."""

MAX_FEED_BYTES: Final = 4 << 20
"""Bytes of the events that the feeds of one bridge keep."""

logger = logging.getLogger(__name__)

Owner = tuple[str, str] | None
"""Issuer and subject; None without access tokens."""


class CallerBridge:
    """The bridge of one caller, while it is leased: `release` ends the lease."""

    def __init__(self, bridge: Bridge, entry: ManifestEntry, owner: Owner, shared: Redactor) -> None:
        self.bridge = bridge
        self.entry = entry
        self.owner = owner
        self.leases = 0
        self.used_at = anyio.current_time()
        self.is_retired = False
        self.opened = anyio.Event()
        self.ended = anyio.Event()
        self._shared = shared

    def __repr__(self) -> str:
        return f"<CallerBridge of {self.entry.name}, {self.leases} leases>"

    def redact_result(self, text: str) -> str:
        """Return a result without the credentials of the caller and of the manifests."""
        return self._shared.redact_result(self.bridge.redactor.redact_result(text))

    def guard(self, text: str) -> str:
        """Return a text that goes to the caller without credentials."""
        return self._shared.guard(self.bridge.redactor.guard(text))

    def release(self) -> None:
        """End a lease."""
        self.leases -= 1
        self.used_at = anyio.current_time()
        if self.is_retired and not self.leases:
            self.ended.set()

    def retire(self) -> None:
        """Close the bridge when its last call has ended."""
        self.is_retired = True
        if not self.leases:
            self.ended.set()


class CallerBridges:
    """The bridges of callers; `async with` runs them.

    Args:
        main: The bridge with stand-ins for the values: it knows the manifests and the tools.
        variables: The headers that bring the values.
        sinks: Removes the secrets of the callers from what is logged and exported.
        observe: Gets the events of all bridges.
    """

    def __init__(self, main: Bridge, variables: CallerVariables, sinks: SinkRedactor, observe: Observer) -> None:
        self._main = main
        self._variables = variables
        self._sinks = sinks
        self._observe = observe
        self._resolvers = SystemResolvers()
        self._salt = secrets.token_bytes(32)
        self._held: dict[bytes, CallerBridge] = {}
        self._tasks: TaskGroup
        main.on_tools_changed.append(self._retire_changed)

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._sweep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(kind, error, traceback)

    def bridges(self) -> Iterator[Bridge]:
        """Yield the open bridges."""
        return (held.bridge for held in self._held.values())

    async def lease(self, tool: CompiledTool, caller: Caller | None) -> CallerBridge:
        """Return the bridge of a caller for a call of a tool; `release` it when the call has ended.

        Raises:
            CallerValueMissing, CallerValueRefused: if the request does not bring the values that the tool needs.
            TooManyCallers: if all bridges are in use.
        """
        loaded, entry = self._find(tool)
        given = caller.given if caller is not None else {}
        values = self._variables.take(tool.full_name, entry.caller_variables, given)
        identity = caller.identity if caller is not None else None
        owner = (identity.issuer, identity.subject) if identity is not None else None
        parts = (entry.name, *(owner or ()), *(text for pair in sorted(values.items()) for text in pair))
        key = self._digest(*parts)
        held = self._held.get(key)
        if held is None:
            self._make_room(tool, owner)
            own = self._load(tool, loaded, entry, values)
            held = self._held[key] = self._open(own, entry, owner, parts)
            self._tasks.start_soon(self._run, key, held)
        held.leases += 1
        if not held.opened.is_set():  # a wait that is over yields to all other tasks
            try:
                await held.opened.wait()
            except BaseException:
                held.release()
                raise
        return held

    def _find(self, tool: CompiledTool) -> tuple[LoadedManifest, ManifestEntry]:
        for loaded in self._main.manifests:
            for entry in loaded.manifest.entries:
                if entry.name == tool.manual and entry.awaits_caller:
                    return loaded, entry
        raise UnknownTool(tool.full_name)  # a reload has removed it meanwhile

    def _digest(self, *parts: str) -> bytes:
        """Return the key of a bridge. It has a salt, and no value in it: keys may be shown."""
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        for part in parts:
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
        return digest.digest()

    def _load(
        self, tool: CompiledTool, loaded: LoadedManifest, entry: ManifestEntry, values: dict[str, str]
    ) -> LoadedManifest:
        try:
            return loaded.for_caller(entry.name, values)
        except InvalidManifest:  # its problems may quote the value
            headers = [self._variables.headers[name] for name in values]
            raise CallerValueRefused(
                tool.full_name, headers, "has a value that cannot stand where it is used"
            ) from None

    def _open(self, own: LoadedManifest, entry: ManifestEntry, owner: Owner, parts: Sequence[str]) -> CallerBridge:
        fleet = self._main.fleet
        bridge = Bridge(
            [own],
            observe=self._observe,
            resolver=self._resolvers(entry.name),
            max_feed_bytes=MAX_FEED_BYTES,
            fleet=fleet.for_caller(*parts) if fleet is not None else None,
        )
        return CallerBridge(bridge, entry, owner, self._main.redactor)

    async def _run(self, key: bytes, held: CallerBridge) -> None:
        """Keep a bridge open until it is retired. Its secrets are known to the sinks for as long."""
        self._sinks.add(held.bridge.redactor)
        try:
            async with held.bridge:
                held.opened.set()
                await held.ended.wait()
        except Exception:  # a defect ends this bridge, not those of other callers
            logger.exception("internal error in a bridge of %s", held.entry.name)
        finally:
            held.opened.set()  # calls that wait get the error of a closed bridge
            self._sinks.remove(held.bridge.redactor)
            if self._held.get(key) is held:
                del self._held[key]

    def _make_room(self, tool: CompiledTool, owner: Owner) -> None:
        """Retire a bridge if there are as many as may be.

        Raises:
            TooManyCallers: if all of them are in use.
        """
        own = [each for each in self._held.items() if each[1].owner == owner]
        if owner is not None and len(own) >= MAX_BRIDGES_OF_SUBJECT and not self._retire_oldest(own):
            raise TooManyCallers(tool.full_name, MAX_BRIDGES_OF_SUBJECT, of_subject=True)
        if len(self._held) >= MAX_BRIDGES and not self._retire_oldest(self._held.items()):
            raise TooManyCallers(tool.full_name, MAX_BRIDGES, of_subject=False)

    def _retire_oldest(self, among: Iterable[tuple[bytes, CallerBridge]]) -> bool:
        idle = [(key, held) for key, held in among if not held.leases]
        if not idle:
            return False
        self._retire(min(idle, key=lambda each: each[1].used_at)[0])
        return True

    def _retire(self, key: bytes) -> None:
        self._held.pop(key).retire()

    def _retire_changed(self) -> None:
        """Retire the bridges of call templates that a reload has changed or removed."""
        current = {entry.name: entry for entry in self._main.entries if entry.awaits_caller}
        for key, held in list(self._held.items()):
            entry = current.get(held.entry.name)
            if entry is None or not (entry is held.entry or entry.is_equivalent(held.entry)):
                self._retire(key)

    async def _sweep(self) -> None:
        while True:
            await anyio.sleep(SWEEP_INTERVAL)
            self.retire_idle()

    def retire_idle(self) -> None:
        """Retire the bridges that were not used for IDLE_SECONDS."""
        for key, held in list(self._held.items()):
            if not held.leases and anyio.current_time() - held.used_at >= IDLE_SECONDS:
                self._retire(key)


@asynccontextmanager
async def open_callers(
    main: Bridge, variables: CallerVariables | None, sinks: SinkRedactor, observe: Observer
) -> AsyncIterator[CallerBridges | None]:
    """Run the bridges of callers during a block; None without variables of callers."""
    if variables is None:
        yield None
        return
    async with CallerBridges(main, variables, sinks, observe) as callers:
        yield callers
