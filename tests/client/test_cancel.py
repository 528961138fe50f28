"""What is sent to end what a call began: only for what was begun, and a subscription ends with its last watcher."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, peer
from utcp_ws_mcp import Bridge, CallTimeout, ToolError

RPC = {
    "request_id": "counter",
    "message": {"id": "{{ request_id }}", "do": "{{ tool }}", "topic": "{{ args.topic }}"},
    "reply": {
        "match": "message.id == request_id",
        "error": "message.error is defined",
        "error_message": "message.error",
        "cancel": {"abort": "{{ request_id }}"},
    },
    "response_format": "json",
}
BY_TOPIC = {"id": "{{ next_id() }}", "do": "leave", "topic": "{{ args.topic }}"}
BY_REPLY = ["leave", "{{ next_id() }}", "{{ reply.key }}"]


def watch(cancel: Any = BY_TOPIC, name: str = "watch", **stream: Any) -> dict[str, Any]:
    """A tool that watches a topic."""
    stream = {"match": "message.event == args.topic", "item": "message.n", "cancel": cancel, **stream}
    return {"name": name, "tool_call_template": {"stream": stream}}


class Topics:
    """An endpoint that merges subscriptions: a topic has one for all watchers.

    `hold`: replies to subscriptions wait until `reply_now`.
    """

    def __init__(self) -> None:
        self.subscribed: set[str] = set()
        self.hold = False
        self.held: list[Any] = []
        self.connection: Any = None

    async def answer(self, seen: Peer, connection: Any, message: Any) -> None:
        self.connection = connection
        match message:
            case {"do": name, "topic": topic} if name.startswith("watch"):
                self.subscribed.add(topic)
                reply = {"id": message["id"], "key": f"key of {topic}"}
                if self.hold:
                    self.held.append(reply)
                else:
                    await connection.send(json.dumps(reply))
            case {"do": "refused"}:
                await connection.send(json.dumps({"id": message["id"], "error": "no"}))
            case {"do": "leave", "topic": topic}:
                self.subscribed.discard(topic)
            case ["leave", _, key]:
                self.subscribed.discard(key.removeprefix("key of "))

    async def reply_now(self) -> None:
        for reply in self.held:
            await self.connection.send(json.dumps(reply))
        self.held.clear()

    async def publish(self, topic: str, n: int) -> None:
        if topic in self.subscribed:
            await self.connection.send(json.dumps({"event": topic, "n": n}))


class Watcher:
    """A call under way, and what came of it."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.items: list[Any] = []
        self.result: Any = None
        self.error: Exception | None = None
        self.ended = anyio.Event()

    async def run(self, bridge: Bridge, tool: str, arguments: dict[str, Any]) -> None:
        async def note(item: Any) -> None:
            self.items.append(item)

        with self.scope:
            try:
                self.result = await bridge.call_tool(tool, arguments, note)
            except (CallTimeout, ToolError) as error:
                self.error = error
        self.ended.set()

    async def stop(self) -> None:
        self.scope.cancel()
        await self.ended.wait()


