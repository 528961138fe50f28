"""T9: send data that could exhaust the memory of a client, block it or crash it.

A raw server sends each bomb as the reply to a call of the real process. Pass criteria: the peak memory of the process
as Linux counts it; every call fails by its timeout; the process answers `ping`; and the next call, at a healthy
endpoint, succeeds.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from backports import zstd

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Host
from .memory import Memory
from .raw import CLOSE, PING, PONG, TEXT, ConnectionHandler, accept, frame, header, listening, read_frame, read_head

MAX_GROWTH: Final = 40
"""MiB: the largest message (16 MiB) exists twice at most, as inflated bytes and as decoded text, and a margin of 8 MiB
for the allocator. Measured: 32.6 to 33.6 in seven runs, always for the inflated message. A third copy would be 48.
"""

TIMEOUT: Final = 1.0
MAX_LATENESS: Final = 0.5
"""Seconds after its timeout by which a call must end; the machine is busy with sending."""

CONTINUATION: Final = 0


@dataclass(frozen=True, slots=True)
class Bomb:
    """A hostile endpoint. `talk` is its side of a connection."""

    name: str
    talk: ConnectionHandler
    framing: Mapping[str, Any] = field(default_factory=dict)


def after_request(chunk: bytes, times: int = 1, first: bytes = b"") -> ConnectionHandler:
    """Return a handler that accepts the upgrade, waits for the request, and sends `first` and a chunk `times` times."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await accept(reader, writer)
        await _request(reader, writer)
        await _send_repeatedly(writer, first, chunk, times)

    return talk


def in_upgrade(first: bytes, chunk: bytes = b"", times: int = 0, pause: float = 0.0) -> ConnectionHandler:
    """Return a handler that answers the upgrade with `first` and a chunk `times` times."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_head(reader)
        await _send_repeatedly(writer, first, chunk, times, pause)

    return talk


async def _request(reader: StreamReader, writer: StreamWriter) -> Any:
    opcode = PING
    while opcode != TEXT:
        opcode, payload = await read_frame(reader)
        if opcode == PING:
            writer.write(frame(payload, PONG))
    return json.loads(payload)


async def _send_repeatedly(writer: StreamWriter, first: bytes, chunk: bytes, times: int, pause: float = 0.0) -> None:
    writer.write(first)
    for _ in range(times):
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(pause)
    await asyncio.sleep(2 * TIMEOUT)


async def _serve_correctly(reader: StreamReader, writer: StreamWriter) -> None:
    await accept(reader, writer)
    while True:
        request = await _request(reader, writer)
        writer.write(frame(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "here"}).encode()))


MIB: Final = 1 << 20


def _zeros(count: int) -> bytes:
    """Return blocks of raw deflate that inflate to so many MiB of zeros."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(bytes(MIB)) + deflater.flush(zlib.Z_FULL_FLUSH)) * count


