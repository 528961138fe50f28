"""T2: no call receives the reply to another one, although calls are cancelled or time out and replies are disturbed.

Replies are late, out of order, duplicated, foreign (with an id of no call) or stale (sent before).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from utcp_ws_mcp.errors import UnidentifiableReply
from utcp_ws_mcp.observability.events import Event, MessageReceived
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .clients import FOREIGN_NAMED, WITH_IDS, WITHOUT_IDS, Caller, Client, bridge
from .endpoint import endpoint
from .reply_disturbances import REPLY_KINDS, ReplyKind, answer_to

MIN_INTERRUPTED_SHARE: Final = 0.3
"""The share of calls that must have been cancelled or timed out."""

INTERRUPT_SHARE: Final = 0.42
"""The share of calls that are cancelled or get a short timeout; some of their replies arrive before it."""

LIMITS: Final = {"max_connections": 32}
CANCEL_WITHIN: Final = 0.006
"""Seconds within which a caller cancels: before its reply arrives, or at the same moment."""


@dataclass
class Tally:
    """The outcomes of calls. `dropped` counts the replies that the bridge delivered to no call."""

    calls: int
    interrupted: int = 0
    answered: int = 0
    crossed: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    reply_kinds: Counter[ReplyKind] = field(default_factory=Counter)
    dropped: int = 0

    def record_result(self, number: int, result: Any) -> None:
        """Record the result of a call."""
        if isinstance(result, dict) and result.get("answer") == answer_to(number):
            self.answered += 1
        else:
            self.crossed += 1

    def observe(self, event: Event) -> None:
        """Count the messages that the bridge drops."""
        self.dropped += isinstance(event, MessageReceived) and event.role == "dropped"

    @property
    def is_clean(self) -> bool:
        """Whether no reply was crossed, every call that was not interrupted succeeded, and disturbances occurred."""
        interrupted_enough = self.interrupted >= MIN_INTERRUPTED_SHARE * self.calls
        every_kind = len(self.reply_kinds) == len(REPLY_KINDS)
        return not self.crossed and not self.failed and interrupted_enough and every_kind

    def __str__(self) -> str:
        disturbed = self.reply_kinds.total() - self.reply_kinds["plain"]
        return (
            f"{self.crossed} crossed, {self.answered:,} answered, {self.interrupted:,} interrupted, "
            f"{self.failed.total()} failed; {disturbed:,} disturbed replies, {self.dropped:,} dropped"
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """The plan of a call: the kind of its reply, and whether it ends by "cancel" or "timeout"."""

    number: int
    reply_kind: ReplyKind
    end: str | None
    cancel_after: float


def trials(rng: random.Random, calls: int) -> Iterator[Trial]:
    """Yield `calls` trials. Some are interrupted: by "timeout", with a late reply, or by "cancel"."""
    for number in range(calls):
        kind, end = rng.choices(REPLY_KINDS, weights=(60, 0, 10, 10, 10, 10))[0], None
        if rng.random() < INTERRUPT_SHARE:
            end = rng.choice(("timeout", "cancel"))
        if end == "timeout" or (end == "cancel" and rng.random() < 0.5):
            kind = "late"
        yield Trial(number, kind, end, rng.random() * CANCEL_WITHIN)


async def drive(client: Client, size: Size, calls: int, at_once: int, template: Any) -> Tally:
    """Make the calls of `trials`, `at_once` of them concurrently."""
    tally = Tally(calls)
    remaining = trials(size.random(), calls)
    async with (
        endpoint() as served,
        client(served.port, observe=tally.observe, **template) as call,
        asyncio.TaskGroup() as workers,
    ):
        for _ in range(at_once):
            workers.create_task(_worker(call, remaining, tally))
    return tally


async def _worker(call: Caller, remaining: Iterator[Trial], tally: Tally) -> None:
    for trial in remaining:
        tally.reply_kinds[trial.reply_kind] += 1
        tool = "quick" if trial.end == "timeout" else "t"
        cancel_after = trial.cancel_after if trial.end == "cancel" else None
        try:
            async with asyncio.timeout(cancel_after):
                result = await call(tool, n=trial.number, how=trial.reply_kind)
        except Exception as failed:
            if trial.end is not None and isinstance(failed, TimeoutError):
                tally.interrupted += 1
            else:
                tally.failed[type(failed).__name__] += 1
        else:
            tally.record_result(trial.number, result)


async def measure(size: Size) -> Sequence[Figure]:
    """Measure random ids, counter ids, exclusive and one-shot connections, and foreign replies that nothing names."""
    parts: tuple[tuple[str, float, int, dict[str, Any]], ...] = (
        ("shared, random ids", 0.43, 64, WITH_IDS),
        ("shared, counter ids", 0.43, 64, {**WITH_IDS, "request_id": "counter"}),
        ("exclusive, no ids", 0.1, 32, {**FOREIGN_NAMED, "limits": LIMITS}),
        ("one-shot, no ids", 0.04, 32, {**FOREIGN_NAMED, "limits": LIMITS, "keep_alive": False}),
    )
    unnamed = {**WITHOUT_IDS, "limits": LIMITS}
    total = size.of(50_000, 1_000_000, light=12_500)
    figures = [
        _figure(what, await drive(bridge, size, int(share * total), at_once, template))
        for what, share, at_once, template in parts
    ]
    return [*figures, _refusal_figure(await drive(bridge, size, int(0.04 * total), 32, unnamed))]


def _refusal_figure(tally: Tally) -> Figure:
    """Return whether foreign replies without ids, which the manifest does not name, make calls fail, not succeed."""
    what = f"{tally.calls:,} calls with disturbed replies, exclusive, no ids, foreign replies not named"
    met = not tally.crossed and set(tally.failed) == {UnidentifiableReply.__name__}
    return Figure("T2", what, str(tally), f"0 crossed, failures only by {UnidentifiableReply.__name__}", met=met)


def _figure(what: str, tally: Tally) -> Figure:
    what = f"{tally.calls:,} calls with disturbed replies, {what}"
    target = f"0 crossed, 0 failed, at least {MIN_INTERRUPTED_SHARE:.0%} interrupted"
    return Figure("T2", what, str(tally), target, met=tally.is_clean)


if __name__ == "__main__":
    run(measure)
