"""The scenario of a seed for feeds: a manifest, when events happen, readers, and faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from utcp_ws_mcp.client.manifest_files import LoadedManifest

from .manifests import NAME, load
from .network import LinkFaults
from .scenario import FAULTS_END_AT, draw_link_faults

SHAPES: Final = 60
FEED: Final = "f"
KEYS: Final = 3
"""Event n has the key n % KEYS."""

FLAT_RATE: Final = 0.6
"""The share of flat feeds, of those whose endpoint does not replay."""

CONFIRM_TIMEOUT: Final = 2.0
LAST_EVENTS: Final = 2 * KEYS
"""Events after the last fault: every key has a newest value."""

Resume = Literal["none", "silent", "confirmed"]
FAULTS: Final = (
    "close", "early_event", "late_confirmation", "no_confirmation", "slow_replay", "refuse_replay", "reject_upgrade",
    "refuse_connect", "slow_connect", "fin", "rst", "silence", "jitter", "restart",
)  # fmt: skip
"""The order of these names decides which faults a seed draws."""


@dataclass(frozen=True, slots=True)
class FeedShape:
    """A manifest with a feed.

    `resume`: whether the endpoint is asked to replay, and whether it confirms the end. `flat`: events of the same time
    come in one list.
    """

    resume: Resume
    latest: bool
    flat: bool
    definition: dict[str, Any]
    loaded: LoadedManifest = field(repr=False)

    @property
    def size(self) -> int:
        """The number of events that are kept."""
        return int(self.definition["size"])


@dataclass(frozen=True, slots=True)
class PlannedReader:
    """A reader: when it begins, how it reads, how long it pauses, and after how long it cancels every third read."""

    at: float
    wait_seconds: float
    max_events: int
    pause: float
    cancel_after: float | None


@dataclass(frozen=True, slots=True)
class FeedScenario:
    """The scenario of a seed. Event n happens at `event_times[n - 1]`; `restarts` are as in `Scenario`."""

    seed: int
    shape: FeedShape
    event_times: tuple[float, ...]
    readers: tuple[PlannedReader, ...]
    odds: dict[str, float]
    restarts: tuple[tuple[float, float], ...]

    def link_faults(self, now: Callable[[], float]) -> Callable[[], LinkFaults]:
        """Return a function that draws the faults of the next connection."""
        rng = random.Random(self.seed ^ 0x5EED)
        return lambda: draw_link_faults(self.odds, rng) if now() < FAULTS_END_AT else LinkFaults()


@cache
def feed_shape(number: int) -> FeedShape:
    """Return the shape with this number."""
    rng = random.Random(number)
    resume: Resume = rng.choice(("none", "silent", "confirmed"))
    latest = rng.random() < 0.3
    replayed = [{"expect": "message.op == 'replayed'", "fail": "message.refused", "timeout": CONFIRM_TIMEOUT}]
    definition: dict[str, Any] = {
        "name": FEED,
        "open": [
            {"send": {"op": "subscribe"}},
            {"expect": "message.op == 'subscribed'", "timeout": CONFIRM_TIMEOUT},
        ],
        "match": "message.n is defined",
        "item": "message.n",
        "close": {"op": "unsubscribe"},
        "key": "message.n % 3",
        "keep": "latest" if latest else "all",
        "size": rng.choice((5, 20, 1000)),
        "max_bytes": rng.choice((1024, 1 << 20)),
        "max_age": rng.choice((5, 3600)),
        "linger": rng.choice((0, 0.5, 600)),
    }
    if resume != "none":
        replay = [{"send": {"op": "replay", "after": "{{ position }}"}}]
        definition |= {"position": "message.n", "resume": replay + (replayed if resume == "confirmed" else [])}
    flat = resume == "none" and random.Random(-1 - number).random() < FLAT_RATE
    definition |= {"flat": True, "key": "item % 3"} if flat else {}
    template = {
        "name": NAME,
        "url": "ws://127.0.0.1:8000/",
        "network": {"allow": ["loopback"], "plaintext": True},
        "limits": {"connect_timeout": 2, "ping_interval": 3, "ping_timeout": 2},
        "feeds": [definition],
    }
    return FeedShape(resume, latest, flat, definition, load(template))


def feed_scenario(seed: int) -> FeedScenario:
    """Return the scenario of a seed."""
    rng = random.Random(seed)
    shape = feed_shape(rng.randrange(SHAPES))
    odds = {what: rng.choice((0.1, 0.3, 0.6)) for what in rng.sample(FAULTS, rng.randrange(5))}
    if shape.resume == "confirmed" and rng.random() < 0.3:
        odds |= {"refuse_replay": 0.6, "close": 0.6}
    restarts: tuple[tuple[float, float], ...] = ()
    if "restart" in odds:
        restarts = ((rng.uniform(0, FAULTS_END_AT), rng.choice((0.0, 0.5, 3.0))),)
    readers = tuple(_plan_reader(rng) for _ in range(rng.randrange(1, 4)))
    return FeedScenario(seed, shape, _event_times(rng), readers, odds, restarts)


def _event_times(rng: random.Random) -> tuple[float, ...]:
    """Return times of events, alone and in bursts, in ascending order."""
    times: list[float] = []
    for _ in range(rng.randrange(1, 12)):
        at, interval = rng.uniform(0, FAULTS_END_AT), rng.choice((0.0, 0.002, 0.1))
        times += [at + interval * index for index in range(rng.randrange(1, 9))]
    return tuple(sorted(times))


def _plan_reader(rng: random.Random) -> PlannedReader:
    cancel = rng.uniform(0, 0.5) if rng.random() < 0.3 else None
    return PlannedReader(
        rng.uniform(0, 3), rng.choice((0.0, 0.3, 2.0)), rng.choice((1, 3, 50)), rng.choice((0.1, 0.5, 2.0)), cancel
    )
