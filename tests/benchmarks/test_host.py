import sys

import pytest

from benchmarks.environment import BARE, MINIMAL, OURS, UTCP, benchmark_environment
from benchmarks.host import Host, is_correct


@pytest.fixture(scope="module")
def environment():
    with benchmark_environment() as running:
        yield running


@pytest.mark.parametrize("name", [BARE, MINIMAL, UTCP, OURS])
def test_every_contender_returns_the_correct_result_of_each_call(environment, name):
    in_flight = 1 if name == UTCP else 8

    with environment.host(name, environment.workload()) as host:
        burst = host.burst("m0_t0", 24, in_flight)

    assert (burst.correct, burst.calls) == (24, 24)


@pytest.mark.parametrize(
    "message",
    [
        {"id": 1, "error": {"code": 1}},
        {"id": 1, "result": {"isError": True, "structuredContent": {"n": 1}}},
        {"id": 1, "result": {"structuredContent": {"n": 2}}},
    ],
)
def test_an_error_and_the_reply_to_another_call_are_not_correct(message):
    assert not is_correct(message)


@pytest.mark.parametrize("name", [MINIMAL, UTCP, OURS])
def test_every_stream_item_is_in_the_progress_and_in_the_result(environment, name):
    with environment.host(name, environment.workload(kind="streams")) as host:
        assert host.time_stream("m0_t0", 5) > 0


def test_a_wrong_reply_stops_the_measurement(environment):
    with environment.host(OURS, environment.workload()) as host, pytest.raises(RuntimeError, match="a wrong answer"):
        host.time_calls("no_such_tool", 1)


def test_a_server_that_exits_raises_eof_error():
    with pytest.raises(EOFError, match="has ended"), Host([sys.executable, "-c", "pass"], {}):
        pass
