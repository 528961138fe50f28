"""What happened in a simulation, as the endpoint and the callers saw it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Execution:
    """One execution of a request, and what the endpoint sent for it.

    `closed` is the code with which it closed the connection afterwards, `told_at` the instant, if that was not cut
    on its way.
    """

    n: int
    items: int = 0
    done: bool = False
    closed: int | None = None
    close_sent_at: float | None = None


@dataclass(slots=True)
class CallResult:
    """How a call ended: its value, its error, or neither where it was cancelled. Instants in virtual seconds."""

    started: float
    ended: float
    value: Any = None
    error: BaseException | None = None
    cancelled: bool = False


@dataclass(slots=True)
class Ledger:
    """Executions by their serial number, faults that were sent, ends of calls, and the digest of everything."""

    lines: list[str] | None = None
    executions: list[Execution] = field(default_factory=list)
    executed: Counter[int] = field(default_factory=Counter)
    error_replies: set[int] = field(default_factory=set)
    ended: dict[int, CallResult] = field(default_factory=dict)
    requests: list[float] = field(default_factory=list)
    cancels: dict[int, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    _hash: Any = field(default_factory=hashlib.blake2b)

    def log(self, now: float, what: str) -> None:
        """Note an event; the digest of two runs is the same if all their events are."""
        line = f"{now:.6f} {what}"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def execute(self, now: float, n: int) -> int:
        """The endpoint executes a request; its serial number."""
        self.executed[n] += 1
        self.executions.append(Execution(n))
        self.log(now, f"endpoint executes {n}")
        return len(self.executions) - 1

    @property
    def digest(self) -> str:
        """What distinguishes this run from any other."""
        return str(self._hash.hexdigest())[:16]
