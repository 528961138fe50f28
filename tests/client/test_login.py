"""What happens before the first request, and what a connection does by itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from tests.client.test_oauth import token_endpoint
from tests.client.test_websocket import server_context
from tests.client.turns import Turns
from tests.peer import PATIENCE, Peer, bridge_to, echo, entry, jsonrpc, peer, silent
from utcp_ws_mcp import Bridge, CallTimeout, InvalidArguments, ToolError, load_manifest
from utcp_ws_mcp.errors import ConnectError, ConnectionLost, InvalidManifest, InvalidTemplate, Outcome
from utcp_ws_mcp.observability.events import Event, HttpRequestFinished, MessageReceived, MessageSendFailed, MessageSent
from utcp_ws_mcp.observability.redaction import Redactor

RPC = {"preset": "jsonrpc2"}
PASSWORD = "supersecret"


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


OBS = {
    "on_connect": [
        {"expect": "message.op == 0", "capture": {"hello": "message.d"}},
        {
            "when": "session.hello.authentication is defined",
            "send": {
                "op": 1,
                "d": {
                    "rpcVersion": 1,
                    "authentication": "{{ ((vars.OBS_PASSWORD ~ session.hello.authentication.salt) | sha256 | base64"
                    " ~ session.hello.authentication.challenge) | sha256 | base64 }}",
                },
            },
        },
        {"when": "session.hello.authentication is not defined", "send": {"op": 1, "d": {"rpcVersion": 1}}},
        {"expect": "message.op == 2", "fail": "message.op == 8", "timeout": 5},
    ],
    "message": {"op": 6, "d": {"requestId": "{{ request_id }}", "requestType": "{{ tool }}"}},
    "reply": {"match": "message.d.requestId == request_id", "result": "message.d.responseData"},
}


def obs(authentication: dict[str, str] | None) -> tuple[Any, Any]:
    """A peer that greets and wants to be identified as OBS does."""

    async def greet(connection: Any) -> None:
        hello = {"op": 0, "d": {"authentication": authentication} if authentication else {}}
        await connection.send(json.dumps(hello))

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message["op"] == 1:
            right = authentication and digest(digest(PASSWORD + authentication["salt"]) + authentication["challenge"])
            accepted = message["d"].get("authentication") == right
            await connection.send(json.dumps({"op": 2 if accepted else 8}))
        else:
            await connection.send(json.dumps({"op": 5, "d": {"event": "noise"}}))
            reply = {"requestId": message["d"]["requestId"], "responseData": {"type": message["d"]["requestType"]}}
            await connection.send(json.dumps({"op": 7, "d": reply}))

    return greet, answer


@pytest.mark.parametrize("authentication", [None, {"salt": "s", "challenge": "c"}], ids=["open", "password"])
async def test_a_login_goes_as_the_greeting_asks(tmp_path: Path, authentication: dict[str, str] | None) -> None:
    greet, answer = obs(authentication)
    async with peer(answer, greet=greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **OBS), environ={"OBS_PASSWORD": PASSWORD}) as bridge:
            assert await bridge.call_tool("m.t") == {"type": "t"}


SAYINGS = {
    "a text": ("message.why", "wrong number"),
    "put together": ("'code ' ~ message.code", "code 7"),
    "an object": ("message", '{"refused":true,"why":"wrong number","code":7}'),
    "what is not there": ("message.reason", '{"refused": true, "why": "wrong number", "code": 7}'),
    "what cannot be computed": ("message.why + 1", '{"refused": true, "why": "wrong number", "code": 7}'),
}


@pytest.mark.parametrize(("source", "sentence"), SAYINGS.values(), ids=SAYINGS)
async def test_a_manifest_chooses_what_is_said_of_a_refused_login(tmp_path: Path, source: str, sentence: str) -> None:
    async def refuse(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"refused": True, "why": "wrong number", "code": 7}))

    wait = {"expect": "message.ready", "fail": "message.refused", "fail_message": source}
    async with (
        peer(refuse) as seen,
        bridge_to(tmp_path, entry(seen, "t", on_connect=[{"send": "hello"}, wait])) as bridge,
    ):
        with pytest.raises(
            ConnectError, match=f"the server rejected the login; the endpoint said: “{re.escape(sentence)}”[.] "
        ):
            await bridge.call_tool("m.t")


async def test_a_refused_login_that_repeats_a_credential_is_shown_without_it(tmp_path: Path) -> None:
    async def refuse(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"refused": f"no user has {message['key']}"}))

    login = [{"send": {"key": "${TOKEN}"}}, {"expect": "message.ready", "fail": "message.refused"}]
    async with (
        peer(refuse) as seen,
        bridge_to(tmp_path, entry(seen, "t", on_connect=login), environ={"TOKEN": "kitchen-lamp-7"}) as bridge,
    ):
        with pytest.raises(ConnectError, match=r"no user has \*\*\*"):
            await bridge.call_tool("m.t")


async def test_a_refused_login_shows_what_the_server_said_and_no_secret(tmp_path: Path) -> None:
    greet, answer = obs({"salt": "s", "challenge": "c"})
    async with peer(answer, greet=greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **OBS), environ={"OBS_PASSWORD": "wrong-one"}) as bridge:
            with pytest.raises(
                ConnectError, match=r'on_connect\[3\]: the server rejected the login; the endpoint said: “\{"op": 8\}”'
            ):
                await bridge.call_tool("m.t")


async def test_the_login_runs_again_on_every_new_connection_before_a_request(tmp_path: Path) -> None:
    greet, answer = obs(None)
    async with (
        peer(answer, greet=greet) as seen,
        bridge_to(tmp_path, entry(seen, "t", **OBS), environ={"OBS_PASSWORD": "x"}) as bridge,
    ):
        for _ in range(3):
            await bridge.call_tool("m.t")
            seen.open[0].transport.abort()
            await seen.until(lambda: not seen.open)
    assert [message["op"] for message in seen.received] == [1, 6] * 3


async def test_a_step_that_waits_in_vain_names_itself_and_its_timeout(tmp_path: Path) -> None:
    document = {**RPC, "on_connect": [{"expect": "message.hello", "timeout": 0.1}]}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(ConnectError, match=r"on_connect\[0\]: no message matched message\.hello within 0\.1 s"):
            await bridge.call_tool("m.t")


async def test_a_close_during_the_login_is_reported_with_its_code_and_reason(tmp_path: Path) -> None:
    async def forbid(seen: Peer, connection: Any, message: Any) -> None:
        await connection.close(4403, "Forbidden")

    document = {**RPC, "on_connect": [{"send": {"type": "connection_init"}}, {"expect": "message.type == 'ack'"}]}
    async with peer(forbid) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(
            ConnectError, match=r"on_connect\[1\]: closed by the server with code 4403; the endpoint said: “Forbidden"
        ):
            await bridge.call_tool("m.t")


@pytest.mark.parametrize(
    ("code", "may_refuse"),
    [
        (1000, True),
        (1008, True),
        (3000, True),
        (4999, True),
        (1001, False),
        (1007, False),
        (1009, False),
        (1011, False),
    ],
)
async def test_some_close_codes_during_the_login_may_mean_a_refusal(
    tmp_path: Path, code: int, may_refuse: bool
) -> None:
    async def close(seen: Peer, connection: Any, message: Any) -> None:
        await connection.close(code)

    document = {**RPC, "on_connect": [{"send": {"type": "connection_init"}}, {"expect": "message.type == 'ack'"}]}
    async with peer(close) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(ConnectError, match=f"closed by the server with code {code}") as failed:
            await bridge.call_tool("m.t")
    assert ("A server may reject a login this way." in str(failed.value)) is may_refuse


async def test_a_connection_that_is_cut_during_the_login_may_be_a_refusal(tmp_path: Path) -> None:
    async def cut(seen: Peer, connection: Any, message: Any) -> None:
        connection.transport.abort()

    document = {**RPC, "on_connect": [{"send": {"type": "connection_init"}}, {"expect": "message.type == 'ack'"}]}
    async with peer(cut) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(
            ConnectError,
            match=r"on_connect\[1\]: the network connection was cut[.] .* Check the credentials .* sends[.] ",
        ):
            await bridge.call_tool("m.t")


async def test_what_a_server_says_before_it_closes_during_the_login_is_reported(tmp_path: Path) -> None:
    async def forbid(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send('{"type": "connection_error", "why": "Forbidden"}')
        await connection.close()

    document = {**RPC, "on_connect": [{"send": {"type": "connection_init"}}, {"expect": "message.type == 'ack'"}]}
    said = r'with code 1000\. Before that, the endpoint said: “\{"type": "connection_error", "why": "Forbidden"\}”'
    async with peer(forbid) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(ConnectError, match=said):
            await bridge.call_tool("m.t")


async def test_a_last_message_that_repeats_a_variable_is_not_shown(tmp_path: Path) -> None:
    async def repeat(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"wrong": message}))
        await connection.close(4403, "Forbidden")

    document = {**RPC, "on_connect": [{"send": {"key": "${KEY}"}}, {"expect": "message.type == 'ack'"}]}
    async with (
        peer(repeat) as seen,
        bridge_to(tmp_path, entry(seen, "t", **document), environ={"KEY": PASSWORD}) as bridge,
    ):
        with pytest.raises(
            ConnectError,
            match="closed by the server with code 4403; the endpoint said: “Forbidden”[.] A server .* .login-closed",
        ):
            await bridge.call_tool("m.t")


async def test_what_came_last_is_reported_for_a_step_that_waits_in_vain(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send('{"helo": 1}')

    document = {**RPC, "on_connect": [{"expect": "message.hello", "timeout": 0.1}]}
    async with peer(jsonrpc, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(
            ConnectError, match=r'within 0\.1 s. The last message did not match; the endpoint said: “\{"helo": 1\}”'
        ):
            await bridge.call_tool("m.t")


async def test_a_login_step_keeps_values_before_it_sends_them(tmp_path: Path) -> None:
    steps = [{"send": {"id": 0, "params": {}, "client": "{{ session.me }}"}, "capture": {"me": "uuid()"}}]
    document = {**RPC, "on_connect": steps, "message": {"id": "{{ request_id }}", "params": "{{ session.me }}"}}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        me = await bridge.call_tool("m.t")
    assert [message.get("client") for message in seen.received] == [me, None]


async def test_a_login_step_may_wait_for_the_reply_with_its_own_id(tmp_path: Path) -> None:
    steps = [
        {"send": {"id": "{{ request_id }}", "params": {"key": "k"}}, "request_id": True},
        {"expect": "message.id == request_id", "capture": {"user": "message.result.key"}},
    ]
    document = {**RPC, "on_connect": steps, "message": {"id": "{{ request_id }}", "params": "{{ session.user }}"}}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        assert await bridge.call_tool("m.t") == "k"
    assert [message["id"] for message in seen.received] == [1, 2]


async def test_a_login_that_uses_an_argument_separates_connections_by_it(tmp_path: Path) -> None:
    join = [{"send": {"join": "{{ args.room }}"}}, {"expect": "message.joined == args.room"}]

    async def rooms(seen: Peer, connection: Any, message: Any) -> None:
        if "join" in message:
            await connection.send(json.dumps({"joined": message["join"]}))
        else:
            await jsonrpc(seen, connection, message)

    async with peer(rooms) as seen, bridge_to(tmp_path, entry(seen, "t", on_connect=join, **RPC)) as bridge:
        for room in ("a", "b", "a", "b"):
            assert await bridge.call_tool("m.t", {"room": room}) == {"room": room}
    assert len(seen.upgrades) == 2


async def test_values_of_any_message_are_kept_for_later_ones(tmp_path: Path) -> None:
    async def count(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"s": len(seen.received)}))
        await jsonrpc(seen, connection, message)

    document = {
        **RPC,
        "capture": [{"match": "message.s is defined", "set": {"seq": "message.s"}}],
        "message": {"id": "{{ request_id }}", "params": {"last": "{{ session.seq | default(0) }}"}},
    }
    async with peer(count) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        assert [await bridge.call_tool("m.t") for _ in range(3)] == [{"last": 0}, {"last": 1}, {"last": 2}]


async def test_a_server_that_asks_is_answered_also_while_nothing_is_called(tmp_path: Path) -> None:
    async def ask(connection: Any) -> None:
        await connection.send(json.dumps({"type": "ping", "n": 7}))

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "id" in message:
            await jsonrpc(seen, connection, message)
            await ask(connection)

    replies = [{"match": "message.type == 'ping'", "send": {"type": "pong", "n": "{{ message.n }}"}}]
    async with (
        peer(answer, greet=ask) as seen,
        bridge_to(tmp_path, entry(seen, "t", auto_reply=replies, **RPC)) as bridge,
    ):
        await bridge.call_tool("m.t")
        await seen.until(lambda: len(seen.received) == 3)
    assert [message for message in seen.received if "id" not in message] == [{"type": "pong", "n": 7}] * 2


async def test_what_a_connection_sends_by_itself_can_have_ids_of_its_own(tmp_path: Path) -> None:
    numbered = {"n": "{{ next_id() }}", "count": "{{ counter() }}"}

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("do") == "t":
            await connection.send(json.dumps({"ask": True}))
            await connection.send(json.dumps({"re": message["n"]}))

    document = {
        "request_id": "counter",
        "on_connect": [{"send": {"do": "hello", **numbered}}],
        "auto_reply": [{"match": "message.ask", "send": {"do": "answer", **numbered}}],
        "message": {"do": "t", "n": "{{ request_id }}"},
        "reply": {"match": "message.re == request_id"},
        "on_disconnect": [{"send": {"do": "bye", **numbered}}],
    }
    async with peer(answer) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
            await bridge.call_tool("m.t")
            await bridge.call_tool("m.t")
        await seen.until(lambda: len(seen.received) == 6)
    assert [(message["do"], message["n"], message.get("count")) for message in seen.received] == [
        ("hello", 1, 1), ("t", 2, None), ("answer", 3, 2), ("t", 4, None), ("answer", 5, 3), ("bye", 7, 4),
    ]  # fmt: skip


async def test_a_tool_answers_a_question_in_the_middle_of_its_own_call(tmp_path: Path) -> None:
    waiting: dict[str, Any] = {}

    async def ask_back(seen: Peer, connection: Any, message: Any) -> None:
        if "answer" in message:
            request = waiting.pop(message["for"])
            await connection.send(json.dumps({"id": request["id"], "result": message["answer"]}))
        else:
            waiting[message["id"]] = message
            await connection.send(json.dumps({"ask": "name?", "for": message["id"]}))

    own = {
        "auto_reply": [
            {
                "match": "message.ask and message.for == request_id",
                "send": {"answer": "{{ args.name }}", "for": "{{ request_id }}"},
            }
        ]
    }
    tool = {"name": "t", "tool_call_template": own}
    results: list[Any] = []
    async with peer(ask_back) as seen, bridge_to(tmp_path, entry(seen, tool, **RPC)) as bridge:

        async def call(name: str) -> None:
            results.append((name, await bridge.call_tool("m.t", {"name": name})))

        async with anyio.create_task_group() as calls:
            for name in ("ada", "bob", "cy"):
                calls.start_soon(call, name)
    assert sorted(results) == [("ada", "ada"), ("bob", "bob"), ("cy", "cy")]


def expiring(lifetime: int) -> Any:
    """A server whose session knows the caller for so many requests after each login."""
    left: dict[Any, int] = {}

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("login"):
            left[connection] = lifetime
            await connection.send(json.dumps({"welcome": True}))
        elif left[connection] > 0:
            left[connection] -= 1
            await connection.send(json.dumps({"id": message["id"], "result": message["params"]}))
        else:
            await connection.send(json.dumps({"id": message["id"], "error": {"code": 401, "message": "expired"}}))

    return answer


LOGIN = [{"send": {"login": True}}, {"expect": "message.welcome"}]


async def test_after_a_message_that_retires_the_connection_the_next_call_logs_in_again(tmp_path: Path) -> None:
    template = {**RPC, "on_connect": LOGIN, "reconnect_when": "message.error.code == 401"}
    async with peer(expiring(2)) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        for number in range(2):
            assert await bridge.call_tool("m.t", {"n": number}) == {"n": number}
        with pytest.raises(ToolError, match="expired"):
            await bridge.call_tool("m.t", {"n": 2})
        assert await bridge.call_tool("m.t", {"n": 3}) == {"n": 3}
        await seen.until(lambda: len(seen.open) == 1)
    assert len(seen.upgrades) == 2


async def test_a_session_that_ends_before_it_was_used_is_not_opened_again_and_again(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"welcome": True}))
        await connection.send(json.dumps({"error": {"code": 401}}))

    template = {**RPC, "on_connect": LOGIN, "reconnect_when": "message.error.code == 401", "timeout": 1}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with pytest.raises(CallTimeout, match='"reconnect_when" holds') as late:
            await bridge.call_tool("m.t")
        assert len(seen.upgrades) < 20
    assert late.value.outcome is Outcome.NOT_SENT


async def test_a_call_that_waits_is_served_when_the_connection_is_retired(tmp_path: Path) -> None:
    stuck = anyio.Event()

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "stick":
            stuck.set()
        else:
            await jsonrpc(seen, connection, message)

    limits = {"max_in_flight": 1, "max_connections": 2}
    template = {**RPC, "reconnect_when": "message.method == 'reconnect'", "limits": limits}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", "stick", **template)) as bridge:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                calls.start_soon(bridge.call_tool, "m.stick")
                await stuck.wait()
                calls.start_soon(bridge.call_tool, "m.t")
                await anyio.wait_all_tasks_blocked()
                await seen.open[0].send(json.dumps({"method": "reconnect"}))
                await seen.until(lambda: len(seen.received) == 2)
                calls.cancel_scope.cancel()


async def test_an_unused_connection_that_the_endpoint_drains_is_closed(tmp_path: Path) -> None:
    template = {**RPC, "reconnect_when": "message.method == 'reconnect'"}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        await bridge.call_tool("m.t")
        await seen.open[0].send(json.dumps({"method": "reconnect"}))
        await seen.until(lambda: not seen.open)


async def test_what_retires_a_connection_may_come_with_the_end_of_its_login(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "login" in message:
            ended = [{"method": "reconnect"}] if len(seen.upgrades) == 1 else []
            await connection.send(json.dumps([{"welcome": True}, *ended]))
        else:
            await jsonrpc(seen, connection, message)

    retire = {"reconnect_when": "message.method == 'reconnect'", "framing": {"batch": True}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC, **retire, on_connect=LOGIN)) as bridge:
        await bridge.call_tool("m.t")
    assert len(seen.upgrades) == 2


LOGOUT = [{"send": {"logout": "{{ session.user }}", "id": "{{ request_id }}"}, "when": "session.user is defined"}]


@pytest.mark.parametrize("template", [{}, {"keep_alive": False}, {"reconnect_when": "message.result is defined"}])
@pytest.mark.parametrize("user", ["ada", None])
async def test_before_a_connection_is_closed_it_sends_the_disconnect_message(
    tmp_path: Path, template: dict[str, Any], user: str | None
) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"welcome": True, **({"user": user} if user else {})}))

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "method" in message:
            await jsonrpc(seen, connection, message)

    login = [{"expect": "message.welcome", "capture": {"user": "message.user"}}]
    conduct = {**RPC, "request_id": "counter", "on_connect": login, "on_disconnect": LOGOUT, **template}
    async with peer(answer, greet=greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **conduct)) as bridge:
            for _ in range(2):
                await bridge.call_tool("m.t")
        await seen.until(lambda: not seen.open)
    logouts = [message for message in seen.received if "logout" in message]
    assert logouts == ([{"logout": "ada", "id": 2 if template else 3}] * len(seen.upgrades) if user else [])
    assert {code for code, _ in seen.closed} <= {1000, 1001}


async def test_a_login_that_fails_sends_the_disconnect_message(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"seat": 7}))
        await connection.send(json.dumps({"denied": True}))

    login = [
        {"expect": "message.seat", "capture": {"seat": "message.seat"}},
        {"expect": "false", "fail": "message.denied"},
    ]
    conduct = {**RPC, "on_connect": login, "on_disconnect": [{"send": {"leave": "{{ session.seat }}"}}]}
    async with peer(silent, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t", **conduct)) as bridge:
        with pytest.raises(ConnectError, match="rejected the login"):
            await bridge.call_tool("m.t")
        await seen.until(lambda: not seen.open)
    assert seen.received == [{"leave": 7}]


async def test_a_disconnect_message_that_cannot_be_encoded_is_reported_and_the_connection_closed(
    tmp_path: Path,
) -> None:
    happened: list[Event] = []
    conduct = {**RPC, "on_disconnect": [{"send": "{{ session.nothing }}"}]}
    async with peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **conduct), events=happened) as bridge:
            await bridge.call_tool("m.t")
        await seen.until(lambda: not seen.open)
    (unsent,) = [event for event in happened if isinstance(event, MessageSendFailed)]
    assert (unsent.purpose, unsent.reason) == ("on_disconnect[0]", "{{ session.nothing }} has no value.")
    assert seen.closed == [(1001, "utcp-ws-mcp is shutting down")]


async def test_a_connection_that_is_lost_sends_no_disconnect_message(tmp_path: Path) -> None:
    happened: list[Event] = []
    conduct = {**RPC, "on_disconnect": [{"send": "bye"}]}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **conduct), events=happened) as bridge:
        await bridge.call_tool("m.t")
        await seen.open[0].close()
        await bridge.call_tool("m.t")
    assert [event.purpose for event in happened if isinstance(event, MessageSent)] == ["", "", "on_disconnect[0]"]


async def test_calls_on_a_retired_connection_are_answered_there(tmp_path: Path) -> None:
    first: list[tuple[Any, Any]] = []

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if not first:
            first.append((connection, message))
            await connection.send(json.dumps({"type": "reconnect"}))
            return
        old, asked = first[0]
        await connection.send(json.dumps({"id": message["id"], "result": "new"}))
        await old.send(json.dumps({"id": asked["id"], "result": "old"}))

    results: list[Any] = []
    observed: list[Event] = []
    template = {**RPC, "reconnect_when": "message.type == 'reconnect'"}
    async with (
        peer(answer) as seen,
        bridge_to(tmp_path, entry(seen, "t", **template), observe=observed.append) as bridge,
    ):

        async def call() -> None:
            results.append(await bridge.call_tool("m.t"))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                calls.start_soon(call)
                while not any(isinstance(event, MessageReceived) for event in observed):
                    await anyio.lowlevel.checkpoint()
                calls.start_soon(call)
        await seen.until(lambda: len(seen.open) == 1)
    assert sorted(results) == ["new", "old"]
    assert len(seen.upgrades) == 2


@pytest.mark.parametrize("every", [0.05, "session.interval / 1000"])
async def test_heartbeats_are_sent_and_their_answers_reach_no_call(tmp_path: Path, every: Any) -> None:
    async def beat(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("type") == "beat":
            await connection.send(json.dumps({"type": "beaten"}))
        else:
            await connection.send(json.dumps({"hello": 50}))

    document = {
        "on_connect": [
            {"send": {"type": "start"}},
            {"expect": "message.hello", "capture": {"interval": "message.hello"}},
        ],
        "heartbeat": {"every": every, "send": {"type": "beat"}, "expect": "message.type == 'beaten'", "timeout": 5},
        "message": {"type": "go"},
        "reply": {"match": "message.done"},
        "timeout": 1,
    }
    roles: list[Event] = []
    async with peer(beat) as seen, bridge_to(tmp_path, entry(seen, "t", **document), events=roles) as bridge:
        with pytest.raises(CallTimeout):
            await bridge.call_tool("m.t")
    assert sum(message == {"type": "beat"} for message in seen.received) >= 3
    assert sum(isinstance(event, MessageReceived) and event.role == "heartbeat" for event in roles) >= 3


async def test_the_answer_to_a_heartbeat_is_recognized_by_its_id(tmp_path: Path) -> None:
    beats: list[Any] = []

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        beats.append(message["id"])
        await connection.send(json.dumps({"event": "news"}))
        if len(beats) < 3:
            await connection.send(json.dumps({"id": message["id"]}))

    heartbeat = {"send": {"id": "{{ request_id }}"}, "expect": "message.id == request_id"}
    document = {
        "heartbeat": {"every": 0.05, "timeout": 5, **heartbeat},
        "listen": True,
        "stream": {"match": "message.event", "item": "message.event", "max_items": 3},
    }
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with anyio.fail_after(PATIENCE):
            streamed = await bridge.call_tool("m.t")
    assert streamed.items == ("news",) * 3
    assert len(set(beats)) == 3


async def test_before_the_first_heartbeat_a_message_without_an_id_is_no_answer_to_it(tmp_path: Path) -> None:
    document = {"heartbeat": {"every": 60, "send": {"id": "{{ request_id }}"}, "expect": "message.id == request_id"}}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "t", message="hi", **document)) as bridge:
        with anyio.fail_after(PATIENCE):
            assert await bridge.call_tool("m.t") == "hi"


async def test_a_heartbeat_without_answer_ends_the_connection(tmp_path: Path) -> None:
    async def ignore_beats(seen: Peer, connection: Any, message: Any) -> None:
        return

    document = {"heartbeat": {"every": 0.05, "send": "beat", "expect": "message == 'beaten'", "timeout": 0.1}}
    async with peer(ignore_beats) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with anyio.fail_after(PATIENCE), pytest.raises(ConnectionError, match="stopped answering"):
            await bridge.call_tool("m.t")


async def test_what_an_http_request_brings_goes_into_the_url_and_the_headers(tmp_path: Path) -> None:
    async with (
        token_endpoint(lambda number: (200, {"ticket": f"t{number}", "node": "n1"})) as http,
        peer(jsonrpc) as seen,
    ):
        before = {"http": {"method": "POST", "url": http.url, "form": {"user": "{{ vars.USER }}"}}}
        before |= {"capture": {"ticket": "body.ticket", "node": "body.node"}}
        document = entry(seen, "t", before_connect=[before], headers={"X-Node": "{{ session.node }}"}, **RPC)
        document["url"] += "ws/{{ session.ticket }}"
        events: list[Event] = []
        async with bridge_to(tmp_path, document, environ={"USER": "me"}, events=events) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
            assert await bridge.call_tool("m.t", {"n": 2}) == {"n": 2}
    assert [event for event in events if isinstance(event, HttpRequestFinished)] == [
        HttpRequestFinished("m", "POST", http.url, 200)
    ]
    assert [upgrade.path for upgrade in seen.upgrades] == ["/ws/t1"]
    assert seen.upgrades[0].headers["X-Node"] == "n1"
    assert http.requests[0][1] == {"user": ["me"]}


async def test_cookies_and_headers_of_an_http_answer_go_into_the_next_request_and_the_upgrade(tmp_path: Path) -> None:
    lines = ('Set-Cookie: sid="a=b"; Path=/; HttpOnly', "Set-Cookie: csrf=c-17; Secure", "X-Node: n1")
    async with token_endpoint(lambda number: (302, "see there"), *lines) as http, peer(jsonrpc) as seen:
        first = {"http": {"url": http.url}, "fail": "status != 302", "capture": {"csrf": "cookies.csrf"}}
        second = {
            "http": {
                "method": "POST",
                "url": http.url,
                "headers": {"Cookie": "csrf={{ session.csrf }}"},
                "form": {"csrf": "{{ session.csrf }}"},
            },
            "fail": "cookies.sid is not defined or headers.location is not defined",
            "capture": {"sid": "cookies['sid']", "node": "headers['x-node']"},
        }
        own = {"Cookie": "sid={{ session.sid }}", "X-Node": "{{ session.node }}"}
        document = entry(seen, "t", before_connect=[first, second], headers=own, **RPC)
        async with bridge_to(tmp_path, document) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
    assert [headers.get("cookie") for headers, _ in http.requests] == [None, "csrf=c-17"]
    assert http.requests[1][1] == {"csrf": ["c-17"]}
    assert seen.upgrades[0].headers["Cookie"] == 'sid="a=b"'
    assert seen.upgrades[0].headers["X-Node"] == "n1"


@asynccontextmanager
async def ticket_office(authority: trustme.CA) -> AsyncIterator[Peer]:
    """A WebSocket endpoint over TLS that also hands out tickets over HTTP."""

    def hand_out(connection: Any, request: Any) -> Any:
        return connection.respond(200, '{"ticket": "t1"}') if request.path == "/ticket" else None

    context = server_context(authority, "localhost")
    async with peer(jsonrpc, scheme="wss", ssl=context, process_request=hand_out) as seen:
        yield seen


def ticket_at(seen: Peer) -> dict[str, Any]:
    return {"http": {"url": f"https://localhost:{seen.port}/ticket"}, "capture": {"ticket": "body.ticket"}}


@pytest.mark.parametrize("path", ["", "{{ session.ticket }}"], ids=["known URL", "URL from the answer"])
async def test_http_requests_to_the_endpoint_trust_the_authorities_that_it_is_trusted_by(
    tmp_path: Path, path: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with ticket_office(authority) as seen:
        document = entry(seen, "t", before_connect=[ticket_at(seen)], tls={"ca_file": "ca.pem"}, **RPC)
        document["url"] += path
        async with bridge_to(tmp_path, document) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}


async def test_http_requests_to_another_server_trust_the_usual_authorities_only(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with ticket_office(authority) as seen, ticket_office(authority) as other:
        document = entry(seen, "t", before_connect=[ticket_at(other)], tls={"insecure": True}, **RPC)
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(
                ConnectError, match=r"login failed at before_connect\[0\]: the TLS certificate is not valid"
            ):
                await bridge.call_tool("m.t")


@pytest.mark.parametrize(
    ("proof", "sent"),
    [
        ("[session.nonce, 'key'] | bytes | sha256", hashlib.sha256(b"\xffnonce" + b"key").digest()),
        ("(session.nonce ~ 'key') | sha256", "text cannot contain binary data"),
    ],
    ids=["joined", "written"],
)
async def test_a_nonce_of_bytes_is_signed_beside_a_text_and_never_as_a_text(
    tmp_path: Path, proof: str, sent: bytes | str
) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(b"\xffnonce")

    steps = [{"expect": "message", "capture": {"nonce": "message"}}, {"send": f"{{{{ {proof} }}}}"}]
    document = {"framing": {"codec": "binary"}, "on_connect": steps, "message": "hi"}
    async with peer(echo, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        if isinstance(sent, str):
            with pytest.raises(ConnectError, match=sent):
                await bridge.call_tool("m.t")
        else:
            await bridge.call_tool("m.t")
            assert seen.received[0] == sent


@pytest.mark.parametrize(
    ("status", "body", "step", "sentence"),
    [
        (
            403,
            "<html>no</html>",
            {},
            r"before_connect\[0\]: the server answered HTTP 403\. Check the .* sends\. \[before-connect-failed\]$",
        ),
        (
            302,
            "",
            {},
            r'HTTP 302, a redirect\. If a successful login .*, add "fail": "status >= 400" to the step\.',
        ),
        (
            200,
            {"key": "k"},
            {"fail": "body.key"},
            r'before_connect\[0\]: the server answered HTTP 200, and "fail" holds: body\.key\.',
        ),
        (
            403,
            {"why": "no such key"},
            {},
            r'the server answered HTTP 403; the endpoint said: “\{"why": "no such key"\}”\.',
        ),
        (200, {"ok": False}, {"fail": "not body.ok"}, r'HTTP 200, and "fail" holds: not body\.ok\.'),
        (
            200,
            {"ok": 0, "why": "late"},
            {"fail": "not body.ok", "fail_message": "body.why"},
            r"the server answered HTTP 200; the endpoint said: “late”\.",
        ),
        (
            200,
            {},
            {"capture": {"x": "body.ticket"}},
            r"body\.ticket, which capture stores as session\.x, finds nothing.*\[before-connect-value-missing\]",
        ),
    ],
)
async def test_an_http_request_that_fails_opens_no_connection(
    tmp_path: Path, status: int, body: Any, step: dict[str, Any], sentence: str
) -> None:
    async with token_endpoint(lambda number: (status, body)) as http, peer(jsonrpc) as seen:
        before = {"http": {"url": http.url}, **step}
        async with bridge_to(tmp_path, entry(seen, "t", before_connect=[before], **RPC)) as bridge:
            with pytest.raises(ConnectError, match=sentence):
                await bridge.call_tool("m.t")
        assert not seen.upgrades


async def test_a_form_that_utf_8_cannot_encode_is_refused(tmp_path: Path) -> None:
    before = {"http": {"url": "http://127.0.0.1:9/", "form": {"a": "{{ args.v }}"}}}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", before_connect=[before], **RPC)) as bridge:
        with pytest.raises(InvalidTemplate, match="UTF-8 cannot encode") as failed:
            await bridge.call_tool("m.t", {"v": "a\ud800"})
        assert failed.value.code == "login-value-missing"


async def test_a_step_whose_value_is_missing_names_itself_and_the_value(tmp_path: Path) -> None:
    document = {**RPC, "on_connect": [{"send": {"token": "{{ session.token }}"}}]}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(ConnectError) as failed:
            await bridge.call_tool("m.t")
    assert (failed.value.code, failed.value.step) == ("login-value-missing", "on_connect[0]")
    assert failed.value.reason == "{{ session.token }} has no value."


async def test_tickets_that_http_brings_are_announced_so_that_they_can_be_hidden_and_names_are_not(
    tmp_path: Path,
) -> None:
    answer = {
        "session": "s-12345678",
        "user": "ada-lovelace",
        "login": {"jwt": "e.y.J", "city": "London"},
        "cookies": {"sid": ["c-12345678"], "user": "ada-lovelace"},
    }
    kept = {
        "id": "body.session",
        "name": "body.user",
        "proof": "body.login.jwt",
        "all": "body.cookies",
        "who": "body.login",
    }
    redact = Redactor()
    async with token_endpoint(lambda number: (200, answer)) as http, peer(jsonrpc) as seen:
        before = {"http": {"url": http.url}, "capture": kept}
        (tmp_path / "m.json").write_text(json.dumps(entry(seen, "t", before_connect=[before], **RPC)))
        async with Bridge([load_manifest(tmp_path / "m.json", {})], redactor=redact) as bridge:
            await bridge.call_tool("m.t")
    assert redact("s-12345678 ada-lovelace c-12345678 London") == "*** ada-lovelace *** London"


async def test_an_http_request_never_goes_out_in_plain_text(tmp_path: Path) -> None:
    before = {"http": {"url": "http://example.com/{{ uuid() }}"}}
    async with peer(jsonrpc) as seen:
        with pytest.raises(InvalidManifest, match="plain text"):
            async with bridge_to(tmp_path, entry(seen, "t", before_connect=[before], **RPC)):
                pass


async def test_a_tool_that_nothing_answers_says_that_it_was_sent(tmp_path: Path) -> None:
    tool = {"name": "t", "tool_call_template": {"reply": "none"}}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, tool, "u", **RPC)) as bridge:
        assert await bridge.call_tool("m.t", {"n": 1}) == {"sent": True}
        await seen.until(lambda: len(seen.received) == 1)
    assert seen.received[0]["params"] == {"n": 1}


async def test_a_watch_sends_nothing_and_takes_what_comes(tmp_path: Path) -> None:
    async def tell(connection: Any) -> None:
        for number in range(3):
            await connection.send(f"line {number}")
        await connection.close(1011)

    stream = {"listen": True, "response_format": "text", "stream": {"until_close": True}}
    async with (
        peer(echo, greet=tell) as seen,
        bridge_to(tmp_path, entry(seen, "t", keep_alive=False, **stream)) as bridge,
    ):
        result = await bridge.call_tool("m.t")
    assert result.items == ("line 0", "line 1", "line 2")
    assert result.end == "closed"
    assert not seen.received


async def test_a_watch_whose_connection_is_lost_has_sent_nothing(tmp_path: Path) -> None:
    async def tell(connection: Any) -> None:
        await connection.send("one")
        await connection.close(1011)

    stream = {"listen": True, "response_format": "text", "stream": {"max_items": 5}}
    async with peer(echo, greet=tell) as seen, bridge_to(tmp_path, entry(seen, "t", **stream)) as bridge:
        with pytest.raises(ConnectionLost, match=r"was lost after 1 item: .*No request was sent[.]") as lost:
            await bridge.call_tool("m.t")
    assert lost.value.outcome is Outcome.NOT_SENT


async def test_two_watches_of_the_same_events_both_get_them(tmp_path: Path) -> None:
    watch = {"listen": True, "stream": {"match": "message.event is defined", "item": "message.event", "max_items": 2}}
    tools = [{"name": "watch", "tool_call_template": watch}, "go"]

    async def tell(seen: Peer, connection: Any, message: Any) -> None:
        for number in range(2):
            await connection.send(json.dumps({"event": number}))
        await jsonrpc(seen, connection, message)

    results: list[Any] = []
    async with peer(tell) as seen, bridge_to(tmp_path, entry(seen, *tools, **RPC)) as bridge:
        await bridge.call_tool("m.go")

        async def look() -> None:
            results.append((await bridge.call_tool("m.watch")).items)

        async with anyio.create_task_group() as watching:
            watching.start_soon(look)
            watching.start_soon(look)
            await anyio.wait_all_tasks_blocked()
            await bridge.call_tool("m.go")
    assert results == [(0, 1), (0, 1)]


async def test_a_stream_whose_id_only_the_reply_has_is_followed_and_ended(tmp_path: Path) -> None:
    async def subscribe(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] != "subscribe":
            return
        own = f"sub{len(seen.received)}"
        await connection.send(json.dumps({"method": "event", "params": {"subscription": own, "n": 0}}))
        await connection.send(json.dumps({"id": message["id"], "result": own}))
        await connection.send(json.dumps({"method": "event", "params": {"subscription": "other", "n": 9}}))
        for number in (1, 2):
            await connection.send(json.dumps({"method": "event", "params": {"subscription": own, "n": number}}))

    stream = {
        "match": "message.params.subscription == reply.result",
        "item": "message.params.n",
        "max_items": 3,
        "cancel": {"method": "unsubscribe", "params": ["{{ reply.result }}"]},
    }
    tool = {"name": "subscribe", "tool_call_template": {"stream": stream}}
    async with peer(subscribe) as seen, bridge_to(tmp_path, entry(seen, tool, **RPC)) as bridge:
        result = await bridge.call_tool("m.subscribe")
        await seen.until(lambda: len(seen.received) == 2)
    assert result.items == (0, 1, 2)
    assert seen.received[1] == {"method": "unsubscribe", "params": ["sub1"]}


@pytest.mark.parametrize("order", [("reply", "idle"), ("idle", "reply")])
async def test_a_call_that_two_messages_end_waits_for_both(tmp_path: Path, order: tuple[str, str]) -> None:
    async def execute(seen: Peer, connection: Any, message: Any) -> None:
        for kind in ("busy", "output", order[0], "output", order[1], "output"):
            await connection.send(json.dumps({"id": message["id"], "kind": kind, "text": kind}))

    stream = {"until": ["message.kind == 'reply'", "message.kind == 'idle'"], "item": "message.text"}
    document = {**RPC, "reply": {"ack": "message.kind == 'busy'"}, "stream": stream}
    async with peer(execute) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        assert (await bridge.call_tool("m.t")).items == ("output", "output")


@pytest.mark.parametrize(("arguments", "items"), [({}, 2), ({"count": 3}, 3)])
async def test_an_argument_may_bound_a_stream(tmp_path: Path, arguments: dict[str, Any], items: int) -> None:
    async def count(seen: Peer, connection: Any, message: Any) -> None:
        for number in range(10):
            await connection.send(json.dumps({"id": message["id"], "result": number}))

    stream = {"stream": {"max_items": "args.count | default(2)"}}
    async with peer(count) as seen, bridge_to(tmp_path, entry(seen, "t", **stream, **RPC)) as bridge:
        assert (await bridge.call_tool("m.t", arguments)).items == tuple(range(items))
        with pytest.raises(InvalidArguments, match="not a number above zero"):
            await bridge.call_tool("m.t", {"count": 0})


async def test_a_message_may_be_acknowledged_and_still_be_an_item(tmp_path: Path) -> None:
    async def deliver(seen: Peer, connection: Any, message: Any) -> None:
        if "ack" not in message:
            for number in (1, 2):
                await connection.send(json.dumps({"envelope": number}))

    document = {
        "auto_reply": [{"match": "message.envelope", "send": {"ack": "{{ message.envelope }}"}, "keep": True}],
        "message": {"watch": True},
        "stream": {"match": "message.envelope", "item": "message.envelope", "max_items": 2},
    }
    async with peer(deliver) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        assert (await bridge.call_tool("m.t")).items == (1, 2)
        await seen.until(lambda: len(seen.received) == 3)
    assert seen.received[1:] == [{"ack": 1}, {"ack": 2}]


async def test_requests_keep_to_the_rate_that_the_endpoint_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns(monkeypatch)
    limits = {"limits": {"requests_per_second": 50}}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **limits, **RPC)) as bridge:
        async with anyio.create_task_group() as calls:
            for _ in range(6):
                calls.start_soon(bridge.call_tool, "m.t")
    assert turns.starts == pytest.approx([number / 50 for number in range(6)])
    assert len(seen.received) == 6


async def test_requests_that_waited_for_the_connection_keep_to_the_rate_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # found by seed 228 of reliability.simulation_runs
    accepted = anyio.Event()
    turns = Turns(monkeypatch, accepted.is_set)

    async def slowly(connection: Any, request: Any) -> None:
        await anyio.wait_all_tasks_blocked()
        accepted.set()

    limits = {"limits": {"requests_per_second": 50}}
    async with (
        peer(jsonrpc, process_request=slowly) as seen,
        bridge_to(tmp_path, entry(seen, "t", **limits, **RPC)) as bridge,
    ):
        async with anyio.create_task_group() as calls:
            for _ in range(6):
                calls.start_soon(bridge.call_tool, "m.t")
    assert turns.all_ready
    assert turns.starts == pytest.approx([number / 50 for number in range(6)])


async def test_a_message_that_contains_the_time_twice_contains_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hurried:
        moments = count()

        @classmethod
        def now(cls, zone: tzinfo) -> datetime:
            return datetime.fromtimestamp(next(cls.moments), zone)

    async def ask(seen: Peer, connection: Any, message: Any) -> None:
        if message["what"] == "login":
            await connection.send(json.dumps({"ask": "who"}))
        if {"answer", "beat", "request"} <= {each["what"] for each in seen.received}:
            await connection.send(json.dumps({"done": True}))

    def twice(what: str) -> dict[str, str]:
        return {"what": what, "at": "{{ now_ms }}", "signed": "{{ now_ms }}"}

    monkeypatch.setattr("utcp_ws_mcp.bridge.datetime", Hurried)
    async with token_endpoint(lambda number: (200, {})) as http, peer(ask) as seen:
        document = {
            "before_connect": [{"http": {"method": "POST", "url": http.url, "form": twice("http")}}],
            "headers": {"X-At": "{{ now_ms }}", "X-Signed": "{{ now_ms }}"},
            "on_connect": [{"send": twice("login")}],
            "auto_reply": [{"match": "message.ask", "send": twice("answer")}],
            "heartbeat": {"every": 0.05, "send": twice("beat")},
            "message": twice("request"),
            "reply": {"match": "message.done"},
        }
        async with bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
            with anyio.fail_after(PATIENCE):
                await bridge.call_tool("m.t")
    assert {each["what"] for each in seen.received} == {"login", "answer", "beat", "request"}
    assert all(each["at"] == each["signed"] for each in [*seen.received, http.requests[0][1]])
    assert seen.upgrades[0].headers["X-At"] == seen.upgrades[0].headers["X-Signed"]
