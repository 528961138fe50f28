"""Metrics: the instruments, how each event changes them, and their export in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Final, Literal

from ..records import MutableRecord, Record
from . import events

InstrumentKind = Literal["counter", "gauge", "histogram"]
BUCKET_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets of a histogram, in seconds."""

PROMETHEUS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of `PrometheusRegistry.render`."""

UNMATCHED: Final = "dropped"
"""The role of a message that belongs to no call (`core.exchange.reply_rules.Role.DROPPED`)."""


class Instrument(Record):
    """A counter, gauge or histogram with its labels. A gauge is read from the bridge when it is exported."""

    name: str
    kind: InstrumentKind
    description: str
    labels: tuple[str, ...]


CALL_COUNT: Final = Instrument(
    "utcp_ws_calls", "counter", "Calls that ended; error_type is empty on success.", ("tool", "error_type")
)
CALL_DURATION: Final = Instrument(
    "utcp_ws_call_duration_seconds", "histogram", "Seconds from a call to its result.", ("tool",)
)
CONNECTION_WAIT: Final = Instrument(
    "utcp_ws_connection_wait_seconds", "histogram", "Seconds that a call waited for its connection.", ("tool",)
)
CONNECTION_COUNT: Final = Instrument(
    "utcp_ws_connections", "gauge", "Open connections, by whether a call uses them (idle or used).", ("manual", "state")
)
PENDING_REQUESTS: Final = Instrument(
    "utcp_ws_pending_requests", "gauge", "Calls that wait for a connection.", ("manual",)
)
CONNECTIONS_OPENED: Final = Instrument(
    "utcp_ws_connections_opened", "counter", "Connections that were opened.", ("manual",)
)
CONNECTIONS_LOST: Final = Instrument(
    "utcp_ws_connections_lost", "counter", "Connections that the endpoint or the network ended.", ("manual",)
)
RECONNECTS: Final = Instrument(
    "utcp_ws_reconnects", "counter", "Connections that were opened to replace a lost one.", ("manual",)
)
MESSAGES_SENT: Final = Instrument("utcp_ws_messages_sent", "counter", "Messages that were sent.", ("manual",))
MESSAGES_RECEIVED: Final = Instrument(
    "utcp_ws_messages_received", "counter", "Messages that were received, by their role.", ("manual", "role")
)
MESSAGES_UNMATCHED: Final = Instrument(
    "utcp_ws_messages_unmatched", "counter", "Received messages that belonged to no call and were dropped.", ("manual",)
)
DISCOVERY_ATTEMPTS: Final = Instrument(
    "utcp_ws_discovery_attempts", "counter", "Discoveries, by their result (success or failure).", ("manual", "result")
)
FEED_EVENTS: Final = Instrument("utcp_ws_feed_events", "counter", "Events that a feed received.", ("feed",))
FEED_EVENTS_INVALID: Final = Instrument(
    "utcp_ws_feed_events_invalid", "counter", "Events whose data could not be computed, and were left out.", ("feed",)
)
FEED_EVICTIONS: Final = Instrument(
    "utcp_ws_feed_evictions", "counter", "Events that a feed removed because of a limit.", ("feed",)
)
FEED_GAPS: Final = Instrument(
    "utcp_ws_feed_gaps", "counter", "Places where events of a feed may be missing.", ("feed",)
)
FEED_INTERRUPTIONS: Final = Instrument(
    "utcp_ws_feed_interruptions", "counter", "Times that a feed could not be opened, or lost its connection.", ("feed",)
)
FEED_RECONNECTS: Final = Instrument("utcp_ws_feed_reconnects", "counter", "Times that a feed opened again.", ("feed",))
FEED_LAG: Final = Instrument(
    "utcp_ws_feed_lag_seconds", "histogram", "Seconds from the oldest event of a read to the read.", ("feed",)
)
FEED_COUNT: Final = Instrument(
    "utcp_ws_feeds", "gauge", "Sets of arguments that are followed, by state.", ("feed", "state")
)
FEED_READERS: Final = Instrument(
    "utcp_ws_feed_readers", "gauge", "Reads that wait for events, and subscriptions.", ("feed",)
)
FEED_BYTES: Final = Instrument("utcp_ws_feed_bytes", "gauge", "Memory of the events that are kept.", ("feed",))
SHARED_STORE_LOSSES: Final = Instrument(
    "utcp_ws_shared_store_losses", "counter", "Times that the shared store was lost, by code.", ("code",)
)
SHARED_STORE_UP: Final = Instrument(
    "utcp_ws_shared_store_up", "gauge", "Whether the shared store answers (1 or 0); only with --shared.", ("fleet",)
)
REPLICAS: Final = Instrument(
    "utcp_ws_replicas", "gauge", "Replicas that were last seen in the shared store; only with --shared.", ("fleet",)
)
INSTRUMENTS: Final = (
    CALL_COUNT,
    CALL_DURATION,
    CONNECTION_WAIT,
    CONNECTION_COUNT,
    PENDING_REQUESTS,
    CONNECTIONS_OPENED,
    CONNECTIONS_LOST,
    RECONNECTS,
    MESSAGES_SENT,
    MESSAGES_RECEIVED,
    MESSAGES_UNMATCHED,
    DISCOVERY_ATTEMPTS,
    FEED_EVENTS,
    FEED_EVENTS_INVALID,
    FEED_EVICTIONS,
    FEED_GAPS,
    FEED_INTERRUPTIONS,
    FEED_RECONNECTS,
    FEED_LAG,
    FEED_COUNT,
    FEED_READERS,
    FEED_BYTES,
    SHARED_STORE_LOSSES,
    SHARED_STORE_UP,
    REPLICAS,
)

Measurement = tuple[Instrument, tuple[str, ...], float]
"""An instrument, the values of its labels, and the amount."""

Series = dict[tuple[str, ...], list[float]]
"""The numbers of an instrument by the values of its labels.

