"""What the manifest takes the messages of a conversation for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.recorder.messages import RecordedMessage
from utcp_ws_mcp.studio import session as session_module
from utcp_ws_mcp.studio.judging import MAX_JUDGED_CHARACTERS, Judgement, judge
from utcp_ws_mcp.studio.session import StudioOptions, StudioSession
from utcp_ws_mcp.studio.unrendering import unrender

URL = "wss://api.example.com/ws"
GET = {"name": "get", "inputs": {"properties": {"city": {"type": "string"}}}}
RPC = {"name": "m", "url": URL, "preset": "jsonrpc2", "tools": [GET]}


def judged(manifest: Any, *lines: str, url: str = URL, redact: Any = str) -> Any:
    """What is said of lines such as `> {…}` (sent) and `< {…}` (received)."""
    loaded = load_text(json.dumps(manifest), Path("manifest.json"), {"KEY": "k"})
    return judge(loaded, parse_url(url), [(10 + n, line[0] == ">", line[2:]) for n, line in enumerate(lines)], redact)


def roles(manifest: dict[str, Any], *lines: str, url: str = URL) -> list[str]:
    return [each.role for each in judged(manifest, *lines, url=url).values()]


def rpc(number: Any, method: str = "get", **more: Any) -> str:
    return "> " + json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": {"city": "Oslo"}, **more})


def test_replies_are_found_by_the_id_that_was_typed() -> None:
    found = judged(RPC, rpc(7), rpc("x"), '< {"id": "x", "result": 2}', '< {"id": 7, "error": {"message": "no"}}')
    assert [each.role for each in found.values()] == ["request", "request", "reply", "error"]
    assert list(found) == [10, 11, 12, 13]
    assert found[10].reasons == ("as m.get sends it",)
    assert any("reply.match holds" in reason for reason in found[12].reasons)


def test_a_request_without_a_tool_is_judged_by_the_rules_that_it_fits() -> None:
    found = judged(RPC, rpc(1, "put"), '< {"id": 1, "result": 1}')
    assert found[10].reasons == ("no tool has this name; the rules are those of m.get",)
    assert found[11].role == "reply"


def test_what_no_tool_sends_is_no_request_and_what_comes_then_is_dropped() -> None:
    assert roles(RPC, "> hello", '< {"id": 1, "result": 1}') == ["no request", "dropped"]


def test_events_of_feeds_are_items() -> None:
    room = {
        "name": "room",
        "open": [{"send": {"join": "{{ args.room }}"}}],
        "match": "message.room == args.room",
        "inputs": {"properties": {"room": {}}, "required": ["room"]},
    }
    feeds = [{"name": "tick"}, room]
    found = roles(
        {**RPC, "feeds": feeds},
        '< {"jsonrpc": "2.0", "method": "tick", "params": 1}',
        '< {"room": "a"}',
        '> {"join": "a"}',
        '< {"room": "a"}',
        '< {"room": "b"}',
    )
    assert found == ["item", "dropped", "request", "item", "dropped"]


LOGIN = {
    **RPC,
    "on_connect": [{"send": {"op": "auth", "key": "${KEY}"}}, {"expect": "message.ok", "capture": {"s": "message.s"}}],
    "auto_reply": [{"match": "message.ping is defined", "send": {"pong": "{{ session.s }}"}}],
    "reconnect_when": "message.bye is defined",
    "fail_when": "message.fatal is defined",
}


def test_the_login_and_the_rules_of_the_connection_are_judged_too() -> None:
    found = roles(
        LOGIN, '> {"op": "auth", "key": "secret"}', '< {"wait": 1}', '< {"ok": true, "s": 5}', '< {"ping": 1}',
        rpc(1), '< {"bye": 1}', '< {"id": 1, "result": 1}', rpc(2), '< {"fatal": 1}',
    )  # fmt: skip
    expected = ["login", "login", "login", "auto-replied", "request", "dropped", "reply", "request", "session failed"]
    assert found == expected


def test_a_login_that_is_not_answered_ends_with_the_next_request() -> None:
    found = roles(LOGIN, '> {"op": "auth", "key": "x"}', '< {"no": 1}', rpc(1), '< {"id": 1, "result": 1}')
    assert found == ["login", "login", "request", "reply"]


def test_without_ids_the_first_message_is_the_reply() -> None:
    manifest = {"name": "m", "url": URL, "tools": [{"name": "say"}]}
    assert roles(manifest, '> {"a": 1}', '< {"b": 2}', "> text") == ["request", "reply", "no request"]


def test_a_framing_of_the_manifest_is_used_and_what_it_cannot_decode_is_named() -> None:
    manifest = {**RPC, "framing": {"separator": "\n", "spans_messages": True}}
    assert roles(manifest, "< {}", "< \n") == ["incomplete", "dropped"]


@pytest.mark.parametrize(
    ("url", "count"),
    [(URL, 1), (f"{URL}/?token=1", 1), ("wss://other.example.com/", 0), ("wss://api.example.com/other", 0)],
)
def test_a_manifest_for_another_endpoint_says_nothing(url: str, count: int) -> None:
    assert len(judged(RPC, "< {}", url=url)) == count


def test_the_url_may_contain_variables() -> None:
    assert len(judged({**RPC, "url": "wss://${KEY}.example.com/ws"}, "< {}", url="wss://k.example.com/ws")) == 1


def test_of_several_call_templates_that_of_the_endpoint_judges() -> None:
    other = {"name": "o", "url": "wss://other.example.com/{{ args.x }}", "tools": [{"name": "t"}]}
    assert len(judged([other, RPC], "< {}")) == 1
    assert judged([other, RPC], "< {}", url="wss://another.example.com/") == {}


def test_the_only_call_template_is_meant_if_its_url_depends_on_arguments() -> None:
    manifest = {**RPC, "url": "wss://api.example.com/{{ args.room }}"}
    assert len(judged(manifest, "< {}", url="wss://api.example.com/a")) == 1


def test_a_manifest_without_tools_says_nothing_and_long_messages_are_left_out() -> None:
    assert judged({**RPC, "tools": []}, "< {}") == {}
    assert judged(RPC, "< " + "x" * (MAX_JUDGED_CHARACTERS + 1)) == {}
    assert len(judged(RPC, "< " + "x" * MAX_JUDGED_CHARACTERS)) == 1
    assert MAX_JUDGED_CHARACTERS == 100_000


def test_the_last_message_that_opens_a_feed_subscribes_and_one_that_never_sends_has_no_request() -> None:
    opened = [{"send": {"hello": 1}}, {"send": {"join": "{{ args.room }}"}}]
    room = {
        "name": "room",
        "open": opened,
        "match": "message.room == args.room",
        "inputs": {"properties": {"room": {}}},
    }
    heard = {"name": "hear", "tool_call_template": {"listen": True, "stream": True}}
    manifest = {"name": "m", "url": URL, "feeds": [room], "tools": [heard]}
    found = judged(manifest, '> {"join": "a"}', '< {"room": "a"}')
    assert [each.role for each in found.values()] == ["request", "item"]
    assert found[10].reasons == ("as m.room sends it",)


@pytest.mark.parametrize(
    ("template", "value", "names"),
    [
        ({"id": "{{ request_id }}", "q": "{{ args.x }}"}, {"id": 1, "q": 2}, {"request_id": 1, "args.x": 2}),
        ({"q": "UTCP_ARG_city_UTCP_ARG"}, {"q": 5}, {"args.city": 5}),
        ({"q": "${city}", "n": 1}, {"q": 5, "n": 1}, {"args.city": 5}),
        ({"q": "{{ args.city }}"}, {}, {}),
        ({"q": "find {{ args.city }}"}, {"q": "find Oslo"}, {}),
        (["{{ tool }}", {"a": None}], ["get", {"a": None, "b": 1}], {"tool": "get"}),
        ("{{ args }}", {"a": 1}, {"args": {"a": 1}}),
        ("{{ args }}", "text", None),
        ({"op": "get"}, {"op": "put"}, None),
        ({"op": "get"}, {}, None),
        ({"n": 1}, {"n": True}, None),
        (["a"], ["a", "b"], None),
        ({"a": {}}, [], None),
        ({}, [], None),
        ([], {}, None),
        (["{{ tool }}"], "x", None),
        ({"q": "{{- args.x -}}", "$each": 1}, {"q": 1}, {"args.x": 1}),
        ({"q": "{% if args.x %}"}, {}, {}),
    ],
)  # fmt: skip
def test_a_message_says_which_values_its_template_had(template: Any, value: Any, names: Any) -> None:
    found = unrender(template, value)
    assert (found.names if found else None) == names


async def test_messages_are_judged_again_only_if_something_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def count(*given: Any) -> dict[int, Judgement]:
        asked.append(given)
        return {0: Judgement("request")}

    monkeypatch.setattr(session_module, "judge", count)
    session = StudioSession(StudioOptions())
    session.set_text(json.dumps(RPC))
    assert (await session.judgement(0), asked) == (None, [])
    conversation = session.conversation
    conversation.load({"url": URL}, parse_url(URL), [RecordedMessage(sent=True, value=[1])], [])
    for _ in range(2):
        assert await session.judgement(0) == Judgement("request")
        assert await session.judgement(1) is None
    assert len(asked) == 1
    loaded, url, messages, _ = asked[0]
    assert ([each.name for each in loaded.manifest.entries], url, messages) == (
        ["m"],
        parse_url(URL),
        [(0, True, "[1]")],
    )
    for times, change in enumerate(
        (
            lambda: session.set_text(json.dumps({**RPC, "name": "n"})),
            lambda: session.set_variable("KEY", "x"),
            lambda: conversation.load({"url": URL}, parse_url(URL), [RecordedMessage(sent=True, value=[2])], []),
            lambda: setattr(conversation, "url", parse_url("wss://b.example/")),
        ),
        2,
    ):
        change()
        await session.judgement(0)
        assert len(asked) == times
    session.set_text("{")
    assert await session.judgement(0) is None
    session.set_text(json.dumps(RPC))

    def fail(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(session_module, "judge", fail)
    assert await session.judgement(0) is None


def test_a_tool_that_expects_no_reply_or_asks_over_http_first_is_judged_by_its_rules() -> None:
    silent = {"message": {"op": "say"}, "reply": "none"}
    asking = {
        "message": {"op": "say"},
        "before_message": [{"http": {"url": "https://a.example/"}, "capture": {"x": "status"}}],
    }
    for template, role in ((silent, "dropped"), (asking, "reply")):
        manifest = {"name": "m", "url": URL, "tools": [{"name": "say", "tool_call_template": template}]}
        assert roles(manifest, '> {"op": "say"}', '< {"a": 1}') == ["request", role]


def test_a_condition_of_the_login_that_fails_says_why() -> None:
    steps = [{"send": {"op": "auth"}}, {"expect": "message.n // 0 == 1"}]
    found = judged({**RPC, "on_connect": steps}, '> {"op": "auth"}', '< {"n": 1}')
    assert (found[11].role, found[11].reasons[0][:44]) == ("login", "the expression 'message.n // 0 == 1' failed:")


def test_a_message_that_the_framing_cannot_decode_is_named() -> None:
    manifest = {**RPC, "framing": {"length": {"size": 4}, "spans_messages": True}}
    loaded = load_text(json.dumps(manifest), Path("manifest.json"), {})
    (found,) = judge(loaded, parse_url(URL), [(0, False, b"\xff" * 8)], str).values()
    reason = "it is, or announces a message, larger than limits.max_message_bytes"
    assert (found.role, found.reasons) == ("not decoded", (reason,))


def test_what_the_login_captures_decides_later_replies() -> None:
    manifest = {
        "name": "m",
        "url": URL,
        "on_connect": [{"send": {"op": "auth"}}, {"expect": "message.ok", "capture": {"s": "message.s"}}],
        "reply": {"match": "message.s == session.s"},
        "tools": [{"name": "say", "tool_call_template": {"message": {"op": "say"}}}],
    }
    login = ('> {"op": "auth"}', '< {"ok": true, "s": 5}')
    assert roles(manifest, *login, '> {"op": "say"}', '< {"s": 4}', '< {"s": 5}')[2:] == ["request", "dropped", "reply"]
