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
from ..errors import CannotServe
from . import events
from .metrics import BOUNDS, INSTRUMENTS, Instrument, Meter

NAME: Final = "utcp-ws-mcp"
SHUTDOWN: Final = 2.0
"""Seconds that the last spans and figures have to reach the collector."""

_requests: ContextVar[tuple[tuple[int, events.Requested], ...]] = ContextVar("requests", default=())


class Spans:
    """An observer that makes a span of each call and of each connection. `redact` takes secrets out of a text."""

    def __init__(self, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._tracer = trace.get_tracer(NAME, __version__)

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        match event:
            case events.Requested():
                _requests.set((*_requests.get(), (time.time_ns(), event)))
            case events.Called():
                self._call(event)
            case events.Opened(manual, address, seconds):
                facts = {"utcp.manual": manual, "url.full": address}
                self._span(f"connect {manual}", seconds, facts).end()

    def _call(self, called: events.Called) -> None:
        requests = _requests.get()
        _requests.set(())
        facts: dict[str, Any] = {"utcp.tool": called.tool}
        if requests:
            facts["url.full"] = requests[-1][1].address
        span = self._span(called.tool, called.seconds, facts)
        for instant, request in requests:
            span.add_event("request sent", {"utcp.wait_seconds": request.seconds}, timestamp=instant)
        if called.error is not None:
            span.set_attribute("error.type", called.kind or "error")
            span.set_status(Status(StatusCode.ERROR, self._redact(called.error)))
        span.end()

    def _span(self, name: str, seconds: float, facts: dict[str, Any]) -> trace.Span:
        """A span that began so many seconds ago, beneath the one that is current."""
        began = time.time_ns() - int(seconds * 1e9)
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=facts, start_time=began)


def make_meter() -> Meter:
    """An observer that hands readings to OpenTelemetry."""
    meter = metrics.get_meter(NAME, __version__)
    recorders = {instrument: _recorder(meter, instrument) for instrument in INSTRUMENTS}

    def record(instrument: Instrument, labels: tuple[str, ...], amount: float) -> None:
        recorders[instrument](amount, dict(zip(instrument.labels, labels, strict=True)))

    return Meter(record)


def _recorder(meter: metrics.Meter, instrument: Instrument) -> Callable[[float, dict[str, str]], None]:
    name, description = instrument.name, instrument.description
    if instrument.kind == "histogram":
        bounds = list(BOUNDS)
        return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=bounds).record
    if instrument.kind == "gauge":
        return meter.create_up_down_counter(name, description=description).add
    return meter.create_counter(name, description=description).add


@contextmanager
def telemetry(redact: Callable[[str], str]) -> Iterator[events.Observer]:
    """An observer whose spans and metrics are exported over OTLP while the block lasts.

    Raises:
        CannotServe: where the extra `otel` is not installed.
    """
    try:
        tracing, measuring = _providers()
    except ImportError as missing:
        raise CannotServe("--otel needs an extra: pip install 'utcp-ws-mcp[otel]'") from missing
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(measuring)
    try:
        yield events.tell((Spans(redact), make_meter()))
    finally:
        _shut_down(tracing, measuring)


def _shut_down(*providers: Any) -> None:
    """Send what is left. A collector that is away makes the exporters wait for longer than anybody wants to."""
    threads = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers]
    for thread in threads:
        thread.start()
    until = time.monotonic() + SHUTDOWN
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

    own = Resource({"service.name": NAME, "service.version": __version__})
    resource = own.merge(OTELResourceDetector().detect())
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return tracing, MeterProvider([reader], resource=resource, shutdown_on_exit=False)
