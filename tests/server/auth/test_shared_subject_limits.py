"""`--requests-per-subject` with several replicas."""

from __future__ import annotations

import anyio
import pytest

from tests.redis_server import needs_redis, redis_server, replica
from utcp_ws_mcp.server.auth.identity import Identity
from utcp_ws_mcp.server.auth.shared_subject_limits import SharedSubjectLimits

pytestmark = [pytest.mark.anyio, needs_redis]


def subject(name: str) -> Identity:
    return Identity("https://i.example", name, "client", frozenset())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def admitted(limits: SharedSubjectLimits, name: str, attempts: int) -> int:
    return [await limits.take(subject(name)) for _ in range(attempts)].count(0)


async def test_the_replicas_count_the_calls_of_a_subject_together(tmp_path):
    async with redis_server(tmp_path) as store, replica(store, "a") as a, replica(store, "b") as b:
        one, two = (SharedSubjectLimits(0.01, Clock(), fleet) for fleet in (a, b))

        assert [await admitted(each, "ada", 3) for each in (one, two)] == [1, 0]
        assert await admitted(two, "bob", 3) == 1


async def test_a_subject_that_was_idle_may_send_the_calls_of_a_second_at_once(tmp_path):
    async with redis_server(tmp_path) as store, replica(store, "a") as a, replica(store, "b") as b:
        one, two = (SharedSubjectLimits(5.0, Clock(), fleet) for fleet in (a, b))
        async with anyio.create_task_group() as tasks:
            found: list[int] = []

            async def call(limits: SharedSubjectLimits) -> None:
                found.append(await admitted(limits, "ada", 20))

            tasks.start_soon(call, one)
            tasks.start_soon(call, two)

    assert 5 <= sum(found) < 40


async def test_a_refused_call_says_when_the_next_is_allowed(tmp_path):
    async with redis_server(tmp_path) as store, replica(store, "a") as fleet:
        limits = SharedSubjectLimits(0.01, Clock(), fleet)

        assert await limits.take(subject("ada")) == 0
        waits = [await limits.take(subject("ada")) for _ in range(2)]

    assert waits == pytest.approx([100, 100], abs=5)


async def test_without_the_store_each_replica_allows_its_part(tmp_path):
    clock = Clock()
    async with redis_server(tmp_path) as store, replica(store, "b"), replica(store, "a") as a:
        assert a.replicas == 2
        limits = SharedSubjectLimits(10.0, clock, a)
        await store.kill()

        assert await admitted(limits, "ada", 20) == 5
        clock.now = 0.2
        assert await admitted(limits, "ada", 20) == 1
