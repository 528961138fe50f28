"""What events add to metrics, and the text that Prometheus reads."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.metrics import (
    INSTRUMENTS,
    GaugeSource,
    MetricsObserver,
    PrometheusRegistry,
    pool_measurements,
)
from utcp_ws_mcp.observability.redaction import redactor


def text(*happened: events.Event) -> list[str]:
    registry = PrometheusRegistry()
    observer = MetricsObserver(registry.record)
    for event in happened:
        observer(event)
    return [line for line in registry.render().splitlines() if not line.startswith("#")]


OPENED = events.ConnectionOpened("m", "wss://m/", 0.1)
LOST = events.ConnectionClosed("m", "wss://m/", "cut", remote=True)
CLOSED = events.ConnectionClosed("m", "wss://m/", "closed by utcp-ws-mcp", remote=False)


def test_calls_are_counted_by_the_type_of_their_error() -> None:
    ended = [None, None, "CallTimeout"]
    lines = text(*(events.CallFinished("m.t", 0.2, kind and "message", kind) for kind in ended))
    assert 'utcp_ws_calls_total{error_type="",tool="m.t"} 2.0' in lines
    assert 'utcp_ws_calls_total{error_type="CallTimeout",tool="m.t"} 1.0' in lines


def test_a_duration_counts_in_its_bucket_and_in_all_that_are_larger() -> None:
    lines = text(*(events.CallFinished("m.t", seconds, None) for seconds in (0.005, 0.2, 100)))
    name = "utcp_ws_call_duration_seconds"
    assert f'{name}_bucket{{le="0.005",tool="m.t"}} 1.0' in lines
    assert f'{name}_bucket{{le="0.1",tool="m.t"}} 1.0' in lines
    assert f'{name}_bucket{{le="0.25",tool="m.t"}} 2.0' in lines
    assert f'{name}_bucket{{le="60.0",tool="m.t"}} 2.0' in lines
    assert f'{name}_bucket{{le="+Inf",tool="m.t"}} 3.0' in lines
    assert f'{name}_count{{tool="m.t"}} 3.0' in lines
    assert f'{name}_sum{{tool="m.t"}} 100.205' in lines


@pytest.mark.parametrize(
    ("happened", "lost", "again"),
    [
        ([OPENED], None, None),
        ([OPENED, CLOSED], None, None),
        ([OPENED, CLOSED, OPENED], None, None),
        ([OPENED, LOST], "1.0", None),
        ([OPENED, LOST, OPENED], "1.0", "1.0"),
        ([OPENED, LOST, OPENED, OPENED], "1.0", "1.0"),
    ],
)
def test_a_connection_in_place_of_a_lost_one_is_a_reconnect(
    happened: list[events.Event], lost: str | None, again: str | None
) -> None:
    values = dict(line.split(" ") for line in text(*happened))
    assert values['utcp_ws_connections_opened_total{manual="m"}'] == f"{happened.count(OPENED)}.0"
    assert values.get('utcp_ws_connections_lost_total{manual="m"}') == lost
    assert values.get('utcp_ws_reconnects_total{manual="m"}') == again


def test_gauges_are_read_from_the_pools_when_they_are_exported() -> None:
    gauges = GaugeSource()
    registry = PrometheusRegistry(gauges)
    gauges.read = lambda: [*pool_measurements("m", 3, 1, 5), *pool_measurements("removed", 1, 0, 0)]
    assert 'utcp_ws_connections{manual="removed",state="idle"} 1.0' in registry.render()
    gauges.read = lambda: pool_measurements("m", 2, 2, 4)
    lines = [line for line in registry.render().splitlines() if not line.startswith("#")]
    assert lines == [
        'utcp_ws_connections{manual="m",state="idle"} 0.0',
        'utcp_ws_connections{manual="m",state="used"} 2.0',
        'utcp_ws_pending_requests{manual="m"} 4.0',
    ]


def test_received_messages_are_counted_by_role_and_unmatched_ones_again() -> None:
    lines = text(
        events.MessageSent("m", "x"),
        events.MessageReceived("m", "x", "reply"),
        events.MessageReceived("m", "x", "dropped"),
    )
    assert lines == [
        'utcp_ws_messages_sent_total{manual="m"} 1.0',
        'utcp_ws_messages_received_total{manual="m",role="reply"} 1.0',
        'utcp_ws_messages_received_total{manual="m",role="dropped"} 1.0',
        'utcp_ws_messages_unmatched_total{manual="m"} 1.0',
    ]


def test_discoveries_and_waits_are_counted() -> None:
    lines = text(
        events.DiscoverySucceeded("m", 3),
        events.DiscoveryFailed("m", "reason", 1.0, unreachable=True),
        events.RequestSent("m.t", "wss://m/", 7.0),
    )
    assert 'utcp_ws_discovery_attempts_total{manual="m",result="success"} 1.0' in lines
    assert 'utcp_ws_discovery_attempts_total{manual="m",result="failure"} 1.0' in lines
    assert 'utcp_ws_connection_wait_seconds_count{tool="m.t"} 1.0' in lines


def test_labels_are_escaped() -> None:
    assert text(events.MessageSent('a"b\\c\nd', "x")) == ['utcp_ws_messages_sent_total{manual="a\\"b\\\\c\\nd"} 1.0']


def test_every_instrument_is_described_even_without_measurements() -> None:
    shown = PrometheusRegistry().render().splitlines()
    assert len(shown) == 2 * len(INSTRUMENTS)
    assert "# TYPE utcp_ws_calls_total counter" in shown
    assert "# TYPE utcp_ws_connections gauge" in shown


def test_no_label_holds_a_credential() -> None:
    guard = redactor(['Kx7/aB3+dQ9?"zY5'])
    registry = PrometheusRegistry(GaugeSource(lambda: pool_measurements('Kx7/aB3+dQ9?"zY5', 1, 1, 1), guard))
    observe = MetricsObserver(registry.record)
    observe(events.CallFinished('d.Kx7/aB3+dQ9?"zY5', 0.1, None))
    observe(events.RequestSent('d.Kx7/aB3+dQ9?"zY5', "wss://m/", 0.1))
    assert "Kx7" not in registry.render()
    assert 'utcp_ws_calls_total{error_type="",tool="d.***"} 1.0' in registry.render()
    assert 'utcp_ws_pending_requests{manual="***"} 1.0' in registry.render()
