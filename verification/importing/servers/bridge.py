"""Put a program that speaks JSON lines on stdin and stdout behind a WebSocket: `bridge.py PORT FOLDER COMMAND…`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

MAX_LINE = 1 << 24


async def handle(connection: ServerConnection) -> None:
    """Run the program for one connection."""
    process = await asyncio.create_subprocess_exec(
        *sys.argv[3:], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=sys.argv[2], limit=MAX_LINE
    )
    assert process.stdin
    assert process.stdout

    async def back(lines: asyncio.StreamReader) -> None:
        async for line in lines:
            await connection.send(line.decode().strip())

    copying = asyncio.create_task(back(process.stdout))
    try:
        async for message in connection:
            text = message if isinstance(message, str) else message.decode()
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()
    finally:
        copying.cancel()
        process.kill()
        await process.wait()


async def main() -> None:
    """Serve until the process is ended."""
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), max_size=MAX_LINE):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
