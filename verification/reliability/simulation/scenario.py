"""The scenario of a seed: a manifest, calls and faults.

Each seed enables only a few kinds of fault. Then each pair of kinds is tested often, and the periods without faults are
long enough for late effects of a fault to show.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from .endpoint import FaultRates
from .http_server import HTTP_FAULTS
from .manifests import SHAPES, Shape, shape
from .network import LinkFaults

CALL_WINDOW: Final = 5.0
"""Seconds within which calls start."""

FAULTS_END_AT: Final = 10.0
"""The time from which there are no faults."""

CallStyle = Literal["call", "on_item", "stream"]

ENDPOINT_FAULTS: Final = (
    "no_reply", "late_reply", "duplicate_reply", "stale_reply", "foreign_reply", "event", "error_reply", "close",
    "close_during_call", "keep_tcp_open", "reject_upgrade", "no_upgrade_response", "slow_upgrade", "reject_login",
    "expire_tokens",
)  # fmt: skip
SESSION_END_FAULT: Final = "end_session"
NETWORK_FAULTS: Final = (
    "refuse_connect", "slow_connect", "no_connect_response", "fin", "rst", "silence", "jitter", "restart",
)  # fmt: skip
"""The order of these names decides which faults a seed draws."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call: its start, its style, when it is cancelled, and the number of items after which a stream is closed."""

    n: int
    tool: str
    at: float
    style: CallStyle = "call"
    cancel_after: float | None = None
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """The scenario of a seed. `restarts` are pairs of a time and the seconds that the server is down.

    `ends_at`: the bridge is closed at this time, even with running calls. `changes_at`: the manifest changes then.
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
        """The faults of the endpoint."""
        return FaultRates({what: odds for what, odds in self.odds.items() if what not in NETWORK_FAULTS}, FAULTS_END_AT)

    def link_faults(self, now: Callable[[], float]) -> Callable[[], LinkFaults]:
        """Return a function that draws the faults of the next connection.

        Without ids and pings only a moment of silence separates two calls, so there is no jitter: with it, a late reply
        could not be distinguished from the reply to the next call.
        """
        rng = random.Random(self.seed ^ 0x5EED)
        odds = {**self.odds, **({} if self.shape.separates_calls else {"jitter": 0.0})}
        return lambda: draw_link_faults(odds, rng) if now() < FAULTS_END_AT else LinkFaults()


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(seed)
    chosen = shape(rng.randrange(SHAPES))
    kinds = (*ENDPOINT_FAULTS, *NETWORK_FAULTS)
    odds = {what: rng.choice((0.1, 0.3, 0.6, 0.95)) for what in rng.sample(kinds, rng.randrange(5))}
    session_rng = random.Random(-1 - seed)
    odds |= (
        {SESSION_END_FAULT: session_rng.choice((0.1, 0.3, 0.6))}
        if chosen.may_end_sessions and session_rng.random() < 0.3
        else {}
    )
    if chosen.uses_http:
        http_rng = random.Random(-2 - seed)
        odds |= {what: http_rng.choice((0.1, 0.3, 0.6)) for what in http_rng.sample(HTTP_FAULTS, http_rng.randrange(3))}
    burst = rng.random() < 0.4
    span = 0.05 if burst else CALL_WINDOW
    calls = tuple(_plan_call(rng, n, chosen, rng.uniform(0, span)) for n in range(rng.randrange(2, 8)))
    restarts: tuple[tuple[float, float], ...] = ()
    if "restart" in odds:
        restarts = ((rng.uniform(0, CALL_WINDOW), rng.choice((0.0, 0.5, 3.0))),)
    ends_at = rng.uniform(0, span + chosen.timeout) if rng.random() < 0.1 else None
    changes_at = rng.uniform(0, span + chosen.timeout) if rng.random() < 0.1 else None
    return Scenario(seed, chosen, calls, odds, restarts, ends_at, changes_at)


def _plan_call(rng: random.Random, n: int, chosen: Shape, at: float) -> PlannedCall:
    tool = rng.choice(chosen.tools)
    style: CallStyle = rng.choice(("call", "on_item", "stream"))
    cancel = rng.choice((0.0, 0.01, 0.02, 0.05, 0.3, 1.0)) * rng.random() * 2 if rng.random() < 0.25 else None
    take = rng.randrange(1, 3) if style == "stream" and rng.random() < 0.3 else None
    return PlannedCall(n, tool, at, style, cancel, take)


def draw_link_faults(odds: dict[str, float], rng: random.Random) -> LinkFaults:
    """Return the faults of a connection, drawn with these odds."""

    def happens(what: str) -> bool:
        return rng.random() < odds.get(what, 0.0)

    connect: float | None = 0.01
    if happens("refuse_connect"):
        connect = -0.01
    elif happens("slow_connect"):
        connect = rng.uniform(0.3, 3.0)
    elif happens("no_connect_response"):
        connect = None
    jitter = 0.2 if happens("jitter") else 0.0
    latency = rng.choice((0.001, 0.01, 0.05))
    for cut in ("fin", "rst", "silence"):
        if happens(cut):
            if rng.random() < 0.5:
                return LinkFaults(connect, latency, jitter, cut, down=rng.randrange(1, 700))
            return LinkFaults(connect, latency, jitter, cut, up=rng.randrange(1, 900))
    return LinkFaults(connect, latency, jitter)
