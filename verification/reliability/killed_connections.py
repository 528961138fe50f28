"""T1: calls through connections that are killed again and again, in all ways and at all moments."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from utcp_ws_mcp.errors import Outcome
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .clients import WITH_IDS, WITHOUT_IDS, Caller, Client, bridge
from .endpoint import endpoint
from .replies import answer_to

KILL_EVERY: Final = 50
MIN_KILL_SHARE: Final = 0.7
"""The share of the kills that must have happened; requests that a kill takes along do not count for the next one."""

TIMEOUT: Final = 10.0
"""Seconds that a call has."""

HANG_MARGIN: Final = 5.0
"""Seconds after its deadline at which a call counts as hung."""


@dataclass
class Tally:
    """What became of calls. `answered` and `not_sent` hold their numbers."""

    calls: int
    idempotent: bool = False
    answered: set[int] = field(default_factory=set)
    not_sent: set[int] = field(default_factory=set)
    wrong: int = 0
    empty: int = 0
    hung: int = 0
    doubled: int = 0
    kills: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def record_result(self, number: int, result: Any) -> None:
        """A call has given a result."""
        if not result:
            self.empty += 1
        elif isinstance(result, dict) and result.get("answer") == answer_to(number):
            self.answered.add(number)
        else:
            self.wrong += 1

    def record_error(self, number: int, error: Exception) -> None:
        """A call has raised an error."""
        self.errors[type(error).__name__] += 1
        if getattr(error, "outcome", None) is Outcome.NOT_SENT:
            self.not_sent.add(number)

    def compare(self, executions: Counter[int], kills: int) -> None:
        """Hold what the calls have said against what the endpoint has done."""
        self.kills = kills
        invented = self.answered - executions.keys()
        denied = self.not_sent & executions.keys()
        self.wrong += len(invented) + len(denied)
        self.doubled = 0 if self.idempotent else sum(count > 1 for count in executions.values())

    @property
    def lost(self) -> int:
        """Calls that have ended with neither a result nor an error."""
        return self.calls - len(self.answered) - self.wrong - self.empty - self.errors.total()

    @property
    def is_clean(self) -> bool:
        """Whether connections were killed, and nothing happened that may never happen."""
        tried = self.kills * KILL_EVERY >= MIN_KILL_SHARE * self.calls
        return tried and not (self.wrong or self.empty or self.doubled or self.hung or self.lost)

    def __str__(self) -> str:
        share = 100 * len(self.answered) / self.calls
        return (
            f"{len(self.answered):,} of {self.calls:,} answered ({share:.1f} %), {self.errors.total():,} errors, "
            f"{self.kills:,} kills; {self.wrong} wrong, {self.empty} empty, "
            f"{self.doubled} double executions, {self.hung} hung"
        )


async def drive(client: Client, calls: int, at_once: int = 1, **template: Any) -> Tally:
    """Make calls, numbered from 0, some at once, to an endpoint that kills a connection every KILL_EVERY requests."""
    tally = Tally(calls, idempotent=template.get("idempotent", False))
    numbers = iter(range(calls))
    async with endpoint(KILL_EVERY) as seen:
        async with client(seen.port, timeout=TIMEOUT, **template) as call, asyncio.TaskGroup() as workers:
            for _ in range(at_once):
                workers.create_task(_worker(call, numbers, tally))
        tally.compare(*seen.read())
    return tally


async def _worker(call: Caller, numbers: Iterator[int], tally: Tally) -> None:
    for number in numbers:
        try:
            async with asyncio.timeout(TIMEOUT + HANG_MARGIN) as guard:
                result = await call(n=number)
        except Exception as failed:
            if guard.expired():
                tally.hung += 1
            tally.record_error(number, failed)
        else:
            tally.record_result(number, result)


async def measure(size: Size) -> Sequence[Figure]:
    """Three times the calls with ids, and some without."""
    calls = size.of(20_000, 1_000_000)
    one = await drive(bridge, calls, **WITH_IDS)
    many = await drive(bridge, calls, 16, **WITH_IDS)
    owned = await drive(bridge, calls // 10, 4, **WITHOUT_IDS)
    again = await drive(bridge, calls, 16, idempotent=True, **WITH_IDS)
    never = "0 wrong, empty, double, hung"
    return [
        _figure("one at a time", one, 98, never),
        _figure("16 in flight", many, 80, never),
        _figure("4 in flight, no ids", owned, 80, never),
        _figure("16 in flight, idempotent", again, 100, "0 wrong, empty, hung"),
    ]


def _figure(what: str, tally: Tally, percent: int, never: str) -> Figure:
    enough = 100 * len(tally.answered) >= percent * tally.calls
    target = f"at least {percent} % answered, {never}"
    what = f"connection killed every {KILL_EVERY} calls, {what}"
    return Figure("T1", what, str(tally), target, met=tally.is_clean and enough)


if __name__ == "__main__":
    run(measure)
