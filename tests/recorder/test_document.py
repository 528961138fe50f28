"""The whole manifest that is drafted: name, network, greeting, logins, comments, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder.conversations import conversation
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.recorder.manifest import Draft, draft_manifest, network_fields, understand

URL = "wss://a.example/ws"


def drafted(*lines: str, variables: tuple[str, ...] = (), **endpoint: Any) -> Draft:
    endpoint = {"url": URL, **endpoint}
    return draft_manifest(endpoint, parse_url(endpoint["url"]), conversation(*lines), variables)


def test_a_draft_has_all_that_the_conversation_shows_in_the_order_of_a_manifest() -> None:
    document = drafted(
        '< {"type": "hello"}', '> {"id": 1, "type": "auth", "token": "t0k"}', '< {"id": 1, "ok": true}',
        '> {"id": 2, "type": "get", "key": "a"}', '< {"type": "tick", "data": 1}', '< {"id": 2, "data": 5}',
        '> {"id": 3, "type": "get", "key": "b"}', '< {"id": 3, "error": "no"}',
        headers={"X-Client": "hand"}, protocol=["v1"], response_timeout=5,
    ).document  # fmt: skip
    assert document == {
        "$comment": [
            "Drafted from 3 sent messages; replies are matched by IDs.",
            "Names, descriptions and types of arguments are guesses. Try it with: utcp-ws-mcp call … --trace",
            'What a tool changes cannot be known from messages: write "annotations", such as {"readOnlyHint": true}.',
        ],
        "name": "a",
        "url": URL,
        "headers": {"X-Client": "hand"},
        "protocol": ["v1"],
        "response_timeout": 5,
        "on_connect": [
            {"$comment": "The endpoint sends the first message.", "expect": "message.type == 'hello'"},
            {
                "$comment": "A login.",
                "send": {"id": "{{ request_id }}", "type": "auth", "token": "${TOKEN}"},
                "request_id": True,
            },
            {"expect": "message.id == request_id", "fail": "message.error is defined and message.error"},
        ],
        "request_id": "counter",
        "reply": {
            "match": "message.id == request_id",
            "error": "message.error is defined and message.error",
            "error_message": "message.error",
            "result": "message.data",
        },
        "response_format": "json",
        "feeds": [
            {
                "name": "tick",
                "description": "'tick': what the endpoint sends without a request. Describe here what it means.",
                "match": "message.type == 'tick'",
                "item": "message.data",
            }
        ],
        "tools": [
            {
                "name": "get",
                "description": "Send 'get'. Describe here what it does and returns.",
                "inputs": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
                "tool_call_template": {"message": {"id": "{{ request_id }}", "type": "get", "key": "{{ args.key }}"}},
            }
        ],
    }
    assert list(document) == [
        "$comment", "name", "url", "headers", "protocol", "response_timeout", "on_connect", "request_id", "reply",
        "response_format", "feeds", "tools",
    ]  # fmt: skip


def test_a_draft_keeps_its_secrets_apart() -> None:
    draft = drafted('> {"type": "auth", "token": "t0k"}', '< {"type": "ready"}')
    assert draft.missing_variables == ["TOKEN"]
    assert draft.secrets.values == {"TOKEN": "t0k"}
    assert "t0k" not in repr(draft)


UNANSWERED = "none was answered. Does the endpoint expect another form, such as a line break at the end?"
COMMENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": (
        (),
        f"0 sent messages; {UNANSWERED}",
    ),
    "no answer": (
        ("> a",),
        f"1 sent message; {UNANSWERED}",
    ),
    "order": (
        ("> a", "< b", "> a", "< b"),
        "2 sent messages; replies are matched by their order: the first message after a request is its reply.",
    ),
    "a preset": (
        ('> {"jsonrpc": "2.0", "id": 1, "method": "a"}', '< {"jsonrpc": "2.0", "id": 1}'),
        "1 sent message; in the protocol of the preset jsonrpc2.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "comment"), COMMENTS.values(), ids=COMMENTS)
def test_a_draft_says_how_replies_are_matched(lines: tuple[str, ...], comment: str) -> None:
    comments = drafted(*lines).document["$comment"]
    assert comments[0] == f"Drafted from {comment}"
    assert len(comments) == 3


MANUALS = {
    "wss://a.example/": "a", "wss://api.shop.example/": "shop", "wss://www.api.ws.wss.stream.shop.example/": "shop",
    "wss://my-shop--1.example/": "my_shop_1", "wss://127.0.0.1/": "api", "wss://[::1]/": "api",
        "wss://1shop.example/": "api",
    f"wss://{'n' * 21}.example/": "n" * 20, "wss://api/": "api", "wss://localhost/": "localhost",
}  # fmt: skip


@pytest.mark.parametrize(("url", "name"), MANUALS.items())
def test_a_manual_is_named_after_the_first_label_of_its_host_that_says_something(url: str, name: str) -> None:
    assert drafted("> a", url=url).document["name"] == name


PRIVATE, PLAINTEXT = {"allow": ["private"]}, {"plaintext": True}
NETWORKS: dict[str, dict[str, Any] | None] = {
    "wss://example.com/": None, "ws://example.com/": PLAINTEXT, "ws://localhost/": None, "ws://127.1.2.3/": None,
    "wss://[::1]/": None, "wss://10.1.2.3/": PRIVATE, "wss://192.168.1.2/": PRIVATE, "wss://192.169.1.2/": None,
    "wss://172.15.0.1/": None, "wss://172.16.0.1/": PRIVATE, "wss://172.19.0.1/": PRIVATE, "wss://172.20.0.1/": PRIVATE,
    "wss://172.29.0.1/": PRIVATE, "wss://172.30.0.1/": PRIVATE, "wss://172.31.0.1/": PRIVATE, "wss://172.32.0.1/": None,
    "wss://100.64.0.1/": PRIVATE, "wss://110.1.2.3/": None, "wss://[2606:4700::1]/": None,
    "wss://fc.example.com/": None, "wss://10.example.com/": None,
    "wss://hub/": PRIVATE, "wss://hub.local/": PRIVATE, "wss://hub.lan/": PRIVATE, "wss://hub.home/": PRIVATE,
    "wss://hub.internal/": PRIVATE, "wss://hub.local.example/": None, "ws://hub.local/": PRIVATE | PLAINTEXT,
    "wss://[fc00::1]/": PRIVATE, "wss://[fd00::1]/": PRIVATE,
}  # fmt: skip


@pytest.mark.parametrize(("url", "network"), NETWORKS.items())
def test_a_draft_allows_only_what_its_address_needs(url: str, network: Any) -> None:
    assert network_fields(parse_url(url)) == ({} if network is None else {"network": network})


LOGIN = '> {"type": "auth", "token": "${KEY}"}'
GET, GOT = '> {"type": "get"}', '< {"type": "got", "n": 1}'
SENT = {"$comment": "A login.", "send": {"type": "auth", "token": "${KEY}"}}
STEPS: dict[str, tuple[tuple[str, ...], list[Any]]] = {
    "no greeting and no login": ((GET, GOT), []),
    "a greeting": (('< {"hi": 1}', GET, GOT), [
        {"$comment": "The endpoint sends the first message.", "expect": "message.hi is defined"},
    ]),
    "a greeting that is an event": (('< {"type": "tick"}', GET, GOT, '< {"type": "tick"}'), []),
    "a login without an answer": ((LOGIN, GET, GOT), [SENT]),
    "a login with an answer": ((LOGIN, '< {"type": "ready"}', GET, GOT), [SENT, {"expect": "message.type == 'ready'"}]),
    "an answer that looks like an event": (
        (LOGIN, '< {"type": "x", "a": "b"}', '< {"type": "x"}', GET, GOT), [SENT, {"expect": "message.a == 'b'"}],
    ),
    "an answer that looks like another": (
        (LOGIN, '< {"type": "x", "a": "b"}', GET, '< {"type": "x"}'), [SENT, {"expect": "message.a == 'b'"}],
    ),
    "an answer that looks like an acknowledgement": (
        (LOGIN, '< {"status": "ok", "a": "b"}', GET, '< {"status": "ok"}', '< {"n": 5}'), [SENT,
            {"expect": "message.a == 'b'"}],
    ),
    "an answer that looks the same as another": (
        (LOGIN, '< {"type": "x"}', GET, '< {"type": "x"}'), [SENT, {"expect": "message.type == 'x'"}],
    ),
    "two logins": (
        (LOGIN, '< {"type": "more"}', '> {"type": "pin", "pin": "${PIN}"}', '< {"type": "ready"}', GET, GOT),
        [
            SENT, {"expect": "message.type == 'more'"},
            {"$comment": "A login.", "send": {"type": "pin", "pin": "${PIN}"}}, {"expect": "message.type == 'ready'"},
        ],
    ),
    "an introduction": (
        ('> {"type": "hello"}', '< {"type": "ready"}', GET, GOT),
        [
            {"$comment": "The client introduces itself.", "send": {"type": "hello"}},
            {"expect": "message.type == 'ready'"},
        ],
    ),
    "a marked introduction": (('>Q {"type": "hello"}', '< {"type": "ready"}', GET, GOT), []),
    "a login that is a request": ((LOGIN.replace(">", ">Q"), '< {"type": "ready"}', GET, GOT), []),
    "an introduction without IDs beside requests with IDs": (
        ('> {"type": "hello"}', '< {"type": "ready"}', '> {"id": 1, "type": "get"}', '< {"id": 1, "n": 1}'),
        [
            {"$comment": "The client introduces itself.", "send": {"type": "hello"}},
            {"expect": "message.type == 'ready'"},
        ],
    ),
    "an introduction whose reply has no ID": (
        ('> {"id": 1, "type": "hello"}', '< {"type": "ready"}', '> {"id": 2, "type": "get"}', '< {"id": 2, "n": 1}'),
        [
            {"$comment": "The client introduces itself.", "send": {"id": 1, "type": "hello"}},
            {"expect": "message.type == 'ready'"},
        ],
    ),
    "an introduction with an ID, and errors": (
        (
            '> {"id": 1, "type": "hello"}', '< {"id": 1}', '> {"id": 2, "type": "get"}', '< {"id": 2, "ok": true}',
            '> {"id": 3, "type": "get"}', '< {"id": 3, "ok": false}',
        ),
        [
            {
                "$comment": "The client introduces itself.", "send": {"id": "{{ request_id }}", "type": "hello"},
                "request_id": True,
            },
            {"expect": "message.id == request_id", "fail": "message.ok == false"},
        ],
    ),
    "an introduction with an ID that nothing answers": (
        ('> {"id": 1, "type": "hello"}', '> {"id": 2, "type": "get"}', '< {"id": 2, "n": 1}'),
        [{
            "$comment": "The client introduces itself.", "send": {"id": "{{ request_id }}", "type": "hello"},
            "request_id": True,
        }],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "steps"), STEPS.values(), ids=STEPS)
def test_what_opens_a_session_is_done_when_it_connects(lines: tuple[str, ...], steps: list[Any]) -> None:
    document = drafted(*lines, variables=("KEY", "PIN")).document
    assert document.get("on_connect", []) == steps
    first = [lines[0].partition('"type": "')[2].partition('"')[0]] if lines[0].startswith(">Q") else []
    assert [tool["name"] for tool in document["tools"]] == [*first, "get"]


def test_only_the_login_of_a_conversation_gives_steps_and_no_tool() -> None:
    document = drafted(LOGIN, '< {"type": "ready"}', variables=("KEY",)).document
    assert document["on_connect"] == [SENT, {"expect": "message.type == 'ready'"}]
    assert "tools" not in document
    assert "reply" not in document
    assert "response_format" not in document


def test_requests_that_are_ignored_and_others_of_their_kind_become_no_tool() -> None:
    lines = ('>I {"op": "debug"}', "< a", '> {"op": "debug", "n": 2}', "< b", '> {"op": "get"}', "< c")
    assert [tool["name"] for tool in drafted(*lines).document["tools"]] == ["get"]
    rpc = '{"jsonrpc": "2.0", "id": %d, "method": "%s"}'
    calls = (f">I {rpc % (1, 'debug')}", f"> {rpc % (2, 'debug')}", f"> {rpc % (3, 'get')}", f"< {rpc % (3, 'x')}")
    assert [tool["name"] for tool in drafted(*calls).document["tools"]] == ["get"]


def test_what_a_preset_sends_itself_is_no_request() -> None:
    lines = (
        '< {"type": "auth_required"}', '> {"type": "auth", "access_token": "${HOMEASSISTANT_TOKEN}"}',
        '< {"type": "auth_ok"}', '> {"id": 1, "type": "get"}', '< {"id": 1, "type": "result"}', '< {"type": "x"}',
    )  # fmt: skip
    understood = understand({"url": URL}, conversation(*lines), ("HOMEASSISTANT_TOKEN",))
    assert understood.form is not None
    assert [each.request.value["type"] for each in understood.exchanges.exchanges] == ["get"]
    assert understood.conversation == understood.exchanges
    assert list(understood.logins) == []
    assert understood.conversation.greeting is None


def test_a_conversation_without_a_preset_has_its_logins_apart() -> None:
    understood = understand({"url": URL}, conversation(LOGIN, '< {"type": "ready"}', GET, GOT), ("KEY",))
    assert understood.form is None
    assert [len(each) for each in understood.messages] == [1, 1, 1, 1]
    assert [each.request.value["type"] for each in understood.conversation.exchanges] == ["auth", "get"]
    assert [each.request.value["type"] for each in understood.logins] == ["auth"]
    assert [each.request.value["type"] for each in understood.exchanges.exchanges] == ["get"]


def test_the_url_of_socketio_says_its_preset() -> None:
    url = "wss://a.example/socket.io/?EIO=4&transport=websocket"
    document = drafted('> 421["add",{"a":1}]', "< 431[1]", url=url).document
    assert document["preset"] == "socketio4"
    assert (document["url"], document["query"]) == (
        "wss://a.example/socket.io/", {"EIO": "4", "transport": "websocket"}
    )  # fmt: skip
