"""The time line of a call."""

from __future__ import annotations

from itertools import pairwise

import pytest

from utcp_ws_mcp.observability.events import ConnectionOpened, MessageReceived, MessageSent, RequestSent
from utcp_ws_mcp.studio.timeline import ANSWERS, TimedEvent, time_line

ADDRESS = "ws://localhost/x"


def line(*happened, started=10.0, ended=12.0):
    stages = time_line(started, ended, [TimedEvent(at, event) for at, event in happened])
    assert stages[0].start == 0
    for before, after in pairwise(stages):
        assert after.start == pytest.approx(before.start + before.seconds)
    assert stages[-1].start + stages[-1].seconds == pytest.approx(ended - started)
    return [(stage.name, round(stage.seconds, 6)) for stage in stages]


def test_the_first_call_connects_logs_in_sends_and_waits():
    assert line(
        (10.3, MessageSent("m", "{}", "on_connect[0]")),
        (10.4, MessageReceived("m", "{}", "login")),
        (10.5, ConnectionOpened("m", ADDRESS, 0.4)),
        (10.6, MessageSent("m", "{}")),
        (10.7, RequestSent("m.t", ADDRESS, 0.6)),
        (11.5, MessageReceived("m", "{}", "reply")),
    ) == [("queue", 0.1), ("connect", 0.2), ("login", 0.2), ("send", 0.2), ("reply", 0.8), ("end", 0.5)]


def test_a_call_without_login_has_no_stage_for_it():
    assert line(
        (10.5, ConnectionOpened("m", ADDRESS, 0.5)),
        (10.6, RequestSent("m.t", ADDRESS, 0.6)),
        (11.6, MessageReceived("m", "{}", "error")),
    ) == [("queue", 0.0), ("connect", 0.5), ("send", 0.1), ("reply", 1.0), ("end", 0.4)]


def test_a_call_on_an_open_connection_only_queues_sends_and_waits():
    assert line(
        (10.1, MessageSent("m", "{}")),
        (10.2, RequestSent("m.t", ADDRESS, 0.2)),
        (10.9, MessageReceived("m", "{}", "reply")),
    ) == [("queue", 0.1), ("send", 0.1), ("reply", 0.7), ("end", 1.1)]


def test_a_stream_has_a_stage_after_its_first_item():
    assert line(
        (10.1, MessageSent("m", "{}")),
        (10.1, RequestSent("m.t", ADDRESS, 0.1)),
        (10.5, MessageReceived("m", "{}", "item")),
        (11.0, MessageReceived("m", "{}", "ignored")),
        (11.5, MessageReceived("m", "{}", "end")),
    ) == [("queue", 0.1), ("send", 0.0), ("reply", 0.4), ("stream", 1.0), ("end", 0.5)]


def test_an_answer_that_was_read_before_the_request_was_reported_counts():
    assert line(
        (10.1, MessageSent("m", "{}")),
        (10.2, MessageReceived("m", "{}", "reply")),
        (10.3, RequestSent("m.t", ADDRESS, 0.3)),
    ) == [("queue", 0.1), ("send", 0.2), ("reply", 0.0), ("end", 1.7)]


def test_a_call_that_sent_nothing_only_queued():
    assert line() == [("queue", 2.0)]


def test_a_call_that_got_no_answer_ends_after_the_request():
    assert line((10.1, MessageSent("m", "{}")), (10.2, RequestSent("m.t", ADDRESS, 0.2))) == [
        ("queue", 0.1),
        ("send", 0.1),
        ("end", 1.8),
    ]


def test_events_before_and_after_the_call_do_not_count():
    assert line((9.0, RequestSent("m.t", ADDRESS, 0.1)), (13.0, MessageReceived("m", "{}", "reply"))) == [
        ("queue", 2.0)
    ]


def test_the_last_of_several_connections_counts():
    assert line(
        (10.5, ConnectionOpened("m", ADDRESS, 0.5)),
        (11.0, ConnectionOpened("m", ADDRESS, 0.2)),
        (11.1, RequestSent("m.t", ADDRESS, 1.1)),
    ) == [("queue", 0.8), ("connect", 0.2), ("send", 0.1), ("end", 0.9)]


