"""The bridge that serves the manifest of a session: its tools are called, its endpoints and feeds are watched."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

import anyio

from ..bridge import Bridge
from ..client.manifest_files import LoadedManifest
from ..observability import events
from ..observability.metrics import MetricsObserver
from ..observability.redaction import Redactor
from ..server.resources import ENDPOINTS_URI, FEEDS_URI
from ..server.tools import ToolService
from .live_numbers import LiveNumbers
from .transient_pins import TransientPinStore

SAMPLE_SECONDS: Final = 1.0

Start = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine in the background."""


class LiveBridge:
    """Opens the bridge when it is first needed, and replaces its manifest when that has changed.

    Args:
        on_change: Called when the tools are others, and when the bridge is closed.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.numbers = LiveNumbers()
        self.redactor = Redactor()
        self.served: object = None
        self._on_change = on_change
        self._metrics = MetricsObserver(self.numbers.record, self.redactor.guard)
        self._observers: list[events.Observer] = []
        self._pins = TransientPinStore.default()
        self._bridge: Bridge | None = None
        self._service: ToolService | None = None
        self._serving = anyio.Lock()
        self._ready = anyio.Event()
        self._stop = anyio.Event()
        self._closed = anyio.Event()
        self._closed.set()

    @property
    def is_open(self) -> bool:
        """Whether a manifest is served."""
        return self._bridge is not None

    @property
    def bridge(self) -> Bridge:
        """The open bridge."""
        assert self._bridge is not None
        return self._bridge

    @property
    def service(self) -> ToolService:
        """Lists and calls the tools as hosts do."""
        assert self._service is not None
        return self._service

    async def serve(self, loaded: LoadedManifest, version: object, start: Start) -> None:
        """Serve a manifest from now on.

        Args:
            loaded: The manifest.
            version: What it was made of, which `served` is from then on.
            start: Runs the bridge in the background, if none is open.
        """
        async with self._serving:  # two panels may be opened at once
            if self._stop.is_set():
                await self._closed.wait()
            if self._bridge is None:
                self._ready, self._stop, self._closed = anyio.Event(), anyio.Event(), anyio.Event()
                start(self._run(loaded))
                await self._ready.wait()
            else:
                self._bridge.reload([loaded])
            self.served = version if self.is_open else None

    def close(self) -> None:
        """Close the bridge, if it is open: calls that run fail."""
        self._stop.set()

    def observe(self, observer: events.Observer) -> Callable[[], None]:
        """Pass every event to an observer until the returned function is called."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def endpoints(self) -> list[dict[str, Any]]:
        """Return the state of each endpoint, as the resource for hosts has it."""
        return self._read(ENDPOINTS_URI)

    def feeds(self) -> list[dict[str, Any]]:
        """Return the state of each feed, as the resource for hosts has it."""
        return self._read(FEEDS_URI)

    def _read(self, uri: str) -> list[dict[str, Any]]:
        text = None if self._service is None else self._service.resources.read(uri)
        states: list[dict[str, Any]] = json.loads(text) if text else []
        return states

    async def _run(self, loaded: LoadedManifest) -> None:
        try:
            bridge = Bridge(
                [loaded], observe=self._observe, trace_rules=True, redactor=self.redactor, pin_store=self._pins
            )
            async with bridge:
                self._bridge, self._service = bridge, ToolService(bridge)
                bridge.on_tools_changed.append(self._on_change)
                self._ready.set()
                while not self._stop.is_set():
                    with anyio.move_on_after(SAMPLE_SECONDS):
                        await self._stop.wait()
                    self.numbers.sample()
        finally:
            self._bridge = self._service = None
            self.served = None
            self._ready.set()
            self._closed.set()
            self._on_change()

    def _observe(self, event: events.Event) -> None:
        self._metrics(event)
        for observer in tuple(self._observers):
            observer(event)