@asynccontextmanager
async def watching(bridge: Bridge, seen: Peer, *calls: tuple[str, str]) -> AsyncIterator[list[Watcher]]:
    """Calls under way, each of which was sent; (tool, topic)."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            watchers = [Watcher() for _ in calls]
            for number, (watcher, (tool, topic)) in enumerate(zip(watchers, calls, strict=True), 1):
                tasks.start_soon(watcher.run, bridge, f"m.{tool}", {"topic": topic})
                await seen.until(lambda number=number: len(seen.received) >= number)
                await anyio.wait_all_tasks_blocked()
            yield watchers
            tasks.cancel_scope.cancel()


def sent_to_end(seen: Peer) -> list[Any]:
    """The messages that ended something."""
    return [each for each in seen.received if isinstance(each, list) or each.get("do") == "leave" or "abort" in each]


async def settled(bridge: Bridge, seen: Peer) -> None:
    """Wait until the endpoint has got everything that was sent before."""
    with pytest.raises(ToolError):
        await bridge.call_tool("m.refused", {"topic": ""})


@asynccontextmanager
async def scene(tmp_path: Path, *tools: Any, **template: Any) -> AsyncIterator[tuple[Topics, Peer, Bridge]]:
    topics = Topics()
    document = {**RPC, "limits": {"max_connections": 1}, **template}
    async with peer(topics.answer) as seen:
        async with bridge_to(tmp_path, entry(seen, *tools, "refused", **document)) as bridge:
            yield topics, seen, bridge


@pytest.mark.parametrize("cancel", [BY_TOPIC, BY_REPLY], ids=["by its topic", "by what the reply says"])
async def test_the_last_of_several_watchers_ends_their_subscription(tmp_path: Path, cancel: Any) -> None:
    async with scene(tmp_path, watch(cancel)) as (topics, seen, bridge):
        async with watching(bridge, seen, ("watch", "a"), ("watch", "a")) as (first, second):
            await first.stop()
            await settled(bridge, seen)
            assert sent_to_end(seen) == []
            await topics.publish("a", 1)
            await settled(bridge, seen)
            await second.stop()
            assert second.items == [1]
            await settled(bridge, seen)
            assert len(sent_to_end(seen)) == 1
            assert not topics.subscribed


async def test_watchers_of_different_topics_each_end_their_own(tmp_path: Path) -> None:
    async with scene(tmp_path, watch()) as (topics, seen, bridge):
        async with watching(bridge, seen, ("watch", "a"), ("watch", "b")) as (first, second):
            await first.stop()
            await settled(bridge, seen)
            assert topics.subscribed == {"b"}
            await second.stop()
            await settled(bridge, seen)
            assert not topics.subscribed


async def test_watchers_that_end_at_the_same_message_end_the_subscription_once(tmp_path: Path) -> None:
    async with scene(tmp_path, watch(max_items=1), watch(name="watch2", max_items=1)) as (topics, seen, bridge):
        async with watching(bridge, seen, ("watch", "a"), ("watch2", "a")) as (first, second):
            await topics.publish("a", 1)
            await first.ended.wait()
            await second.ended.wait()
            assert first.items == second.items == [1]
            await settled(bridge, seen)
            assert len(sent_to_end(seen)) == 1


async def test_a_subscription_is_not_ended_while_another_of_its_topic_is_being_opened(tmp_path: Path) -> None:
    async with scene(tmp_path, watch(BY_REPLY)) as (topics, seen, bridge):
        async with watching(bridge, seen, ("watch", "a")) as (first,):
            topics.hold = True
            async with watching(bridge, seen, ("watch", "a")) as (second,):
                await seen.until(lambda: len(topics.held) == 1)
                await first.stop()
                await settled(bridge, seen)
                assert sent_to_end(seen) == []
                await topics.reply_now()
                await topics.publish("a", 5)
                await settled(bridge, seen)
                assert second.items == [5]
                await second.stop()
            await settled(bridge, seen)
            assert len(sent_to_end(seen)) == 1


async def test_a_subscription_is_ended_when_the_one_being_opened_is_another(tmp_path: Path) -> None:
    async with scene(tmp_path, watch(BY_REPLY)) as (topics, seen, bridge):
        async with watching(bridge, seen, ("watch", "a")) as (first,):
            topics.hold = True
            async with watching(bridge, seen, ("watch", "b")):
                await seen.until(lambda: len(topics.held) == 1)
                await first.stop()
                await topics.reply_now()
                await settled(bridge, seen)
                assert topics.subscribed == {"b"}


async def test_a_subscription_whose_caller_left_before_its_reply_ends_when_the_reply_comes(tmp_path: Path) -> None:
    async with scene(tmp_path, watch(BY_REPLY), reply={**RPC["reply"], "cancel": None}) as (topics, seen, bridge):
        topics.hold = True
        async with watching(bridge, seen, ("watch", "a")) as (gone,):
            await seen.until(lambda: len(topics.held) == 1)
            await gone.stop()
            await settled(bridge, seen)
            assert sent_to_end(seen) == []
            await topics.reply_now()
            await settled(bridge, seen)
            assert [(each[0], each[2]) for each in sent_to_end(seen)] == [("leave", "key of a")]


@pytest.mark.parametrize("how", ["timeout", "cancelled"])
async def test_a_call_without_a_stream_sends_the_cancel_of_its_reply_only(tmp_path: Path, how: str) -> None:
    stream = {"on": False, "match": "message.event", "cancel": BY_TOPIC}
    timeout = {"timeout": 0.3} if how == "timeout" else {}
    async with scene(tmp_path, "slow", stream=stream, **timeout) as (_, seen, bridge):
        async with watching(bridge, seen, ("slow", "a")) as (call,):
            if how == "cancelled":
                await call.stop()
            await call.ended.wait()
            await settled(bridge, seen)
            assert sent_to_end(seen) == [{"abort": 1}]


async def test_nothing_is_sent_after_a_call_that_was_answered(tmp_path: Path) -> None:
    async with scene(tmp_path, "watch") as (_, seen, bridge):
        assert await bridge.call_tool("m.watch", {"topic": "a"}) == {"id": 1, "key": "key of a"}
        await settled(bridge, seen)
        assert sent_to_end(seen) == []


async def test_a_cancel_that_is_null_for_a_request_is_not_sent(tmp_path: Path) -> None:
    cancel = "{{ {'abort': request_id} if request.do == 'long' else none }}"
    async with scene(tmp_path, "long", "other", reply={**RPC["reply"], "cancel": cancel}) as (_, seen, bridge):
        async with watching(bridge, seen, ("other", "a"), ("long", "a")) as calls:
            for call in calls:
                await call.stop()
            await settled(bridge, seen)
            assert sent_to_end(seen) == [{"abort": 2}]


async def test_a_call_that_only_listens_ends_nothing(tmp_path: Path) -> None:
    listens = {"name": "hear", "tool_call_template": {"listen": True, "stream": {"match": "message.event"}}}
    async with scene(tmp_path, listens, stream={"on": False, "cancel": BY_TOPIC}) as (_, seen, bridge):
        await settled(bridge, seen)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                call = Watcher()
                tasks.start_soon(call.run, bridge, "m.hear", {"topic": "a"})
                await anyio.wait_all_tasks_blocked()
                await call.stop()
        await settled(bridge, seen)
        assert sent_to_end(seen) == []
