"""From a seed to what is simulated: a manifest, calls, and what goes wrong.

Each seed switches on only a few kinds of fault, so that every pair of them is met often and calm stretches are long
enough for a fault's late consequences to show.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from .endpoint import Habits
from .manifests import SHAPES, Shape, shape
from .network import Fate

SPAN: Final = 5.0
"""Seconds in which calls begin."""

CALM_AT: Final = 10.0
"""The instant from which nothing goes wrong any more."""

How = Literal["call", "on_item", "stream"]

OF_ENDPOINT: Final = (
    "never", "late", "doubled", "again", "foreign", "noise", "fault", "close", "lose",
    "linger", "reject", "mute", "slow", "denied", "expire",
)  # fmt: skip
RETIRE: Final = "retire"
OF_NETWORK: Final = ("refuse", "delay", "blackhole", "fin", "rst", "silence", "jitter", "restart")


@dataclass(frozen=True, slots=True)
class Planned:
    """A call: when it begins, how it is made, when it is cancelled, and after how many items it is left."""

    n: int
    tool: str
    at: float
    how: How = "call"
    cancel_after: float | None = None
    take: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a seed decides. `restarts` are instants and seconds of absence.

    `ends_at`: the bridge is closed then, whatever runs. `changes_at`: the manifest is another one from then on.
    """

    seed: int
    shape: Shape = field(repr=False)
    calls: tuple[Planned, ...]
    odds: dict[str, float]
    restarts: tuple[tuple[float, float], ...]
    ends_at: float | None
    changes_at: float | None

    @property
    def habits(self) -> Habits:
        """What the endpoint does."""
        return Habits({what: odds for what, odds in self.odds.items() if what in (*OF_ENDPOINT, RETIRE)}, CALM_AT)

    def fates(self, now: Callable[[], float]) -> Callable[[], Fate]:
        """What happens to each connection, one after the other.

        Without ids and without pings only a moment of silence separates two calls: then latency does not change.
        """
        draw = random.Random(self.seed ^ 0x5EED)
        odds = {**self.odds, **({} if self.shape.separates else {"jitter": 0.0})}
        return lambda: _fate(odds, draw) if now() < CALM_AT else Fate()


def scenario(seed: int) -> Scenario:
    """What a seed decides."""
    draw = random.Random(seed)
    chosen = shape(draw.randrange(SHAPES))
    every = (*OF_ENDPOINT, *OF_NETWORK)
    odds = {what: draw.choice((0.1, 0.3, 0.6, 0.95)) for what in draw.sample(every, draw.randrange(5))}
    other = random.Random(-1 - seed)
    odds |= {RETIRE: other.choice((0.1, 0.3, 0.6))} if chosen.retires and other.random() < 0.3 else {}
    burst = draw.random() < 0.4
    span = 0.05 if burst else SPAN
    calls = tuple(_planned(draw, n, chosen, draw.uniform(0, span)) for n in range(draw.randrange(2, 8)))
    restarts: tuple[tuple[float, float], ...] = ()
    if "restart" in odds:
        restarts = ((draw.uniform(0, SPAN), draw.choice((0.0, 0.5, 3.0))),)
    ends_at = draw.uniform(0, span + chosen.timeout) if draw.random() < 0.1 else None
    changes_at = draw.uniform(0, span + chosen.timeout) if draw.random() < 0.1 else None
    return Scenario(seed, chosen, calls, odds, restarts, ends_at, changes_at)


def _planned(draw: random.Random, n: int, chosen: Shape, at: float) -> Planned:
    tool = draw.choice(chosen.tools)
    how: How = draw.choice(("call", "on_item", "stream"))
    cancel = draw.choice((0.0, 0.01, 0.02, 0.05, 0.3, 1.0)) * draw.random() * 2 if draw.random() < 0.25 else None
    take = draw.randrange(1, 3) if how == "stream" and draw.random() < 0.3 else None
    return Planned(n, tool, at, how, cancel, take)


def _fate(odds: dict[str, float], draw: random.Random) -> Fate:
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
                return Fate(connect, latency, jitter, cut, down=draw.randrange(1, 700))
            return Fate(connect, latency, jitter, cut, up=draw.randrange(1, 900))
    return Fate(connect, latency, jitter)
