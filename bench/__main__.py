"""`python -m bench`: start, latency and throughput of this bridge and of what it is compared with, interleaved.

Every figure is a median over rounds; the ratios are to the line named in the heading. A smaller start and call and a
larger throughput are better.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

from .driver import Driver

ROUNDS = 5
CALLS = 300
BURST = 2000


async def main() -> None:
    """Measure and print the table."""
    upstream = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.upstream", stdout=asyncio.subprocess.PIPE
    )
    assert upstream.stdout
    url = f"ws://127.0.0.1:{int(await upstream.stdout.readline())}/"
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.json"
        manifest.write_text(json.dumps({"name": "m", "url": url, "preset": "jsonrpc2", "tools": [{"name": "t"}]}))
        commands = {
            "bare SDK server (no WebSocket)": [sys.executable, "-m", "bench.bare_sdk"],
            "smallest bridge on the SDK": [sys.executable, "-m", "bench.smallest_bridge", url],
            "utcp-websocket on the SDK": [sys.executable, "-m", "bench.reference_bridge", url],
            "utcp-ws-mcp": [sys.executable, "-m", "utcp_ws_mcp", str(manifest)],
        }
        try:
            await _table(commands)
        finally:
            upstream.terminate()
            await upstream.wait()


async def _table(commands: dict[str, list[str]]) -> None:
    rows: dict[str, list[tuple[float, float, float, float, int]]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            async with Driver(command) as driver:
                await driver.latencies(20)
                seconds = await driver.latencies(CALLS)
                rate, failed = await driver.throughput(BURST)
                rows[name].append((driver.started, driver.listed, statistics.median(seconds), rate, failed))
    print(f"{'':32} {'start':>8} {'listed':>8} {'call p50':>10} {'64 in flight':>14} {'failed':>7}")
    for name, measured in rows.items():
        start, listed, call, rate = (statistics.median(row[column] for row in measured) for column in range(4))
        failed = max(row[4] for row in measured)
        print(
            f"{name:32} {start * 1000:5.0f} ms {listed * 1000:5.0f} ms {call * 1e6:7.0f} µs {rate:10.0f} /s {failed:7}"
        )


if __name__ == "__main__":
    asyncio.run(main())
