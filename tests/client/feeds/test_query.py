"""Feeds whose URL says where their events go on, against a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest

from tests.client.test_http_steps import always, http_server
from tests.peer import Peer, bridge_to, jsonrpc, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import CallTimeout
from utcp_ws_mcp.observability.events import Event
from utcp_ws_mcp.observability.trace import Trace

FEED = {
    "name": "posts",
    "description": "Posts as they are written.",
    "query": {"cursor": "{{ position }}"},
    "match": "message.time is defined",
    "item": "message.text",
    "position": "message.time",
}


class Log:
    """An endpoint that sends its log from the cursor in the URL on, with the event there, as Bluesky's Jetstream."""

    def __init__(self, refuse: Callable[[dict[str, str]], bool] = lambda query: False, status: int = 410) -> None:
        self.events: list[dict[str, Any]] = []
        self.queries: list[str] = []
        self.says: list[dict[str, Any]] = []
        self.greeting: list[dict[str, Any]] = []
        self._refuse, self._status = refuse, status

    def process_request(self, connection: Any, request: Any) -> Any:
        query = urlsplit(request.path).query
        self.queries.append(query)
        if self._refuse(dict(parse_qsl(query))):
            return connection.respond(HTTPStatus(self._status), "no such cursor")
        return None

    async def greet(self, connection: Any) -> None:
        query = dict(parse_qsl(urlsplit(connection.request.path).query))
        for message in self.greeting:
            await connection.send(json.dumps(message))
        cursor = query.get("cursor")
        for event in self.events if cursor is not None else ():
            if str(event["time"]) == cursor or (cursor.isdigit() and event["time"] > int(cursor)):
                await connection.send(json.dumps(event))

    async def write(self, seen: Peer, *times: Any) -> None:
        for time in times:
            self.events.append({"time": time, "text": f"at {time}"})
            for connection in seen.open:
                await connection.send(json.dumps(self.events[-1]))


def manifest(seen: Peer, *, query: Any = None, tools: Any = (), **feed: Any) -> dict[str, Any]:
    listed = {"name": "m", "url": f"{seen.url}subscribe", "feeds": [{**FEED, **feed}], "tools": list(tools)}
    return {**listed, **({"query": query} if query else {})}


async def read(bridge: Bridge, arguments: Any = None, **options: Any) -> Any:
    with anyio.fail_after(10):
        return await bridge.call_tool("m.posts_events", {**(arguments or {}), **options})


async def read_until(bridge: Bridge, cursor: str, last: str) -> tuple[list[str], list[str]]:
    """The events behind a cursor up to the last one, and the reasons of gaps between them."""
    events: list[str] = []
    gaps: list[str] = []
    while last not in events:
        result = await read(bridge, cursor=cursor, wait_seconds=5)
        events += [each["data"] for each in result["events"]]
        gaps += [each["reason"] for each in result["gaps"]]
        cursor = result["cursor"]
    return events, gaps


async def test_after_a_reconnection_the_url_has_the_last_position_and_nothing_is_missed_or_doubled(
    tmp_path: Path,
) -> None:
    log, events = Log(), list[Event]()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        document = manifest(seen, query={"lang": "en"})
        async with bridge_to(tmp_path, document, events=events) as bridge:
            cursor = (await read(bridge))["cursor"]
            await log.write(seen, 1, 2)
            await read_until(bridge, cursor, "at 2")
            await seen.open[0].close(1012)
            await log.write(seen, 3, 4)
            await seen.until(lambda: len(seen.upgrades) == 2)
            await log.write(seen, 5)
            assert await read_until(bridge, cursor, "at 5") == ([f"at {time}" for time in range(1, 6)], [])
    assert log.queries == ["lang=en", "lang=en&cursor=2"]
    assert "cursor=2" not in repr(events)


async def test_a_parameter_can_say_where_to_begin_as_long_as_there_is_no_position(tmp_path: Path) -> None:
    log = Log()
    log.events = [{"time": 1, "text": "at 1"}]
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        query = {"cursor": "{{ position | default(0) }}", "n": ["{{ args.n }}", "x"]}
        inputs = {"type": "object", "properties": {"n": {"type": "integer"}}}
        document = manifest(seen, inputs=inputs)
        document["feeds"][0]["query"] = query
        async with bridge_to(tmp_path, document) as bridge:
            result = await read(bridge, {"n": 7}, wait_seconds=5)
            assert [each["data"] for each in result["events"]] == ["at 1"]
            await seen.open[0].close(1012)
            await seen.until(lambda: len(seen.upgrades) == 2)
    assert log.queries == ["cursor=0&n=7&n=x", "cursor=1&n=7&n=x"]


TOOL = {"name": "ask", "tool_call_template": {"preset": "jsonrpc2"}}