def _zstd_bomb(count: int) -> bytes:
    """Return a frame of Zstandard with the largest window that is allowed, which inflates to so many MiB of zeros."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 23})
    return b"".join(compressor.compress(bytes(MIB)) for _ in range(count)) + compressor.flush()


BINARY: Final = 2
GZIP_BOMB: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + _zeros(1024)
ZLIB_BOMB: Final = b"\x78\x9c" + _zeros(1024)
ZSTD_BOMB: Final = _zstd_bomb(1024)
SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\n"
FORBIDDEN: Final = b"HTTP/1.1 403 No\r\n"
EMPTY: Final = frame(b"", CONTINUATION, final=False)
ONE: Final = frame(b"x", CONTINUATION, final=False)
OPENING: Final = frame(b"", TEXT, final=False)
BOMBS: Final = (
    Bomb("a frame of 2^62 bytes", after_request(b"x" * MIB, 64, header(1 << 62))),
    Bomb("a frame of 2^63 + 1 bytes", after_request(b"x" * MIB, 64, header((1 << 63) + 1))),
    Bomb("10,000,000 empty fragments", after_request(EMPTY * 100_000, 100, OPENING)),
    Bomb("1,000,000 fragments of a byte", after_request(ONE * 100_000, 10, OPENING)),
    Bomb("a message of 4 GiB in fragments", after_request(frame(b"x" * MIB, CONTINUATION, final=False), 4096, OPENING)),
    Bomb("a close frame of 1 MiB", after_request(frame(b"\x03\xe8" + b"x" * MIB, CLOSE))),
    Bomb("a close reason that is not UTF-8", after_request(frame(b"\x03\xe8" + b"\xff" * 123, CLOSE))),
    Bomb("an invalid close code", after_request(frame(b"\xff\xff", CLOSE))),
    Bomb("a ping of 1 MiB", after_request(frame(b"x" * MIB, PING), 64)),
    Bomb("10,000,000 bytes of garbage", after_request(bytes(range(256)) * 4096, 10)),
    Bomb("a message nested 1,000,000 deep", after_request(frame(b"[" * 1_000_000))),
    Bomb("an integer of 1,000,000 digits", after_request(frame(b"9" * 1_000_000))),
    Bomb("a gzip message of 1 GiB", after_request(frame(GZIP_BOMB, BINARY)), {"compression": "gzip"}),
    Bomb("a compressed connection of 1 GiB", after_request(frame(ZLIB_BOMB, BINARY)),
         {"compression": {"method": "zlib", "context": "connection"}}),
    Bomb("a zstd message of 1 GiB", after_request(frame(ZSTD_BOMB, BINARY)), {"compression": "zstd"}),
    Bomb("a zstd connection of 1 GiB", after_request(frame(ZSTD_BOMB, BINARY)),
         {"compression": {"method": "zstd", "context": "connection"}}),
    Bomb("10,000,000 messages of no length", after_request(frame(bytes(MIB), BINARY), 10), {"length": {"size": 1}}),
    Bomb("a message that announces 4 GiB", after_request(frame(b"\xff" * 4 + b"x" * MIB, BINARY), 64),
         {"length": {"size": 4}, "spans_messages": True}),
    Bomb("a 101 whose headers never end, slowly", in_upgrade(SWITCHING, b"X-A: b\r\n", 1000, 0.01)),
    Bomb("a 101 whose headers never end, fast", in_upgrade(SWITCHING, b"X-A: b\r\n" * 1000, 10_000)),
    Bomb("a header line of 64 MiB", in_upgrade(SWITCHING + b"X-A: ", b"x" * MIB, 64)),
    Bomb("a status line of 64 MiB", in_upgrade(b"HTTP/1.1 101 ", b"x" * MIB, 64)),
    Bomb("a 403 with a body of 1 MiB", in_upgrade(FORBIDDEN + b"Content-Length: 1048576\r\n\r\n", b"x" * MIB, 1)),
    Bomb("a 403 with a body of 64 MiB", in_upgrade(FORBIDDEN + b"Content-Length: 67108864\r\n\r\n", b"x" * MIB, 64)),
    Bomb("a 403 whose body never ends", in_upgrade(FORBIDDEN + b"Transfer-Encoding: chunked\r\n\r\n",
         b"10000\r\n" + b"x" * 65536 + b"\r\n", 1024)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BombResult:
    """The effect of a bomb: memory growth in MiB, seconds of the call, and whether the process works afterwards."""

    name: str
    growth: float
    seconds: float
    recovered: bool


async def measure(size: Size) -> Sequence[Figure]:
    """Send every bomb, one after the other, to the same process."""
    results: list[BombResult] = []
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(listening(bomb.talk)) for bomb in BOMBS]
        healthy = await stack.enter_async_context(listening(_serve_correctly))
        bombs = zip(BOMBS, ports, strict=True)
        document = [
            _template("healthy", healthy, {}),
            *(_template(f"b{number}", port, bomb.framing) for number, (bomb, port) in enumerate(bombs)),
        ]
        host = await stack.enter_async_context(Host(document))
        await host.initialize()
        await host.call("healthy_t")
        for _ in range(size.of(1, 10)):
            results += [await _call_bomb(host, f"b{number}_t", bomb) for number, bomb in enumerate(BOMBS)]
    biggest = max(results, key=lambda result: result.growth)
    slowest = max(results, key=lambda result: result.seconds)
    failed = sorted({result.name for result in results if not result.recovered})
    count, worst = f"{len(results)} bombs", f"+{biggest.growth:.1f} MiB ({biggest.name})"
    end = f"{slowest.seconds:.2f} s ({slowest.name})"
    return [
        Figure("T9", f"{count}: process or next call failed", ", ".join(failed) or "0", "0", not failed),
        Figure("T9", "memory", worst, f"+{MAX_GROWTH} MiB", biggest.growth <= MAX_GROWTH),
        Figure(
            "T9",
            "slowest end of a call with a timeout of 1 s",
            end,
            f"{TIMEOUT + MAX_LATENESS} s",
            slowest.seconds <= TIMEOUT + MAX_LATENESS,
        ),
    ]


def _template(name: str, port: int, framing: Mapping[str, Any]) -> dict[str, Any]:
    url = f"ws://127.0.0.1:{port}/"
    common = {"preset": "jsonrpc2", "timeout": TIMEOUT, "tools": [{"name": "t"}]}
    return {"name": name, "url": url, **common, "framing": framing}


async def _call_bomb(host: Host, tool: str, bomb: Bomb) -> BombResult:
    memory = Memory(host.process.pid)
    answer = await host.call(tool)
    after = await host.call("healthy_t")
    recovered = answer.failed and not after.failed and "result" in await host.request("ping", {})
    return BombResult(bomb.name, memory.growth, answer.seconds, recovered)


if __name__ == "__main__":
    run(measure)
