from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.backoff import (
    INITIAL_BACKOFF,
    MAX_BACKOFF,
    backoff_delay,
    is_final,
    parse_retry_after,
    refuses_credentials,
    refuses_request,
    with_jitter,
    with_pause,
)
from utcp_ws_mcp.errors import (
    ConnectError,
    ConnectionLost,
    DiscoveryInterrupted,
    HandshakeRejected,
    Outcome,
    RetryAfter,
    ToolError,
)
from utcp_ws_mcp.manifest.models.call_template import FINAL_CLOSE_CODES

FUZZ = settings(max_examples=150, deadline=None, database=None)

LONGEST_DELAYS = {1: 0.5, 2: 1.0, 3: 2.0, 4: 4.0, 6: 16.0, 7: 30.0, 8: 30.0, 1000: 30.0}
SHORTEST_DELAYS = {1: 0.2, 2: 0.4, 3: 0.8, 7: 12.0, 1000: 12.0}


@pytest.mark.parametrize(("failures", "seconds"), LONGEST_DELAYS.items())
def test_delays_double_up_to_half_a_minute(failures, seconds):
    assert backoff_delay(failures, lambda: 1.0) == seconds


@pytest.mark.parametrize(("failures", "seconds"), SHORTEST_DELAYS.items())
def test_no_delay_is_so_short_that_it_is_none(failures, seconds):
    assert backoff_delay(failures, lambda: 0.0) == pytest.approx(seconds)


@FUZZ
@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_delays_are_bounded_and_spread(failures, one, other):
    first, second = backoff_delay(failures, lambda: one), backoff_delay(failures, lambda: other)

    assert 0 < first <= min(INITIAL_BACKOFF * 2 ** min(failures - 1, 16), MAX_BACKOFF)
    assert one > other or first <= second


@FUZZ
@given(st.floats(0, 1000), st.floats(0, 1, exclude_max=True))
def test_jitter_is_half_more_or_less(seconds, draw):
    assert 0.5 * seconds <= with_jitter(seconds, lambda: draw) <= 1.5 * seconds


PAUSES = {
    "no pause": (0, 0.0, 0),
    "no pause, and at most a second more": (0, 1.0, 1),
    "the pause that the server asks for": (30, 0.0, 30),
    "a tenth and a second more at most": (30, 1.0, 34),
    "in the middle": (60, 0.5, 63.5),
}


@pytest.mark.parametrize(("seconds", "draw", "delay"), PAUSES.values(), ids=PAUSES)
def test_a_pause_grows_by_up_to_a_tenth_and_a_second(seconds, draw, delay):
    assert with_pause(seconds, lambda: draw) == delay


def test_the_jitter_reaches_from_half_to_one_and_a_half():
    assert [with_jitter(10, lambda draw=draw: draw) for draw in (0.0, 0.5, 1.0)] == [5, 10, 15]


DEFAULT_CODES = {
    "policy and format": ((1003, 1007, 1008, 1010), (1000, 1001, 1002, 1004, 1005, 1006, 1009, 1011, 1012, 1013, 1014)),
    "authentication, as APIs number it": ((4001, 4003, 4004, 4401, 4403), (4000, 4002, 4005, 4400, 4402, 4404)),
}


@pytest.mark.parametrize(("final", "transient"), DEFAULT_CODES.values(), ids=DEFAULT_CODES)
def test_by_default_close_codes_after_which_the_same_request_fails_again_are_final(final, transient):
    assert {*final, *transient} & {*FINAL_CLOSE_CODES} == {*final}


CLOSED = {
    "a call": ConnectionLost("ws://h/", "closed.", Outcome.MAYBE_EXECUTED, close_code=4100),
    "a login": ConnectError("ws://h/", "closed.", code="login-closed", close_code=4100),
    "a discovery": DiscoveryInterrupted("m", "closed.", 4100),
}


