import pytest

from tests.client.pool.fakes import FakeHandshake
from utcp_ws_mcp.client.pool.circuit_breaker import FAILURE_THRESHOLD, MAX_TRACKED, CircuitBreaker, FailureTracker
from utcp_ws_mcp.errors import ConnectError

KEY = FakeHandshake()


def failing(times: int, now: float = 100.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(times):
        breaker.record_failure(now, lambda: 1.0)
    return breaker


@pytest.mark.parametrize("times", range(FAILURE_THRESHOLD))
def test_the_first_failures_make_no_call_wait(times):
    breaker = failing(times)

    assert not breaker.is_tripped
    assert breaker.retry_after(100.0) == 0


@pytest.mark.parametrize(("times", "seconds"), [(3, 0.5), (4, 1.0), (5, 2.0), (6, 4.0), (7, 5.0), (1000, 5.0)])
def test_further_failures_make_calls_wait_longer_up_to_a_bound(times, seconds):
    breaker = failing(times)

    assert breaker.is_tripped
    assert breaker.retry_after(100.0) == seconds
    assert breaker.retry_after(100.0 + seconds) == 0


def test_a_success_closes_the_breaker_and_an_open_connection_ends_the_error():
    tracker = FailureTracker()
    for _ in range(FAILURE_THRESHOLD):
        tracker.record_failure(KEY, 0.0, lambda: 0.0)
    tracker.set_last_error(KEY, ConnectError("a", "no.", code="connection-refused"))

    tracker.clear_error(KEY)
    assert (tracker.error_for(KEY), tracker.breaker(KEY).is_tripped) == (None, True)
    tracker.record_success(KEY)
    assert not tracker.breaker(KEY).is_tripped


def test_the_last_error_is_the_most_recent_one_of_any_key():
    tracker, first, second = (
        FailureTracker(),
        ConnectError("a", "no.", code="connection-refused"),
        ConnectError("b", "no.", code="connection-refused"),
    )
    tracker.set_last_error(KEY, second)
    tracker.set_last_error(FakeHandshake("other"), first)
    tracker.set_last_error(KEY, second)

    assert tracker.last_error is second


def test_failures_of_a_bounded_number_of_keys_are_remembered():
    tracker, error = FailureTracker(), ConnectError("a", "no.", code="connection-refused")
    keys = [FakeHandshake(str(number)) for number in range(MAX_TRACKED + 1)]
    for key in keys:
        tracker.record_failure(key, 0.0, lambda: 0.0)
        tracker.set_last_error(key, error)

    assert [tracker.error_for(key) for key in (keys[0], keys[1], keys[-1])] == [None, error, error]
