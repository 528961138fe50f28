"""The calls of a subject, counted by several replicas, with a store in memory and in virtual time."""

from __future__ import annotations

import anyio
import pytest

from tests.client.shared.memory_store import MemoryStore, make_fleet
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.server.auth.identity import Identity
from utcp_ws_mcp.server.auth.shared_subject_limits import SharedSubjectLimits

KEY = "k" * 32


def subject(name: str, issuer: str = "https://i.example") -> Identity:
    return Identity(issuer, name, "client", frozenset())


def limits(store: MemoryStore, per_second: float, name: str = "a") -> SharedSubjectLimits:
    return SharedSubjectLimits(per_second, anyio.current_time, make_fleet(store, name, KEY))


async def waits(shared: SharedSubjectLimits, count: int, who: Identity | None = None) -> list[float]:
    return [await shared.take(who or subject("ada")) for _ in range(count)]


@in_virtual_time
@pytest.mark.parametrize(("per_second", "burst", "wait"), [(5, 5, 0.2), (1, 1, 1), (0.5, 1, 2)])
async def test_the_replicas_allow_the_calls_of_a_second_together(per_second: float, burst: int, wait: float) -> None:
    store = MemoryStore()
    one, two = limits(store, per_second), limits(store, per_second, "b")
    assert await waits(one, burst) == [0.0] * burst
    assert await waits(two, 2) == pytest.approx([wait] * 2)
    await anyio.sleep(wait)
    assert (await waits(two, 1), await waits(one, 1)) == ([0.0], pytest.approx([wait]))


@in_virtual_time
async def test_each_subject_of_each_issuer_is_counted_by_itself() -> None:
    shared = limits(MemoryStore(), 1)
    for who in (subject("ada"), subject("bob"), subject("ada", "https://other.example")):
        assert await waits(shared, 2, who) == [0.0, pytest.approx(1)]


@in_virtual_time
async def test_without_the_store_each_replica_allows_its_part() -> None:
    store = MemoryStore()
    shared = limits(store, 10)
    store.away = "gone"
    assert [wait == 0 for wait in await waits(shared, 7)] == [True] * 5 + [
        False
    ] * 2  # two, until the store has answered
