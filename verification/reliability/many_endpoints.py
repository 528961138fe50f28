"""T16: 50 endpoints, 30 of them broken: a broken one delays neither the start nor the tools of the others.

10 refuse connections, 10 do not answer the upgrade, 10 answer with ten kinds of garbage, 20 return their manual. The
real process serves them all over stdio. The host measures times from the start of the process and checks its tool lists
and notifications. Then 5 endpoints that returned garbage and 5 that refused connections recover: their tools must be
listed automatically.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Host
from .raw import PING, PONG, TEXT, accept, dead_port, frame, hang, listening, read_frame, read_head

INITIALIZE_LIMIT: Final = 1.5
"""Seconds from the start of the process; the shortest timeout of a known host."""

LIST_LIMIT: Final = 2.0
RECOVERY_LIMIT: Final = 20.0
MANUAL: Final = {"utcp_version": "1.0.1", "manual_version": "1", "tools": [{"name": "t", "description": "Answers."}]}
GARBAGE: Final[tuple[bytes, ...]] = (
    b"",
    b"\x00\xff" * 100,
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
)
"""Invalid answers to the upgrade."""

MANUALS: Final = (b"[]", b'{"tools": 5}', b'{"tools": [{"name": 7}]}', b'{"utcp_version": ', b"\xff\xfe")
"""Invalid manuals after a valid upgrade."""


class Endpoint:
    """An endpoint that returns its manual if `healthy`, and an invalid `upgrade` or `manual` otherwise."""

    def __init__(self, *, healthy: bool = True, upgrade: bytes | None = None, manual: bytes = b"") -> None:
        self.healthy = healthy
        self._upgrade = upgrade
        self._manual = manual

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a connection."""
        if not self.healthy and self._upgrade is not None:
            await read_head(reader)
            writer.write(self._upgrade)
            await writer.drain()
            return
        await accept(reader, writer)
        while True:
            opcode, payload = await read_frame(reader)
            if opcode == PING:
                writer.write(frame(payload, PONG))
            elif opcode == TEXT:
                writer.write(frame(json.dumps(MANUAL).encode() if self.healthy else self._manual))


async def measure(size: Size) -> Sequence[Figure]:
    """Serve 50 endpoints, then repair some of them."""
    async with AsyncExitStack() as stack:
        dead = [stack.enter_context(dead_port()) for _ in range(10)]
        slow = [await stack.enter_async_context(listening(hang)) for _ in range(10)]
        broken = [Endpoint(healthy=False, upgrade=upgrade) for upgrade in GARBAGE]
        broken += [Endpoint(healthy=False, manual=manual) for manual in MANUALS]
        broken_ports = [await stack.enter_async_context(listening(each.talk)) for each in broken]
        good = [await stack.enter_async_context(listening(Endpoint().talk)) for _ in range(20)]
        kinds = {"dead": dead, "slow": slow, "broken": broken_ports, "good": good}
        host = await stack.enter_async_context(Host(_document(kinds, size)))
        initialized = await host.initialize()
        names = {f"good{number}_t" for number in range(20)}
        listed = await _listed(host, names, 10.0)
        unexpected = await host.tools() - names
        repaired = {f"broken{number}_t" for number in range(0, 10, 2)} | {f"dead{number}_t" for number in range(5)}
        for each in broken[::2]:
            each.healthy = True
        for port in dead[:5]:
            await stack.enter_async_context(listening(Endpoint().talk, port=port))
        repaired_at = host.clock.now()
        await _listed(host, names | repaired, 2 * RECOVERY_LIMIT)
        recovered, missing = host.clock.now() - repaired_at, len(repaired - await host.tools())
        changes = host.received.notifications.count("notifications/tools/list_changed")
    return [
        Figure("T16", "50 endpoints, 30 broken: `initialize`", f"{initialized:.2f} s", f"{INITIALIZE_LIMIT} s",
               initialized <= INITIALIZE_LIMIT),
        Figure("T16", "the 20 healthy ones listed, others", f"{listed:.2f} s, {len(unexpected)}", f"{LIST_LIMIT} s, 0",
               listed <= LIST_LIMIT and not unexpected),
        Figure("T16", "repaired ones listed, missing", f"{recovered:.1f} s, {missing}", f"{RECOVERY_LIMIT} s, 0",
               recovered <= RECOVERY_LIMIT and not missing),
        Figure("T16", "list_changed", str(changes), "at least 1", changes > 0),
    ]  # fmt: skip


def _document(kinds: dict[str, list[int]], size: Size) -> list[Any]:
    """Return the call templates in random order."""
    entries = [
        {"name": f"{kind}{number}", "url": f"ws://127.0.0.1:{port}/"}
        for kind, ports in kinds.items()
        for number, port in enumerate(ports)
    ]
    size.random().shuffle(entries)
    return entries


async def _listed(host: Host, names: set[str], seconds: float) -> float:
    """Return the seconds from the start of the process until these tools are listed, or until `seconds` have passed.

    The host lists the tools at first and after each `list_changed`, as real hosts do.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not names <= await host.tools():
                await host.notified.wait()
                host.notified.clear()
    return host.clock.now() - host.started


if __name__ == "__main__":
    run(measure)
