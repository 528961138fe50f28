"""The numbers of endpoints and feeds for the plots."""

from __future__ import annotations

from utcp_ws_mcp.observability.events import CallFinished, ConnectionClosed, ConnectionOpened, MessageReceived
from utcp_ws_mcp.observability.feed_events import FeedEventAdded, FeedGapFound
from utcp_ws_mcp.observability.metrics import MetricsObserver
from utcp_ws_mcp.studio.live_numbers import MAX_LATENCIES, MAX_NAMES, SECONDS, LiveNumbers


def counting():
    numbers = LiveNumbers()
    return numbers, MetricsObserver(numbers.record)


def test_rates_are_the_growth_of_each_second_with_zeros_before_the_first():
    numbers, observe = counting()
    for count in (2, 0, 3):
        for _ in range(count):
            observe(MessageReceived("m", "{}", "reply"))
        numbers.sample()
    assert numbers.rates("m", "received")[-4:] == [0.0, 2.0, 0.0, 3.0]
    assert len(numbers.rates("m", "received")) == SECONDS
    assert numbers.total("m", "received") == 5


def test_only_the_last_two_minutes_are_kept():
    numbers, observe = counting()
    observe(FeedEventAdded("m.f", 1))
    for _ in range(SECONDS + 1):
        numbers.sample()
    assert sum(numbers.rates("m.f", "events")) == 0
    assert numbers.total("m.f", "events") == 1


def test_messages_of_all_roles_connections_and_gaps_are_counted():
    numbers, observe = counting()
    observe(MessageReceived("m", "{}", "reply"))
    observe(MessageReceived("m", "{}", "dropped"))
    observe(ConnectionOpened("m", "ws://h", 0.1))
    observe(ConnectionClosed("m", "ws://h", "1001", remote=True))
    observe(FeedGapFound("m.f", "{}", 3, "lost"))
    assert [numbers.total("m", name) for name in ("received", "opened", "lost", "sent")] == [2, 1, 1, 0]
    assert numbers.total("m.f", "gaps") == 1


def test_the_latency_of_a_tool_has_its_median_its_highest_and_its_failures():
    numbers, observe = counting()
    for seconds in (0.3, 0.1, 0.2):
        observe(CallFinished("m.t", seconds, None))
    observe(CallFinished("m.t", 0.9, "failed", "CallTimeout"))
    latency = numbers.latency("m.t")
    assert latency.values == (0.3, 0.1, 0.2, 0.9)
    assert (latency.median, latency.highest, latency.failed) == (0.3, 0.9, 1)
    assert (numbers.latency("m.other").median, numbers.latency("m.other").highest) == (0.0, 0.0)


def test_the_number_of_names_is_bounded():
    numbers, observe = counting()
    for number in range(MAX_NAMES + 10):
        observe(MessageReceived(f"m{number}", "{}", "reply"))
        observe(CallFinished(f"m.t{number}", 0.1, "failed", "ToolError"))
    assert numbers.total(f"m{MAX_NAMES - 1}", "received") == 1
    assert numbers.total(f"m{MAX_NAMES}", "received") == 0
    assert numbers.latency(f"m.t{MAX_NAMES}").values == ()
    assert numbers.latency(f"m.t{MAX_NAMES}").failed == 0


def test_the_limits_are_two_minutes_200_calls_and_500_names():
    assert (SECONDS, MAX_LATENCIES, MAX_NAMES) == (120, 200, 500)


def test_the_newest_durations_of_a_tool_are_kept():
    numbers, observe = counting()
    for number in range(MAX_LATENCIES + 1):
        observe(CallFinished("m.t", float(number), None))
    values = numbers.latency("m.t").values
    assert (len(values), values[0], values[-1]) == (MAX_LATENCIES, 1.0, float(MAX_LATENCIES))
    assert numbers.latency("m.t").median == values[MAX_LATENCIES // 2]


def test_failures_of_known_names_are_counted_when_there_are_too_many_names():
    numbers, observe = counting()
    for number in range(MAX_NAMES + 1):
        observe(CallFinished(f"m.t{number}", 1.0, "failed", "CallTimeout"))
    observe(CallFinished("m.t0", 1.0, "failed", "CallTimeout"))
    failed = [numbers.latency(f"m.t{number}").failed for number in (0, MAX_NAMES - 1, MAX_NAMES)]
    assert failed == [2, 1, 0]
    assert [len(numbers.latency(f"m.t{number}").values) for number in (0, MAX_NAMES - 1, MAX_NAMES)] == [2, 1, 0]


def test_what_was_never_counted_is_zero():
    numbers, _ = counting()
    assert numbers.rates("m", "sent") == [0.0] * SECONDS
    assert (numbers.total("m", "sent"), numbers.latency("m.t").values, numbers.latency("m.t").failed) == (0, (), 0)
