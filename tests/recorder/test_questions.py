"""What an endpoint asks with an ID, and the recorded client answers, becomes `auto_reply`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder.conversations import conversation
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.recorder.manifest import draft_manifest
from utcp_ws_mcp.recorder.questions import find_questions
from utcp_ws_mcp.recorder.roles import message_roles

URL = "wss://api.clock.example/ws"
RPC = '"jsonrpc": "2.0"'


def draft(*lines: str, variables: tuple[str, ...] = ()) -> dict[str, Any]:
    return draft_manifest({"url": URL}, parse_url(URL), conversation(*lines), variables).document


def rules(*lines: str) -> Any:
    return draft(*lines).get("auto_reply")


def is_said(document: dict[str, Any]) -> bool:
    return any("an answer was sent by hand" in line for line in document["$comment"])


CALL = (f'> {{{RPC}, "id": 1, "method": "get"}}', f'< {{{RPC}, "id": 1, "result": 5}}')
PING = f'< {{{RPC}, "id": 1, "method": "ping"}}'
PONG = f'> {{{RPC}, "id": 1, "result": {{}}}}'
PING_RULE = {
    "match": "message.method == 'ping' and message.id is defined",
    "send": {"jsonrpc": "2.0", "id": "{{ message.id }}", "result": {}},
}


@pytest.mark.parametrize("lines", [(*CALL, PING, PONG), (PING, PONG, *CALL), (CALL[0], PING, CALL[1], PONG)])
def test_a_ping_of_json_rpc_is_answered_and_the_draft_uses_the_preset(lines: tuple[str, ...]) -> None:
    document = draft(*lines)
    assert (document["preset"], document["auto_reply"]) == ("jsonrpc2", [PING_RULE])
    assert [tool["name"] for tool in document["tools"]] == ["get"]
    assert "feeds" not in document
    assert not is_said(document)


GET, GOT = '> {"id": 1, "op": "get"}', '< {"id": 1, "v": 1}'
REGULAR: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "a heartbeat whose ID is that of a request, too": (
        ('< {"type": "ping", "id": 1}', '> {"type": "pong", "id": 1}'),
        {
            "match": "message.type == 'ping' and message.id is defined",
            "send": {"type": "pong", "id": "{{ message.id }}"},
        },
    ),
    "a heartbeat whose time is repeated": (
        ('< {"type": "ping", "id": "a", "at": 7}', '> {"type": "pong", "id": "a", "at": 7}'),
        {
            "match": "message.type == 'ping' and message.id is defined",
            "send": {"type": "pong", "id": "{{ message.id }}", "at": "{{ message.at }}"},
        },
    ),
    "an answer of another kind": (
        ('< {"type": "ping", "id": 8}', '> {"type": "alive", "id": 8}'),
        {
            "match": "message.type == 'ping' and message.id is defined",
            "send": {"type": "alive", "id": "{{ message.id }}"},
        },
    ),
    "two IDs": (
        ('< {"type": "ping", "id": "a", "seq": "b"}', '> {"type": "pong", "id": "a", "seq": "b"}'),
        {
            "match": "message.type == 'ping' and message.id is defined",
            "send": {"type": "pong", "id": "{{ message.id }}", "seq": "{{ message.seq }}"},
        },
    ),
    "an ID of another name": (
        ('< {"type": "ping", "msg_id": "a"}', '> {"type": "pong", "id": "a"}'),
        {
            "match": "message.type == 'ping' and message.msg_id is defined",
            "send": {"type": "pong", "id": "{{ message.msg_id }}"},
        },
    ),
    "two questions with one answer": (
        (
            '< {"op": "who", "id": 8}', '> {"id": 8, "data": "me"}',
            '< {"op": "who", "id": 9}', '> {"id": 9, "data": "me"}',
        ),
        {
            "match": "message.op == 'who' and message.id is defined",
            "send": {"id": "{{ message.id }}", "data": "me"},
        },
    ),
    "confirmations of events": (
        (
            '< {"type": "tick", "seq": 8, "data": 1}', '> {"type": "ack", "seq": 8}',
            '< {"type": "tick", "seq": 9, "data": 2}', '> {"type": "ack", "seq": 9}',
        ),
        {
            "match": "message.type == 'tick' and message.seq is defined",
            "send": {"type": "ack", "seq": "{{ message.seq }}"},
            "keep": True,
        },
    ),
    "a question that is not answered yet": (
        ('< {"type": "ping", "id": 8}', '> {"type": "pong", "id": 8}', '< {"type": "ping", "id": 9}'),
        {
            "match": "message.type == 'ping' and message.id is defined",
            "send": {"type": "pong", "id": "{{ message.id }}"},
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "rule"), REGULAR.values(), ids=REGULAR)
def test_what_is_answered_in_the_same_way_each_time_gets_a_rule(lines: tuple[str, ...], rule: dict[str, Any]) -> None:
    document = draft(GET, GOT, *lines)
    assert document["auto_reply"] == [rule]
    assert [tool["name"] for tool in document["tools"]] == ["get"]
    assert [feed["name"] for feed in document.get("feeds", ())] == (["tick"] if rule.get("keep") else [])


DECIDED: dict[str, tuple[str, ...]] = {
    "one answer": ('< {"op": "sure", "id": 8}', '> {"id": 8, "result": true}'),
    "one answer with two IDs": (
        '< {"op": "sure", "id": 8, "seq": "b"}', '> {"id": 8, "seq": "b", "result": true}',
    ),
    "different answers": (
        '< {"op": "sure", "id": 8}', '> {"id": 8, "result": true}',
        '< {"op": "sure", "id": 9}', '> {"id": 9, "result": false}',
    ),
    "not every one is answered": (
        '< {"op": "sure", "id": 7}', '< {"op": "sure", "id": 8}', '> {"id": 8, "result": true}',
        '< {"op": "sure", "id": 9}', '> {"id": 9, "result": true}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("lines", DECIDED.values(), ids=DECIDED)
def test_what_a_person_decided_gets_no_rule_and_no_tool_but_a_comment(lines: tuple[str, ...]) -> None:
    document = draft(GET, GOT, *lines)
    assert "auto_reply" not in document
    assert [tool["name"] for tool in document["tools"]] == ["get"]
    assert is_said(document)


REQUESTS: dict[str, tuple[str, ...]] = {
    "an answered message with the ID of an event": (
        '< {"type": "order", "id": "o7"}', '> {"type": "cancel", "id": "o7"}', '< {"id": "o7", "ok": true}',
        '< {"type": "order", "id": "o8"}', '> {"type": "cancel", "id": "o8"}', '< {"id": "o8", "ok": true}',
    ),
    "one message with the ID of an event": ('< {"type": "order", "id": "o7"}', '> {"type": "cancel", "id": "o7"}'),
    "another ID": ('< {"type": "ping", "id": 8}', '> {"type": "pong", "id": "8"}'),
    "no ID": ('< {"type": "ping", "id": null}', '> {"type": "pong", "id": null}'),
    "a list as an ID": ('< {"type": "ping", "id": [1]}', '> {"type": "pong", "id": [1]}'),
    "a message with the ID of one that was sent": ('> {"id": 8, "op": "add"}', '> {"id": 8, "result": 1}'),
    "a heartbeat with the ID of something else": ('< {"op": "who", "id": 1}', '> {"type": "ping", "id": 1}'),
    "a message without a kind": ('< {"id": 8}', '> {"id": 8, "result": 1}'),
    "a marked question": ('<E {"type": "ping", "id": 8}', '> {"type": "pong", "id": 8}'),
    "a marked request": ('< {"type": "ping", "id": 8}', '>Q {"type": "pong", "id": 8}'),
    "a login": ('< {"type": "ping", "id": 8}', '> {"id": 8, "result": {"token": "x"}}'),
    "messages with the IDs of earlier requests": (
        '> {"id": "a7", "op": "start"}', '< {"type": "job", "id": "a7"}', '> {"type": "stop", "id": "a7"}',
        '> {"id": "a8", "op": "start"}', '< {"type": "job", "id": "a8"}', '> {"type": "stop", "id": "a8"}',
    ),
    "one message without a result": ('< {"op": "sure", "id": 8}', '> {"id": 8, "v": true}'),
    "one message of another kind with a result": ('< {"op": "sure", "id": 8}', '> {"op": "set", "id": 8, "data": 1}'),
    "a request with the ID of the last one": (
        '> {"id": 8, "op": "add"}', '< {"id": 8, "v": 1}', '> {"id": 8, "op": "remove"}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("lines", REQUESTS.values(), ids=REQUESTS)
def test_what_may_be_a_request_gets_no_rule(lines: tuple[str, ...]) -> None:
    document = draft(GET, GOT, *lines)
    assert "auto_reply" not in document
    assert not is_said(document)


def test_a_heartbeat_of_both_sides_is_a_tool_and_a_rule() -> None:
    lines = ('> {"type": "ping", "id": 3}', '< {"type": "pong", "id": 3}')
    document = draft(GET, GOT, *lines, '< {"type": "ping", "id": "a"}', '> {"type": "pong", "id": "a"}')
    assert [tool["name"] for tool in document["tools"]] == ["get", "ping"]
    assert document["auto_reply"][0]["send"] == {"type": "pong", "id": "{{ message.id }}"}


@pytest.mark.parametrize(("kind", "shown"), [("sure", "sure"), ("s" * 40, "s" * 40), ("s" * 41, "s" * 40)])
def test_the_comment_names_what_was_asked(kind: str, shown: str) -> None:
    document = draft(GET, GOT, f'< {{"op": "{kind}", "id": 8}}', '> {"id": 8, "result": true}')
    assert document["$comment"][-1] == (
        f"The endpoint asked '{shown}', and an answer was sent by hand. If it is always the same, write \"auto_reply\"."
    )


def test_text_that_an_answer_holds_is_no_template() -> None:
    (rule,) = rules(GET, GOT, '< {"type": "ping", "id": 8}', '> {"type": "pong", "id": 8, "note": "{{ vars.X }}"}')
    assert rule["send"] == {"type": "pong", "id": "{{ message.id }}", "note": "{{ '{{ \\u0076ars.X }}' }}"}


def test_a_preset_that_answers_by_itself_gets_no_rules() -> None:
    document = draft(
        '< {"type": "auth_required"}',
        '> {"type": "auth", "access_token": "x"}',
        '< {"type": "ping", "id": 5}',
        '> {"type": "pong", "id": 5}',
    )
    assert document["preset"] == "homeassistant"
    assert "auto_reply" not in document


def test_questions_and_answers_have_roles_of_their_own() -> None:
    lines = (GET, GOT, '< {"op": "sure", "id": 8}', '> {"id": 8, "result": true}')
    roles = [str(role) for role in message_roles({"url": URL}, conversation(*lines), ())]
    assert roles == ["request", "reply", "question", "answer"]


def test_a_draft_answers_at_most_twenty_kinds() -> None:
    asked = [f'< {{"op": "q{number // 2}", "id": {number}}}' for number in range(100, 150)]
    answers = [f'> {{"id": {number}, "result": 1}}' for number in range(100, 150)]
    lines = [line for pair in zip(asked, answers, strict=True) for line in pair]
    assert len(rules(GET, GOT, *lines)) == 20


class CountedList(list[Any]):
    """A list that counts how often one of its items is looked up."""

    lookups = 0

    def __getitem__(self, index: Any) -> Any:
        """Return an item."""
        self.lookups += 1
        return super().__getitem__(index)


def test_the_time_grows_with_the_messages_also_if_all_have_the_same_id() -> None:
    lines = [f'> {{"type": "get", "id": 1, "x": {number}}}\n< {{"type": "res", "id": 1}}' for number in range(200)]
    messages = CountedList(conversation(*"\n".join(lines).split("\n")))
    assert find_questions(messages, ()) == []
    assert messages.lookups <= len(messages)
