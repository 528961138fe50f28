"""The events of a simulation, as the endpoint and the callers see them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Execution:
    """An execution of a request, and what the endpoint sent for it.

    `closed` is the code with which the endpoint closed the connection afterwards. `close_sent_at` is the time of the
    close frame, or None if the network lost it. `answered_at` is when its one reply left, if the network did not lose
    it.
    """

    n: int
    items: int = 0
    done: bool = False
    closed: int | None = None
    close_sent_at: float | None = None
    answered_at: float | None = None


@dataclass(slots=True)
class CallResult:
    """The end of a call: its value, its error, or neither if it was cancelled. Times are virtual seconds."""

    started: float
    ended: float
    value: Any = None
    error: BaseException | None = None
    cancelled: bool = False


@dataclass(slots=True)
class Ledger:
    """Executions by serial number, error replies, HTTP requests, results of calls, and a digest of all events."""

    lines: list[str] | None = None
    executions: list[Execution] = field(default_factory=list)
    executed: Counter[int] = field(default_factory=Counter)
    error_replies: set[int] = field(default_factory=set)
    http_requests: set[int] = field(default_factory=set)
    ended: dict[int, CallResult] = field(default_factory=dict)
    requests: list[float] = field(default_factory=list)
    cancels: dict[int, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    _hash: Any = field(default_factory=hashlib.blake2b)

    def log(self, now: float, what: str) -> None:
        """Record an event; two runs have the same digest if all of their events are equal."""
        line = f"{now:.6f} {what}"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def execute(self, now: float, n: int) -> int:
        """Record the execution of request `n` and return its serial number."""
        self.executed[n] += 1
        self.executions.append(Execution(n))
        self.log(now, f"endpoint executes {n}")
        return len(self.executions) - 1

    @property
    def digest(self) -> str:
        """The digest of all events."""
        return str(self._hash.hexdigest())[:16]
