"""Name look-ups: in threads of each endpoint's own, few of them, and never in the way of others or of the exit."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import anyio
import pytest

from tests.peer import PATIENCE
from utcp_ws_mcp.client.resolver import MAX_LOOKUPS_PER_ENDPOINT, EndpointResolver, SystemResolvers, look_up


class Lookups:
    """Names that begin with `slow` hang until `release` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host.startswith("slow"):
            self.release.wait(PATIENCE)
        if host.startswith("bad"):
            raise OSError("no such name")
        return ["203.0.113.1"]


@pytest.fixture
def lookups() -> Iterator[Lookups]:
    found = Lookups()
    yield found
    found.release.set()


async def test_names_that_hang_hold_up_only_their_own_endpoint(lookups: Lookups) -> None:
    resolvers = SystemResolvers(lookups)
    async with anyio.create_task_group() as waiting:
        for number in range(20):
            waiting.start_soon(resolvers(f"endpoint {number}"), f"slow{number}.example", 443)
        with anyio.fail_after(PATIENCE):
            assert await resolvers("good")("good.example", 443) == ["203.0.113.1"]
        waiting.cancel_scope.cancel()


async def test_one_endpoint_never_has_more_than_a_few_lookups(lookups: Lookups) -> None:
    resolver = EndpointResolver(lookups)
    for number in range(10):  # as attempts that time out do, one after the other
        with anyio.move_on_after(0.01):
            await resolver(f"slow{number}.example", 443)
    assert len(lookups.asked) == MAX_LOOKUPS_PER_ENDPOINT
    lookups.release.set()
    with anyio.fail_after(PATIENCE):
        assert await resolver("good.example", 443) == ["203.0.113.1"]


async def test_calls_that_ask_for_one_name_share_a_lookup(lookups: Lookups) -> None:
    resolver = EndpointResolver(lookups)
    found: list[list[str]] = []

    async def ask() -> None:
        found.append(await resolver("slow.example", 443))

    async with anyio.create_task_group() as asking:
        for _ in range(5):
            asking.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        lookups.release.set()
    assert (lookups.asked, len(found)) == (["slow.example"], 5)


async def test_a_name_that_does_not_exist_is_an_error_and_asked_for_again(lookups: Lookups) -> None:
    resolver = EndpointResolver(lookups)
    for _ in range(2):
        with pytest.raises(OSError, match="no such name"):
            await resolver("bad.example", 443)
    assert len(lookups.asked) == 2


def test_a_link_local_address_has_its_scope_id(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 80, 0, 2)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 3)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", 80, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.1.2", 80)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: entries)
    assert look_up("homeassistant.local", 80) == ["fe80::1%2", "fe80::1%3", "fd00::1", "192.168.1.2"]


EXIT = """
import anyio, socket, time
from utcp_ws_mcp.client.resolver import EndpointResolver
socket.getaddrinfo = lambda *args, **options: time.sleep(3600)

async def main():
    with anyio.move_on_after(0.01):
        await EndpointResolver()("slow.example", 443)

anyio.run(main)
"""


def test_a_lookup_that_hangs_does_not_hold_the_end_of_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", EXIT], timeout=PATIENCE, check=False).returncode == 0