@pytest.mark.parametrize("error", CLOSED.values(), ids=CLOSED)
def test_a_connection_that_was_closed_with_a_final_code_is_final_whatever_it_served(error):
    assert is_final(error, (4000, 4100))
    assert not is_final(error, (4000,))


REFUSALS = [
    (ConnectError("ws://h/", "no.", code="login-rejected", step="on_connect[2]"), True),
    (HandshakeRejected("ws://h/", 401), True),
    (HandshakeRejected("ws://h/", 403), True),
    (HandshakeRejected("ws://h/", 503), False),
    (ConnectError("ws://h/", "no.", code="login-timeout", step="on_connect[2]"), False),
    (ConnectError("ws://h/", "refused.", code="connection-refused"), False),
    (ToolError("m.t", "no", None), False),
]


@pytest.mark.parametrize(("error", "refused"), REFUSALS, ids=str)
def test_credentials_are_refused_by_the_login_or_by_the_status_of_the_upgrade(error, refused):
    assert refuses_credentials(error) is refused


@pytest.mark.parametrize(
    "error",
    [ConnectError("ws://h/", "refused.", code="connection-refused"), ToolError("m.t", "no", None)],
    ids=["a connection that was not opened", "an error reply"],
)
def test_what_no_close_code_ended_is_not_final(error):
    assert not is_final(error, (4100,))


ABOUT_THE_REQUEST = [
    *((HandshakeRejected("ws://h/", status), True) for status in (400, 404, 410, 416, 422, 499)),
    *((HandshakeRejected("ws://h/", status), False) for status in (399, 401, 403, 408, 421, 425, 429, 500, 503)),
    (ToolError("m.t", "no such cursor", None), True),
    (ConnectionLost("ws://h/", "gone.", Outcome.MAYBE_EXECUTED, close_code=4100), True),
    (ConnectionLost("ws://h/", "gone.", Outcome.MAYBE_EXECUTED, close_code=1008), False),
    (ConnectError("ws://h/", "refused.", code="connection-refused"), False),
]


@pytest.mark.parametrize(("error", "refused"), ABOUT_THE_REQUEST)
def test_a_request_is_refused_by_an_error_message_a_final_code_or_a_status_about_it(error, refused):
    assert refuses_request(error, (4100,)) is refused


NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=timezone(timedelta(hours=2)))
RETRY_AFTER = {
    "seconds": ("30", 30),
    "white space": (" 5 ", 5),
    "one second": ("1", 1),
    "a quarter of an hour": ("900", 900),
    "more": ("901", 900),
    "very many": ("9" * 400, 900),
    "a date": ("Mon, 30 Nov 2026 10:01:00 GMT", 60),
    "a date of another zone": ("Mon, 30 Nov 2026 12:00:10 +0200", 10),
    "a date without a zone": ("Mon, 30 Nov 2026 10:00:05", 5),
    "zero": ("0", None),
    "now": ("Mon, 30 Nov 2026 10:00:00 GMT", None),
    "a date in the past": ("Mon, 30 Nov 2026 09:00:00 GMT", None),
    "a fraction": ("1.5", None),
    "less than nothing": ("-1", None),
    "other digits": ("\u0663", None),
    "no date": ("soon", None),
    "a date that does not exist": ("Mon, 99 Nov 2026 10:00:00 GMT", None),
    "an empty text": ("", None),
    "nothing": (None, None),
}


@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_a_server_may_ask_for_a_pause_in_seconds_or_until_a_date(value, seconds):
    found = parse_retry_after(value, NOW)
    if seconds is None:
        assert found is None
    else:
        assert found == RetryAfter(seconds, datetime(2026, 11, 30, 10, 0, tzinfo=UTC) + timedelta(seconds=seconds))


def test_a_part_of_a_second_is_a_whole_one():
    found = parse_retry_after("Mon, 30 Nov 2026 10:00:01 GMT", NOW + timedelta(milliseconds=1))
    assert found.seconds == 1