Of a counter or gauge its value; of a histogram how many amounts each bucket has, and last their sum.
"""

RecordMeasurement = Callable[[Instrument, tuple[str, ...], float], None]


class MetricsObserver(events.CompositeObserver):
    """An observer that records the measurements of counters and histograms. `guard` removes credentials from labels."""

    def __init__(self, record: RecordMeasurement, guard: Callable[[str], str] | None = None) -> None:
        self._add = record if guard is None else partial(_record_guarded, record, guard)
        self._lost: Counter[str] = Counter()
        self._measures: Mapping[type, Callable[[Any], None]] = {
            events.CallFinished: self._call_finished,
            events.RequestSent: lambda event: self._add(CONNECTION_WAIT, (event.tool,), event.seconds),
            events.MessageSent: lambda event: self._add(MESSAGES_SENT, (event.manual,), 1),
            events.MessageReceived: self._message_received,
            events.ConnectionOpened: self._opened,
            events.ConnectionClosed: self._closed,
            events.DiscoverySucceeded: lambda event: self._add(DISCOVERY_ATTEMPTS, (event.manual, "success"), 1),
            events.DiscoveryFailed: lambda event: self._add(DISCOVERY_ATTEMPTS, (event.manual, "failure"), 1),
            events.SharedStoreLost: lambda event: self._add(SHARED_STORE_LOSSES, (event.code,), 1),
        }

    def handlers(self, kind: type) -> Sequence[Callable[[Any], None]]:
        """Return what records events of a type."""
        if issubclass(kind, events.FeedEvent):
            return (self._feed_changed,)
        measure = self._measures.get(kind)
        return () if measure is None else (measure,)

    def _feed_changed(self, event: events.FeedEvent) -> None:
        for measurement in _feed_measurements(event):
            self._add(*measurement)

    def _call_finished(self, event: events.CallFinished) -> None:
        self._add(CALL_COUNT, (event.tool, event.error_type or ""), 1)
        self._add(CALL_DURATION, (event.tool,), event.seconds)

    def _message_received(self, event: events.MessageReceived) -> None:
        self._add(MESSAGES_RECEIVED, (event.manual, event.role), 1)
        if event.role == UNMATCHED:
            self._add(MESSAGES_UNMATCHED, (event.manual,), 1)

    def _opened(self, event: events.ConnectionOpened) -> None:
        self._add(CONNECTIONS_OPENED, (event.manual,), 1)
        if self._lost[event.manual]:
            self._lost[event.manual] -= 1
            self._add(RECONNECTS, (event.manual,), 1)

    def _closed(self, event: events.ConnectionClosed) -> None:
        if event.remote:
            self._lost[event.manual] += 1
            self._add(CONNECTIONS_LOST, (event.manual,), 1)


def _record_guarded(
    record: RecordMeasurement,
    guard: Callable[[str], str],
    instrument: Instrument,
    labels: tuple[str, ...],
    amount: float,
) -> None:
    record(instrument, tuple(map(guard, labels)), amount)


def _feed_measurements(event: events.FeedEvent) -> Iterator[Measurement]:
    from . import feed_events

    match event:
        case feed_events.FeedEventAdded(feed):
            yield FEED_EVENTS, (feed,), 1
        case feed_events.FeedRead(feed, _, lag):
            yield FEED_LAG, (feed,), lag
        case feed_events.FeedEventsEvicted(feed, count):
            yield FEED_EVICTIONS, (feed,), count
        case feed_events.FeedEventInvalid(feed):
            yield FEED_EVENTS_INVALID, (feed,), 1
        case feed_events.FeedGapFound(feed):
            yield FEED_GAPS, (feed,), 1
        case feed_events.FeedInterrupted(feed):
            yield FEED_INTERRUPTIONS, (feed,), 1
        case feed_events.FeedOpened(feed, reconnected=True):
            yield FEED_RECONNECTS, (feed,), 1


def feed_measurements(feeds: Iterable[tuple[str, str, int, int]]) -> Iterator[Measurement]:
    """Yield the gauges of feeds: `feeds` has the name, state, readers and bytes of each set of arguments."""
    counts: Counter[tuple[str, str]] = Counter()
    readers: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for name, state, reading, size in feeds:
        counts[name, state] += 1
        readers[name] += reading
        kept[name] += size
    for labels, count in counts.items():
        yield FEED_COUNT, labels, count
    for name in readers:
        yield FEED_READERS, (name,), readers[name]
        yield FEED_BYTES, (name,), kept[name]


def fleet_measurements(fleet: str, replicas: int, *, up: bool) -> Iterator[Measurement]:
    """Yield the gauges of a fleet, and of the store that it shares."""
    yield SHARED_STORE_UP, (fleet,), int(up)
    yield REPLICAS, (fleet,), replicas


def pool_measurements(manual: str, connections: int, used: int, pending: int) -> Iterator[Measurement]:
    """Yield the gauges of a pool: `used` of its open `connections` serve calls, and `pending` calls wait for one."""
    yield CONNECTION_COUNT, (manual, "idle"), connections - used
    yield CONNECTION_COUNT, (manual, "used"), used
    yield PENDING_REQUESTS, (manual,), pending


class GaugeSource(MutableRecord):
    """Where exporters read the gauges.

    `read` is set when the bridge exists; a bridge is created with its observers, so the exporters exist before it.
    `guard` removes credentials from labels.
    """

    read: Callable[[], Iterable[Measurement]] = tuple
    guard: Callable[[str], str] = str

    def measurements(self) -> Iterator[Measurement]:
        """Yield the gauges as they are now, without credentials in their labels."""
        for instrument, labels, amount in self.read():
            yield instrument, tuple(map(self.guard, labels)), amount


class PrometheusRegistry:
    """The instruments in the text format of Prometheus, which `prometheus_client` writes.

    The numbers are kept here: a counter of that library takes a lock and several calls for each change, and every
    call makes five. Labels lose their credentials when they are exported, so a secret that was learned after the first
    measurement is removed as well.
    """

    def __init__(self, gauges: GaugeSource | None = None) -> None:
        self._gauges = GaugeSource() if gauges is None else gauges
        self._series: dict[str, Series] = {each.name: {} for each in INSTRUMENTS}

    def record(self, instrument: Instrument, labels: tuple[str, ...], amount: float) -> None:
        """Record a measurement of a counter or histogram."""
        series = self._series[instrument.name]
        is_histogram = instrument.kind == "histogram"
        numbers = series.get(labels)
        if numbers is None:
            numbers = series[labels] = [0.0] * (len(BUCKET_BOUNDS) + 2 if is_histogram else 1)
        numbers[-1] += amount
        if is_histogram:
            numbers[bisect_left(BUCKET_BOUNDS, amount)] += 1

    def render(self) -> str:
        """Return all instruments, including those without measurements, in the text format of Prometheus."""
        from prometheus_client import generate_latest  # 30 ms of imports, and only `serve --http` has such a page

        return generate_latest(self).decode()

    def collect(self) -> Iterator[Any]:
        """Yield each instrument as a family of `prometheus_client`."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        families: Mapping[InstrumentKind, Any] = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        gauges: dict[str, Series] = {each.name: {} for each in INSTRUMENTS}
        for instrument, labels, amount in self._gauges.read():
            gauges[instrument.name][labels] = [amount]
        for each in INSTRUMENTS:
            family = families[each.kind](each.name, each.description, labels=each.labels)
            for labels, numbers in self._guarded({**self._series[each.name], **gauges[each.name]}).items():
                family.add_metric(labels, *((_buckets(numbers), numbers[-1]) if each.kind == "histogram" else numbers))
            yield family

    def _guarded(self, series: Series) -> Series:
        """Return time series without credentials in their labels; those that then have the same are added."""
        guarded: Series = {}
        for labels, numbers in series.items():
            safe = tuple(map(self._gauges.guard, labels))
            same = guarded.get(safe, [0.0] * len(numbers))
            guarded[safe] = [one + other for one, other in zip(same, numbers, strict=True)]
        return guarded


def _buckets(numbers: Sequence[float]) -> list[tuple[str, float]]:
    """Return the upper bounds of the buckets, and how many amounts are not above each."""
    return list(zip([*map(str, BUCKET_BOUNDS), "+Inf"], accumulate(numbers[:-1]), strict=True))
