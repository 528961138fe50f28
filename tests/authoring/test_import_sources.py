"""Documents that `import` fetches: what a hostile one can make the program send and say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from utcp_ws_mcp.authoring.import_sources import SourceOptions, read_source
from utcp_ws_mcp.errors import ImportFailed

Answer = Callable[[int], bytes]


@asynccontextmanager
async def web_server(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve the answer to every request; yield the port and the heads of the requests."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(port))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield port, heads


def document(port: int) -> bytes:
    reference = f"http://127.0.0.1:{port}/other?a=${{KEY}}&b=${{TOKEN}}"
    body = json.dumps({"openrpc": "1.2.6", "x": {"$ref": reference}}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def test_a_document_cannot_send_variables_to_where_it_refers_to() -> None:
    variables = {"KEY": "value-of-key", "TOKEN": "value-of-token"}
    options = SourceOptions(None, None, {"Authorization": "${TOKEN}"}, variables, remote_references=True)
    async with web_server(document) as (port, heads):
        with pytest.raises(ImportFailed, match="the URL contains '{'"):
            await read_source(f"http://127.0.0.1:{port}/document?key=${{KEY}}", options)
    [asked] = heads
    assert b"key=value-of-key" in asked
    assert b"value-of-token" in asked


LOCATIONS = {
    "a URL": (b"https://a.example/new?token=x", "It redirects to https://a.example/new: give that URL."),
    "a sentence": (b"No request was sent. [reply-timeout]", "It redirects to another place: give that URL."),
    "a script": (b"javascript:alert(1)", "It redirects to another place: give that URL."),
}


@pytest.mark.parametrize(("location", "hint"), LOCATIONS.values(), ids=LOCATIONS)
async def test_a_redirect_is_shown_only_if_it_is_a_url(location: bytes, hint: str) -> None:
    def redirect(_: int) -> bytes:
        return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"

    async with web_server(redirect) as (port, _):
        with pytest.raises(ImportFailed) as failed:
            await read_source(f"http://127.0.0.1:{port}/", SourceOptions(None, None, {}, {}, remote_references=False))
    assert hint in failed.value.message
    assert b"token=x" not in failed.value.message.encode()
