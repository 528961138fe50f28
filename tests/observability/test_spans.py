"""The spans and measurements that events become, without a collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.observability.test_opentelemetry import collector, metrics_of, settings, spans_of
from utcp_ws_mcp import __version__
from utcp_ws_mcp.errors import ServeOptionsError
from utcp_ws_mcp.observability import events, feed_events
from utcp_ws_mcp.observability import opentelemetry as module
from utcp_ws_mcp.observability.metrics import BUCKET_BOUNDS, CONNECTION_COUNT, FEED_BYTES, GaugeSource, Measurement
from utcp_ws_mcp.observability.opentelemetry import SpanObserver, make_metrics_observer, telemetry

NOW = 10**18
SECRET = "topsecret"


def guard(text: str) -> str:
    return text.replace(SECRET, "***")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[ReadableSpan, ...]]:
    """A function that passes events to an observer, and returns the spans of them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)

    def observed(*happened: events.Event) -> tuple[ReadableSpan, ...]:
        observe = SpanObserver(guard)

        def pass_on() -> None:
            for event in happened:
                observe(event)

        copy_context().run(pass_on)
        return exporter.get_finished_spans()

    return observed


SPANS: dict[str, tuple[events.Event, str, float, dict[str, object], str | None]] = {
    "an answered call": (events.CallFinished("m.t", 0.25, None), "m.t", 0.25, {"utcp.tool": "m.t"}, None),
    "a failed call": (
        events.CallFinished("m.t", 2, f"no {SECRET}", "ToolError", "tool-error"),
        "m.t",
        2,
        {"utcp.tool": "m.t", "error.type": "ToolError"},
        "no ***",
    ),
    "a failed call without a type": (
        events.CallFinished("m.t", 2, ""),
        "m.t",
        2,
        {"utcp.tool": "m.t", "error.type": "error"},
        "",
    ),
    "a connection": (
        events.ConnectionOpened("m", f"wss://a.example/{SECRET}", 0.5),
        "connect m",
        0.5,
        {"utcp.manual": "m", "url.full": "wss://a.example/***"},
        None,
    ),
    "a feed that opens": (
        feed_events.FeedOpened(f"m.{SECRET}", "{}", 0.5, reconnected=True),
        "open m.***",
        0.5,
        {"utcp.feed": "m.***", "utcp.feed.reconnected": True},
        None,
    ),
    "a feed that is interrupted": (
        feed_events.FeedInterrupted("m.f", "{}", f"lost {SECRET}", "connection-lost", 3, 1, "m", unreachable=False),
        "feed m.f",
        3,
        {"utcp.feed": "m.f", "error.type": "connection-lost"},
        "lost ***",
    ),
    "a gap": (
        feed_events.FeedGapFound("m.f", "{}", 7, "lost"),
        "gap m.f",
        0,
        {"utcp.feed": "m.f", "utcp.feed.after": 7},
        None,
    ),
}


@pytest.mark.parametrize(("event", "name", "seconds", "attributes", "problem"), SPANS.values(), ids=SPANS)
def test_an_event_is_a_span_that_began_before_it(
    spans: Any, event: events.Event, name: str, seconds: float, attributes: dict[str, object], problem: str | None
) -> None:
    (span,) = spans(event)
    assert (span.name, span.attributes, span.kind) == (name, attributes, SpanKind.CLIENT)
    assert span.start_time == NOW - int(seconds * 1e9)
    assert span.end_time is not None
    expected = (StatusCode.UNSET, None) if problem is None else (StatusCode.ERROR, problem)
    assert (span.status.status_code, span.status.description) == expected
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("utcp-ws-mcp", __version__)


def test_the_requests_of_a_call_are_events_of_its_span_and_the_last_one_names_the_address(spans: Any) -> None:
    sent = [events.RequestSent("m.t", f"wss://{where}.example/", seconds) for where, seconds in (("a", 0.5), ("b", 2))]
    first, second = spans(*sent, events.CallFinished("m.t", 3, None), events.CallFinished("m.t", 1, None))
    assert first.attributes == {"utcp.tool": "m.t", "url.full": "wss://b.example/"}
    assert [(event.name, event.timestamp, event.attributes) for event in first.events] == [
        ("request sent", NOW, {"utcp.wait_seconds": seconds}) for seconds in (0.5, 2)
    ]
    assert (second.attributes, second.events) == ({"utcp.tool": "m.t"}, ())


