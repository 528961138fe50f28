"""OpenTelemetry: spans and metrics, exported to the collector that the OTEL_* variables name.

The span that the MCP SDK makes for a request continues the trace that the client sent in `_meta`. The spans of this
module are its children, because the events of a call are issued in the context of the call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import SpanKind, Status, StatusCode

from .. import __version__
from ..errors import ServeOptionsError
from ..manifest.extras import needs_extra
from . import events, feed_events
from .metrics import BUCKET_BOUNDS, INSTRUMENTS, GaugeSource, Instrument, MetricsObserver
from .redaction import redact_strings

SERVICE_NAME: Final = "utcp-ws-mcp"
SHUTDOWN_TIMEOUT: Final = 2.0
"""Seconds that the last spans and measurements have to reach the collector."""

_sent_requests: ContextVar[tuple[tuple[int, events.RequestSent], ...]] = ContextVar("requests", default=())


class SpanObserver:
    """An observer that makes a span for each call and each connection. `guard` removes credentials from its texts."""

    def __init__(self, guard: Callable[[str], str] = str) -> None:
        self._guard = guard
        self._tracer = trace.get_tracer(SERVICE_NAME, __version__)

    def __call__(self, event: events.Event) -> None:
        """Record an event."""
        match event:
            case events.RequestSent():
                _sent_requests.set((*_sent_requests.get(), (time.time_ns(), event)))
            case events.CallFinished():
                self._record_call(event)
            case events.ConnectionOpened(manual, address, seconds):
                attributes = {"utcp.manual": manual, "url.full": address}
                self._start_span(f"connect {manual}", seconds, attributes).end()
            case feed_events.FeedOpened(feed, _, seconds, reconnected):
                opened = {"utcp.feed": feed, "utcp.feed.reconnected": reconnected}
                self._start_span(f"open {feed}", seconds, opened).end()
            case feed_events.FeedInterrupted(feed, _, reason, code, seconds):
                span = self._start_span(f"feed {feed}", seconds, {"utcp.feed": feed, "error.type": code})
                span.set_status(Status(StatusCode.ERROR, self._guard(reason)))
                span.end()
            case feed_events.FeedGapFound(feed, _, after):
                self._start_span(f"gap {feed}", 0, {"utcp.feed": feed, "utcp.feed.after": after}).end()

    def _record_call(self, event: events.CallFinished) -> None:
        requests = _sent_requests.get()
        _sent_requests.set(())
        attributes: dict[str, Any] = {"utcp.tool": event.tool}
        if requests:
            attributes["url.full"] = requests[-1][1].address
        span = self._start_span(event.tool, event.seconds, attributes)
        for timestamp, request in requests:
            span.add_event("request sent", {"utcp.wait_seconds": request.seconds}, timestamp=timestamp)
        if event.error is not None:
            span.set_attribute("error.type", event.error_type or "error")
            span.set_status(Status(StatusCode.ERROR, self._guard(event.error)))
        span.end()

    def _start_span(self, name: str, seconds: float, attributes: dict[str, Any]) -> trace.Span:
        """Return a span that began `seconds` ago, as a child of the current one."""
        start_time = time.time_ns() - int(seconds * 1e9)
        safe = redact_strings(attributes, self._guard)
        return self._tracer.start_span(self._guard(name), kind=SpanKind.CLIENT, attributes=safe, start_time=start_time)


def make_metrics_observer(gauges: GaugeSource, guard: Callable[[str], str] = str) -> MetricsObserver:
    """Return an observer that records measurements with OpenTelemetry, which also reads the gauges."""
    meter = metrics.get_meter(SERVICE_NAME, __version__)
    recorders = {each: _make_recorder(meter, each) for each in INSTRUMENTS if each.kind != "gauge"}
    for each in INSTRUMENTS:
        if each.kind == "gauge":
            callback = partial(_observe_gauge, each, gauges)
            meter.create_observable_up_down_counter(each.name, [callback], description=each.description)

    def record(instrument: Instrument, labels: tuple[str, ...], amount: float) -> None:
        recorders[instrument](amount, dict(zip(instrument.labels, labels, strict=True)))

    return MetricsObserver(record, guard)


def _observe_gauge(instrument: Instrument, gauges: GaugeSource, _: CallbackOptions) -> Iterable[Observation]:
    try:
        measurements = list(gauges.measurements())
    except RuntimeError:
        # The exporter calls this in a thread of its own, and a pool changed while it was read ("changed size during
        # iteration"). The next export has the value; a lock would cost every call.
        return []
    return [
        Observation(amount, dict(zip(instrument.labels, labels, strict=True)))
        for measured, labels, amount in measurements
        if measured is instrument
    ]


def _make_recorder(meter: metrics.Meter, instrument: Instrument) -> Callable[[float, dict[str, str]], None]:
    name, description = instrument.name, instrument.description
    if instrument.kind == "histogram":
        bounds = list(BUCKET_BOUNDS)
        return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=bounds).record
    return meter.create_counter(name, description=description).add


@contextmanager
def telemetry(
    guard: Callable[[str], str], gauges: GaugeSource, guard_names: Callable[[str], str] | None = None
) -> Iterator[events.Observer]:
    """Yield an observer whose spans and metrics are exported over OTLP until the block ends.

    `guard` removes credentials from the texts of spans, `guard_names` from the labels of metrics.

    Raises:
        ServeOptionsError: if the extra `otel` is not installed.
    """
    try:
        tracing, measuring = _providers()
    except ImportError as missing:
        raise ServeOptionsError(needs_extra("--otel", "otel"), code="extra-not-installed") from missing
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(measuring)
    try:
        yield events.broadcast((SpanObserver(guard), make_metrics_observer(gauges, guard_names or guard)))
    finally:
        _shut_down(tracing, measuring)


def _shut_down(*providers: Any) -> None:
    """Export what is left, within SHUTDOWN_TIMEOUT seconds: exporters wait much longer for an absent collector."""
    threads = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + SHUTDOWN_TIMEOUT
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _providers() -> tuple[Any, Any]:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = Resource({"service.name": SERVICE_NAME, "service.version": __version__})
    resource = own.merge(OTELResourceDetector().detect())
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return tracing, MeterProvider([reader], resource=resource, shutdown_on_exit=False)
