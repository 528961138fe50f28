"""The endpoint of the demo."""

from __future__ import annotations

import json
import logging
import struct
import zlib
from typing import Any

import pytest
from websockets.asyncio.client import connect

from utcp_ws_mcp.demo import endpoint as module
from utcp_ws_mcp.demo.endpoint import demo_endpoint, draw_square, manual


async def test_a_client_that_goes_away_without_a_word_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with demo_endpoint() as port:
        client = await connect(f"ws://127.0.0.1:{port}/")
        await client.send('{"type": "utcp"}')
        await client.recv()
        client.transport.abort()
        await client.wait_closed()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def call(name: str, **arguments: Any) -> str:
    return json.dumps({"type": "call_tool", "request_id": "7", "tool_name": name, "arguments": arguments})


def response(**fields: Any) -> dict[str, Any]:
    return {"type": "tool_response", "request_id": "7", **fields}


def error(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_error", **fields, "error": text}


ANSWERED: list[tuple[str, list[Any]]] = [
    ('{"type": "utcp"}', [manual()]),
    ("SHOUT hello SHOUT", ["HELLO SHOUT!"]),
    ("shout", [error("not JSON")]),
    ("{}", [error("unknown request")]),
    ('{"type": "picture", "colour": 3}', [error("unknown request")]),
    (call("add", a=2, b=0.5), [response(result={"sum": 2.5})]),
    (call("divide", a=1, b=4), [response(result={"quotient": 0.25})]),
    (call("divide", a=1, b=0), [error("division by zero: choose another b", request_id="7")]),
    (call("other"), [error("there is no tool other", request_id="7")]),
    (call("countdown", start=2), [*(response(result=n) for n in (2, 1, 0)), {"type": "stream_end", "request_id": "7"}]),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "answers"), ANSWERED)
async def test_each_request_has_its_answers(monkeypatch: pytest.MonkeyPatch, sent: str, answers: list[Any]) -> None:
    monkeypatch.setattr(module, "COUNTDOWN_INTERVAL", 0)
    async with demo_endpoint() as port, connect(f"ws://127.0.0.1:{port}/") as client:
        await client.send(b"a binary message has no answer")
        await client.send("[]")  # neither has JSON that is no object
        await client.send(sent)
        await client.send("SHOUT end")
        received = []
        while (message := await client.recv()) != "END!":
            received.append(message if str(message).endswith("!") else json.loads(message))
    assert received == answers


def test_a_picture_is_a_square_of_one_colour() -> None:
    png = draw_square("#3366cc", 2)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert chunks[b"IHDR"] == struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    assert zlib.decompress(chunks[b"IDAT"]) == 2 * (b"\0" + 2 * bytes([0x33, 0x66, 0xCC]))
    assert struct.unpack(">II", draw_square("#000000")[16:24]) == (48, 48)


async def test_a_text_that_is_no_json_does_not_repeat_the_request_before_it() -> None:
    async with demo_endpoint() as port, connect(f"ws://127.0.0.1:{port}/") as client:
        for sent in ("{}", "nonsense", "SHOUT end"):
            await client.send(sent)
        received = [await client.recv() for _ in range(3)]
    assert [json.loads(each) for each in received[:2]] == [error("unknown request"), error("not JSON")]
    assert received[2] == "END!"
