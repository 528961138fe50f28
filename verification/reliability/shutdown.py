"""T15: the process shuts down gracefully at EOF, SIGTERM and SIGINT, in every state.

The real process is stopped while idle, with 20 calls in flight, during calls to unreachable peers (a port that drops
SYNs, a peer that stopped reading) and during discovery. Pass criteria: exit code 0 within the grace period (1 s for
calls, 2 s for the closing handshake, 1 s for the host to read), exactly one reply to every request that was read,
stdout ends with a complete line, and close code 1001 at every live peer. A second signal during the shutdown must end
the process immediately.
"""

from __future__ import annotations

import asyncio
import json
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
"""Bytes of an argument; 20 of them exceed the buffers to a peer that does not read."""

STEP_TIMEOUT: Final = 5.0
WAYS: Final = ("eof", "SIGTERM", "SIGINT")


class LivePeer:
    """A peer that reads everything, answers requests with the parameter `answer`, and records close codes."""

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
        """Wait until the condition holds or STEP_TIMEOUT has passed; the caller checks the condition."""
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
    """The state of the process; `unreachable_peers`: it calls peers that cannot be reached or do not read."""

    name: str
    calls: int = 0
    unreachable_peers: bool = False
    discovering: bool = False


SITUATIONS: Final = (
    Situation("idle"),
    Situation("in flight", IN_FLIGHT),
    Situation("unreachable", IN_FLIGHT, unreachable_peers=True),
    Situation("discovering", discovering=True),
)


@dataclass(frozen=True, slots=True)
class End:
    """The end of a process, and its violations."""

    seconds: float
    violations: tuple[str, ...]


async def measure(size: Size) -> Sequence[Figure]:
    """Stop a process in every way, in every situation."""
    rounds = size.of(1, 20)
    ends = [end for _ in range(rounds) for end in await _ends()]
    twice = [await _second_signal(way) for _ in range(rounds) for way in WAYS[1:]]
    violations = sorted({violation for end in ends for violation in end.violations})
    slowest, second_signal = max(end.seconds for end in ends), max(twice)
    ways = f"{len(ends)} ends, {len(WAYS)} ways × {len(SITUATIONS)} situations"
    return [
        Figure("T15", f"{ways}: violations", _format_violations(violations), "0", not violations),
        Figure("T15", "slowest end", f"{slowest:.2f} s", f"{GRACE_PERIOD + SLACK} s", slowest <= GRACE_PERIOD + SLACK),
        Figure(
            "T15",
            f"second signal, {len(twice)} times",
            f"{second_signal:.2f} s",
            f"{SECOND_SIGNAL_LIMIT} s",
            second_signal <= SECOND_SIGNAL_LIMIT,
        ),
    ]


def _format_violations(violations: Sequence[str]) -> str:
    return f"{len(violations)}: {'; '.join(violations)}" if violations else "0"


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
        started = host.clock.now()
        host.end(way)
        code = await host.ended()
        seconds = host.clock.now() - started
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await peer.until(lambda: len(peer.codes) == peer.upgrades)
        checks = {
            f"exit code {code}": code != 0,
            "a call without an answer": any(isinstance(answer, BaseException) for answer in answers),
            "a second answer": host.received.unsolicited > 0,
            "a broken line": bool(host.received.invalid_lines or host.received.trailing_bytes),
            f"closed with {sorted(set(peer.codes))}": peer.codes != [1001] * peer.upgrades,
            "a peer that was never reached": not peer.upgrades,
        }
        return End(seconds, tuple(f"{situation.name}, {way}: {name}" for name, holds in checks.items() if holds))


async def _document(situation: Situation, peer: LivePeer, stack: AsyncExitStack) -> list[dict[str, Any]]:
    """Return the call templates of a live peer and, if the situation needs them, of two unreachable peers."""
    ports = {"live": await stack.enter_async_context(listening(peer.talk))}
    if situation.unreachable_peers:
        ports |= {
            "unreachable": stack.enter_context(black_hole()),
            "not_reading": await stack.enter_async_context(listening(_serve_without_reading)),
        }
    rpc = {"preset": "jsonrpc2", "tools": [{"name": "t"}], "timeout": 30}
    template = {"discovery": "handshake"} if situation.discovering else rpc
    return [{"name": name, "url": f"ws://127.0.0.1:{port}/", **template} for name, port in ports.items()]


async def _serve_without_reading(reader: StreamReader, writer: StreamWriter) -> None:
    await accept(reader, writer)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await hang(reader, writer)


async def _busy(host: Host, situation: Situation, peer: LivePeer) -> list[asyncio.Task[Any]]:
    """Start the calls of the situation and wait until the process has sent them."""
    if not situation.discovering:
        await host.call("live_t", answer=True)
    arguments = [{"n": number} for number in range(situation.calls)]
    calls: list[tuple[str, dict[str, Any]]] = [("live_t", each) for each in arguments]
    if situation.unreachable_peers:
        calls += [("unreachable_t", each) for each in arguments]
        calls += [("not_reading_t", {"text": LARGE_TEXT})] * situation.calls
    tasks = [asyncio.create_task(host.call(name, **each)) for name, each in calls]
    await peer.until(lambda: peer.messages == situation.calls + 1)
    await host.request("ping", {})  # the process has read everything that was written before
    return tasks


async def _second_signal(way: str) -> float:
    """Return the seconds from a second signal, sent while the process waits for calls, to its end."""
    peer = LivePeer()
    async with AsyncExitStack() as stack:
        situation = SITUATIONS[1]
        host = await stack.enter_async_context(Host(await _document(situation, peer, stack)))
        await host.initialize()
        calls = await _busy(host, situation, peer)
        host.end(way)
        await asyncio.sleep(0.1)
        started = host.clock.now()
        host.end("SIGTERM")
        await host.process.wait()
        seconds = host.clock.now() - started
        await asyncio.gather(*calls, return_exceptions=True)
        return seconds


if __name__ == "__main__":
    run(measure)
