"""S14: stdout holds only JSON-RPC, whatever else the process prints.

A host makes mixed calls to the real process (`verification.security.noisy`): results, text with line breaks and
surrogates, large results, error replies, invalid arguments, unknown tools, lines that are not JSON-RPC. At each event
code in the process prints. Pass criteria: the SDK's parser of JSON-RPC accepts every line of stdout, each request is
answered once, and all other output is on stderr.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from typing import Any, Final

from mcp_types import jsonrpc_message_adapter

from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.reliability.host import Host
from verification.reliability.raw import PING, PONG, TEXT, accept, frame, listening, read_frame

from .noisy import NOISE

IN_FLIGHT: Final = 20
TEXTS: Final = ("plain", "two\nlines\r\nand\u2028more", "\ud800", '{"jsonrpc": "2.0"}\n', "\x00\x1b[2J", "x" * 100_000)
GARBAGE: Final = (b"hello\n", b"[]\n", b'{"jsonrpc": "2.0", "id": "g", "method": 5}\n', b"\xff\xfe\n", b"{\n")


class Strict(Host):
    """A host that counts each line as invalid that the SDK's parser rejects."""

    def _on_line(self, line: bytes) -> None:
        try:
            jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self.received.invalid_lines.append(line)
        else:
            super()._on_line(line)


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the parameters, or with an error if they hold `fail`."""
    await accept(reader, writer)
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == PING:
            writer.write(frame(payload, PONG))
        elif opcode == TEXT:
            request = json.loads(payload)
            answer = {"error": {"message": "no\n"}} if "fail" in request["params"] else {"result": request["params"]}
            writer.write(frame(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()))
            writer.write(frame(b'{"jsonrpc": "2.0", "method": "event"}'))


async def measure(size: Size) -> Sequence[Figure]:
    """Make calls while the process prints."""
    rng = size.random()
    async with listening(_talk) as port:
        document = {"name": "m", "url": f"ws://127.0.0.1:{port}/", "preset": "jsonrpc2", "tools": [_tool()]}
        async with Strict(document, command=("-m", "verification.security.noisy"), stderr=PIPE) as host:
            assert host.process.stderr
            counting = asyncio.create_task(_count_noise(host.process.stderr))
            await host.initialize()
            answered = 0
            for _ in range(size.of(2000, 10_000) // IN_FLIGHT):
                host.send(rng.choice(GARBAGE))
                calls = [_call(host, rng.randrange(10), rng.choice(TEXTS)) for _ in range(IN_FLIGHT)]
                answered += len(await asyncio.gather(*calls))
            host.end("eof")
            await host.ended()
            noise = await counting
    invalid, lines = len(host.received.invalid_lines) + bool(host.received.trailing_bytes), host.received.lines
    clean = not invalid and lines > answered
    return [
        Figure(
            "S14", f"{answered} mixed calls: lines of stdout that are not JSON-RPC", f"{invalid} of {lines}", "0", clean
        ),
        Figure("S14", "other outputs, all on stderr", str(noise), f"at least {answered}", noise >= answered),
    ]


def _tool() -> dict[str, Any]:
    return {"name": "t", "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}}}


async def _call(host: Host, kind: int, text: str) -> Any:
    match kind:
        case 0:
            return await host.call("m_t", fail=True)
        case 1:
            return await host.call("m_t", n=text)
        case 2:
            return await host.call("m_unknown", text=text)
        case 3:
            return await host.request("tools/list", {})
        case _:
            return await host.call("m_t", text=text)


async def _count_noise(stderr: asyncio.StreamReader) -> int:
    count, tail = 0, b""
    while chunk := await stderr.read(1 << 16):
        chunk = tail + chunk
        count += chunk.count(NOISE.encode())
        tail = chunk[chunk.rfind(NOISE[-1].encode()) + 1 :][-len(NOISE) :]
    return count


if __name__ == "__main__":
    run(measure)
