"""What is a JSON-RPC 2.0 message, and the answer to what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.server.jsonrpc import MAX_REPEATED_ID_LENGTH, read_batch, read_message, without_padding

GOOD: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
WITHOUT_VERSION = {"id": 1, "method": "ping"}


def line(**changes: Any) -> bytes:
    return json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not ...}).encode()


ACCEPTED: dict[str, bytes] = {
    "a request": line(),
    "a notification": line(id=...),
    "parameters": line(params={"a": 1}),
    "no parameters": line(params=None),
    "a text as id": line(id="ü"),
    "an id of zero": line(id=0),
}
REFUSED: dict[str, tuple[bytes, Any]] = {
    "no version": (line(jsonrpc=...), 1),
    "another version": (line(jsonrpc="1.0"), 1),
    "a number as version": (line(jsonrpc=2.0), 1),
    "no version in a notification": (line(jsonrpc=..., id=...), None),
    "no method": (line(method=...), 1),
    "a method that is no text": (line(method=5), 1),
    "parameters in a list": (line(params=[1]), 1),
    "parameters that are a text": (line(params="x"), 1),
    "an id that is null": (line(id=None), None),
    "an id that is true": (line(id=True), None),
    "an id that is a fraction": (line(id=1.5), None),
    "an id that is an object": (line(id={}), None),
    "an id with a lone surrogate": (line(id="\ud800"), None),
    "a list": (b"[1]", None),
    "a text": (b'"x"', None),
    "NaN": (b'{"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": NaN}}', 1),
    "no UTF-8": (b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}', 1),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_a_message_is_read(text: bytes) -> None:
    assert read_message(text) == json.loads(text)


@pytest.mark.parametrize(("text", "request_id"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_message_is_answered_with_its_id(text: bytes, request_id: Any) -> None:
    with pytest.raises(ValueError, match="not a JSON-RPC 2.0 request") as refused:
        read_message(text)
    answer = json.loads(str(refused.value))
    assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", request_id, -32600)


@pytest.mark.parametrize("member", ["result", "error"])
def test_a_response_is_no_message_of_its_own(member: str) -> None:
    assert read_message(line(method=..., **{member: {}})) is None
    assert read_message(line(method=..., jsonrpc=..., **{member: {}})) is None


@pytest.mark.parametrize(("longer", "repeated"), [(0, True), (1, False)])
def test_an_id_is_repeated_up_to_its_limit(longer: int, repeated: bool) -> None:
    request_id = "x" * (MAX_REPEATED_ID_LENGTH + longer)
    with pytest.raises(ValueError, match="2.0") as refused:
        read_message(line(id=request_id, method=...))
    assert (json.loads(str(refused.value))["id"] == request_id) is repeated


def test_a_batch_has_its_messages_and_its_errors() -> None:
    messages, errors = read_batch(json.dumps([GOOD, WITHOUT_VERSION, {"id": 3, "result": {}}, 5]).encode())
    assert [message for _, message in messages] == [GOOD]
    assert [json.loads(part) for part, _ in messages] == [GOOD]
    assert [json.loads(error)["id"] for error in errors] == [1, None]


@pytest.mark.parametrize(("text", "code"), [(b"[", -32700), (b"[]", -32600)])
def test_what_is_no_batch_is_answered(text: bytes, code: int) -> None:
    with pytest.raises(ValueError, match="this") as refused:
        read_batch(text)
    assert json.loads(str(refused.value))["error"]["code"] == code


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf{}\x00",
        b"\x00\t{}\r\x7f",
        b"{}",
        b" {}",
        b"{} ",
        b"\xef\xbb\xbf\xef\xbb\xbf \x7f{}",
    ],
)
def test_padding_is_removed(text: bytes) -> None:
    assert without_padding(text) == b"{}"


def test_what_is_inside_a_line_is_no_padding() -> None:
    assert without_padding(b"[1, \x00 2] ") == b"[1, \x00 2]"
    assert without_padding(b"{}\xef\xbb\xbf") == b"{}\xef\xbb\xbf"
    assert without_padding(b"\x00 \xef\xbb\xbf") == b""


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (b"{", -32700, "this is not JSON"),
        (b"[" * 100_000, -32700, "this is not JSON"),
        (b"{}", -32600, "this is not a JSON-RPC 2.0 request or notification"),
    ],
)
def test_the_answer_to_what_is_no_message_is_a_whole_error(text: bytes, code: int, message: str) -> None:
    with pytest.raises(ValueError, match="this") as refused:
        read_message(text)
    assert json.loads(str(refused.value)) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": code, "message": message},
    }


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (b"{]", -32700, "this is not JSON"),
        (b"[" * 100_000, -32700, "this is not JSON"),
        (b"[]", -32600, "this batch is empty"),
    ],
)
def test_the_answer_to_what_is_no_batch_is_a_whole_error(text: bytes, code: int, message: str) -> None:
    with pytest.raises(ValueError, match="this") as refused:
        read_batch(text)
    assert json.loads(str(refused.value)) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": code, "message": message},
    }


def test_a_number_of_any_length_is_repeated_as_an_id_up_to_its_digits() -> None:
    for digits in (MAX_REPEATED_ID_LENGTH, MAX_REPEATED_ID_LENGTH + 1):
        request_id = 10 ** (digits - 1)
        with pytest.raises(ValueError, match="2.0") as refused:
            read_message(line(id=request_id, method=...))
        answer = json.loads(str(refused.value))
        assert (answer["id"] == request_id) is (digits == MAX_REPEATED_ID_LENGTH)
