"""From a seed to what is simulated: a manifest, calls, and what goes wrong.

Each seed switches on only a few kinds of fault, so that every pair of them is met often and calm stretches are long
enough for a fault's late consequences to show.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from .endpoint import FaultRates
from .manifests import SHAPES, Shape, shape
from .network import LinkFaults

CALL_WINDOW: Final = 5.0
"""Seconds in which calls begin."""

FAULTS_END_AT: Final = 10.0
"""The instant from which nothing goes wrong any more."""

CallStyle = Literal["call", "on_item", "stream"]

ENDPOINT_FAULTS: Final = (
    "never", "late", "doubled", "again", "foreign", "noise", "fault", "close", "lose",
    "linger", "reject", "mute", "slow", "denied", "expire",
)  # fmt: skip
SESSION_END_FAULT: Final = "retire"
NETWORK_FAULTS: Final = ("refuse", "delay", "blackhole", "fin", "rst", "silence", "jitter", "restart")


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call: when it begins, how it is made, when it is cancelled, and after how many items it is left."""

    n: int
    tool: str
    at: float
    style: CallStyle = "call"
    cancel_after: float | None = None
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a seed decides. `restarts` are instants and seconds of absence.

    `ends_at`: the bridge is closed then, whatever runs. `changes_at`: the manifest is another one from then on.
    """

    seed: int
    shape: Shape = field(repr=False)
    calls: tuple[PlannedCall, ...]
    odds: dict[str, float]
    restarts: tuple[tuple[float, float], ...]
    ends_at: float | None
    changes_at: float | None

    @property
    def fault_rates(self) -> FaultRates:
        """What the endpoint does."""
        return FaultRates(
            {what: odds for what, odds in self.odds.items() if what in (*ENDPOINT_FAULTS, SESSION_END_FAULT)},
            FAULTS_END_AT,
        )

    def link_faults(self, now: Callable[[], float]) -> Callable[[], LinkFaults]:
        """What happens to each connection, one after the other.

        Without ids and without pings only a moment of silence separates two calls: then latency does not change.
        """
        draw = random.Random(self.seed ^ 0x5EED)
        odds = {**self.odds, **({} if self.shape.separates_calls else {"jitter": 0.0})}
        return lambda: _draw_link_faults(odds, draw) if now() < FAULTS_END_AT else LinkFaults()


def scenario(seed: int) -> Scenario:
    """What a seed decides."""
    draw = random.Random(seed)
    chosen = shape(draw.randrange(SHAPES))
    every = (*ENDPOINT_FAULTS, *NETWORK_FAULTS)
    odds = {what: draw.choice((0.1, 0.3, 0.6, 0.95)) for what in draw.sample(every, draw.randrange(5))}
    other = random.Random(-1 - seed)
    odds |= (
        {SESSION_END_FAULT: other.choice((0.1, 0.3, 0.6))} if chosen.may_end_sessions and other.random() < 0.3 else {}
    )
    burst = draw.random() < 0.4
    span = 0.05 if burst else CALL_WINDOW
    calls = tuple(_planned(draw, n, chosen, draw.uniform(0, span)) for n in range(draw.randrange(2, 8)))
    restarts: tuple[tuple[float, float], ...] = ()
    if "restart" in odds:
        restarts = ((draw.uniform(0, CALL_WINDOW), draw.choice((0.0, 0.5, 3.0))),)
    ends_at = draw.uniform(0, span + chosen.timeout) if draw.random() < 0.1 else None
    changes_at = draw.uniform(0, span + chosen.timeout) if draw.random() < 0.1 else None
    return Scenario(seed, chosen, calls, odds, restarts, ends_at, changes_at)


def _planned(draw: random.Random, n: int, chosen: Shape, at: float) -> PlannedCall:
    tool = draw.choice(chosen.tools)
    how: CallStyle = draw.choice(("call", "on_item", "stream"))
    cancel = draw.choice((0.0, 0.01, 0.02, 0.05, 0.3, 1.0)) * draw.random() * 2 if draw.random() < 0.25 else None
    take = draw.randrange(1, 3) if how == "stream" and draw.random() < 0.3 else None
    return PlannedCall(n, tool, at, how, cancel, take)


def _draw_link_faults(odds: dict[str, float], draw: random.Random) -> LinkFaults:
    def happens(what: str) -> bool:
        return draw.random() < odds.get(what, 0.0)

    connect: float | None = 0.01
    if happens("refuse"):
        connect = -0.01
    elif happens("delay"):
        connect = draw.uniform(0.3, 3.0)
    elif happens("blackhole"):
        connect = None
    jitter = 0.2 if happens("jitter") else 0.0
    latency = draw.choice((0.001, 0.01, 0.05))
    for cut in ("fin", "rst", "silence"):
        if happens(cut):
            if draw.random() < 0.5:
                return LinkFaults(connect, latency, jitter, cut, down=draw.randrange(1, 700))
            return LinkFaults(connect, latency, jitter, cut, up=draw.randrange(1, 900))
    return LinkFaults(connect, latency, jitter)
