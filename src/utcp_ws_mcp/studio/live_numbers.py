"""The numbers of endpoints and feeds over the last minutes, from the measurements of the bridge, for small plots."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from ..observability import metrics
from ..observability.metrics import Instrument
from ..records import MutableRecord, Record, field

SECONDS: Final = 120
"""Seconds of the past that are kept, one value for each."""

MAX_LATENCIES: Final = 200
"""Durations of calls that are kept for each tool."""

MAX_NAMES: Final = 500
"""Endpoints, tools and feeds that are counted; an endpoint may announce any number of tools."""

Key = TypeVar("Key")
Value = TypeVar("Value")

COUNTED: Final[Mapping[Instrument, str]] = {
    metrics.MESSAGES_SENT: "sent",
    metrics.MESSAGES_RECEIVED: "received",
    metrics.CONNECTIONS_OPENED: "opened",
    metrics.CONNECTIONS_LOST: "lost",
    metrics.FEED_EVENTS: "events",
    metrics.FEED_GAPS: "gaps",
    metrics.FEED_INTERRUPTIONS: "interruptions",
}
"""The counters that are kept, by the names of their series."""


class Series(MutableRecord):
    """A counter: its total, and its growth in each of the last seconds, the newest last."""

    total: float = 0.0
    _last: float = 0.0
    values: deque[float] = field(default_factory=lambda: deque(maxlen=SECONDS))

    def sample(self) -> None:
        """Keep the growth since the last call."""
        self.values.append(self.total - self._last)
        self._last = self.total


class Latency(Record):
    """Durations of the calls of a tool, in seconds, the newest last."""

    values: tuple[float, ...]
    failed: int

    @property
    def median(self) -> float:
        """The median; 0 without calls."""
        ordered = sorted(self.values)
        return ordered[len(ordered) // 2] if ordered else 0.0

    @property
    def highest(self) -> float:
        """The longest duration; 0 without calls."""
        return max(self.values, default=0.0)


class LiveNumbers:
    """Counts what happens at each endpoint and feed, second by second.

    `record` is for `MetricsObserver`; `sample` is to be called once a second.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}
        self._latencies: dict[str, deque[float]] = {}
        self._failed: dict[str, int] = {}

    def record(self, instrument: Instrument, labels: tuple[str, ...], amount: float) -> None:
        """Record a measurement. The first label is the endpoint, the tool or the feed."""
        name = labels[0]
        if instrument is metrics.CALL_DURATION:
            if (kept := _bounded(self._latencies, name, lambda: deque(maxlen=MAX_LATENCIES))) is not None:
                kept.append(amount)
        elif instrument is metrics.CALL_COUNT and labels[1]:
            if name in self._failed or len(self._failed) < MAX_NAMES:
                self._failed[name] = self._failed.get(name, 0) + 1
        elif (series := COUNTED.get(instrument)) is not None:
            counted = _bounded(self._series, (name, series), Series)
            if counted is not None:
                counted.total += amount

    def sample(self) -> None:
        """Note the growth of every counter since the last call."""
        for series in self._series.values():
            series.sample()

    def rates(self, name: str, series: str) -> list[float]:
        """Return what happened in each of the last `SECONDS` seconds, the newest last; zeros before it was counted."""
        counted = self._series.get((name, series))
        values = list(counted.values) if counted is not None else []
        return [0.0] * (SECONDS - len(values)) + values

    def total(self, name: str, series: str) -> int:
        """Return how often something has happened."""
        counted = self._series.get((name, series))
        return int(counted.total) if counted is not None else 0

    def latency(self, tool: str) -> Latency:
        """Return the durations of the calls of `manual.tool`."""
        return Latency(tuple(self._latencies.get(tool, ())), self._failed.get(tool, 0))


def _bounded(kept: dict[Key, Value], key: Key, make: Callable[[], Value]) -> Value | None:
    """Return the value of a key, made if it is missing; None if there are too many."""
    if key not in kept:
        if len(kept) >= MAX_NAMES:
            return None
        kept[key] = make()
    return kept[key]
