"""T16: fifty endpoints, most of them broken, in one process: none holds up the start, the list or another one.

10 refuse connections, 10 leave the upgrade unanswered for 30 s, 10 answer with garbage of ten kinds, 20 tell their
manual. The real process serves them all over stdio. The oracle is the host's clock from the start of the process, its
lists of tools, and the notifications it got. Then half of the broken and of the dead ones heal: their tools must
appear by themselves.
"""

from __future__ import annotations

import asyncio
import json
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Host
from .raw import PING, PONG, TEXT, accept, dead_port, frame, hang, listening, read_frame, read_head

INITIALIZE_LIMIT: Final = 1.5
"""Seconds from the start of the process; the most impatient host waits so long."""

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
"""Answers to the upgrade."""

MANUALS: Final = (b"[]", b'{"tools": 5}', b'{"tools": [{"name": 7}]}', b'{"utcp_version": ', b"\xff\xfe")
"""Manuals, after a proper upgrade."""


class Endpoint:
    """An endpoint that tells its manual once it is `well`, and answers with `garbage` before."""

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
    """Serve fifty endpoints, and heal some."""
    async with AsyncExitStack() as stack:
        dead = [stack.enter_context(dead_port()) for _ in range(10)]
        slow = [await stack.enter_async_context(listening(hang)) for _ in range(10)]
        broken = [Endpoint(healthy=False, upgrade=upgrade) for upgrade in GARBAGE]
        broken += [Endpoint(healthy=False, manual=manual) for manual in MANUALS]
        wrong = [await stack.enter_async_context(listening(each.talk)) for each in broken]
        good = [await stack.enter_async_context(listening(Endpoint().talk)) for _ in range(20)]
        kinds = {"dead": dead, "slow": slow, "broken": wrong, "good": good}
        host = await stack.enter_async_context(Host(_document(kinds, size)))
        initialized = await host.initialize()
        names = {f"good{number}_t" for number in range(20)}
        listed = await _listed(host, names, 10.0)
        first = await host.tools() - names
        healing = {f"broken{number}_t" for number in range(0, 10, 2)} | {f"dead{number}_t" for number in range(5)}
        for each in broken[::2]:
            each.healthy = True
        for port in dead[:5]:
            await stack.enter_async_context(listening(Endpoint().talk, port=port))
        began = time.monotonic()
        await _listed(host, names | healing, 2 * RECOVERY_LIMIT)
        healed, missing = time.monotonic() - began, len(healing - await host.tools())
        told = host.received.notifications.count("notifications/tools/list_changed")
    return [
        Figure("T16", "50 endpoints, 30 broken: `initialize`", f"{initialized:.2f} s", f"{INITIALIZE_LIMIT} s",
               initialized <= INITIALIZE_LIMIT),
        Figure("T16", "the 20 good ones listed, others", f"{listed:.2f} s, {len(first)}", f"{LIST_LIMIT} s, 0",
               listed <= LIST_LIMIT and not first),
        Figure("T16", "healed ones listed, missing", f"{healed:.1f} s, {missing}", f"{RECOVERY_LIMIT} s, 0",
               healed <= RECOVERY_LIMIT and not missing),
        Figure("T16", "list_changed", str(told), "at least 1", told > 0),
    ]  # fmt: skip


def _document(kinds: dict[str, list[int]], size: Size) -> list[Any]:
    """The call templates in random order."""
    entries = [
        {"name": f"{kind}{number}", "url": f"ws://127.0.0.1:{port}/"}
        for kind, ports in kinds.items()
        for number, port in enumerate(ports)
    ]
    size.random().shuffle(entries)
    return entries


async def _listed(host: Host, names: set[str], seconds: float) -> float:
    """Seconds from the start of the process until all these are listed, or so many have passed.

    The list is asked for at first, and whenever the process says that it has changed.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not names <= await host.tools():
                await host.notified.wait()
                host.notified.clear()
    return time.monotonic() - host.started


if __name__ == "__main__":
    run(measure)
