"""What each message of a conversation is classified as, and what marks teach."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder.conversations import conversation
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.recorder.manifest import draft_manifest, understand
from utcp_ws_mcp.recorder.roles import message_roles

URL = "wss://api.clock.example/ws"


def roles(*lines: str) -> list[str]:
    return [str(role) for role in message_roles({"url": URL}, conversation(*lines), ())]


def draft(*lines: str) -> dict[str, Any]:
    return draft_manifest({"url": URL}, parse_url(URL), conversation(*lines), ()).document


def test_each_message_gets_its_role() -> None:
    assert roles(
        '< {"type": "hello"}',
        '> {"type": "login", "token": "x"}',
        '< {"type": "ready"}',
        '> {"id": 1, "op": "get"}',
        '< {"type": "tick"}',
        '< {"id": 1, "data": 5}',
        '> {"id": 2, "op": "get"}',
        '< {"id": 2, "error": "no"}',
        '> {"type": "ping"}',
        '< {"type": "pong"}',
    ) == [
        "greeting", "login", "reply", "request", "event", "reply", "request", "error", "heartbeat", "heartbeat",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (('< {"type": "tick"}',), ["event"]),
        (('< {"type": "a"}', '< {"type": "tick"}', '< {"error": "no"}'), ["greeting", "event", "error"]),
        (('> {"id": 1, "op": "a"}', '< {"id": 1, "status": "accepted"}', '< {"id": 1, "status": "done", "n": 1}'),
         ["request", "acknowledgement", "reply"]),
        (("> PING", "< Pong ", "> ping me"), ["heartbeat", "heartbeat", "request"]),
        (('> {"op": "keepalive"}', '> {"op": "KA"}', '> {"op": 1}'), ["heartbeat", "heartbeat", "request"]),
        (('> {"id": 1, "op": "a"}', '< {"id": 1}', '<X {"n": 1}'), ["request", "reply", "error"]),
    ],
)  # fmt: skip
def test_what_answers_nothing_or_says_little_has_a_role_of_its_own(lines: tuple[str, ...], expected: list[str]) -> None:
    assert roles(*lines) == expected


def test_messages_in_the_protocol_of_a_preset_get_roles_too() -> None:
    assert roles(
        '> {"jsonrpc": "2.0", "id": 1, "method": "get"}',
        '< {"jsonrpc": "2.0", "method": "tick"}',
        '< {"jsonrpc": "2.0", "id": 1, "result": 1}',
    ) == ["request", "event", "reply"]


def test_a_reply_of_phoenix_belongs_to_the_message_with_its_reference_and_not_to_the_join() -> None:
    url = "wss://api.clock.example/socket/websocket?vsn=2.0.0"
    lines = (
        '> ["1", "1", "room", "phx_join", {}]',
        '> ["1", "2", "room", "shout", {}]',
        '< ["1", "1", "room", "phx_reply", {"status": "ok"}]',
        '< ["1", "2", "room", "phx_reply", {"status": "error"}]',
    )
    exchanges = understand({"url": url}, conversation(*lines), ()).exchanges.exchanges
    assert [(each.request.value[1], [reply.value[1] for reply in each.replies]) for each in exchanges] == [("2", ["2"])]


def test_a_text_that_is_no_message_of_the_protocol_is_something_else() -> None:
    request, reply = '{"jsonrpc": "2.0", "id": 1, "method": "get"}', '{"jsonrpc": "2.0", "id": 1, "result": 1}'
    assert roles("> hello", f"> {request}", f"< {reply}") == ["other", "request", "reply"]


def test_an_empty_conversation_has_no_roles() -> None:
    assert roles() == []


def test_a_message_that_is_marked_as_an_event_answers_nothing_and_neither_do_others_of_its_kind() -> None:
    unmarked = ['> {"op": "get"}', '< {"type": "state", "v": 1}', '> {"op": "set"}', '< {"type": "state", "v": 2}']
    marked = [unmarked[0], unmarked[1].replace("< ", "<E ", 1), *unmarked[2:]]

    assert roles(*unmarked) == ["request", "reply", "request", "reply"]
    assert roles(*marked) == ["request", "event", "request", "event"]
    assert [tool["tool_call_template"]["reply"] for tool in draft(*marked)["tools"]] == ["none", "none"]
    assert [feed["name"] for feed in draft(*marked)["feeds"]] == ["state"]


def test_a_message_with_the_id_of_a_request_can_be_marked_as_an_event() -> None:
    lines = ('> {"id": 1, "op": "get"}', '<E {"id": 1, "type": "progress"}', '< {"id": 1, "type": "done"}')
    assert roles(*lines) == ["request", "event", "reply"]


def test_a_message_that_is_marked_as_the_reply_is_taken_instead_of_the_first() -> None:
    lines = ('> {"op": "get"}', '< {"type": "noise"}', '<R {"type": "answer", "data": 5}')
    assert roles(*lines) == ["request", "event", "reply"]
    assert draft(*lines)["reply"]["result"] == "message.data"


@pytest.mark.parametrize("first", [">Q", ">"])
def test_a_message_that_looks_like_a_login_can_be_marked_as_a_request(first: str) -> None:
    lines = (f'{first} {{"op": "check", "token": "abc"}}', '< {"valid": true}')
    assert roles(*lines)[0] == ("request" if first == ">Q" else "login")
    assert ("tools" in draft(*lines)) == (first == ">Q")


def test_a_message_that_is_marked_as_an_error_teaches_the_draft_how_errors_look() -> None:
    lines = (
        '> {"id": 1, "op": "get"}', '< {"id": 1, "state": "fine", "data": 1}',
        '> {"id": 2, "op": "get"}', '<X {"id": 2, "state": "broken", "reason": "no such thing"}',
    )  # fmt: skip
    assert roles(*lines) == ["request", "reply", "request", "error"]
    reply = draft(*lines)["reply"]
    assert reply["error"] == "message.state == 'broken'"
    assert reply["error_message"] == "message.reason"
    assert reply["result"] == "message.data"


def test_an_error_without_the_id_of_its_request_ends_the_call_of_its_tool() -> None:
    lines = (
        '> {"id": 1, "op": "get"}', '< {"id": 1, "data": 1}',
        '> {"id": 2, "op": "set"}', '<X {"kind": "refused", "reason": "no"}',
    )  # fmt: skip
    assert roles(*lines)[-1] == "error"
    (tool,) = (each for each in draft(*lines)["tools"] if each["name"] == "set")
    assert tool["tool_call_template"]["reply"] == {
        "match": "message.id == request_id or message.kind == 'refused'",
        "error": "message.kind == 'refused'",
        "error_message": "message.reason",
    }


def test_a_request_that_is_marked_as_no_tool_becomes_none() -> None:
    lines = (
        '> {"id": 1, "op": "get"}', '< {"id": 1, "data": 1}',
        '>I {"id": 2, "op": "debug"}', '< {"id": 2, "data": 1}',
    )  # fmt: skip
    assert [tool["name"] for tool in draft(*lines)["tools"]] == ["get"]
    assert roles(*lines)[2:] == ["other", "other"]
