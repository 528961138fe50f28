"""The last search for credentials: whatever goes to a host, no part of it holds one, and it stays JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import encode_json
from utcp_ws_mcp.observability.redaction import redactor
from utcp_ws_mcp.server.guard import MAX_JOINED_LENGTH, GuardMiddleware, encode_line, guard_body

SECRET = 'Kx7/aB3+dQ9?"zY5\\&'
GUARD = redactor([SECRET])
LONG = "x" * MAX_JOINED_LENGTH

MESSAGES: dict[str, Any] = {
    "a result": {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": f"it is {SECRET}"}]}},
    "a key of an object": {"jsonrpc": "2.0", "id": 1, "result": {SECRET: 1}},
    "JSON in a text": {"jsonrpc": "2.0", "id": 1, "result": {"text": json.dumps({"a": [SECRET]})}},
    "progress": {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"message": SECRET}},
    "an error of the SDK": {"jsonrpc": "2.0", "id": "a", "error": {"code": -32602, "message": f"no {SECRET}"}},
    "a large part": {"jsonrpc": "2.0", "id": 1, "result": {"a": LONG, "b": SECRET, "c": LONG}},
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_no_line_holds_a_credential_and_every_line_is_json(message: Any) -> None:
    text = encode_json(message)
    middle = text.index("Kx7")
    line = b"".join(encode_line((text[:middle], text[middle:]), GUARD)).decode()
    assert "Kx7" not in "".join(json.dumps(json.loads(line)).split("***"))
    assert line.endswith("\n")
    assert json.loads(line).get("id") == message.get("id")
    assert len(json.loads(line)) == len(message)


def test_a_line_without_a_credential_is_not_copied() -> None:
    parts = encode_line(('{"a":"', LONG, '"}'), GUARD)
    assert b"".join(parts) == f'{{"a":"{LONG}"}}\n'.encode()
    assert len(parts) == 3


def test_what_the_host_chose_comes_back_as_it_is() -> None:
    message = {"jsonrpc": "2.0", "id": SECRET, "result": {"text": SECRET}}
    line = json.loads(b"".join(encode_line((encode_json(message),), GUARD)))
    assert line == {"jsonrpc": "2.0", "id": SECRET, "result": {"text": "***"}}
    params = {"progressToken": SECRET, "message": SECRET}
    line = json.loads(b"".join(encode_line((encode_json({"method": "p", "params": params}),), GUARD)))
    assert line["params"] == {"progressToken": SECRET, "message": "***"}


def test_a_message_whose_structure_spells_a_credential_is_replaced() -> None:
    guard = redactor(['"password":"12"'])
    line = json.loads(b"".join(encode_line(('{"jsonrpc":"2.0","id":7,"result":{"password":"12"}}',), guard)))
    assert line["id"] == 7
    assert line["error"]["message"] == "the answer contained a credential"


BODIES = {
    "JSON": encode_json(MESSAGES["a result"]),
    "events": f"event: message\r\ndata: {encode_json(MESSAGES['progress'])}\r\n\r\n: ping {SECRET}\r\n\r\n",
    "a page": f'calls_total{{tool="{SECRET}"}} 1.0\n',
    "an event that is no JSON": f"data: {SECRET}\r\n\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_response_body_holds_a_credential(body: str) -> None:
    shown = guard_body(body, GUARD)
    assert "Kx7" not in shown
    assert "***" in shown
    assert shown.count("\n") == body.count("\n")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_response_keeps_its_head_and_gets_the_length_of_its_body(body: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(len(body.encode())).encode()), (b"x-a", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await GuardMiddleware(app, GUARD)({}, None, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    assert b"Kx7" not in sent[1]["body"]


async def test_the_head_of_an_event_stream_is_sent_before_its_first_event() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert len(sent) == 1

    async def send(message: Any) -> None:
        sent.append(message)

    await GuardMiddleware(app, GUARD)({}, None, send)
