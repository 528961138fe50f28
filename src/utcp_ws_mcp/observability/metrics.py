"""Metrics: what each event adds to which instrument, and the text that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from . import events

Kind = Literal["counter", "gauge", "histogram"]
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds up to which the buckets of a histogram reach."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that is counted or measured, for each combination of its labels. A gauge is moved up and down."""

    name: str
    kind: Kind
    description: str
    labels: tuple[str, ...]


CALLS: Final = Instrument("utcp_ws_calls", "counter", "Calls that ended, by how they did.", ("tool", "outcome"))
DURATIONS: Final = Instrument("utcp_ws_call_seconds", "histogram", "Seconds from a call to its result.", ("tool",))
WAITS: Final = Instrument(
    "utcp_ws_request_wait_seconds", "histogram", "Seconds from a call until its request was sent.", ("tool",)
)
OPEN: Final = Instrument("utcp_ws_connections", "gauge", "WebSockets that are open.", ("manual",))
OPENED: Final = Instrument("utcp_ws_connections_opened", "counter", "WebSockets that were opened.", ("manual",))
LOST: Final = Instrument(
    "utcp_ws_connections_lost", "counter", "WebSockets that the endpoint or the network ended.", ("manual",)
)
RECONNECTS: Final = Instrument(
    "utcp_ws_reconnects", "counter", "WebSockets that were opened in place of a lost one.", ("manual",)
)
SENT: Final = Instrument("utcp_ws_messages_sent", "counter", "Messages that went out.", ("manual",))
TAKEN: Final = Instrument(
    "utcp_ws_messages_taken", "counter", "Messages that came in and were taken for something.", ("manual",)
)
DROPPED: Final = Instrument(
    "utcp_ws_messages_dropped", "counter", "Messages that came in and belonged to no call.", ("manual",)
)
TOLD: Final = Instrument("utcp_ws_discoveries", "counter", "Manuals that endpoints told.", ("manual",))
FAILED: Final = Instrument("utcp_ws_discoveries_failed", "counter", "Times that no manual could be had.", ("manual",))
INSTRUMENTS: Final = (CALLS, DURATIONS, WAITS, OPEN, OPENED, LOST, RECONNECTS, SENT, TAKEN, DROPPED, TOLD, FAILED)

Reading = tuple[Instrument, tuple[str, ...], float]
Record = Callable[[Instrument, tuple[str, ...], float], None]


class Meter:
    """An observer that records what events add."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lost: Counter[str] = Counter()

    def __call__(self, event: events.Event) -> None:
        """Record an event."""
        for instrument, labels, amount in self._readings(event):
            self._record(instrument, labels, amount)

    def _readings(self, event: events.Event) -> Iterator[Reading]:
        match event:
            case events.Called(tool, seconds, _, kind):
                yield CALLS, (tool, kind or "ok"), 1
                yield DURATIONS, (tool,), seconds
            case events.Requested(tool, _, seconds):
                yield WAITS, (tool,), seconds
            case events.Opened(manual):
                yield from self._opened(manual)
            case events.Closed(manual, _, _, by_peer):
                yield from self._closed(manual, by_peer)
            case events.Discovered(manual):
                yield TOLD, (manual,), 1
            case events.Failed(manual):
                yield FAILED, (manual,), 1
            case events.Sent(manual):
                yield SENT, (manual,), 1
            case events.Received(manual, _, role):
                yield DROPPED if role == "dropped" else TAKEN, (manual,), 1

    def _opened(self, manual: str) -> Iterator[Reading]:
        yield OPEN, (manual,), 1
        yield OPENED, (manual,), 1
        if self._lost[manual]:
            self._lost[manual] -= 1
            yield RECONNECTS, (manual,), 1

    def _closed(self, manual: str, by_peer: bool) -> Iterator[Reading]:
        yield OPEN, (manual,), -1
        if by_peer:
            self._lost[manual] += 1
            yield LOST, (manual,), 1


@dataclass(slots=True)
class _Histogram:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0


class Prometheus:
    """Keeps what was recorded, and shows it in the text format of Prometheus."""

    def __init__(self) -> None:
        self._sums: dict[Instrument, dict[tuple[str, ...], float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[Instrument, dict[tuple[str, ...], _Histogram]] = defaultdict(
            lambda: defaultdict(_Histogram)
        )

    def record(self, instrument: Instrument, labels: tuple[str, ...], amount: float) -> None:
        """Take a reading in."""
        if instrument.kind == "histogram":
            histogram = self._histograms[instrument][labels]
            histogram.buckets[bisect_left(BOUNDS, amount)] += 1
            histogram.total += amount
        else:
            self._sums[instrument][labels] += amount

    def text(self) -> str:
        """All instruments, also those that nothing was recorded for."""
        return "".join(line + "\n" for instrument in INSTRUMENTS for line in self._lines(instrument))

    def _lines(self, instrument: Instrument) -> Iterator[str]:
        name = f"{instrument.name}_total" if instrument.kind == "counter" else instrument.name
        yield f"# HELP {name} {instrument.description}"
        yield f"# TYPE {name} {instrument.kind}"
        for labels, value in self._sums[instrument].items():
            yield f"{name}{_shown(instrument.labels, labels)} {value:.0f}"
        for labels, histogram in self._histograms[instrument].items():
            yield from _histogram_lines(instrument, labels, histogram)


def _histogram_lines(instrument: Instrument, labels: tuple[str, ...], histogram: _Histogram) -> Iterator[str]:
    count = 0
    for bound, inside in zip((*map(repr, BOUNDS), "+Inf"), histogram.buckets, strict=True):
        count += inside
        yield f"{instrument.name}_bucket{_shown((*instrument.labels, 'le'), (*labels, bound))} {count}"
    shown = _shown(instrument.labels, labels)
    yield f"{instrument.name}_sum{shown} {histogram.total!r}"
    yield f"{instrument.name}_count{shown} {count}"


def _shown(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
