"""How conversations in the protocols of presets are recognized, and what their messages mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.recorder.conversations import conversation
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.recorder.manifest import draft_manifest
from utcp_ws_mcp.recorder.messages import RecordedMessage
from utcp_ws_mcp.recorder.preset_forms import PRESET_FORMS, PresetForm, Recorded, recognize_preset

URL = "wss://a.example/ws"
FORMS = {form.preset: form for form in PRESET_FORMS}


def recognized(*lines: str, url: str = URL) -> str | None:
    form = recognize_preset(Recorded(url, (), conversation(*lines)))
    return form.preset if form else None


def drafted(*lines: str, variables: tuple[str, ...] = (), **endpoint: Any) -> dict[str, Any]:
    url = endpoint.setdefault("url", URL)
    return draft_manifest(endpoint, parse_url(url), conversation(*lines), variables).document


INIT, SUBSCRIBE = '> {"type": "connection_init"}', '> {"id": "1", "type": "subscribe", "payload": {}}'
REFUSED = '< {"jsonrpc": "2.0", "id": null, "error": {"code": -32700}}'
NOTICE = '< {"jsonrpc": "2.0", "method": "tick"}'
RPC, RESULT = '> {"jsonrpc": "2.0", "id": 1, "method": "get"}', '< {"jsonrpc": "2.0", "id": 1, "result": 1}'
HELLO = '> [1, "realm1", {"roles": {}}]'
RECOGNIZED: dict[str, tuple[tuple[str, ...], str | None]] = {
    "nothing": ((), None),
    "GraphQL": ((INIT, SUBSCRIBE), "graphql-transport-ws"),
    "GraphQL without a subscription": ((INIT,), None),
    "GraphQL without its opening": ((SUBSCRIBE,), None),
    "GraphQL that was received": ((INIT.replace(">", "<"), SUBSCRIBE.replace(">", "<")), None),
    "Home Assistant": (('< {"type": "auth_required"}',), "homeassistant"),
    "what Home Assistant says, sent": (('> {"type": "auth_required"}',), None),
    "Phoenix": (('> ["1", "1", "room", "phx_join", {}]',), "phoenix"),
    "Phoenix without a join": (('> ["1", "1", "room", "shout", {}]',), None),
    "a join at another place": (('> ["1", "1", "phx_join", "room", {}]',), None),
    "a join that was received": (('< ["1", "1", "room", "phx_join", {}]',), None),
    "WAMP": ((HELLO,), "wamp"),
    "WAMP without roles": (('> [1, "realm1", {}]',), None),
    "a WAMP greeting of four items": (('> [1, "realm1", {"roles": {}}, 1]',), None),
    "another message of WAMP": (('> [2, "realm1", {"roles": {}}]',), None),
    "a WAMP greeting that was received": ((HELLO.replace(">", "<"),), None),
    "Socket.IO": (('< 0{"sid":"x"}',), "socketio4"),
    "what Socket.IO says, sent": (('> 0{"sid":"x"}',), None),
    "STOMP": (("> CONNECT\naccept-version:1.2\n\n\0",), "stomp"),
    "STOMP with another command and line end": (("> STOMP\r\naccept-version:1.2\n\n\0",), "stomp"),
    "a word that begins like a command of STOMP": (("> CONNECTION\n",), None),
    "a frame of STOMP that was received": (("< CONNECT\n\n\0",), None),
    "JSON-RPC": ((RPC, RESULT), "jsonrpc2"),
    "JSON-RPC with one stray text": (("> hello", RPC), "jsonrpc2"),
    "JSON-RPC with two stray texts": (("> hello", "> hello", RPC), None),
    "JSON-RPC with two texts that were refused": (("> hello", REFUSED, "> hello", REFUSED, RPC), "jsonrpc2"),
    "JSON-RPC with three texts of which two were refused": (("> a", REFUSED, "> b", REFUSED, "> c", RPC), None),
    "JSON-RPC with two texts, answers and notifications": (("> a", RESULT, NOTICE, "> b", RESULT, NOTICE, RPC), None),
    "JSON-RPC with a text that is ignored": (("> hello", ">I hello", RPC), "jsonrpc2"),
    "JSON-RPC with a text that names a variable": (("> LOGIN ${KEY}", RPC), None),
    "JSON-RPC with another message": ((RPC, '> {"op": "x"}'), None),
    "JSON-RPC with a message of another version": ((RPC, '> {"jsonrpc": "1.0", "method": "get"}'), None),
    "JSON-RPC with a method that is no name": (('> {"jsonrpc": "2.0", "id": 1, "method": 1}',), None),
    "only a stray text": (("> hello",), None),
    "messages of JSON-RPC that were received": (('< {"jsonrpc": "2.0", "id": 1, "method": "get"}',), None),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "preset"), RECOGNIZED.values(), ids=RECOGNIZED)
def test_a_protocol_is_recognized_by_its_messages(lines: tuple[str, ...], preset: str | None) -> None:
    assert recognized(*lines) == preset


def test_socketio_is_recognized_by_its_url_alone() -> None:
    assert recognized("> anything", url="wss://a.example/socket.io/?EIO=4&transport=websocket") == "socketio4"
    assert recognized("> anything", url="wss://a.example/socket.io/?EIO=3&transport=websocket") is None


def test_the_presets_with_a_login_open_their_session_themselves() -> None:
    opening = [form.preset for form in PRESET_FORMS if form.opens_session]
    assert opening == ["graphql-transport-ws", "homeassistant", "phoenix", "wamp", "socketio4", "stomp"]


def test_neither_the_url_nor_a_message_is_in_the_text_of_a_recording() -> None:
    shown = repr(Recorded("wss://a.example/?token=t0k", ("v1",), [RecordedMessage(True, "t0k")]))
    assert "t0k" not in shown
    assert "v1" in shown


CALLS: dict[str, tuple[str, Any, Any]] = {
    "JSON-RPC": (
        "jsonrpc2", {"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": 1}}, ("m", {"a": 1}),
    ),
    "JSON-RPC with a list": ("jsonrpc2", {"jsonrpc": "2.0", "id": 1, "method": "m", "params": [1]}, None),
    "JSON-RPC without parameters": ("jsonrpc2", {"jsonrpc": "2.0", "id": 1, "method": "m"}, None),
    "JSON-RPC without an ID": ("jsonrpc2", {"jsonrpc": "2.0", "method": "m", "params": {}}, None),
    "JSON-RPC with another field": (
        "jsonrpc2", {"jsonrpc": "2.0", "id": 1, "method": "m", "params": {}, "session": "s"}, None,
    ),
    "Home Assistant": ("homeassistant", {"id": 1, "type": "get", "a": 1, "b": 2}, ("get", {"a": 1, "b": 2})),
    "Home Assistant without a type": ("homeassistant", {"id": 1, "a": 1}, None),
    "Home Assistant without an ID": ("homeassistant", {"type": "get", "a": 1}, None),
    "WAMP": ("wamp", [48, 1, {}, "com.sum", [], {"a": 1}], ("com.sum", {"a": 1})),
    "WAMP with a list": ("wamp", [48, 1, {}, "com.sum", [1], {"a": 1}], None),
    "WAMP with options": ("wamp", [48, 1, {"timeout": 1}, "com.sum", [], {"a": 1}], None),
    "WAMP without arguments": ("wamp", [48, 1, {}, "com.sum"], None),
    "WAMP with another message": ("wamp", [32, 1, {}, "com.sum", [], {"a": 1}], None),
    "an object with six fields": ("wamp", dict.fromkeys("abcdef", 48), None),
    "WAMP with arguments that are no object": ("wamp", [48, 1, {}, "com.sum", [], [1]], None),
    "Phoenix": (
        "phoenix", ["1", "2", "room", "shout", {"a": 1}], ("shout", {"topic": "room", "payload": {"a": 1}}),
    ),
    "Phoenix with a payload that is no object": ("phoenix", ["1", "2", "room", "shout", "a"], None),
    "Phoenix with six items": ("phoenix", ["1", "2", "room", "shout", {"a": 1}, 1], None),
    "Phoenix with an object": ("phoenix", {key: {} for key in "abcde"}, None),
    "Socket.IO": (
        "socketio4", {"type": "event", "namespace": "/", "id": 0, "data": ["add", {"a": 1}]}, ("add", {"a": 1}),
    ),
    "Socket.IO without an ID": ("socketio4", {"namespace": "/", "id": None, "data": ["add", {"a": 1}]}, None),
    "Socket.IO with a namespace": ("socketio4", {"namespace": "/chat", "id": 1, "data": ["add", {"a": 1}]}, None),
    "Socket.IO with two arguments": ("socketio4", {"namespace": "/", "id": 1, "data": ["add", {"a": 1}, {}]}, None),
    "Socket.IO without an argument": ("socketio4", {"namespace": "/", "id": 1, "data": ["add"]}, None),
    "Socket.IO with a number": ("socketio4", {"namespace": "/", "id": 1, "data": ["add", 1]}, None),
    "Socket.IO with data that is no list": ("socketio4", {"namespace": "/", "id": 1, "data": {"a": 1, "b": {}}}, None),
    "STOMP": (
        "stomp",
        {"command": "SEND", "headers": {"destination": "/q", "receipt": "1", "content-type": "t"}, "body": "b"},
        ("send", {"destination": "/q", "content_type": "t", "body": "b"}),
    ),
    "STOMP without a body": (
        "stomp",
        {"command": "SEND", "headers": {"destination": "/q", "receipt": "1"}},
        ("send", {"destination": "/q", "body": ""}),
    ),
    "STOMP with all the headers that the preset sends": (
        "stomp",
        {"command": "SEND", "headers": {"destination": "/q", "receipt": "1", "content-type": "t",
            "content-length": "0"}},
        ("send", {"destination": "/q", "content_type": "t", "body": ""}),
    ),
    "STOMP without a receipt": ("stomp", {"command": "SEND", "headers": {"destination": "/q"}}, None),
    "STOMP with a header of its own": (
        "stomp", {"command": "SEND", "headers": {"destination": "/q", "receipt": "1", "x": "y"}}, None,
    ),
    "STOMP with another command": ("stomp", {"command": "SUBSCRIBE", "headers": {"receipt": "1"}}, None),
    "STOMP without headers": ("stomp", {"command": "SEND"}, None),
    "STOMP with a heart-beat": ("stomp", "\n", None),
    "GraphQL": ("graphql-transport-ws", {"id": "1", "type": "subscribe", "payload": {}}, None),
}  # fmt: skip


@pytest.mark.parametrize(("preset", "value", "call"), CALLS.values(), ids=CALLS)
def test_a_message_is_a_call_if_the_preset_sends_the_same_for_it(preset: str, value: Any, call: Any) -> None:
    assert FORMS[preset].call(value) == call


EVENTS: dict[str, tuple[str, Any, str | None]] = {
    "JSON-RPC": ("jsonrpc2", {"jsonrpc": "2.0", "method": "tick"}, "tick"),
    "JSON-RPC with an ID": ("jsonrpc2", {"jsonrpc": "2.0", "id": 1, "method": "tick"}, None),
    "JSON-RPC without a method": ("jsonrpc2", {"jsonrpc": "2.0", "error": {}}, None),
    "JSON-RPC with a method that is no text": ("jsonrpc2", {"jsonrpc": "2.0", "method": 1}, None),
    "another version of JSON-RPC": ("jsonrpc2", {"method": "tick"}, None),
    "text": ("jsonrpc2", "tick", None),
    "Socket.IO": ("socketio4", {"type": "event", "data": ["news", 1]}, "news"),
    "Socket.IO with a name that is a number": ("socketio4", {"type": "event", "data": [7]}, "7"),
    "Socket.IO without data": ("socketio4", {"type": "event", "data": []}, None),
    "Socket.IO with data that is no list": ("socketio4", {"type": "event", "data": "news"}, None),
    "another packet of Socket.IO": ("socketio4", {"type": "ack", "data": ["news"]}, None),
    "Phoenix": ("phoenix", ["1", None, "room", "news", {}], "news"),
    "a message of Phoenix itself": ("phoenix", ["1", "1", "room", "phx_reply", {}], None),
    "Phoenix with four items": ("phoenix", ["1", "1", "room", "news"], None),
    "Phoenix with an event that is no text": ("phoenix", ["1", "1", "room", 1, {}], None),
    "Phoenix with a text": ("phoenix", "phoen", None),
    "WAMP": ("wamp", [36, 1, 2, {}], None),
    "Home Assistant": ("homeassistant", {"type": "event"}, None),
}


@pytest.mark.parametrize(("preset", "value", "event"), EVENTS.values(), ids=EVENTS)
def test_a_message_is_an_event_if_a_feed_of_the_preset_has_it(preset: str, value: Any, event: str | None) -> None:
    assert FORMS[preset].event(value) == event


OWN: dict[str, tuple[list[Any], list[Any]]] = {
    "graphql-transport-ws": (
        [{"type": "connection_init"}, {"type": "ping"}, {"type": "pong"}], [{"type": "subscribe"}, "ping"],
    ),
    "homeassistant": ([{"type": "auth", "access_token": "x"}, {"id": 1, "type": "ping"}], [{"type": "get"}, "auth"]),
    "phoenix": (
        [["1", "1", "r", event, {}] for event in ("phx_join", "phx_leave", "heartbeat")],
        [["1", "1", "r", "shout", {}], ["1", "1", "r"], ["1"], {"event": "phx_join"}],
    ),
    "wamp": ([[1, "r", {}], [5, "x", {}], [6, {}, "bye"]], [[48, 1], [32, 1], {"a": 1}]),
    "socketio4": (["text", *({"type": kind} for kind in ("connect", "pong", "ping"))], [{"type": "event"}]),
    "stomp": (["\n", *({"command": each} for each in ("CONNECT", "STOMP", "DISCONNECT"))], [{"command": "SEND"}]),
    "jsonrpc2": ([], [{"jsonrpc": "2.0", "method": "ping"}]),
}  # fmt: skip


@pytest.mark.parametrize("preset", FORMS)
def test_the_preset_sends_its_logins_and_heartbeats_itself(preset: str) -> None:
    own, others = OWN[preset]
    assert [value for value in (*own, *others) if FORMS[preset].is_own(value)] == own


NEXT, COMPLETE = {"type": "next", "payload": {}}, {"type": "complete"}
STREAMS: dict[str, tuple[str, list[Any], bool]] = {
    "one item of GraphQL": ("graphql-transport-ws", [NEXT, COMPLETE], False),
    "two items of GraphQL": ("graphql-transport-ws", [NEXT, NEXT, COMPLETE], True),
    "an event of Home Assistant": ("homeassistant", [{"type": "result"}, {"type": "event"}], True),
    "a result of Home Assistant": ("homeassistant", [{"type": "result"}], False),
    "progress of WAMP": ("wamp", [[50, 1, {"progress": True}, [1]], [50, 1, {}, [2]]], True),
    "a result of WAMP": ("wamp", [[50, 1, {}, [1]]], False),
    "a result of WAMP without details": ("wamp", [[50, 1]], False),
    "two replies of JSON-RPC": ("jsonrpc2", [{"id": 1}, {"id": 1}], False),
}


@pytest.mark.parametrize(("preset", "replies", "is_stream"), STREAMS.values(), ids=STREAMS)
def test_replies_are_a_stream_where_the_protocol_says_so(preset: str, replies: list[Any], is_stream: bool) -> None:
    assert FORMS[preset].is_stream(replies) is is_stream


LOGINS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "Home Assistant": ("homeassistant", {"type": "auth", "access_token": "t"}, {"HOMEASSISTANT_TOKEN": "t"}),
    "a ping of Home Assistant": ("homeassistant", {"type": "ping"}, {}),
    "the usual realm": ("wamp", [1, "realm1", {"roles": {}}], {}),
    "another realm": ("wamp", [1, "realm7", {"roles": {}}], {"WAMP_REALM": "realm7"}),
    "a user of WAMP": ("wamp", [1, "realm1", {"authid": "ada"}], {"WAMP_AUTHID": "ada"}),
    "a ticket": ("wamp", [5, "t", {}], {"WAMP_TICKET": "t"}),
    "the end of WAMP": ("wamp", [6, {}, "bye"], {}),
    "Socket.IO": ("socketio4", {"type": "connect", "data": {"token": "t"}}, {"SOCKETIO_AUTH": "…"}),
    "Socket.IO without data": ("socketio4", {"type": "connect", "data": None}, {}),
    "Socket.IO with a text": ("socketio4", "x", {}),
    "STOMP": (
        "stomp", {"headers": {"host": "h", "login": "ada", "passcode": "p", "accept-version": "1.2"}},
        {"STOMP_HOST": "h", "STOMP_LOGIN": "ada", "STOMP_PASSCODE": "p"},
    ),
    "STOMP with the usual host": ("stomp", {"headers": {"host": "/", "login": "ada"}}, {"STOMP_LOGIN": "ada"}),
    "STOMP without headers": ("stomp", {"command": "CONNECT"}, {}),
    "a heart-beat of STOMP": ("stomp", "\n", {}),
    "JSON-RPC": ("jsonrpc2", {"method": "login"}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("preset", "value", "variables"), LOGINS.values(), ids=LOGINS)
def test_a_login_gives_the_variables_of_the_preset(preset: str, value: Any, variables: dict[str, Any]) -> None:
    assert FORMS[preset].login(value) == variables


def test_the_paths_of_the_ids_are_those_of_the_protocols() -> None:
    assert {name: (form.id_path, list(form.reply_paths)) for name, form in FORMS.items()} == {
        "graphql-transport-ws": (("id",), [("id",)]),
        "homeassistant": (("id",), [("id",)]),
        "phoenix": ((1,), [(1,)]),
        "wamp": ((1,), [(1,), (2,)]),
        "socketio4": (("id",), [("id",)]),
        "stomp": (("headers", "receipt"), [("headers", "receipt-id"), ("headers", "subscription")]),
        "jsonrpc2": (("id",), [("id",)]),
    }


def test_a_codec_finds_several_messages_in_one_and_each_direction_has_its_own() -> None:
    messages = conversation("> 451-[", "< 2", '< 42["news"]')
    messages.append(RecordedMessage(True, b"x"))
    messages.append(RecordedMessage(True, {"type": "event"}))
    parts = FORMS["socketio4"].parts(messages)
    assert [[(each.sent, each.value["type"]) for each in part] for part in parts[1:3]] == [
        [(False, "ping")], [(False, "event")],
    ]  # fmt: skip
    assert parts[0] == []
    assert [each.value["data"] for each in parts[3]] == ["["]
    assert [each.value for each in parts[4]] == [{"type": "event"}]
    assert FORMS["socketio4"].decoded(messages) == [each for part in parts for each in part]


def test_a_stray_message_has_no_parts() -> None:
    messages = [*conversation("> hello", "< hello", ">Q hello", "> ${KEY}", RPC), RecordedMessage(True, b"x")]
    parts = FORMS["jsonrpc2"].parts(messages)
    assert parts == [[], [messages[1]], [messages[2]], [messages[3]], [messages[4]], []]
    assert FORMS["wamp"].parts(messages) == [[message] for message in messages]


PLAIN = PresetForm("x", lambda _: True, ("id",), [("id",)])


def test_a_form_recognizes_nothing_by_itself() -> None:
    assert (PLAIN.is_own(1), PLAIN.call(1), PLAIN.is_stream([1]), PLAIN.event(1), dict(PLAIN.login(1))) == (
        False, None, False, None, {},
    )  # fmt: skip
    assert not PLAIN.is_stray(RecordedMessage(True, "x"))
    assert not PLAIN.opens_session


PHOENIX = (
    '> ["1", "1", "room", "phx_join", {}]', '< ["1", "1", "room", "phx_reply", {"status": "ok"}]',
    '> ["1", "2", "room", "shout", {"text": "a"}]', '< ["1", null, "room", "news", {"n": 1}]',
    '< ["1", "2", "room", "phx_reply", {"status": "ok"}]', '> ["1", "3", "room", "shout", {}, 7]',
)  # fmt: skip


def test_a_draft_in_the_protocol_of_a_preset_has_the_calls_and_events_and_leaves_the_rest_to_the_preset() -> None:
    document = drafted(*PHOENIX)
    assert document["preset"] == "phoenix"
    assert [feed["name"] for feed in document["feeds"]] == ["news"]
    shout, other = document["tools"]
    assert shout["inputs"] == {
        "type": "object",
        "properties": {"topic": {"type": "string"}, "payload": {"type": "object"}},
        "required": ["topic", "payload"],
    }
    assert "tool_call_template" not in shout
    assert other["tool_call_template"]["reply"] == "none"


def test_a_stream_of_a_preset_is_bounded() -> None:
    document = drafted(
        '< {"type": "auth_required"}', '> {"type": "auth", "access_token": "${HOMEASSISTANT_TOKEN}"}',
        '< {"type": "auth_ok"}', '> {"id": 1, "type": "subscribe_events"}',
        '< {"id": 1, "type": "result", "success": true}', '< {"id": 1, "type": "event", "event": {}}',
        variables=("HOMEASSISTANT_TOKEN",),
    )  # fmt: skip
    (tool,) = document["tools"]
    assert tool["tool_call_template"] == {"stream": {"max_items": 10, "max_seconds": 10}}
    assert tool["inputs"] == {"type": "object", "properties": {}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("payload", "send"),
    [('{"token": "t0k"}', {"token": "${TOKEN}"}), ('{"locale": "no"}', {"locale": "no"}), ("{}", None)],
)
def test_the_payload_that_opens_a_graphql_connection_stays_in_the_draft(payload: str, send: Any) -> None:
    init = f'> {{"type": "connection_init", "payload": {payload}}}'
    document = drafted(init, '< {"type": "connection_ack"}', SUBSCRIBE)
    steps = [{"send": {"type": "connection_init", "payload": send}}, {"expect": "message.type == 'connection_ack'"}]
    assert document.get("on_connect") == (steps if send else None)
    assert "t0k" not in json.dumps(document)


def test_a_payload_that_was_received_opens_nothing() -> None:
    received = '< {"type": "connection_init", "payload": {"locale": "no"}}'
    assert "on_connect" not in drafted(received, INIT, SUBSCRIBE)


def test_the_payload_of_another_protocol_is_no_login_step() -> None:
    document = drafted(HELLO, '> {"type": "connection_init", "payload": {"a": 1}}')
    assert document["preset"] == "wamp"
    assert "on_connect" not in document


CONNECT = "> CONNECT\naccept-version:1.2\nhost:{}\nlogin:{}\npasscode:{}\n\n\0"
STOMP_LOGINS: dict[str, tuple[tuple[str, str, str], dict[str, str] | None, list[str]]] = {
    "values": (("h.example", "ada", "s3cret"), {"STOMP_HOST": "h.example", "STOMP_LOGIN": "ada"}, ["STOMP_PASSCODE"]),
    "the variables of the preset": (("/", "${STOMP_LOGIN}", "${STOMP_PASSCODE}"), None, []),
    "variables with other names": (("/", "${MINE}", "${OTHER}"), None, ["STOMP_LOGIN", "STOMP_PASSCODE"]),
}


@pytest.mark.parametrize(("values", "shown", "missing"), STOMP_LOGINS.values(), ids=STOMP_LOGINS)
def test_only_what_is_no_secret_of_a_login_is_in_a_draft(
    values: tuple[str, str, str], shown: Any, missing: list[str]
) -> None:
    draft = draft_manifest({"url": URL}, parse_url(URL), conversation(CONNECT.format(*values)), ())
    assert draft.document.get("variables") == shown
    assert draft.missing_variables == missing
    assert "s3cret" not in json.dumps(draft.document)
    assert draft.secrets.values.get("STOMP_PASSCODE") == (values[2] if missing else None)


def test_a_login_that_was_received_gives_no_variable() -> None:
    sent, answer = CONNECT.format("/", "${STOMP_LOGIN}", "${STOMP_PASSCODE}"), CONNECT.format("h", "eve", "p")
    assert "variables" not in drafted(sent, answer.replace(">", "<"))
