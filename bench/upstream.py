"""The endpoint that every bridge is measured against: JSON-RPC, answers with its parameters. Prints its port."""

import asyncio
import json
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def answer(connection: ServerConnection) -> None:
    """Answer each request; one without an id (the reference sends none) is echoed."""
    with suppress(ConnectionClosed):
        async for raw in connection:
            message = json.loads(raw)
            known = "id" in message
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": message["params"]} if known else message
            await connection.send(json.dumps(reply))


async def main() -> None:
    """Serve until the process is ended."""
    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
