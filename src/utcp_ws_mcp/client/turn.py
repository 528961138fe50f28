"""How long what arrives on a connection is processed until everything else in the process gets its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TURN_SECONDS: Final = 0.005
"""Seconds of a turn. One read from a socket may bring ten thousand small messages, and one WebSocket message as many
that an application sends together; they take up to a second."""


class Turn:
    """The turns of one connection. What processes several things checks in between whether the turn is over, and stops.

    Args:
        clock: Returns the time in seconds.
        call_soon: Calls a function in the next turn of the event loop.
        go_on: Processes what waits for the next turn.

    Attributes:
        is_over: Whether the rest waits for the next turn.
    """

    def __init__(self, clock: Callable[[], float], call_soon: Callable[..., object], go_on: Callable[[], None]) -> None:
        self.is_over = False
        self._clock = clock
        self._call_soon = call_soon
        self._go_on = go_on
        self._ends_at = 0.0
        self._holds = 0
        self._is_scheduled = False

    def begin(self) -> None:
        """Begin a turn; while it is held, it is over at once."""
        self.is_over = self._holds > 0
        self._ends_at = self._clock() + TURN_SECONDS

    def check(self) -> bool:
        """Read the clock; return whether the turn is over."""
        self.is_over = self._clock() >= self._ends_at
        return self.is_over

    def schedule(self) -> None:
        """Go on in a later turn, if nothing holds it."""
        if not self._holds and not self._is_scheduled:
            self._is_scheduled = True
            # After a whole turn of the event loop: a call elsewhere needs several.
            self._call_soon(self._call_soon, self._begin_scheduled)

    def hold(self) -> None:
        """Let everything that arrives wait until `release`: one that gets it does not keep up."""
        self._holds += 1

    def release(self) -> None:
        """Go on with what waits, if no other one holds it."""
        self._holds -= 1
        self.schedule()

    def _begin_scheduled(self) -> None:
        self._is_scheduled = False
        self._go_on()
