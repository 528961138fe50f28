"""What is made of a conversation: ids, greetings, events, failures, tools."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.scope import MESSAGE_NAMES, Ambient, Scope
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.recorder.manifest import Draft, draft_manifest
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage, kind_predicate, unescape

URL = "wss://api.clock.example/ws"


def drafted(*lines: str, url: str = URL, variables: tuple[str, ...] = (), **endpoint: Any) -> Draft:
    """The draft of a conversation: `> …` was sent, `< …` came; JSON where it is JSON."""
    seen = []
    for line in lines:
        text = line[2:]
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        seen.append(RecordedMessage(line[0] == ">", value))
    return draft_manifest({"url": url, **endpoint}, parse_url(url), seen, variables)


def plans_of(draft: Draft, **variables: str) -> dict[str, Any]:
    """The tools of a draft, compiled; it must be right."""
    values = {**dict.fromkeys(draft.missing_variables, "x"), **variables}
    (entry,) = load_document(draft.document, VariableResolver([values]), "draft", PurePath()).entries
    plans, problems = compile_entry(entry)
    assert problems == []
    return {plan.name: plan for plan in plans}


def sent_by(plan: Any, **args: Any) -> Any:
    ambient = Ambient(None, None)  # type: ignore[arg-type]
    scope = Scope(
        ambient, {"args": plan.validate_arguments(args), "request_id": 5, "vars": plan.variables, "session": {}}
    )
    return plan.compiled_template.request[0].render(scope)


def test_ids_are_recognized_at_any_path() -> None:
    draft = drafted(
        '> {"op": "get", "meta": {"ref": 11}}', '< {"event": "x"}', '< {"re": 11, "data": 1}',
        '> {"op": "get", "meta": {"ref": 12}}', '< {"re": 12, "data": 2}',
    )  # fmt: skip
    assert draft.document["request_id"] == "counter"
    assert draft.document["reply"] == {"match": "message.re == request_id", "result": "message.data"}
    assert "ignore" not in draft.document
    assert sent_by(plans_of(draft)["get"]) == {"op": "get", "meta": {"ref": 5}}


def test_a_key_that_only_one_kind_of_message_has_names_its_tool() -> None:
    draft = drafted(
        '> {"ref": 1, "on": "boat", "put": {"path": "lamp", "value": 1}}', '< {"ref": 1, "ok": true}',
        '> {"ref": 2, "on": "boat", "put": {"path": "horn", "value": 1}}', '< {"ref": 2, "ok": true}',
        '> {"on": "boat", "subscribe": [{"path": "depth"}]}', '< {"depth": 7}',
        '> {"on": "*", "unsubscribe": [{"path": "*"}]}',
    )  # fmt: skip
    plans = plans_of(draft)
    assert list(plans) == ["put", "subscribe", "unsubscribe"]
    assert sent_by(plans["put"], path="lamp") == {"ref": 5, "on": "boat", "put": {"path": "lamp", "value": 1}}


def test_a_key_that_is_left_out_sometimes_makes_no_tool_of_its_own() -> None:
    draft = drafted('> {"q": "a"}', '< {"hits": 1}', '> {"q": "b", "limit": 3}', '< {"hits": 2}')
    assert list(plans_of(draft)) == ["send"]


@pytest.mark.parametrize(
    ("ids", "kind"), [(('"a1"', '"b2"'), "uuid"), (('"1"', '"2"'), "string_counter"), (("1", "2"), "counter")]
)
def test_the_kind_of_the_ids_is_that_of_those_that_were_seen(ids: tuple[str, str], kind: str) -> None:
    lines = [line for each in ids for line in (f'> {{"id": {each}, "m": 1}}', f'< {{"id": {each}}}')]
    assert drafted(*lines).document["request_id"] == kind


def test_ids_in_arrays_are_recognized() -> None:
    draft = drafted('> ["q1", "add", {"a": 1}]', '< ["q1", "ok"]', '> ["q2", "add", {"a": 2}]', '< ["q2", "ok"]')
    assert draft.document["reply"]["match"] == "message[0] == request_id"
    assert sent_by(plans_of(draft)["add"], a=7)[0] == 5


def test_an_id_may_come_again_in_a_message_of_another_kind() -> None:
    draft = drafted(
        '> ["REQ", "a1", {"limit": 1}]', '< ["EVENT", "a1", {"n": 1}]', '< ["EOSE", "a1"]', '> ["CLOSE", "a1"]',
        '> ["REQ", "b2", {"limit": 2}]', '< ["EVENT", "b2", {"n": 1}]', '< ["EOSE", "b2"]', '> ["CLOSE", "b2"]',
    )  # fmt: skip
    assert draft.document["reply"]["match"] == "message[1] == request_id"
    plans = plans_of(draft)
    assert list(plans) == ["REQ", "CLOSE"]
    assert sent_by(plans["REQ"], limit=7) == ["REQ", 5, {"limit": 7}]
    assert draft.document["tools"][0]["tool_call_template"]["stream"]["until"] == "message[0] == 'EOSE'"


def test_the_word_in_an_array_that_names_the_tool_is_no_argument() -> None:
    draft = drafted(
        '> [2, "1", "Authorize", {"tag": "a"}]', '< [3, "1", {}]', '> [2, "2", "Heartbeat", {}]', '< [3, "2", {}]'
    )
    plans = plans_of(draft)
    assert sent_by(plans["Authorize"], tag="b") == [2, 5, "Authorize", {"tag": "b"}]
    assert sent_by(plans["Heartbeat"]) == [2, 5, "Heartbeat", {}]


@pytest.mark.parametrize(
    ("news", "ignored"), [("[1, 2]", []), ("{}", []), ('["NOTICE", "x"]', ["message[0] == 'NOTICE'"])]
)
def test_no_message_that_answers_is_ignored(news: str, ignored: list[str]) -> None:
    draft = drafted(f"< {news}", f"< {news}", '> {"get": 1}', "< [7, 8]", f"< {news}", '> {"get": 2}', "< [9]")
    assert draft.document.get("ignore", []) == ignored
    assert not any(Expression(each, MESSAGE_NAMES).is_true({"message": [7, 8]}) for each in ignored)


def test_a_predicate_of_events_that_holds_for_a_reply_is_not_written() -> None:
    draft = drafted(
        "< 220 ready", '< {"price": 1}', '< {"tick": 1}', '> {"get": 1}', '< {"price": 2}', '> {"get": 2}',
        '< {"price": 3}',
    )  # fmt: skip
    assert draft.document["ignore"] == ["message.tick is defined"]


def test_without_ids_replies_are_matched_by_order_and_events_are_ignored() -> None:
    draft = drafted(
        '< {"type": "hello"}', '< {"type": "tick"}', '> {"cmd": "get", "key": "a"}', '< {"type": "tick"}',
        '< {"type": "value", "value": 1}', '< {"type": "tick"}',
    )  # fmt: skip
    assert draft.document["on_connect"][0]["expect"] == "message.type == 'hello'"
    assert draft.document["ignore"] == ["message.type == 'tick'"]
    assert draft.document["reply"] == {"result": "message.value"}


def test_text_protocols_have_texts() -> None:
    draft = drafted("< 220 ready", "> SHOUT hello world", "< HELLO WORLD", "> QUIT", "< BYE")
    plans = plans_of(draft)
    assert draft.document["response_format"] == "text"
    assert draft.document["on_connect"][0]["expect"] == "message is string"
    assert sent_by(plans["shout"], text="a b") == "SHOUT a b"
    assert sent_by(plans["quit"]) == "QUIT"


def test_a_variable_in_a_text_is_preserved_and_makes_it_a_login_if_it_is_a_secret() -> None:
    lines = ("> PASS ${IRC_PASSWORD}", "> NICK ${NICK}", "> SAY hello", "< said")
    draft = drafted(*lines, variables=("IRC_PASSWORD", "NICK"))
    plans = plans_of(draft, IRC_PASSWORD="x", NICK="ada")
    assert draft.document["on_connect"] == [{"$comment": "A login.", "send": "PASS ${IRC_PASSWORD}"}]
    assert list(plans) == ["nick", "say"]
    assert sent_by(plans["nick"]) == "NICK ada"


FAILURES = {
    "an object": ('{"id": 1, "error": {"code": 4, "message": "no"}}', "message.error.message"),
    "a text": ('{"id": 1, "error": "no"}', "message.error"),
    "a kind": ('{"id": 1, "type": "error", "reason": "no"}', "message.reason"),
    "a flag": ('{"id": 1, "success": false, "message": "no"}', "message.message"),
}


@pytest.mark.parametrize(("reply", "place"), FAILURES.values(), ids=FAILURES)
def test_errors_are_recognized(reply: str, place: str) -> None:
    draft = drafted(
        '> {"id": 1, "action": "a"}', f"< {reply}", '> {"id": 2, "action": "a"}', '< {"id": 2, "result": 0}'
    )
    assert draft.document["reply"]["error_message"] == place
    assert draft.document["reply"]["result"] == "message.result"
    (plan,) = plans_of(draft).values()
    ambient = Ambient(None, None)  # type: ignore[arg-type]
    assert plan.rules.is_error(Scope(ambient, {"message": json.loads(reply)}))
    assert not plan.rules.is_error(Scope(ambient, {"message": {"id": 2, "result": 0}}))


def test_what_differs_is_an_argument_and_what_is_sometimes_there_is_optional() -> None:
    draft = drafted(
        '> {"method": "find", "params": {"word": "a", "n": 1, "mode": "all"}}', "< {}",
        '> {"method": "find", "params": {"word": "b", "n": 2.5, "mode": "all", "deep": {"x": [1]}}}', "< {}",
    )  # fmt: skip
    plan = plans_of(draft)["find"]
    assert plan.inputs["properties"] == {
        "word": {"type": "string"}, "n": {"type": "number"}, "x": {"type": "array"}
    }  # fmt: skip
    assert plan.inputs["required"] == ["word", "n"]
    assert sent_by(plan, word="c", n=3) == {
        "method": "find",
        "params": {"word": "c", "n": 3, "mode": "all", "deep": {}},
    }


def test_what_differs_is_an_argument_also_where_its_key_often_says_the_kind() -> None:
    draft = drafted(
        '> {"action": "emit", "name": "news"}', '> {"action": "emit", "name": "weather"}', '> {"action": "emit"}',
        '> {"action": "read", "name": "r1"}',
    )  # fmt: skip
    plans = plans_of(draft)
    assert sent_by(plans["emit"], name="sport") == {"action": "emit", "name": "sport"}
    assert sent_by(plans["emit"]) == {"action": "emit"}
    assert sent_by(plans["read"]) == {"action": "read", "name": "r1"}


def test_arguments_whose_keys_give_the_same_name_are_numbered() -> None:
    first, second = ({"op": "set", "at": {"b c": n, "b-c": n + 1, "b.c": n + 2, "b/c": n + 3}} for n in (10, 20))
    draft = drafted(f"> {json.dumps(first)}", '< {"ok": 1}', f"> {json.dumps(second)}", '< {"ok": 2}')
    assert sent_by(plans_of(draft)["set"], b_c=1, at_b_c=2, b_c_2=3, b_c_3=4) == {
        "op": "set",
        "at": {"b c": 1, "b-c": 2, "b.c": 3, "b/c": 4},
    }


HELLO = [1, "realm7", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "ada"}]
WAMP = (
    f"> {json.dumps(HELLO)}", '< [4, "ticket", {}]', '> [5, "s3cret", {}]', '< [2, 99, {"roles": {}}]',
    '> [48, 1, {}, "com.sum", [], {"a": 1}]', "< [50, 1, {}, [3]]", '> [6, {}, "bye"]',
)  # fmt: skip


def test_the_login_of_wamp_becomes_the_variables_of_its_preset_without_the_ticket() -> None:
    draft = drafted(*WAMP, protocol=["wamp.2.json"])
    assert draft.document["variables"] == {"WAMP_REALM": "realm7", "WAMP_AUTHID": "ada"}
    assert draft.missing_variables == ["WAMP_TICKET"]
    assert "s3cret" not in json.dumps(draft.document)
    assert list(plans_of(draft)) == ["com.sum"]


def test_only_what_stomp_sends_to_a_destination_is_the_call_of_its_preset() -> None:
    draft = drafted(
        "> CONNECT\naccept-version:1.2\nhost:/\n\n\0", "< CONNECTED\nversion:1.2\n\n\0",
        "> SEND\ndestination:/queue/a\nreceipt:r1\n\nhello\0", "< RECEIPT\nreceipt-id:r1\n\n\0",
        "> SUBSCRIBE\ndestination:/queue/a\nreceipt:r2\n\n\0", "< RECEIPT\nreceipt-id:r2\n\n\0",
        protocol=["v12.stomp"],
    )  # fmt: skip
    assert [tool["name"] for tool in draft.document["tools"]] == ["send", "SUBSCRIBE"]


def test_an_argument_of_a_preset_that_every_call_has_is_required() -> None:
    draft = drafted(*WAMP, '> [48, 2, {}, "com.sum", [], {"a": 1, "b": 2}]', "< [50, 2, {}, [3]]")
    inputs = draft.document["tools"][0]["inputs"]
    assert ([*inputs["properties"]], inputs["required"]) == (["a", "b"], ["a"])


def test_several_answers_to_one_request_are_a_stream() -> None:
    draft = drafted(
        '> {"id": 1, "op": "watch"}', '< {"id": 1, "type": "item"}', '< {"id": 1, "type": "item"}',
        '< {"id": 1, "type": "done"}',
    )  # fmt: skip
    assert draft.document["tools"][0]["tool_call_template"]["stream"]["until"] == "message.type == 'done'"
    assert plans_of(draft)["watch"].rules.stream is not None


def test_a_message_that_nothing_answered_waits_for_no_reply() -> None:
    draft = drafted("> LOG hello", "> TIME", "< 10:12")
    plans = plans_of(draft)
    assert (plans["log"].rules.no_reply, plans["time"].rules.no_reply) == (True, False)
    assert "replies are matched by their order" in draft.document["$comment"][0]


def test_a_conversation_in_which_nothing_answered_says_so() -> None:
    draft = drafted("> TIME", '> {"id": 1, "op": "time"}')
    assert "none was answered" in draft.document["$comment"][0]
    assert all(plan.rules.no_reply for plan in plans_of(draft).values())


def test_a_login_contains_its_variable_and_never_a_secret() -> None:
    lines = ['> {"type": "auth", "token": "%s"}', '< {"type": "ready"}', '> {"type": "get"}', '< {"type": "got"}']
    draft = drafted(lines[0] % "${MY_TOKEN}", *lines[1:], variables=("MY_TOKEN",))
    assert draft.document["on_connect"] == [
        {"$comment": "A login.", "send": {"type": "auth", "token": "${MY_TOKEN}"}},
        {"expect": "message.type == 'ready'"},
    ]
    assert (draft.missing_variables, list(plans_of(draft, MY_TOKEN="x"))) == ([], ["get"])
    clear = drafted(lines[0] % "s3cret", *lines[1:])
    assert "s3cret" not in json.dumps(clear.document)
    assert clear.missing_variables == ["TOKEN"]


@pytest.mark.parametrize(
    ("typed", "kept"), [("Basic YWRhOnB3", "${AUTHORIZATION}"), ("Bearer ${KEY}", "Bearer ${KEY}")]
)
def test_a_header_contains_its_variable_and_never_a_secret(typed: str, kept: str) -> None:
    headers = {"Authorization": typed, "X-Client": "hand"}
    draft = drafted('> {"type": "get"}', '< {"n": 1}', variables=("KEY",), headers=headers)
    assert draft.document["headers"] == {"Authorization": kept, "X-Client": "hand"}
    assert draft.missing_variables == (["AUTHORIZATION"] if kept == "${AUTHORIZATION}" else [])


@pytest.mark.parametrize(
    ("lines", "feeds"),
    [
        ([], {"received": "message is defined"}),
        (['< {"price": 1}'], {"received": "message.price is defined"}),
        (["< tick"], {"received": "message is string"}),
        (['< {"type": "hello"}', '< {"type": "tick"}'], {"tick": "message.type == 'tick'"}),
        (['< {"type": "tick"}', '< {"type": "tick"}'], {"tick": "message.type == 'tick'"}),
    ],
)
def test_a_conversation_in_which_nothing_was_sent_gives_feeds(lines: list[str], feeds: dict[str, str]) -> None:
    document = drafted(*lines).document
    assert {feed["name"]: feed["match"] for feed in document["feeds"]} == feeds
    assert "tools" not in document
    assert ("on_connect" in document) == ("hello" in str(lines))


def test_messages_that_answer_nothing_are_feeds_of_their_kind() -> None:
    document = drafted(
        '> {"id": 1, "op": "get"}', '< {"event": "tick", "data": 1}', '< {"id": 1, "ok": true}',
        '< {"event": "tick", "data": 2}', '< {"event": "stock/changed", "n": 2}',
    ).document  # fmt: skip
    assert [(feed["name"], feed["match"], feed.get("item")) for feed in document["feeds"]] == [
        ("tick", "message.event == 'tick'", "message.data"),
        ("stock_changed", "message.event == 'stock/changed'", None),
    ]


def test_a_flag_whose_name_sounds_like_a_secret_stays_a_flag() -> None:
    draft = drafted(
        '> {"op": "login", "token": "${TOKEN}", "save_password": true}', '< {"ready": true}',
        '> {"id": 1, "op": "get"}', '< {"id": 1, "data": 5}',
        variables=("TOKEN",),
    )  # fmt: skip
    assert draft.document["on_connect"][0]["send"] == {"op": "login", "token": "${TOKEN}", "save_password": True}


@pytest.mark.parametrize("event", ["[1, 2]", "tick"])
def test_messages_that_look_like_any_reply_are_no_feed(event: str) -> None:
    talk = [line for n in (1, 2) for line in (f'> {{"id": {n}, "op": "get"}}', f'< {{"id": {n}}}', f"< {event}")]
    assert "feeds" not in drafted(*talk).document


def test_what_follows_a_subscription_is_no_feed() -> None:
    document = drafted(
        '> {"id": 1, "op": "subscribe", "topic": "a"}', '< {"id": 1, "ok": true}', '< {"topic": "a", "n": 1}',
        '> {"id": 2, "op": "get"}', '< {"id": 2, "ok": true}',
    ).document  # fmt: skip
    assert "feeds" not in document


def test_events_that_look_like_replies_are_distinct_or_left_out() -> None:
    replies = ['> {"id": 1, "a": 1}', '< {"id": 1, "type": "x", "v": 1}', '> {"id": 2, "a": 2}']
    distinct = drafted(*replies, '< {"id": 2, "type": "x", "v": 1}', '< {"type": "x", "live": true}').document
    assert [feed["match"] for feed in distinct["feeds"]] == ["message.live == true"]
    same = drafted(*replies, '< {"id": 2, "type": "x", "v": 1}', '< {"type": "x", "v": 1}').document
    assert "feeds" not in same


def test_a_draft_has_few_feeds() -> None:
    lines = [f'< {{"event": "e{number}"}}' for number in range(9)]
    assert len(drafted('> {"id": 1, "op": "get"}', '< {"id": 1}', *lines).document["feeds"]) == 5


@pytest.mark.parametrize(
    ("method", "feeds"),
    [("tick", ["tick"]), ("a b", ["a b"]), (" a", []), ("x" * 40, ["x" * 40]), ("x" * 41, [])],
    ids=["a word", "two words", "no name", "a name", "a long name"],
)
def test_notifications_of_a_preset_are_feeds_by_their_name(method: str, feeds: list[str]) -> None:
    document = drafted(
        '> {"jsonrpc": "2.0", "id": 1, "method": "get", "params": {}}', '< {"jsonrpc": "2.0", "id": 1, "result": 1}',
        f'< {{"jsonrpc": "2.0", "method": "{method}", "params": {{}}}}',
    ).document  # fmt: skip
    assert [feed["name"] for feed in document.get("feeds", [])] == feeds
    assert all(feed.keys() == {"name", "description"} for feed in document.get("feeds", []))


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("ws://127.0.0.1:80/", None),
        ("wss://example.com/", None),
        ("ws://example.com/", {"plaintext": True}),
        ("ws://192.168.1.9/", {"allow": ["private"], "plaintext": True}),
        ("wss://hub.local/", {"allow": ["private"]}),
    ],
)
def test_a_draft_allows_what_its_address_needs(url: str, network: Any) -> None:
    draft = drafted("> a", url=url)
    assert draft.document.get("network") == network
    plans_of(draft)


ODD = ("{{ x }}", "${HOME}", "$HOME", "UTCP_ARG_a_UTCP_ARG", "vars.X", "it's \\ \n", "", "a b", "{%", "é", "args.x")
keys = st.sampled_from(["id", "type", "method", "params", "error", "result", "token", "data", "ref", "a b", "x.y", "1"])
scalars = st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 2) | st.sampled_from(ODD)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=8
)
conversations = st.lists(
    st.builds(RecordedMessage, st.booleans(), values.filter(lambda value: isinstance(value, str | dict | list)))
)


@settings(max_examples=300, deadline=None, database=None)
@given(conversations)
@example([RecordedMessage(False, {"type": "${HOME}"})])
@example([RecordedMessage(False, {"type": "vars.X"})])
@example([RecordedMessage(False, {"type": "vars['X'] $NAME"})])
@example([RecordedMessage(True, {"type": "vars.X"})])
@example([RecordedMessage(True, "vars.X"), RecordedMessage(True, ["vars.X"]), RecordedMessage(True, "vars_")])
def test_a_draft_is_always_a_manifest_that_is_right(seen: list[RecordedMessage]) -> None:
    draft = draft_manifest({"url": URL}, parse_url(URL), seen, ())
    for plan in plans_of(draft).values():
        plan.validate_arguments({name: schema_value(schema) for name, schema in plan.inputs["properties"].items()})


def schema_value(schema: dict[str, Any]) -> Any:
    samples = {"string": "x", "boolean": True, "integer": 1, "number": 1.5, "array": [], "object": {}}
    return samples.get(schema.get("type", ""), "x")


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=20) | st.sampled_from(ODD), st.sampled_from(["mode", "params"]))
def test_a_text_that_was_sent_twice_is_sent_again_as_it_was(text: str, key: str) -> None:
    value = {"method": "m", key: {"x": text, "n": 1}}
    other = {"method": "m", key: {"x": text, "n": 2}}
    draft = draft_manifest(
        {"url": URL}, parse_url(URL), [RecordedMessage(True, value), RecordedMessage(True, other)], ()
    )
    assert sent_by(plans_of(draft)["m"], n=1) == value


@pytest.mark.parametrize("said", ["${HOME}", "vars.X", "vars['X']", "costs $5", "it's", "a\\b"])
def test_a_text_of_an_endpoint_is_a_literal_in_a_predicate(said: str) -> None:
    predicate = Expression(kind_predicate({"type": said}), MESSAGE_NAMES)

    assert predicate.is_true({"message": {"type": said}})
    assert "${" not in predicate.source
    assert "vars" not in predicate.source


def test_a_login_whose_answer_comes_late_takes_nothing_from_the_first_call() -> None:
    draft = drafted(
        '> {"id": 1, "cmd": "login", "token": "${KEY}"}', '< {"note": 1}', '> {"id": 2, "cmd": "get"}',
        '< {"id": 1, "ok": true}', '< {"id": 2, "value": 5}', variables=("KEY",),
    )  # fmt: skip
    login = {"$comment": "A login.", "send": {"id": "{{ request_id }}", "cmd": "login", "token": "${KEY}"}}
    expected = {"expect": "message.id == request_id", "fail": "message.error"}
    assert draft.document["on_connect"] == [{**login, "request_id": True}, expected]
    assert draft.document["reply"]["result"] == "message.value"


def test_a_late_answer_to_a_login_without_ids_is_not_that_of_the_first_call() -> None:
    draft = drafted(
        '> {"cmd": "login", "token": "${KEY}"}', '> {"cmd": "get"}', '< {"type": "welcome"}',
        '< {"type": "value", "value": 5}', variables=("KEY",),
    )  # fmt: skip
    assert draft.document["on_connect"][1] == {"expect": "message.type == 'welcome'"}
    assert draft.document["reply"] == {"result": "message.value"}


def test_the_answer_to_a_login_is_distinguished_from_notifications() -> None:
    draft = drafted(
        '> {"cmd": "login", "token": "${KEY}"}', '< {"jsonrpc": "2.0", "result": true}', '> {"cmd": "get"}',
        '< {"jsonrpc": "2.0", "value": 1}', '< {"jsonrpc": "2.0", "note": 1}', variables=("KEY",),
    )  # fmt: skip
    assert draft.document["on_connect"][1] == {"expect": "message.result == true"}


def test_arguments_that_replies_repeat_are_no_ids() -> None:
    draft = drafted('> {"get": "Oslo"}', '< {"get": "Oslo", "t": 1}', '> {"get": "Rome"}', '< {"get": "Rome", "t": 2}')
    assert "request_id" not in draft.document
    assert plans_of(draft)["send"].inputs["properties"] == {"get": {"type": "string"}}


def test_a_message_that_is_to_be_no_tool_does_not_hide_the_protocol_of_the_others() -> None:
    seen = [
        RecordedMessage(True, "hello", Mark.IGNORED),
        RecordedMessage(False, {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}}),
        RecordedMessage(True, {"jsonrpc": "2.0", "id": 1, "method": "get", "params": {}}),
        RecordedMessage(False, {"jsonrpc": "2.0", "id": 1, "result": 1}),
    ]
    document = draft_manifest({"url": URL}, parse_url(URL), seen, ()).document
    assert (document["preset"], [tool["name"] for tool in document["tools"]]) == ("jsonrpc2", ["get"])
    assert "feeds" not in document


RPC_LINES = (
    '> {"jsonrpc": "2.0", "id": 1, "method": "get", "params": {"n": 1}}',
    '< {"jsonrpc": "2.0", "id": 1, "result": 1}',
    '> {"jsonrpc": "2.0", "id": 2, "method": "put", "params": {"n": 2}}',
    '< {"jsonrpc": "2.0", "id": 2, "result": 2}',
)
PARSE_ERROR = '< {"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "Parse error"}}'


@pytest.mark.parametrize("answer", [PARSE_ERROR, "< what?"])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_one_text_by_mistake_does_not_hide_the_protocol_of_the_others(at: int, answer: str) -> None:
    document = drafted(*RPC_LINES[:at], "> hello", answer, *RPC_LINES[at:]).document
    assert (document["preset"], [tool["name"] for tool in document["tools"]]) == ("jsonrpc2", ["get", "put"])
    assert "feeds" not in document
    assert document["$comment"][0].startswith("Drafted from 2 sent messages; in the protocol of the preset jsonrpc2")
    said = "1 text that was sent is left out: no message of this protocol is a text."
    assert document["$comment"][-1] == said


def test_several_texts_by_mistake_are_left_out_and_counted() -> None:
    document = drafted("> hello", PARSE_ERROR, *RPC_LINES, '> {"jsonrpc": "2.0", "id"', PARSE_ERROR).document
    assert (document["preset"], [tool["name"] for tool in document["tools"]]) == ("jsonrpc2", ["get", "put"])
    said = "2 texts that were sent are left out: no message of this protocol is a text."
    assert document["$comment"][-1] == said


@pytest.mark.parametrize(
    "others",
    [("> hello", "> again"), ('> {"type": "auth"}',), ("> AUTH ${KEY}",), ("> [1]",)],
    ids=["two texts", "an object of another kind", "a text with a variable", "a list"],
)
def test_what_may_be_part_of_another_protocol_costs_the_preset(others: tuple[str, ...]) -> None:
    assert "preset" not in drafted(*RPC_LINES, *others, variables=("KEY",)).document


def test_a_text_that_is_marked_as_a_request_is_not_left_out() -> None:
    seen = [RecordedMessage(line[0] == ">", json.loads(line[2:])) for line in RPC_LINES]
    document = draft_manifest({"url": URL}, parse_url(URL), [RecordedMessage(True, "hi", Mark.REQUEST), *seen], ())
    assert "preset" not in document.document


@pytest.mark.parametrize(
    ("in_message", "variable", "missing"), [("other", "TOKEN_2", ["TOKEN", "TOKEN_2"]), ("first", "TOKEN", ["TOKEN"])]
)
def test_two_secrets_whose_fields_have_one_name_become_two_variables(
    in_message: str, variable: str, missing: list[str]
) -> None:
    login = json.dumps({"type": "auth", "token": in_message})
    draft = drafted(f"> {login}", '< {"type": "ready"}', '> {"type": "get"}', '< {"n": 1}', url=f"{URL}?token=first")
    assert (draft.document["url"], draft.document["query"]) == (URL, {"token": "${TOKEN}"})
    assert draft.document["on_connect"][0]["send"] == {"type": "auth", "token": f"${{{variable}}}"}
    assert draft.missing_variables == missing


def test_a_draft_says_nothing_about_what_a_tool_changes() -> None:
    draft = drafted('> {"cmd": "get"}', '< {"n": 1}')
    assert "annotations" not in draft.document["tools"][0]
    assert 'write "annotations"' in draft.document["$comment"][2]


def test_tokens_in_the_subprotocol_and_the_url_become_variables() -> None:
    token = "eyJhbGciOi9.eyJzdWIiOjF9.abc1234567"
    draft = drafted("> a", "< b", url=f"{URL}?token={token}&room=7", protocol=["graphql-transport-ws", token])
    assert draft.document["protocol"] == ["graphql-transport-ws", "${PROTOCOL_TOKEN}"]
    assert (draft.document["url"], draft.document["query"]) == (URL, {"token": "${TOKEN}", "room": "7"})
    assert draft.missing_variables == ["TOKEN", "PROTOCOL_TOKEN"]


@pytest.mark.parametrize(
    ("line", "text"),
    [(r"a\r\n", "a\r\n"), (r"\x1f\0", "\x1f\0"), (r"\\n", "\\n"), (r"\q", "\\q"), ('{"a": 1}', '{"a": 1}')],
)
def test_escape_sequences_stand_for_characters(line: str, text: str) -> None:
    assert unescape(line) == text


def test_a_client_introduces_itself_when_it_connects() -> None:
    draft = drafted(
        '> {"id": 1, "method": "initialize", "params": {"client": "t"}}', '< {"id": 1, "result": {}}',
        '> {"method": "initialized"}', '> {"id": 2, "method": "read", "params": {"path": "/a"}}',
        '< {"id": 2, "error": {"code": 1, "message": "no"}}',
    )  # fmt: skip
    first, expected, second = draft.document["on_connect"]
    assert first["send"] == {"id": "{{ request_id }}", "method": "initialize", "params": {"client": "t"}}
    assert expected == {"expect": "message.id == request_id", "fail": "message.error is defined and message.error"}
    assert second["send"] == {"method": "initialized"}
    assert list(plans_of(draft)) == ["read"]


def test_heartbeats_of_the_endpoint_are_ignored_and_become_neither_items_nor_a_feed() -> None:
    draft = drafted(
        '> {"op": "open"}', '< {"op": "opened"}', '< {"op": "KEEPALIVE"}', '> {"op": "subscribe", "to": "A"}',
        '< {"op": "KEEPALIVE"}', '< {"op": "data", "n": 1}', '< {"op": "KEEPALIVE"}', '< {"op": "data", "n": 2}',
    )  # fmt: skip
    subscribe = next(tool for tool in draft.document["tools"] if tool["name"] == "subscribe")
    assert "message.op == 'KEEPALIVE'" in draft.document["ignore"]
    assert "feeds" not in draft.document
    assert subscribe["tool_call_template"]["stream"]["match"] == "message.op == 'data'"


def test_a_client_is_set_up_before_it_logs_in() -> None:
    draft = drafted(
        '> {"type": "SETUP", "version": "1"}', '< {"type": "SETUP", "version": "1"}',
        '> {"type": "AUTH", "token": "t"}', '< {"type": "AUTH_STATE", "state": "AUTHORIZED"}',
        '> {"type": "OPEN"}', '< {"type": "OPENED"}',
    )  # fmt: skip
    assert [step["send"]["type"] for step in draft.document["on_connect"] if "send" in step] == ["SETUP", "AUTH"]
    assert list(plans_of(draft)) == ["OPEN"]


def test_a_client_of_a_preset_without_a_login_introduces_itself_too() -> None:
    draft = drafted(
        '> {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}',
        '< {"jsonrpc": "2.0", "id": 1, "result": {}}',
        '> {"jsonrpc": "2.0", "id": 2, "method": "read", "params": {}}', '< {"jsonrpc": "2.0", "id": 2, "result": 5}',
    )  # fmt: skip
    assert draft.document["preset"] == "jsonrpc2"
    assert [step.get("request_id") for step in draft.document["on_connect"]] == [True, None]
    assert list(plans_of(draft)) == ["read"]


@pytest.mark.parametrize(
    "lines",
    {
        "it is refused": ('> {"id": 1, "op": "hello"}', '< {"id": 1, "error": "no"}', '> {"op": "get"}'),
        "there is nothing else": ('> {"id": 1, "op": "hello"}', '< {"id": 1}'),
        "it comes again": ('> {"id": 1, "op": "hello"}', '< {"id": 1}', '> {"id": 2, "op": "hello"}', '< {"id": 2}'),
        "it is not the first": (
            '> {"id": 1, "op": "get"}', '< {"id": 1}', '> {"id": 2, "op": "hello"}', '< {"id": 2}',
        ),
    }.values(),
)  # fmt: skip
def test_a_greeting_is_a_call_where(lines: tuple[str, ...]) -> None:
    draft = drafted(*lines)
    assert "on_connect" not in draft.document
    assert "hello" in plans_of(draft)


@pytest.mark.parametrize(
    ("failed", "error", "text"),
    [
        ('{"id": 2, "error_code": 5, "details": "no such node"}', "message.error_code", "message.details"),
        ('{"id": 2, "err": "busy"}', "message.err", None),
        ('{"id": 2, "statusCode": 404, "payload": {"message": "Not Found"}}', "message.statusCode >= 400",
         "message.payload.message"),
        ('{"id": 2, "status": 503}', "message.status >= 400", None),
    ],
)  # fmt: skip
def test_a_failure_has_a_code(failed: str, error: str, text: str | None) -> None:
    draft = drafted('> {"id": 1, "op": "get"}', '< {"id": 1, "result": 7}', '> {"id": 2, "op": "put"}', f"< {failed}")
    assert draft.document["reply"] == {
        "match": "message.id == request_id", "error": error, **({"error_message": text} if text else {}),
        "result": "message.result",
    }  # fmt: skip


def test_a_failure_is_a_word_in_an_array() -> None:
    draft = drafted('> [1, "JOIN", "a"]', '< [1, "JACK", "a"]', '> [2, "LEAVE", "b"]', '< [2, "ERROR", "ENOENT", "b"]')
    assert draft.document["reply"] == {"match": "message[0] == request_id", "error": "message[1] == 'ERROR'"}


def test_a_call_is_named_by_the_kind_in_its_request_and_arguments_may_be_missing() -> None:
    draft = drafted(
        '> {"request": {"method": "add", "arguments": {"a": 1, "b": 2}, "call_id": "c1"}}',
        '< {"request": null, "response": {"result": 3, "call_id": "c1"}}',
        '> {"request": {"method": "add", "arguments": {}, "call_id": "c2"}}',
        '< {"request": null, "response": {"result": 0, "call_id": "c2"}}',
        '> {"request": {"method": "stop", "arguments": {}, "call_id": "c3"}}',
        '< {"request": null, "response": {"result": 1, "call_id": "c3"}}',
    )  # fmt: skip
    plans = plans_of(draft)
    assert sent_by(plans["add"], b=4) == {"request": {"method": "add", "arguments": {"b": 4}, "call_id": 5}}
    assert sent_by(plans["stop"]) == {"request": {"method": "stop", "arguments": {}, "call_id": 5}}


def test_a_value_that_is_an_object_in_one_message_and_a_text_in_another_is_one_argument() -> None:
    draft = drafted(
        '> {"op": "put", "at": {"x": 1}}', '< {"ok": true}', '> {"op": "put", "at": "home"}', '< {"ok": true}'
    )
    assert list(draft.document["tools"][0]["inputs"]["properties"]) == ["at"]


def test_events_are_recognized_by_a_word_and_not_by_the_id_of_a_connection() -> None:
    own = "4159c4f5927cef24c21cbf59332a3530"
    draft = drafted(
        f'< [0, "", "IDENT", "{own}"]', '> [1, "JOIN", "a"]', '< [1, "JACK", "a"]', f'< [0, "{own}", "JOIN", "a"]',
        '> [2, "PING"]', '< [2, "ACK"]',
    )  # fmt: skip
    stream = draft.document["tools"][0]["tool_call_template"]["stream"]
    assert stream["match"] == "message[2] == 'JOIN' and message[3] == args.item_2"
