"""S3: no text of a call template and no argument adds a line to an HTTP request or smuggles another request.

Every byte, and texts that are known to split requests, are used in every slot that is part of an upgrade, a token
request or a request of `before_connect`. A TCP listener captures the requests. Pass criteria: each request has as many
lines as with a harmless text, CR and LF occur only together at the ends of lines, there is one Host header, and nothing
follows except the body that Content-Length announces.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Sequence

from utcp_ws_mcp import BridgeError
from utcp_ws_mcp.errors import InternalError
from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.security.bridge_fixture import loadable_tools, open_bridge
from verification.security.injection_slots import SLOTS, Slot
from verification.security.listener import Listener, http_reply, listener

HARMLESS = "abc"
SPLITTING = (
    *("a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1", "a\r\n\r\nGET /x HTTP/1.1\r\nHost: evil", "a: b"),
    *("a\u010d\u010aX-Injected: 1", "a\u560d\u560aX-Injected:1", "a\u2028b", "a\x85b", "\r\n", "\r\n a", "a\r\n\tb"),
    *("Host", "host", "HOST", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Sec-WebSocket-Key"),
    *("a%0d%0aX-Injected: 1", "a%0aHost: evil", "a HTTP/1.1\r\nHost: evil", "a HTTP/1.1", " HTTP/1.0", "", " ", "é"),
    *("\ud800", "\U0001f600", "a" * 9000, "..", "../..", "%2e%2e%2f", "//evil", "@evil", "a;b", 'a"b', "a, b"),
)
ONCE = (b"host", b"connection", b"upgrade", b"sec-websocket-key", b"content-length", b"transfer-encoding")


async def measure(size: Size) -> Sequence[Figure]:
    """Use every text in every slot."""
    forms = ("a{}b", "{}ab", "ab{}") if size.nightly else ("a{}b",)
    texts = [form.format(chr(byte)) for form in forms for byte in range(256)] + list(SPLITTING)
    violations: list[str] = []
    requests = 0
    async with listener(_answer) as server:
        for slot in SLOTS:
            expected_lines = max(map(_count_lines, await _capture(slot, server, HARMLESS)))
            async for text, captured in _cases(slot, server, texts):
                requests += len(captured)
                found = [problem for request in captured for problem in problems(request, expected_lines)]
                violations += [f"{slot.name} {text[:40]!r}: {problem}" for problem in found]
    cases = len(SLOTS) * len(texts)
    example = f", such as {violations[0]}" if violations else ""
    result = f"{len(violations)} in {requests:,} requests of {cases:,} cases{example}"
    return [Figure("S3", "extra lines, duplicate Host, other requests", result, "0 of >= 5,000", not violations)]


def problems(request: bytes, expected_lines: int) -> list[str]:
    """Return the violations of a captured request; `expected_lines` is the maximal number of lines."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0].strip().lower() for line in lines[1:]]
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    found = [f"{names.count(name)} lines of {name!r}" for name in ONCE if names.count(name) > 1]
    found += [] if names.count(b"host") == 1 else ["no Host"]
    found += ["extra lines"] if len(lines) > expected_lines else []
    found += ["a lone CR, LF or NUL"] if re.search(rb"[\r\n\0]", b"".join(lines)) else []
    found += [] if re.fullmatch(rb"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1", lines[0]) else ["an invalid request line"]
    found += ["bytes after the request"] if len(body) != int(length[1] if length else 0) else []
    return found


async def _capture(slot: Slot, server: Listener, text: str) -> list[bytes]:
    return [captured async for _, each in _cases(slot, server, [text]) for captured in each]


async def _cases(slot: Slot, server: Listener, texts: Sequence[str]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield each text that the manifest accepts in the slot, and the requests of a call with it."""
    written = [HARMLESS] if slot.by_argument else texts
    inputs = {"properties": {"v": {"type": "string"}}}
    common = {"message": "hello", "reply": "none", "keep_alive": False, "timeout": 5}
    tools = loadable_tools(
        {
            "name": f"t{number}",
            "inputs": inputs,
            "tool_call_template": {**slot.make_template(server.port, text), **common},
        }
        for number, text in enumerate(written)
    )
    async with open_bridge({"name": "m", "tools": tools}) as bridge:
        calls = [("t0", text) for text in texts] if slot.by_argument else [(tool["name"], "") for tool in tools]
        for name, argument in calls:
            try:
                await bridge.call_tool(f"m.{name}", {"v": argument})
            except BridgeError as error:
                if isinstance(error, InternalError):
                    raise
            yield argument or written[int(name[1:])], [bytes(each) for each in server.captured]
            server.captured.clear()


def _answer(request: bytes) -> bytes:
    """Return a valid response to an upgrade, a token request or any other request."""
    key = re.search(rb"(?i)\r\nsec-websocket-key: *([^\r\n]+)", request)
    if key is None:
        return http_reply(200, b'{"access_token": "abc"}')
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}"
    return f"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n\r\n".encode()


def _count_lines(request: bytes) -> int:
    return request.partition(b"\r\n\r\n")[0].count(b"\r\n") + 1


if __name__ == "__main__":
    run(measure)
