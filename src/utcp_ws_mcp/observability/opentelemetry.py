"""OpenTelemetry: spans and metrics of what happened, sent to the collector that the OTEL_* variables name.

The SDK's span of an MCP request continues the trace that the client gave in `_meta`; the spans of this module stand
beneath it, because events of a call come in the call's own context.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from .. import __version__
from ..errors import ServeOptionsError
from . import events
from .metrics import BUCKET_BOUNDS, INSTRUMENTS, Instrument, MetricsObserver

SERVICE_NAME: Final = "utcp-ws-mcp"
SHUTDOWN_TIMEOUT: Final = 2.0
"""Seconds that the last spans and figures have to reach the collector."""

_sent_requests: ContextVar[tuple[tuple[int, events.RequestSent], ...]] = ContextVar("requests", default=())


class SpanObserver:
    """An observer that makes a span of each call and of each connection. `redact` takes secrets out of a text."""

    def __init__(self, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._tracer = trace.get_tracer(SERVICE_NAME, __version__)

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        match event:
            case events.RequestSent():
                _sent_requests.set((*_sent_requests.get(), (time.time_ns(), event)))
            case events.CallFinished():
                self._record_call(event)
            case events.ConnectionOpened(manual, address, seconds):
                facts = {"utcp.manual": manual, "url.full": address}
                self._start_span(f"connect {manual}", seconds, facts).end()

    def _record_call(self, event: events.CallFinished) -> None:
        requests = _sent_requests.get()
        _sent_requests.set(())
        facts: dict[str, Any] = {"utcp.tool": event.tool}
        if requests:
            facts["url.full"] = requests[-1][1].address
        span = self._start_span(event.tool, event.seconds, facts)
        for instant, request in requests:
            span.add_event("request sent", {"utcp.wait_seconds": request.seconds}, timestamp=instant)
        if event.error is not None:
            span.set_attribute("error.type", event.error_type or "error")
            span.set_status(Status(StatusCode.ERROR, self._redact(event.error)))
        span.end()

    def _start_span(self, name: str, seconds: float, attributes: dict[str, Any]) -> trace.Span:
        """A span that began so many seconds ago, beneath the one that is current."""
        began = time.time_ns() - int(seconds * 1e9)
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=began)


def make_metrics_observer() -> MetricsObserver:
    """An observer that hands readings to OpenTelemetry."""
    meter = metrics.get_meter(SERVICE_NAME, __version__)
    recorders = {instrument: _make_recorder(meter, instrument) for instrument in INSTRUMENTS}

    def record(instrument: Instrument, labels: tuple[str, ...], amount: float) -> None:
        recorders[instrument](amount, dict(zip(instrument.labels, labels, strict=True)))

    return MetricsObserver(record)


def _make_recorder(meter: metrics.Meter, instrument: Instrument) -> Callable[[float, dict[str, str]], None]:
    name, description = instrument.name, instrument.description
    if instrument.kind == "histogram":
        bounds = list(BUCKET_BOUNDS)
        return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=bounds).record
    if instrument.kind == "gauge":
        return meter.create_up_down_counter(name, description=description).add
    return meter.create_counter(name, description=description).add


@contextmanager
def telemetry(redact: Callable[[str], str]) -> Iterator[events.Observer]:
    """An observer whose spans and metrics are exported over OTLP while the block lasts.

    Raises:
        ServeOptionsError: where the extra `otel` is not installed.
    """
    try:
        tracing, measuring = _providers()
    except ImportError as missing:
        raise ServeOptionsError("--otel needs an extra: pip install 'utcp-ws-mcp[otel]'") from missing
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(measuring)
    try:
        yield events.broadcast((SpanObserver(redact), make_metrics_observer()))
    finally:
        _shut_down(tracing, measuring)


def _shut_down(*providers: Any) -> None:
    """Send what is left. A collector that is away makes the exporters wait for longer than anybody wants to."""
    threads = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers]
    for thread in threads:
        thread.start()
    until = time.monotonic() + SHUTDOWN_TIMEOUT
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


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
