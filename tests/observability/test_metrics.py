"""What events add to metrics, and the text that Prometheus reads."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.observability import events, feed_events
from utcp_ws_mcp.observability.metrics import (
    FEED_BYTES,
    FEED_COUNT,
    FEED_READERS,
    INSTRUMENTS,
    PROMETHEUS_MEDIA_TYPE,
    REPLICAS,
    SHARED_STORE_UP,
    GaugeSource,
    MetricsObserver,
    PrometheusRegistry,
    feed_measurements,
    fleet_measurements,
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


def test_a_label_counts_each_kind_of_feed_event() -> None:
    lines = text(
        feed_events.FeedEventAdded("m.f", 7),
        feed_events.FeedEventAdded("m.f", 8),
        feed_events.FeedRead("m.f", 5, 0.3),
        feed_events.FeedEventsEvicted("m.f", 4),
        feed_events.FeedEventInvalid("m.f", "no number", "x"),
        feed_events.FeedGapFound("m.f", "{}", 7, "away"),
        feed_events.FeedInterrupted("m.f", "{}", "refused", "x", 1, 1, "m", unreachable=True),
        feed_events.FeedOpened("m.f", "{}", 1, reconnected=False),
        feed_events.FeedOpened("m.f", "{}", 1, reconnected=True),
        feed_events.FeedClosed("m.f", "{}", "unread"),
    )
    values = dict(line.rsplit(" ", 1) for line in lines)
    counted = {name: value for name, value in values.items() if "_bucket" not in name}
    assert counted == {
        'utcp_ws_feed_events_total{feed="m.f"}': "2.0",
        'utcp_ws_feed_events_invalid_total{feed="m.f"}': "1.0",
        'utcp_ws_feed_evictions_total{feed="m.f"}': "4.0",
        'utcp_ws_feed_gaps_total{feed="m.f"}': "1.0",
        'utcp_ws_feed_interruptions_total{feed="m.f"}': "1.0",
        'utcp_ws_feed_reconnects_total{feed="m.f"}': "1.0",
        'utcp_ws_feed_lag_seconds_count{feed="m.f"}': "1.0",
        'utcp_ws_feed_lag_seconds_sum{feed="m.f"}': "0.3",
    }
    assert values['utcp_ws_feed_lag_seconds_bucket{feed="m.f",le="0.25"}'] == "0.0"
    assert values['utcp_ws_feed_lag_seconds_bucket{feed="m.f",le="0.5"}'] == "1.0"


def test_a_lost_store_is_counted_by_its_code() -> None:
    lost = events.SharedStoreLost("redis://r/", "refused", "store-away")
    lines = text(lost, lost, events.SharedStoreBack("redis://r/", 1.0))
    assert lines == ['utcp_ws_shared_store_losses_total{code="store-away"} 2.0']


def test_events_without_a_metric_change_none() -> None:
    assert text(events.WarningIssued("x"), events.MatchExplained("m", ()), events.OutageEnded("m", 1.0)) == []


def test_each_lost_connection_may_be_replaced_once_whatever_the_manual() -> None:
    other = events.ConnectionOpened("n", "wss://n/", 0.1)
    values = dict(line.split(" ") for line in text(OPENED, OPENED, LOST, LOST, other, OPENED, OPENED, OPENED))
    assert values['utcp_ws_reconnects_total{manual="m"}'] == "2.0"
    assert 'utcp_ws_reconnects_total{manual="n"}' not in values


def test_the_gauges_of_feeds_are_added_up_by_name() -> None:
    feeds = [("m.f", "open", 1, 10), ("m.f", "open", 2, 20), ("m.f", "waiting", 4, 40), ("m.g", "open", 0, 5)]
    assert list(feed_measurements(feeds)) == [
        (FEED_COUNT, ("m.f", "open"), 2),
        (FEED_COUNT, ("m.f", "waiting"), 1),
        (FEED_COUNT, ("m.g", "open"), 1),
        (FEED_READERS, ("m.f",), 7),
        (FEED_BYTES, ("m.f",), 70),
        (FEED_READERS, ("m.g",), 0),
        (FEED_BYTES, ("m.g",), 5),
    ]


@pytest.mark.parametrize("up", [True, False])
def test_the_gauges_of_a_fleet_say_whether_its_store_answers(up: bool) -> None:
    assert list(fleet_measurements("west", 3, up=up)) == [
        (SHARED_STORE_UP, ("west",), int(up)),
        (REPLICAS, ("west",), 3),
    ]


def test_series_whose_labels_are_the_same_without_credentials_are_added() -> None:
    registry = PrometheusRegistry(GaugeSource(guard=lambda label: "m" if label.startswith("m") else label))
    observe = MetricsObserver(registry.record)
    for manual in ("m1", "m2", "m2", "n"):
        observe(events.MessageSent(manual, "x"))
    observe(events.CallFinished("m1.t", 0.2, None))
    observe(events.CallFinished("m2.t", 0.3, None))
    lines = registry.render().splitlines()
    assert 'utcp_ws_messages_sent_total{manual="m"} 3.0' in lines
    assert 'utcp_ws_messages_sent_total{manual="n"} 1.0' in lines
    assert 'utcp_ws_call_duration_seconds_bucket{le="0.25",tool="m"} 1.0' in lines
    assert 'utcp_ws_call_duration_seconds_bucket{le="0.5",tool="m"} 2.0' in lines
    assert 'utcp_ws_call_duration_seconds_sum{tool="m"} 0.5' in lines


def test_an_observer_with_a_guard_records_guarded_labels() -> None:
    recorded: list[tuple[str, tuple[str, ...], float]] = []
    observe = MetricsObserver(
        lambda instrument, labels, amount: recorded.append((instrument.name, labels, amount)), str.upper
    )
    observe(events.MessageSent("m", "x"))
    assert recorded == [("utcp_ws_messages_sent", ("M",), 1)]


def test_the_media_type_names_the_version_of_the_format() -> None:
    assert PROMETHEUS_MEDIA_TYPE == "text/plain; version=0.0.4; charset=utf-8"
