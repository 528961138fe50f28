"""What went wrong with the endpoints of one manual: the last error of each upgrade, and when it may be tried again."""

from __future__ import annotations

import random
from typing import Final, TypeVar

import anyio

from ...core.backoff import CircuitBreaker
from ...core.handshake_request import HandshakeRequest
from ...errors import BridgeError

T = TypeVar("T")

MAX_TRACKED: Final = 256
"""Upgrades of which failures are remembered; the oldest are forgotten."""

CLOSED_BREAKER: Final = CircuitBreaker()
"""The circuit of an endpoint that has not failed."""


class FailureTracker:
    """The failures of upgrades. An error is forgotten when a connection opens, a circuit when one has proved itself."""

    def __init__(self) -> None:
        self._errors: dict[HandshakeRequest, BridgeError] = {}
        self._breakers: dict[HandshakeRequest, CircuitBreaker] = {}

    @property
    def last_error(self) -> BridgeError | None:
        """The error that came last, of whichever upgrade."""
        return next(reversed(self._errors.values()), None)

    def error_for(self, upgrade: HandshakeRequest) -> BridgeError | None:
        """Why no connection could be opened the last time, if none has been since."""
        return self._errors.get(upgrade)

    def breaker(self, upgrade: HandshakeRequest) -> CircuitBreaker:
        """When an upgrade may be tried again."""
        return self._breakers.get(upgrade, CLOSED_BREAKER)

    def record_failure(self, upgrade: HandshakeRequest) -> None:
        """An attempt failed, or its connection ended before it proved itself."""
        circuit = self._breakers.get(upgrade) or CircuitBreaker()
        circuit.record_failure(anyio.current_time(), random.random)
        _store_bounded(self._breakers, upgrade, circuit)

    def set_last_error(self, upgrade: HandshakeRequest, error: BridgeError) -> None:
        """Calls were turned away with this error."""
        _store_bounded(self._errors, upgrade, error)

    def clear_error(self, upgrade: HandshakeRequest) -> None:
        """A connection is open."""
        self._errors.pop(upgrade, None)

    def record_success(self, upgrade: HandshakeRequest) -> None:
        """Something came over a connection."""
        self._breakers.pop(upgrade, None)


def _store_bounded(entries: dict[HandshakeRequest, T], upgrade: HandshakeRequest, value: T) -> None:
    if upgrade not in entries and len(entries) >= MAX_TRACKED:
        entries.pop(next(iter(entries)))
    entries[upgrade] = value
