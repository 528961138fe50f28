"""A session that ends at the endpoint: the calls that wait for it, and the first call of the next one, learn of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, peer
from utcp_ws_mcp.errors import BridgeError, Outcome, SessionLost

CRASHED = "the page crashed"
TEMPLATE = {
    "request_id": "counter",
    "message": {"id": "{{ request_id }}", "do": "{{ tool }}"},
    "on_connect": [{"expect": "message.page", "capture": {"page": "message.page"}}],
    "reply": {"match": "message.id == request_id", "result": "message.page"},
    "fail_when": "message.event == 'crashed'",
    "fail_message": "message.why",
    "response_format": "json",
    "limits": {"max_connections": 1},
}
IDENTITY = {"session_identity": "session.page"}


class Pages:
    """An endpoint whose connections use a page each; `names` gives those of the next connections."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.page = ""
        self.sent: list[str] = []
        self.connection: Any = None

    async def greet(self, connection: Any) -> None:
        self.connection, self.page = connection, self.names.pop(0)
        await connection.send(json.dumps({"page": self.page}))

    async def answer(self, seen: Peer, connection: Any, message: Any) -> None:
        self.sent.append(message["do"])
        if message["do"] == "look":
            await connection.send(json.dumps({"id": message["id"], "page": self.page}))
        if message["do"] == "watch":
            await connection.send(json.dumps({"id": message["id"], "n": 1}))

    async def crash(self, why: str | None = CRASHED) -> None:
        await self.connection.send(json.dumps({"event": "crashed", **({"why": why} if why else {})}))


async def run_until(seen: Peer, count: int, crash: Any, *calls: Any) -> list[Any]:
    """Start calls, crash when `count` messages have come, and return what came of each call."""
    outcomes: list[Any] = [None] * len(calls)

    async def run(index: int, call: Any) -> None:
        try:
            outcomes[index] = await call()
        except BridgeError as error:
            outcomes[index] = error

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for index, call in enumerate(calls):
                tasks.start_soon(run, index, call)
            await seen.until(lambda: len(seen.received) >= count)
            await crash()
    return outcomes


async def test_a_message_that_ends_the_session_fails_every_call_on_it(tmp_path: Path) -> None:
    pages = Pages("one", "two")
    watch = {"name": "watch", "tool_call_template": {"stream": {"item": "message.n", "until_close": True}}}
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "hang", watch, "look", **TEMPLATE)) as bridge:
            calls = [lambda: bridge.call_tool("m.hang"), lambda: bridge.call_tool("m.watch")]
            hang, stream = await run_until(seen, 2, pages.crash, *calls)
            assert isinstance(hang, SessionLost)
            assert hang.outcome is Outcome.MAYBE_EXECUTED
            assert f"{CRASHED}”. The request was sent" in str(hang)
            assert isinstance(stream, SessionLost)
            assert stream.partial == (1,)
            assert await bridge.call_tool("m.look") == "two"


async def test_without_a_text_the_message_itself_is_shown(tmp_path: Path) -> None:
    pages = Pages("one")
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "hang", **TEMPLATE)) as bridge:
            (hang,) = await run_until(seen, 1, lambda: pages.crash(None), lambda: bridge.call_tool("m.hang"))
    assert '{"event": "crashed"}' in str(hang)


async def test_an_idempotent_call_is_not_repeated_in_another_session(tmp_path: Path) -> None:
    pages = Pages("one", "two")
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, {"name": "hang", "idempotent": True}, **TEMPLATE)) as bridge:
            (hang,) = await run_until(seen, 1, pages.crash, lambda: bridge.call_tool("m.hang"))
    assert isinstance(hang, SessionLost)
    assert pages.sent == ["hang"]


async def lose(seen: Peer, pages: Pages, how: str) -> None:
    """End the session between two calls."""
    if how == "a message":
        await pages.crash()
    elif how == "a close":
        await pages.connection.close(1001, "restart")
    else:
        pages.connection.transport.abort()
    await seen.until(lambda: not seen.open)
    await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("how", "why"), [("a message", CRASHED), ("a close", "restart"), ("a cut", "cut")], ids=["message", "close", "cut"]
)
async def test_the_first_call_after_a_lost_session_says_so_once_and_is_not_sent(
    tmp_path: Path, how: str, why: str
) -> None:
    pages = Pages("one", "two")
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "look", **TEMPLATE, **IDENTITY)) as bridge:
            assert await bridge.call_tool("m.look") == "one"
            await lose(seen, pages, how)
            with pytest.raises(SessionLost, match=why) as lost:
                await bridge.call_tool("m.look")
            assert lost.value.outcome is Outcome.NOT_SENT
            assert pages.sent == ["look"]
            assert await bridge.call_tool("m.look") == "two"
            assert await bridge.call_tool("m.look") == "two"


async def test_a_connection_that_finds_its_session_again_says_nothing(tmp_path: Path) -> None:
    pages = Pages("one", "one")
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "look", **TEMPLATE, **IDENTITY)) as bridge:
            assert await bridge.call_tool("m.look") == "one"
            await lose(seen, pages, "a cut")
            assert await bridge.call_tool("m.look") == "one"
            assert len(seen.upgrades) == 2


async def test_a_loss_that_failed_a_call_is_not_reported_again(tmp_path: Path) -> None:
    pages = Pages("one", "two")
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "hang", "look", **TEMPLATE, **IDENTITY)) as bridge:
            await run_until(seen, 1, pages.crash, lambda: bridge.call_tool("m.hang"))
            assert await bridge.call_tool("m.look") == "two"


async def test_a_template_sees_that_the_session_is_another(tmp_path: Path) -> None:
    pages = Pages("one", "two")
    reply = {**TEMPLATE["reply"], "result": "[message.page, session.reconnected is defined]"}
    template = {**TEMPLATE, **IDENTITY, "reply": reply}
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "look", **template)) as bridge:
            assert await bridge.call_tool("m.look") == ["one", False]
            await lose(seen, pages, "a cut")
            with pytest.raises(SessionLost):
                await bridge.call_tool("m.look")
            assert await bridge.call_tool("m.look") == ["two", True]


async def test_an_idempotent_call_that_meets_another_session_says_that_it_may_have_been_executed(
    tmp_path: Path,
) -> None:
    pages = Pages("one", "two")

    async def cut() -> None:
        pages.connection.transport.abort()

    hang = {"name": "hang", "idempotent": True}
    async with peer(pages.answer, greet=pages.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, hang, **TEMPLATE, **IDENTITY)) as bridge:
            (lost,) = await run_until(seen, 1, cut, lambda: bridge.call_tool("m.hang"))
    assert isinstance(lost, SessionLost)
    assert lost.outcome is Outcome.MAYBE_EXECUTED
    assert pages.sent == ["hang"]
