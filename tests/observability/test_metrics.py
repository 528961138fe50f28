"""What events add to metrics, and how Prometheus reads it."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.metrics import INSTRUMENTS, MetricsObserver, PrometheusRegistry


def text(*happened: events.Event) -> list[str]:
    kept = PrometheusRegistry()
    meter = MetricsObserver(kept.record)
    for event in happened:
        meter(event)
    return [line for line in kept.render().splitlines() if not line.startswith("#")]


OPENED = events.ConnectionOpened("m", "wss://m/", 0.1)
LOST = events.ConnectionClosed("m", "wss://m/", "cut", remote=True)
CLOSED = events.ConnectionClosed("m", "wss://m/", "closed by the bridge", remote=False)


def test_calls_are_counted_by_how_they_ended() -> None:
    ended = [None, None, "CallTimeout"]
    lines = text(*(events.CallFinished("m.t", 0.2, kind and "sentence", kind) for kind in ended))
    assert 'utcp_ws_calls_total{tool="m.t",outcome="ok"} 2' in lines
    assert 'utcp_ws_calls_total{tool="m.t",outcome="CallTimeout"} 1' in lines


def test_a_duration_counts_in_its_bucket_and_in_all_that_are_larger() -> None:
    lines = text(*(events.CallFinished("m.t", seconds, None) for seconds in (0.005, 0.2, 100)))
    assert 'utcp_ws_call_seconds_bucket{tool="m.t",le="0.005"} 1' in lines
    assert 'utcp_ws_call_seconds_bucket{tool="m.t",le="0.1"} 1' in lines
    assert 'utcp_ws_call_seconds_bucket{tool="m.t",le="0.25"} 2' in lines
    assert 'utcp_ws_call_seconds_bucket{tool="m.t",le="60.0"} 2' in lines
    assert 'utcp_ws_call_seconds_bucket{tool="m.t",le="+Inf"} 3' in lines
    assert 'utcp_ws_call_seconds_count{tool="m.t"} 3' in lines
    assert 'utcp_ws_call_seconds_sum{tool="m.t"} 100.205' in lines


@pytest.mark.parametrize(
    ("happened", "now", "lost", "again"),
    [
        ([OPENED], 1, None, None),
        ([OPENED, CLOSED], 0, None, None),
        ([OPENED, CLOSED, OPENED], 1, None, None),
        ([OPENED, LOST], 0, 1, None),
        ([OPENED, LOST, OPENED], 1, 1, 1),
        ([OPENED, LOST, OPENED, OPENED], 2, 1, 1),
    ],
)
def test_a_connection_in_place_of_a_lost_one_is_a_reconnect(
    happened: list[events.Event], now: int, lost: int | None, again: int | None
) -> None:
    values = dict(line.split(" ") for line in text(*happened))
    assert values['utcp_ws_connections{manual="m"}'] == str(now)
    assert values.get('utcp_ws_connections_lost_total{manual="m"}') == (lost and str(lost))
    assert values.get('utcp_ws_reconnects_total{manual="m"}') == (again and str(again))


def test_dropped_messages_are_counted_apart() -> None:
    lines = text(
        events.MessageSent("m", "x"),
        events.MessageReceived("m", "x", "reply"),
        events.MessageReceived("m", "x", "dropped"),
    )
    assert lines == [
        'utcp_ws_messages_sent_total{manual="m"} 1',
        'utcp_ws_messages_taken_total{manual="m"} 1',
        'utcp_ws_messages_dropped_total{manual="m"} 1',
    ]


def test_discoveries_and_waits_are_counted() -> None:
    told = (
        events.DiscoverySucceeded("m", 3),
        events.DiscoveryFailed("m", "why", None),
        events.RequestSent("m.t", "wss://m/", 7.0),
    )
    lines = text(*told)
    assert 'utcp_ws_discoveries_total{manual="m"} 1' in lines
    assert 'utcp_ws_discoveries_failed_total{manual="m"} 1' in lines
    assert 'utcp_ws_request_wait_seconds_count{tool="m.t"} 1' in lines


def test_labels_are_escaped() -> None:
    assert text(events.MessageSent('a"b\\c\nd', "x")) == ['utcp_ws_messages_sent_total{manual="a\\"b\\\\c\\nd"} 1']


def test_every_instrument_is_described_even_before_anything_happened() -> None:
    shown = PrometheusRegistry().render().splitlines()
    assert len(shown) == 2 * len(INSTRUMENTS)
    assert "# TYPE utcp_ws_calls_total counter" in shown
    assert "# TYPE utcp_ws_connections gauge" in shown