async def test_calls_and_other_feeds_have_no_part_in_the_connection_of_a_feed(tmp_path: Path) -> None:
    log = Log()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        document = manifest(seen, tools=[TOOL])
        document["feeds"].append({**FEED, "name": "same"})
        document["limits"] = {"max_connections": 8}
        async with bridge_to(tmp_path, document) as bridge:
            assert await bridge.call_tool("m.ask", {"a": 1}) == {"a": 1}
            await read(bridge)
            with anyio.fail_after(10):
                await bridge.call_tool("m.same_events")
            assert await bridge.call_tool("m.ask", {"a": 2}) == {"a": 2}
            assert len(seen.upgrades) == 3
    assert log.queries == ["", "", ""]


async def test_the_connection_of_a_feed_is_closed_when_the_feed_is(tmp_path: Path) -> None:
    log = Log()
    async with peer(jsonrpc, greet=log.greet) as seen:
        document = manifest(seen, linger=0, tools=[TOOL])
        async with bridge_to(tmp_path, document) as bridge:
            await read(bridge)
            await seen.until(lambda: len(seen.closed) == 1)
            assert await bridge.call_tool("m.ask", {}) == {}
            assert len(seen.upgrades) == 2


async def test_a_call_beside_a_feed_that_has_the_only_connection_says_so(tmp_path: Path) -> None:
    log = Log()
    async with peer(jsonrpc, greet=log.greet) as seen:
        document = manifest(seen, tools=[TOOL])
        document |= {"limits": {"max_connections": 1}, "timeout": 0.2}
        async with bridge_to(tmp_path, document) as bridge:
            await read(bridge)
            with pytest.raises(CallTimeout, match=r"feeds.*have all its connections \(limits.max_connections is 1\)"):
                await bridge.call_tool("m.ask", {})


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_an_endpoint_that_refuses_a_position_is_asked_without_it_and_the_gap_says_why(
    tmp_path: Path, status: int
) -> None:
    log = Log(lambda query: query.get("cursor") == "1", status)
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        async with bridge_to(tmp_path, manifest(seen)) as bridge:
            cursor = (await read(bridge))["cursor"]
            await log.write(seen, 1)
            await read_until(bridge, cursor, "at 1")
            await seen.open[0].close(1012, "restart")
            await seen.until(lambda: len(seen.upgrades) == 2)
            await log.write(seen, 9)
            _, gaps = await read_until(bridge, cursor, "at 9")
            await seen.open[0].close(1012, "restart")
            await seen.until(lambda: len(seen.upgrades) == 3)
    (gap,) = gaps
    assert gap.startswith("not connected from ")
    assert f"the upgrade was answered with HTTP {status}" in gap.partition("; the endpoint does not replay: ")[2]
    assert log.queries == ["", "cursor=1", "", "cursor=9"]


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_a_refusal_that_is_not_about_the_position_keeps_it(tmp_path: Path, status: int) -> None:
    log = Log(lambda query: "cursor" in query and not log.says, status)
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        async with bridge_to(tmp_path, manifest(seen, tools=[TOOL])) as bridge:
            cursor = (await read(bridge))["cursor"]
            await log.write(seen, 1)
            await read_until(bridge, cursor, "at 1")
            await seen.open[0].close(1012)
            with anyio.fail_after(10):
                while len(log.queries) < 2:
                    await anyio.lowlevel.checkpoint()
            log.says.append({})
            await bridge.call_tool("m.ask", {})  # reaches the endpoint, which ends the pause
            await seen.until(lambda: len(seen.upgrades) == 3)
    assert log.queries[-1] == "cursor=1"


async def test_a_position_that_is_refused_by_a_close_code_is_a_gap_since_the_first_loss(tmp_path: Path) -> None:
    log = Log()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        async with bridge_to(tmp_path, manifest(seen)) as bridge:
            cursor = (await read(bridge))["cursor"]
            await log.write(seen, 1)
            await read_until(bridge, cursor, "at 1")
            log.events = []
            await seen.open[0].close(1012, "restart")
            await seen.until(lambda: len(seen.upgrades) == 2)
            await seen.open[0].close(1008, "cursor too old")
            await seen.until(lambda: len(seen.upgrades) == 3)
            await log.write(seen, 9)
            _, gaps = await read_until(bridge, cursor, "at 9")
    (gap,) = gaps
    loss, refusal = gap.split("; the endpoint does not replay: ")
    assert "restart" in loss
    assert "cursor too old" in refusal
    assert log.queries == ["", "cursor=1", ""]


