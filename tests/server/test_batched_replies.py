"""APIs that answer several requests with one message, called by the SDK's client through the real program.

The endpoint is a strict imitation of Ably's protocol, in both formats: the client numbers its messages from 0 on each
connection, and an ACK or NACK means `count` of them from `msgSerial` on. It closes the connection, with the reason, at
the first message that the real one would not accept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import msgpack
import pytest
from mcp import Client
from websockets.asyncio.server import ServerConnection

from tests.peer import PATIENCE, Peer, peer
from tests.server.test_framed_apis import BOTH_ERAS, host_of

HEARTBEAT, ACK, NACK, CONNECTED, ERROR, ATTACH, ATTACHED, MESSAGE = 0, 1, 2, 4, 9, 10, 11, 15
KEY = "app.key:secret-of-ably"
CALLS = 8


class Ably:
    """The side of the endpoint. It answers messages in batches of sizes that the test says.

    `batches` are the sizes, and whether the messages are refused; one that is not complete yet waits for its messages.
    """

    def __init__(self, format_: str, *batches: tuple[int, int]) -> None:
        self.format = format_
        self.batches = list(batches)
        self.problems: list[str] = []
        self.published: list[str] = []
        self._waiting: dict[ServerConnection, list[dict[str, Any]]] = {}
        self._serials: dict[ServerConnection, int] = {}
        self._attached: dict[ServerConnection, set[str]] = {}
        self._encode: Callable[[Any], str | bytes] = msgpack.packb if format_ == "msgpack" else json.dumps

    async def greet(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query)
        if query != {"key": [KEY], "v": ["5"], "format": [self.format], "heartbeats": ["true"]}:
            self.problems.append(connection.request.path)
        self._waiting[connection], self._serials[connection], self._attached[connection] = [], 0, set()
        details = {"connectionKey": "k", "maxMessageSize": 65536, "maxIdleInterval": 15000, "clientId": None}
        await self.send(connection, action=CONNECTED, connectionId="c", connectionDetails=details)
        await self.send(connection, action=HEARTBEAT)

    async def send(self, connection: ServerConnection, **message: Any) -> None:
        await connection.send(self._encode(message))

    async def answer(self, seen: Peer, connection: ServerConnection, message: Any) -> None:
        try:
            if self.format == "msgpack":
                assert isinstance(message, bytes), "a text message"
                message = msgpack.unpackb(message)
            await self._take(connection, message)
        except (AssertionError, ValueError, KeyError) as problem:
            self.problems.append(repr(problem))
            await self.send(connection, action=ERROR, error={"code": 40000, "message": repr(problem)})
            await connection.close(1002)

    async def _take(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        if message["action"] == ATTACH:
            self._attached[connection].add(message["channel"])
            await self.send(connection, action=ATTACHED, channel=message["channel"], channelSerial="s", flags=0)
            return
        assert message.keys() == {"action", "channel", "msgSerial", "messages"}, f"members {sorted(message)}"
        assert message["action"] == MESSAGE, "another action"
        assert message["msgSerial"] == self._serials[connection], f"msgSerial {message['msgSerial']}"
        self._serials[connection] += 1
        waiting = self._waiting[connection]
        waiting.append(message)
        await self.send(connection, action=HEARTBEAT)
        while self.batches and len(waiting) >= self.batches[0][0]:
            count, action = self.batches.pop(0)
            batch, waiting[:] = waiting[:count], waiting[count:]
            await self._acknowledge(connection, batch, action)

    async def _acknowledge(self, connection: ServerConnection, batch: list[dict[str, Any]], action: int) -> None:
        first = {"msgSerial": batch[0]["msgSerial"], "count": len(batch)}
        if action == NACK:
            error = {"code": 40160, "statusCode": 401, "message": "action not permitted"}
            await self.send(connection, action=NACK, **first, error=error)
            return
        names = [message["messages"][0]["name"] for message in batch]
        self.published += names
        results = [{"serials": [f"{message['channel']}@{name}"]} for message, name in zip(batch, names, strict=True)]
        await self.send(connection, action=ACK, **first, res=results)
        for message in batch:
            if message["channel"] in self._attached[connection]:
                await self.send(
                    connection, action=MESSAGE, channel=message["channel"], id="i", messages=message["messages"]
                )


def manifest(seen: Peer, ably: Ably, **reply: Any) -> dict[str, Any]:
    """The manifest; `reply` are further rules of the tool that publishes."""
    channel = {"type": "string"}
    return {
        "name": "ably",
        "url": seen.url,
        "query": {"key": "${ABLY_KEY}", "v": 5, "format": ably.format, "heartbeats": True},
        **({"framing": {"codec": "msgpack"}} if ably.format == "msgpack" else {}),
        "timeout": 5,
        "limits": {"max_connections": 1},
        "on_connect": [{"expect": "message.action == 4", "fail": "message.action == 9"}],
        "fail_when": "message.action == 9",
        "fail_message": "message.error.message",
        "ignore": "message.action == 0",
        "tools": [
            {
                "name": "publish",
                "description": "Publish a message on a channel.",
                "inputs": {
                    "type": "object",
                    "properties": {"channel": channel, "name": {"type": "string"}, "data": {}},
                    "required": ["channel", "name"],
                },
                "tool_call_template": {
                    "let": {"serial": "counter() - 1"},
                    "message": {
                        "action": 15,
                        "channel": "{{ args.channel }}",
                        "msgSerial": "{{ let.serial }}",
                        "messages": [{"name": "{{ args.name }}", "data": "{{ args.data }}"}],
                    },
                    "reply": {
                        "match": "message.action in [1, 2] and message.msgSerial <= let.serial"
                        " and let.serial < message.msgSerial + message.count",
                        "answers_all": True,
                        "error": "message.action == 2",
                        "error_message": "message.error.message",
                        "result": "message.res[let.serial - message.msgSerial].serials",
                        **reply,
                    },
                },
            }
        ],
        "feeds": [
            {
                "name": "messages",
                "description": "The messages of a channel.",
                "inputs": {"type": "object", "properties": {"channel": channel}, "required": ["channel"]},
                "open": [
                    {"send": {"action": 10, "channel": "{{ args.channel }}"}},
                    {"expect": "message.action == 11 and message.channel == args.channel"},
                ],
                "match": "message.action == 15 and message.channel == args.channel",
                "item": "message.messages | map(attribute='name')",
                "close": None,
            }
        ],
    }


async def publish_at_once(client: Client, names: list[str]) -> dict[str, Any]:
    """The results of calls that run at the same time, by the names of their messages."""
    results: dict[str, Any] = {}

    async def publish(name: str) -> None:
        results[name] = await client.call_tool("ably_publish", {"channel": "room", "name": name})

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as calls:
            for name in names:
                calls.start_soon(publish, name)
    return results


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLY_KEY", KEY)


@BOTH_ERAS
@pytest.mark.parametrize("format_", ["json", "msgpack"])
async def test_eight_calls_are_answered_by_three_messages(tmp_path: Path, format_: str, mode: str) -> None:
    ably = Ably(format_, (1, ACK), (5, ACK), (2, NACK), (1, ACK))
    names = [f"n{number}" for number in range(CALLS)]
    async with peer(ably.answer, greet=ably.greet) as seen:
        async with host_of(tmp_path, manifest(seen, ably), mode) as client:
            opened = await client.call_tool("ably_messages_events", {"channel": "room", "wait_seconds": 0})
            first = await client.call_tool("ably_publish", {"channel": "room", "name": "first"})
            results = await publish_at_once(client, names)
            cursor = opened.structured_content["cursor"]
            page = await client.call_tool("ably_messages_events", {"channel": "room", "cursor": cursor})
        sent = [msgpack.unpackb(each) if isinstance(each, bytes) else each for each in seen.received]
    assert ably.problems == []
    assert len(seen.upgrades) == 1
    order = [each["messages"][0]["name"] for each in sent if each["action"] == MESSAGE]
    assert [each["msgSerial"] for each in sent if each["action"] == MESSAGE] == list(range(1 + CALLS))
    refused = {name for name, result in results.items() if result.is_error}
    assert refused == set(order[6:8])
    assert not first.is_error
    assert ably.published == [name for name in order if name not in refused]
    for name, result in results.items():
        shown = result.content[0].text
        assert "action not permitted" in shown if name in refused else json.loads(shown) == [f"room@{name}"], shown
        assert "may mean another" not in shown
    assert [event["data"] for event in page.structured_content["events"]][-1] == [order[-1]]


async def test_without_answers_all_the_second_call_is_not_answered_and_its_error_says_what_to_write(
    tmp_path: Path,
) -> None:
    ably = Ably("json", (2, ACK))
    async with peer(ably.answer, greet=ably.greet) as seen:
        document = {**manifest(seen, ably, answers_all=False, concurrent=True), "timeout": 1}
        async with host_of(tmp_path, document) as client:
            results = await publish_at_once(client, ["a", "b"])
    assert ably.problems == []
    (late,) = [result for result in results.values() if result.is_error]
    assert "[reply-timeout]" in late.content[0].text
    assert 'set "answers_all": true in "reply"' in late.content[0].text