def details(*happened, started=10.0, ended=12.0):
    return [(each.name, each.detail) for each in time_line(started, ended, [TimedEvent(*each) for each in happened])]


def test_each_stage_says_what_happened():
    assert details(
        (10.3, MessageSent("m", "{}", "on_connect[0]")),
        (10.5, ConnectionOpened("m", ADDRESS, 0.4)),
        (10.7, RequestSent("m.t", ADDRESS, 0.6)),
        (11.0, MessageReceived("m", "{}", "item")),
        (11.1, MessageReceived("m", "{}", "item")),
        (11.5, MessageReceived("m", "{}", "end")),
    ) == [
        ("queue", "waited for a connection"),
        ("connect", f"connected to {ADDRESS}"),
        ("login", "the messages of on_connect"),
        ("send", "the request was sent"),
        ("reply", "the first answer: item"),
        ("stream", "2 more messages"),
        ("end", "the result is made"),
    ]
    assert details((10.1, RequestSent("m.t", ADDRESS, 0.1)))[0] == ("queue", "an open connection was free")
    assert details() == [("queue", "nothing was sent")]


def test_events_at_the_start_and_the_end_of_the_call_count():
    assert line((10.0, RequestSent("m.t", ADDRESS, 0.0)), (12.0, MessageReceived("m", "{}", "reply"))) == [
        ("queue", 0.0),
        ("send", 0.0),
        ("reply", 2.0),
        ("end", 0.0),
    ]


def test_a_heartbeat_is_not_the_request():
    assert line(
        (10.1, MessageSent("m", "{}", "heartbeat")),
        (10.3, MessageSent("m", "{}")),
        (10.4, RequestSent("m.t", ADDRESS, 0.1)),
    ) == [("queue", 0.3), ("send", 0.1), ("end", 1.6)]


def test_a_connection_that_is_opened_after_the_request_is_another_one():
    assert line((10.2, RequestSent("m.t", ADDRESS, 0.2)), (10.5, ConnectionOpened("m", ADDRESS, 0.1))) == [
        ("queue", 0.2),
        ("send", 0.0),
        ("end", 1.8),
    ]


def test_a_call_that_fails_after_it_connected_has_no_request():
    assert line((10.5, ConnectionOpened("m", ADDRESS, 0.3))) == [("queue", 0.2), ("connect", 0.3), ("end", 1.5)]


def test_a_login_before_the_connection_began_is_that_of_another_one():
    assert line(
        (10.1, MessageReceived("m", "{}", "login")),
        (10.5, ConnectionOpened("m", ADDRESS, 0.3)),
        (10.6, RequestSent("m.t", ADDRESS, 0.6)),
    ) == [("queue", 0.2), ("connect", 0.3), ("send", 0.1), ("end", 1.4)]


@pytest.mark.parametrize("role", sorted(ANSWERS))
def test_every_kind_of_answer_ends_the_wait(role):
    found = line((10.1, RequestSent("m.t", ADDRESS, 0.1)), (10.5, MessageReceived("m", "{}", role)))
    assert found[2] == ("reply", 0.4)


def test_an_answer_at_the_moment_of_the_request_is_preferred_to_one_before_it():
    assert line(
        (10.1, MessageReceived("m", "{}", "reply")),
        (10.2, RequestSent("m.t", ADDRESS, 0.1)),
        (10.2, MessageReceived("m", "{}", "reply")),
        (10.6, MessageReceived("m", "{}", "end")),
    )[2:4] == [("reply", 0.0), ("stream", 0.4)]


def test_a_connection_that_is_opened_at_the_moment_of_the_request_is_its_own():
    assert line((10.5, ConnectionOpened("m", ADDRESS, 0.5)), (10.5, RequestSent("m.t", ADDRESS, 0.5))) == [
        ("queue", 0.0),
        ("connect", 0.5),
        ("send", 0.0),
        ("end", 1.5),
    ]


def test_of_several_answers_before_the_request_was_reported_the_last_counts():
    assert details(
        (10.1, MessageReceived("m", "{}", "item")),
        (10.2, MessageReceived("m", "{}", "error")),
        (10.3, RequestSent("m.t", ADDRESS, 0.3)),
    )[2:] == [("reply", "the first answer: error"), ("end", "the result is made")]
