"""The tools of a draft: their names, messages and arguments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder.conversations import conversation, exchange
from utcp_ws_mcp.recorder.correlation import Conversation, CorrelationIds, RecordedExchange, analyze
from utcp_ws_mcp.recorder.messages import RecordedMessage
from utcp_ws_mcp.recorder.preset_forms import PRESET_FORMS
from utcp_ws_mcp.recorder.tools import draft_tools, without

FORMS = {form.preset: form for form in PRESET_FORMS}


def tools_of(*lines: str, variables: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return draft_tools(analyze(conversation(*lines)), variables)


def names_of(*lines: str) -> list[str]:
    return [tool["name"] for tool in tools_of(*lines)]


NAMES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "a kind": (('> {"op": "get"}',), ["get"]),
    "two messages of a kind": (('> {"op": "get", "n": 1}', '> {"op": "get", "n": 2}'), ["get"]),
    "a kind with signs": (('> {"op": "turn it.on-2_é/x"}',), ["turn_it.on-2___x"]),
    "a long kind": ((f'> {{"op": "{"k" * 41}"}}',), ["k" * 40]),
    "a kind that is a number": (('> {"op": 7}',), ["7"]),
    "an empty kind": (('> {"op": ""}',), ["send"]),
    "no kind": (('> {"x": 1}',), ["send"]),
    "the first word of a text": (("> SAY hello",), ["say"]),
    "a text without a word": (("> --",), ["send"]),
    "a word of a list": (('> [1, "add"]',), ["add"]),
    "a list without a word": (("> [1, 2]",), ["send"]),
    "kinds of another form": (('> {"op": "get"}', '> ["get", 1]', "> GET"), ["get", "get_", "get__"]),
    "the ID of a list": (('> ["q1", "add"]', '< ["q1"]', '> ["q2", "add"]', '< ["q2"]'), ["add"]),
    "keys that name the action": (
        ('> {"id": 1, "put": 1}', '< {"id": 1}', '> {"id": 2, "del": 1}', '< {"id": 2}'), ["put", "del"],
    ),
    "keys beside a common one": (('> {"on": 1, "put": 1}', '> {"on": 1, "del": 1}'), ["put", "del"]),
    "a key that one of them lacks": (('> {"on": 1}', '> {"on": 1, "del": 1}'), ["send"]),
    "a key that two of three share": (
        ('> {"a": 1, "b": 1}', '> {"b": 1, "c": 1}', '> {"d": 1}'), ["send"],
    ),
    "keys beside a message with a kind": (('> {"put": 1}', '> {"del": 1}', '> {"op": "x"}'), ["put", "del", "x"]),
    "keys beside an ID below another": (
        ('> {"meta": {"id": 1}, "put": 1}', '< {"meta": {"id": 1}}', '> {"del": 1}'), ["put", "del"],
    ),
    "one key": (('> {"put": 1}', '> {"put": 2}'), ["send"]),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "names"), NAMES.values(), ids=NAMES)
def test_a_tool_is_named_by_what_its_messages_do(lines: tuple[str, ...], names: list[str]) -> None:
    assert names_of(*lines) == names


def test_a_tool_has_a_description_inputs_and_a_message() -> None:
    assert tools_of('> {"op": "get", "key": "a"}', '< {"n": 1}') == [
        {
            "name": "get",
            "description": "Send 'get'. Describe here what it does and returns.",
            "inputs": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
            "tool_call_template": {"message": {"op": "get", "key": "{{ args.key }}"}},
        }
    ]


def test_a_tool_without_an_argument_takes_none() -> None:
    (tool,) = tools_of("> NICK ${NICK}", variables=("NICK",))
    assert tool["inputs"] == {"type": "object", "properties": {}, "additionalProperties": False}
    assert tool["tool_call_template"] == {"message": "NICK ${NICK}", "reply": "none"}


def test_bytes_are_sent_by_a_tool_of_their_own() -> None:
    messages = [RecordedMessage(True, b"\x01"), RecordedMessage(False, b"\x02"), *conversation("> SEND a", "< b")]
    first, second = draft_tools(analyze(messages), ())
    assert (first["name"], first["tool_call_template"]) == ("send", {"message": "{{ '01' | unhex }}"})
    assert (second["name"], second["tool_call_template"]) == ("send_", {"message": "SEND {{ args.text }}"})


def test_a_generated_id_is_no_argument() -> None:
    (tool,) = tools_of('> {"id": 1, "op": "get"}', '< {"id": 1}')
    assert tool["tool_call_template"] == {"message": {"id": "{{ request_id }}", "op": "get"}}


def rpc(method: str, params: Any, *replies: Any) -> RecordedExchange:
    return exchange({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, *replies)


def preset_tools(form: str, *exchanges: RecordedExchange) -> list[dict[str, Any]]:
    ids = CorrelationIds(("id",), ("id",), "counter")
    return draft_tools(Conversation(None, exchanges, [], ids), (), FORMS[form])


def test_a_tool_of_a_preset_has_the_arguments_of_all_its_calls() -> None:
    (tool,) = preset_tools(
        "jsonrpc2", rpc("add", {"a": 1, "b": 1}, {"id": 1}), rpc("add", {"b": 1.5, "c": "x"}, {"id": 1})
    )
    assert tool == {
        "name": "add",
        "description": "Send 'add'. Describe here what it does and returns.",
        "inputs": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "number"}, "c": {"type": "string"}},
            "required": ["b"],
        },
    }


def test_a_preset_is_used_only_for_calls_that_were_answered() -> None:
    answered, unanswered = preset_tools("jsonrpc2", rpc("add", {"a": 1}, {"id": 1}), rpc("sub", {"a": 1}))
    assert "tool_call_template" not in answered
    assert unanswered["tool_call_template"] == {
        "message": {"jsonrpc": "2.0", "id": "{{ request_id }}", "method": "sub", "params": {"a": "{{ args.a }}"}},
        "reply": "none",
    }


def test_a_message_that_the_preset_cannot_send_is_written_out() -> None:
    by_name, by_position = preset_tools("jsonrpc2", rpc("add", {"a": 1}, {"id": 1}), rpc("add", [1], {"id": 1}))
    assert (by_name["name"], by_position["name"]) == ("add", "add_")
    assert by_position["tool_call_template"]["message"]["params"] == "{{ args.params }}"


def test_the_name_of_a_call_is_sent_as_it_is_even_where_it_is_taken() -> None:
    by_position, by_name = preset_tools("jsonrpc2", rpc("add", [1], {"id": 1}), rpc("add", {"a": 1}, {"id": 1}))
    assert (by_position["name"], by_name["name"]) == ("add", "add_")
    assert by_name["tool_call_template"]["message"]["method"] == "add"


def test_a_long_name_is_cut_only_in_the_description_of_a_call() -> None:
    method = "m" * 61
    (tool,) = preset_tools("jsonrpc2", rpc(method, {}, {"id": 1}))
    assert tool["name"] == method
    assert tool["description"] == f"Send '{'m' * 60}'. Describe here what it does and returns."


def test_exchanges_can_be_left_out_of_a_conversation() -> None:
    recorded = analyze(conversation("> a", "< b", "> c", "< d"))
    first, second = recorded.exchanges
    assert list(without(recorded, [first]).exchanges) == [second]
    assert list(recorded.exchanges) == [first, second]
