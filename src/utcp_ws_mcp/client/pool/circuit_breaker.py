"""What went wrong with the endpoints of one manual: the last error of each upgrade, and when it may be tried again."""

from __future__ import annotations

import random
from typing import Final, TypeVar

import anyio

from ...core.backoff import Circuit
from ...core.handshake_request import Upgrade
from ...errors import BridgeError

T = TypeVar("T")

REMEMBERED: Final = 256
"""Upgrades of which failures are remembered; the oldest are forgotten."""

CLOSED: Final = Circuit()
"""The circuit of an endpoint that has not failed."""


class Troubles:
    """The failures of upgrades. An error is forgotten when a connection opens, a circuit when one has proved itself."""

    def __init__(self) -> None:
        self._errors: dict[Upgrade, BridgeError] = {}
        self._circuits: dict[Upgrade, Circuit] = {}

    @property
    def newest(self) -> BridgeError | None:
        """The error that came last, of whichever upgrade."""
        return next(reversed(self._errors.values()), None)

    def error(self, upgrade: Upgrade) -> BridgeError | None:
        """Why no connection could be opened the last time, if none has been since."""
        return self._errors.get(upgrade)

    def circuit(self, upgrade: Upgrade) -> Circuit:
        """When an upgrade may be tried again."""
        return self._circuits.get(upgrade, CLOSED)

    def count(self, upgrade: Upgrade) -> None:
        """An attempt failed, or its connection ended before it proved itself."""
        circuit = self._circuits.get(upgrade) or Circuit()
        circuit.failed(anyio.current_time(), random.random)
        _keep(self._circuits, upgrade, circuit)

    def keep(self, upgrade: Upgrade, error: BridgeError) -> None:
        """Calls were turned away with this error."""
        _keep(self._errors, upgrade, error)

    def opened(self, upgrade: Upgrade) -> None:
        """A connection is open."""
        self._errors.pop(upgrade, None)

    def proved(self, upgrade: Upgrade) -> None:
        """Something came over a connection."""
        self._circuits.pop(upgrade, None)


def _keep(kept: dict[Upgrade, T], upgrade: Upgrade, what: T) -> None:
    if upgrade not in kept and len(kept) >= REMEMBERED:
        kept.pop(next(iter(kept)))
    kept[upgrade] = what
