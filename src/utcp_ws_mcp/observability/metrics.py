"""Metrics: the instruments, how each event changes them, and their export in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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

RecordMeasurement = Callable[[Instrument, tuple[str, ...], float], None]


class MetricsObserver:
    """An observer that records the measurements of counters and histograms. `guard` removes credentials from labels."""

    def __init__(self, record: RecordMeasurement, guard: Callable[[str], str] = str) -> None:
        self._record = record
        self._guard = guard
        self._lost: Counter[str] = Counter()

    def __call__(self, event: events.Event) -> None:
        """Record an event."""
        for instrument, labels, amount in self._measurements(event):
            self._record(instrument, tuple(map(self._guard, labels)), amount)

    def _measurements(self, event: events.Event) -> Iterator[Measurement]:
        match event:
            case events.CallFinished(tool, seconds, _, error_type):
                yield CALL_COUNT, (tool, error_type or ""), 1
                yield CALL_DURATION, (tool,), seconds
            case events.RequestSent(tool, _, seconds):
                yield CONNECTION_WAIT, (tool,), seconds
            case events.ConnectionOpened(manual):
                yield from self._opened(manual)
            case events.ConnectionClosed(manual, remote=True):
                self._lost[manual] += 1
                yield CONNECTIONS_LOST, (manual,), 1
            case events.DiscoverySucceeded(manual):
                yield DISCOVERY_ATTEMPTS, (manual, "success"), 1
            case events.DiscoveryFailed(manual):
                yield DISCOVERY_ATTEMPTS, (manual, "failure"), 1
            case events.MessageSent(manual):
                yield MESSAGES_SENT, (manual,), 1
            case events.MessageReceived(manual, _, role):
                yield MESSAGES_RECEIVED, (manual, role), 1
                if role == UNMATCHED:
                    yield MESSAGES_UNMATCHED, (manual,), 1
            case _:
                yield from _fleet_measurements(event)
                yield from _feed_measurements(event)

    def _opened(self, manual: str) -> Iterator[Measurement]:
        yield CONNECTIONS_OPENED, (manual,), 1
        if self._lost[manual]:
            self._lost[manual] -= 1
            yield RECONNECTS, (manual,), 1


def _fleet_measurements(event: events.Event) -> Iterator[Measurement]:
    if isinstance(event, events.SharedStoreLost):
        yield SHARED_STORE_LOSSES, (event.code,), 1


def _feed_measurements(event: events.Event) -> Iterator[Measurement]:
    if not isinstance(event, events.FeedEvent):
        return
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
    """The instruments in a registry of `prometheus_client`, which writes the text format."""

    def __init__(self, gauges: GaugeSource | None = None) -> None:
        # 30 ms of imports, and only `serve --http` has a page of metrics.
        from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
        from prometheus_client import Counter as PrometheusCounter
        from prometheus_client import Gauge as PrometheusGauge
        from prometheus_client import Histogram as PrometheusHistogram

        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time series more for each label, which nothing reads
        self._registry = CollectorRegistry(auto_describe=False)  # its own: the default one belongs to the program
        self._generate = generate_latest
        self._gauges = GaugeSource() if gauges is None else gauges
        self._metrics: dict[Instrument, Any] = {}
        self._children: dict[tuple[str, ...], Any] = {}
        for each in INSTRUMENTS:
            options: dict[str, Any] = {"registry": self._registry}
            match each.kind:
                case "counter":
                    metric: Any = PrometheusCounter(each.name, each.description, each.labels, **options)
                case "gauge":
                    metric = PrometheusGauge(each.name, each.description, each.labels, **options)
                case "histogram":
                    options["buckets"] = BUCKET_BOUNDS
                    metric = PrometheusHistogram(each.name, each.description, each.labels, **options)
            self._metrics[each] = metric

    def record(self, instrument: Instrument, labels: tuple[str, ...], amount: float) -> None:
        """Record a measurement of a counter or histogram."""
        key = (instrument.name, *labels)
        child = self._children.get(key)
        if child is None:  # `labels` compares the names of the labels each time
            child = self._children[key] = self._metrics[instrument].labels(*labels)
        if instrument.kind == "histogram":
            child.observe(amount)
        else:
            child.inc(amount)

    def render(self) -> str:
        """Return all instruments, including those without measurements, in the text format of Prometheus."""
        for instrument in INSTRUMENTS:
            if instrument.kind == "gauge":
                self._metrics[instrument].clear()  # a manual that was removed must not keep its last value
        for instrument, labels, amount in self._gauges.measurements():
            self._metrics[instrument].labels(*labels).set(amount)
        return self._generate(self._registry).decode()
