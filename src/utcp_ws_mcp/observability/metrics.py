"""Metrics: what each event adds to which instrument, and the text that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from . import events

InstrumentKind = Literal["counter", "gauge", "histogram"]
BUCKET_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds up to which the buckets of a histogram reach."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that is counted or measured, for each combination of its labels. A gauge is moved up and down."""

    name: str
    kind: InstrumentKind
    description: str
    labels: tuple[str, ...]


CALL_COUNT: Final = Instrument("utcp_ws_calls", "counter", "Calls that ended, by how they did.", ("tool", "outcome"))
CALL_DURATION: Final = Instrument("utcp_ws_call_seconds", "histogram", "Seconds from a call to its result.", ("tool",))
CONNECTION_WAIT: Final = Instrument(
    "utcp_ws_request_wait_seconds", "histogram", "Seconds from a call until its request was sent.", ("tool",)
)
CONNECTION_COUNT: Final = Instrument("utcp_ws_connections", "gauge", "WebSockets that are open.", ("manual",))
CONNECTIONS_OPENED: Final = Instrument(
    "utcp_ws_connections_opened", "counter", "WebSockets that were opened.", ("manual",)
)
CONNECTIONS_LOST: Final = Instrument(
    "utcp_ws_connections_lost", "counter", "WebSockets that the endpoint or the network ended.", ("manual",)
)
RECONNECTS: Final = Instrument(
    "utcp_ws_reconnects", "counter", "WebSockets that were opened in place of a lost one.", ("manual",)
)
MESSAGES_SENT: Final = Instrument("utcp_ws_messages_sent", "counter", "Messages that went out.", ("manual",))
MESSAGES_RECEIVED: Final = Instrument(
    "utcp_ws_messages_taken", "counter", "Messages that came in and were taken for something.", ("manual",)
)
MESSAGES_UNMATCHED: Final = Instrument(
    "utcp_ws_messages_dropped", "counter", "Messages that came in and belonged to no call.", ("manual",)
)
DISCOVERY_SUCCESSES: Final = Instrument("utcp_ws_discoveries", "counter", "Manuals that endpoints told.", ("manual",))
DISCOVERY_FAILURES: Final = Instrument(
    "utcp_ws_discoveries_failed", "counter", "Times that no manual could be had.", ("manual",)
)
INSTRUMENTS: Final = (
    CALL_COUNT,
    CALL_DURATION,
    CONNECTION_WAIT,
    CONNECTION_COUNT,
    CONNECTIONS_OPENED,
    CONNECTIONS_LOST,
    RECONNECTS,
    MESSAGES_SENT,
    MESSAGES_RECEIVED,
    MESSAGES_UNMATCHED,
    DISCOVERY_SUCCESSES,
    DISCOVERY_FAILURES,
)

Measurement = tuple[Instrument, tuple[str, ...], float]
RecordMeasurement = Callable[[Instrument, tuple[str, ...], float], None]


class MetricsObserver:
    """An observer that records what events add."""

    def __init__(self, record: RecordMeasurement) -> None:
        self._record = record
        self._lost: Counter[str] = Counter()

    def __call__(self, event: events.Event) -> None:
        """Record an event."""
        for instrument, labels, amount in self._measurements(event):
            self._record(instrument, labels, amount)

    def _measurements(self, event: events.Event) -> Iterator[Measurement]:
        match event:
            case events.CallFinished(tool, seconds, _, kind):
                yield CALL_COUNT, (tool, kind or "ok"), 1
                yield CALL_DURATION, (tool,), seconds
            case events.RequestSent(tool, _, seconds):
                yield CONNECTION_WAIT, (tool,), seconds
            case events.ConnectionOpened(manual):
                yield from self._opened(manual)
            case events.ConnectionClosed(manual, _, _, by_peer):
                yield from self._closed(manual, by_peer)
            case events.DiscoverySucceeded(manual):
                yield DISCOVERY_SUCCESSES, (manual,), 1
            case events.DiscoveryFailed(manual):
                yield DISCOVERY_FAILURES, (manual,), 1
            case events.MessageSent(manual):
                yield MESSAGES_SENT, (manual,), 1
            case events.MessageReceived(manual, _, role):
                yield MESSAGES_UNMATCHED if role == "dropped" else MESSAGES_RECEIVED, (manual,), 1

    def _opened(self, manual: str) -> Iterator[Measurement]:
        yield CONNECTION_COUNT, (manual,), 1
        yield CONNECTIONS_OPENED, (manual,), 1
        if self._lost[manual]:
            self._lost[manual] -= 1
            yield RECONNECTS, (manual,), 1

    def _closed(self, manual: str, remote: bool) -> Iterator[Measurement]:
        yield CONNECTION_COUNT, (manual,), -1
        if remote:
            self._lost[manual] += 1
            yield CONNECTIONS_LOST, (manual,), 1


@dataclass(slots=True)
class _Histogram:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKET_BOUNDS) + 1))
    total: float = 0.0


class PrometheusRegistry:
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
            histogram.buckets[bisect_left(BUCKET_BOUNDS, amount)] += 1
            histogram.total += amount
        else:
            self._sums[instrument][labels] += amount

    def render(self) -> str:
        """All instruments, also those that nothing was recorded for."""
        return "".join(line + "\n" for instrument in INSTRUMENTS for line in self._lines(instrument))

    def _lines(self, instrument: Instrument) -> Iterator[str]:
        name = f"{instrument.name}_total" if instrument.kind == "counter" else instrument.name
        yield f"# HELP {name} {instrument.description}"
        yield f"# TYPE {name} {instrument.kind}"
        for labels, value in self._sums[instrument].items():
            yield f"{name}{_format_labels(instrument.labels, labels)} {value:.0f}"
        for labels, histogram in self._histograms[instrument].items():
            yield from _histogram_lines(instrument, labels, histogram)


def _histogram_lines(instrument: Instrument, labels: tuple[str, ...], histogram: _Histogram) -> Iterator[str]:
    count = 0
    for bound, inside in zip((*map(repr, BUCKET_BOUNDS), "+Inf"), histogram.buckets, strict=True):
        count += inside
        yield f"{instrument.name}_bucket{_format_labels((*instrument.labels, 'le'), (*labels, bound))} {count}"
    shown = _format_labels(instrument.labels, labels)
    yield f"{instrument.name}_sum{shown} {histogram.total!r}"
    yield f"{instrument.name}_count{shown} {count}"


def _format_labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = (f'{name}="{_escape_label_value(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escape_label_value(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
