"""The endpoint of every measurement: `python -m benchmarks.endpoint` prints its port and serves until it is stopped.

It implements the needed part of WebSocket (RFC 6455) itself, because it shares the machine with what is measured: it
costs a third of a `websockets` server. The parameters of a request are in `params`, `arguments`, or the object itself.

    {"type": "utcp"}       the manual of the URL's path: /NAME?tools=10&delay=3
    {"hold": true}         no answer
    {"items": 100}         so many items and the end of the stream, in UTCP's framing
    {"size": …, "shape": …} an answer of about so many bytes: rows, text, binary
    anything else          is repeated, after the seconds of `pause` in the URL
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import json
import resource
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.speedups import apply_mask

from .fixtures import INPUT_SCHEMA, tool_descriptions

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
ROW = {"id": 17, "name": "a row of the answer", "price": 12.5, "tags": ["one", "two"], "open": True}


def frame(opcode: int, data: bytes) -> bytes:
    """Return an unmasked frame, as servers send it."""
    size = len(data)
    if size < 126:
        return bytes((128 | opcode, size)) + data
    if size < 1 << 16:
        return bytes((128 | opcode, 126)) + size.to_bytes(2, "big") + data
    return bytes((128 | opcode, 127)) + size.to_bytes(8, "big") + data


class Peer(asyncio.Protocol):
    """One client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Initialize the state."""
        self._transport: Any = transport
        self._buffer = bytearray()
        self._url = ""
        self._pause = 0.0

    def data_received(self, data: bytes) -> None:
        """Handle the opening handshake, then every complete frame."""
        self._buffer += data
        if not self._url and b"\r\n\r\n" in self._buffer:
            self._upgrade()
        while self._url and (taken := self._process_buffer()):
            opcode, payload = taken
            if opcode == TEXT:
                self._answer(json.loads(payload))
            elif opcode == PING:
                self._transport.write(frame(10, payload))
            elif opcode == CLOSE:
                self._transport.write(frame(CLOSE, payload))
                self._transport.close()

    def _upgrade(self) -> None:
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        request, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + GUID).digest()).decode()
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        self._transport.write("\r\n".join([*answer, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
        self._url = f"ws://{headers['host']}{request.split()[1]}"
        self._pause = float(parse_qs(urlsplit(self._url).query).get("pause", ["0"])[0])

    def _process_buffer(self) -> tuple[int, bytes] | None:
        """Return the next masked frame, if it is complete."""
        buffer = self._buffer
        if len(buffer) < 6:
            return None
        size, start = buffer[1] & 127, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:start], "big")
        end = start + 4 + size
        if len(buffer) < end:
            return None
        opcode, payload = buffer[0] & 15, apply_mask(bytes(buffer[start + 4 : end]), bytes(buffer[start : start + 4]))
        del buffer[:end]
        return opcode, payload

    def _answer(self, request: dict[str, Any]) -> None:
        parameters = request.get("params") or request.get("arguments") or request
        if request.get("type") == "utcp":
            self._send_manual()
        elif "items" in parameters:
            self._stream(request, parameters["items"])
        elif parameters.get("shape") == "binary":
            self._transport.write(large_binary(parameters["size"]))
        elif "shape" in parameters:
            self._send(reply(request, large(parameters["shape"], parameters["size"])))
        elif "hold" not in parameters:
            self._send_later(reply(request, json.dumps(parameters).encode()))

    def _send_later(self, data: bytes) -> None:
        if self._pause:
            asyncio.get_running_loop().call_later(self._pause, self._send, data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        self._transport.write(frame(TEXT, data))

    def _stream(self, request: dict[str, Any], count: int) -> None:
        """Send all items at once, so that no contender waits for the endpoint."""
        known = {name: request[name] for name in ("id", "request_id") if name in request}
        items = (
            {**known, "type": "tool_response", "result": {"item": number, "price": 12.5}, "more": True}
            for number in range(count)
        )
        frames = [frame(TEXT, json.dumps(item).encode()) for item in items]
        end = frame(TEXT, json.dumps({**known, "type": "stream_end", "result": None}).encode())
        self._transport.write(b"".join([*frames, end]))

    def _send_manual(self) -> None:
        path = urlsplit(self._url)
        query = parse_qs(path.query)
        template = {
            "name": path.path.strip("/"),
            "call_template_type": "websocket",
            "url": self._url,
            "response_format": "json",
        }
        tools = [
            {"name": name, "description": text, "inputs": INPUT_SCHEMA, "tool_call_template": template}
            for name, text in tool_descriptions(int(query["tools"][0]))
        ]
        manual = json.dumps({"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": tools}).encode()
        delay = float(query.get("delay", ["0"])[0])
        asyncio.get_running_loop().call_later(delay, self._send, manual)


def reply(request: dict[str, Any], result: bytes) -> bytes:
    """Return the answer to a request with an id; without one the bare result, like a plain UTCP endpoint."""
    if "id" not in request:
        return result
    return b'{"jsonrpc": "2.0", "id": %d, "result": %b}' % (request["id"], result)


@functools.cache
def large(shape: str, size: int) -> bytes:
    """Return JSON of about `size` bytes: an object with one long text, or with many rows."""
    if shape == "text":
        return json.dumps({"text": "x" * size}).encode()
    return json.dumps({"rows": [ROW] * (size // len(json.dumps(ROW)))}).encode()


@functools.cache
def large_binary(size: int) -> bytes:
    """Return a frame with a binary message of `size` bytes."""
    return frame(BINARY, bytes(range(256)) * (size // 256))


async def main() -> None:
    """Serve until the process is stopped."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
