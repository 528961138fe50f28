"""The field `query` of a call template and of HTTP steps over real sockets: what the endpoint gets, and who sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.test_discovery import announces, discovered
from tests.client.test_http_steps import always, http_server, tool
from tests.client.test_websocket import serve_tcp
from tests.peer import Peer, bridge_to, entry, jsonrpc, peer, silent
from utcp_ws_mcp import InvalidArguments
from utcp_ws_mcp.errors import BridgeError, ForbiddenURL, InvalidTemplate
from utcp_ws_mcp.observability.events import ConnectionOpened, Event, HttpRequestFinished

RPC = {"preset": "jsonrpc2"}
SECRET = "s3cret/of&the manifest"
ENCODED = "s3cret%2Fof%26the%20manifest"
INPUTS = {
    "type": "object",
    "properties": {
        "tags": {"type": "array", "items": {"type": "string"}},
        "lang": {"type": ["string", "null"]},
        "filter": {"type": "object"},
        "n": {"type": "integer"},
    },
}
QUERY = {"token": "${TOKEN}", "tag": "{{ args.tags }}", "lang": "{{ args.lang }}", "smart": True}


def listed(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "inputs": INPUTS} for name in names]


def paths(seen: Peer) -> list[str]:
    return [each.path for each in seen.upgrades]


async def test_each_set_of_parameters_has_a_connection_that_later_calls_share(tmp_path: Path) -> None:
    events: list[Event] = []
    async with peer(jsonrpc) as seen:
        document = entry(seen, *listed("t", "u"), **RPC, query=QUERY)
        async with bridge_to(tmp_path, document, environ={"TOKEN": SECRET}, events=events) as bridge:
            calls: list[dict[str, Any]] = [{}, {"tags": ["a", "b c"]}, {"lang": None}, {"tags": []}]
            calls += [{"tags": ["a", "b c"], "n": 1}, {"lang": ""}]
            for arguments in calls:
                assert await bridge.call_tool("m.t", arguments) == arguments
            assert await bridge.call_tool("m.u", {"n": 2}) == {"n": 2}
    assert paths(seen) == [
        f"/?token={ENCODED}&smart=true",
        f"/?token={ENCODED}&tag=a&tag=b%20c&smart=true",
        f"/?token={ENCODED}&lang=&smart=true",
    ]
    opened = [each for each in events if isinstance(each, ConnectionOpened)]
    assert {each.address for each in opened} == {seen.url}
    assert "s3cret" not in repr(events)


async def test_a_tool_has_parameters_of_its_own(tmp_path: Path) -> None:
    own = [
        {"name": "own", "tool_call_template": {"query": {"v": 2}}},
        {"name": "none", "tool_call_template": {"query": None}},
    ]
    async with peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", *own, **RPC, query={"v": 1, "w": "x"})) as bridge:
            for name in ("t", "own", "none"):
                await bridge.call_tool(f"m.{name}")
    assert paths(seen) == ["/?v=1&w=x", "/?v=2", "/"]


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ({"filter": {"a": 1}}, "the query parameter 'filter' is an object", "invalid-query-value"),
        ({"filter": {"a": "\ud800"}}, "the query parameter 'filter' is an object", "invalid-query-value"),
    ],
)
async def test_a_value_without_a_form_in_a_query_is_refused_and_nothing_is_opened(
    tmp_path: Path, arguments: Any, said: str, code: str
) -> None:
    async with peer(jsonrpc) as seen:
        document = entry(seen, *listed("t"), **RPC, query={"filter": "{{ args.filter }}"})
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(InvalidArguments, match=said) as refused:
                await bridge.call_tool("m.t", arguments)
    assert refused.value.code == code
    assert seen.upgrades == []


async def test_parameters_that_make_the_url_too_long_are_refused(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, entry(seen, *listed("t"), **RPC, query={"tag": "{{ args.tags }}"})) as bridge:
            with pytest.raises(ForbiddenURL, match="more than 4096 characters") as refused:
                await bridge.call_tool("m.t", {"tags": ["tag-of-the-caller"] * 1000})
    assert "tag-of-the-caller" not in str(refused.value)
    assert seen.upgrades == []


async def test_a_ticket_and_the_arguments_become_parameters_of_a_url_that_is_completed_later(tmp_path: Path) -> None:
    async with http_server(always(200, {"ticket": "t/8=1"})) as http, peer(jsonrpc) as seen:
        step = {"http": {"url": http.url("/tickets"), "query": {"for": "{{ args.tags }}", "n": None}}}
        document = entry(
            seen, *listed("t"), **RPC,
            before_connect=[{**step, "capture": {"ticket": "body.ticket"}}],
            query={"ticket": "{{ session.ticket }}", "lang": "{{ args.lang }}"},
        )  # fmt: skip
        async with bridge_to(tmp_path, document) as bridge:
            for arguments in ({"lang": "de", "tags": ["a", "b"]}, {"lang": "de", "tags": ["a", "b"]}, {}):
                assert await bridge.call_tool("m.t", arguments) == arguments
    assert [each.target for each in http.requests] == ["/tickets?for=a&for=b", "/tickets"]
    assert paths(seen) == ["/?ticket=t%2F8%3D1&lang=de", "/?ticket=t%2F8%3D1"]


async def test_a_url_of_the_endpoint_gets_parameters_and_is_refused_if_it_has_one_of_them(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, http_server(always(200, {"url": f"{seen.url}live?ticket=a%2Fb"})) as http:
        step = {"http": {"url": http.url()}, "capture": {"url": "body.url"}}
        document = {
            "name": "m", "url": "{{ session.url }}", "query": {"tag": "{{ args.tags }}", "ticket": "{{ args.lang }}"},
            "before_connect": [step], "tools": listed("t"), **RPC,
        }  # fmt: skip
        async with bridge_to(tmp_path, document) as bridge:
            assert await bridge.call_tool("m.t", {"tags": ["x", "y"]}) == {"tags": ["x", "y"]}
            with pytest.raises(InvalidTemplate, match="the URL has the parameter 'ticket' already") as refused:
                await bridge.call_tool("m.t", {"lang": "de"})
    assert paths(seen) == ["/live?ticket=a%2Fb&tag=x&tag=y"]
    assert "a%2Fb" not in str(refused.value)


async def test_a_request_of_a_call_has_parameters_from_its_arguments_and_the_session(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"hello": "s 1"}))

    events: list[Event] = []
    async with http_server(always(200, {"auth": "a-1"})) as http, peer(jsonrpc, greet=greet) as seen:
        request = {
            "url": http.url("/auth?v=1"),
            "query": {
                "socket": "{{ session.id }}",
                "tag": "UTCP_ARG_tags_UTCP_ARG",
                "key": "${TOKEN}",
                "x": "{{ let.x }}",
            },
        }
        own = tool(
            before_message=[{"http": request, "capture": {"auth": "body.auth"}}],
            let={"x": "args.lang | upper"},
            message={"jsonrpc": "2.0", "id": "{{ request_id }}", "params": "{{ let.auth }}"},
        )
        document = entry(
            seen,
            {**own, "inputs": INPUTS},
            **RPC,
            on_connect=[{"expect": "message.hello", "capture": {"id": "message.hello"}}],
        )
        async with bridge_to(tmp_path, document, environ={"TOKEN": SECRET}, events=events) as bridge:
            assert await bridge.call_tool("m.t", {"tags": ["a", "b"]}) == "a-1"
            assert await bridge.call_tool("m.t", {"lang": "de"}) == "a-1"
    assert [each.target for each in http.requests] == [
        f"/auth?v=1&socket=s%201&tag=a&tag=b&key={ENCODED}",
        f"/auth?v=1&socket=s%201&key={ENCODED}&x=DE",
    ]
    finished = [each for each in events if isinstance(each, HttpRequestFinished)]
    assert {each.address for each in finished} == {http.url("/auth")}


async def test_discovery_asks_with_the_parameters_that_no_call_decides(tmp_path: Path) -> None:
    manual = {"utcp_version": "1.0", "tools": [{"name": "t", "inputs": INPUTS}]}
    async with peer(announces(manual)) as seen:
        document = entry(seen, query=QUERY, response_format="json")
        async with bridge_to(tmp_path, document, environ={"TOKEN": SECRET}) as bridge:
            assert await discovered(bridge) == ["m.t"]
            await bridge.call_tool("m.t", {"tags": ["a"]})
    assert paths(seen) == [f"/?token={ENCODED}&smart=true", f"/?token={ENCODED}&tag=a&smart=true"]


async def test_each_set_of_arguments_of_a_feed_has_a_connection_with_its_parameters(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"path": connection.request.path}))

    feed = {"name": "f", "description": "All.", "inputs": INPUTS, "match": "message.path is defined"}
    async with peer(silent, greet=greet) as seen:
        document = entry(seen, query={"tag": "{{ args.tags }}"}, feeds=[feed])
        async with bridge_to(tmp_path, document) as bridge:
            reads = [{"tags": ["a", "b"]}, {"tags": ["c"]}, {}, {"tags": ["a", "b"]}]
            found = [await bridge.call_tool("m.f_events", {**each, "wait_seconds": 5}) for each in reads]
    expected = ["/?tag=a&tag=b", "/?tag=c", "/", "/?tag=a&tag=b"]
    assert [each["events"][0]["data"]["path"] for each in found] == expected
    assert paths(seen) == expected[:3]


async def test_an_endpoint_that_refuses_the_upgrade_does_not_bring_its_parameters_into_the_error(
    tmp_path: Path,
) -> None:
    async def refuse(stream: Any) -> None:
        async with stream:
            head = await stream.receive()
            body = b"cannot serve " + head.split(b" ")[1]
            await stream.send(b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with serve_tcp(refuse) as port:
        document = {
            "name": "m", "url": f"ws://127.0.0.1:{port}/", "query": QUERY, "tools": listed("t"), **RPC
        }  # fmt: skip
        async with bridge_to(tmp_path, document, environ={"TOKEN": SECRET}) as bridge:
            with pytest.raises(BridgeError, match="HTTP 403") as refused:
                await bridge.call_tool("m.t", {"tags": ["a"]})
    assert "cannot serve" in str(refused.value)
    assert "s3cret" not in str(refused.value)
