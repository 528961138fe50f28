"""A client without the bridge, as a reference for latencies: stdin and stdout as the bridge, `websockets` behind them.

    python -m verification.reliability.bare_client MANIFEST

It connects to the URL of the manifest, sends each tool call as a JSON-RPC request, and reads every message.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


async def main() -> None:
    """Serve until stdin ends."""
    document = json.loads(Path(sys.argv[1]).read_text())
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with connect(document["url"], compression=None, max_size=None) as connection:
        reading = asyncio.create_task(_read(connection))
        async for line in lines:
            message = json.loads(line)
            if message["method"] == "tools/call":
                arguments = message["params"]["arguments"]
                request = {"jsonrpc": "2.0", "id": message["id"], "method": "t", "params": arguments}
                await connection.send(json.dumps(request))
            elif "id" in message:
                _reply(message["id"], {})
        reading.cancel()


async def _read(connection: ClientConnection) -> None:
    async for raw in connection:
        message = json.loads(raw)
        if "id" in message:
            _reply(message["id"], {"content": [{"type": "text", "text": json.dumps(message["result"])}]})


def _reply(request_id: Any, result: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
