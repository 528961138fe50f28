import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.backoff import INITIAL_BACKOFF, MAX_BACKOFF, backoff_delay, with_jitter

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