HOSTILE: dict[str, Any] = {
    "signs of a URL": ("1&admin=true#x?y=z/../%00", "cursor=1%26admin%3Dtrue%23x%3Fy%3Dz%2F..%2F%2500"),
    "a line of a header": ("1 HTTP/1.1\r\nX-A: b", "cursor=1%20HTTP%2F1.1%0D%0AX-A%3A%20b"),
    "a list": (["1", "2"], None),
    "a list of one list": ([["1"]], None),
    "an object": ({"a": 1}, None),
    "an empty list": ([], None),
    "a long text": ("9" * 2100, None),
    "a lone surrogate": ("\ud800", None),
}


@pytest.mark.parametrize(("position", "query"), HOSTILE.values(), ids=HOSTILE)
async def test_a_position_changes_nothing_of_the_url_but_the_value_of_its_parameter(
    tmp_path: Path, position: Any, query: str | None
) -> None:
    log = Log()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        async with bridge_to(tmp_path, manifest(seen)) as bridge:
            cursor = (await read(bridge))["cursor"]
            await seen.open[0].send(json.dumps({"time": position, "text": "first"}))
            await read_until(bridge, cursor, "first")
            await seen.open[0].close(1012)
            await seen.until(lambda: len(seen.upgrades) == 2)
            await seen.open[0].send(json.dumps({"time": "last", "text": "last"}))
            _, gaps = await read_until(bridge, cursor, "last")
    assert log.queries == ["", query or ""]
    assert [urlsplit(each.path).path for each in seen.upgrades] == ["/subscribe"] * 2
    assert ["the endpoint does not replay" in each for each in gaps] == ([] if query else [True])


async def test_a_url_that_only_the_login_knows_gets_the_position_too(tmp_path: Path) -> None:
    log = Log()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        async with http_server(always(200, {"url": f"{seen.url}subscribe?ticket=t"})) as http:
            document = manifest(seen)
            step = {"http": {"url": f"http://localhost:{http.port}/ticket"}, "capture": {"url": "body.url"}}
            document |= {"url": "{{ session.url }}", "before_connect": [step]}
            async with bridge_to(tmp_path, document) as bridge:
                cursor = (await read(bridge))["cursor"]
                await log.write(seen, 1)
                await read_until(bridge, cursor, "at 1")
                await seen.open[0].close(1012)
                await seen.until(lambda: len(seen.upgrades) == 2)
    assert log.queries == ["ticket=t", "ticket=t&cursor=1"]


async def test_a_trace_shows_the_parameters_and_nothing_shows_a_credential_in_them(tmp_path: Path) -> None:
    log, events = Log(), list[Event]()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        file = tmp_path / "manifest.json"
        query = {"cursor": "{{ position | default(0) }}", "v": "${CODE}"}
        file.write_text(json.dumps(manifest(seen) | {"feeds": [{**FEED, "query": query}]}), encoding="utf-8")
        loaded = [load_manifest(file, {"CODE": "k-12345678"}, ())]
        async with Bridge(loaded, observe=events.append, trace_rules=True) as bridge:
            await read(bridge)
            out = StringIO()
            trace = Trace(bridge.redactor, out)
            for event in events:
                trace(event)
    assert log.queries == ["cursor=0&v=k-12345678"]
    assert '· query is {"cursor":"0","v":"***"}' in out.getvalue()


async def test_what_the_endpoint_sends_at_once_is_read_also_behind_steps(tmp_path: Path) -> None:
    log = Log()
    log.greeting = [{"hello": True}, {"time": 1, "text": "at 1"}]
    async with peer(jsonrpc, greet=log.greet) as seen:
        async with bridge_to(tmp_path, manifest(seen, open=[{"expect": "message.hello is defined"}])) as bridge:
            result = await read(bridge, wait_seconds=5)
            assert [each["data"] for each in result["events"]] == ["at 1"]


async def test_an_error_message_refuses_a_position_also_of_a_feed_without_steps(tmp_path: Path) -> None:
    log = Log()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        document = manifest(seen, match="message.time is defined or message.error is defined")
        document["reply"] = {"error": "message.error is defined", "error_message": "message.error"}
        async with bridge_to(tmp_path, document) as bridge:
            cursor = (await read(bridge))["cursor"]
            await log.write(seen, 1)
            await read_until(bridge, cursor, "at 1")
            log.events = []
            await seen.open[0].close(1012, "restart")
            await seen.until(lambda: len(seen.upgrades) == 2)
            await seen.open[0].send(json.dumps({"error": "no such cursor"}))
            await seen.until(lambda: len(seen.upgrades) == 3)
            await log.write(seen, 9)
            events, gaps = await read_until(bridge, cursor, "at 9")
    assert events == ["at 1", "at 9"]
    assert ["the endpoint does not replay" in each and "no such cursor" in each for each in gaps] == [True]
    assert log.queries == ["", "cursor=1", ""]
