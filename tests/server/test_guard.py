"""The last search for credentials: whatever goes to a host, no part of it holds one, and it stays JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import encode_json
from utcp_ws_mcp.observability.redaction import redactor
from utcp_ws_mcp.server.guard import MAX_JOINED_LENGTH, GuardMiddleware, encode_line, guard_body, guard_message

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


def seen_by_guard(parts: list[str]) -> tuple[list[bytes], list[str]]:
    """Return what a line becomes, and the texts that the guard was asked about."""
    asked: list[str] = []

    def guard(text: str) -> str:
        asked.append(text)
        return text

    return encode_line(parts, guard), asked


@pytest.mark.parametrize(
    ("parts", "chunks"),
    [
        (["a", "b"], ["ab\n"]),
        ([], ["\n"]),
        (["a", LONG, "b", "c"], ["a", LONG, "bc\n"]),
        ([LONG, LONG], ["", LONG, "", LONG, "\n"]),
        (["a", LONG[1:], "b"], ["a" + LONG[1:] + "b\n"]),
    ],
)
def test_small_parts_of_a_line_are_joined_and_each_is_searched_once(parts: list[str], chunks: list[str]) -> None:
    line, asked = seen_by_guard(parts)
    assert [chunk.decode() for chunk in line] == chunks
    assert asked == chunks


def test_what_utf_8_cannot_encode_is_replaced_in_a_line() -> None:
    assert encode_line(["\ud800", LONG + "\ud800"], str) == [b"?", LONG.encode() + b"?", b"\n"]


REPLACED = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"withheld"}}'


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('{"method":"m","params":{"password":"12"}}', REPLACED),
        ('[{"password":"12"}]', REPLACED),
        (
            '{"id":"x","result":{"password":"12"}}',
            '{"jsonrpc":"2.0","id":"x","error":{"code":-32603,"message":"the answer contained a credential"}}',
        ),
    ],
)
def test_a_message_that_spells_a_credential_by_its_structure_says_nothing(message: str, shown: str) -> None:
    assert guard_message(message, redactor(['"password":"12"'])) == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"id": SECRET, "result": SECRET}, {"id": SECRET, "result": "***"}),
        ({"id": 1, "params": [SECRET]}, {"id": 1, "params": ["***"]}),
        ({"method": "m", "params": {"a": SECRET}}, {"method": "m", "params": {"a": "***"}}),
        (
            {"method": "m", "params": {"progressToken": SECRET, "a": SECRET}},
            {"method": "m", "params": {"progressToken": SECRET, "a": "***"}},
        ),
        ({"method": "m", "params": {"progressToken": 5}}, {"method": "m", "params": {"progressToken": 5}}),
        ([SECRET], ["***"]),
        ("x", "x"),
    ],
)
def test_only_the_ids_that_the_host_chose_keep_a_credential(message: Any, shown: Any) -> None:
    assert json.loads(guard_message(json.dumps(message), GUARD)) == shown


def test_a_body_without_a_credential_is_the_same_object() -> None:
    for body in ('{"a":1}', "data: {}\r\n\r\n", "text"):
        assert guard_body(body, GUARD) is body


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (f'  {{"a":"{LONG[:3]} Kx7secret"}}', '{"a":"xxx ***"}'),
        ('event: message\r\ndata: {"a":"Kx7secret"}\r\n\r\n', 'event: message\r\ndata: {"a":"***"}\r\n\r\n'),
        ('data: {"a":"Kx7secret"}\n: Kx7secret\n', 'data: {"a":"***"}\n: ***\n'),
        ("data: Kx7secret\n", "data: ***\n"),
        ("{Kx7secret", "{***"),
        ('data: {"a":1}\nid: Kx7secret\n', 'data: {"a":1}\nid: ***\n'),
    ],
)
def test_a_body_keeps_the_form_that_it_has(body: str, shown: str) -> None:
    assert guard_body(body, redactor(["Kx7secret"])) == shown


async def passed_on(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the middleware makes of the messages of a response."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: Any) -> None:
        sent.append(message)

    await GuardMiddleware(app, redactor(["Kx7secret"]))({}, None, send)
    return sent


START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": [(b"X-A", b"1")]}


def with_length(length: int) -> dict[str, Any]:
    return {**START, "headers": [(b"X-A", b"1"), (b"Content-Length", str(length).encode())]}


async def test_a_response_without_a_credential_passes_as_it_is() -> None:
    messages = [with_length(5), {"type": "http.response.body", "body": b"\xff1234"}]
    assert await passed_on(*messages) == messages


async def test_a_body_may_be_empty_and_come_in_parts() -> None:
    parts = [
        START,
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body"},
        {"type": "other"},
    ]
    assert await passed_on(*parts) == [*parts[:2], {"type": "http.response.body", "body": b""}, parts[3]]


async def test_a_length_is_that_of_the_body_without_the_credential() -> None:
    body = b"<Kx7secret>"
    assert await passed_on(with_length(len(body)), {"type": "http.response.body", "body": body}) == [
        with_length(5),
        {"type": "http.response.body", "body": b"<***>"},
    ]


async def test_a_head_with_a_length_waits_for_the_body() -> None:
    assert await passed_on(with_length(5)) == []


@pytest.mark.parametrize("place", range(5))
def test_a_credential_in_any_part_of_a_line_is_removed(place: int) -> None:
    texts = ["small", LONG, "small", LONG, "small"]
    texts[place] += " Kx7secret"
    parts = ["[", *[f'"{text}",' for text in texts], "1]"]
    line = b"".join(encode_line(parts, redactor(["Kx7secret"]))).decode()
    assert json.loads(line) == [*[text.replace("Kx7secret", "***") for text in texts], 1]
