"""Tools without `match`, at endpoints that send unsolicited messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, bridge_to, entry, peer
from utcp_ws_mcp import CallTimeout, ToolError
from utcp_ws_mcp.errors import ConnectError, Outcome, UnidentifiableReply
from utcp_ws_mcp.observability.events import Event, MessageReceived

TEMPLATE = {"response_format": "json", "timeout": 1}


class Arrivals:
    """An observer that lets a test wait until messages have arrived."""

    def __init__(self) -> None:
        self.roles: list[str] = []
        self._changed = anyio.Event()

    def __call__(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self.roles.append(event.role)
            self._changed.set()

    async def until(self, role: str) -> None:
        with anyio.fail_after(10):
            while role not in self.roles:
                self._changed = anyio.Event()
                await self._changed.wait()


async def answer_then_talk(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(json.dumps({"to": message["n"]}))
    await connection.send(json.dumps({"tick": message["n"]}))


async def test_after_an_unsolicited_message_the_first_message_is_no_reply(tmp_path: Path) -> None:
    arrivals = Arrivals()
    async with (
        peer(answer_then_talk) as seen,
        bridge_to(tmp_path, entry(seen, "t", **TEMPLATE), observe=arrivals) as bridge,
    ):
        assert await bridge.call_tool("m.t", {"n": 1}) == {"to": 1}
        await arrivals.until("dropped")
        for n in (2, 3):
            with pytest.raises(UnidentifiableReply, match=r'said: “\{"tick": 1\}”.*"reply": \{"match": …\}') as failed:
                await bridge.call_tool("m.t", {"n": n})
            assert failed.value.outcome is Outcome.NOT_SENT
    assert seen.received == [{"n": 1}]


@pytest.mark.parametrize(
    "fields",
    [
        {"reply": {"match": "message.to is defined"}},
        {"ignore": "message.tick is defined"},
        {"reply": {"match": "message.to == args.n"}},
    ],
)
async def test_a_tool_that_names_its_reply_or_the_other_messages_works(tmp_path: Path, fields: dict[str, Any]) -> None:
    async with peer(answer_then_talk) as seen, bridge_to(tmp_path, entry(seen, "t", **TEMPLATE, **fields)) as bridge:
        for n in range(4):
            assert await bridge.call_tool("m.t", {"n": n}) == {"to": n}


async def test_a_connection_that_has_ended_is_no_evidence_against_the_next_one(tmp_path: Path) -> None:
    async def answer_and_disconnect(seen: Peer, connection: Any, message: Any) -> None:
        await answer_then_talk(seen, connection, message)
        await connection.close()

    async with peer(answer_and_disconnect) as seen, bridge_to(tmp_path, entry(seen, "t", **TEMPLATE)) as bridge:
        for n in range(3):
            assert await bridge.call_tool("m.t", {"n": n}) == {"to": n}
            await seen.until(lambda n=n: len(seen.closed) == n + 1)  # type: ignore[misc]
            await anyio.wait_all_tasks_blocked()


async def test_a_greeting_is_no_evidence(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send('{"hello": 1}')
        await connection.send('{"motd": 2}')

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"to": message["n"]}))

    async with peer(answer, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t", **TEMPLATE)) as bridge:
        for n in range(3):
            assert await bridge.call_tool("m.t", {"n": n}) == {"to": n}


async def test_an_unsolicited_demand_for_a_login_is_explained(tmp_path: Path) -> None:
    async def answer_then_demand(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"to": message["n"]}))
        await connection.send(json.dumps({"error": "login required"}))

    arrivals = Arrivals()
    async with (
        peer(answer_then_demand) as seen,
        bridge_to(tmp_path, entry(seen, "t", **TEMPLATE), observe=arrivals) as bridge,
    ):
        await bridge.call_tool("m.t", {"n": 1})
        await arrivals.until("dropped")
        with pytest.raises(UnidentifiableReply, match=r'Write its messages in "on_connect".*No request was sent'):
            await bridge.call_tool("m.t", {"n": 2})


async def test_a_message_that_came_without_a_request_is_no_reply_when_it_comes_again(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send('{"type": "heartbeat"}')

    async def beat_then_answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send('{"type": "heartbeat"}')
        await connection.send(json.dumps({"to": message["n"]}))

    async with peer(beat_then_answer, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t", **TEMPLATE)) as bridge:
        outcomes = []
        for n in range(2):
            with pytest.raises(UnidentifiableReply, match="unsolicited messages") as failed:
                await bridge.call_tool("m.t", {"n": n})
            outcomes.append(failed.value.outcome)
    assert outcomes == [Outcome.MAYBE_EXECUTED, Outcome.NOT_SENT]


async def test_a_reply_that_comes_twice_is_none_either(tmp_path: Path) -> None:
    async def answer_twice(seen: Peer, connection: Any, message: Any) -> None:
        for _ in range(2):
            await connection.send(json.dumps({"to": message["n"]}))

    async with peer(answer_twice) as seen, bridge_to(tmp_path, entry(seen, "t", **TEMPLATE)) as bridge:
        for n in range(4):
            assert await bridge.call_tool("m.t", {"n": n}) == {"to": n}


async def test_an_automatic_reply_with_arguments_was_sent(tmp_path: Path) -> None:
    async def ask_for_data(connection: Any) -> None:
        await connection.send('{"msg": "send_data"}')

    async def silent(seen: Peer, connection: Any, message: Any) -> None:
        return

    tool = {
        "listen": True,
        "auto_reply": [{"match": "message.msg == 'send_data'", "send": {"data": "{{ args.x }}"}}],
        "reply": {"match": "message.msg == 'done'"},
        "timeout": 0.3,
    }
    tools = {"name": "run", "tool_call_template": tool}
    async with peer(silent, greet=ask_for_data) as seen, bridge_to(tmp_path, entry(seen, tools)) as bridge:
        with pytest.raises(CallTimeout, match="may have been executed") as failed:
            await bridge.call_tool("m.run", {"x": 1})
        assert seen.received == [{"data": 1}]
    assert failed.value.outcome is Outcome.MAYBE_EXECUTED


@pytest.mark.parametrize(("greets", "x", "outcome"), [(False, 1, Outcome.NOT_SENT), (True, 1, Outcome.MAYBE_EXECUTED)])
async def test_a_call_that_listens_says_whether_its_arguments_were_sent(
    tmp_path: Path, greets: bool, x: int, outcome: Outcome
) -> None:
    async def silent(seen: Peer, connection: Any, message: Any) -> None:
        return

    login = [{"send": {"subscribe": "{{ args.x }}"}}] if greets else []
    fields = {"listen": True, "on_connect": login, "reply": {"match": "message.n"}, "timeout": 0.3}
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        with pytest.raises(CallTimeout) as failed:
            await bridge.call_tool("m.t", {"x": x})
    assert failed.value.outcome is outcome


RPC = {"preset": "jsonrpc2", "timeout": 0.3}


async def test_a_timeout_shows_the_last_message_each_time(tmp_path: Path) -> None:
    async def answer_with_another_id(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": f"x{message['id']}", "result": 1}))

    async with peer(answer_with_another_id) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        for number in (1, 2, 3):
            with pytest.raises(
                CallTimeout, match=rf'did not match; the endpoint said: “\{{"id": "x{number}", "result": 1\}}”'
            ):
                await bridge.call_tool("m.t")


async def test_a_timeout_says_that_the_id_came_as_a_text(tmp_path: Path) -> None:
    async def answer_with_text(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": str(message["id"]), "result": 1}))

    said = (
        r'A reply had the id "1", a string, where that of the request is a number\. Set "request_id": "string_counter"'
    )
    async with peer(answer_with_text) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(CallTimeout, match=said):
            await bridge.call_tool("m.t")


ELSEWHERE = {
    "another field": ({"ref": "ID"}, '"match": "message.ref == request_id"'),
    "a field of a field": ({"meta": [{"ref": "ID"}]}, '"match": "message.meta[0].ref == request_id"'),
    "an array": (["ok", "ID"], '"match": "message[1] == request_id"'),
    "a key that is no name": ({"obey me: do": "ID"}, None),
    "another value": ({"ref": "7"}, None),
}


@pytest.mark.parametrize(("reply", "fix"), ELSEWHERE.values(), ids=ELSEWHERE)
async def test_a_timeout_names_another_field_that_has_the_id_of_the_request(
    tmp_path: Path, reply: Any, fix: str | None
) -> None:
    async def answer_elsewhere(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(reply).replace("ID", message["id"]))

    fields = {"timeout": 0.3, "message": {"id": "{{ request_id }}"}, "reply": {"match": "message.id == request_id"}}
    async with peer(answer_elsewhere) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        with pytest.raises(CallTimeout, match="did not match") as failed:
            await bridge.call_tool("m.t")
    assert ("has the ID of the request in" in str(failed.value)) is (fix is not None)
    assert fix is None or fix in str(failed.value)


BINARY = {
    "json": (b'{"id": 1}', {}, 'rules see bytes, not JSON. Set "send_as": "binary"'),
    "text": (b"hello", {}, 'rules see bytes, not text. Set "framing": {"codec": "text"}'),
    "other data": (b"\x81\xff", {}, "If it is MessagePack, CBOR or Protobuf, set the codec"),
    "bytes that are meant": (b"\x81\xff", {"framing": {"codec": "binary"}}, ""),
}


@pytest.mark.parametrize(("reply", "framing", "hint"), BINARY.values(), ids=BINARY)
@pytest.mark.parametrize("waiting", ["call", "login"])
async def test_a_timeout_names_the_codec_for_a_binary_message(
    tmp_path: Path, reply: bytes, framing: dict[str, Any], hint: str, waiting: str
) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(reply)

    match = "message.id == 1"
    login = {"on_connect": [{"send": "hello"}, {"expect": match, "timeout": 0.3}]} if waiting == "login" else {}
    fields = {"reply": {"match": match}, "message": "hello", "timeout": 5 if login else 0.3, **login, **framing}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        with pytest.raises((CallTimeout, ConnectError)) as failed:
            await bridge.call_tool("m.t")
    assert hint in str(failed.value)
    assert ("The message is binary" in str(failed.value)) == bool(hint)


async def test_an_id_that_came_as_a_float_is_the_same_number(tmp_path: Path) -> None:
    async def answer_with_float(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": float(message["id"]), "result": 7}))

    async with peer(answer_with_float) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        assert await bridge.call_tool("m.t") == 7


async def test_an_error_reply_with_the_id_null_fails_the_only_call(tmp_path: Path) -> None:
    async def cannot_parse(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send('{"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "Parse error"}}')

    async with peer(cannot_parse) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(ToolError, match="Parse error") as failed:
            await bridge.call_tool("m.t")
    assert failed.value.outcome is Outcome.ANSWERED