def test_other_events_have_no_span(spans: Any) -> None:
    assert spans(events.WarningIssued("x"), feed_events.FeedClosed("m.f", "{}", "done")) == ()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    yield reader
    provider.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, Any]:
    """What an exporter reads, by the name of the metric."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    assert {(scope.scope.name, scope.scope.version) for scope in scopes} <= {("utcp-ws-mcp", __version__)}
    return {metric.name: metric for scope in scopes for metric in scope.metrics}


def test_a_call_is_counted_and_measured(reader: InMemoryMetricReader) -> None:
    observe = make_metrics_observer(GaugeSource(), guard)
    for seconds in (0.2, 0.7):
        observe(events.CallFinished(f"m.{SECRET}", seconds, None))
    found = collected(reader)
    (count,), (duration,) = (
        found[name].data.data_points for name in ("utcp_ws_calls", "utcp_ws_call_duration_seconds")
    )
    assert isinstance(count, NumberDataPoint)
    assert isinstance(duration, HistogramDataPoint)
    assert count.value == 2
    assert count.attributes is not None
    assert count.attributes["tool"] == "m.***"
    assert (duration.count, duration.sum) == (2, pytest.approx(0.9))
    assert duration.explicit_bounds == BUCKET_BOUNDS
    assert found["utcp_ws_call_duration_seconds"].unit == "s"
    assert all(metric.description for metric in found.values())


def test_the_gauges_are_read_at_each_export_without_credentials(reader: InMemoryMetricReader) -> None:
    gauges = GaugeSource(guard=guard)
    make_metrics_observer(gauges)
    measured: list[Measurement] = [
        (CONNECTION_COUNT, (SECRET, "idle"), 3),
        (CONNECTION_COUNT, (SECRET, "used"), 1),
        (FEED_BYTES, ("m.f",), 9),
    ]
    gauges.read = lambda: measured
    found = collected(reader)
    connections = {
        tuple((point.attributes or {}).values()): point.value for point in found["utcp_ws_connections"].data.data_points
    }
    assert connections == {("***", "idle"): 3, ("***", "used"): 1}
    assert [point.value for point in found[FEED_BYTES.name].data.data_points] == [9]
    assert found["utcp_ws_connections"].description == CONNECTION_COUNT.description


def test_an_export_while_a_pool_changes_leaves_the_gauges_out(reader: InMemoryMetricReader) -> None:
    def changing() -> Iterator[Measurement]:
        yield CONNECTION_COUNT, ("m", "idle"), 3
        raise RuntimeError("dictionary changed size during iteration")

    make_metrics_observer(gauges := GaugeSource())
    gauges.read = changing
    assert collected(reader) == {}


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `telemetry` set the providers of the process for one test only."""

    def set_tracing(provider: TracerProvider) -> None:
        monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)

    def set_measuring(provider: MeterProvider) -> None:
        monkeypatch.setattr(metrics, "get_meter", provider.get_meter)

    monkeypatch.setattr(trace, "set_tracer_provider", set_tracing)
    monkeypatch.setattr(metrics, "set_meter_provider", set_measuring)


@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize("guard_names", [None, lambda text: text.replace("m.", "?")], ids=["one guard", "two"])
def test_the_end_exports_what_happened_to_the_collector(
    monkeypatch: pytest.MonkeyPatch, guard_names: Callable[[str], str] | None
) -> None:
    with collector() as (url, bodies):
        for name, value in settings(url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("OTEL_SERVICE_NAME")
        with telemetry(guard, GaugeSource(), guard_names) as observe:
            observe(events.CallFinished(f"m.{SECRET}", 0.5, None))
    spans, service = spans_of(bodies["/v1/traces"])
    assert ([*spans], service) == (["m.***"], "utcp-ws-mcp")
    assert "utcp_ws_calls" in metrics_of(bodies["/v1/metrics"])
    labels = b"m.***" if guard_names is None else b"?topsecret"
    assert labels in b"".join(bodies["/v1/metrics"])
    assert all(__version__.encode() in body for body in (*bodies["/v1/traces"], *bodies["/v1/metrics"]))


@pytest.mark.usefixtures("providers")
def test_the_end_does_not_wait_for_an_exporter_longer_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    class Stuck:
        def shutdown(self) -> None:
            release.wait()

    monkeypatch.setattr(module, "SHUTDOWN_TIMEOUT", 0)
    monkeypatch.setattr(module, "_providers", lambda: (TracerProvider(), MeterProvider()))
    monkeypatch.setattr(TracerProvider, "shutdown", Stuck.shutdown)
    monkeypatch.setattr(MeterProvider, "shutdown", Stuck.shutdown)
    before = set(threading.enumerate())
    with telemetry(str, GaugeSource()):
        pass
    stuck = set(threading.enumerate()) - before
    assert len(stuck) == 2
    assert all(thread.daemon for thread in stuck)  # they do not keep the process alive
    release.set()


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError

    monkeypatch.setattr(module, "_providers", missing)
    with pytest.raises(ServeOptionsError, match="otel") as failed, telemetry(str, GaugeSource()):
        pass
    assert failed.value.code == "extra-not-installed"
