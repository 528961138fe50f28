"""T15: however the process is told to stop, and whatever it is doing, it ends in order.

The real process is stopped over pipes and signals, idle, with 20 calls in flight, before peers that cannot be reached
(a port that drops SYNs, a peer that stopped reading) and in the middle of discovery. The oracle is what Linux and the
peer say: exit code 0 within the grace time (1 s for calls, 2 s for the closing handshake, 1 s for the host to read),
every request that was read is answered once, stdout ends with a whole line, close 1001 at every peer that is alive.
Then a second signal in the middle of all that, which ends the process at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Host
from .raw import CLOSE, TEXT, accept, black_hole, frame, hang, listening, read_frame

GRACE_PERIOD: Final = 4.0
SLACK: Final = 0.5
SECOND_SIGNAL_LIMIT: Final = 0.2
"""Seconds that a process may take to end after the second signal."""

IN_FLIGHT: Final = 20
LARGE_TEXT: Final = "x" * (1 << 19)
"""Twenty times this is more than the buffers before a peer hold that does not read."""

STEP_TIMEOUT: Final = 5.0
WAYS: Final = ("eof", "SIGTERM", "SIGINT")


class LivePeer:
    """A peer that reads everything, answers what asks for it, and notes the codes it was closed with."""

    def __init__(self) -> None:
        self.upgrades = 0
        self.messages = 0
        self.codes: list[int] = []
        self._changed = asyncio.Event()

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a connection."""
        await accept(reader, writer)
        self.upgrades += 1
        opcode, payload = await read_frame(reader)
        while opcode != CLOSE:
            if opcode == TEXT:
                self._answer(json.loads(payload), writer)
            opcode, payload = await read_frame(reader)
        self.codes.append(int.from_bytes(payload[:2], "big"))
        self._changed.set()
        writer.write(frame(payload, CLOSE))
        await writer.drain()
        await reader.read()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that messages bring about; who calls judges whether it does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STEP_TIMEOUT):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()

    def _answer(self, message: dict[str, Any], writer: StreamWriter) -> None:
        self.messages += 1
        self._changed.set()
        if message.get("params", {}).get("answer"):
            writer.write(frame(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": "here"}).encode()))


@dataclass(frozen=True, slots=True)
class Situation:
    """What the process is doing; `before_dead_ends`: calling peers that cannot be reached, or do not read."""

    name: str
    calls: int = 0
    before_dead_ends: bool = False
    discovering: bool = False


SITUATIONS: Final = (
    Situation("idle"),
    Situation("in flight", IN_FLIGHT),
    Situation("unreachable", IN_FLIGHT, before_dead_ends=True),
    Situation("discovering", discovering=True),
)


@dataclass(frozen=True, slots=True)
class End:
    """How one process ended; `wrong` says what was not in order."""

    seconds: float
    wrong: tuple[str, ...]


async def measure(size: Size) -> Sequence[Figure]:
    """End a process in every way, in every situation."""
    rounds = size.of(1, 20)
    ends = [end for _ in range(rounds) for end in await _ends()]
    twice = [await _second_signal(way) for _ in range(rounds) for way in WAYS[1:]]
    wrong = sorted({fault for end in ends for fault in end.wrong})
    slowest, again = max(end.seconds for end in ends), max(twice)
    ways = f"{len(ends)} ends, {len(WAYS)} ways × {len(SITUATIONS)} situations"
    return [
        Figure("T15", f"{ways}: not in order", _shown(wrong), "0", not wrong),
        Figure("T15", "slowest end", f"{slowest:.2f} s", f"{GRACE_PERIOD + SLACK} s", slowest <= GRACE_PERIOD + SLACK),
        Figure(
            "T15",
            f"second signal, {len(twice)} times",
            f"{again:.2f} s",
            f"{SECOND_SIGNAL_LIMIT} s",
            again <= SECOND_SIGNAL_LIMIT,
        ),
    ]


def _shown(wrong: Sequence[str]) -> str:
    return f"{len(wrong)}: {'; '.join(wrong)}" if wrong else "0"


async def _ends() -> list[End]:
    ends = []
    for situation in SITUATIONS:
        ends += await asyncio.gather(*(_end(way, situation) for way in WAYS))
    return ends


async def _end(way: str, situation: Situation) -> End:
    peer = LivePeer()
    async with AsyncExitStack() as stack:
        document = await _document(situation, peer, stack)
        host = await stack.enter_async_context(Host(document))
        await host.initialize()
        calls = await _busy(host, situation, peer)
        began = time.monotonic()
        host.end(way)
        code = await host.ended()
        seconds = time.monotonic() - began
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await peer.until(lambda: len(peer.codes) == peer.upgrades)
        faults = {
            f"exit code {code}": code != 0,
            "a call without an answer": any(isinstance(answer, BaseException) for answer in answers),
            "a second answer": host.received.unsolicited > 0,
            "a broken line": bool(host.received.invalid_lines or host.received.trailing_bytes),
            f"closed with {sorted(set(peer.codes))}": peer.codes != [1001] * peer.upgrades,
            "a peer that was never reached": not peer.upgrades,
        }
        return End(seconds, tuple(f"{situation.name}, {way}: {fault}" for fault, holds in faults.items() if holds))


async def _document(situation: Situation, peer: LivePeer, stack: AsyncExitStack) -> list[dict[str, Any]]:
    """One live peer in every situation, and beside it two dead ends, if the situation wants them."""
    ports = {"live": await stack.enter_async_context(listening(peer.talk))}
    if situation.before_dead_ends:
        ports |= {
            "gone": stack.enter_context(black_hole()),
            "deaf": await stack.enter_async_context(listening(_serve_without_reading)),
        }
    rpc = {"preset": "jsonrpc2", "tools": [{"name": "t"}], "timeout": 30}
    told = {"discovery": "handshake"} if situation.discovering else rpc
    return [{"name": name, "url": f"ws://127.0.0.1:{port}/", **told} for name, port in ports.items()]


async def _serve_without_reading(reader: StreamReader, writer: StreamWriter) -> None:
    await accept(reader, writer)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await hang(reader, writer)


async def _busy(host: Host, situation: Situation, peer: LivePeer) -> list[asyncio.Task[Any]]:
    """Start what the situation says, and wait until the process is in the middle of it."""
    if not situation.discovering:
        await host.call("live_t", answer=True)
    arguments = [{"n": number} for number in range(situation.calls)]
    calls = [("live_t", each) for each in arguments]
    if situation.before_dead_ends:
        calls += [("gone_t", each) for each in arguments] + [("deaf_t", {"much": LARGE_TEXT})] * situation.calls
    tasks = [asyncio.create_task(host.call(name, **each)) for name, each in calls]
    await peer.until(lambda: peer.messages == situation.calls + 1)
    await host.request("ping", {})  # all that was written before has been read
    return tasks


async def _second_signal(way: str) -> float:
    """Seconds from a second signal, which comes while calls are waited for, to the end of the process."""
    peer = LivePeer()
    async with AsyncExitStack() as stack:
        situation = SITUATIONS[1]
        host = await stack.enter_async_context(Host(await _document(situation, peer, stack)))
        await host.initialize()
        calls = await _busy(host, situation, peer)
        host.end(way)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        host.end("SIGTERM")
        await host.process.wait()
        seconds = time.monotonic() - began
        await asyncio.gather(*calls, return_exceptions=True)
        return seconds


if __name__ == "__main__":
    run(measure)
