import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.backoff import FAILURE_THRESHOLD, INITIAL_BACKOFF, MAX_BACKOFF, CircuitBreaker, backoff_delay

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


def failing(times: int, now: float = 100.0) -> CircuitBreaker:
    circuit = CircuitBreaker()
    for _ in range(times):
        circuit.record_failure(now, lambda: 1.0)
    return circuit


@pytest.mark.parametrize("times", range(FAILURE_THRESHOLD))
def test_the_first_failures_make_nobody_wait(times):
    circuit = failing(times)

    assert not circuit.is_tripped
    assert circuit.retry_after(100.0) == 0


@pytest.mark.parametrize(("times", "seconds"), [(3, 0.5), (4, 1.0), (5, 2.0), (6, 4.0), (7, 5.0), (1000, 5.0)])
def test_further_failures_make_calls_wait_longer_up_to_a_bound(times, seconds):
    circuit = failing(times)

    assert circuit.is_tripped
    assert circuit.retry_after(100.0) == seconds
    assert circuit.retry_after(100.0 + seconds) == 0
