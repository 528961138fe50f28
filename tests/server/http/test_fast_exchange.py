"""A request on the fast lane: when it is answered there, and when it is left to the application."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from tests.peer import PATIENCE
from tests.server.http.test_fast_path import CALL, HEADERS, Cycle, request
from utcp_ws_mcp.client.eager import EagerTask
from utcp_ws_mcp.server.auth.access import Caller
from utcp_ws_mcp.server.http.body import MAX_BODY_SIZE, MAX_BODY_VALUES
from utcp_ws_mcp.server.http.fast_connection import EVENT_STREAM_AFTER, FastExchange, FastLane
from utcp_ws_mcp.server.http.fast_response import Answer
from utcp_ws_mcp.server.http.security import HttpAccessPolicy, Rejection

POLICY = HttpAccessPolicy(frozenset(), frozenset(), None)
BODY = json.dumps(request(**CALL)).encode()
ANSWER = Answer(200, "{}")
ADA = Caller(None, None, {"KEY": [b"ada"]})


class Exchange:
    """An exchange with a fake cycle, and what happens in it."""

    def __init__(self, body: bytes = BODY, answer: Answer | None = ANSWER, origin: str = "", **options: Any) -> None:
        self.cycle: Any = Cycle()
        self.cycle.body = bytearray(body)
        self.cycle.more_body = False
        self.cycle.flow = SimpleNamespace(resume_reading=self._resume, write_paused=False)
        self.resumed = 0
        self.asked: list[Any] = []
        self.left: list[Any] = []
        self.alarms: list[Any] = []
        self.answer_now = asyncio.Event()
        self.answer_now.set()
        self._answer = answer
        path: Any = SimpleNamespace(answer=self._on_request, guard=str, begins_at_once=lambda asked: True)
        lane = FastLane(path, "/mcp", POLICY, False, lambda given: ((b"x-origin", given),), **options)
        patience: Any = SimpleNamespace(set=self.alarms.append, clear=lambda: self.alarms.append(None))
        headers = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
        headers |= {b"origin": origin.encode()} if origin else {}
        task = EagerTask(asyncio.get_running_loop())
        self.ended: list[Any] = []
        self.exchange = FastExchange(lane, self.cycle, headers, self._app, patience, task, self.ended.append)

    def _resume(self) -> None:
        self.resumed += 1

    async def _on_request(self, request: Any, caller: Any, response: Any) -> Answer | None:
        self.asked.append((request.params["name"], caller))
        await self.answer_now.wait()
        return self._answer

    async def _app(self, *args: Any) -> None:
        self.left.append(args)

    async def run(self) -> str:
        """Serve; return who has answered."""
        with anyio.fail_after(PATIENCE):
            await self.exchange("scope", "receive", "send")
        assert self.ended == [self.exchange]
        assert self.left in ([], [("scope", "receive", "send")])
        assert bool(self.cycle.written) is not bool(self.left)
        return "application" if self.left else "lane"


async def test_a_usual_request_is_answered_on_the_lane() -> None:
    exchange = Exchange()
    assert await exchange.run() == "lane"
    assert exchange.asked == [("m_t", None)]
    assert exchange.alarms == [EVENT_STREAM_AFTER, None]
    assert b"x-origin" not in exchange.cycle.written


async def test_a_web_page_gets_the_headers_of_its_origin() -> None:
    exchange = Exchange(origin="https://app.example")
    await exchange.run()
    assert b"\r\nx-origin: https://app.example\r\n" in exchange.cycle.written


@pytest.mark.parametrize("body", [b"{", BODY.replace(b"m_t", b"m_u"), b""], ids=["JSON", "name", "none"])
async def test_a_body_that_is_not_usual_is_left_to_the_application(body: bytes) -> None:
    exchange = Exchange(body)
    assert await exchange.run() == "application"
    assert (exchange.asked, exchange.alarms) == ([], [])


async def test_a_request_that_the_lane_cannot_answer_is_left_to_the_application() -> None:
    exchange = Exchange(answer=None)
    assert await exchange.run() == "application"
    assert exchange.asked != []
    assert exchange.alarms[-1] is None


async def test_the_caller_of_a_request_is_found_and_checked() -> None:
    found: list[Any] = []

    async def identify(headers: Any) -> Any:
        found.append(dict(headers)[b"mcp-name"])
        return ADA

    def check(names: Any, caller: Caller) -> Rejection | None:
        found.append((list(names), caller))
        return None

    exchange = Exchange(identify=identify, check_calls=check)
    assert await exchange.run() == "lane"
    assert found == [b"m_t", (["m_t"], ADA)]
    assert exchange.asked == [("m_t", ADA)]


@pytest.mark.parametrize("rejecting", ["identify", "check"])
async def test_a_rejected_request_is_left_to_the_application_which_says_why(rejecting: str) -> None:
    async def identify(headers: Any) -> Any:
        return Rejection(401, "no") if rejecting == "identify" else ADA

    exchange = Exchange(identify=identify, check_calls=lambda names, caller: Rejection(403, "no"))
    assert await exchange.run() == "application"
    assert exchange.asked == []


async def test_a_request_of_a_client_that_has_gone_is_not_served() -> None:
    exchange = Exchange()
    exchange.cycle.disconnected = True
    await exchange.exchange("scope", "receive", "send")
    assert (exchange.asked, exchange.left) == ([], [])


async def test_a_body_is_waited_for() -> None:
    exchange = Exchange(b"")
    exchange.cycle.more_body = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run)
        for part in (BODY[:10], BODY[10:]):
            await anyio.wait_all_tasks_blocked()
            assert exchange.asked == []
            exchange.cycle.body += part
            exchange.cycle.message_event.set()
        await anyio.wait_all_tasks_blocked()
        assert exchange.asked == []
        exchange.cycle.more_body = False
        exchange.cycle.message_event.set()
    assert exchange.asked != []
    assert exchange.resumed == 4


def padded(size: int) -> bytes:
    return BODY + b" " * (size - len(BODY))


@pytest.mark.parametrize(
    ("body", "more", "served_by"),
    [
        (padded(MAX_BODY_SIZE), False, "lane"),
        (padded(MAX_BODY_SIZE + 1), False, "application"),
        (padded(MAX_BODY_SIZE + 1), True, "application"),
        (BODY + b"," * (MAX_BODY_VALUES + 1), False, "application"),
    ],
)
async def test_a_body_that_is_too_large_is_left_to_the_application(body: bytes, more: bool, served_by: str) -> None:
    exchange = Exchange(body)
    exchange.cycle.more_body = more
    assert await exchange.run() == served_by
    assert exchange.cycle.message_event.is_set()


async def test_a_client_that_goes_ends_the_request_quietly() -> None:
    exchange = Exchange()
    exchange.answer_now.clear()
    task = asyncio.ensure_future(exchange.exchange("scope", "receive", "send"))
    exchange.exchange.task = cast("EagerTask", task)
    await anyio.wait_all_tasks_blocked()
    exchange.exchange.cancel()
    with anyio.fail_after(PATIENCE):
        await task
    assert (exchange.left, exchange.cycle.written) == ([], b"")
    assert exchange.cycle.disconnected
    assert exchange.alarms[-1] is None


async def test_the_end_of_the_server_cancels_a_request() -> None:
    exchange = Exchange()
    exchange.answer_now.clear()
    task = asyncio.ensure_future(exchange.exchange("scope", "receive", "send"))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.left == []


async def test_a_request_that_takes_long_gets_an_event_stream() -> None:
    exchange = Exchange()
    exchange.exchange.keep_alive()  # nothing is served yet
    exchange.answer_now.clear()
    task = asyncio.ensure_future(exchange.exchange("scope", "receive", "send"))
    await anyio.wait_all_tasks_blocked()
    exchange.exchange.keep_alive()
    with anyio.fail_after(PATIENCE):
        while len(exchange.cycle.sent) < 2:
            await asyncio.sleep(0)
    exchange.answer_now.set()
    await task
    bodies = [each.get("body") for each in exchange.cycle.sent]
    assert bodies == [None, b": ping\r\n\r\n", b"event: message\r\ndata: {}\r\n\r\n"]
    exchange.exchange.keep_alive()
    await anyio.wait_all_tasks_blocked()
    assert len(exchange.cycle.sent) == 3
