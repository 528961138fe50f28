"""T1: calls over connections that are killed repeatedly, in every way and at every moment of a call."""

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
from .reply_disturbances import answer_to

KILL_EVERY: Final = 50
MIN_KILL_SHARE: Final = 0.7
"""The share of kills that must have occurred; a request that a kill interrupts does not count for the next kill."""

TIMEOUT: Final = 10.0
"""Seconds of a call's timeout."""

HANG_MARGIN: Final = 5.0
"""Seconds after its deadline from which a call counts as hung."""


@dataclass
class Tally:
    """The outcomes of calls, `sharing` of them on a connection. `answered` and `not_sent` hold the numbers of calls."""

    calls: int
    sharing: int
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
        """Record the result of a call."""
        if not result:
            self.empty += 1
        elif isinstance(result, dict) and result.get("answer") == answer_to(number):
            self.answered.add(number)
        else:
            self.wrong += 1

    def record_error(self, number: int, error: Exception) -> None:
        """Record the error of a call."""
        self.errors[type(error).__name__] += 1
        if getattr(error, "outcome", None) is Outcome.NOT_SENT:
            self.not_sent.add(number)

    def compare(self, executions: Counter[int], kills: int) -> None:
        """Compare the outcomes of the calls with the executions of the endpoint."""
        self.kills = kills
        not_executed = self.answered - executions.keys()
        wrongly_not_sent = self.not_sent & executions.keys()
        self.wrong += len(not_executed) + len(wrongly_not_sent)
        self.doubled = 0 if self.idempotent else sum(count > 1 for count in executions.values())

    @property
    def lost(self) -> int:
        """Calls that ended with neither a result nor an error."""
        return self.calls - len(self.answered) - self.wrong - self.empty - self.errors.total()

    @property
    def unexplained(self) -> int:
        """Errors that no kill explains: only what was sent on that connection and not answered may fail."""
        return len(self.not_sent) + max(0, self.errors.total() - self.kills * self.sharing)

    @property
    def is_clean(self) -> bool:
        """Whether enough connections were killed and no violation occurred."""
        killed_enough = self.kills * KILL_EVERY >= MIN_KILL_SHARE * self.calls
        return killed_enough and not (self.wrong or self.empty or self.doubled or self.hung or self.lost)

    def __str__(self) -> str:
        share = 100 * len(self.answered) / self.calls
        return (
            f"{len(self.answered):,} of {self.calls:,} answered ({share:.1f} %), {self.errors.total():,} errors, "
            f"{self.kills:,} kills; {self.wrong} wrong, {self.empty} empty, "
            f"{self.doubled} double executions, {self.hung} hung"
        )


async def drive(client: Client, calls: int, at_once: int = 1, **template: Any) -> Tally:
    """Make calls numbered from 0, `at_once` concurrently; the endpoint kills a connection every KILL_EVERY requests."""
    tally = Tally(calls, at_once if "reply" in template else 1, template.get("idempotent", False))
    numbers = iter(range(calls))
    async with endpoint(KILL_EVERY) as served:
        async with client(served.port, timeout=TIMEOUT, **template) as call, asyncio.TaskGroup() as workers:
            for _ in range(at_once):
                workers.create_task(_worker(call, numbers, tally))
        tally.compare(*served.read())
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
    """Measure calls with ids three times, and fewer calls without ids."""
    calls = size.of(20_000, 1_000_000, light=5_000)
    one = await drive(bridge, calls, **WITH_IDS)
    many = await drive(bridge, calls, 16, **WITH_IDS)
    exclusive = await drive(bridge, calls // 10, 4, **WITHOUT_IDS)
    idempotent = await drive(bridge, calls, 16, idempotent=True, **WITH_IDS)
    return [
        _figure("one at a time", one),
        _figure("16 in flight", many),
        _figure("4 in flight, no ids", exclusive),
        _figure("16 in flight, idempotent", idempotent),
    ]


def _figure(what: str, tally: Tally) -> Figure:
    if tally.idempotent:
        met, target = len(tally.answered) == tally.calls, "all answered, 0 wrong, empty, hung"
    else:
        met, target = tally.unexplained == 0, f"{_errors_allowed(tally.sharing)}; 0 wrong, empty, double, hung"
    what = f"connection killed every {KILL_EVERY} calls, {what}"
    return Figure("T1", what, str(tally), target, met=tally.is_clean and met)


def _errors_allowed(sharing: int) -> str:
    return f"at most {sharing} {'error' if sharing == 1 else 'errors'} for each kill, each of a call that was sent"


if __name__ == "__main__":
    run(measure)
