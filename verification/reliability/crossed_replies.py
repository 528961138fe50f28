"""T2: calls that are cancelled and timed out among replies that are late, out of order, doubled, foreign and stale."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from utcp_ws_mcp.observability.events import Event, MessageReceived
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .clients import WITH_IDS, WITHOUT_IDS, Caller, Client, bridge
from .endpoint import endpoint
from .replies import REPLY_KINDS, ReplyKind, answer_to

MIN_INTERRUPTED_SHARE: Final = 0.3
"""The share of calls that must have been cut short."""

INTERRUPT_SHARE: Final = 0.42
"""The share of calls that are to be cut short; some of their replies come before."""

LIMITS: Final = {"max_connections": 32}
CANCEL_WITHIN: Final = 0.006
"""Seconds within which a caller that cancels does so: before its reply arrives, or while it does."""


@dataclass
class Tally:
    """What became of calls. `dropped` counts the replies that the bridge gave to nobody."""

    calls: int
    interrupted: int = 0
    answered: int = 0
    crossed: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    reply_kinds: Counter[ReplyKind] = field(default_factory=Counter)
    dropped: int = 0

    def record_result(self, number: int, result: Any) -> None:
        """A call has given a result."""
        if isinstance(result, dict) and result.get("answer") == answer_to(number):
            self.answered += 1
        else:
            self.crossed += 1

    def observe(self, event: Event) -> None:
        """See what the bridge takes messages for."""
        self.dropped += isinstance(event, MessageReceived) and event.role == "dropped"

    @property
    def is_clean(self) -> bool:
        """Whether no reply was crossed, every call that nobody cut short was answered, and there were disturbances."""
        tried = self.interrupted >= MIN_INTERRUPTED_SHARE * self.calls and len(self.reply_kinds) == len(REPLY_KINDS)
        return not self.crossed and not self.failed and tried

    def __str__(self) -> str:
        disturbed = self.reply_kinds.total() - self.reply_kinds["plain"]
        return (
            f"{self.crossed} crossed, {self.answered:,} answered, {self.interrupted:,} cut short, "
            f"{self.failed.total()} failed; {disturbed:,} disturbing replies, {self.dropped:,} dropped"
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """What is done with one call."""

    number: int
    reply_kind: ReplyKind
    end: str | None
    cancel_after: float


def trials(source: random.Random, calls: int) -> Iterator[Trial]:
    """So many calls. A part is cut short: by "timeout", where the reply comes too late, or "cancel" by the caller."""
    for number in range(calls):
        how, end = source.choices(REPLY_KINDS, weights=(60, 0, 10, 10, 10, 10))[0], None
        if source.random() < INTERRUPT_SHARE:
            end = source.choice(("timeout", "cancel"))
        if end == "timeout" or (end == "cancel" and source.random() < 0.5):
            how = "late"
        yield Trial(number, how, end, source.random() * CANCEL_WITHIN)


async def drive(client: Client, size: Size, calls: int, at_once: int, template: Any) -> Tally:
    """Make calls, some at once, as `trials` says."""
    tally = Tally(calls)
    left = trials(size.random(), calls)
    async with (
        endpoint() as seen,
        client(seen.port, observe=tally.observe, **template) as call,
        asyncio.TaskGroup() as workers,
    ):
        for _ in range(at_once):
            workers.create_task(_worker(call, left, tally))
    return tally


async def _worker(call: Caller, left: Iterator[Trial], tally: Tally) -> None:
    for trial in left:
        tally.reply_kinds[trial.reply_kind] += 1
        tool = "quick" if trial.end == "timeout" else "t"
        patience = trial.cancel_after if trial.end == "cancel" else None
        try:
            async with asyncio.timeout(patience):
                result = await call(tool, n=trial.number, how=trial.reply_kind)
        except Exception as failed:
            if trial.end is not None and isinstance(failed, TimeoutError):
                tally.interrupted += 1
            else:
                tally.failed[type(failed).__name__] += 1
        else:
            tally.record_result(trial.number, result)


async def measure(size: Size) -> Sequence[Figure]:
    """Ids that are random and ids that are counted, connections without ids, and a connection for each call."""
    parts: tuple[tuple[str, float, int, dict[str, Any]], ...] = (
        ("shared, random ids", 0.43, 64, WITH_IDS),
        ("shared, counted ids", 0.43, 64, {**WITH_IDS, "request_id": "counter"}),
        ("exclusive, no ids", 0.1, 32, {**WITHOUT_IDS, "limits": LIMITS}),
        ("one-shot, no ids", 0.04, 32, {**WITHOUT_IDS, "limits": LIMITS, "keep_alive": False}),
    )
    total = size.of(50_000, 1_000_000)
    return [
        _figure(what, await drive(bridge, size, int(share * total), at_once, template))
        for what, share, at_once, template in parts
    ]


def _figure(what: str, tally: Tally) -> Figure:
    what = f"{tally.calls:,} calls among disturbing replies, {what}"
    target = f"0 crossed, 0 failed, at least {MIN_INTERRUPTED_SHARE:.0%} cut short"
    return Figure("T2", what, str(tally), target, met=tally.is_clean)


if __name__ == "__main__":
    run(measure)
